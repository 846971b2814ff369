//! Each rule of the view change with the attack that it stops (PROTOCOL section 5).

use std::time::Duration;

use quorate_crypto::{encode::encode, hash::Digest, signed::Signed};

use super::{
    super::{
        message::{
            Ballot, CertifiedCheckpoint, Commit, Content, NewView, PrePrepare, Prepare, PreparedCertificate, Proposal,
            Status, ViewChange, view_change_name,
        },
        safety::Refusal,
        *,
    },
    harness::*,
};
use crate::{
    document::{Batch, Certificate, Checkpoint},
    id::{Epoch, Height, NodeIndex, Sequence, View},
};

pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn ballot_in(view: u64, sequence: u64, digest: Digest) -> Ballot {
    Ballot { view: View(view), ..ballot(sequence, digest) }
}

pub(super) fn pending() -> Input {
    Input::Demand { pending: true, unfair: None }
}

/// A prepared certificate of n = 4 replicas without `me`: the view's primary proposed, two other backups prepared.
pub(super) fn prepared(me: usize, view: u64, sequence: u64, digest: Digest) -> PreparedCertificate {
    let at = ballot_in(view, sequence, digest);
    let primary = (view % 4) as usize;
    let backups: Vec<_> = (0..4).filter(|i| *i != primary && *i != me).take(2).map(|i| sign(i, Prepare(at))).collect();
    PreparedCertificate { pre_prepare: sign(primary, PrePrepare(at)), prepares: backups.try_into().unwrap() }
}

pub(super) fn view_change(signer: usize, view: u64, prepared: Vec<PreparedCertificate>) -> Signed<ViewChange> {
    view_change_from(signer, view, None, prepared)
}

pub(super) fn view_change_from(
    signer: usize,
    view: u64,
    low: Option<CertifiedCheckpoint>,
    prepared: Vec<PreparedCertificate>,
) -> Signed<ViewChange> {
    sign(signer, ViewChange { epoch: Epoch(0), view: View(view), low, prepared: prepared.try_into().unwrap() })
}

/// What a primary would send: `digests` from sequence `first` on.
pub(super) fn new_view(
    signer: usize,
    view: u64,
    named: &[Signed<ViewChange>],
    first: u64,
    digests: &[Digest],
) -> Message {
    let mut names: Vec<Digest> = named.iter().map(view_change_name).collect();
    names.sort_unstable();
    let proposals: Vec<_> =
        (first..).zip(digests).map(|(n, digest)| sign(signer, PrePrepare(ballot_in(view, n, *digest)))).collect();
    Message::NewView(sign(
        signer,
        NewView {
            epoch: Epoch(0),
            view: View(view),
            view_changes: names.try_into().unwrap(),
            pre_prepares: proposals.try_into().unwrap(),
        },
    ))
}

pub(super) fn certified(height: u64) -> CertifiedCheckpoint {
    let content = Content::Batch(batch(u8::try_from(height).unwrap()));
    let checkpoint =
        Checkpoint { epoch: Epoch(0), height: Height(height), header_hash: header_hash(Height(height), &content) };
    let signatures: Vec<_> = (0..3).map(|i| (NodeIndex(i as u8), sign(i, checkpoint).signature)).collect();
    CertifiedCheckpoint { checkpoint, certificate: Certificate { signatures: signatures.try_into().unwrap() } }
}

pub(super) fn null() -> Digest {
    Content::Null.digest()
}

pub(super) fn view_of(node: &Node) -> (u64, bool) {
    let status = node.engine.status();
    (status.view.0, status.active)
}

pub(super) fn view_changes_in(sent: &[(Option<NodeIndex>, Message)]) -> Vec<Signed<ViewChange>> {
    let of = |message: &Message| match message {
        Message::ViewChange(signed) => Some(signed.clone()),
        _ => None,
    };
    sent.iter().filter_map(|(_, message)| of(message)).collect()
}

/// Digests that a node votes for with PREPARE, by sequence.
pub(super) fn prepares_in(sent: &[(Option<NodeIndex>, Message)], own: usize) -> Vec<(u64, Digest)> {
    let own = key(own).public_key();
    let of = |message: &Message| match message {
        Message::Prepare(vote) if vote.signer == own => Some((vote.body.0.sequence.0, vote.body.0.digest)),
        _ => None,
    };
    sent.iter().filter_map(|(_, message)| of(message)).collect()
}

/// A backup that has just entered view 1 by this NEW-VIEW of replica 1.
pub(super) fn hear_view_one(node: &mut Node, named: &[Signed<ViewChange>], first: u64, digests: &[Digest]) {
    for signed in named {
        node.hear(Message::ViewChange(signed.clone()));
    }
    node.hear(new_view(1, 1, named, first, digests));
}

#[test]
fn a_dead_primary_is_replaced_and_what_it_had_in_flight_commits() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[0].input(Input::Propose(batch(1)));
    // Everybody prepares; no COMMIT arrives anywhere before the primary dies.
    cluster.run(|_, _, message| !matches!(message, Message::Commit(_)));
    for node in &mut cluster.nodes[1..] {
        node.input(pending());
    }
    cluster.pass(TIMEOUT);
    cluster.run(|from, to, _| from != 0 && to != 0);
    for node in &cluster.nodes[1..] {
        assert_eq!((view_of(node), node.executed()), ((1, true), 1));
        assert_eq!(node.blocks[0].digest, batch(1).digest(), "what was prepared is what commits");
    }
}

#[test]
fn an_idle_replica_never_leaves_its_view() {
    let mut node = Node::new(4, 1);
    for _ in 0..100 {
        node.pass(TIMEOUT);
        assert_eq!(view_changes_in(&node.settle()), Vec::new());
    }
    assert_eq!(view_of(&node), (0, true));
}

