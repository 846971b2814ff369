//! Nodes that die and come back.

use super::moments::{Vote, is_certificate, is_vote, said, unsynced, written};
use super::stage::{Stage, V0, V1, V2, V3, WELL, for_seeds, ms};
use quorate_crypto::{PublicKey, sha256};
use quorate_protocol::id::{Height, NodeIndex};
use quorate_protocol::pbft::{Message, Record};
use quorate_protocol::replica::PeerMessage;
use quorate_protocol::sim::{InFlight, Unsynced, World};
use std::collections::BTreeSet;
use std::time::Duration;

/// One backup is killed under load and started again: the others go on in the same view, and it catches up. LV AG.
#[test]
fn crash_backup_under_load() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(20, &[V0, V1, V2, V3]);
        stage.world.crash(V3, unsynced(seed));
        let before = stage.payments.len();
        stage.pay_many(40, &[V0, V1, V2]);
        stage.world.run_for(ms(200));
        let last = stage.payments[before..].iter().all(|id| stage.world.executed(V0, id).is_some());
        assert!(last, "seed {seed}: three of four go on without it");
        assert!(stage.world.height(V3) < stage.world.height(V0), "seed {seed}: it was down");
        stage.world.restart(V3);
        stage.pay_many(10, &[V0, V3]);
        stage.must_settle();
        assert_eq!(stage.view(), 0, "seed {seed}: a dead backup is no reason to leave a view");
    });
}

/// The primary dies when one backup, and nobody else, has its PRE-PREPARE. The others execute its transactions exactly
/// once without it, and it agrees when it is back. AG EO LV.
#[test]
fn crash_primary_after_one_pre_prepare() {
    for_seeds(24, |seed| {
        let n = if seed % 2 == 0 { 4 } else { 7 };
        let mut stage = Stage::new(n, seed);
        let witness = NodeIndex(1 + (seed / 2 % (n as u64 - 1)) as u8);
        let tap = stage.lose(move |flight| is_vote(flight.message, Vote::PrePrepare) && flight.to != witness);
        // By turns everybody knows the transaction from gossip, or the two only.
        let others: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|node| *node > V0).collect();
        if seed % 3 == 0 {
            others.iter().filter(|node| **node != witness).for_each(|node| stage.world.network_mut().cut(V0, *node));
        }
        if seed % 3 == 0 {
            witness_only(&mut stage, witness);
        }
        stage.pay(V0);
        let has_slot =
            |world: &World, node: NodeIndex| world.status(node).is_some_and(|status| status.engine.highest_slot.0 > 0);
        stage.must_reach(ms(100), "the one gets it", |world| has_slot(world, witness));
        stage.world.crash(V0, unsynced(seed));
        assert!(tap.caught() >= n as u64 - 2, "seed {seed}: the others do not");
        assert!(others.iter().all(|node| *node == witness || !has_slot(&stage.world, *node)), "seed {seed}");
        tap.close();
        stage.mend();
        let bound = stage.bound();
        // By turns in the dead one's view, as the witness sends its PRE-PREPARE on; then in another.
        stage.must_settle_at(&others, bound);
        stage.pay_many(2, &others);
        stage.must_settle_at(&others, bound);
        assert!(stage.view() >= 1, "seed {seed}: the dead primary was replaced");
        stage.world.restart(V0);
        stage.pay_many(3, &[V0, V1]);
        stage.must_settle();
    });
}

/// What the witness gossips on reaches nobody either.
fn witness_only(stage: &mut Stage, witness: NodeIndex) {
    for node in stage.world.indices().into_iter().filter(|node| *node != witness) {
        stage.world.network_mut().cut(witness, node);
    }
}

