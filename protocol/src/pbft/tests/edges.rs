//! Single conditions of the engine, each with a history in which it alone decides: found by taking every one of them out.

use std::{collections::BTreeSet, time::Duration};

use quorate_crypto::hash::Digest;

use super::{
    super::{
        message::{Ballot, Commit, Content, PrePrepare, Prepare, Proposal, Status, ViewChange},
        safety::{Refusal, Safety},
        *,
    },
    harness::*,
    normal::{empty_status, first_block, is_commit_record, synced, votes_of},
    view_change::*,
};
use crate::{
    document::Checkpoint,
    id::{Epoch, Height, NodeIndex, Sequence, View},
};

pub(super) fn digest(number: u8) -> Digest {
    batch(number).digest()
}

pub(super) fn content(number: u8) -> Content {
    Content::Batch(batch(number))
}

pub(super) fn unfair() -> Input {
    Input::Demand { pending: true, unfair: Some("a test".to_owned()) }
}

fn held(sequence: u64, number: u8) -> Input {
    Input::Checked { sequence: Sequence(sequence), digest: digest(number), verdict: Verdict::Held }
}

fn prepare_in(signer: usize, view: u64, sequence: u64, digest: Digest) -> Message {
    Message::Prepare(sign(signer, Prepare(ballot_in(view, sequence, digest))))
}

fn commit_in(signer: usize, view: u64, sequence: u64, digest: Digest) -> Message {
    Message::Commit(sign(signer, Commit(ballot_in(view, sequence, digest))))
}

fn proposal_in(signer: usize, view: u64, sequence: u64, number: u8) -> Message {
    let pre_prepare = sign(signer, PrePrepare(ballot_in(view, sequence, digest(number))));
    Message::PrePrepare(Proposal { pre_prepare, content: content(number) })
}

pub(super) fn hear_view_changes(node: &mut Node, view: u64, signers: &[usize], prepared: &[PreparedOf]) {
    for signer in signers {
        let prepared = prepared.iter().map(|of| super::view_change::prepared(of.0, of.1, of.2, of.3)).collect();
        node.hear(Message::ViewChange(view_change(*signer, view, prepared)));
    }
}

/// Without whom, in which view, where, what.
pub(super) type PreparedOf = (usize, u64, u64, Digest);

/// NEW-VIEW of view 1 by replica 1 from VIEW-CHANGEs of 0, 1 and 3 that prove this.
pub(super) fn enter_view_one(node: &mut Node, prepared: &[PreparedOf], digests: &[Digest]) {
    let of = || prepared.iter().map(|of| super::view_change::prepared(of.0, of.1, of.2, of.3)).collect();
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, of()));
    hear_view_one(node, &named, 1, digests);
}

pub(super) fn tickets(node: &Node) -> Vec<output::Ticket> {
    let ticket = |output: &Output| if let Output::Persist { ticket, .. } = output { Some(*ticket) } else { None };
    node.out.iter().filter_map(ticket).collect()
}

fn new_view_in(sent: &[(Option<NodeIndex>, Message)]) -> Option<message::NewView> {
    sent.iter()
        .find_map(|(_, message)| if let Message::NewView(signed) = message { Some(signed.body.clone()) } else { None })
}

/// What the journal keeps when the watermark reaches K.
fn trimmed(node: &mut Node) -> Vec<Record> {
    node.input(Input::Anchored(Height(K)));
    let carry = |output: &Output| if let Output::Trim { carry, .. } = output { Some(carry.clone()) } else { None };
    node.out.iter().find_map(carry).expect("the watermark moves")
}

fn executes(node: &mut Node, heights: std::ops::RangeInclusive<u64>) {
    for height in heights {
        node.input(Input::Synced(synced(height, false)));
        node.settle();
    }
}

// ---- timers (5.6, 5.7)

#[test]
fn an_unfair_primary_is_left_once() {
    let mut node = Node::new(4, 2);
    node.input(unfair());
    node.input(unfair());
    assert_eq!(view_of(&node), (1, false), "the next primary has done nothing yet");
}

/// 5.6: only more than K behind is far behind.
#[test]
fn a_replica_that_is_k_behind_still_accuses() {
    let mut node = Node::new(4, 1);
    for signer in [2, 3] {
        node.hear(Message::Status(sign(signer, Status { executed: Height(K), ..empty_status() })));
    }
    node.input(unfair());
    assert_eq!(view_of(&node), (1, false));
}

#[test]
fn blocks_that_come_while_no_view_is_active_are_not_to_the_credit_of_its_primary() {
    let mut node = Node::new(4, 3);
    node.input(pending());
    for view in 1..=2 {
        node.pass(node.engine.view_timeout());
        node.settle();
        hear_view_changes(&mut node, view, &[0, 1, 2], &[]);
    }
    assert_eq!((view_of(&node), node.engine.view_timeout()), ((2, false), TIMEOUT * 4));
    node.pass(TIMEOUT * 3);
    executes(&mut node, 1..=1);
    assert_eq!(node.engine.view_timeout(), TIMEOUT * 4);
    node.pass(TIMEOUT);
    assert_eq!(view_of(&node).0, 3, "nor do they give it more time");
}

