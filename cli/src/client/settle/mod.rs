//! From signed bytes to a certified outcome, whatever single nodes do: the same bytes go to one node, after a short
//! time-out to another one, then to f+1, then to all. A time-out is never taken for a failure, and a receipt counts only
//! with its proof.
//!
//! # When a transaction is not applied for certain
//!
//! Whoever was sent the bytes may keep them, and may have them executed until certified block time has passed their
//! `valid_until`: a node that did not answer, and just as well one that said no, since f of them may lie and none has to
//! say so. So exit code 4, after which a user may pay anew, needs one of these:
//!
//! - a receipt, verified, with an outcome that is no success;
//! - the word of f+1 validators, of which one is correct, that the id is absent as of a certified time at or after its
//!   `valid_until` (PROTOCOL 8.3);
//! - the word of f+1 validators that the bytes can never be executed by anybody, for a reason that follows from the bytes
//!   and the genesis alone ([`Code::is_final`](quorate_protocol::api::code::Code::is_final)): their form, their
//!   signature, their chain;
//! - that the bytes never left. A sender that f+1 validators do not know is found out before anything is sent
//!   ([`super::survey::strangers`]), and so is a validity that is longer than any node takes: whoever mistypes an account
//!   need not wait.
//!
//! Every other refusal (`unknown_sender`, `expired` by a node's own clock, `valid_until_too_far`, ...) depends on a state
//! or a clock that moves on. It is exit code 5 even if all say so: the outbox keeps the bytes, and `quorate tx wait` goes
//! on with them.
//!
//! Validators are counted, not addresses: each is asked which one it is, and one that is asked at two addresses counts
//! once. At one address nobody counts for more than one, so f liars never make f+1 words.

mod ask;
mod book;
mod failure;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use quorate_protocol::api::http::TransactionResponse;
use quorate_protocol::document::genesis::Genesis;
use quorate_protocol::id::TransactionId;

use self::ask::Answer;
use self::book::Book;
use super::http::Node;
use crate::exit::Failure;
use crate::output::progress::Progress;

/// How long a node is waited for before others are asked, too.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two looks at a transaction, and before nodes that answered at once are all asked again.
const PAUSE: Duration = Duration::from_millis(150);
/// How often the progress line moves.
const TICK: Duration = Duration::from_millis(100);
/// The round in which all nodes are asked for the first time.
const ROUND_OF_ALL: usize = 3;

/// What is to be settled.
#[derive(Clone, Debug)]
pub struct Job {
    /// The transaction.
    pub id: TransactionId,
    /// Its canonical bytes, to send them (again); without them it is only looked for.
    pub bytes: Option<Arc<[u8]>>,
    /// Until when it may be executed, Unix milliseconds of block time, where that is known.
    pub valid_until: Option<u64>,
    /// Nobody has been sent these bytes before.
    pub first_time: bool,
}

/// Brings `job` to an outcome: a verified receipt (applied or failed), or certified expiry, as `status` says.
///
/// # Errors
/// Exit code 3 to 9, see [`Exit`](crate::exit::Exit) and the module; 5 when `deadline` passes without an outcome.
pub fn settle(
    nodes: &[Node],
    genesis: &Arc<Genesis>,
    job: &Job,
    deadline: Instant,
    progress: &mut Progress,
) -> Result<TransactionResponse, Failure> {
    if nodes.is_empty() {
        return Err(Failure::usage("no node is known", "give --testnet DIR, or --node URL"));
    }
    let (sender, receiver) = channel();
    let mut book = Book::new(nodes, genesis, job);
    for round in 0.. {
        let window = PATIENCE.min(deadline.saturating_duration_since(Instant::now()));
        if window.is_zero() {
            break;
        }
        let mut asked = targets(round, nodes.len(), genesis.validators.f());
        asked.retain(|&index| book.may_be_asked(index));
        for &index in &asked {
            book.ask(index, window, &sender);
        }
        if let Some(outcome) = collect(&mut book, &asked, &receiver, Instant::now() + window, progress) {
            return outcome;
        }
        if round >= ROUND_OF_ALL {
            if let Some(failure) = book.hopeless() {
                return Err(failure);
            }
            thread::sleep(book.pause().min(deadline.saturating_duration_since(Instant::now())));
        }
    }
    Err(book.at_deadline())
}

/// The nodes to ask in a round: the first, the second, f+1, then all.
fn targets(round: usize, count: usize, f: usize) -> Vec<usize> {
    match round {
        0 => vec![0],
        1 => vec![1 % count],
        2 => (0..=f).map(|offset| (offset + 2) % count).collect(),
        _ => (0..count).collect(),
    }
}

/// Takes answers until one settles the matter, every node asked in this round has answered, or the round ends.
fn collect(
    book: &mut Book<'_>,
    asked: &[usize],
    receiver: &Receiver<(usize, Answer)>,
    round_end: Instant,
    progress: &mut Progress,
) -> Option<Result<TransactionResponse, Failure>> {
    while asked.iter().any(|&index| book.owes(index)) {
        let left = round_end.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(TICK)) {
            Ok((_, Answer::Proved(response))) => return Some(Ok(*response)),
            Ok((index, Answer::Word(word))) => {
                book.note(index, word);
                if let Some(outcome) = book.verdict() {
                    return Some(outcome);
                }
            }
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return None,
            Err(RecvTimeoutError::Timeout) => progress.tick("waiting for a certified outcome"),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_then_another_then_a_weak_quorum_then_all() {
        assert_eq!(targets(0, 4, 1), [0]);
        assert_eq!(targets(1, 4, 1), [1]);
        assert_eq!(targets(2, 4, 1), [2, 3]);
        assert_eq!(targets(3, 4, 1), [0, 1, 2, 3]);
        assert_eq!(targets(9, 4, 1), [0, 1, 2, 3]);
        assert_eq!(targets(2, 1, 0), [0]);
    }
}