/// Found with real processes: of four that start together one may be ready a view timeout before the others.
#[test]
fn a_replica_that_has_not_heard_a_quorum_since_its_start_leaves_no_view() {
    let durable = Durable { records: Some(Vec::new()), ..Durable::default() };
    let engine = Engine::recover(config(4, 1), key(1), durable, crate::time::Instant::ORIGIN);
    let mut node = Node { engine, ..Node::new(4, 1) };
    node.input(pending());
    node.hear(Message::Status(sign(0, status(0, true))));
    node.pass(TIMEOUT * 3);
    assert_eq!(view_of(&node), (0, true));
    node.hear(Message::Status(sign(2, status(0, true))));
    node.pass(TIMEOUT);
    assert_eq!(view_of(&node), (1, false));
}

/// 5.6 (a): null and empty blocks are no progress, so an idle primary does not stay by proposing them.
#[test]
fn empty_blocks_do_not_keep_a_primary_in_office() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[1].input(pending());
    for number in 0..12 {
        let empty = Batch { time: number, ids: Default::default() };
        cluster.nodes[0].input(Input::Propose(empty));
        cluster.run(|_, _, _| true);
        cluster.pass(TIMEOUT / 10);
    }
    assert!(cluster.nodes[1].executed() >= 9, "blocks did come");
    assert_eq!(view_of(&cluster.nodes[1]).0, 1);
}

#[test]
fn progress_gives_the_primary_its_time_anew() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[1].input(pending());
    for number in 1..8 {
        cluster.nodes[0].input(Input::Propose(batch(number)));
        cluster.run(|_, _, _| true);
        cluster.pass(TIMEOUT * 9 / 10);
    }
    assert_eq!(view_of(&cluster.nodes[1]), (0, true));
}

#[test]
fn an_unfair_primary_is_left_at_once_but_not_by_a_replica_that_is_far_behind() {
    let unfair = || Input::Demand { pending: true, unfair: Some("a claim was left out".to_owned()) };
    let mut node = Node::new(4, 1);
    node.input(unfair());
    assert_eq!(view_changes_in(&node.settle()).len(), 1);
    let mut behind = Node::new(4, 1);
    for signer in [2, 3] {
        behind.hear(Message::Status(sign(signer, Status { executed: Height(K + 1), ..status(0, true) })));
    }
    behind.input(unfair());
    behind.pass(TIMEOUT);
    assert_eq!(view_changes_in(&behind.settle()), Vec::new());
}

fn status(view: u64, active: bool) -> Status {
    Status {
        epoch: Epoch(0),
        view: View(view),
        active,
        low: Height(0),
        executed: Height(0),
        slots: Default::default(),
        uncertified: Default::default(),
        view_changes: 0,
    }
}

/// 5.7: with f = 1, one VIEW-CHANGE moves nobody and two move everybody, to a view that two have reached.
#[test]
fn f_replicas_move_nobody_and_one_more_moves_everybody() {
    let mut node = Node::new(4, 1);
    node.hear(Message::ViewChange(view_change(2, u64::MAX, Vec::new())));
    assert_eq!(view_of(&node), (0, true));
    node.hear(Message::ViewChange(view_change(3, 5, Vec::new())));
    assert_eq!(view_of(&node), (5, false));
    let sent = view_changes_in(&node.settle());
    assert_eq!(sent.iter().map(|signed| signed.body.view.0).collect::<Vec<_>>(), [5]);
}

/// 5.7: without a quorum that left, nobody goes further, however long it takes.
#[test]
fn the_timer_for_a_new_view_starts_at_a_quorum() {
    let mut node = Node::new(4, 2);
    node.input(pending());
    node.pass(TIMEOUT);
    node.settle();
    node.pass(TIMEOUT * 100);
    assert_eq!(view_of(&node), (1, false));
    node.hear(Message::ViewChange(view_change(0, 1, Vec::new())));
    node.hear(Message::ViewChange(view_change(3, 1, Vec::new())));
    node.pass(TIMEOUT * 2);
    assert_eq!(view_of(&node), (2, false), "its primary had its time and did not open the view");
}

#[test]
fn timers_double_with_each_failed_view_up_to_the_maximum_and_fall_back_on_progress() {
    let mut node = Node::new(4, 3);
    node.input(pending());
    let mut timeouts = Vec::new();
    for view in 1..6 {
        timeouts.push(node.engine.view_timeout().as_secs());
        node.pass(node.engine.view_timeout());
        node.settle();
        assert_eq!(view_of(&node), (view, false));
        for other in [0, 1, 2] {
            node.hear(Message::ViewChange(view_change(other, view, Vec::new())));
        }
    }
    assert_eq!(timeouts, [10, 20, 40, 80, 80]);
    let named = [0, 1, 2].map(|signer| view_change(signer, 5, Vec::new()));
    node.hear(new_view(1, 5, &named, 1, &[]));
    assert_eq!((view_of(&node), node.engine.view_timeout().as_secs()), ((5, true), 80), "a view alone is no progress");
    node.input(Input::Synced(super::normal::synced(1, false)));
    node.settle();
    assert_eq!(node.engine.view_timeout().as_secs(), 10);
}

/// 5.2: from the VIEW-CHANGE on, nothing is signed for lower views.
#[test]
fn nothing_is_voted_for_in_a_view_that_was_left() {
    let mut node = Node::new(4, 1);
    let first = batch(1);
    node.hear(proposal(0, 1, first.clone()));
    node.settle();
    node.input(pending());
    node.pass(TIMEOUT);
    node.settle();
    for other in [2, 3] {
        node.hear(prepare(other, 1, &first));
    }
    node.hear(proposal(0, 2, batch(2)));
    let sent = node.settle();
    let voted = sent.iter().any(|(_, message)| matches!(message, Message::Commit(_) | Message::Prepare(_)));
    assert!(!voted, "a vote for view 0 after the VIEW-CHANGE to view 1: {sent:?}");
}