#[test]
fn a_view_with_progress_has_not_failed_and_those_after_it_double_again() {
    let mut node = Node::new(4, 3);
    node.input(pending());
    executes(&mut node, 1..=1);
    let mut timeouts = Vec::new();
    for view in 1..=3 {
        node.pass(node.engine.view_timeout());
        node.settle();
        assert_eq!(view_of(&node), (view, false));
        timeouts.push(node.engine.view_timeout().as_secs());
        hear_view_changes(&mut node, view, &[0, 1, 2], &[]);
    }
    assert_eq!(timeouts, [10, 20, 40]);
}

/// 5.6: a slot that is not executed is pending, though no pool holds a transaction of it.
#[test]
fn a_proposal_or_a_certificate_above_a_gap_that_nothing_follows_ends_the_view() {
    for message in [proposal(0, 1, batch(1)), commit_certificate(&[0, 2, 3], 2, &batch(2))] {
        let mut node = Node::new(4, 1);
        node.hear(message);
        node.settle();
        node.pass(TIMEOUT);
        assert_eq!(view_of(&node), (1, false));
    }
}

/// 5.6: null counts as progress while O is unfinished, or a correct primary would have no time for the rest of it.
#[test]
fn null_blocks_of_o_are_progress() {
    let mut node = Node::new(4, 2);
    enter_view_one(&mut node, &[(2, 0, 2, null())], &[null(), null()]);
    node.settle();
    let commit = |node: &mut Node, sequence| {
        [0, 1, 3].iter().for_each(|i| node.hear(commit_in(*i, 1, sequence, null())));
        node.settle();
    };
    let timeout = node.engine.view_timeout();
    node.pass(timeout * 9 / 10);
    commit(&mut node, 1);
    assert_eq!(node.executed(), 1);
    node.pass(TIMEOUT * 9 / 10);
    assert_eq!(view_of(&node), (1, true), "its time began anew");
}

/// 5.7: who has gone further has left this view as well.
#[test]
fn the_wait_for_a_new_view_ends_where_some_of_a_quorum_have_gone_further() {
    let mut node = Node::new(4, 2);
    node.input(pending());
    node.pass(TIMEOUT);
    node.settle();
    hear_view_changes(&mut node, 1, &[0], &[]);
    hear_view_changes(&mut node, 2, &[3], &[]);
    assert_eq!(view_of(&node), (1, false));
    node.pass(TIMEOUT * 2);
    assert_eq!(view_of(&node), (2, false));
}

/// 5.7: one fewer than a quorum may all be wrong to leave.
#[test]
fn the_wait_for_a_new_view_has_no_end_before_a_quorum_has_left() {
    let mut node = Node::new(4, 2);
    node.input(unfair());
    node.settle();
    hear_view_changes(&mut node, 1, &[0], &[]);
    node.pass(TIMEOUT * 100);
    assert_eq!(view_of(&node), (1, false));
}

// ---- which messages of a view change count (5.3, 5.4, 5.7)

#[test]
fn of_each_replica_the_view_change_of_the_highest_view_counts_in_whatever_order_they_come() {
    for views in [[1, 5], [5, 1]] {
        let mut node = Node::new(4, 1);
        views.iter().for_each(|view| hear_view_changes(&mut node, *view, &[3], &[]));
        hear_view_changes(&mut node, 5, &[2], &[]);
        assert_eq!(view_of(&node), (5, false), "{views:?}");
    }
}

#[test]
fn a_new_view_that_came_before_its_view_changes_opens_the_view_when_they_have_come() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, Vec::new()));
    let mut node = Node::new(4, 2);
    node.hear(new_view(1, 1, &named, 1, &[]));
    for signed in &named[1..] {
        node.hear(Message::ViewChange(signed.clone()));
    }
    assert_eq!(view_of(&node), (1, false), "it joined, and waits for one of those named");
    node.hear(Message::ViewChange(named[0].clone()));
    assert_eq!(view_of(&node), (1, true));
}

/// One that cannot be judged keeps its primary's place while it has its turn; STATUS brings the other again.
#[test]
fn of_the_new_views_of_one_primary_the_highest_is_judged_in_whatever_order_they_come() {
    let lost = [0, 1, 3].map(|signer| view_change(signer, 1, vec![super::view_change::prepared(2, 0, 1, null())]));
    let named = [0, 1, 3].map(|signer| view_change(signer, 5, Vec::new()));
    let never_judged = new_view(1, 1, &lost, 1, &[null()]);
    let good = new_view(1, 5, &named, 1, &[]);
    for new_views in [[&never_judged, &good], [&good, &never_judged]] {
        let mut node = Node::new(4, 2);
        new_views.into_iter().for_each(|new_view| node.hear(new_view.clone()));
        named.iter().for_each(|signed| node.hear(Message::ViewChange(signed.clone())));
        new_views.into_iter().for_each(|new_view| node.hear(new_view.clone()));
        assert_eq!(view_of(&node), (5, true));
    }
}

