//! The alarm itself is tested: each checker is shown a history that keeps its promise and one that breaks it.

use super::*;
use crate::document::{Block, Certificate, Change, Checkpoint, Outcome, Proof, SkipReason, StateKey};
use crate::id::{Epoch, Height, NodeIndex, Sequence, View};
use crate::pbft::Message;
use crate::pbft::evidence::Evidence;
use crate::pbft::message::{Ballot, CertifiedCheckpoint, Commit, CommitCertificate, Content, Prepare, ViewChange};
use crate::replica::PeerMessage;
use crate::sim::genesis::usd;
use crate::sim::{World, WorldConfig, transfer};
use crate::store::{BlockCommit, MemoryStore, Store};
use crate::time::Instant;
use quorate_crypto::{Digest, SecretKey, Signable, Signed, encode};
use std::time::Duration;

const V0: NodeIndex = NodeIndex(0);
const V1: NodeIndex = NodeIndex(1);

/// A world that has lived through one payment, and the block with it.
fn lived() -> (World, Block) {
    let mut world = World::new(WorldConfig::quiet(4));
    let (alice, bob) = (world.accounts().get("alice").unwrap(), world.accounts().get("bob").unwrap());
    let payment = transfer(world.genesis().chain_id(), alice, bob.address, 10, world.clock().wall() + 30_000, 1);
    world.submit(V0, &payment);
    let deadline = Instant::ORIGIN + Duration::from_secs(5);
    assert!(world.run_until(deadline, |world| world.is_certified(V0, Height(1))));
    let block = world.disk(V0).store.block(Height(1)).unwrap().unwrap();
    (world, block)
}

/// A store with the genesis and one block that changed this.
fn store_with(world: &World, block: &Block, changes: Vec<Change>) -> MemoryStore {
    let store = MemoryStore::new();
    store.initialize(world.genesis()).unwrap();
    let proof = Proof::Certificate(Certificate::default());
    store.append(&BlockCommit { block: block.clone(), proof, changes }).unwrap();
    store
}

fn executed<'a>(node: NodeIndex, block: &'a Block, store: &'a dyn Store) -> Observation<'a> {
    Observation::Executed { node, block, store }
}

fn broken(result: Result<(), Violation>) -> Promise {
    result.expect_err("the alarm must ring").promise
}

#[test]
fn two_blocks_at_one_height_break_agreement() {
    let (world, block) = lived();
    let store = &world.disk(V0).store;
    let mut other = block.clone();
    other.header.time += 1;
    let mut agreement = Agreement::default();
    agreement.observe(executed(V0, &block, store)).unwrap();
    agreement.observe(executed(V1, &block, store)).unwrap();
    assert_eq!(broken(agreement.observe(executed(V1, &other, store))), Promise::Agreement);
    let certified = Observation::Certified { node: V1, height: Height(1), header_hash: other.header.hash() };
    assert_eq!(broken(agreement.observe(certified)), Promise::Agreement);
    let forked = store_with(&world, &other, Vec::new());
    let ended =
        Observation::Ended { stores: &[(V0, store), (V1, &forked)], height: Height(1), genesis: world.genesis() };
    assert_eq!(broken(agreement.observe(ended)), Promise::Agreement);
}

#[test]
fn a_second_receipt_breaks_exactly_once_and_a_skipped_position_is_none() {
    let (world, block) = lived();
    let store = &world.disk(V0).store;
    let mut later = block.clone();
    later.header.height = Height(2);
    let mut skipped = later.clone();
    skipped.positions[0].outcome = Outcome::Skipped(SkipReason::Duplicate);
    let mut once = ExactlyOnce::default();
    once.observe(executed(V0, &block, store)).unwrap();
    once.observe(executed(V1, &block, store)).unwrap();
    once.observe(executed(V0, &skipped, store)).unwrap();
    assert_eq!(broken(once.observe(executed(V0, &later, store))), Promise::ExactlyOnce);
}

#[test]
fn another_result_of_the_same_batch_breaks_determinism() {
    let (world, block) = lived();
    let store = &world.disk(V0).store;
    let mut other = block.clone();
    other.header.state_root = Digest::ZERO;
    let mut determinism = Determinism::default();
    determinism.observe(executed(V0, &block, store)).unwrap();
    assert_eq!(broken(determinism.observe(executed(V1, &other, store))), Promise::Determinism);
}

#[test]
fn a_chain_that_executes_to_something_else_breaks_determinism() {
    let (world, block) = lived();
    let mut other = block.clone();
    other.header.state_root = Digest::ZERO;
    let end = |store: &dyn Store| {
        Determinism::default().observe(Observation::Ended {
            stores: &[(V0, store)],
            height: Height(1),
            genesis: world.genesis(),
        })
    };
    end(&world.disk(V0).store).unwrap();
    assert_eq!(broken(end(&store_with(&world, &other, Vec::new()))), Promise::Determinism);
}