/// 5.1: P names what was prepared, null included, and in the highest view.
#[test]
fn a_view_change_names_what_was_ever_prepared_in_the_highest_view_and_over_restarts() {
    let mut node = Node::new(4, 3);
    let first = batch(1);
    node.hear(proposal(0, 1, first.clone()));
    node.settle();
    node.hear(prepare(1, 1, &first));
    node.hear(prepare(2, 1, &first));
    node.settle();
    let named = [0, 1, 2].map(|signer| view_change(signer, 1, Vec::new()));
    hear_view_one(&mut node, &named, 1, &[]);
    node.settle();
    node.restart(3, Vec::new());
    assert_eq!(view_of(&node), (1, true), "a restart returns to the view that was entered");
    node.input(pending());
    node.pass(TIMEOUT * 4);
    let sent = view_changes_in(&node.settle());
    assert_eq!(sent.len(), 1);
    let p: Vec<_> = sent[0].body.prepared.iter().map(|p| p.pre_prepare.body.0).collect();
    assert_eq!(p, [ballot_in(0, 1, first.digest())], "prepared in view 0, though view 1 said nothing of it");
}

/// 3.4, 5.1, 5.2: at most one VIEW-CHANGE in a view, and a restart sends the same bytes.
#[test]
fn a_restart_inside_a_view_change_returns_to_it_with_the_same_bytes() {
    let mut node = Node::new(4, 1);
    node.input(pending());
    node.pass(TIMEOUT);
    let first = view_changes_in(&node.settle());
    node.restart(1, Vec::new());
    assert_eq!(view_of(&node), (1, false));
    node.input(pending());
    node.pass(TIMEOUT);
    node.hear(Message::Status(sign(2, status(0, true))));
    let again = view_changes_in(&node.settle());
    assert!(again.iter().all(|signed| encode(signed) == encode(&first[0])) && !again.is_empty());
}

/// 3.4: neither the VIEW-CHANGE nor the NEW-VIEW leaves before it is durable.
#[test]
fn view_changes_and_new_views_leave_only_with_their_records() {
    let mut node = Node::new(4, 1);
    node.input(pending());
    node.pass(TIMEOUT);
    let records = |node: &Node| -> Vec<(&'static str, usize)> {
        let of = |output: &Output| match output {
            Output::Persist { record: Record::ViewChange(_), release, .. } => Some(("view change", release.len())),
            Output::Persist { record: Record::NewView { .. }, release, .. } => Some(("new view", release.len())),
            Output::Broadcast(Message::ViewChange(_) | Message::NewView(_)) => Some(("too early", 1)),
            Output::Send { message: Message::ViewChange(signed), .. } if signed.signer == key(1).public_key() => {
                Some(("too early", 1))
            }
            Output::Send { message: Message::NewView(_), .. } => Some(("too early", 1)),
            _ => None,
        };
        node.out.iter().filter_map(of).collect()
    };
    for other in [2, 3] {
        node.hear(Message::ViewChange(view_change(other, 1, Vec::new())));
        node.hear(Message::Status(sign(other, status(0, true))));
    }
    assert_eq!(records(&node), [("view change", 1)], "its own VIEW-CHANGE is not durable, and does not count yet");
    let sent = node.settle();
    assert_eq!(sent.iter().filter(|(_, message)| matches!(message, Message::NewView(_))).count(), 1);
}

/// 3.4: nor in an answer to STATUS; a crash now would make it forget what others had heard.
#[test]
fn an_own_new_view_is_shown_to_nobody_before_it_is_durable() {
    let mut node = Node::new(4, 1);
    for other in [2, 3] {
        node.hear(Message::ViewChange(view_change(other, 1, Vec::new())));
    }
    let own = node.out.iter().find_map(|output| match output {
        Output::Persist { record: Record::ViewChange(_), ticket, .. } => Some(*ticket),
        _ => None,
    });
    node.input(Input::Durable(own.expect("it joins")));
    assert_eq!(view_of(&node), (1, true));
    node.now = node.now + Duration::from_secs(1);
    node.hear(Message::Status(sign(0, status(0, true))));
    let shown = node.out.iter().any(|output| matches!(output, Output::Send { message: Message::NewView(_), .. }));
    assert!(!shown, "its NEW-VIEW left before its record was durable");
}

/// 5.4: every gap is filled with null, and what was prepared in the highest view wins.
#[test]
fn the_new_primary_proposes_the_digest_of_the_highest_view_and_null_in_gaps() {
    let mut node = Node::new(4, 3);
    node.hear(Message::ViewChange(view_change(
        0,
        3,
        vec![prepared(3, 0, 1, batch(1).digest()), prepared(3, 0, 3, batch(3).digest())],
    )));
    node.hear(Message::ViewChange(view_change(1, 3, vec![prepared(3, 1, 1, null())])));
    node.input(Input::Content { sequence: Sequence(1), content: Content::Batch(batch(1)) });
    node.settle();
    node.input(Input::Content { sequence: Sequence(1), content: Content::Batch(batch(1)) });
    node.input(Input::Content { sequence: Sequence(3), content: Content::Batch(batch(3)) });
    let sent = node.settle();
    let new_view = sent.iter().find_map(|(_, message)| match message {
        Message::NewView(signed) => Some(signed.body.clone()),
        _ => None,
    });
    let proposed: Vec<_> = new_view
        .expect("it opens its view")
        .pre_prepares
        .iter()
        .map(|p| (p.body.0.sequence.0, p.body.0.digest))
        .collect();
    assert_eq!(proposed, [(1, null()), (2, null()), (3, batch(3).digest())]);
    assert_eq!(node.engine.room(), Some(Sequence(4)), "fresh proposals begin above");
}

