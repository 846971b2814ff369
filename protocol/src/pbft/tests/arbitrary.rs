//! NC and BM: whatever three lying peers say and however the world answers, in any order and over restarts, nothing panics,
//! no invariant breaks, and nothing grows beyond its bound.

use std::time::Duration;

use proptest::prelude::*;
use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    super::{
        message::{
            Ballot, CertifiedCheckpoint, Content, NewView, PrePrepare, Prepare, PreparedCertificate, Status,
            ViewChange, view_change_name,
        },
        *,
    },
    harness::*,
    normal::{any_message, synced},
};
use crate::{
    document::{Certificate, Checkpoint},
    id::{Epoch, Height, NodeIndex, Sequence, View},
};

/// The replica under test; the other three lie.
const ME: usize = 1;
const LIARS: [usize; 3] = [0, 2, 3];

#[derive(Clone, Debug)]
enum Step {
    Hear(Box<Message>),
    Checked(u64, u8, bool),
    Content(u64, u8),
    Demand(bool, bool),
    Synced(u64, bool),
    Propose(u8),
    PeerUp(u8),
    Ticket(u64),
    Pass(u64),
    Settle,
    Restart,
}

fn digest_of(number: u8) -> Digest {
    if number == 0 { Content::Null.digest() } else { batch(number).digest() }
}

/// Sequences, heights and views: small ones that matter, and those at which arithmetic ends.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..14u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)]
}

fn certified(height: u64, hash: u8) -> CertifiedCheckpoint {
    let checkpoint =
        Checkpoint { epoch: Epoch(0), height: Height(height), header_hash: Digest::from_bytes([hash; 32]) };
    let signatures: Vec<_> = LIARS.iter().map(|i| (NodeIndex(*i as u8), sign(*i, checkpoint).signature)).collect();
    CertifiedCheckpoint { checkpoint, certificate: Certificate { signatures: signatures.try_into().unwrap() } }
}

fn prepared(view: u64, sequence: u64, number: u8) -> PreparedCertificate {
    let at = Ballot { epoch: Epoch(0), view: View(view), sequence: Sequence(sequence), digest: digest_of(number) };
    let primary = (view % 4) as usize;
    let backups: Vec<_> = LIARS.iter().filter(|i| **i != primary).take(2).map(|i| sign(*i, Prepare(at))).collect();
    PreparedCertificate { pre_prepare: sign(primary, PrePrepare(at)), prepares: backups.try_into().unwrap() }
}

fn any_view_change() -> impl Strategy<Value = Signed<ViewChange>> {
    let entries = proptest::collection::btree_map(1..14u64, (number(), 0..3u8), 0..4);
    (0..3usize, number(), proptest::option::of(1..4u64), entries).prop_map(|(liar, view, low, entries)| {
        // A PREPARE of the replica's own would be a twin's; views of which it is the primary have its PRE-PREPARE.
        let entries = entries.into_iter().filter(|(_, (of, _))| of % 4 != ME as u64);
        let prepared: Vec<_> = entries.map(|(sequence, (of, number))| prepared(of, sequence, number)).collect();
        let low = low.map(|low| certified(low * K, 7));
        let body = ViewChange { epoch: Epoch(0), view: View(view), low, prepared: prepared.try_into().unwrap() };
        sign(LIARS[liar], body)
    })
}

fn any_new_view() -> impl Strategy<Value = Vec<Message>> {
    let named = proptest::collection::vec(any_view_change(), 3);
    (named, number(), number(), proptest::collection::vec(0..3u8, 0..4), any::<bool>()).prop_map(
        |(named, view, first, digests, are_sent)| {
            // Mostly all of one view, or nothing would ever be opened.
            let named: Vec<Signed<ViewChange>> = named
                .into_iter()
                .zip(LIARS)
                .map(|(signed, liar)| sign(liar, ViewChange { view: View(view), ..signed.body }))
                .collect();
            let mut names: Vec<Digest> = named.iter().map(view_change_name).collect();
            names.sort_unstable();
            let primary = (view % 4) as usize;
            let ballot = |(place, number): (usize, &u8)| Ballot {
                epoch: Epoch(0),
                view: View(view),
                sequence: Sequence(first.saturating_add(place as u64)),
                digest: digest_of(*number),
            };
            let proposals: Vec<_> =
                digests.iter().enumerate().map(ballot).map(|at| sign(primary, PrePrepare(at))).collect();
            let body = NewView {
                epoch: Epoch(0),
                view: View(view),
                view_changes: names.try_into().unwrap(),
                pre_prepares: proposals.try_into().unwrap(),
            };
            let opened = Message::NewView(sign(primary, body));
            let mut messages = if are_sent { named.into_iter().map(Message::ViewChange).collect() } else { Vec::new() };
            messages.push(opened);
            messages
        },
    )
}

