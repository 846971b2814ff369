//! Disks that lose, damage, refuse and mix up what was written.

use super::liars::{all_votes, heard, must_be_executed_once, noted};
use super::stage::{Stage, V0, V1, V2, V3, WELL, for_seeds, ms};
use quorate_crypto::encode;
use quorate_protocol::document::Receipt;
use quorate_protocol::id::{Height, NodeIndex, TransactionId};
use quorate_protocol::pbft::Message;
use quorate_protocol::proof::verify_receipt;
use quorate_protocol::replica::PeerMessage;
use quorate_protocol::sim::storage_fault::Place;
use quorate_protocol::sim::{Fate, StorageFault, Unsynced, World, liveness};
use std::collections::{BTreeMap, BTreeSet};

const SEEDS: u64 = 20;

const ALL: [NodeIndex; 4] = [V0, V1, V2, V3];

type Receipts = BTreeMap<TransactionId, Receipt>;

/// Every receipt that any node hands out now: clients may hold it from here on.
fn receipts(stage: &Stage) -> Receipts {
    let given = |id: &TransactionId| ALL.into_iter().find_map(|node| stage.world.receipt(node, id));
    stage.payments.iter().filter_map(|id| Some((*id, given(id)?))).collect()
}

/// DU: what clients hold proves what it proved, and every correct node holds the same block.
fn must_still_hold(stage: &Stage, receipts: &Receipts) {
    for (id, receipt) in receipts {
        let proved = verify_receipt(receipt, stage.world.genesis()).expect("a receipt is a proof for ever");
        for node in stage.world.correct() {
            let header = stage.world.header(node, proved.height).expect("an acknowledged block is everywhere");
            assert_eq!((header.hash(), stage.world.executed(node, id)), (proved.header_hash, Some(proved.height)));
        }
    }
}

/// The power fails everywhere at once, and comes back. What only pools held is lost with them: those clients try again.
fn power_cut(stage: &mut Stage, unsynced: Unsynced) {
    ALL.into_iter().for_each(|node| stage.world.crash(node, unsynced));
    ALL.into_iter().for_each(|node| stage.world.restart(node));
}

/// The chain resumes unaided: what is executed anywhere is certified everywhere. Then one more payment goes through.
fn must_resume(stage: &mut Stage, receipts: &Receipts) {
    let height = *stage.heights().iter().max().expect("four nodes");
    let bound = liveness::bound(&stage.world, ms(5), stage.payments.len());
    let is_served =
        |world: &World, id: &TransactionId| world.correct().into_iter().all(|node| world.receipt(node, id).is_some());
    let resumed = stage
        .world
        .run_within(bound, |world| world.all_certified(height) && receipts.keys().all(|id| is_served(world, id)));
    stage.must_keep_promises();
    assert!(resumed, "seed {}\n{}", stage.world.config().seed, stage.world.trace().tail(80));
    must_still_hold(stage, receipts);
    // The rest may be gone with the pools that held it.
    let world = &stage.world;
    stage.payments.retain(|id| ALL.into_iter().any(|node| world.executed(node, id).is_some()));
    stage.pay(ALL[world.config().seed as usize % 4]);
    stage.must_settle();
    must_be_executed_once(stage);
}

/// LV of some nodes, while another one cannot.
fn must_settle_of(stage: &mut Stage, nodes: &[NodeIndex]) {
    let bound = liveness::bound(&stage.world, ms(5), stage.payments.len());
    let deadline = stage.world.clock().now() + bound;
    while !nodes.iter().all(|node| stage.is_settled(*node)) {
        stage.must_keep_promises();
        assert!(stage.world.clock().now() < deadline, "not settled:\n{}", stage.world.trace().tail(100));
        stage.world.run_for(ms(10));
    }
}

/// Different votes that have left a node under its own key, repetitions not counted.
fn distinct_votes(world: &World, node: NodeIndex) -> BTreeSet<Vec<u8>> {
    all_votes(world, node, node).iter().map(encode).collect()
}

fn shared_unsynced(seed: u64) -> Unsynced {
    [Unsynced::Lost, Unsynced::Kept, Unsynced::Part(250), Unsynced::Part(700)][seed as usize % 4]
}

/// The last writes to the journals are torn, everywhere at once: they were never acknowledged, and are cut. All nodes
/// start, and nothing that anybody was told is lost. DU PR.
#[test]
fn torn_vote_log_tail() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        for round in 0..3 {
            stage.pay_many(5 + seed as usize % 3, &ALL);
            for _ in 0..seed * 7 + round {
                stage.world.step();
            }
            let held = receipts(&stage);
            power_cut(&mut stage, Unsynced::Part((seed * 50) as u32));
            assert_eq!(stage.world.correct(), ALL, "seed {seed}: nobody lost its vote");
            must_resume(&mut stage, &held);
        }
    });
}

