//! Each rule of the normal case with the attack that it stops.

use std::time::Duration;

use proptest::prelude::*;
use quorate_crypto::{encode::BoundedVec, hash::Digest, signed::Signed};

use super::{
    super::{
        message::{
            Ballot, CertifiedCheckpoint, Commit, CommitCertificate, Content, PrePrepare, Prepare, Proposal, Status,
        },
        safety::Refusal,
        *,
    },
    harness::*,
};
use crate::{
    document::{Certificate, Checkpoint, Proof},
    id::{Epoch, Height, NodeIndex, Sequence, View},
    time::Instant,
};

#[test]
fn four_replicas_commit_execute_and_certify() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[0].input(Input::Propose(batch(1)));
    cluster.run(|_, _, _| true);
    for node in &cluster.nodes {
        let status = node.engine.status();
        assert_eq!((status.executed, status.certified), (Height(1), Height(1)));
    }
}

#[test]
fn a_single_replica_passes_every_phase_without_a_message() {
    let mut node = Node::new(1, 0);
    node.input(Input::Propose(batch(1)));
    node.settle();
    assert_eq!(node.engine.status().certified, Height(1));
}

#[test]
fn message_counts_match_the_textbook_with_f_silent_replicas() {
    for (n, pre_prepare, prepare, commit) in [(4, 3, 6, 9), (7, 6, 24, 30), (10, 9, 54, 63), (13, 12, 96, 108)] {
        let mut cluster = Cluster::new(n);
        let f = set(n).f();
        cluster.nodes[0].input(Input::Propose(batch(1)));
        cluster.run(|_, to, _| to < n - f);
        assert_eq!(cluster.counts["pre-prepare"], pre_prepare, "n = {n}");
        assert_eq!(cluster.counts["prepare"], prepare, "n = {n}");
        assert_eq!(cluster.counts["commit"], commit, "n = {n}");
        assert!(cluster.nodes[..n - f].iter().all(|node| node.executed() == 1), "n = {n}");
    }
}

/// 3.4: whatever an engine is told, a vote that is not durable is in no message, not even in an answer to STATUS.
#[test]
fn a_vote_leaves_only_with_its_record() {
    let mut node = Node::new(4, 1);
    let first = batch(1);
    node.hear(proposal(0, 1, first.clone()));
    node.input(Input::Checked { sequence: Sequence(1), digest: first.digest(), verdict: Verdict::Held });
    node.hear(prepare(2, 1, &first));
    node.hear(prepare(3, 1, &first));
    node.now = node.now + Duration::from_secs(1);
    node.hear(Message::Status(sign(2, empty_status())));
    let own = key(1).public_key();
    let leaked = node.out.iter().any(|output| match output {
        Output::Send { message: Message::Prepare(vote), .. } => vote.signer == own,
        Output::Broadcast(Message::Prepare(_) | Message::Commit(_) | Message::PrePrepare(_)) => true,
        _ => false,
    });
    assert!(!leaked, "an own vote left before its record was durable");
    let released = node.out.iter().any(
        |output| matches!(output, Output::Persist { release, .. } if matches!(release[..], [Message::Prepare(_)])),
    );
    assert!(released, "the PREPARE waits in its record's release");
}

pub(super) fn empty_status() -> Status {
    Status {
        epoch: Epoch(0),
        view: View(0),
        active: true,
        low: Height(0),
        executed: Height(0),
        slots: Default::default(),
        uncertified: BoundedVec::default(),
        view_changes: 0,
    }
}

/// 3.4: n = 4, q - 1 = 2. One PREPARE of another backup and one's own that is still on its way to the disk do not prepare.
#[test]
fn the_own_vote_counts_only_when_durable() {
    let mut node = Node::new(4, 1);
    let first = batch(1);
    node.hear(proposal(0, 1, first.clone()));
    node.input(Input::Checked { sequence: Sequence(1), digest: first.digest(), verdict: Verdict::Held });
    node.hear(prepare(2, 1, &first));
    let commits = |node: &Node| node.out.iter().filter(|output| is_commit_record(output)).count();
    assert_eq!(commits(&node), 0, "prepared on a vote that a crash would lose");
    let ticket = node.out.iter().find_map(|output| match output {
        Output::Persist { ticket, .. } => Some(*ticket),
        _ => None,
    });
    node.input(Input::Durable(ticket.unwrap()));
    assert_eq!(commits(&node), 1);
}

pub(super) fn is_commit_record(output: &Output) -> bool {
    matches!(output, Output::Persist { record: Record::Prepared { .. }, .. })
}