#[test]
fn units_from_nowhere_break_the_conservation_of_supply() {
    let (world, block) = lived();
    let account = world.accounts().get("carol").unwrap().address;
    let key = StateKey::Balance { account, code: usd() };
    let richer = Change { key, key_hash: key.key_hash(), created: false, value: Some(encode(&1_000_001_u128)) };
    let store = store_with(&world, &block, vec![richer]);
    let check = |store: &dyn Store| Supply::new(world.genesis()).observe(executed(V0, &block, store));
    check(&world.disk(V0).store).unwrap();
    assert_eq!(broken(check(&store)), Promise::Supply);
}

/// What the validator of this index would say; its key is not needed, since checkers see verified messages only.
fn signed<T: Signable>(world: &World, node: NodeIndex, body: T) -> Signed<T> {
    let signer = *world.genesis().validators.key(node).unwrap();
    let signature = SecretKey::from_seed([1; 32]).sign(b"anything");
    Signed { body, signer, signature }
}

fn say(message: Message) -> PeerMessage {
    PeerMessage::Pbft(message)
}

#[test]
fn a_block_that_a_checkpoint_vouched_for_and_a_crash_took_breaks_durability() {
    let (world, block) = lived();
    let store = &world.disk(V0).store;
    let empty = MemoryStore::new();
    empty.initialize(world.genesis()).unwrap();
    let message = say(Message::Checkpoint(signed(&world, V0, block.header.checkpoint())));
    let mut durability = Durability::new(world.genesis());
    durability.observe(Observation::Crashed { node: V0, store: &empty }).unwrap();
    // Relayed by another node it is still a statement of v0, and of nobody else.
    durability.observe(Observation::Released { node: V1, message: &message }).unwrap();
    durability.observe(Observation::Crashed { node: V0, store }).unwrap();
    durability.observe(Observation::Crashed { node: V1, store: &empty }).unwrap();
    assert_eq!(broken(durability.observe(Observation::Crashed { node: V0, store: &empty })), Promise::Durability);
}

#[test]
fn a_certified_block_that_a_node_lacks_in_the_end_breaks_durability() {
    let (world, block) = lived();
    let store: &dyn Store = &world.disk(V0).store;
    let empty = MemoryStore::new();
    empty.initialize(world.genesis()).unwrap();
    let mut durability = Durability::new(world.genesis());
    let certified = Observation::Certified { node: V0, height: Height(1), header_hash: block.header.hash() };
    durability.observe(certified).unwrap();
    durability
        .observe(Observation::Ended {
            stores: &[(V0, store), (V1, store)],
            height: Height(1),
            genesis: world.genesis(),
        })
        .unwrap();
    let ended =
        Observation::Ended { stores: &[(V0, store), (V1, &empty)], height: Height(1), genesis: world.genesis() };
    assert_eq!(broken(durability.observe(ended)), Promise::Durability);
}

fn ballot(view: u64, digest: u8) -> Ballot {
    let digest = Digest::from_bytes([digest; 32]);
    Ballot { epoch: Epoch(0), view: View(view), sequence: Sequence(7), digest }
}

#[test]
fn two_digests_at_one_place_break_the_promise_of_votes() {
    let (world, block) = lived();
    let see =
        |votes: &mut Votes, message: Message| votes.observe(Observation::Released { node: V1, message: &say(message) });
    let mut votes = Votes::default();
    let prepare = |view, digest| Message::Prepare(signed(&world, V0, Prepare(ballot(view, digest))));
    let commit = |digest| signed(&world, V0, Commit(ballot(0, digest)));
    see(&mut votes, prepare(0, 1)).unwrap();
    see(&mut votes, prepare(0, 1)).unwrap();
    see(&mut votes, prepare(1, 2)).expect("another view is another place");
    see(&mut votes, Message::Commit(commit(2))).expect("another phase is another place");
    see(&mut votes, Message::Prepare(signed(&world, V1, Prepare(ballot(0, 2))))).expect("another key");
    assert_eq!(broken(see(&mut votes, prepare(0, 2))), Promise::Votes);
    // A vote inside of a certificate counts as well.
    let commits = vec![commit(3)].try_into().unwrap();
    let certificate = CommitCertificate { commits, content: Content::Null };
    assert_eq!(broken(see(&mut votes, Message::CommitCertificate(certificate))), Promise::Votes);
    let checkpoint = block.header.checkpoint();
    see(&mut votes, Message::Checkpoint(signed(&world, V0, checkpoint))).unwrap();
    let other = Checkpoint { header_hash: Digest::ZERO, ..checkpoint };
    assert_eq!(broken(see(&mut votes, Message::Checkpoint(signed(&world, V0, other)))), Promise::Votes);
}