/// 5.4: a NEW-VIEW whose batches its primary does not hold would leave the view without anybody to ask.
#[test]
fn the_new_primary_waits_until_it_holds_what_was_prepared() {
    let mut node = Node::new(4, 1);
    for other in [0, 2] {
        node.hear(Message::ViewChange(view_change(other, 1, vec![prepared(1, 0, 1, batch(1).digest())])));
    }
    node.settle();
    assert_eq!(view_of(&node), (1, false));
    assert!(matches!(&node.asks[..], [Output::FetchContents { .. }]), "{:?}", node.asks);
    // One VIEW-CHANGE without that batch makes a quorum that needs nothing: no, its own and one more are two.
    node.hear(Message::ViewChange(view_change(3, 1, Vec::new())));
    node.settle();
    assert_eq!(view_of(&node), (1, false), "two are ready, a quorum is three");
    node.input(Input::Content { sequence: Sequence(1), content: Content::Batch(batch(2)) });
    assert_eq!(view_of(&node), (1, false), "something else");
    node.input(Input::Content { sequence: Sequence(1), content: Content::Batch(batch(1)) });
    node.settle();
    assert_eq!(view_of(&node), (1, true));
}

/// A prepared batch survives two view changes, the second begun by a replica that never saw it.
#[test]
fn prepared_batch_survives_two_view_changes() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[0].input(Input::Propose(batch(1)));
    cluster.run(|_, _, message| !matches!(message, Message::Commit(_)));
    cluster.nodes.iter_mut().for_each(|node| node.input(pending()));
    // Replica 0 is gone. Replica 1 opens view 1, and nothing of it but the NEW-VIEW arrives anywhere.
    cluster.pass(TIMEOUT);
    cluster.run(|from, to, m| from != 0 && to != 0 && !matches!(m, Message::Prepare(_) | Message::Commit(_)));
    cluster.pass(TIMEOUT * 2);
    cluster.run(|from, to, _| from != 0 && to != 0);
    for node in &cluster.nodes[1..] {
        assert_eq!((view_of(node), node.executed()), ((2, true), 1));
        assert_eq!(node.blocks[0].digest, batch(1).digest());
    }
}

/// 1.2: null prepared in view 1 wins over the batch that was prepared in view 0, and is executed like any batch.
#[test]
fn null_prepared_in_a_higher_view_wins_over_a_batch() {
    let stale = view_change(0, 2, vec![prepared(3, 0, 1, batch(1).digest())]);
    let newer = view_change(1, 2, vec![prepared(3, 1, 1, null())]);
    let named = [stale, newer, view_change(2, 2, Vec::new())];
    let mut node = Node::new(4, 3);
    named.iter().for_each(|signed| node.hear(Message::ViewChange(signed.clone())));
    node.hear(new_view(2, 2, &named, 1, &[batch(1).digest()]));
    assert_eq!(view_of(&node), (2, false), "the batch of the lower view");
    node.hear(new_view(2, 2, &named, 1, &[null()]));
    assert_eq!(prepares_in(&node.settle(), 3), [(1, null())]);
    let at = ballot_in(2, 1, null());
    [0, 1].iter().for_each(|i| node.hear(Message::Prepare(sign(*i, Prepare(at)))));
    node.settle();
    [0, 1].iter().for_each(|i| node.hear(Message::Commit(sign(*i, Commit(at)))));
    node.settle();
    assert_eq!((node.executed(), node.blocks[0].digest), (1, null()));
}

#[test]
fn a_new_view_that_does_not_follow_from_its_view_changes_is_refused() {
    let p = || vec![prepared(2, 0, 1, batch(1).digest())];
    let named = [view_change(0, 1, p()), view_change(1, 1, Vec::new()), view_change(3, 1, Vec::new())];
    for digests in [&[][..], &[null()], &[batch(2).digest()], &[batch(1).digest(), null()]] {
        let mut node = Node::new(4, 2);
        hear_view_one(&mut node, &named, 1, digests);
        assert!(!view_of(&node).1, "O = {digests:?}");
    }
    let mut node = Node::new(4, 2);
    hear_view_one(&mut node, &named, 2, &[batch(1).digest()]);
    assert!(!view_of(&node).1, "O begins too high");
    let mut node = Node::new(4, 2);
    hear_view_one(&mut node, &named, 1, &[batch(1).digest()]);
    assert_eq!(view_of(&node), (1, true));
}

#[test]
fn a_new_view_with_one_signer_twice_or_a_view_change_of_another_view_is_refused() {
    let named = [view_change(0, 1, Vec::new()), view_change(3, 1, Vec::new())];
    let twice = view_change(3, 1, vec![prepared(2, 0, 1, null())]);
    let mut node = Node::new(4, 2);
    hear_view_one(&mut node, &[named[0].clone(), named[1].clone(), twice.clone()], 1, &[null()]);
    node.hear(Message::ViewChange(twice));
    assert!(!view_of(&node).1, "two of replica 3");
    let mut node = Node::new(4, 2);
    hear_view_one(&mut node, &[named[0].clone(), named[1].clone(), view_change(1, 2, Vec::new())], 1, &[]);
    assert!(!view_of(&node).1, "one is about view 2");
}