/// A record of the journal is damaged in one of its two places: in the copy it is mended, and the node votes on; in the
/// journal itself the copy says what is missing, and the node says so and does not vote. PR LV.
#[test]
fn damaged_vote_log_tail() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(10, &ALL);
        stage.must_settle_within(ms(2_000));
        let (before_last, place) = (seed as usize / 2 % 4, [Place::Copy, Place::Journal][seed as usize % 2]);
        stage.world.crash(V3, Unsynced::Lost);
        stage.world.damage(V3, StorageFault::Journal { before_last, place });
        let before = distinct_votes(&stage.world, V3);
        stage.world.restart(V3);
        assert_eq!(stage.world.amnesia(V3).is_some(), place == Place::Journal, "seed {seed}");
        if place == Place::Copy {
            // It is needed: there is no quorum without it.
            stage.world.crash(V2, Unsynced::Lost);
            stage.world.give_up(V2);
        }
        stage.pay_many(10, &[V0, V1]);
        stage.must_settle();
        assert!(stage.world.run_within(ms(2_000), |world| world.chain(V3) == world.chain(V0)), "seed {seed}");
        let votes = distinct_votes(&stage.world, V3);
        assert_eq!(votes.len() > before.len(), place == Place::Copy, "seed {seed}");
    });
}

/// The middle of the vote journal is damaged in both places: valid records follow, so votes are missing, and the node
/// never votes again in this epoch, but follows. AG PR.
#[test]
fn corrupted_middle() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(10, &ALL);
        stage.must_settle_within(ms(2_000));
        let before_last = 1 + seed as usize % 5;
        stage.world.crash(V3, Unsynced::Lost);
        stage.world.damage(V3, StorageFault::Journal { before_last, place: Place::Both });
        let before = distinct_votes(&stage.world, V3);
        stage.world.restart(V3);
        let reason = stage.world.amnesia(V3).expect("it says why");
        assert!(reason.contains("is damaged, and valid ones follow"), "seed {seed}: {reason}");
        stage.pay_many(10, &[V0, V1, V2]);
        stage.must_settle();
        assert!(stage.world.run_within(ms(2_000), |world| world.chain(V3) == world.chain(V0)), "seed {seed}");
        assert_eq!(distinct_votes(&stage.world, V3), before, "seed {seed}");
    });
}

/// A block of the chain store is rotten: it is never served, and whoever asked takes it from another node. The node
/// itself gets a new disk in the end, and follows. AG.
#[test]
fn corrupted_table() {
    must_not_serve(|below_head| StorageFault::RottenBlock { below_head });
}

/// Block n comes back for block n + 1: caught, never served, and never executed. AG.
#[test]
fn misdirected_read() {
    must_not_serve(|below_head| StorageFault::MisdirectedRead { below_head });
}

fn must_not_serve(fault: fn(u64) -> StorageFault) {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.world.crash(V3, Unsynced::Lost);
        stage.pay_many(20, &[V0, V1, V2]);
        must_settle_of(&mut stage, &[V0, V1, V2]);
        let head = stage.world.height(V1);
        let below_head = seed % 4;
        stage.world.damage(V1, fault(below_head));
        // The damaged node is the only one that may give it blocks.
        stage.world.intercept(|flight| {
            let is_block =
                matches!(flight.message, PeerMessage::Sync(_) | PeerMessage::Pbft(Message::CommitCertificate(_)));
            if flight.to == V3 && flight.from != V1 && is_block { Fate::Drop } else { Fate::Pass }
        });
        stage.world.restart(V3);
        stage.world.run_for(ms(1_500));
        assert!(noted(&stage.world, V1, "cannot answer v3") > 0, "seed {seed}");
        let bad = Height(head.0 - below_head);
        assert!(stage.world.height(V3) < bad, "seed {seed}: {} from height {bad} on", stage.world.height(V3));
        let (taken, chain) = (stage.world.chain(V3), stage.world.chain(V0));
        assert_eq!(taken, chain[..taken.len()], "seed {seed}");
        stage.world.stop_intercepting();
        let from_others = stage.world.run_within(ms(8_000), |world| world.height(V3) >= head);
        assert!(from_others, "seed {seed}\n{}", stage.world.trace().tail(60));
        stage.must_keep_promises();
        stage.world.damage(V1, StorageFault::Wiped);
        stage.world.restart(V1);
        stage.pay_many(5, &[V0, V2, V3]);
        stage.must_settle();
        assert!(stage.world.run_within(ms(4_000), |world| world.chain(V1) == world.chain(V0)), "seed {seed}");
    });
}

