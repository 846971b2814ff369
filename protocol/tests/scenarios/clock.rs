//! Clocks that are wrong.

use super::moments::unsynced;
use super::stage::{Stage, V0, V1, V2, V3, WELL, for_seeds, ms};
use quorate_protocol::document::Batch;
use quorate_protocol::id::{Height, NodeIndex};
use quorate_protocol::pbft::Message;
use quorate_protocol::pbft::message::Content;
use quorate_protocol::replica::PeerMessage;
use quorate_protocol::sim::{Behaviour, Liar, Random, World, transfer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const ALL: [NodeIndex; 4] = [V0, V1, V2, V3];

/// `clock_skew_max` of the worlds here, in milliseconds.
fn skew_max(stage: &Stage) -> i64 {
    stage.world.config().parameters.clock_skew_max_ms as i64
}

/// How far the time of a node's head lies ahead of the true time, in milliseconds; behind it, if negative.
fn head_ahead(world: &World, node: NodeIndex) -> i64 {
    let header = world.header(node, world.height(node)).expect("every node has its head");
    header.time as i64 - world.clock().wall() as i64
}

/// Clocks differ by as much as they may: nobody blames anybody, and block times never go back. LV.
#[test]
fn skewed() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        let half = skew_max(&stage) / 2;
        let mut random = Random::new(seed);
        for node in ALL {
            let skew = random.below(2 * half as u64) as i64 - half;
            stage.world.clock_mut().set_skew(node, skew);
        }
        // One of the ends of what is allowed is the primary's, the other one everybody else's.
        if seed % 2 == 0 {
            let sign = if seed % 4 == 0 { 1 } else { -1 };
            ALL.iter().for_each(|node| stage.world.clock_mut().set_skew(*node, -sign * (half - 20)));
            stage.world.clock_mut().set_skew(V0, sign * (half - 20));
        }
        stage.pay_many(40, &ALL);
        stage.must_settle();
        assert_eq!(stage.view(), 0, "seed {seed}: nobody is to blame");
        let wrong = stage.world.clock().ahead(V0).abs();
        assert!(seed % 2 == 1 || wrong > half - 50, "seed {seed}: the primary's clock was wrong");
        assert!(seed % 4 != 0 || head_ahead(&stage.world, V1) > half / 2, "seed {seed}: and block times with it");
        stage.times_must_not_go_back();
    });
}

/// Clocks run at different speeds, up to a twentieth too fast or too slow, and stay within what is allowed. LV.
#[test]
fn drifting() {
    for_seeds(16, |seed| {
        let mut stage = Stage::new(4, seed);
        let mut random = Random::new(seed);
        for node in ALL {
            let drift = random.below(100_000) as i64 - 50_000;
            stage.world.clock_mut().set_drift(node, drift);
        }
        let (fast, slow) = if seed % 2 == 0 { (V0, V2) } else { (V1, V0) };
        stage.world.clock_mut().set_drift(fast, 50_000);
        stage.world.clock_mut().set_drift(slow, -50_000);
        for _ in 0..60 {
            stage.pay_many(2, &ALL);
            stage.world.run_for(ms(250));
        }
        let apart = stage.world.clock().ahead(fast) - stage.world.clock().ahead(slow);
        assert!(apart > skew_max(&stage) / 2 && apart < skew_max(&stage), "seed {seed}: {apart} ms apart");
        assert_eq!(stage.view(), 0, "seed {seed}: nobody is to blame");
        stage.times_must_not_go_back();
        stage.must_settle();
    });
}

/// Clocks jump back: within what is allowed nobody notices; a primary that goes on in the past is replaced; a backup in the
/// past holds nobody up. Block times never go back. LV.
#[test]
fn jumping_back() {
    for_seeds(24, |seed| {
        let mut stage = Stage::new(4, seed);
        let half = skew_max(&stage) / 2;
        let hour = 3_600_000;
        stage.pay_many(20, &ALL);
        stage.world.run_for(ms(10 * seed));
        let (who, jumps) = match seed % 3 {
            0 => (V0, [half - 50, -half + 50, half - 50, -half + 50]),
            1 => (V0, [-hour, -hour, -2 * hour, -hour]),
            _ => (V2, [-hour, 0, -2 * hour, -hour]),
        };
        for jump in jumps {
            stage.world.clock_mut().set_skew(who, jump);
            stage.pay_many(10, &[V1, V3]);
            stage.world.run_for(ms(1_000));
        }
        let bound = stage.bound();
        stage.must_settle_at(&[V1, V3], bound);
        let view = stage.view_of(V1).0;
        match seed % 3 {
            1 => assert!(view >= 1, "seed {seed}: a primary in the past is replaced"),
            _ => assert_eq!(view, 0, "seed {seed}: the primary does nothing wrong"),
        }
        stage.must_settle();
        stage.times_must_not_go_back();
    });
}