/// 5.3: what can be said without state is said by verifying; each of these is dropped by itself.
#[test]
fn malformed_view_changes_and_new_views_do_not_verify() {
    let d = batch(1).digest();
    let good = view_change(2, 2, vec![prepared(9, 0, 1, d), prepared(9, 1, 2, d)]);
    assert!(verify(4, Message::ViewChange(good)).is_some());
    let mut with_primary = prepared(9, 0, 1, d);
    with_primary.prepares =
        vec![sign(0, Prepare(ballot_in(0, 1, d))), sign(1, Prepare(ballot_in(0, 1, d)))].try_into().unwrap();
    let mut doubled = prepared(9, 0, 1, d);
    doubled.prepares = vec![sign(1, Prepare(ballot_in(0, 1, d))); 2].try_into().unwrap();
    let mut mixed = prepared(9, 0, 1, d);
    mixed.prepares =
        vec![sign(1, Prepare(ballot_in(0, 1, d))), sign(2, Prepare(ballot_in(0, 1, null())))].try_into().unwrap();
    let mut foreign = prepared(9, 0, 1, d);
    foreign.pre_prepare = sign(1, PrePrepare(ballot_in(0, 1, d)));
    let mut few = prepared(9, 0, 1, d);
    few.prepares = vec![sign(1, Prepare(ballot_in(0, 1, d)))].try_into().unwrap();
    let mut wrong_low = certified(K);
    wrong_low.checkpoint.height = Height(K + 1);
    let bad = [
        view_change(2, 0, Vec::new()),
        view_change(2, 2, vec![prepared(9, 2, 1, d)]),
        view_change(2, 2, vec![prepared(9, 0, 2, d), prepared(9, 0, 1, d)]),
        view_change(2, 2, vec![prepared(9, 0, 1, d), prepared(9, 1, 1, d)]),
        view_change(2, 2, vec![prepared(9, 0, L + 1, d)]),
        view_change_from(2, 2, Some(certified(K)), vec![prepared(9, 0, K, d)]),
        view_change_from(2, 2, Some(certified(K + 1)), Vec::new()),
        view_change_from(2, 2, Some(wrong_low), Vec::new()),
        view_change(2, 2, vec![with_primary]),
        view_change(2, 2, vec![doubled]),
        view_change(2, 2, vec![mixed]),
        view_change(2, 2, vec![foreign]),
        view_change(2, 2, vec![few]),
    ];
    for (index, message) in bad.into_iter().enumerate() {
        assert!(verify(4, Message::ViewChange(message)).is_none(), "case {index}");
    }
    let named = [0, 2, 3].map(|signer| view_change(signer, 1, Vec::new()));
    assert!(verify(4, new_view(1, 1, &named, 1, &[d, d])).is_some());
    assert!(verify(4, new_view(2, 1, &named, 1, &[])).is_none(), "replica 2 is not its primary");
    assert!(verify(4, new_view(1, 1, &named[..2], 1, &[])).is_none(), "too few");
    assert!(verify(4, new_view(0, 0, &named, 1, &[])).is_none(), "view 0 needs none");
    let Message::NewView(mut gap) = new_view(1, 1, &named, 1, &[d, d, d]) else { unreachable!() };
    let mut proposals = gap.body.pre_prepares.to_vec();
    proposals.remove(1);
    gap.body.pre_prepares = proposals.try_into().unwrap();
    assert!(verify(4, Message::NewView(sign(1, gap.body))).is_none(), "a gap");
}

/// 5.3: what one liar sends first masks neither another's message nor the same primary's good one.
#[test]
fn a_bad_new_view_masks_no_good_one() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, Vec::new()));
    let mut node = Node::new(4, 2);
    node.hear(new_view(3, 7, &[0, 1, 3].map(|signer| view_change(signer, 7, Vec::new())), 1, &[]));
    hear_view_one(&mut node, &named, 1, &[null()]);
    assert!(!view_of(&node).1, "it does not follow");
    node.hear(new_view(1, 1, &named, 1, &[]));
    assert_eq!(view_of(&node), (1, true));
}

/// 4.1, 5.3: a liar names what nobody has, to one backup alone, and opens its view with the others. That backup is not kept out
/// of the view by it: neither where it holds what the true NEW-VIEW names, nor where it has to ask for it.
#[test]
fn a_new_view_that_names_what_nobody_has_masks_not_the_true_one() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, Vec::new()));
    for (view, nobodys) in [(1, 1), (5, 5), (1, 5)] {
        let unknown = [0, 1, 3].map(|signer| view_change(signer, nobodys, vec![prepared(2, 0, 1, batch(9).digest())]));
        let lie = || new_view(1, nobodys, &unknown, 1, &[batch(9).digest()]);
        let truth = || {
            let named = [0, 1, 3].map(|signer| view_change(signer, view, Vec::new()));
            new_view(1, view, &named, 1, &[])
        };
        let mut knows = Node::new(4, 2);
        knows.hear(lie());
        for signer in [0, 1, 3] {
            knows.hear(Message::ViewChange(view_change(signer, view, Vec::new())));
        }
        knows.hear(truth());
        assert_eq!(view_of(&knows), (view, true), "it holds what the true one names");
        let mut asks = Node::new(4, 2);
        asks.hear(lie());
        for _ in 0..20 {
            asks.pass(Duration::from_millis(500));
            asks.hear(truth());
        }
        let name = view_change_name(&view_change(0, view, Vec::new()));
        let asked = |o: &Output| matches!(o, Output::FetchViewChanges { names, .. } if names.contains(&name));
        assert!(asks.out.iter().any(asked), "others are asked for what the true one names");
        for signer in [0, 1, 3] {
            asks.hear(Message::ViewChange(view_change(signer, view, Vec::new())));
        }
        assert_eq!(view_of(&asks), (view, true));
    }
    let mut node = Node::new(4, 2);
    node.hear(new_view(1, 1, &named, 1, &[]));
    node.hear(new_view(1, 5, &[0, 1, 3].map(|signer| view_change(signer, 5, Vec::new())), 1, &[]));
    named.iter().for_each(|signed| node.hear(Message::ViewChange(signed.clone())));
    assert_eq!(view_of(&node), (1, true), "the first one has its turn");
}