/// A sync of the journal fails: nothing is signed from there on, and the node says why; the others go on. After a restart
/// with a sound disk it votes again. NC PR.
#[test]
fn fsync_error() {
    must_stop_signing(StorageFault::WritesFail, "input/output error");
}

/// The same with a disk that is full, until there is space.
#[test]
fn disk_full() {
    must_stop_signing(StorageFault::Full, "no space left");
}

fn must_stop_signing(fault: StorageFault, why: &str) {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        // The primary, or a backup.
        let node = ALL[seed as usize % 4];
        let others: Vec<NodeIndex> = ALL.into_iter().filter(|other| *other != node).collect();
        stage.pay_many(5 + seed as usize % 7, &ALL);
        stage.world.damage(node, fault);
        stage.pay_many(10, &others);
        must_settle_of(&mut stage, &others);
        let reason = stage.world.halted(node).expect("it needs the disk");
        assert!(reason.contains(why), "seed {seed}: {reason}");
        let before = distinct_votes(&stage.world, node);
        stage.pay_many(10, &others);
        must_settle_of(&mut stage, &others);
        assert_eq!(distinct_votes(&stage.world, node), before, "seed {seed}: it signs nothing");
        stage.world.repair(node);
        stage.world.crash(node, Unsynced::Lost);
        stage.world.restart(node);
        assert_eq!(stage.world.amnesia(node), None, "seed {seed}");
        // Now it is needed.
        stage.world.crash(others[0], Unsynced::Lost);
        stage.world.give_up(others[0]);
        stage.pay_many(10, &others[1..]);
        stage.must_settle();
        assert!(distinct_votes(&stage.world, node).len() > before.len(), "seed {seed}: it votes again");
    });
}

/// A primary's proposal is its first write that fails: it never leaves, and the node says at once why it signs nothing. Of a
/// proposal that had left nobody would know after the crash, and another one would follow at the same place. PR.
#[test]
fn a_vote_whose_record_was_not_written_never_leaves() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(seed as usize % 4, &ALL);
        stage.must_settle_within(ms(2_000));
        let fault = [StorageFault::WritesFail, StorageFault::Full][seed as usize % 2];
        let before = distinct_votes(&stage.world, V0);
        stage.world.damage(V0, fault);
        stage.pay(V0);
        stage.world.run_for(ms(2 + seed));
        let reason = stage.world.halted(V0).map(ToOwned::to_owned);
        let after = distinct_votes(&stage.world, V0);
        stage.world.crash(V0, shared_unsynced(seed));
        stage.world.repair(V0);
        stage.world.restart(V0);
        // At once, before anybody can tell it what it said.
        stage.pay(V0);
        stage.world.run_for(ms(20));
        stage.must_keep_promises();
        assert!(reason.as_ref().is_some_and(|reason| reason.starts_with("the vote journal failed")), "{reason:?}");
        assert_eq!(after, before, "seed {seed}: it signed nothing");
        assert_eq!(stage.world.amnesia(V0), None, "seed {seed}");
        stage.must_settle();
        must_be_executed_once(&stage);
    });
}

/// A node starts on a disk that can only be read: it serves what it has, and signs nothing. NC PR.
#[test]
fn read_only() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(10, &ALL);
        stage.must_settle_within(ms(2_000));
        stage.world.crash(V3, Unsynced::Lost);
        stage.world.damage(V3, StorageFault::WritesFail);
        let (before, height) = (distinct_votes(&stage.world, V3), stage.world.height(V3));
        stage.world.restart(V3);
        let others = [V0, V1, V2];
        stage.pay_many(10, &others);
        must_settle_of(&mut stage, &others);
        assert!(stage.world.halted(V3).is_some(), "seed {seed}");
        assert_eq!((distinct_votes(&stage.world, V3), stage.world.height(V3)), (before, height), "seed {seed}");
        // One that has lost its disk can have from it what it holds.
        stage.world.crash(V2, Unsynced::Lost);
        stage.world.damage(V2, StorageFault::Wiped);
        for other in [V0, V1] {
            stage.world.network_mut().cut(other, V2);
        }
        stage.world.restart(V2);
        stage.world.run_for(ms(1_000));
        assert!(!heard(&stage.world, V3, V2, " ").is_empty(), "seed {seed}");
        stage.must_keep_promises();
    });
}

/// The power fails everywhere, again and again, and disks keep only what was synced: every receipt that a client holds
/// stays true. PR DU.
#[test]
fn power_loss() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let mut held = Receipts::new();
        for round in 0..4 {
            stage.pay_many(8, &ALL);
            for _ in 0..(seed * 13 + round * 31) % 200 {
                stage.world.step();
            }
            held.extend(receipts(&stage));
            power_cut(&mut stage, Unsynced::Lost);
            must_resume(&mut stage, &held);
        }
        assert!(held.len() > 10, "seed {seed}: {} receipts", held.len());
    });
}

