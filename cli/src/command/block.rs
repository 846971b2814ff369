//! `quorate block`.

use quorate_crypto::hash::Digest;
use quorate_protocol::api::http::BlockResponse;
use quorate_protocol::document::Outcome;
use quorate_protocol::id::Height;
use serde::Serialize;

use super::context::Context;
use crate::arguments::block::Block;
use crate::exit::{Exit, Failure};
use crate::output::Readable;
use crate::output::table::{Facts, Style, Table};
use crate::output::time::utc;

/// How many transactions a table shows.
const SHOWN_MAX: usize = 50;

#[derive(Serialize)]
#[serde(transparent)]
struct Shown {
    block: BlockResponse,
    #[serde(skip)]
    node: String,
}

/// Shows a block as one node has it.
///
/// # Errors
/// When no node answers, or there is no such block.
pub fn run(arguments: &Block, context: &Context) -> Result<Exit, Failure> {
    let reference = &arguments.block;
    let known = reference == "latest" || reference.parse::<u64>().is_ok() || reference.parse::<Digest>().is_ok();
    if !known {
        return Err(Failure::usage(
            format!("`{reference}` names no block"),
            "give a height, a header's hash (64 lowercase hex digits), or `latest`",
        ));
    }
    // A block that is named by its height is asked of whoever has it.
    let named = reference.parse().ok().map(Height);
    let at_least = arguments.reading.height().or_else(|| named.map(|named| named.min(context.seen())));
    let (block, node) = context.ask_at_least(at_least, |node| node.block(reference))?;
    context.printer.print(&Shown { block, node: node.name().to_owned() })?;
    Ok(Exit::Success)
}

impl Readable for Shown {
    fn text(&self, style: Style) -> String {
        let (block, header) = (&self.block, &self.block.header);
        let certified = if block.certified { style.good("yes") } else { style.note("not yet") };
        let mut facts = Facts::default();
        facts
            .add("height", block.height.to_string())
            .add("hash", block.hash.to_string())
            .add("parent", header.parent.to_string())
            .add("time", utc(header.time))
            .add("epoch", header.epoch.to_string())
            .add("state root", header.state_root.to_string())
            .add("transactions", block.transactions.len().to_string())
            .add("certified", format!("{certified}, as {} has it", self.node));
        let mut text = facts.render(style);
        if !block.transactions.is_empty() {
            let mut table = Table::new(&[">position", "transaction", "outcome"]);
            for entry in block.transactions.iter().take(SHOWN_MAX) {
                table.row([entry.index.to_string(), entry.id.to_string(), describe(entry.outcome, style)]);
            }
            text = format!("{text}\n{}", table.render(style));
        }
        if block.transactions.len() > SHOWN_MAX {
            text.push_str(&format!("  … and {} more: --output json shows all\n", block.transactions.len() - SHOWN_MAX));
        }
        text
    }
}

fn describe(outcome: Outcome, style: Style) -> String {
    match outcome {
        Outcome::Applied => style.good("applied"),
        Outcome::Failed(code) => format!("{} {code}", style.bad("failed")),
        Outcome::Skipped(reason) => format!("{} {}", style.note("skipped"), reason.as_str()),
    }
}