/// Two NEW-VIEWs of one view contradict each other before anybody can judge them; the same one twice, as relays bring it, does not.
#[test]
fn of_new_views_that_wait_for_their_view_changes_a_second_one_is_evidence_and_the_same_again_is_not() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, Vec::new()));
    let others = [1, 2, 3].map(|signer| view_change(signer, 1, Vec::new()));
    let conflicts = |node: &Node| {
        let of_new_views = |note: &&&Note| matches!(note, Note::Evidence(e) if e.kind() == evidence::Kind::NewView);
        node.notes().iter().filter(of_new_views).count()
    };
    let mut node = Node::new(4, 2);
    node.hear(new_view(1, 1, &named, 1, &[]));
    node.hear(new_view(1, 1, &named, 1, &[]));
    assert_eq!(conflicts(&node), 0, "the same one twice");
    node.hear(new_view(1, 1, &others, 1, &[]));
    assert_eq!(conflicts(&node), 1, "another one of the same view");
    node.hear(new_view(1, 5, &others, 1, &[]));
    assert_eq!(conflicts(&node), 1, "one of a later view");
}

/// 7.1: a primary that crashed before it accepted its own proposals knows them by its NEW-VIEW alone. Were that gone while they
/// are above the watermark, a relayed copy of one would look like the vote of a twin, and halt it.
#[test]
fn a_new_view_stays_in_the_log_as_long_as_what_it_proposes() {
    let named = [0, 2, 3].map(|signer| view_change(signer, 1, vec![prepared(1, 0, 2, digest(2))]));
    let Message::NewView(signed) = new_view(1, 1, &named, 1, &[null(), digest(2)]) else { panic!("a NEW-VIEW") };
    let record = Record::NewView { new_view: signed, view_changes: named.to_vec() };
    assert_eq!((record.kept_until(), record.sequence()), (Sequence(2), None));
    assert_eq!(Record::Floor(Height(9)).kept_until(), Sequence(0));
    let pre_prepare = sign(0, PrePrepare(ballot_in(0, 5, digest(5))));
    let accepted = Record::Accepted { pre_prepare, content: None, prepare: None };
    assert_eq!((accepted.kept_until(), accepted.sequence()), (Sequence(5), Some(Sequence(5))));
}

/// What is already here of later views is what makes a replica join them: opening a view forgets no more than what led to it.
#[test]
fn what_came_of_later_views_outlives_the_opening_of_this_one() {
    let of_two = [0, 2, 3].map(|signer| view_change(signer, 2, Vec::new()));
    let mut node = Node::new(4, 1);
    node.hear(new_view(2, 2, &of_two, 1, &[]));
    node.hear(Message::ViewChange(of_two[0].clone()));
    let of_one = [1, 2, 3].map(|signer| view_change(signer, 1, Vec::new()));
    of_one[1..].iter().for_each(|signed| node.hear(Message::ViewChange(signed.clone())));
    node.settle();
    assert_eq!(view_of(&node), (1, true), "two others and its own VIEW-CHANGE open its view");
    node.hear(Message::ViewChange(of_two[1].clone()));
    assert_eq!(view_of(&node), (2, false), "with the one that came before, f + 1 have left for the next");
    node.hear(Message::ViewChange(of_two[2].clone()));
    assert_eq!(view_of(&node), (2, true), "and its NEW-VIEW, which came before as well, is judged");
}

/// A primary whose NEW-VIEW does not follow from its VIEW-CHANGEs is told of once, however often it tries.
#[test]
fn a_refused_new_view_is_told_of_once() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, Vec::new()));
    let again = [0, 1, 3].map(|signer| view_change(signer, 5, Vec::new()));
    let mut node = Node::new(4, 2);
    let told = |node: &Node| node.notes().iter().filter(|note| matches!(note, Note::RefusedNewView { .. })).count();
    for (view, view_changes) in [(1, named), (5, again)] {
        view_changes.iter().for_each(|signed| node.hear(Message::ViewChange(signed.clone())));
        node.hear(new_view(1, view, &view_changes, 1, &[digest(1)]));
        assert_eq!(view_of(&node), (view, false), "it waits for a right one");
    }
    assert_eq!(told(&node), 1);
}

/// 3.4, 5.4: its own VIEW-CHANGE is durable and among those that its NEW-VIEW names, so that what it prepared is in O wherever
/// its bodies are still held.
#[test]
fn a_primary_opens_its_view_with_its_own_view_change() {
    let mut node = Node::new(4, 3);
    hear_view_changes(&mut node, 3, &[0, 1, 2], &[]);
    assert_eq!(view_of(&node), (3, false), "its own VIEW-CHANGE is not durable yet");
    let sent = node.settle();
    let body = new_view_in(&sent).expect("now it is");
    let own = message::view_change_name(&view_changes_in(&sent)[0]);
    assert!(body.view_changes.contains(&own));
}

/// 5.4: the batch alone is not enough: nobody else may have its bodies.
#[test]
fn a_primary_opens_no_view_before_the_bodies_of_what_was_prepared_are_held() {
    let p = [(1, 0, 1, digest(1))];
    let mut node = Node::new(4, 1);
    hear_view_changes(&mut node, 1, &[0, 2], &p);
    node.settle();
    node.input(Input::Content { sequence: Sequence(1), content: content(1) });
    hear_view_changes(&mut node, 1, &[3], &p);
    assert_eq!(view_of(&node), (1, false), "whether the bodies are held is not answered yet");
    node.input(held(1, 1));
    assert_eq!(view_of(&node), (1, true));
}