fn any_status() -> impl Strategy<Value = Message> {
    (0..3usize, number(), any::<bool>(), number(), any::<u32>()).prop_map(|(liar, view, active, height, bits)| {
        Message::Status(sign(
            LIARS[liar],
            Status {
                epoch: Epoch(0),
                view: View(view),
                active,
                low: Height(0),
                executed: Height(height),
                slots: Default::default(),
                uncertified: Default::default(),
                view_changes: bits,
            },
        ))
    })
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let hear = |message| vec![Step::Hear(Box::new(message))];
    prop_oneof![
        6 => any_message().prop_map(hear),
        4 => any_view_change().prop_map(move |signed| hear(Message::ViewChange(signed))),
        3 => any_new_view().prop_map(move |messages| messages.into_iter().flat_map(hear).collect()),
        2 => any_status().prop_map(hear),
        1 => (number(), 0..3u8, any::<bool>()).prop_map(|(n, d, held)| vec![Step::Checked(n, d, held)]),
        2 => (number(), 0..3u8).prop_map(|(n, d)| vec![Step::Content(n, d)]),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(pending, unfair)| vec![Step::Demand(pending, unfair)]),
        1 => (1..12u64, any::<bool>()).prop_map(|(height, certified)| vec![Step::Synced(height, certified)]),
        1 => (1..3u8).prop_map(|number| vec![Step::Propose(number)]),
        1 => (0..4u8).prop_map(|peer| vec![Step::PeerUp(peer)]),
        1 => number().prop_map(|ticket| vec![Step::Ticket(ticket)]),
        4 => (1..20_000u64).prop_map(|millis| vec![Step::Pass(millis)]),
        6 => Just(vec![Step::Settle]),
        1 => Just(vec![Step::Settle, Step::Restart]),
    ]
}

fn take(node: &mut Node, step: Step) {
    match step {
        Step::Hear(message) => {
            // What does not verify never gets here, and what its own key signed would be a twin's.
            if let Some(message) = verify(4, *message) {
                node.input(Input::Message(Box::new(message)));
            }
        }
        Step::Checked(n, number, held) => {
            let verdict = if held { Verdict::Held } else { Verdict::Refused("no".to_owned()) };
            node.input(Input::Checked { sequence: Sequence(n), digest: digest_of(number), verdict });
        }
        Step::Content(n, number) => {
            let content = if number == 0 { Content::Null } else { Content::Batch(batch(number)) };
            node.input(Input::Content { sequence: Sequence(n), content });
        }
        Step::Demand(pending, unfair) => {
            node.input(Input::Demand { pending, unfair: unfair.then(|| "unfair".to_owned()) });
        }
        Step::Synced(height, certified) => node.input(Input::Synced(synced(height, certified))),
        Step::Propose(number) => node.input(Input::Propose(batch(number))),
        Step::PeerUp(peer) => node.input(Input::PeerUp(NodeIndex(peer))),
        // Answers to what nobody asked; those in use are answered by settling.
        Step::Ticket(ticket) => node.input(Input::Durable(Ticket(ticket.saturating_add(1 << 40)))),
        Step::Pass(millis) => node.pass(Duration::from_millis(millis)),
        Step::Settle => drop(node.settle()),
        Step::Restart => {
            let blocks = node.blocks.clone();
            node.restart(ME, blocks);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_that_peers_say_panics_or_grows_without_bound(
        steps in proptest::collection::vec(any_steps(), 1..50),
    ) {
        let mut node = Node::new(4, ME);
        for step in steps.into_iter().flatten() {
            take(&mut node, step);
        }
        node.settle();
        node.engine.check_invariants().unwrap();
    }
}
