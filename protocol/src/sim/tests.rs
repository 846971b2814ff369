//! Single situations, and proof that a world notices what goes wrong in it.

use super::disk::{Disk, Write};
use super::genesis::FUNDS;
use super::*;
use crate::api::code::Code;
use crate::document::{Certificate, SignedTransaction};
use crate::id::{Height, NodeIndex, TransactionId};
use crate::pbft::{Record, Ticket};
use crate::pool::Admitted;
use crate::replica::JournalEntry;
use crate::store::{MemoryStore, Store};
use std::time::Duration;

const V0: NodeIndex = NodeIndex(0);
const V1: NodeIndex = NodeIndex(1);
const V2: NodeIndex = NodeIndex(2);
const V3: NodeIndex = NodeIndex(3);

fn payment(world: &World, from: &str, amount: u128, salt: u64) -> SignedTransaction {
    let (from, bob) = (world.accounts().get(from).unwrap(), world.accounts().get("bob").unwrap());
    transfer(world.genesis().chain_id(), from, bob.address, amount, world.clock().wall() + 30_000, salt)
}

/// Submits a payment of alice and says what it is called.
fn pay(world: &mut World, to: NodeIndex, salt: u64) -> TransactionId {
    let payment = payment(world, "alice", 10, salt);
    world.submit(to, &payment);
    payment.id()
}

fn within(world: &mut World, time: Duration, condition: impl FnMut(&World) -> bool) -> bool {
    let deadline = world.clock().now() + time;
    world.run_until(deadline, condition)
}

fn is_executed_everywhere(world: &World, id: &TransactionId) -> bool {
    world.indices().into_iter().all(|node| world.executed(node, id).is_some())
}

const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_payment_is_executed_and_certified_on_every_size_of_cluster() {
    for n in [1, 2, 3, 4, 7] {
        let mut world = World::new(WorldConfig::quiet(n));
        let id = pay(&mut world, NodeIndex(n as u8 - 1), 1);
        assert!(within(&mut world, SOON, |world| is_executed_everywhere(world, &id)), "n = {n}");
        let certified = |world: &World| world.indices().into_iter().all(|node| world.is_certified(node, Height(1)));
        assert!(within(&mut world, SOON, certified), "n = {n}");
        world.finish();
        assert_eq!(world.violation(), None);
    }
}

#[test]
fn each_door_answers_with_its_code() {
    let mut world = World::new(WorldConfig::quiet(4));
    world.run_for(Duration::from_millis(10));
    let good = payment(&world, "alice", 10, 1);
    let mut altered = good.transaction().clone();
    altered.salt = 2;
    let mut foreign = good.transaction().clone();
    foreign.chain_id = quorate_crypto::Digest::ZERO;
    let alice = world.accounts().get("alice").unwrap().clone();
    let late = transfer(world.genesis().chain_id(), &alice, alice.address, 1, clock::WALL_ORIGIN, 3);
    let far = transfer(world.genesis().chain_id(), &alice, alice.address, 1, u64::MAX, 4);
    for (transaction, expected) in [
        (good.clone(), Ok(Admitted::New)),
        (good.clone(), Ok(Admitted::Known)),
        (SignedTransaction::new(altered, *good.signature()), Err(Code::BadSignature)),
        (SignedTransaction::sign(foreign, &alice.key), Err(Code::WrongChain)),
        (payment(&world, "stranger", 1, 5), Err(Code::UnknownSender)),
        (late, Err(Code::Expired)),
        (far, Err(Code::ValidUntilTooFar)),
    ] {
        world.submit(V1, &transaction);
        assert_eq!(world.admission(V1, &transaction.id()), Some(expected));
    }
    let overdraft = payment(&world, "alice", FUNDS * 2, 6);
    world.submit(V1, &overdraft);
    assert!(within(&mut world, SOON, |world| is_executed_everywhere(world, &overdraft.id())));
    world.submit(V1, &good);
    assert_eq!(world.admission(V1, &good.id()), Some(Ok(Admitted::Executed)));
    assert_eq!(world.violation(), None);
}