/// 5.4: what was held for one view may be gone when the same replica is primary again.
#[test]
fn a_primary_looks_anew_at_what_was_prepared_in_each_of_its_views() {
    let mut node = Node::new(4, 1);
    hear_view_changes(&mut node, 1, &[0], &[(1, 0, 1, digest(1))]);
    hear_view_changes(&mut node, 1, &[2], &[(1, 0, 2, digest(2))]);
    node.settle();
    node.input(Input::Content { sequence: Sequence(1), content: content(1) });
    node.settle();
    assert_eq!(view_of(&node), (1, false), "the other one is missing");
    hear_view_changes(&mut node, 5, &[2, 3], &[(1, 0, 1, digest(1))]);
    node.settle();
    assert_eq!(node.engine.content(Sequence(1), &digest(1)), None, "it was not prepared here, and is gone");
    assert_eq!(view_of(&node), (5, false));
}

/// 5.4: what is executed here is held, though the log no longer has it and a laggard still names it.
#[test]
fn a_primary_that_has_executed_what_was_prepared_opens_its_view_at_once() {
    let mut node = Node::new(4, 1);
    executes(&mut node, 1..=K);
    trimmed(&mut node);
    hear_view_changes(&mut node, 1, &[0, 2], &[(1, 0, 1, digest(1))]);
    node.settle();
    assert_eq!(view_of(&node), (1, true));
}

/// 5.4: the blocks below min-s are not here, so their ids are unknown, and a fresh batch might hold them again.
#[test]
fn a_primary_proposes_nothing_before_it_has_executed_through_min_s() {
    let mut node = Node::new(4, 1);
    for signer in [0, 2] {
        node.hear(Message::ViewChange(view_change_from(signer, 1, Some(certified(K)), Vec::new())));
    }
    node.settle();
    assert_eq!((view_of(&node), node.engine.room()), ((1, true), None));
    executes(&mut node, 1..=K);
    assert_eq!(node.engine.room(), Some(Sequence(K + 1)));
}

#[test]
fn a_restarted_primary_proposes_nothing_before_it_knows_what_its_view_proposes_again() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, vec![super::view_change::prepared(1, 0, 1, digest(1))]));
    let Message::NewView(opened) = new_view(1, 1, &named, 1, &[digest(1)]) else { unreachable!() };
    let mut node = Node::new(4, 1);
    node.log.push(Record::NewView { new_view: opened, view_changes: named.to_vec() });
    node.restart(1, Vec::new());
    assert_eq!((view_of(&node), node.engine.room()), ((1, true), None));
    node.pass(Duration::ZERO);
    node.settle();
    node.input(Input::Content { sequence: Sequence(1), content: content(1) });
    assert_eq!(node.engine.room(), Some(Sequence(2)));
}

/// What was delivered without this view's doing is not proposed again.
#[test]
fn a_primary_proposes_above_what_is_delivered() {
    let mut node = Node::new(4, 1);
    executes(&mut node, 1..=2);
    hear_view_changes(&mut node, 1, &[0, 2], &[]);
    node.settle();
    assert_eq!((view_of(&node), node.engine.room()), ((1, true), Some(Sequence(3))));
}

// ---- what is final stands (3.6)

#[test]
fn a_new_view_that_contradicts_a_commit_certificate_above_a_gap_raises_the_alarm() {
    let mut node = Node::new(4, 2);
    node.hear(commit_certificate(&[0, 1, 3], 2, &batch(2)));
    enter_view_one(&mut node, &[(2, 0, 1, digest(1)), (2, 0, 2, null())], &[digest(1), null()]);
    assert!(node.engine.status().halted.is_some());
    assert_eq!(prepares_in(&node.settle(), 2), []);
}

#[test]
fn a_new_view_that_contradicts_what_is_being_executed_raises_the_alarm() {
    let mut node = Node::new(4, 2);
    node.input(Input::Synced(synced(1, true)));
    enter_view_one(&mut node, &[(2, 0, 1, null())], &[null()]);
    assert!(node.engine.status().halted.is_some());
}

#[test]
fn two_commit_certificates_at_one_place_raise_the_alarm() {
    let mut node = Node::new(4, 1);
    node.hear(commit_certificate(&[0, 2, 3], 2, &batch(1)));
    node.hear(commit_certificate(&[0, 2, 3], 2, &batch(1)));
    assert_eq!(node.engine.status().halted, None, "the same one");
    node.hear(commit_certificate(&[0, 2, 3], 2, &batch(2)));
    assert!(node.engine.status().halted.is_some());
}

#[test]
fn a_relayed_certificate_over_another_header_stops_the_replica() {
    let mut node = Node::new(4, 1);
    node.hear(commit_certificate(&[0, 2, 3], 1, &batch(1)));
    node.settle();
    let header_hash = Digest::from_bytes([9; 32]);
    let checkpoint = Checkpoint { epoch: Epoch(0), height: Height(1), header_hash };
    let signatures = [0, 2, 3].map(|i: u8| (NodeIndex(i), sign(usize::from(i), checkpoint).signature)).to_vec();
    let certificate = crate::document::Certificate { signatures: signatures.try_into().unwrap() };
    node.hear(Message::CertifiedCheckpoint(message::CertifiedCheckpoint { checkpoint, certificate }));
    assert!(node.engine.status().halted.is_some_and(|reason| reason.contains("diverged")));
}

