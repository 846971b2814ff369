//! `quorate tx show|wait|list|receipt`.

use quorate_crypto::encode::encode;
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::id::{Height, TransactionId};
use serde::Serialize;

use super::context::Context;
use crate::arguments::Format;
use crate::arguments::tx::Tx;
use crate::client::outbox::Kept;
use crate::client::settle::{Job, settle};
use crate::exit::{Exit, Failure};
use crate::interrupt::{self, Stage};
use crate::output::progress::Progress;
use crate::output::table::{Facts, Style, Table};
use crate::output::time::utc;
use crate::output::{Readable, word};
use crate::receipt::{self, ReceiptShown};

/// Runs one of the four.
///
/// # Errors
/// When no node answers, the transaction is unknown, or a proof does not hold.
pub fn run(arguments: &Tx, context: &Context) -> Result<Exit, Failure> {
    match arguments {
        Tx::Show(of) => show(TransactionId(of.which.id), of.reading.height(), context),
        Tx::Wait(which) => wait(TransactionId(which.id), context),
        Tx::List => list(context),
        Tx::Receipt(of) => print_receipt(TransactionId(of.which.id), of.reading.height(), context),
    }
}

fn show(id: TransactionId, at_least: Option<Height>, context: &Context) -> Result<Exit, Failure> {
    let genesis = context.genesis()?;
    let (response, _) = context.ask_at_least(at_least, |node| node.transaction(&id))?;
    if let Some(found) = &response.receipt {
        check(found, id, context)?;
    }
    let about = Settled { what: None, validators: genesis.validators.n() };
    context.printer.print(&TransactionShown {
        response: &response,
        about: &about,
        invocation: context.invocation(),
    })?;
    Ok(Exit::Success)
}

/// Waits for a certified outcome. Where the outbox holds the bytes they are sent again, which is safe: they apply at
/// most once.
fn wait(id: TransactionId, context: &Context) -> Result<Exit, Failure> {
    let genesis = context.genesis()?;
    let outbox = context.outbox()?;
    let kept = outbox.find(&id)?;
    let job = Job {
        id,
        bytes: kept.as_ref().map(|kept| encode(kept).into()),
        valid_until: kept.as_ref().map(|kept| kept.transaction().valid_until),
        first_time: false,
    };
    interrupt::enter(Stage::Sending(id));
    let mut progress = Progress::on_terminal();
    let outcome = settle(context.nodes()?, &genesis, &job, context.deadline, &mut progress);
    drop(progress);
    if let Ok(response) = &outcome {
        context.remember(response.height);
    }
    // A receipt, certified expiry, or bytes that nobody ever takes.
    if matches!(&outcome, Ok(_) | Err(Failure { exit: Exit::NotApplied, .. })) {
        outbox.forget(&id);
    }
    finish(outcome, Settled { what: None, validators: genesis.validators.n() }, context)
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let (kept, damaged) = context.outbox()?.list()?;
    for failure in &damaged {
        context.printer.say(&format!("warning: {}", failure.message));
    }
    context.printer.print(&Listed { transactions: kept })?;
    Ok(Exit::Success)
}

/// What was signed here and has no certain outcome yet.
#[derive(Serialize)]
struct Listed {
    transactions: Vec<Kept>,
}

impl Readable for Listed {
    fn text(&self, style: Style) -> String {
        let mut table = Table::new(&["transaction", "valid until"]);
        for kept in &self.transactions {
            table.row([kept.id.to_string(), utc(kept.valid_until)]);
        }
        table.render(style)
    }
}

fn print_receipt(id: TransactionId, at_least: Option<Height>, context: &Context) -> Result<Exit, Failure> {
    let genesis = context.genesis()?;
    let (found, _) = context.ask_at_least(at_least, |node| node.receipt(&id))?;
    check(&found, id, context)?;
    context.printer.print(&ReceiptShown { receipt: &found, validators: genesis.validators.n() })?;
    Ok(Exit::Success)
}

fn check(found: &quorate_protocol::document::Receipt, id: TransactionId, context: &Context) -> Result<(), Failure> {
    receipt::check(found, &*context.genesis()?, Some(id)).map_err(|reason| {
        Failure::unverified(
            format!("the receipt that the node gave for {id} does not hold: {reason}"),
            "do not trust this node; ask another one with --node",
        )
    })?;
    context.remember(Some(found.header.height));
    Ok(())
}

/// What is known beside the outcome.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The transaction in words, where it was made here.
    pub what: Option<String>,
    /// How many validators there are.
    pub validators: usize,
}

/// Prints an outcome: success is an applied transaction, exit code 4 one that certainly is not.
///
/// # Errors
/// The failure that `outcome` is, or that its receipt tells of.
pub fn finish(
    outcome: Result<TransactionResponse, Failure>,
    about: Settled,
    context: &Context,
) -> Result<Exit, Failure> {
    let response = outcome?;
    let (id, code) = (response.id, response.code);
    let shown = TransactionShown { response: &response, about: &about, invocation: context.invocation() };
    let failure = match response.status {
        TransactionStatus::Applied => {
            context.printer.print(&shown)?;
            return Ok(Exit::Success);
        }
        TransactionStatus::Failed => {
            let code = code.map_or_else(|| "failed".to_owned(), |code| code.to_string());
            let height = response.height.map_or_else(String::new, |height| format!(" at height {height}"));
            let message = format!("{id} failed{height} and changed nothing: {code}");
            if context.printer.format() == Format::Table {
                // People see the receipt as well; programs find it in the failure's envelope.
                context.printer.print(&shown)?;
            }
            Failure::new(Exit::NotApplied, code, message, response.code.map_or("", |code| code.hint()))
        }
        _ => Failure::new(
            Exit::NotApplied,
            "expired",
            format!("{id} expired: certified block time has passed its valid_until, and it was not executed"),
            "send it anew; --valid-for gives it longer",
        ),
    };
    Err(failure.with_data(response))
}

/// A transaction's state, for people and programs.
#[derive(Serialize)]
#[serde(transparent)]
struct TransactionShown<'a> {
    response: &'a TransactionResponse,
    #[serde(skip)]
    about: &'a Settled,
    #[serde(skip)]
    invocation: String,
}

impl Readable for TransactionShown<'_> {
    fn text(&self, style: Style) -> String {
        let response = self.response;
        let status = match response.status {
            TransactionStatus::Applied => style.good("applied"),
            TransactionStatus::Failed | TransactionStatus::Rejected | TransactionStatus::Expired => {
                style.bad(&word(&response.status))
            }
            _ => style.note(&word(&response.status)),
        };
        let mut facts = Facts::default();
        match &self.about.what {
            Some(what) => facts.add("outcome", format!("{status}  {what}")),
            None => facts.add("outcome", status),
        };
        if let Some(code) = response.code {
            facts.add("code", format!("{code}: {}", code.hint()));
        }
        facts.add("transaction", response.id.to_string());
        let Some(found) = &response.receipt else {
            return facts.render(style);
        };
        receipt::add_place(&mut facts, found, self.about.validators);
        facts.add("proof", "verified against the genesis; to keep it:");
        facts.add("", format!("{} tx receipt {} --output json > receipt.json", self.invocation, response.id));
        facts.render(style)
    }
}