#[test]
fn three_of_four_go_on_and_the_fourth_catches_up() {
    let mut world = World::new(WorldConfig::quiet(4));
    world.crash(V3, Unsynced::Lost);
    for salt in 0..200 {
        let id = pay(&mut world, V1, salt);
        assert!(within(&mut world, SOON, |world| world.executed(V0, &id).is_some()));
    }
    assert_eq!(world.height(V3), Height(0));
    world.restart(V3);
    assert!(within(&mut world, SOON, |world| world.height(V3) == world.height(V0)), "beyond the window as well");
    world.finish();
    assert_eq!(world.violation(), None);
}

#[test]
fn two_of_four_are_no_quorum_and_a_dead_primary_stalls_the_chain_until_it_is_back() {
    let mut world = World::new(WorldConfig::quiet(4));
    world.run_for(Duration::from_millis(10));
    world.crash(V2, Unsynced::Lost);
    world.crash(V3, Unsynced::Lost);
    let first = pay(&mut world, V0, 1);
    assert!(!within(&mut world, SOON, |world| world.executed(V0, &first).is_some()));
    world.restart(V2);
    assert!(within(&mut world, SOON, |world| world.executed(V0, &first).is_some()));
    world.crash(V0, Unsynced::Kept);
    let second = pay(&mut world, V1, 2);
    assert!(!within(&mut world, SOON, |world| world.executed(V1, &second).is_some()));
    world.restart(V0);
    world.restart(V3);
    assert!(within(&mut world, SOON, |world| is_executed_everywhere(world, &second)));
    assert_eq!(world.violation(), None);
}

#[test]
fn all_crash_at_once_at_any_moment_and_nothing_acknowledged_is_lost() {
    for micros in (0..9_000).step_by(250) {
        for unsynced in [Unsynced::Lost, Unsynced::Kept, Unsynced::Part(500)] {
            let mut world = World::new(WorldConfig::quiet(4));
            world.run_for(Duration::from_millis(10));
            let id = pay(&mut world, V1, 1);
            world.run_for(Duration::from_micros(micros));
            let known: Vec<bool> = world.indices().iter().map(|node| world.executed(*node, &id).is_some()).collect();
            world.indices().into_iter().for_each(|node| world.crash(node, unsynced));
            world.indices().into_iter().for_each(|node| world.restart(node));
            for (node, known) in world.indices().into_iter().zip(known) {
                assert!(!known || world.executed(node, &id).is_some(), "{node} forgot a block after {micros} us");
            }
            let next = pay(&mut world, V2, 2);
            let settled = within(&mut world, SOON, |world| is_executed_everywhere(world, &next));
            assert!(settled, "after {micros} us, unsynced {unsynced:?}:\n{}", world.trace().tail(60));
            world.finish();
            assert_eq!(world.violation(), None);
        }
    }
}

#[test]
fn a_node_that_hears_nobody_learns_everything_when_the_links_are_mended() {
    let mut world = World::new(WorldConfig::quiet(4));
    world.run_for(Duration::from_millis(10));
    for from in [V0, V1, V2] {
        world.network_mut().cut(from, V3);
    }
    let id = pay(&mut world, V3, 1);
    assert!(within(&mut world, SOON, |world| world.executed(V0, &id).is_some()), "it is heard");
    assert_eq!(world.height(V3), Height(0), "and hears nothing");
    world.network_mut().mend();
    assert!(within(&mut world, SOON, |world| is_executed_everywhere(world, &id)));
    assert_eq!(world.violation(), None);
}

#[test]
fn a_transaction_that_expires_unexecuted_is_certified_as_expired() {
    let mut world = World::new(WorldConfig::quiet(4));
    world.run_for(Duration::from_millis(10));
    let alice = world.accounts().get("alice").unwrap().clone();
    let valid_until = world.clock().wall() + 300;
    let short = transfer(world.genesis().chain_id(), &alice, alice.address, 1, valid_until, 1);
    world.network_mut().partition(&[V0]);
    world.submit(V1, &short);
    world.run_for(Duration::from_millis(400));
    world.network_mut().mend();
    let passed = |world: &World| {
        let header = world.header(V1, Height(1));
        header.is_some_and(|header| header.time >= valid_until) && world.is_certified(V1, Height(1))
    };
    assert!(within(&mut world, SOON, passed), "{}", world.trace().tail(60));
    assert_eq!(world.executed(V1, &short.id()), None);
}