#[test]
fn a_vote_below_a_view_that_was_left_breaks_the_promise_of_votes_and_a_repeated_one_does_not() {
    let (world, _) = lived();
    let see =
        |votes: &mut Votes, message: Message| votes.observe(Observation::Released { node: V1, message: &say(message) });
    let view_change = |view, low| {
        let body = ViewChange { epoch: Epoch(0), view: View(view), low, prepared: Default::default() };
        Message::ViewChange(signed(&world, V0, body))
    };
    let commit = |view, digest| Message::Commit(signed(&world, V0, Commit(ballot(view, digest))));
    let mut votes = Votes::default();
    see(&mut votes, commit(1, 1)).unwrap();
    see(&mut votes, view_change(2, None)).unwrap();
    see(&mut votes, view_change(2, None)).unwrap();
    see(&mut votes, commit(1, 1)).expect("the same bytes again");
    assert_eq!(broken(see(&mut votes, Message::Prepare(signed(&world, V0, Prepare(ballot(1, 1)))))), Promise::Votes);
    let low = CertifiedCheckpoint { checkpoint: checkpoint(), certificate: Certificate::default() };
    assert_eq!(broken(see(&mut votes, view_change(2, Some(low)))), Promise::Votes);
}

fn checkpoint() -> Checkpoint {
    Checkpoint { epoch: Epoch(0), height: Height(2), header_hash: Digest::ZERO }
}

#[test]
fn a_new_vote_of_an_amnesiac_breaks_the_promise_of_votes_and_a_liar_promises_nothing() {
    let (world, _) = lived();
    let key = *world.genesis().validators.key(V0).unwrap();
    let prepare = |digest| say(Message::Prepare(signed(&world, V0, Prepare(ballot(0, digest)))));
    let see = |votes: &mut Votes, digest| votes.observe(Observation::Released { node: V1, message: &prepare(digest) });
    let mut votes = Votes::default();
    votes.observe(Observation::Amnesiac { node: V0, key }).unwrap();
    assert_eq!(broken(see(&mut votes, 1)), Promise::Votes);
    votes.observe(Observation::Remembers { node: V0, key }).unwrap();
    see(&mut votes, 1).unwrap();
    assert_eq!(broken(see(&mut votes, 2)), Promise::Votes);
    votes.observe(Observation::Lies { node: V0, key }).unwrap();
    see(&mut votes, 2).unwrap();
}

#[test]
fn evidence_that_is_none_or_convicts_the_honest_breaks_accountability() {
    let (world, _) = lived();
    let key = *world.genesis().validators.key(V0).unwrap();
    let forged = |digest| signed(&world, V0, Commit(ballot(0, digest)));
    let accuse = |checker: &mut Accountability, evidence: Evidence| {
        checker.observe(Observation::Accused { node: V1, evidence: &evidence })
    };
    let mut checker = Accountability::new(world.genesis());
    checker.observe(Observation::Lies { node: V0, key }).unwrap();
    assert_eq!(broken(accuse(&mut checker, Evidence::Commit(forged(1), forged(1)))), Promise::Accountability);
    assert_eq!(broken(accuse(&mut checker, Evidence::Commit(forged(1), forged(2)))), Promise::Accountability);
    // A world with a real key, whose owner really lies.
    let chain_id = world.genesis().chain_id();
    let own = &world.node(V0).key;
    let true_vote = |digest| Signed::sign(Commit(ballot(0, digest)), &chain_id, own);
    let evidence = Evidence::Commit(true_vote(1), true_vote(2));
    accuse(&mut checker, evidence.clone()).unwrap();
    let mut knows_no_liar = Accountability::new(world.genesis());
    assert_eq!(broken(accuse(&mut knows_no_liar, evidence)), Promise::Accountability);
}

#[test]
fn a_pool_above_its_bound_breaks_bounded_memory() {
    let mut world = World::new(WorldConfig::quiet(4));
    let (alice, bob) = (world.accounts().get("alice").unwrap(), world.accounts().get("bob").unwrap());
    let payment = transfer(world.genesis().chain_id(), alice, bob.address, 10, world.clock().wall() + 30_000, 1);
    world.submit(V1, &payment);
    let handled = |bounds: Bounds| {
        let mut bounds = bounds;
        bounds.observe(Observation::Handled { node: V1, replica: world.replica(V1).unwrap() })
    };
    handled(Bounds::new(world.genesis())).unwrap();
    assert_eq!(broken(handled(Bounds::new(world.genesis()).with_pool_count_max(0))), Promise::Bounds);
}
