//! Leaving a view and what is told of it: conditions that the other tests did not miss when they were changed one by one.

use quorate_crypto::signed::Signed;

use super::{
    super::{
        message::{Message, Status, ViewChange, view_change_name},
        *,
    },
    edges::{content, digest, enter_view_one, hear_view_changes, tickets, unfair},
    harness::*,
    normal::votes_of,
    view_change::*,
};
use crate::id::{Height, NodeIndex, Sequence};

/// What it tells a peer whose link comes up.
fn status_of(node: &mut Node) -> Status {
    node.input(Input::PeerUp(NodeIndex(0)));
    let of = |(_, message): &(_, Message)| if let Message::Status(s) = message { Some(s.body.clone()) } else { None };
    node.settle().iter().find_map(of).expect("it tells its STATUS")
}

/// Joins replicas 0 and 3 in view 1, and takes the VIEW-CHANGE that others hear then.
fn leaves_with(node: &mut Node) -> Signed<ViewChange> {
    hear_view_changes(node, 1, &[0, 3], &[]);
    let mut sent = view_changes_in(&node.settle());
    assert_eq!(sent.len(), 1);
    sent.remove(0)
}

// ---- which VIEW-CHANGEs are held (3.4, 5.7)

/// Records become durable in any order; the VIEW-CHANGE of a view that was left is no longer this replica's.
#[test]
fn a_view_change_that_is_durable_after_the_next_one_does_not_replace_it() {
    let mut node = Node::new(4, 2);
    node.input(unfair());
    hear_view_changes(&mut node, 1, &[0, 1, 3], &[]);
    node.pass(node.engine.view_timeout());
    assert_eq!(view_of(&node), (2, false));
    let [first, second] = tickets(&node)[..] else { panic!("two VIEW-CHANGEs") };
    node.input(Input::Durable(second));
    node.input(Input::Durable(first));
    hear_view_changes(&mut node, 2, &[0, 3], &[]);
    assert_eq!(view_of(&node), (2, true), "its own of view 2 is the third of a quorum");
}

/// Nobody needs them any more: its NEW-VIEW brings others into the view. STATUS would go on to name them.
#[test]
fn a_view_change_that_comes_when_its_view_is_active_is_not_held() {
    let mut node = Node::new(4, 2);
    node.input(unfair());
    let [own] = tickets(&node)[..] else { panic!("one VIEW-CHANGE") };
    enter_view_one(&mut node, &[], &[]);
    assert_eq!(view_of(&node), (1, true));
    node.input(Input::Durable(own));
    assert_eq!(status_of(&mut node).view_changes, 0, "its own");
    let late = view_change(3, 1, vec![prepared(2, 0, 1, null())]);
    node.hear(Message::ViewChange(late.clone()));
    assert_eq!(node.engine.view_change(&view_change_name(&late)), None, "of another");
    assert_eq!(status_of(&mut node).view_changes, 0);
}

#[test]
fn a_view_change_to_a_view_that_was_left_is_not_held() {
    let mut node = Node::new(4, 1);
    hear_view_changes(&mut node, 2, &[0, 2], &[]);
    assert_eq!(view_of(&node), (2, false));
    let late = view_change(3, 1, Vec::new());
    node.hear(Message::ViewChange(late.clone()));
    assert_eq!(node.engine.view_change(&view_change_name(&late)), None);
}

/// 3.4: a relay may be faster than the answer of the own disk.
#[test]
fn its_own_view_change_relayed_back_does_not_count_before_it_is_durable() {
    let mut node = Node::new(4, 1);
    node.input(unfair());
    let of =
        |output: &Output| if let Output::Persist { release, .. } = output { Some(release[0].clone()) } else { None };
    let own = node.out.iter().find_map(of).expect("its VIEW-CHANGE");
    hear_view_changes(&mut node, 1, &[2, 3], &[]);
    node.hear(own);
    assert_eq!(view_of(&node), (1, false), "it opens its view with two of others and none of its own");
    node.settle();
    assert_eq!(view_of(&node), (1, true));
}

/// 5.7: or it would be noted with each of them that a VIEW-CHANGE was not signed, as if something were wrong.
#[test]
fn those_who_left_for_the_view_that_a_replica_is_in_are_not_joined_again() {
    let mut node = Node::new(4, 2);
    node.input(unfair());
    hear_view_changes(&mut node, 1, &[0, 3], &[]);
    assert_eq!(view_of(&node), (1, false));
    assert!(!node.notes().iter().any(|note| matches!(note, Note::NotSigned { .. })), "{:?}", node.notes());
}

// ---- what a VIEW-CHANGE proves (5.1, 5.3)