/// The proposal waits for its bodies when the block becomes final by other means: it is voted for then, for those who lack
/// it; another one never is.
#[test]
fn a_waiting_proposal_is_voted_for_when_its_block_executes_and_only_then() {
    for (proposed, voted) in [(1, vec![(1, digest(1))]), (2, Vec::new())] {
        let mut node = Node::new(4, 2);
        node.hear(proposal(0, 1, batch(proposed)));
        node.out.clear();
        node.hear(commit_certificate(&[0, 1, 3], 1, &batch(1)));
        assert_eq!(prepares_in(&node.settle(), 2), voted);
        assert_eq!(node.executed(), 1);
    }
}

// ---- votes and their views (3.2, 3.4, 3.5, 5.1)

/// Between its VIEW-CHANGE and the NEW-VIEW a replica votes for nothing: what it would vote for may contradict O.
#[test]
fn no_proposal_is_accepted_before_the_new_view() {
    let mut node = Node::new(4, 2);
    node.input(pending());
    node.pass(TIMEOUT);
    node.settle();
    node.hear(proposal_in(1, 1, 1, 1));
    assert!(!node.out.iter().any(|output| matches!(output, Output::Check { .. } | Output::Persist { .. })));
    enter_view_one(&mut node, &[], &[]);
    node.settle();
    node.hear(proposal_in(1, 1, 1, 1));
    assert_eq!(prepares_in(&node.settle(), 2), [(1, digest(1))]);
}

#[test]
fn a_verdict_about_another_batch_decides_nothing() {
    let mut node = Node::new(4, 1);
    node.hear(proposal(0, 1, batch(1)));
    node.out.clear();
    node.input(held(1, 2));
    assert_eq!(tickets(&node), []);
    node.input(held(1, 1));
    assert_eq!(tickets(&node).len(), 1);
}

/// The record of view 0 becomes durable when view 1 proposes the same again: that acceptance is not in the journal yet.
#[test]
fn a_record_of_a_left_view_makes_nothing_of_this_one_durable() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 1, batch(1)));
    node.input(held(1, 1));
    let [old] = tickets(&node)[..] else { panic!("one record") };
    enter_view_one(&mut node, &[(2, 0, 1, digest(1))], &[digest(1)]);
    [0, 3].iter().for_each(|i| node.hear(prepare_in(*i, 1, 1, digest(1))));
    node.input(Input::Durable(old));
    assert!(!node.out.iter().any(is_commit_record), "prepared on an acceptance that a crash would lose");
}

/// 3.5: the COMMIT of view 0 becomes durable in view 1, where two others have committed the same.
#[test]
fn a_late_commit_of_a_left_view_is_not_added_to_those_of_this_one() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 1, batch(1)));
    node.settle();
    [1, 3].iter().for_each(|i| node.hear(prepare(*i, 1, &batch(1))));
    let [old] = tickets(&node)[..] else { panic!("one record") };
    enter_view_one(&mut node, &[(2, 0, 1, digest(1))], &[digest(1)]);
    node.out.clear();
    [0, 1].iter().for_each(|i| node.hear(commit_in(*i, 1, 1, digest(1))));
    node.input(Input::Durable(old));
    node.settle();
    assert_eq!(node.executed(), 0, "two COMMITs of view 1 and one of view 0");
    node.hear(commit_in(3, 1, 1, digest(1)));
    node.settle();
    assert_eq!(node.executed(), 1);
}

/// 5.1: P names what was prepared last.
#[test]
fn what_is_prepared_in_a_later_view_replaces_what_was() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 1, batch(1)));
    node.settle();
    [1, 3].iter().for_each(|i| node.hear(prepare(*i, 1, &batch(1))));
    node.settle();
    enter_view_one(&mut node, &[(2, 0, 2, null())], &[null(), null()]);
    node.settle();
    [0, 3].iter().for_each(|i| node.hear(prepare_in(*i, 1, 1, null())));
    node.settle();
    node.input(unfair());
    let sent = view_changes_in(&node.settle());
    let p: Vec<_> = sent[0].body.prepared.iter().map(|p| p.pre_prepare.body.0).collect();
    assert_eq!(p, [ballot_in(1, 1, null())]);
}

/// Others may have prepared what was only accepted here, and ask for it in the next view.
#[test]
fn what_was_accepted_in_the_view_before_can_be_told() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 1, batch(1)));
    node.settle();
    node.input(unfair());
    assert_eq!(node.engine.content(Sequence(1), &digest(1)), Some(content(1)));
}

#[test]
fn a_commit_certificate_above_a_gap_survives_a_view_change() {
    let mut node = Node::new(4, 2);
    node.hear(commit_certificate(&[0, 1, 3], 2, &batch(2)));
    node.input(unfair());
    node.settle();
    node.hear(commit_certificate(&[0, 1, 3], 1, &batch(1)));
    node.settle();
    assert_eq!(node.executed(), 2);
}

#[test]
fn content_that_nobody_asked_for_is_not_kept() {
    let mut node = Node::new(4, 1);
    node.input(Input::Content { sequence: Sequence(5), content: content(9) });
    assert_eq!(node.engine.content(Sequence(5), &digest(9)), None);
}

