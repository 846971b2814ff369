//! A look around before something is sent: what time the chain has, whether a quorum is there at all, and whether the
//! chain knows the sender.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use quorate_crypto::key::PublicKey;
use quorate_protocol::api::code::KnownOutcome;
use quorate_protocol::id::{Height, NodeIndex};

use super::access;
use super::http::{CallError, Node};
use crate::exit::{Exit, Failure};

/// How long the nodes have for their answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How much longer the first node has when enough others have answered.
const FIRST_WITHIN: Duration = Duration::from_millis(200);
/// How long a chain that stands still is given to come back, as after a restart.
const STILL_FOR: Duration = Duration::from_secs(3);
/// How long nodes have to say whether they know a sender. Who says nothing leaves it to the nodes that get the bytes.
const MEMBERS_WITHIN: Duration = Duration::from_secs(2);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What was seen.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The time of the chain's head, Unix milliseconds, as a node at the median of those that answered has it.
    pub head_time: u64,
    /// The nodes in the order in which to send to them: as they were given, but one that does not answer is not the first.
    pub nodes: Vec<Node>,
}

struct View {
    index: usize,
    head_time: u64,
    standing_still: Option<String>,
}

/// Asks all nodes how the chain is.
///
/// # Errors
/// Exit code 6 when no node answers, or every node that does says that the chain stands still. Nothing was sent.
pub fn look_around(nodes: &[Node], weak_quorum: usize, deadline: Instant) -> Result<Survey, Failure> {
    let give_up = deadline.min(Instant::now() + STILL_FOR);
    loop {
        let failure = match ask(nodes, weak_quorum) {
            Ok(views) => match views.iter().map(|view| view.standing_still.as_ref()).collect::<Option<Vec<_>>>() {
                Some(reasons) => not_sent(format!("the chain stands still: {}", reasons[0])),
                None => return Ok(survey(nodes, &views)),
            },
            Err((node, CallError::Denied(detail))) => {
                return Err(access::denied(&node, &detail).with_outcome(KnownOutcome::NotApplied));
            }
            Err((node, reason)) => not_sent(format!("no node can be reached: {node} {reason}")),
        };
        if Instant::now() + PAUSE >= give_up {
            return Err(failure);
        }
        thread::sleep(PAUSE);
    }
}

fn survey(nodes: &[Node], views: &[View]) -> Survey {
    let first_answered = views.iter().any(|view| view.index == 0);
    let (front, back): (Vec<_>, Vec<_>) = nodes
        .iter()
        .enumerate()
        .partition(|(index, _)| first_answered || views.iter().any(|view| view.index == *index));
    let nodes = front.into_iter().chain(back).map(|(_, node)| node.clone()).collect();
    Survey { head_time: median(views.iter().map(|view| view.head_time).collect()), nodes }
}

fn not_sent(reason: String) -> Failure {
    Failure::new(
        Exit::NotSent,
        "no_quorum_reachable",
        format!("nothing was sent: {reason}"),
        "check that enough nodes run (`quorate status`), then send it again",
    )
    .with_outcome(KnownOutcome::NotApplied)
}

/// Those of `senders` that are no members of the chain, by the word of `weak_quorum` validators, of which one is correct.
/// What they sign would be refused by every correct node now, and executed later if somebody kept it and they became
/// members: so it must not leave. A node below the height `at_least` does not count.
pub fn strangers(
    nodes: &[Node],
    weak_quorum: usize,
    senders: &BTreeSet<PublicKey>,
    at_least: Height,
) -> BTreeSet<PublicKey> {
    let (sender, receiver) = channel();
    for node in nodes {
        let (node, senders, sender) = (node.clone(), senders.clone(), sender.clone());
        thread::spawn(move || drop(sender.send(known_to(&node, &senders, at_least))));
    }
    drop(sender);
    let end = Instant::now() + MEMBERS_WITHIN;
    let (mut silent, mut knowing) = (nodes.len(), 0);
    let mut denied: BTreeMap<PublicKey, BTreeSet<NodeIndex>> = BTreeMap::new();
    while let Ok(answer) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        silent -= 1;
        match answer {
            Known::All => knowing += 1,
            Known::AllBut(validator, unknown) => {
                for key in unknown {
                    denied.entry(key).or_default().insert(validator);
                }
            }
            Known::Unsaid => {}
        }
        let most = denied.values().map(BTreeSet::len).max().unwrap_or_default();
        // Where enough know them nobody waits for those that hang: a liar gains no more by it than that the bytes leave.
        if most + silent < weak_quorum || knowing >= weak_quorum {
            break;
        }
    }
    denied.retain(|_, validators| validators.len() >= weak_quorum);
    denied.into_keys().collect()
}