/// A machine is replaced, and gets an old backup of the chain and no vote journal: it follows from there, serves, and
/// does not vote in this epoch. PR.
#[test]
fn old_backup_restored() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(10, &ALL);
        let backup = stage.world.backup(V3);
        stage.pay_many(10, &ALL);
        stage.world.run_for(ms(seed));
        let before = distinct_votes(&stage.world, V3);
        let height = stage.world.height(V3);
        stage.world.crash(V3, Unsynced::Lost);
        stage.world.restore_backup(V3, backup);
        assert!(stage.world.height(V3) < height, "seed {seed}: the backup is old");
        stage.world.restart(V3);
        assert!(stage.world.amnesia(V3).is_some(), "seed {seed}");
        stage.pay_many(10, &[V0, V1, V2]);
        stage.must_settle();
        assert!(stage.world.run_within(ms(3_000), |world| world.chain(V3) == world.chain(V0)), "seed {seed}");
        let ids = stage.payments.clone();
        let serves = |world: &World| ids.iter().all(|id| world.receipt(V3, id).is_some());
        assert!(stage.world.run_within(ms(3_000), serves), "seed {seed}\n{}", stage.world.trace().tail(40));
        assert_eq!(distinct_votes(&stage.world, V3), before, "seed {seed}");
    });
}

/// One node alone hears the COMMITs of a batch, executes it and syncs it; then the power fails everywhere. The batch
/// comes back with its digest, whether that node, the primary or nobody stays down. AG DU.
#[test]
fn fsynced_commit_without_certificate() {
    for_seeds(SEEDS + 1, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(seed as usize % 4, &ALL);
        stage.world.run_for(ms(100));
        stage.world.intercept(|flight| match flight.message {
            PeerMessage::Pbft(Message::Commit(_) | Message::CommitCertificate(_)) if flight.to != V2 => Fate::Drop,
            PeerMessage::Sync(_) | PeerMessage::Pbft(Message::CertifiedCheckpoint(_)) => Fate::Drop,
            _ => Fate::Pass,
        });
        let before = stage.world.height(V0);
        let id = stage.pay(V1);
        assert!(stage.world.run_within(ms(250), |world| world.executed(V2, &id).is_some()), "seed {seed}");
        let others = [V0, V1, V3];
        assert!(others.iter().all(|node| stage.world.height(*node) == before), "seed {seed}: nobody else has it");
        let height = stage.world.executed(V2, &id).expect("it is executed");
        let digest = stage.world.header(V2, height).expect("its block").batch_digest;
        ALL.into_iter().for_each(|node| stage.world.crash(node, shared_unsynced(seed)));
        stage.world.stop_intercepting();
        let down = [Some(V2), Some(V0), None][seed as usize % 3];
        let up: Vec<NodeIndex> = ALL.into_iter().filter(|node| Some(*node) != down).collect();
        up.iter().for_each(|node| stage.world.restart(*node));
        let is_back = |world: &World| up.iter().all(|node| world.height(*node) >= height);
        assert!(stage.world.run_within(ms(12_000), is_back), "seed {seed}\n{}", stage.world.trace().tail(60));
        for node in &up {
            let again = stage.world.header(*node, height).expect("its block").batch_digest;
            assert_eq!(again, digest, "seed {seed}: {node}");
        }
        stage.world.heal_correct(WELL);
        stage.must_settle();
        must_be_executed_once(&stage);
    });
}

/// All nodes die at once after each so many events of a short load with a small window: every receipt that was handed out
/// stays provable, and the chain resumes unaided. DU LV.
#[test]
fn crash_at_every_step() {
    const POINTS: u64 = 12;
    let mut acknowledged = 0;
    for_seeds(SEEDS, |seed| {
        for point in 0..POINTS {
            let mut stage = Stage::with(4, seed, |config| {
                (config.parameters.checkpoint_interval, config.parameters.log_window) = (2, 4);
                config.parameters.batch_count_max = 2;
                (config.sync.1, config.execution.1) = (ms(3), ms(4));
            });
            for turn in 0..12 {
                stage.pay(ALL[turn % 4]);
            }
            let steps = (point * SEEDS + seed) * 7;
            for _ in 0..steps {
                stage.world.step();
            }
            let held = receipts(&stage);
            acknowledged += held.len();
            power_cut(&mut stage, shared_unsynced(seed + point));
            must_resume(&mut stage, &held);
        }
    });
    assert!(acknowledged > 200, "crashes came too early: {acknowledged} receipts");
}