/// A liar who tells the wrong time in its PRE-PREPAREs: by so many milliseconds, by turns.
struct WrongTimes {
    ahead: Vec<i64>,
    told: Arc<AtomicU64>,
}

impl Behaviour for WrongTimes {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Pbft(Message::PrePrepare(proposal)) = message else {
            return liar.send(to, message.clone());
        };
        let (ballot, Some(batch)) = (proposal.ballot(), proposal.content.batch()) else {
            return liar.send(to, message.clone());
        };
        // The same to everybody: what it tells follows from the sequence, and from what its honest part proposed.
        let ahead = self.ahead[ballot.sequence.0 as usize % self.ahead.len()];
        let content = Content::Batch(Batch { time: batch.time.saturating_add_signed(ahead), ids: batch.ids.clone() });
        let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
        liar.send(to, lie);
        self.told.fetch_add(1, Ordering::Relaxed);
    }
}

/// A primary tells times that are by turns too early and too late, as far as is allowed: nobody can blame it, and block
/// times do not go back. LV.
#[test]
fn zigzag() {
    for_seeds(12, |seed| {
        let mut stage = Stage::new(4, seed);
        let told = Arc::new(AtomicU64::new(0));
        let most = skew_max(&stage) - 500;
        let ahead = [vec![most, -most], vec![-most, most / 2, 0], vec![most, 0, 0, -most]][seed as usize % 3].clone();
        stage.world.corrupt(V0, Box::new(WrongTimes { ahead, told: Arc::clone(&told) }));
        for _ in 0..10 {
            stage.pay_many(3, &[V1, V2, V3]);
            stage.world.run_for(ms(40));
            stage.times_must_not_go_back();
        }
        assert!(told.load(Ordering::Relaxed) > 20, "seed {seed}: the lie was told");
        stage.must_settle();
        stage.times_must_not_go_back();
        let times: Vec<u64> =
            (1..).map_while(|height| stage.world.header(V1, Height(height))).map(|h| h.time).collect();
        let is_held = times.windows(2).any(|pair| pair[0] == pair[1]);
        assert!(stage.view() > 0 || is_held, "seed {seed}: a time that goes back is the parent's: {times:?}");
    });
}

/// A primary proposes a time far ahead, because its clock is wrong or because it lies: nobody votes for that, another takes
/// its place, and no block has a time that a correct clock would not allow. LV.
#[test]
fn far_future_proposal() {
    for_seeds(20, |seed| {
        let n = if seed % 4 < 2 { 4 } else { 7 };
        let mut stage = Stage::new(n, seed);
        let ahead = [2_100, 10_000, 100_000, i64::MAX][seed as usize / 4 % 4];
        let told = Arc::new(AtomicU64::new(0));
        // All f of them, so that the next primary after it is wrong as well.
        let wrong: Vec<NodeIndex> = (0..stage.world.genesis().validators.f() as u8).map(NodeIndex).collect();
        for node in &wrong {
            if seed % 2 == 0 {
                stage.world.corrupt(*node, Box::new(WrongTimes { ahead: vec![ahead], told: Arc::clone(&told) }));
            } else {
                stage.world.clock_mut().set_skew(*node, ahead.min(100_000));
                stage.world.give_up(*node);
            }
        }
        let right: Vec<NodeIndex> = stage.world.correct();
        let allowed = skew_max(&stage);
        let bound = stage.bound();
        for _ in 0..10 {
            stage.pay_many(2, &right);
            let before = stage.world.clock().now();
            stage
                .world
                .run_until(before + ms(100), |world| right.iter().any(|node| head_ahead(world, *node) > allowed));
            let latest = right.iter().map(|node| head_ahead(&stage.world, *node)).max();
            assert!(latest <= Some(allowed), "seed {seed}: a block is {latest:?} ms ahead");
        }
        stage.must_settle_at(&right, bound);
        // What is only a little too early may wait until it is not.
        let is_replaced = stage.view_of(right[0]).0 >= wrong.len() as u64;
        assert!(is_replaced || ahead < 3_000, "seed {seed}: they were replaced");
        assert!(seed % 2 == 1 || told.load(Ordering::Relaxed) > 0, "seed {seed}: the lie was told");
        stage.must_settle();
        stage.times_must_not_go_back();
    });
}