/// 3.5: with the primary's PREPARE counted, the PRE-PREPARE would count twice, and two faulty replicas' worth of votes
/// would be one.
#[test]
fn the_primarys_prepare_is_not_counted() {
    let mut node = Node::new(4, 1);
    let first = batch(1);
    node.hear(proposal(0, 1, first.clone()));
    node.settle();
    node.hear(prepare(0, 1, &first));
    assert!(!node.out.iter().any(is_commit_record));
    assert!(matches!(node.notes()[..], [Note::PrimaryPrepared(_)]));
    node.hear(prepare(3, 1, &first));
    assert!(node.out.iter().any(is_commit_record));
}

/// 3.2: equivocation. The first digest at a place stands, and both are kept as evidence.
#[test]
fn a_second_digest_at_one_place_is_never_accepted() {
    let mut node = Node::new(4, 1);
    node.hear(proposal(0, 1, batch(1)));
    node.settle();
    node.hear(proposal(0, 1, batch(2)));
    assert!(!node.out.iter().any(|output| matches!(output, Output::Check { .. } | Output::Persist { .. })));
    let [Note::Evidence(evidence)] = &node.notes()[..] else { panic!("the two proposals are evidence") };
    assert!(evidence.is_conflict());
    assert_eq!(evidence.accused(), key(0).public_key());
}

/// The refused proposal stands: another one at the same place would be a second digest.
#[test]
fn a_refused_proposal_still_occupies_its_place() {
    let mut node = Node::new(4, 1);
    node.hear(proposal(0, 1, batch(1)));
    let verdict = Verdict::Refused("a test".to_owned());
    node.input(Input::Checked { sequence: Sequence(1), digest: batch(1).digest(), verdict });
    node.out.clear();
    node.hear(proposal(0, 1, batch(2)));
    assert!(!node.out.iter().any(|output| matches!(output, Output::Check { .. } | Output::Persist { .. })));
}

#[test]
fn a_proposal_of_a_backup_is_ignored() {
    let mut node = Node::new(4, 1);
    node.hear(proposal(2, 1, batch(1)));
    assert!(node.out.is_empty());
}

#[test]
fn a_proposal_of_another_view_is_ignored() {
    let mut node = Node::new(4, 2);
    let content = Content::Batch(batch(1));
    let ballot = Ballot { view: View(1), ..ballot(1, content.digest()) };
    let pre_prepare = sign(1, PrePrepare(ballot));
    node.hear(Message::PrePrepare(Proposal { pre_prepare, content }));
    assert!(node.out.is_empty());
}

#[test]
fn a_proposal_outside_of_the_window_is_ignored() {
    let mut node = Node::new(4, 1);
    for sequence in [0, L + 1, u64::MAX] {
        node.hear(proposal(0, sequence, batch(1)));
        assert!(node.out.is_empty(), "sequence {sequence}");
    }
    node.hear(proposal(0, L, batch(1)));
    assert!(matches!(node.out[..], [Output::Check { .. }]));
}

/// 1.2: null is legal only in a NEW-VIEW.
#[test]
fn a_null_proposal_is_refused() {
    let mut node = Node::new(4, 1);
    let pre_prepare = sign(0, PrePrepare(ballot(1, Content::Null.digest())));
    node.hear(Message::PrePrepare(Proposal { pre_prepare, content: Content::Null }));
    assert!(matches!(node.out[..], [Output::Note(Note::Refused { .. })]));
}

/// A digest without its batch, or with another's: the message never verifies.
#[test]
fn a_proposal_whose_batch_has_another_digest_does_not_verify() {
    let pre_prepare = sign(0, PrePrepare(ballot(1, batch(1).digest())));
    let message = Message::PrePrepare(Proposal { pre_prepare, content: Content::Batch(batch(2)) });
    assert!(verify(4, message).is_none());
}

/// 3.5: a key votes once. Two COMMITs of one liar and one of another do not make a quorum of three.
#[test]
fn a_key_that_votes_twice_counts_once() {
    let mut node = Node::new(4, 1);
    let first = batch(1);
    node.hear(proposal(0, 1, first.clone()));
    node.settle();
    [2, 3].into_iter().for_each(|i| node.hear(prepare(i, 1, &first)));
    node.settle();
    node.hear(commit(2, 1, &batch(9)));
    node.hear(commit(2, 1, &first));
    node.hear(commit(3, 1, &first));
    assert!(matches!(node.notes()[..], [Note::Evidence(_)]));
    node.settle();
    assert_eq!(node.executed(), 0, "its own COMMIT and another's are no quorum of three");
    node.hear(commit(0, 1, &first));
    node.settle();
    assert_eq!(node.executed(), 1);
}