/// Of seven nodes the primary dies, and the next one with it or as soon as it has opened its view: the third goes on. LV.
#[test]
fn crash_two_primaries_in_a_row() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(7, seed);
        let rest: Vec<NodeIndex> = (2..7).map(NodeIndex).collect();
        stage.pay_many(10, &rest);
        stage.world.run_for(Duration::from_micros(700 * seed));
        stage.world.crash(V0, unsynced(seed));
        if seed % 2 == 0 {
            stage.world.crash(V1, unsynced(seed + 1));
        }
        stage.pay_many(10, &rest);
        if seed % 2 == 1 {
            stage.must_reach(ms(3_000), "view 1 opens", |world| !said(world, V1, Vote::NewView).is_empty());
            stage.world.crash(V1, unsynced(seed + 1));
            // Whoever has missed the NEW-VIEW of the dead one must not need it.
            stage.pay_many(5, &rest);
        }
        let bound = stage.bound();
        stage.must_settle_at(&rest, bound);
        assert!(seed % 2 == 1 || stage.view_of(V2).0 >= 2, "seed {seed}: two views had no primary");
        stage.pay_many(5, &rest);
        let bound = stage.bound();
        stage.must_settle_at(&rest, bound);
        assert!(stage.view_of(V2).0 >= 2, "seed {seed}: two primaries were replaced");
        stage.world.restart(V0);
        stage.world.restart(V1);
        stage.must_settle();
    });
}

/// A node dies when its vote is synced and has not left: after its restart this very vote leaves, and never another. PR.
#[test]
fn crash_between_vote_fsync_and_send() {
    for_seeds(10, |seed| {
        for kind in [Vote::PrePrepare, Vote::Prepare, Vote::Commit, Vote::ViewChange, Vote::NewView] {
            let (mut stage, voter) = stage_that_needs(kind, seed);
            stage.lose(move |flight| is_deaf(kind, voter, flight));
            let is_at_rest =
                |world: &World| written(world, voter, kind).len() == 1 && said(world, voter, kind).is_empty();
            stage.must_reach(ms(3_000), "the vote is durable", is_at_rest);
            same_vote_again(stage, voter, kind, 0);
        }
    });
}

/// A node dies when its vote has left and reached nobody: the same bytes leave again. PR.
#[test]
fn crash_after_vote_send() {
    for_seeds(10, |seed| {
        for kind in [Vote::PrePrepare, Vote::Prepare, Vote::Commit, Vote::ViewChange, Vote::NewView] {
            let (mut stage, voter) = stage_that_needs(kind, seed);
            let is_own = move |flight: &InFlight<'_>| flight.from == voter && is_vote(flight.message, kind);
            let tap = stage.lose(move |flight| is_own(flight) || is_deaf(kind, voter, flight));
            stage.must_reach(ms(3_000), "the vote leaves", |world| !said(world, voter, kind).is_empty());
            assert!(tap.caught() >= 1, "seed {seed}: {kind:?} reaches nobody");
            same_vote_again(stage, voter, kind, 1);
        }
    });
}

/// The primary dies when its PRE-PREPARE is synced and has not left, and is up again at once: its view goes on. LV.
#[test]
fn restarted_primary_keeps_its_view() {
    for_seeds(10, |seed| {
        let mut stage = Stage::with(4, seed, |config| config.release = (ms(2), ms(2)));
        stage.pay(V1);
        let is_at_rest = |world: &World| {
            !written(world, V0, Vote::PrePrepare).is_empty() && said(world, V0, Vote::PrePrepare).is_empty()
        };
        stage.must_reach(ms(100), "the PRE-PREPARE is durable", is_at_rest);
        stage.world.crash(V0, unsynced(seed));
        stage.world.run_for(ms(seed));
        stage.world.restart(V0);
        stage.must_settle();
        let trace = stage.world.trace().tail(60);
        assert_eq!(stage.view(), 0, "seed {seed}: its primary was away for {seed} ms:\n{trace}");
    });
}

/// Four nodes of which three must vote, a transaction, and the one whose vote of this kind nobody can do without. What is
/// synced waits for two milliseconds before its votes leave.
fn stage_that_needs(kind: Vote, seed: u64) -> (Stage, NodeIndex) {
    let mut stage = Stage::with(4, seed, |config| {
        config.release = (ms(2), ms(2));
        // Nobody knows of a PRE-PREPARE that has not left: the next STATUS brings it, before the view is over.
        config.status_interval_idle = config.status_interval;
    });
    let (dead, voter) = match kind {
        Vote::PrePrepare => (V3, V0),
        Vote::Prepare | Vote::Commit => (V3, if seed.is_multiple_of(2) { V1 } else { V2 }),
        Vote::ViewChange => (V0, if seed.is_multiple_of(2) { V1 } else { V2 }),
        Vote::NewView => (V0, V1),
    };
    stage.world.crash(dead, Unsynced::Lost);
    stage.world.give_up(dead);
    // Somebody who lives on.
    stage.pay(if voter == V1 { V2 } else { V1 });
    (stage, voter)
}

