//! `quorate validators`.

use quorate_protocol::api::http::ValidatorsResponse;
use serde::Serialize;

use super::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::Readable;
use crate::output::table::{Style, Table};

#[derive(Serialize)]
#[serde(transparent)]
struct Shown {
    validators: ValidatorsResponse,
    #[serde(skip)]
    node: String,
}

/// Shows who votes, as one node sees it.
///
/// # Errors
/// When no node answers.
pub fn run(context: &Context) -> Result<Exit, Failure> {
    let (validators, node) = context.ask(|node| node.validators())?;
    context.printer.print(&Shown { validators, node: node.name().to_owned() })?;
    Ok(Exit::Success)
}

impl Readable for Shown {
    fn text(&self, style: Style) -> String {
        let set = &self.validators;
        let mut table = Table::new(&["name", "consensus key", "role", "seen by"]);
        for validator in &set.validators {
            let role = if validator.is_primary { style.strong("primary") } else { "backup".to_owned() };
            let seen = if validator.connected || validator.name == self.node {
                style.good(&self.node)
            } else {
                style.bad("not connected")
            };
            table.row([validator.name.clone(), validator.consensus_key.to_string(), role, seen]);
        }
        format!(
            "{}\n  epoch {}: {} validators, {} of them are a quorum, {} may fail\n",
            table.render(style),
            set.epoch,
            set.n,
            set.quorum,
            set.f
        )
    }
}