/// 4.2: q COMMITs with the batch need no prepared state, no PRE-PREPARE, nothing.
#[test]
fn a_commit_certificate_is_executed_from_nothing() {
    let mut node = Node::new(4, 1);
    node.hear(commit_certificate(&[0, 2, 3], 1, &batch(1)));
    node.settle();
    assert_eq!(node.executed(), 1);
}

#[test]
fn commit_certificates_with_doubled_or_too_few_or_foreign_signers_do_not_verify() {
    assert!(verify(4, commit_certificate(&[0, 2, 2], 1, &batch(1))).is_none());
    assert!(verify(4, commit_certificate(&[0, 2], 1, &batch(1))).is_none());
    assert!(verify(4, commit_certificate(&[0, 2, 9], 1, &batch(1))).is_none());
    assert!(verify(4, commit_certificate(&[0, 1, 2, 3], 1, &batch(1))).is_none());
    assert!(verify(4, commit_certificate(&[0, 1, 2], 1, &batch(1))).is_some());
}

/// 3.5, 4.2: COMMITs of different ballots never mix, whichever part of the ballot differs.
#[test]
fn a_commit_certificate_of_mixed_ballots_does_not_verify() {
    let batch = batch(1);
    let ballot = ballot(1, batch.digest());
    let certificate = |third: Ballot| {
        let commits = vec![sign(0, Commit(ballot)), sign(2, Commit(ballot)), sign(3, Commit(third))];
        let (commits, content) = (commits.try_into().unwrap(), Content::Batch(batch.clone()));
        Message::CommitCertificate(CommitCertificate { commits, content })
    };
    assert!(verify(4, certificate(ballot)).is_some());
    assert!(verify(4, certificate(Ballot { view: View(1), ..ballot })).is_none());
    assert!(verify(4, certificate(Ballot { sequence: Sequence(2), ..ballot })).is_none());
    assert!(verify(4, certificate(Ballot { digest: Content::Null.digest(), ..ballot })).is_none());
}

/// A COMMIT signature never passes for a PREPARE, nor one chain's vote for another's.
#[test]
fn votes_are_bound_to_their_kind_chain_and_epoch() {
    let ballot = ballot(1, batch(1).digest());
    let as_commit = sign(2, Commit(ballot));
    let forged = Signed { body: Prepare(ballot), signer: as_commit.signer, signature: as_commit.signature };
    assert!(verify(4, Message::Prepare(forged)).is_none());
    let other_chain = Signed::sign(Prepare(ballot), &Digest::from_bytes([1; 32]), &key(2));
    assert!(verify(4, Message::Prepare(other_chain)).is_none());
    let other_epoch = sign(2, Prepare(Ballot { epoch: Epoch(1), ..ballot }));
    assert!(verify(4, Message::Prepare(other_epoch)).is_none());
    let stranger = Signed::sign(Prepare(ballot), &Digest::ZERO, &key(20));
    assert!(verify(4, Message::Prepare(stranger)).is_none());
}

/// PR over restarts: the journal's vote goes out again byte for byte, and no other vote ever at its place.
#[test]
fn a_restarted_backup_repeats_its_vote_and_casts_no_other() {
    let mut node = Node::new(4, 1);
    node.hear(proposal(0, 1, batch(1)));
    let before: Vec<_> = votes_of(&node.settle());
    assert_eq!(before.len(), 1);
    node.restart(1, Vec::new());
    node.hear(proposal(0, 1, batch(2)));
    assert_eq!(votes_of(&node.settle()), Vec::new());
    node.now = node.now + Duration::from_secs(1);
    node.hear(Message::Status(sign(2, empty_status())));
    assert_eq!(votes_of(&node.settle()), before, "the same bytes go out again");
}

pub(super) fn votes_of(sent: &[(Option<NodeIndex>, Message)]) -> Vec<Message> {
    let votes =
        sent.iter().map(|(_, message)| message).filter(|m| matches!(m, Message::Prepare(_) | Message::Commit(_)));
    votes.cloned().collect()
}

#[test]
fn a_restarted_primary_goes_on_after_its_last_proposal() {
    let mut node = Node::new(4, 0);
    node.input(Input::Propose(batch(1)));
    node.settle();
    node.restart(0, Vec::new());
    node.input(Input::Propose(batch(2)));
    let sent = node.settle();
    let proposed = sent.iter().find_map(|(_, message)| match message {
        Message::PrePrepare(proposal) => Some(proposal.ballot().sequence),
        _ => None,
    });
    assert_eq!(proposed, Some(Sequence(2)));
}