/// 5.4, 5.7: of one key the first VIEW-CHANGE of a view is kept; a NEW-VIEW may have got the other, which is evidence and no
/// reason to refuse.
#[test]
fn a_new_view_may_name_the_other_one_of_two_view_changes() {
    let first = view_change(3, 1, vec![prepared(2, 0, 1, batch(1).digest())]);
    let other = view_change(3, 1, Vec::new());
    let named = [view_change(0, 1, Vec::new()), view_change(1, 1, Vec::new()), other.clone()];
    let mut node = Node::new(4, 2);
    node.hear(Message::ViewChange(first));
    node.hear(Message::ViewChange(named[0].clone()));
    node.hear(new_view(1, 1, &named, 1, &[]));
    let asked = node
        .out
        .iter()
        .any(|o| matches!(o, Output::FetchViewChanges { names, .. } if names.contains(&view_change_name(&other))));
    assert!(asked, "it is fetched by its name");
    node.hear(Message::ViewChange(other));
    node.hear(Message::ViewChange(named[1].clone()));
    assert_eq!(view_of(&node), (1, true));
    let evidence =
        node.notes().iter().any(|note| matches!(note, Note::Evidence(e) if e.kind() == evidence::Kind::ViewChange));
    assert!(evidence, "two VIEW-CHANGEs of one key for one view");
}

/// 4.1: a returning node enters a view by a relayed NEW-VIEW alone.
#[test]
fn a_returning_replica_enters_a_view_by_its_new_view() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[1..].iter_mut().for_each(|node| node.input(pending()));
    cluster.pass(TIMEOUT);
    cluster.run(|from, to, _| from != 0 && to != 0);
    assert_eq!(view_of(&cluster.nodes[0]), (0, true));
    cluster.pass(Duration::from_secs(1));
    cluster.run(|_, _, message| !matches!(message, Message::ViewChange(_)));
    assert_eq!(view_of(&cluster.nodes[0]), (1, true));
}

/// 5.4: proposals of O are valid only inside their NEW-VIEW, and fresh ones begin above them.
#[test]
fn a_single_proposal_where_the_new_view_proposes_is_ignored() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, Vec::new()));
    let low = view_change_from(0, 1, Some(certified(K)), Vec::new());
    let mut node = Node::new(4, 2);
    hear_view_one(&mut node, &[low, named[1].clone(), named[2].clone()], K + 1, &[]);
    assert_eq!(view_of(&node), (1, true));
    node.settle();
    let at = |n: u64| {
        let content = Content::Batch(batch(9));
        let pre_prepare = sign(1, PrePrepare(ballot_in(1, n, content.digest())));
        Message::PrePrepare(Proposal { pre_prepare, content })
    };
    node.hear(at(K));
    assert_eq!(prepares_in(&node.settle(), 2), [], "below the watermark at which the view began");
    node.hear(at(K + 1));
    assert_eq!(prepares_in(&node.settle(), 2), [(K + 1, batch(9).digest())]);
}

/// 5.4: a backup that lacks min-s votes above it and delays only the execution.
#[test]
fn a_backup_without_the_blocks_votes_in_the_new_views_window() {
    let named = [0, 1, 3]
        .map(|signer| view_change_from(signer, 1, Some(certified(2 * K)), vec![prepared(2, 0, 2 * K + L, null())]));
    let mut node = Node::new(4, 2);
    let digests = vec![null(); L as usize];
    hear_view_one(&mut node, &named, 2 * K + 1, &digests);
    let voted = prepares_in(&node.settle(), 2);
    assert_eq!(voted.len() as u64, L);
    assert_eq!((node.executed(), node.engine.status().low), (0, Height(0)), "its own log waits for the blocks");
    node.input(pending());
    node.pass(TIMEOUT * 2);
    let sent = view_changes_in(&node.settle());
    assert!(sent.iter().all(|signed| signed.body.low(Height(0)) == Height(2 * K)), "it proves what was proved to it");
}

/// 3.6: more than f validators lie, and this replica signs nothing for them.
#[test]
fn a_new_view_that_contradicts_what_was_executed_raises_the_alarm() {
    let mut node = Node::new(4, 2);
    node.hear(commit_certificate(&[0, 1, 3], 1, &batch(1)));
    node.settle();
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, vec![prepared(2, 0, 1, null())]));
    hear_view_one(&mut node, &named, 1, &[null()]);
    assert_eq!(prepares_in(&node.settle(), 2), []);
    assert!(node.engine.status().halted.is_some());
}

/// 3.6: it signs nothing of that view, what stands before the contradiction included.
#[test]
fn nothing_of_a_new_view_is_signed_when_a_later_part_of_it_contradicts() {
    let mut node = Node::new(4, 2);
    node.hear(commit_certificate(&[0, 1, 3], 1, &batch(1)));
    node.hear(commit_certificate(&[0, 1, 3], 2, &batch(2)));
    node.settle();
    let p = || vec![prepared(2, 0, 1, batch(1).digest()), prepared(2, 0, 2, null())];
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, p()));
    hear_view_one(&mut node, &named, 1, &[batch(1).digest(), null()]);
    assert!(node.engine.status().halted.is_some());
    assert_eq!(prepares_in(&node.settle(), 2), []);
}

/// 3.6: what is executed is voted for again, so that those who lack it can commit it in the new view.
#[test]
fn a_replica_votes_again_for_what_it_has_executed() {
    let mut node = Node::new(4, 2);
    node.hear(commit_certificate(&[0, 1, 3], 1, &batch(1)));
    node.settle();
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, vec![prepared(2, 0, 1, batch(1).digest())]));
    hear_view_one(&mut node, &named, 1, &[batch(1).digest()]);
    assert_eq!(prepares_in(&node.settle(), 2), [(1, batch(1).digest())]);
}

/// 9.3: what one was told is held beside what others prepared, inside a VIEW-CHANGE or a commit certificate as well.
#[test]
fn a_second_story_inside_certificates_is_evidence() {
    let told = |node: &Node, kind| node.notes().iter().any(|n| matches!(n, Note::Evidence(e) if e.kind() == kind));
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 1, batch(1)));
    node.hear(prepare(1, 1, &batch(1)));
    node.hear(commit(3, 1, &batch(1)));
    node.hear(Message::ViewChange(view_change(3, 1, vec![prepared(2, 0, 1, batch(2).digest())])));
    assert!(told(&node, evidence::Kind::PrePrepare), "replica 0 proposed two batches");
    assert!(told(&node, evidence::Kind::Prepare), "replica 1 prepared both");
    node.hear(commit_certificate(&[0, 1, 3], 1, &batch(2)));
    assert!(told(&node, evidence::Kind::Commit), "replica 3 committed both");
    let mut later = Node::new(4, 2);
    later.hear(commit_certificate(&[0, 1, 3], 1, &batch(2)));
    later.hear(commit(3, 1, &batch(1)));
    assert!(told(&later, evidence::Kind::Commit));
}

