//! What one node makes of the transaction.

use std::thread;
use std::time::{Duration, Instant};

use quorate_protocol::api::code::{Code, KnownOutcome};
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::api::problem::Problem;
use quorate_protocol::document::genesis::Genesis;
use quorate_protocol::id::NodeIndex;

use super::job::Job;
use crate::client::http::{CallError, Node};
use crate::clock;
use crate::receipt;

/// The pause between two looks at a transaction, and before nodes that answered at once are all asked again.
pub(super) const PAUSE: Duration = Duration::from_millis(150);

/// A node's latest word on the transaction.
#[derive(Clone, Debug)]
pub(super) enum Word {
    /// It has it, without an outcome yet; or it may have it.
    Waits(String),
    /// It cannot be reached.
    Unreachable(String),
    /// Certified block time has passed its `valid_until` and it was not executed, as this validator says; `None` for a
    /// node that is no validator, whose word proves nothing.
    Expired(Option<NodeIndex>),
    /// It does not know it.
    Absent,
    /// It refuses it. Which validator says so is asked where that can prove something.
    Refused(Box<Problem>, Option<NodeIndex>),
    /// It has no room at the moment.
    Busy(Box<Problem>, Option<Duration>),
    /// It wants credentials.
    Denied(String),
    /// It gave a proof that does not hold.
    Lied(String),
}

/// An outcome with its proof, or a mere word.
pub(super) enum Answer {
    Proved(Box<TransactionResponse>),
    Word(Word),
}

/// Asks one node, and waits up to `window` for what it makes of the transaction.
pub(super) fn ask(node: &Node, genesis: &Genesis, job: &Job, window: Duration) -> Answer {
    let past = job.valid_until.is_some_and(|valid_until| clock::now_ms() > valid_until);
    match &job.bytes {
        // After its time it can only be looked for; sending it again would be refused by whoever does not know it.
        Some(bytes) if !past => match judge(node, genesis, job, node.submit(bytes, window)) {
            Answer::Word(word) if is_too_late(&word) => by_certified_time(node, genesis, job, word),
            answer => answer,
        },
        _ => look(node, genesis, job, window, past),
    }
}

fn is_too_late(word: &Word) -> bool {
    matches!(word, Word::Refused(problem, _) if problem.code == Code::Expired)
}

/// A node refuses it as expired by its own clock. Whether that is so for good only certified time can tell.
fn by_certified_time(node: &Node, genesis: &Genesis, job: &Job, refused: Word) -> Answer {
    match look(node, genesis, job, Duration::ZERO, true) {
        answer @ (Answer::Proved(_) | Answer::Word(Word::Expired(_))) => answer,
        Answer::Word(_) => Answer::Word(refused),
    }
}

/// Looks for the transaction at one node until there is an outcome or `window` is over.
fn look(node: &Node, genesis: &Genesis, job: &Job, window: Duration, past: bool) -> Answer {
    let end = Instant::now() + window;
    loop {
        // The head is read first: what is absent afterwards was absent as of that head's time.
        let certified_past = past && certified_time(node) >= job.valid_until;
        let answer = match judge(node, genesis, job, node.transaction(&job.id)) {
            Answer::Word(Word::Absent) if certified_past => Answer::Word(Word::Expired(validator(node))),
            answer => answer,
        };
        let settled = !matches!(answer, Answer::Word(Word::Waits(_) | Word::Absent));
        if settled || Instant::now() + PAUSE >= end {
            return answer;
        }
        thread::sleep(PAUSE);
    }
}

/// The validator that this node says it is.
fn validator(node: &Node) -> Option<NodeIndex> {
    node.status().ok().and_then(|status| status.index)
}

/// The time of the node's head where that is certified.
fn certified_time(node: &Node) -> Option<u64> {
    let status = node.status().ok()?;
    (status.certified_height == status.height).then_some(status.time)
}

fn judge(node: &Node, genesis: &Genesis, job: &Job, answer: Result<TransactionResponse, CallError>) -> Answer {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Answer::Word(word_of(node, error)),
    };
    match response.status {
        TransactionStatus::Applied | TransactionStatus::Failed => prove(node, genesis, job, response),
        TransactionStatus::Expired => Answer::Word(Word::Expired(validator(node))),
        TransactionStatus::Rejected => Answer::Word(match response.code {
            None => Word::Waits("rejected it without a reason that ends it".to_owned()),
            Some(code) => refused(node, Box::new(Problem::new(code, code.as_str()))),
        }),
        TransactionStatus::Unknown => Answer::Word(Word::Absent),
        TransactionStatus::Queued | TransactionStatus::Accepted => {
            Answer::Word(Word::Waits("has it waiting".to_owned()))
        }
    }
}

/// Checks the receipt that the node gave, or fetches it where it only said the outcome.
fn prove(node: &Node, genesis: &Genesis, job: &Job, response: TransactionResponse) -> Answer {
    let receipt = match response.receipt {
        Some(receipt) => receipt,
        None => match node.receipt(&job.id) {
            Ok(receipt) => receipt,
            Err(error) => return Answer::Word(Word::Waits(error.to_string())),
        },
    };
    match receipt::check(&receipt, genesis, Some(job.id)) {
        Ok(_) => Answer::Proved(Box::new(TransactionResponse::certified(receipt))),
        Err(reason) => Answer::Word(Word::Lied(reason)),
    }
}

/// The table of codes says what an answer means, not the node.
fn word_of(node: &Node, error: CallError) -> Word {
    let (problem, retry_after) = match error {
        CallError::Unreachable(reason) => return Word::Unreachable(reason),
        CallError::Denied(detail) => return Word::Denied(detail),
        CallError::Lost(_) | CallError::Nonsense(_) => return Word::Waits(error.to_string()),
        CallError::Problem { problem, retry_after, .. } => (problem, retry_after),
    };
    match (problem.code.http_status(), problem.code.outcome()) {
        (404, _) => Word::Absent,
        (429 | 503, KnownOutcome::NotApplied) => Word::Busy(problem, retry_after),
        (_, KnownOutcome::NotApplied) => refused(node, problem),
        _ => Word::Waits(format!("says: {}", problem.detail)),
    }
}

fn refused(node: &Node, problem: Box<Problem>) -> Word {
    let who = if problem.code.is_final() { validator(node) } else { None };
    Word::Refused(problem, who)
}