/// A node that hears no COMMITs tells of its own by itself, and not in a certificate.
fn is_deaf(kind: Vote, voter: NodeIndex, flight: &InFlight<'_>) -> bool {
    kind == Vote::Commit && flight.to == voter && is_vote(flight.message, kind)
}

fn same_vote_again(mut stage: Stage, voter: NodeIndex, kind: Vote, before: usize) {
    let seed = stage.world.config().seed;
    let durable = written(&stage.world, voter, kind).remove(0);
    let first = said(&stage.world, voter, kind);
    assert_eq!(first.len(), before, "seed {seed}: {kind:?} has left so often");
    stage.world.crash(voter, unsynced(seed));
    stage.world.run_for(ms(seed % 10 * 3));
    let tap = stage.lose(move |flight| is_deaf(kind, voter, flight));
    stage.world.restart(voter);
    let bound = stage.bound();
    stage.must_reach(bound, "it leaves again", |world| said(world, voter, kind).len() > before);
    tap.close();
    let all = said(&stage.world, voter, kind);
    assert!(first.iter().all(|bytes| *bytes == durable), "seed {seed}: {kind:?}, what had left was what was durable");
    assert_eq!(all[before], durable, "seed {seed}: {kind:?}");
    stage.must_settle();
    if matches!(kind, Vote::PrePrepare | Vote::Prepare | Vote::Commit) {
        assert_eq!(stage.view(), 0, "seed {seed}: {kind:?} was needed, and came in its view");
        let all: BTreeSet<Vec<u8>> = said(&stage.world, voter, kind).into_iter().collect();
        assert_eq!(all, BTreeSet::from([durable]), "seed {seed}: {kind:?}, and never another");
    }
}

/// All nodes die at once when the commit quorum has formed, and the block is written nowhere, at some, or everywhere. With
/// no client trying again, the same block is there afterwards, once. DU AG EO.
#[test]
fn crash_all_at_commit_boundary() {
    for_seeds(24, |seed| {
        let mut stage = Stage::with(4, seed, |config| config.execution = (ms(1), ms(12)));
        let id = stage.pay(V1);
        let committed = |world: &World| {
            world
                .indices()
                .iter()
                .any(|node| world.replica(*node).is_some_and(|replica| replica.engine().delivered() >= Height(1)))
        };
        let wrote = |world: &World| world.indices().iter().filter(|node| world.height(**node) >= Height(1)).count();
        let written = (seed % 6) as usize;
        match written {
            0 => stage.must_reach(ms(200), "a quorum has committed", committed),
            written => stage.must_reach(ms(200), "some have written", |world| wrote(world) >= written.min(4)),
        }
        if written == 5 {
            // The CHECKPOINTs are on their way, too.
            stage.world.run_for(Duration::from_micros(300 * seed));
        }
        assert_eq!(wrote(&stage.world), written.min(4), "seed {seed}");
        let holder = stage.world.indices().into_iter().find(|node| stage.world.height(*node) >= Height(1));
        let block = holder.and_then(|node| stage.world.header(node, Height(1)));
        stage.crash_all(unsynced(seed / 6));
        stage.world.run_for(ms(5));
        stage.restart_all();
        stage.must_settle();
        for node in stage.world.indices() {
            assert_eq!(stage.world.executed(node, &id), Some(Height(1)), "seed {seed}: {node}");
            let now = stage.world.header(node, Height(1));
            assert!(block.is_none() || now == block, "seed {seed}: {node} has another block");
        }
    });
}

