//! A look around before something is sent: what time the chain has, and whether a quorum is there at all.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::http::{CallError, Node};
use crate::exit::{Exit, Failure};

/// How long the nodes have for their answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How long a chain that stands still is given to come back, as after a restart.
const STILL_FOR: Duration = Duration::from_secs(3);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

struct View {
    head_time: u64,
    standing_still: Option<String>,
}

/// The time of the chain's head, Unix milliseconds, as seen by a node at the median of those that answered.
///
/// # Errors
/// Exit code 6 when no node answers, or every node that does says that the chain stands still. Nothing was sent.
pub fn head_time(nodes: &[Node], weak_quorum: usize, deadline: Instant) -> Result<u64, Failure> {
    let give_up = deadline.min(Instant::now() + STILL_FOR);
    loop {
        let failure = match look(nodes, weak_quorum) {
            Ok(views) => match views.iter().map(|view| view.standing_still.as_ref()).collect::<Option<Vec<_>>>() {
                Some(reasons) => not_sent(format!("the chain stands still: {}", reasons[0])),
                None => return Ok(median(views.into_iter().map(|view| view.head_time).collect())),
            },
            Err(reason) => not_sent(format!("no node can be reached: {reason}")),
        };
        if Instant::now() + PAUSE >= give_up {
            return Err(failure);
        }
        thread::sleep(PAUSE);
    }
}

fn not_sent(reason: String) -> Failure {
    Failure::new(
        Exit::NotSent,
        "no_quorum_reachable",
        format!("nothing was sent: {reason}"),
        "check that enough nodes run (`quorate status`), then send it again",
    )
}

/// Asks all nodes at once. Enough is the word of a weak quorum with one that does not stand still.
fn look(nodes: &[Node], weak_quorum: usize) -> Result<Vec<View>, String> {
    let (sender, receiver) = channel();
    for node in nodes {
        let (node, sender) = (node.clone(), sender.clone());
        thread::spawn(move || drop(sender.send(view(&node).map_err(|error| format!("{} {error}", node.name())))));
    }
    drop(sender);
    let end = Instant::now() + ANSWERS_WITHIN;
    let (mut views, mut reason) = (Vec::new(), "none is known".to_owned());
    while let Ok(answer) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match answer {
            Ok(view) => views.push(view),
            Err(error) => reason = error,
        }
        if views.len() >= weak_quorum && views.iter().any(|view| view.standing_still.is_none()) {
            break;
        }
    }
    if views.is_empty() { Err(reason) } else { Ok(views) }
}

fn view(node: &Node) -> Result<View, CallError> {
    let status = node.status()?;
    let consensus = node.consensus()?;
    Ok(View { head_time: status.time, standing_still: consensus.standing_still })
}

/// The upper median: with at most f liars among 2f + 1 answers it lies between the words of correct nodes.
fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_false_clock_does_not_move_the_median_of_three() {
        assert_eq!(median(vec![5, u64::MAX, 6]), 6);
        assert_eq!(median(vec![0, 5, 6]), 5);
        assert_eq!(median(vec![7]), 7);
    }
}
