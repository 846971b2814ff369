//! From operations to a certified outcome: sign, keep in the outbox, send, wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_crypto::encode::{BoundedString, BoundedVec, encode};
use quorate_crypto::key::{PublicKey, SecretKey, Signature};
use quorate_protocol::api::code::Code;
use quorate_protocol::api::http::TransactionResponse;
use quorate_protocol::document::{Genesis, Operation, SignedTransaction, Transaction};
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::time::UnixMillis;

use super::http::Node;
use super::outbox::Outbox;
use super::settle::{Job, settle};
use super::survey;
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::interrupt::{self, Stage};
use crate::output::progress::Progress;

/// What is to be signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What the transaction does, all of it or nothing.
    pub operations: Vec<Operation>,
    /// A text that is stored with it.
    pub memo: String,
    /// For how long, counted from now, it may be executed.
    pub valid_for: Duration,
}

/// Signs a transaction, keeps its bytes in the outbox, names it to `announce`, sends it, and waits for its certified
/// outcome.
///
/// # Errors
/// See [`settle`]; exit code 6 when nothing was sent, and 4 when that is because f+1 validators, none of them below
/// `at_least`, do not know the sender; 1 when the bytes could not be kept or the machine has no randomness.
pub fn send(
    (nodes, genesis): (&[Node], &Arc<Genesis>),
    (key, draft): (&SecretKey, &Draft),
    (outbox, at_least): (&Outbox, Height),
    deadline: Instant,
    announce: impl FnOnce(TransactionId),
    progress: &mut Progress,
) -> Result<TransactionResponse, Failure> {
    let weak_quorum = genesis.validators.weak_quorum();
    let survey = survey::look_around(nodes, weak_quorum, deadline)?;
    let signed = sign(genesis, key, draft, survey.head_time.max(clock::now_ms()))?;
    let sender = BTreeSet::from([key.public_key()]);
    if !survey::strangers(&survey.nodes, weak_quorum, &sender, at_least).is_empty() {
        let refused = TransactionResponse::rejected(signed.id(), Code::UnknownSender);
        return Err(not_a_member(&key.public_key(), weak_quorum).with_data(refused));
    }
    outbox.keep(&signed)?;
    announce(signed.id());
    interrupt::enter(Stage::Sending(signed.id()));
    let job = Job::first(&signed);
    let settled = settle(&survey.nodes, genesis, &job, deadline, progress);
    // A node that says that it is full may keep the bytes all the same: they stay, to be sent again.
    let certain = match &settled {
        Ok(_) => true,
        Err(failure) => matches!(failure.exit, Exit::NotApplied | Exit::NotSent),
    };
    if certain {
        outbox.forget(&job.id);
    }
    settled
}

/// The chain does not know the sender, so that nothing was sent.
pub fn not_a_member(sender: &PublicKey, validators: usize) -> Failure {
    Failure::new(
        Exit::NotApplied,
        Code::UnknownSender.as_str(),
        format!("nothing was sent: the sender {sender} is no member of the chain, say {validators} validators"),
        Code::UnknownSender.hint(),
    )
}

impl Job {
    /// The job of bringing bytes to an outcome that nobody has been sent before.
    pub fn first(signed: &SignedTransaction) -> Job {
        Job {
            id: signed.id(),
            bytes: Some(encode(signed).into()),
            valid_until: Some(signed.transaction().valid_until),
            first_time: true,
        }
    }
}

/// Signs a draft; `now` is the later of the clock and the head's time, Unix milliseconds.
///
/// # Errors
/// Exit code 2 for too many operations, too long a memo or too long a validity, 1 when the machine has no randomness.
pub fn sign(genesis: &Genesis, key: &SecretKey, draft: &Draft, now: u64) -> Result<SignedTransaction, Failure> {
    check_validity(genesis, draft)?;
    let salt = getrandom::u64().map_err(|error| {
        Failure::internal(format!("the system has no randomness: {error}"), "check the system's random device")
    })?;
    let valid_until = now.saturating_add(u64::try_from(draft.valid_for.as_millis()).unwrap_or(u64::MAX));
    transaction(genesis, key.public_key(), draft, valid_until, salt).map(|made| SignedTransaction::sign(made, key))
}

/// Whether a draft can become a transaction at all.
///
/// # Errors
/// Exit code 2 when it has too many operations or none, too long a memo or validity, or is too long as a whole.
pub fn check(genesis: &Genesis, sender: PublicKey, draft: &Draft) -> Result<(), Failure> {
    check_validity(genesis, draft)?;
    let made = transaction(genesis, sender, draft, u64::MAX, u64::MAX)?;
    let unsigned = SignedTransaction::new(made, Signature::from_bytes([0; 64]));
    let most = usize::try_from(genesis.parameters.transaction_bytes_max).unwrap_or(usize::MAX);
    unsigned
        .check_form(&genesis.chain_id(), most)
        .map_err(|code| Failure::usage(format!("no transaction can be made of it: {code}"), code.hint()))
}

/// No node takes what is valid for longer than its window, less what its clock may be behind.
fn check_validity(genesis: &Genesis, draft: &Draft) -> Result<(), Failure> {
    let parameters = &genesis.parameters;
    let most = Duration::from_millis(parameters.validity_window_ms.saturating_sub(parameters.clock_skew_max_ms));
    if draft.valid_for <= most {
        return Ok(());
    }
    Err(Failure::usage(
        format!("a transaction of this chain can be valid for at most {} seconds", most.as_secs_f64()),
        "give --valid-for less; a transaction that expired is certainly not applied, and can be sent anew",
    ))
}

fn transaction(
    genesis: &Genesis,
    sender: PublicKey,
    draft: &Draft,
    valid_until: UnixMillis,
    salt: u64,
) -> Result<Transaction, Failure> {
    Ok(Transaction {
        chain_id: genesis.chain_id(),
        sender,
        valid_until,
        salt,
        operations: BoundedVec::try_from(draft.operations.clone()).map_err(|error| {
            Failure::usage(format!("too many operations in one transaction: {error}"), "split it into several")
        })?,
        memo: BoundedString::try_from(draft.memo.clone())
            .map_err(|error| Failure::usage(format!("the memo is too long: {error}"), "shorten the memo"))?,
    })
}