#[test]
fn two_new_views_of_one_key_are_evidence() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, Vec::new()));
    let other = [named[0].clone(), named[1].clone(), view_change(3, 1, vec![prepared(2, 0, 1, null())])];
    let mut node = Node::new(4, 2);
    hear_view_one(&mut node, &named, 1, &[]);
    node.hear(new_view(1, 1, &other, 1, &[null()]));
    let found = node
        .notes()
        .iter()
        .any(|note| matches!(note, Note::Evidence(e) if e.kind() == evidence::Kind::NewView && e.is_conflict()));
    assert!(found);
}

/// 6.4: a VIEW-CHANGE or NEW-VIEW of this key above the view that it entered comes from another process.
#[test]
fn a_view_change_of_its_own_key_that_it_never_sent_stops_the_replica() {
    let mut node = Node::new(4, 1);
    node.hear(Message::ViewChange(view_change(1, 1, Vec::new())));
    assert!(node.engine.status().halted.is_some());
    let mut node = Node::new(4, 1);
    let named = [0, 2, 3].map(|signer| view_change(signer, 1, Vec::new()));
    node.hear(new_view(1, 1, &named, 1, &[]));
    assert!(node.engine.status().halted.is_some());
    let mut node = Node::new(4, 1);
    node.hear(Message::ViewChange(view_change(2, 1, vec![prepared(9, 0, 1, null())])));
    assert!(node.engine.status().halted.is_some(), "a PREPARE of its own that it never cast, inside another's P");
}

/// A replica's own VIEW-CHANGE, relayed back to it, is no twin's.
#[test]
fn its_own_messages_relayed_back_are_no_twins() {
    let mut node = Node::new(4, 1);
    node.input(pending());
    node.pass(TIMEOUT);
    let own = view_changes_in(&node.settle());
    node.hear(Message::ViewChange(own[0].clone()));
    for other in [2, 3] {
        node.hear(Message::ViewChange(view_change(other, 1, Vec::new())));
    }
    let sent = node.settle();
    let opened = sent.iter().find(|(_, message)| matches!(message, Message::NewView(_))).expect("it opens its view");
    node.hear(opened.1.clone());
    node.restart(1, Vec::new());
    node.hear(opened.1.clone());
    node.hear(Message::ViewChange(own[0].clone()));
    assert_eq!((view_of(&node), node.engine.status().halted), ((1, true), None));
}

/// A primary that restarts in its view proposes above what it proposed, and its NEW-VIEW is the same one.
#[test]
fn a_restarted_primary_of_a_later_view_goes_on_in_it() {
    let mut node = Node::new(4, 1);
    for other in [0, 2] {
        node.hear(Message::ViewChange(view_change(other, 1, vec![prepared(1, 0, 1, null())])));
    }
    let sent = node.settle();
    let opened =
        sent.into_iter().find(|(_, message)| matches!(message, Message::NewView(_))).expect("it opens its view").1;
    node.input(Input::Propose(batch(2)));
    node.settle();
    node.restart(1, Vec::new());
    assert_eq!((view_of(&node), node.engine.room()), ((1, true), Some(Sequence(3))));
    node.pass(Duration::from_secs(1));
    node.hear(Message::Status(sign(3, status(0, true))));
    assert!(
        node.settle().iter().any(|(_, message)| *message == opened),
        "its NEW-VIEW goes to who lacks it, unchanged"
    );
}

/// 4.2: a commit certificate of a left view is final in every view; single votes of it are ignored.
#[test]
fn a_commit_certificate_of_a_left_view_is_accepted_and_its_single_votes_are_not() {
    let mut node = Node::new(4, 2);
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, vec![prepared(2, 0, 1, batch(1).digest())]));
    hear_view_one(&mut node, &named, 1, &[batch(1).digest()]);
    node.settle();
    node.input(Input::Content { sequence: Sequence(1), content: Content::Batch(batch(1)) });
    node.settle();
    for other in [0, 1, 3] {
        node.hear(Message::Commit(sign(other, Commit(ballot_in(0, 1, batch(1).digest())))));
    }
    node.settle();
    assert_eq!(node.executed(), 0);
    node.hear(commit_certificate(&[0, 1, 3], 1, &batch(1)));
    node.settle();
    assert_eq!(node.executed(), 1);
}

/// 6.4: without a vote log nothing is signed, VIEW-CHANGEs included, but the view is followed.
#[test]
fn an_amnesiac_follows_views_and_signs_nothing() {
    let durable = Durable { records: None, ..Durable::default() };
    let engine = Engine::recover(config(4, 3), key(3), durable, crate::time::Instant::ORIGIN);
    let mut node = Node { engine, ..Node::new(4, 3) };
    node.input(pending());
    node.pass(TIMEOUT * 2);
    let named = [0, 1, 2].map(|signer| view_change(signer, 1, Vec::new()));
    hear_view_one(&mut node, &named, 1, &[]);
    let records = node.out.iter().filter(|output| matches!(output, Output::Persist { .. })).count();
    assert_eq!((view_of(&node), records), ((1, true), 0));
    assert_eq!(view_changes_in(&node.settle()), Vec::new());
}