/// A watermark that others proved may be above what is still voted on here. A VIEW-CHANGE that proves it and has a certificate
/// below it verifies nowhere.
#[test]
fn what_is_prepared_below_a_proven_watermark_is_not_in_p() {
    let mut node = Node::new(4, 2);
    node.hear(Message::CertifiedCheckpoint(certified(K)));
    node.hear(proposal(0, 1, batch(1)));
    node.settle();
    [1, 3].iter().for_each(|i| node.hear(prepare(*i, 1, &batch(1))));
    let voted = votes_of(&node.settle());
    assert!(voted.iter().any(|vote| matches!(vote, Message::Commit(_))), "it is prepared: {voted:?}");
    let left = leaves_with(&mut node);
    assert_eq!((left.body.low(Height(0)), left.body.prepared.len()), (Height(K), 0));
    assert!(verify(4, Message::ViewChange(left)).is_some());
}

/// Every block gets its certificate, in any order; only those of watermarks prove anything in a VIEW-CHANGE.
#[test]
fn a_view_change_proves_the_highest_watermark_and_no_other_height() {
    let cases: [(&[u64], u64); 6] =
        [(&[], 0), (&[0], 0), (&[1], 0), (&[K, K + 1], K), (&[K, 2 * K], 2 * K), (&[2 * K, K], 2 * K)];
    for (certificates, proven) in cases {
        let mut node = Node::new(4, 2);
        certificates.iter().for_each(|height| node.hear(Message::CertifiedCheckpoint(certified(*height))));
        let left = leaves_with(&mut node);
        assert_eq!(left.body.low(Height(0)), Height(proven), "{certificates:?}");
        assert!(verify(4, Message::ViewChange(left)).is_some(), "{certificates:?}");
    }
}

// ---- what a digest stands for (5.4)

/// A primary that proposes one batch here and another to the rest may have the other one committed: each is told of by its own
/// digest, in this view and after it.
#[test]
fn content_is_what_was_accepted_or_committed_under_that_digest_and_nothing_else() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 2, batch(1)));
    node.settle();
    node.hear(commit_certificate(&[0, 1, 3], 2, &batch(2)));
    for view in [0, 1] {
        let told = |number| node.engine.content(Sequence(2), &digest(number));
        assert_eq!(told(1), Some(content(1)), "accepted, view {view}");
        assert_eq!(told(2), Some(content(2)), "committed, view {view}");
        assert_eq!(told(3), None, "view {view}");
        assert_eq!(node.engine.content(Sequence(1), &digest(1)), None, "accepted elsewhere, view {view}");
        node.input(unfair());
        node.settle();
    }
    assert_eq!(view_of(&node).0, 1);
}

/// A later primary asks for it by the certificate in this replica's P, however many views have not proposed it meanwhile. What
/// was only accepted is told of for one view: others had that long to name it.
#[test]
fn content_of_what_is_prepared_outlives_views_that_do_not_propose_it() {
    let mut node = Node::new(4, 2);
    node.hear(proposal(0, 1, batch(1)));
    node.hear(proposal(0, 2, batch(2)));
    node.settle();
    [1, 3].iter().for_each(|i| node.hear(prepare(*i, 1, &batch(1))));
    node.settle();
    enter_view_one(&mut node, &[], &[]);
    node.settle();
    let told = |node: &Node, n| node.engine.content(Sequence(n), &digest(u8::try_from(n).unwrap()));
    assert_eq!((told(&node, 1), told(&node, 2)), (Some(content(1)), Some(content(2))));
    node.input(unfair());
    assert_eq!(view_of(&node), (2, false));
    assert_eq!((told(&node, 1), told(&node, 2)), (Some(content(1)), None));
}

/// 5.4: a view that began at a watermark above this replica's own moves its window only while it lasts.
#[test]
fn of_what_committed_only_what_is_in_its_own_window_stays_when_a_view_is_left() {
    let mut node = Node::new(4, 2);
    let named = [0, 1, 3].map(|signer| view_change_from(signer, 1, Some(certified(2 * K)), Vec::new()));
    hear_view_one(&mut node, &named, 2 * K + 1, &[]);
    let (inside, beyond) = (L, 2 * K + L);
    node.hear(commit_certificate(&[0, 1, 3], inside, &batch(1)));
    node.hear(commit_certificate(&[0, 1, 3], beyond, &batch(2)));
    let told = |node: &Node| [(inside, 1), (beyond, 2)].map(|(n, of)| node.engine.content(Sequence(n), &digest(of)));
    assert_eq!(told(&node), [Some(content(1)), Some(content(2))]);
    hear_view_changes(&mut node, 2, &[0, 3], &[]);
    assert_eq!(view_of(&node), (2, false));
    assert_eq!(told(&node), [Some(content(1)), None]);
}