#[test]
fn what_is_missing_is_asked_of_the_next_peer_until_it_is_executed() {
    let mut node = Node::new(4, 2);
    enter_view_one(&mut node, &[(2, 0, 1, digest(1))], &[digest(1)]);
    node.settle();
    let mut asked = Vec::new();
    for _ in 0..2 {
        node.pass(Duration::from_secs(1));
        node.settle();
        asked.extend(node.asks.drain(..).filter_map(|ask| match ask {
            Output::FetchContents { to, .. } => Some(to.0),
            _ => None,
        }));
    }
    assert_eq!(asked, [1, 3, 0]);
    node.hear(commit_certificate(&[0, 1, 3], 1, &batch(1)));
    node.settle();
    node.pass(Duration::from_secs(1));
    node.settle();
    assert!(node.asks.is_empty(), "{:?}", node.asks);
}

/// 5.4: whatever asks for it, a NEW-VIEW is signed for the view that this replica is in, and proposes in that view only.
#[test]
fn the_safety_file_signs_a_new_view_for_its_own_view_and_with_proposals_of_that_view_only() {
    let mut safety = Node::new(4, 1).engine.safety.clone();
    safety.enter_view(View(5));
    let mut sign = |view: u64, of: u64| {
        safety.sign_new_view(View(view), Default::default(), &[ballot_in(of, 1, null())]).map(drop)
    };
    assert_eq!(sign(9, 9), Err(Refusal::OtherView), "a view that it is not in");
    assert_eq!(sign(5, 1), Err(Refusal::OtherView), "a proposal of another view");
    assert_eq!(sign(9, 5), Err(Refusal::OtherView));
    assert_eq!(sign(5, 5), Ok(()));
}

#[test]
fn the_safety_file_signs_one_proposal_for_each_sequence_of_a_new_view() {
    let mut safety = Node::new(4, 1).engine.safety.clone();
    safety.enter_view(View(5));
    let mut sign = |ballots: &[Ballot]| safety.sign_new_view(View(5), Default::default(), ballots).map(drop);
    let twice = [ballot_in(5, 1, digest(1)), ballot_in(5, 1, digest(2))];
    let backwards = [ballot_in(5, 2, digest(1)), ballot_in(5, 1, digest(2))];
    assert_eq!(sign(&twice), Err(Refusal::Conflict));
    assert_eq!(sign(&backwards), Err(Refusal::Conflict));
    assert_eq!(sign(&[ballot_in(5, 1, digest(1)), ballot_in(5, 2, digest(2))]), Ok(()));
}

#[test]
fn the_safety_file_opens_no_view_in_which_it_has_proposed() {
    let mut safety = Safety::new(key(1), Digest::ZERO, Epoch(0), true);
    let body = ViewChange { epoch: Epoch(0), view: View(5), low: None, prepared: Default::default() };
    safety.sign_view_change(body).expect("the first");
    safety.sign_pre_prepare(ballot_in(5, 1, digest(1))).expect("the first");
    let again = safety.sign_new_view(View(5), Default::default(), &[ballot_in(5, 1, null())]);
    assert_eq!(again.err(), Some(Refusal::Conflict));
}

/// 6.4: the view was entered here, but this replica never opened it.
#[test]
fn a_new_view_of_its_own_key_that_it_never_sent_stops_a_replica_inside_the_view_change() {
    let mut node = Node::new(4, 1);
    node.input(unfair());
    node.settle();
    let named = [0, 2, 3].map(|signer| view_change(signer, 1, Vec::new()));
    node.hear(new_view(1, 1, &named, 1, &[]));
    assert!(node.engine.status().halted.is_some());
}

// ---- restarts and the trimmed journal (3.4, 5.1, 7.1, 7.2)

/// 2.6, 7.1: only these records are left of everything below the watermark.
#[test]
fn a_trim_keeps_the_active_view_and_the_floor() {
    let mut node = Node::new(4, 2);
    enter_view_one(&mut node, &[], &[]);
    executes(&mut node, 1..=K);
    node.log = trimmed(&mut node);
    node.restart(2, Vec::new());
    assert_eq!(view_of(&node), (1, true));
    assert_eq!(node.engine.safety.floor(), Height(K));
}

/// 5.1, 7.1: what was prepared below it is gone from the journal, whatever the store still holds.
#[test]
fn a_trim_keeps_the_proven_watermark() {
    let mut node = Node::new(4, 2);
    executes(&mut node, 1..=K);
    node.hear(Message::CertifiedCheckpoint(certified(K)));
    node.log = trimmed(&mut node);
    node.restart(2, Vec::new());
    executes(&mut node, 1..=K);
    node.input(unfair());
    let sent = view_changes_in(&node.settle());
    assert_eq!(sent.iter().map(|signed| signed.body.low(Height(0))).collect::<Vec<_>>(), [Height(K)]);
}

#[test]
fn a_trim_inside_a_view_change_keeps_the_own_view_change() {
    let mut node = Node::new(4, 2);
    executes(&mut node, 1..=K);
    node.input(unfair());
    let before = view_changes_in(&node.settle());
    node.log = trimmed(&mut node);
    node.restart(2, node.blocks.clone());
    assert_eq!(view_of(&node), (1, false));
    node.pass(Duration::from_secs(1));
    node.hear(Message::Status(sign(3, empty_status())));
    assert!(view_changes_in(&node.settle()).contains(&before[0]), "the same bytes");
}