/// The block of `batch(1)` at height 1, durable and without a certificate.
pub(super) fn first_block() -> DurableBlock {
    let content = Content::Batch(batch(1));
    let Message::CommitCertificate(commits) = commit_certificate(&[0, 1, 2], 1, &batch(1)) else { unreachable!() };
    DurableBlock {
        height: Height(1),
        digest: content.digest(),
        header_hash: header_hash(Height(1), &content),
        commits: Some(commits),
        certificate: None,
    }
}

/// 2.5: all replicas die with the block durable and no certificate; after the restart it is certified unaided.
#[test]
fn blocks_without_a_certificate_get_one_after_a_restart_of_all() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[0].input(Input::Propose(batch(1)));
    cluster.run(|_, _, message| !matches!(message, Message::Checkpoint(_)));
    for (me, node) in cluster.nodes.iter_mut().enumerate() {
        assert_eq!(node.engine.status().certified, Height(0));
        node.restart(me, vec![first_block()]);
    }
    cluster.pass(Duration::ZERO);
    cluster.run(|_, _, _| true);
    for node in &cluster.nodes {
        assert_eq!(node.engine.status().certified, Height(1));
    }
}

/// 4.1: whatever is lost comes back by STATUS, with no new request to nudge it.
#[test]
fn lost_votes_come_back_by_status() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[0].input(Input::Propose(batch(1)));
    let mut lost = 0;
    cluster.run(|_, to, message| {
        let lose = matches!(message, Message::Commit(_) | Message::Prepare(_)) && to != 3;
        lost += usize::from(lose);
        !lose
    });
    assert!(lost > 0);
    assert_eq!(cluster.nodes[1].executed(), 0);
    for _ in 0..6 {
        cluster.pass(Duration::from_millis(200));
        cluster.run(|_, _, _| true);
    }
    for node in &cluster.nodes {
        assert_eq!(node.engine.status().certified, Height(1));
    }
}

/// 4.1, 4.2: the only replica that holds a block has no votes for it any more, only their certificate. Until f + 1 are ahead
/// nobody asks for blocks; without this answer the others would end the view.
#[test]
fn a_laggard_of_any_view_is_sent_the_commit_certificate_and_nothing_else_of_the_slot() {
    for (view, active) in [(0, true), (0, false), (3, false), (3, true)] {
        let mut node = Node::new(4, 1);
        node.restart(1, vec![first_block()]);
        node.hear(Message::Status(sign(2, Status { view: View(view), active, ..empty_status() })));
        let sent = node.settle();
        let of_slot: Vec<_> = sent
            .iter()
            .filter(|(to, message)| *to == Some(NodeIndex(2)) && !matches!(message, Message::Status(_)))
            .map(|(_, message)| message)
            .collect();
        let Some(expected) = first_block().commits else { unreachable!() };
        assert_eq!(of_slot, [&Message::CommitCertificate(expected)], "view {view}, active {active}");
    }
    let mut node = Node::new(4, 1);
    node.restart(1, vec![first_block()]);
    node.hear(Message::Status(sign(2, Status { executed: Height(1), ..empty_status() })));
    let again = node.settle().into_iter().any(|(_, message)| matches!(message, Message::CommitCertificate(_)));
    assert!(!again, "who has executed it is sent none");
}

/// backup_kept_in_the_dark: it never hears the primary, and catches up by a certificate.
#[test]
fn a_backup_that_never_hears_the_primary_catches_up() {
    let mut cluster = Cluster::new(4);
    cluster.nodes[0].input(Input::Propose(batch(1)));
    cluster.run(|from, to, _| !(from == 0 && to == 3));
    for _ in 0..4 {
        cluster.pass(Duration::from_millis(200));
        cluster.run(|from, to, _| !(from == 0 && to == 3));
    }
    assert_eq!(cluster.nodes[3].executed(), 1);
}