#[test]
fn the_safety_file_signs_one_view_change_and_one_new_view_in_a_view() {
    let mut safety = safety::Safety::new(key(1), Digest::ZERO, Epoch(0), true);
    let body = |view| ViewChange { epoch: Epoch(0), view: View(view), low: None, prepared: Default::default() };
    safety.sign_view_change(body(5)).expect("the first");
    assert_eq!(safety.sign_view_change(body(5)), Err(Refusal::ViewEntered));
    assert_eq!(safety.sign_view_change(body(4)), Err(Refusal::ViewEntered));
    let ballots = [ballot_in(5, 1, null()), ballot_in(5, 2, null())];
    safety.sign_new_view(View(5), Default::default(), &ballots).expect("the first");
    assert_eq!(safety.sign_new_view(View(5), Default::default(), &ballots).err(), Some(Refusal::ViewOpened));
    assert_eq!(safety.sign_new_view(View(6), Default::default(), &ballots).err(), Some(Refusal::OtherView));
    assert_eq!(safety.sign_pre_prepare(ballot_in(5, 1, batch(1).digest())), Err(Refusal::Conflict));
}

/// What a trim leaves: the journal writes what outlives its segment behind the votes that it keeps.
fn with_the_view_behind_the_vote(node: &mut Node) {
    let (views, votes): (Vec<Record>, Vec<Record>) = node.log.drain(..).partition(|r| r.sequence().is_none());
    let (first, later) = votes.split_at(1);
    node.log = [first, &views[..], later].concat();
}

/// 3.4, 5.1: found by a hostile reading. Read in the order in which they stand, the vote was for a view not entered yet, and
/// what it had prepared was forgotten: after a power failure of everybody nobody could open a view again.
#[test]
fn votes_that_stand_before_the_copy_of_their_view_are_taken_back() {
    let mut node = Node::new(4, 2);
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, Vec::new()));
    hear_view_one(&mut node, &named, 1, &[]);
    let content = Content::Batch(batch(1));
    let at = ballot_in(1, 1, content.digest());
    node.hear(Message::PrePrepare(Proposal { pre_prepare: sign(1, PrePrepare(at)), content: content.clone() }));
    node.settle();
    [0, 3].iter().for_each(|i| node.hear(Message::Prepare(sign(*i, Prepare(at)))));
    node.settle();
    with_the_view_behind_the_vote(&mut node);
    node.restart(2, Vec::new());
    node.engine.check_invariants().unwrap();
    assert_eq!(node.engine.content(Sequence(1), &content.digest()), Some(content));
    assert!(node.engine.kept_contents().contains(&(Sequence(1), at.digest)));
}

#[test]
fn a_primary_that_restarts_behind_a_trim_goes_on_above_its_proposals() {
    let mut node = Node::new(4, 1);
    for other in [2, 3] {
        node.hear(Message::ViewChange(view_change(other, 1, Vec::new())));
    }
    node.settle();
    node.input(Input::Propose(batch(1)));
    node.settle();
    with_the_view_behind_the_vote(&mut node);
    node.restart(1, Vec::new());
    assert_eq!((view_of(&node), node.engine.room()), ((1, true), Some(Sequence(2))));
}

/// 5.2, 7.2: found by a hostile reading. A view that a replica enters while its blocks are missing is recorded all the same,
/// or a restart would return to a view that it has left by then, and vote there.
#[test]
fn a_view_entered_below_the_floor_is_durable() {
    let mut node = Node::new(4, 3);
    node.log.push(Record::Floor(Height(2)));
    node.restart(3, Vec::new());
    let named = [0, 1, 2].map(|signer| view_change(signer, 1, Vec::new()));
    hear_view_one(&mut node, &named, 1, &[]);
    node.settle();
    node.restart(3, Vec::new());
    assert_eq!(view_of(&node), (1, true));
}

/// 5.1, 7.1: found by a hostile reading. The log up to a watermark is given up, then the store loses it: the replica still
/// proves the watermark, so that its VIEW-CHANGE does not seem to say that nothing was prepared below.
#[test]
fn a_watermark_stays_proved_when_the_store_loses_it() {
    let mut node = Node::new(4, 3);
    node.log = vec![Record::Proven(certified(K)), Record::Floor(Height(K))];
    node.restart(3, Vec::new());
    for height in 1..=K {
        node.input(Input::Synced(super::normal::synced(height, false)));
    }
    node.settle();
    node.input(pending());
    node.pass(TIMEOUT);
    let sent = view_changes_in(&node.settle());
    assert_eq!(sent.iter().map(|signed| signed.body.low(Height(0))).collect::<Vec<_>>(), [Height(K)]);
}

/// Found by a hostile reading: a twin's vote as the first input after a restart, when the timer is due as well.
#[test]
fn nothing_is_signed_by_the_input_that_halts() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, vec![prepared(2, 0, 1, null())]));
    let Message::NewView(opened) = new_view(1, 1, &named, 1, &[null()]) else { unreachable!() };
    let mut node = Node::new(4, 2);
    node.log.push(Record::NewView { new_view: opened, view_changes: named.to_vec() });
    node.restart(2, Vec::new());
    node.hear(Message::Commit(sign(2, Commit(ballot_in(1, 5, batch(5).digest())))));
    assert!(node.engine.status().halted.is_some());
    assert!(!node.out.iter().any(|output| matches!(output, Output::Persist { .. })), "{:?}", node.out);
}

/// 5.1: VIEW-CHANGEs are large: the same ones go to the same peer at intervals that double, others at once.
#[test]
fn the_same_view_changes_are_sent_again_ever_more_seldom() {
    let mut node = Node::new(4, 1);
    node.input(pending());
    node.pass(TIMEOUT);
    node.settle();
    let mut sent = 0;
    for _ in 0..20 {
        node.now = node.now + Duration::from_millis(100);
        node.hear(Message::Status(sign(2, status(0, true))));
        sent += view_changes_in(&node.settle()).len();
    }
    assert!((3..=5).contains(&sent), "{sent} times in two seconds");
}
