//! `quorate account`.

use quorate_protocol::api::http::AccountResponse;
use serde::Serialize;

use super::context::Context;
use crate::arguments::account::Account;
use crate::exit::{Exit, Failure};
use crate::output::Readable;
use crate::output::amount::grouped;
use crate::output::table::{Facts, Style, Table};
use crate::output::time::utc;

#[derive(Serialize)]
#[serde(transparent)]
struct Shown {
    account: AccountResponse,
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    node: String,
}

/// Shows an account as one node has it.
///
/// # Errors
/// When no node answers, or the account is unknown.
pub fn run(arguments: &Account, context: &Context) -> Result<Exit, Failure> {
    let address = context.address(&arguments.account)?;
    let (account, node) =
        context.ask_at_least(arguments.reading.height(), |node| node.account(&address.to_string()))?;
    context.printer.print(&Shown { account, name: context.name_of(&address), node: node.name().to_owned() })?;
    Ok(Exit::Success)
}

impl Readable for Shown {
    fn text(&self, style: Style) -> String {
        let account = &self.account;
        let mut facts = Facts::default();
        if self.name != account.account.to_string() {
            facts.add("name", style.strong(&self.name));
        }
        facts.add("address", account.account.to_string());
        facts.add("roles", self.roles());
        if account.frozen {
            facts.add("state", style.bad("frozen"));
        }
        facts.add("as of", format!("height {}, {}, as {} has it", account.height, utc(account.time), self.node));
        let mut text = facts.render(style);
        if !account.balances.is_empty() {
            let mut table = Table::new(&["asset", ">balance"]);
            for balance in &account.balances {
                table.row([balance.asset.to_string(), grouped(&balance.amount)]);
            }
            text = format!("{text}\n{}", table.render(style));
        }
        text
    }
}

impl Shown {
    fn roles(&self) -> String {
        if !self.account.member {
            return "none: not a member of this chain".to_owned();
        }
        let roles: Vec<&str> = self.account.roles.iter().map(|role| role.as_str()).collect();
        if roles.is_empty() { "none".to_owned() } else { roles.join(", ") }
    }
}