/// 2.6: the watermark waits for the certificate to be durable, and everything at or below it goes.
#[test]
fn the_low_watermark_moves_when_the_certificate_is_durable() {
    let mut cluster = Cluster::new(4);
    for number in 1..=K {
        cluster.nodes[0].input(Input::Propose(batch(u8::try_from(number).unwrap())));
        cluster.run(|_, _, _| true);
    }
    for node in &cluster.nodes {
        let status = node.engine.status();
        assert_eq!((status.low, status.high), (Height(K), Height(K + L)));
    }
    let mut node = Node::new(4, 1);
    for number in 1..=K {
        let batch = batch(u8::try_from(number).unwrap());
        node.hear(commit_certificate(&[0, 2, 3], number, &batch));
    }
    node.settle();
    let hash = header_hash(Height(K), &Content::Batch(batch(u8::try_from(K).unwrap())));
    [0, 2].into_iter().for_each(|i| node.hear(checkpoint(i, K, hash)));
    let asked = node.out.iter().any(|output| matches!(output, Output::Certify { anchor: true, .. }));
    assert!(asked);
    assert_eq!(node.engine.status().low, Height(0), "asked for is not durable");
}

/// false_checkpoints: one liar far ahead moves neither the watermark nor anybody's target, and fills no memory.
#[test]
fn one_replicas_checkpoints_far_ahead_do_nothing() {
    let mut node = Node::new(4, 1);
    for height in (1..500).chain([u64::MAX]) {
        node.hear(checkpoint(3, height, Digest::from_bytes([9; 32])));
    }
    node.pass(Duration::from_secs(5));
    assert!(!node.out.iter().any(|output| matches!(output, Output::Behind { .. } | Output::Certify { .. })));
    assert_eq!(node.engine.status().low, Height(0));
    node.hear(checkpoint(2, 40, Digest::from_bytes([9; 32])));
    node.pass(Duration::from_secs(5));
    let target = node.out.iter().find_map(|o| if let Output::Behind { target } = o { Some(*target) } else { None });
    assert_eq!(target, Some(Height(40)), "f + 1 are ahead: the lower of the two heights is real");
}

/// 4.5: an own header against a certificate stops the node.
#[test]
fn a_replica_that_diverged_signs_nothing_more() {
    let mut node = Node::new(4, 1);
    node.hear(commit_certificate(&[0, 2, 3], 1, &batch(1)));
    node.settle();
    let other = Digest::from_bytes([9; 32]);
    [0, 2].into_iter().for_each(|i| node.hear(checkpoint(i, 1, other)));
    assert!(node.engine.status().halted.is_none(), "two are no quorum");
    node.hear(checkpoint(3, 1, other));
    assert!(node.engine.status().halted.unwrap().contains("diverged"));
    node.out.clear();
    node.hear(proposal(0, 2, batch(2)));
    assert!(node.out.is_empty());
}

#[test]
fn a_synced_block_that_executes_to_another_header_stops_the_replica() {
    let mut node = Node::new(4, 1);
    let certificate = Certificate { signatures: BoundedVec::default() };
    let synced = Synced {
        height: Height(1),
        header_hash: Digest::from_bytes([9; 32]),
        content: Content::Batch(batch(1)),
        proof: Proof::Certificate(certificate),
    };
    node.input(Input::Synced(synced));
    node.settle();
    assert!(node.engine.status().halted.unwrap().contains("diverged"));
    assert_eq!(node.executed(), 0);
}

/// 6.4: a valid vote of its own key that it never cast means that another process has the key.
/// 4.5: two and two of four, and no third header can come: everybody can say so.
#[test]
fn headers_that_can_never_be_certified_are_told() {
    let mut node = Node::new(4, 1);
    node.hear(commit_certificate(&[0, 2, 3], 1, &batch(1)));
    node.settle();
    node.hear(checkpoint(0, 1, header_hash(Height(1), &Content::Batch(batch(1)))));
    node.hear(checkpoint(2, 1, header_hash_of(7)));
    assert_eq!(node.engine.status().state_diverged, None, "the fourth may still decide");
    node.hear(checkpoint(3, 1, header_hash_of(7)));
    assert_eq!(node.engine.status().state_diverged, Some(Height(1)));
}

/// AC: a node whose store was fetched again after it diverged does not sign the true header beside its own wrong one.
#[test]
fn a_block_that_the_store_had_lost_is_not_spoken_of_again() {
    let mut node = without_its_store(1, None, None);
    let floor = node.engine.safety.floor();
    for height in 1..=floor.0 {
        node.input(Input::Synced(synced(height, height != floor.0)));
    }
    let mut sent = node.settle();
    node.pass(Duration::from_secs(1));
    sent.extend(node.settle());
    assert_eq!(node.executed(), floor.0);
    assert!(!sent.iter().any(|(_, message)| matches!(message, Message::Checkpoint(_))));
}