/// Nothing happens for minutes: no block, no other view. Then a transaction goes through at once. LV.
#[test]
fn idle_then_submit() {
    for_seeds(12, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(seed as usize % 3, &ALL);
        stage.must_settle();
        let heights = stage.heights();
        stage.world.run_for(Duration::from_secs(120 + 10 * seed));
        assert_eq!(stage.heights(), heights, "seed {seed}: an idle net makes no blocks");
        assert_eq!(stage.view(), 0, "seed {seed}: and changes no views");
        let id = stage.pay(ALL[seed as usize % 4]);
        stage.must_reach(ms(150), "it goes through at once", |world| {
            ALL.iter().all(|node| world.executed(*node, &id).is_some())
        });
        assert_eq!(stage.view(), 0, "seed {seed}");
        stage.must_settle();
        stage.times_must_not_go_back();
    });
}

/// A transaction expires on an idle net before more than one node has heard of it: it is certified as expired, so that its
/// client learns it, and the net is as well as before. LV.
#[test]
fn expires_on_an_idle_net() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(seed as usize % 3, &ALL);
        stage.must_settle();
        stage.world.run_for(Duration::from_secs(seed));
        // By turns the node has left the view alone by then.
        must_learn_of_expiry(&mut stage, [V1, V2, V3, V0][seed as usize % 4], 140 + 60 * (seed / 4));
        let id = stage.pay(V2);
        let bound = stage.bound();
        stage.must_reach(bound, "the net goes on", |world| world.executed(V2, &id).is_some());
        stage.must_settle();
        stage.times_must_not_go_back();
    });
}

fn must_learn_of_expiry(stage: &mut Stage, node: NodeIndex, after: u64) {
    let seed = stage.world.config().seed;
    let alice = stage.world.accounts().get("alice").expect("she is there").clone();
    let valid_until = stage.world.clock().wall() + after - 10;
    let short = transfer(stage.world.genesis().chain_id(), &alice, alice.address, 1, valid_until, 1_000_000);
    stage.world.network_mut().partition(&[node]);
    stage.world.submit(node, &short);
    stage.world.run_for(ms(after));
    assert!(stage.heights().windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: nobody executes it");
    stage.mend();
    let bound = stage.bound();
    // A primary has proposed it in time, and may say so to the others later.
    let executed = |world: &World| world.executed(node, &short.id());
    stage.must_reach(bound, "the client learns it", |world| {
        let passed = |height| world.header(node, height).is_some_and(|header| header.time >= valid_until);
        let heights = (1..=world.height(node).0).map(Height);
        let settles = |height: &Height| executed(world) == Some(*height) || passed(*height);
        heights.filter(settles).any(|height| world.is_certified(node, height))
    });
    let time = executed(&stage.world).and_then(|height| stage.world.header(node, height)).map(|header| header.time);
    assert!(time.is_none_or(|time| node == V0 && time < valid_until), "seed {seed}: {node} has it at {time:?}");
}

/// A node comes back from a restart with a clock that is hours off: it follows, and holds nobody up. LV.
#[test]
fn wrong_after_restart() {
    for_seeds(12, |seed| {
        let mut stage = Stage::new(4, seed);
        let wrong = ALL[seed as usize % 4];
        let others: Vec<NodeIndex> = ALL.into_iter().filter(|node| *node != wrong).collect();
        stage.pay_many(10, &others);
        stage.world.crash(wrong, unsynced(seed));
        let skew = [7_200_000, -7_200_000, 30_000][seed as usize % 3];
        stage.world.clock_mut().set_skew(wrong, skew);
        stage.world.run_for(ms(50));
        stage.world.restart(wrong);
        stage.pay_many(20, &others);
        let bound = stage.bound();
        stage.must_settle_at(&others, bound);
        stage.world.heal_correct(WELL);
        stage.must_settle();
        stage.times_must_not_go_back();
        assert!(head_ahead(&stage.world, others[0]).abs() <= 2 * skew_max(&stage), "seed {seed}: time stays true");
    });
}
