//! `quorate transfer`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_crypto::encode::{BoundedString, BoundedVec, encode};
use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_protocol::api::http::TransactionResponse;
use quorate_protocol::document::amount::{format_decimal, parse_decimal};
use quorate_protocol::document::{AssetCode, Genesis, Operation, Scale, SignedTransaction, Transaction};
use quorate_protocol::id::TransactionId;

use super::context::Context;
use super::tx::{Settled, finish};
use crate::arguments::transfer::Transfer;
use crate::client::http::Node;
use crate::client::outbox::Outbox;
use crate::client::settle::{Job, settle};
use crate::client::survey;
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::output::amount::grouped;
use crate::output::progress::Progress;

/// A transfer whose words have been understood.
#[derive(Clone, Debug)]
pub struct Order {
    /// Who receives.
    pub to: PublicKey,
    /// Of which asset.
    pub code: AssetCode,
    /// How many minor units.
    pub minor: u128,
    /// A text that is stored with it.
    pub memo: String,
    /// For how long, counted from now, it may be executed.
    pub valid_for: Duration,
}

/// Signs a transfer, keeps its bytes in the outbox, names it to `announce`, sends it, and waits for its certified
/// outcome.
///
/// # Errors
/// See [`settle`]; exit code 6 when nothing was sent, 1 when the bytes could not be kept or the machine has no
/// randomness.
pub fn send(
    (nodes, genesis): (&[Node], &Arc<Genesis>),
    (key, order): (&SecretKey, &Order),
    outbox: &Outbox,
    deadline: Instant,
    announce: impl FnOnce(TransactionId),
    progress: &mut Progress,
) -> Result<TransactionResponse, Failure> {
    let survey = survey::look_around(nodes, genesis.validators.weak_quorum(), deadline)?;
    let signed = sign(genesis, key, order, survey.head_time.max(clock::now_ms()))?;
    outbox.keep(&signed)?;
    announce(signed.id());
    let job = Job {
        id: signed.id(),
        bytes: Some(encode(&signed).into()),
        valid_until: Some(signed.transaction().valid_until),
        first_time: true,
    };
    let settled = settle(&survey.nodes, genesis, &job, deadline, progress);
    let certain = match &settled {
        Ok(_) => true,
        Err(failure) => matches!(failure.exit, Exit::NotApplied | Exit::NotSent | Exit::Overloaded),
    };
    if certain {
        outbox.forget(&job.id);
    }
    settled
}

fn sign(genesis: &Genesis, key: &SecretKey, order: &Order, now: u64) -> Result<SignedTransaction, Failure> {
    let transfer = Operation::Transfer { to: order.to, code: order.code, amount: order.minor };
    let salt = getrandom::u64().map_err(|error| {
        Failure::internal(format!("the system has no randomness: {error}"), "check the system's random device")
    })?;
    let transaction = Transaction {
        chain_id: genesis.chain_id(),
        sender: key.public_key(),
        valid_until: now.saturating_add(u64::try_from(order.valid_for.as_millis()).unwrap_or(u64::MAX)),
        salt,
        operations: BoundedVec::try_from(vec![transfer])
            .map_err(|error| Failure::internal(error.to_string(), "report this fault"))?,
        memo: BoundedString::try_from(order.memo.clone())
            .map_err(|error| Failure::usage(format!("the memo is too long: {error}"), "shorten the memo"))?,
    };
    Ok(SignedTransaction::sign(transaction, key))
}

/// Transfers, and prints the receipt once it is verified.
///
/// # Errors
/// See [`send`]; exit code 4 when it failed with a receipt.
pub fn run(arguments: &Transfer, context: &Context) -> Result<Exit, Failure> {
    let genesis = context.genesis()?;
    let key = context.sender_key(arguments.from.as_deref())?;
    let code = AssetCode::new(&arguments.asset)
        .map_err(|error| Failure::usage(error.to_string(), "give the code as the issuer wrote it, such as USD"))?;
    let to = context.address(&arguments.to)?;
    let scale = scale_of(context, &genesis, code, &key.public_key())?;
    let minor = parse_decimal(&arguments.amount, scale).map_err(|error| {
        Failure::usage(error.to_string(), format!("{code} has {scale} decimals, as in --amount 12.50"))
    })?;
    let order = Order { to, code, minor, memo: arguments.memo.clone(), valid_for: arguments.valid_for };

    let announce = |id| context.printer.say(&format!("transaction {id}"));
    let mut progress = Progress::on_terminal();
    let nodes = (context.nodes()?, &genesis);
    let outcome = send(nodes, (&key, &order), &context.outbox()?, context.deadline, announce, &mut progress);
    drop(progress);
    let names = (context.name_of(&key.public_key()), context.name_of(&to));
    let what = format!("{} {code} from {} to {}", grouped(&format_decimal(minor, scale)), names.0, names.1);
    finish(outcome, Settled { what: Some(what), validators: genesis.validators.n() }, context)
}

/// The decimals of an asset: from the genesis, which is certain, else as f+1 validators have it for the sender's
/// balance.
fn scale_of(context: &Context, genesis: &Genesis, code: AssetCode, sender: &PublicKey) -> Result<Scale, Failure> {
    if let Some(asset) = genesis.assets.iter().find(|asset| asset.code == code) {
        return Ok(asset.scale);
    }
    let told: Vec<Scale> = context.nodes()?.iter().filter_map(|node| scale_at(node, code, sender)).collect();
    let agreed = told
        .iter()
        .copied()
        .find(|scale| told.iter().filter(|other| *other == scale).count() >= genesis.validators.weak_quorum());
    agreed.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            "unknown_asset",
            format!("the decimals of {code} are not known: it is not in the genesis, and too few nodes show a balance of the sender"),
            "check the code, and that the sender holds some of it (`quorate account`)",
        )
    })
}

fn scale_at(node: &Node, code: AssetCode, sender: &PublicKey) -> Option<Scale> {
    let account = node.account(&sender.to_string()).ok()?;
    account.balances.iter().find(|balance| balance.asset == code).map(|balance| balance.scale)
}