/// 6.4: what it proposed in an older view comes back inside the P of others, and is no twin's.
#[test]
fn a_primary_knows_its_proposals_of_o_after_a_restart_and_after_a_trim() {
    let at = K + 1;
    for is_trimmed in [false, true] {
        let mut node = Node::new(4, 1);
        executes(&mut node, 1..=K);
        let low = || Some(certified(K));
        let p = || vec![super::view_change::prepared(1, 0, at, null())];
        [0, 2].iter().for_each(|i| node.hear(Message::ViewChange(view_change_from(*i, 1, low(), p()))));
        assert!(new_view_in(&node.settle()).is_some());
        node.input(unfair());
        node.settle();
        if is_trimmed {
            let (kept, carry) = (node.log.clone(), trimmed(&mut node));
            let is_above = |record: &Record| {
                record.sequence().is_some_and(|n| n.0 > K && !matches!(record, Record::Accepted { .. }))
            };
            node.log = kept.into_iter().filter(is_above).chain(carry).collect();
        } else {
            node.log.retain(|record| !matches!(record, Record::Accepted { .. }));
        }
        node.restart(1, node.blocks.clone());
        assert_eq!(view_of(&node), (2, false));
        let of_view_one = vec![super::view_change::prepared(1, 1, at, null())];
        node.hear(Message::ViewChange(view_change_from(0, 2, low(), of_view_one)));
        assert_eq!(node.engine.status().halted, None, "trimmed: {is_trimmed}");
    }
}

#[test]
fn what_is_prepared_above_a_watermark_outlives_it() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, K + 1, batch(9)));
    node.settle();
    [1, 3].iter().for_each(|i| node.hear(prepare(*i, K + 1, &batch(9))));
    executes(&mut node, 1..=K);
    trimmed(&mut node);
    node.input(unfair());
    let sent = view_changes_in(&node.settle());
    let p: Vec<_> = sent[0].body.prepared.iter().map(|p| p.pre_prepare.body.0).collect();
    assert_eq!(p, [ballot_in(0, K + 1, digest(9))]);
}

#[test]
fn the_memory_of_votes_goes_with_the_log() {
    let mut node = Node::new(4, 2);
    executes(&mut node, 1..=K);
    trimmed(&mut node);
    assert_eq!((node.engine.status().low, node.engine.safety.low()), (Height(K), Height(K)));
}

/// The bodies of what stands or is prepared are pinned over a restart by these names.
#[test]
fn what_is_accepted_or_prepared_is_kept_over_a_restart() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 1, batch(1)));
    node.hear(proposal(0, 2, batch(2)));
    node.settle();
    [1, 3].iter().for_each(|i| node.hear(prepare(*i, 1, &batch(1))));
    node.settle();
    let kept = [(Sequence(1), digest(1)), (Sequence(2), digest(2))];
    node.restart(2, Vec::new());
    assert!(node.engine.kept_contents().iter().eq(kept.iter()));
    node.input(unfair());
    node.settle();
    node.restart(2, Vec::new());
    assert_eq!(node.engine.content(Sequence(1), &digest(1)), Some(content(1)), "prepared in a left view");
}

#[test]
fn a_restarted_replica_gives_its_commit_again() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 1, batch(1)));
    node.settle();
    [1, 3].iter().for_each(|i| node.hear(prepare(*i, 1, &batch(1))));
    let before = votes_of(&node.settle());
    node.restart(2, Vec::new());
    node.pass(Duration::from_secs(1));
    node.hear(Message::Status(sign(3, empty_status())));
    assert!(votes_of(&node.settle()).contains(&before[0]));
    [0, 3].iter().for_each(|i| node.hear(commit(*i, 1, &batch(1))));
    node.settle();
    assert_eq!(node.executed(), 1, "its own counts");
}

/// A single replica that dies after its proposal is durable hears no message that would take it further.
#[test]
fn a_restarted_replica_goes_on_with_what_its_journal_holds() {
    let mut node = Node::new(1, 0);
    node.input(Input::Propose(batch(1)));
    let accepted = node.out.iter().find_map(|output| match output {
        Output::Persist { record, .. } => Some(record.clone()),
        _ => None,
    });
    node.log = accepted.into_iter().collect();
    node.restart(0, Vec::new());
    node.pass(Duration::ZERO);
    node.settle();
    assert_eq!(node.executed(), 1);
}

#[test]
fn a_restarted_replica_votes_for_what_its_view_proposes_again() {
    let named = [0, 1, 3].map(|signer| view_change(signer, 1, vec![super::view_change::prepared(2, 0, 1, null())]));
    let Message::NewView(opened) = new_view(1, 1, &named, 1, &[null()]) else { unreachable!() };
    let mut node = Node::new(4, 2);
    node.log.push(Record::NewView { new_view: opened, view_changes: named.to_vec() });
    node.restart(2, Vec::new());
    node.pass(Duration::ZERO);
    assert_eq!(prepares_in(&node.settle(), 2), [(1, null())]);
}

/// 3.6, 7.2: a floor at the height of the store is the rule, and no loss.
#[test]
fn a_restarted_replica_votes_again_for_what_it_had_executed_before() {
    let mut node = Node::new(4, 2);
    node.log.push(Record::Floor(Height(1)));
    node.restart(2, vec![first_block()]);
    enter_view_one(&mut node, &[(2, 0, 1, digest(1))], &[digest(1)]);
    assert_eq!(prepares_in(&node.settle(), 2), [(1, digest(1))]);
}