#[test]
fn a_fresh_vote_of_its_own_key_stops_the_replica() {
    let mut node = Node::new(4, 1);
    node.hear(proposal(0, 1, batch(1)));
    let own = votes_of(&node.settle()).remove(0);
    node.hear(own);
    assert!(node.engine.status().halted.is_none(), "its own vote, relayed back, is no twin's");
    node.hear(prepare(1, 1, &batch(2)));
    assert!(node.engine.status().halted.unwrap().contains("two processes"));
}

/// 6.4: without a trusted log it follows, and casts no vote.
#[test]
fn an_amnesiac_follows_and_does_not_vote() {
    let durable = Durable { records: None, ..Durable::default() };
    let engine = Engine::recover(config(4, 1), key(1), durable, Instant::ORIGIN);
    let mut node = Node { engine, n: 4, now: Instant::ORIGIN, log: Vec::new(), out: Vec::new(), ..Node::new(4, 1) };
    let first = batch(1);
    node.hear(proposal(0, 1, first.clone()));
    [0, 2, 3].into_iter().for_each(|i| node.hear(commit(i, 1, &first)));
    let sent = node.settle();
    assert_eq!(node.executed(), 1);
    assert!(node.log.is_empty());
    assert!(sent.iter().all(|(_, message)| matches!(message, Message::Status(_))), "{sent:?}");
    assert_eq!(node.engine.status().standing, Err(Refusal::NotVoting));
    node.hear(prepare(1, 2, &batch(7)));
    assert!(node.engine.status().halted.is_none(), "an old vote of its own does not stop it: it votes no more");
}

/// 7.2: blocks below the floor are missing, so nothing is signed; when they are back, what was proposed meanwhile is voted
/// for. Without looking again, the slot would wait for ever.
#[test]
fn a_replica_below_its_floor_votes_for_what_it_heard_once_its_blocks_are_back() {
    let mut node = Node::new(4, 1);
    node.log.push(Record::Floor(Height(1)));
    node.restart(1, Vec::new());
    node.hear(proposal(0, 2, batch(2)));
    assert!(votes_of(&node.settle()).is_empty());
    node.hear(commit_certificate(&[0, 2, 3], 1, &batch(1)));
    let votes = votes_of(&node.settle());
    assert!(matches!(votes[..], [Message::Prepare(_)]), "{votes:?}");
}

/// 9.3: a liar is told of once for each kind of lie, however often it lies.
#[test]
fn a_liar_does_not_fill_the_log() {
    let mut node = Node::new(4, 1);
    for number in 1..20 {
        node.hear(prepare(2, 1, &batch(number)));
        node.hear(prepare(0, 1, &batch(number)));
        node.hear(commit(2, 1, &batch(number)));
    }
    assert_eq!(node.notes().len(), 3);
}

/// A block as another node's chain has it; with q CHECKPOINTs it is certified, with q COMMITs it is not yet.
pub(super) fn synced(height: u64, certified: bool) -> Synced {
    let batch = batch(u8::try_from(height).unwrap());
    let Message::CommitCertificate(commits) = commit_certificate(&[0, 2, 3], height, &batch) else { unreachable!() };
    let content = Content::Batch(batch);
    let certificate = Proof::Certificate(Certificate { signatures: BoundedVec::default() });
    let proof = if certified { certificate } else { Proof::Commits(commits.commits) };
    Synced { height: Height(height), header_hash: header_hash(Height(height), &content), content, proof }
}

/// A node whose chain store is gone, and whose vote log is as it was when the chain stood at 20.
fn without_its_store(me: usize, accepted: Option<Message>, prepare: Option<Message>) -> Node {
    let mut node = Node::new(4, me);
    node.log.push(Record::Floor(Height(20)));
    if let Some(Message::PrePrepare(proposal)) = accepted {
        let prepare = prepare.map(|message| if let Message::Prepare(vote) = message { vote } else { unreachable!() });
        let Proposal { pre_prepare, content } = proposal;
        node.log.push(Record::Accepted { pre_prepare, content: Some(content), prepare });
    }
    node.restart(me, Vec::new());
    node
}

/// 7.1, 7.2: the store is back at 0, so that the window ends far below what was voted for; the votes bind nevertheless.
#[test]
fn votes_above_the_window_of_a_lost_store_are_remembered() {
    let mut backup = without_its_store(1, Some(proposal(0, 21, batch(1))), Some(prepare(1, 21, &batch(1))));
    backup.hear(prepare(1, 21, &batch(1)));
    assert!(backup.engine.status().halted.is_none(), "its own vote, relayed back, is no twin's");
    for height in 1..=20 {
        backup.input(Input::Synced(synced(height, true)));
        backup.settle();
    }
    assert_eq!(backup.executed(), 20);
    backup.hear(proposal(0, 21, batch(2)));
    assert_eq!(votes_of(&backup.settle()), Vec::new(), "another digest at a place where it has voted");
}