#[test]
fn a_disk_that_takes_back_what_it_synced_sets_off_the_alarm() {
    let mut world = World::new(WorldConfig::quiet(4));
    let id = pay(&mut world, V0, 1);
    assert!(within(&mut world, SOON, |world| is_executed_everywhere(world, &id)));
    world.run_for(Duration::from_millis(10));
    world.replace_disk(V2);
    world.crash(V2, Unsynced::Lost);
    assert_eq!(world.violation().expect("an alarm").promise, Promise::Durability);
}

#[test]
fn a_lost_vote_journal_sets_off_the_alarm() {
    let mut world = World::new(WorldConfig::quiet(4));
    world.run_for(Duration::from_millis(10));
    pay(&mut world, V0, 1);
    // Long enough for the PRE-PREPARE to have left, too short for the block.
    world.run_for(Duration::from_micros(1_800));
    world.replace_disk(V0);
    world.crash(V0, Unsynced::Lost);
    world.restart(V0);
    pay(&mut world, V0, 2);
    world.run_for(SOON);
    let promise = world.violation().expect("an alarm").promise;
    assert!(matches!(promise, Promise::Votes | Promise::Availability), "{promise}");
}

fn floor(height: u64) -> Write {
    let entry = JournalEntry { record: Record::Floor(Height(height)), bodies: Vec::new() };
    Write::Append { entry: Box::new(entry), release: Vec::new(), ticket: Ticket(height) }
}

fn floors(disk: &Disk) -> Vec<u64> {
    let height = |entry: &JournalEntry| match entry.record {
        Record::Floor(height) => height.0,
        _ => panic!("only floors were written"),
    };
    disk.journal().map(height).collect()
}

#[test]
fn a_crash_takes_what_was_not_synced_from_the_end() {
    for (unsynced, left) in
        [(Unsynced::Lost, vec![1]), (Unsynced::Part(500), vec![1, 2]), (Unsynced::Kept, vec![1, 2, 3])]
    {
        let mut disk = Disk::new(MemoryStore::new());
        disk.write(floor(1));
        assert!(disk.begin_sync());
        disk.write(floor(2));
        assert!(!disk.begin_sync(), "one sync at a time");
        assert_eq!(disk.end_sync().unwrap().len(), 1, "a sync covers what was there when it began");
        disk.write(floor(3));
        assert!(disk.begin_sync());
        disk.crash(unsynced);
        assert_eq!(floors(&disk), left);
        assert!(!disk.begin_sync(), "nothing is left over for the next life");
    }
}

#[test]
fn trimming_replaces_what_outlives_its_sequence_by_its_copy() {
    let mut disk = Disk::new(MemoryStore::new());
    disk.write(floor(1));
    let carry = vec![JournalEntry { record: Record::Floor(Height(9)), bodies: Vec::new() }];
    disk.write(Write::Trim { low: Height(8), carry });
    disk.write(floor(10));
    disk.begin_sync();
    disk.end_sync().unwrap();
    assert_eq!(floors(&disk), [9, 10]);
}

#[test]
fn certificates_that_were_not_synced_are_lost() {
    let mut world = World::new(WorldConfig::quiet(1));
    let id = pay(&mut world, V0, 1);
    assert!(within(&mut world, SOON, |world| world.executed(V0, &id).is_some()));
    let block = Height(1);
    for (unsynced, kept) in [(Unsynced::Lost, false), (Unsynced::Kept, true)] {
        let mut disk = Disk::new(MemoryStore::new());
        disk.store.initialize(world.genesis()).unwrap();
        let store = &world.disk(V0).store;
        let (content, proof) = (store.block(block).unwrap().unwrap(), store.proof(block).unwrap().unwrap());
        disk.store.append(&crate::store::BlockCommit { block: content, proof, changes: Vec::new() }).unwrap();
        disk.store.certify(block, &Certificate::default()).unwrap();
        assert!(disk.store.certificate(block).unwrap().is_some());
        assert_eq!(disk.store.uncertified(block, 9).unwrap(), []);
        disk.crash(unsynced);
        assert_eq!(disk.store.certificate(block).unwrap().is_some(), kept);
        assert_eq!(disk.store.uncertified(block, 9).unwrap().is_empty(), kept);
    }
}
