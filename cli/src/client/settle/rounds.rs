//! Who is asked when: one node, after a short time-out another one, then f+1, then all, until the matter is settled.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use quorate_protocol::api::http::TransactionResponse;
use quorate_protocol::document::genesis::Genesis;

use super::ask::Answer;
use super::book::Book;
use super::job::Job;
use crate::client::http::Node;
use crate::exit::Failure;
use crate::output::progress::Progress;

/// How long a node is waited for before others are asked, too.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the progress line moves.
const TICK: Duration = Duration::from_millis(100);
/// The round in which all nodes are asked for the first time.
const ROUND_OF_ALL: usize = 3;

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