/// Which keys a node knows as members.
enum Known {
    All,
    /// It is this validator, and does not know these.
    AllBut(NodeIndex, BTreeSet<PublicKey>),
    /// It says nothing, or nothing that counts.
    Unsaid,
}

/// Which of these keys a node knows as members.
fn known_to(node: &Node, senders: &BTreeSet<PublicKey>, at_least: Height) -> Known {
    let mut unknown = BTreeSet::new();
    for key in senders {
        match node.account(&key.to_string()) {
            Ok(told) if told.account == *key && told.member => {}
            Ok(told) if told.account == *key && told.height >= at_least => {
                unknown.insert(*key);
            }
            Ok(_) | Err(_) => return Known::Unsaid,
        }
    }
    if unknown.is_empty() {
        return Known::All;
    }
    let index = node.status().ok().and_then(|status| status.index);
    index.map_or(Known::Unsaid, |index| Known::AllBut(index, unknown))
}

/// Asks all nodes at once. Enough is the word of a weak quorum, one of them that does not stand still; the first node is
/// waited for a little longer.
fn ask(nodes: &[Node], weak_quorum: usize) -> Result<Vec<View>, (String, CallError)> {
    let (sender, receiver) = channel();
    for (index, node) in nodes.iter().enumerate() {
        let (node, sender) = (node.clone(), sender.clone());
        thread::spawn(move || drop(sender.send(view(index, &node).map_err(|error| (node.name().to_owned(), error)))));
    }
    drop(sender);
    let mut end = Instant::now() + ANSWERS_WITHIN;
    let none = CallError::Lost(format!("within {} s", ANSWERS_WITHIN.as_secs()));
    let first = nodes.first().map_or_else(String::new, |node| node.name().to_owned());
    let (mut views, mut reason) = (Vec::<View>::new(), (first, none));
    while let Ok(answer) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match answer {
            Ok(view) => views.push(view),
            Err(error) => reason = error,
        }
        if views.len() >= weak_quorum && views.iter().any(|view| view.standing_still.is_none()) {
            if views.iter().any(|view| view.index == 0) {
                break;
            }
            end = end.min(Instant::now() + FIRST_WITHIN);
        }
    }
    if views.is_empty() { Err(reason) } else { Ok(views) }
}

fn view(index: usize, node: &Node) -> Result<View, CallError> {
    let status = node.status()?;
    let consensus = node.consensus()?;
    Ok(View { index, head_time: status.time, standing_still: consensus.standing_still })
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
    fn a_first_node_that_does_not_answer_comes_after_those_that_do() {
        let nodes: Vec<Node> =
            ["v0", "v1", "v2"].iter().map(|name| Node::new(name, "http://127.0.0.1:1").unwrap()).collect();
        let order = |answered: &[usize]| {
            let view = |&index: &usize| View { index, head_time: 7, standing_still: None };
            let views: Vec<View> = answered.iter().map(view).collect();
            let order: Vec<String> = survey(&nodes, &views).nodes.iter().map(|node| node.name().to_owned()).collect();
            order.join(" ")
        };
        assert_eq!(order(&[2, 1]), "v1 v2 v0");
        assert_eq!(order(&[2]), "v2 v0 v1");
        assert_eq!(order(&[2, 0]), "v0 v1 v2");
    }

    #[test]
    fn one_false_clock_does_not_move_the_median_of_three() {
        assert_eq!(median(vec![5, u64::MAX, 6]), 6);
        assert_eq!(median(vec![0, 5, 6]), 5);
        assert_eq!(median(vec![7]), 7);
    }
}