#[test]
fn a_primary_that_lost_its_store_proposes_nothing_a_second_time() {
    let mut primary = without_its_store(0, Some(proposal(0, 21, batch(1))), None);
    for height in 1..=20 {
        primary.input(Input::Synced(synced(height, true)));
        primary.settle();
    }
    primary.input(Input::Propose(batch(2)));
    let proposed = |sent: Vec<(Option<NodeIndex>, Message)>| -> Vec<(u64, Digest)> {
        let ballots = sent.iter().filter_map(|(_, message)| match message {
            Message::PrePrepare(proposal) => Some(proposal.ballot()),
            _ => None,
        });
        ballots.map(|ballot| (ballot.sequence.0, ballot.digest)).collect()
    };
    assert_eq!(proposed(primary.settle()), [(22, batch(2).digest())]);
    primary.pass(Duration::from_secs(1));
    primary.hear(Message::Status(sign(2, Status { low: Height(20), executed: Height(20), ..empty_status() })));
    let again = proposed(primary.settle());
    assert!(again.contains(&(21, batch(1).digest())), "the batch that was in flight goes on: {again:?}");
}

/// The log up to the floor may have been given up, so nobody knows what was voted for there.
#[test]
fn nothing_is_voted_for_up_to_the_floor_of_a_lost_store() {
    let mut node = without_its_store(1, None, None);
    node.hear(commit(1, 7, &batch(7)));
    assert!(node.engine.status().halted.is_none(), "an old vote of its own is no twin's");
    for height in 1..=20 {
        node.input(Input::Synced(synced(height, height <= 16)));
        node.settle();
    }
    assert_eq!((node.executed(), node.engine.status().low), (20, Height(16)));
    node.hear(proposal(0, 17, batch(17)));
    assert_eq!(votes_of(&node.settle()), Vec::new());
    node.hear(proposal(0, 21, batch(21)));
    assert_eq!(votes_of(&node.settle()).len(), 1, "above the floor it votes");
}

/// 2.5: they die between the block and the record of the floor, so that no CHECKPOINT was ever signed; it is after the
/// restart, with no further block to nudge it.
#[test]
fn a_block_whose_floor_was_not_recorded_gets_its_checkpoint_after_a_restart() {
    let mut cluster = Cluster::new(4);
    for (me, node) in cluster.nodes.iter_mut().enumerate() {
        node.restart(me, vec![first_block()]);
    }
    cluster.pass(Duration::ZERO);
    cluster.run(|_, _, _| true);
    for node in &cluster.nodes {
        assert_eq!(node.engine.status().certified, Height(1));
        assert!(node.log.contains(&Record::Floor(Height(1))), "recorded before it left");
    }
}

/// 7.2: a higher floor that is still on its way to the disk covers nothing.
#[test]
fn a_checkpoint_leaves_only_when_a_floor_is_durable() {
    let mut node = Node::new(4, 1);
    let content = Content::Batch(batch(1));
    let (digest, header_hash) = (content.digest(), header_hash(Height(1), &content));
    let block = DurableBlock { height: Height(1), digest, header_hash, commits: None, certificate: None };
    node.restart(1, vec![block]);
    node.hear(commit_certificate(&[0, 2, 3], 2, &batch(2)));
    let executed = header_hash_of(2);
    node.input(Input::Executed { height: Height(2), header_hash: executed, settled: 1, expired: false });
    node.pass(Duration::from_secs(1));
    let leaks = node.out.iter().any(|output| matches!(output, Output::Broadcast(Message::Checkpoint(_))));
    assert!(!leaks, "no floor is durable yet");
}

fn header_hash_of(number: u8) -> Digest {
    header_hash(Height(u64::from(number)), &Content::Batch(batch(number)))
}