/// AC, 2.5: only what the store had lost is not spoken of again; the head that it still held is.
#[test]
fn the_head_of_a_store_that_lost_blocks_gets_its_checkpoint() {
    let mut node = Node::new(4, 2);
    node.log.push(Record::Floor(Height(2)));
    node.restart(2, vec![first_block()]);
    node.input(Input::Synced(synced(2, false)));
    let mut sent = node.settle();
    node.pass(Duration::from_secs(1));
    sent.extend(node.settle());
    let spoken: BTreeSet<u64> = sent.iter().filter_map(|(_, message)| height_of(message)).collect();
    assert_eq!(spoken, BTreeSet::from([1]));
}

fn height_of(message: &Message) -> Option<u64> {
    if let Message::Checkpoint(signed) = message { Some(signed.body.height.0) } else { None }
}

// ---- STATUS and certificates (4.1, 2.5)

fn ask(node: &mut Node, status: Status) -> Vec<Message> {
    node.pass(Duration::from_secs(1));
    node.settle();
    node.hear(Message::Status(sign(3, status)));
    node.settle().into_iter().filter(|(to, _)| *to == Some(NodeIndex(3))).map(|(_, message)| message).collect()
}

/// 3.4: no more than in any other message.
#[test]
fn an_own_proposal_is_shown_to_nobody_before_it_is_durable() {
    let mut node = Node::new(4, 0);
    node.input(Input::Propose(batch(1)));
    node.now = node.now + Duration::from_secs(1);
    node.hear(Message::Status(sign(3, empty_status())));
    let shown = node.out.iter().any(|output| matches!(output, Output::Send { message: Message::PrePrepare(_), .. }));
    assert!(!shown);
}

#[test]
fn a_peer_is_answered_at_the_pace_of_status() {
    let mut node = Node::new(4, 1);
    node.restart(1, vec![first_block()]);
    let answers: usize = (0..10)
        .map(|_| {
            node.hear(Message::Status(sign(3, empty_status())));
            node.settle().iter().filter(|(_, m)| matches!(m, Message::CommitCertificate(_))).count()
        })
        .sum();
    assert_eq!(answers, 1);
}

#[test]
fn who_lacks_a_certificate_is_given_it_or_the_checkpoints_or_is_served_from_the_store() {
    let asks = |height| Status {
        executed: Height(1),
        uncertified: vec![Height(height)].try_into().unwrap(),
        ..empty_status()
    };
    let mut node = Node::new(4, 1);
    node.hear(commit_certificate(&[0, 2, 3], 1, &batch(1)));
    node.settle();
    let hash = header_hash(Height(1), &content(1));
    assert_eq!(ask(&mut node, asks(1)).iter().filter_map(height_of).count(), 1, "its own");
    [0, 2].iter().for_each(|i| node.hear(checkpoint(*i, 1, hash)));
    let given = ask(&mut node, asks(1));
    assert!(given.iter().any(|message| matches!(message, Message::CertifiedCheckpoint(_))), "{given:?}");
    node.pass(Duration::from_secs(1));
    node.settle();
    node.engine.state.blocks.clear();
    for (height, served) in [(1, 1), (2, 0)] {
        node.pass(Duration::from_secs(1));
        node.settle();
        node.hear(Message::Status(sign(3, asks(height))));
        let count = node.out.iter().filter(|output| matches!(output, Output::ServeCertificate { .. })).count();
        assert_eq!(count, served, "height {height}");
        node.out.clear();
    }
}

#[test]
fn checkpoints_that_came_before_the_block_count() {
    let mut node = Node::new(4, 1);
    let hash = header_hash(Height(1), &content(1));
    [0, 2, 3].iter().for_each(|i| node.hear(checkpoint(*i, 1, hash)));
    node.hear(commit_certificate(&[0, 2, 3], 1, &batch(1)));
    node.settle();
    assert_eq!(node.engine.status().certified, Height(1));
}

#[test]
fn a_block_without_a_certificate_is_asked_for_however_old_it_is() {
    let mut node = Node::new(4, 1);
    for step in 1..=4 {
        executes(&mut node, (step - 1) * K + 1..=step * K);
        node.input(Input::Anchored(Height(step * K)));
    }
    node.settle();
    node.input(Input::PeerUp(NodeIndex(3)));
    let sent = node.settle();
    let uncertified = sent.iter().find_map(|(_, message)| match message {
        Message::Status(signed) => signed.body.uncertified.first().copied(),
        _ => None,
    });
    assert_eq!(uncertified, Some(Height(1)));
}

/// 4.3: f + 1 are one block ahead, and no votes bring it.
#[test]
fn a_replica_that_stands_still_one_block_behind_says_so() {
    let mut node = Node::new(4, 1);
    for signer in [2, 3] {
        node.hear(Message::Status(sign(signer, Status { executed: Height(1), ..empty_status() })));
    }
    node.pass(Duration::from_secs(1));
    let behind = node.out.iter().any(|output| matches!(output, Output::Behind { target: Height(1) }));
    assert!(behind, "{:?}", node.out);
}