/// All nodes die inside a view change, when each of them has other batches prepared: what may have committed survives, and
/// everything else that clients send again is executed, too. AG DU LV.
#[test]
fn crash_all_in_view_change() {
    let mut differing = 0;
    let mut executed_before = 0;
    let mut worlds = 0;
    for_seeds(30, |seed| {
        worlds += 1;
        let mut stage = Stage::new(4, seed);
        // In view 0 each of them misses other votes at other places, for good.
        let tap = stage.lose(move |flight| match flight.message {
            message if is_certificate(message) => true,
            PeerMessage::Pbft(Message::Prepare(vote)) if vote.body.0.view.0 == 0 => {
                is_lost(seed, &vote.signer, flight.to, vote.body.0.sequence.0)
            }
            PeerMessage::Pbft(Message::Commit(vote)) if vote.body.0.view.0 == 0 => {
                is_lost(seed, &vote.signer, flight.to, vote.body.0.sequence.0 + 1_000)
            }
            _ => false,
        });
        stage.pay_many(12, &[V1, V2, V3]);
        if seed % 2 == 0 {
            stage.world.crash(V0, Unsynced::Lost);
        }
        let leaving = 1 + (seed / 2 % 3) as usize;
        let has_left = |world: &World| {
            [V1, V2, V3].iter().filter(|node| !said(world, **node, Vote::ViewChange).is_empty()).count()
        };
        stage.must_reach(ms(3_000), "some leave the view", |world| has_left(world) >= leaving);
        let chains: Vec<_> = stage.world.indices().into_iter().map(|node| stage.world.chain(node)).collect();
        executed_before += chains.iter().filter(|chain| chain.len() > 1).count();
        stage.crash_all(unsynced(seed));
        tap.close();
        assert!(tap.caught() > 0, "seed {seed}");
        let prepared: BTreeSet<_> = [V1, V2, V3].iter().map(|node| prepared(&stage.world, *node)).collect();
        differing += usize::from(prepared.len() > 1);
        stage.world.run_for(ms(5));
        // Certificates would hide what a NEW-VIEW forgets: at first there are none but those inside of VIEW-CHANGEs.
        let tap = stage.lose(|flight| is_certificate(flight.message));
        stage.restart_all();
        stage.retry(V2);
        stage.world.run_for(ms(1_500));
        tap.close();
        stage.must_settle();
        for (node, chain) in stage.world.indices().into_iter().zip(chains) {
            assert!(stage.world.chain(node).starts_with(&chain), "seed {seed}: {node} has lost a block");
        }
    });
    assert!(2 * differing > worlds, "prepared sets differed in {differing} of {worlds} worlds");
    assert!(3 * executed_before > worlds, "in {worlds} worlds {executed_before} nodes had executed something before");
}

fn is_lost(seed: u64, signer: &PublicKey, to: NodeIndex, salt: u64) -> bool {
    let mut text = seed.to_le_bytes().to_vec();
    text.extend_from_slice(signer.as_bytes());
    text.extend_from_slice(&salt.to_le_bytes());
    text.push(to.0);
    sha256(&text).as_bytes()[0] < 90
}

/// What a node's journal says it has prepared.
fn prepared(world: &World, node: NodeIndex) -> BTreeSet<u64> {
    let place = |record: &Record| match record {
        Record::Prepared { certificate, .. } => Some(certificate.pre_prepare.body.0.sequence.0),
        _ => None,
    };
    world.disk(node).journal().filter_map(|entry| place(&entry.record)).collect()
}

/// One node dies every two seconds, for a minute: the others go on, and views do not change once another is the primary. LV.
#[test]
fn crash_loop() {
    for_seeds(16, |seed| {
        let mut stage = Stage::new(4, seed);
        let looper = NodeIndex((seed % 4) as u8);
        let others: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|node| *node != looper).collect();
        for turn in 0..30 {
            stage.world.restart(looper);
            stage.pay_many(4, &others);
            stage.world.run_for(ms(1_000 + 29 * (turn + seed) % 900));
            stage.world.crash(looper, unsynced(turn + seed));
            stage.pay_many(4, &others);
            let bound = stage.bound();
            stage.must_settle_at(&others, bound);
            assert!(stage.view() <= u64::from(looper == V0), "seed {seed}: view {} in turn {turn}", stage.view());
        }
        assert_eq!(stage.view(), u64::from(looper == V0), "seed {seed}");
        stage.world.restart(looper);
        stage.must_settle();
    });
}