/// 6.4: a log that is older than what peers can prove is not to be voted on. What proves it is mostly a certificate.
#[test]
fn own_votes_inside_certificates_prove_a_log_too_old() {
    let mut node = Node::new(4, 1);
    node.hear(commit_certificate(&[0, 1, 2], 1, &batch(1)));
    assert!(node.engine.status().halted.is_some(), "it never cast that COMMIT");
    let mut node = Node::new(4, 1);
    node.hear(checkpoint(1, 9, Digest::from_bytes([9; 32])));
    assert!(node.engine.status().halted.is_some(), "it never signed that CHECKPOINT");
    let mut node = Node::new(4, 1);
    node.log.push(Record::Floor(Height(9)));
    node.restart(1, Vec::new());
    node.hear(checkpoint(1, 9, Digest::from_bytes([9; 32])));
    assert!(node.engine.status().halted.is_none(), "up to the floor they are its own");
}

#[test]
fn proposals_stop_at_the_high_watermark_and_at_the_in_flight_bound() {
    let mut node = Node::new(4, 0);
    for number in 1..=20 {
        node.input(Input::Propose(batch(number)));
    }
    let proposed = node.settle().iter().filter(|(_, m)| matches!(m, Message::PrePrepare(_))).count();
    assert_eq!(proposed, 8);
}

#[test]
fn equal_histories_have_equal_fingerprints_at_any_clock() {
    let mut early = Node::new(4, 1);
    let mut late = Node::new(4, 1);
    late.engine = Engine::recover(
        config(4, 1),
        key(1),
        Durable { records: Some(Vec::new()), ..Durable::default() },
        Instant::from_micros(1 << 40),
    );
    late.now = Instant::from_micros(1 << 40);
    late.hears_everybody();
    late.input(Input::Deadline);
    late.out.clear();
    for node in [&mut early, &mut late] {
        node.hear(proposal(0, 1, batch(1)));
        node.settle();
    }
    assert_eq!(early.engine.fingerprint(), late.engine.fingerprint());
    early.hear(prepare(2, 1, &batch(1)));
    assert_ne!(early.engine.fingerprint(), late.engine.fingerprint());
}

/// Any number that a peer can write, the nasty ones more often.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..12u64, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
}

fn any_ballot() -> impl Strategy<Value = Ballot> {
    (number(), number(), 0..4u8).prop_map(|(view, sequence, digest)| Ballot {
        epoch: Epoch(0),
        view: View(if view > 2 { view } else { 0 }),
        sequence: Sequence(sequence),
        digest: batch(digest).digest(),
    })
}

pub(super) fn any_message() -> impl Strategy<Value = Message> {
    let signer = 0..4usize;
    prop_oneof![
        (signer.clone(), number(), 0..4u8).prop_map(|(i, n, b)| proposal(i, n, batch(b))),
        (signer.clone(), any_ballot()).prop_map(|(i, ballot)| Message::Prepare(sign(i, Prepare(ballot)))),
        (signer.clone(), any_ballot()).prop_map(|(i, ballot)| Message::Commit(sign(i, Commit(ballot)))),
        (signer.clone(), number(), 0..4u8).prop_map(|(i, height, hash)| checkpoint(
            i,
            height,
            Digest::from_bytes([hash; 32])
        )),
        (number(), 0..4u8).prop_map(|(n, b)| commit_certificate(&[0, 2, 3], n, &batch(b))),
        (number(), 0..4u8).prop_map(|(height, hash)| {
            let checkpoint =
                Checkpoint { epoch: Epoch(0), height: Height(height), header_hash: Digest::from_bytes([hash; 32]) };
            let index = |i: usize| NodeIndex(u8::try_from(i).unwrap());
            let signatures: Vec<_> = [0, 2, 3].iter().map(|i| (index(*i), sign(*i, checkpoint).signature)).collect();
            let certificate = Certificate { signatures: signatures.try_into().unwrap() };
            Message::CertifiedCheckpoint(CertifiedCheckpoint { checkpoint, certificate })
        }),
        (signer, number(), number(), proptest::collection::vec(number(), 0..5)).prop_map(
            |(i, low, executed, asked)| {
                let asked: Vec<Height> = asked.into_iter().map(Height).collect();
                let status = Status {
                    low: Height(low),
                    executed: Height(executed),
                    uncertified: asked.try_into().unwrap(),
                    ..empty_status()
                };
                Message::Status(sign(i, status))
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// NC and BM: arbitrary signed nonsense neither panics nor breaks an invariant nor grows anything beyond its bound.
    #[test]
    fn arbitrary_signed_messages_break_nothing(messages in proptest::collection::vec(any_message(), 1..60)) {
        let mut node = Node::new(4, 1);
        for message in messages {
            node.hear(message);
            node.settle();
            node.pass(Duration::from_millis(30));
            node.settle();
        }
        node.engine.check_invariants().unwrap();
    }
}