/// Nodes are restarted one at a time, then two at a time: with two down nothing moves, and afterwards everything does,
/// with no hand laid on it. LV AG.
#[test]
fn rolling_restart() {
    for_seeds(16, |seed| {
        let mut stage = Stage::new(4, seed);
        for node in stage.world.indices() {
            let others: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|other| *other != node).collect();
            stage.world.crash(node, unsynced(seed + u64::from(node.0)));
            stage.pay_many(6, &others);
            let bound = stage.bound();
            stage.must_settle_at(&others, bound);
            stage.world.restart(node);
            stage.world.run_for(ms(20 * seed));
        }
        for first in stage.world.indices() {
            let second = NodeIndex((first.0 + 1) % 4);
            let up: Vec<NodeIndex> =
                stage.world.indices().into_iter().filter(|node| *node != first && *node != second).collect();
            // Their pools are lost with them: what only they know is none of the clients' here.
            let bound = stage.bound();
            stage.must_settle_at(&[V0, V1, V2, V3], bound);
            stage.world.crash(first, unsynced(seed));
            stage.world.crash(second, unsynced(seed + 1));
            stage.world.run_for(ms(50));
            let heights = stage.heights();
            stage.pay_many(6, &up);
            stage.world.run_for(ms(700 + 30 * seed));
            assert_eq!(stage.heights(), heights, "seed {seed}: two of four are no quorum");
            stage.world.restart(first);
            stage.world.run_for(ms(10 * seed));
            stage.world.restart(second);
            let bound = stage.bound();
            stage.must_settle_at(&[V0, V1, V2, V3], bound);
        }
        stage.must_settle();
    });
}

/// Two of four are away for a minute while a transaction waits: timers are capped, so that commits resume within the bound
/// counted from the return. LV.
#[test]
fn long_outage_beyond_f() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(5, &[V0, V1, V2, V3]);
        stage.must_settle();
        let pairs = [[V0, V1], [V0, V2], [V1, V2], [V2, V3]];
        let away = pairs[seed as usize % 4];
        let up: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|node| !away.contains(node)).collect();
        // By turns they are away one after the other, so that a view fails first.
        stage.world.crash(away[0], unsynced(seed));
        if seed % 2 == 0 {
            stage.pay(up[0]);
            stage.world.run_for(ms(300 + 20 * seed));
        }
        stage.world.crash(away[1], unsynced(seed + 1));
        stage.world.run_for(ms(50));
        let heights = stage.heights();
        stage.pay_many(5, &up);
        stage.world.run_for(Duration::from_secs(60));
        assert_eq!(stage.heights(), heights, "seed {seed}: two of four are no quorum");
        let longest = ms(stage.world.config().parameters.view_timeout_max_ms);
        for node in &up {
            let engine = stage.world.status(*node).expect("it is up").engine;
            assert!(engine.view_timeout <= longest, "seed {seed}: {:?}", engine.view_timeout);
            assert!(
                engine.view.0 <= 2,
                "seed {seed}: nobody joins, so nobody goes on to further views: {}",
                engine.view
            );
        }
        stage.world.restart(away[0]);
        stage.world.restart(away[1]);
        stage.must_settle_within(quorate_protocol::sim::liveness::bound(&stage.world, WELL, stage.payments.len()));
        stage.must_settle();
    });
}

/// For a minute no NEW-VIEW reaches anybody, so that view after view fails: the time-outs double no further than they may,
/// and commits resume within the bound counted from the end of that. LV.
#[test]
fn no_new_view_for_a_minute() {
    for_seeds(12, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(3, &[V1, V2, V3]);
        stage.must_settle();
        let tap = stage.lose(|flight| is_vote(flight.message, Vote::NewView));
        if seed % 2 == 0 {
            stage.world.crash(V0, unsynced(seed));
        } else {
            stage.world.network_mut().partition(&[V0]);
        }
        stage.pay_many(3, &[V1, V2, V3]);
        stage.world.run_for(Duration::from_secs(60));
        let longest = ms(stage.world.config().parameters.view_timeout_max_ms);
        for node in [V1, V2, V3] {
            let engine = stage.world.status(node).expect("it is up").engine;
            assert_eq!(engine.view_timeout, longest, "seed {seed}: {node} waits as long as it may");
            let most = 6 + 60_000 / longest.as_millis() as u64;
            assert!((20..=most).contains(&engine.view.0), "seed {seed}: {node} is in view {}", engine.view);
        }
        assert!(tap.caught() > 20, "seed {seed}");
        tap.close();
        stage.mend();
        stage.restart_all();
        stage.must_settle();
    });
}
