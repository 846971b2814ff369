//! Sources that lie in each way, in a small world of simulated time: what they cost, and what stays bounded.

use std::collections::BTreeMap;

use quorate_crypto::hash::Digest;

use super::*;
use crate::{
    document::{Batch, Header, Proof},
    id::Epoch,
};

/// What a source does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Answers after so many milliseconds.
    Honest(u64),
    Silent,
    /// Says at once that it has nothing.
    Empty,
    /// Gives one block, as late as its deadline allows.
    Drip,
    /// Answers another height than asked.
    WrongHeight,
    /// Answers with the same first blocks for ever, many times over.
    Duplicates,
    /// Gives the range backwards.
    Backwards,
    /// Gives the first block and then others of a later range.
    Gap,
    /// Gives one block of each range, as fast as it can.
    Crumbs,
    /// Answers well every other time, so that it is trusted again.
    Alternating,
    /// Is the fastest of all at first, then falls silent.
    Betrayer,
}

use Habit::*;

const STEP: Duration = Duration::from_millis(1);

fn block(height: u64) -> CertifiedBlock {
    let header = Header {
        version: 1,
        chain_id: Digest::ZERO,
        epoch: Epoch(0),
        height: Height(height),
        parent: Digest::ZERO,
        batch_digest: Digest::ZERO,
        transactions_root: Digest::ZERO,
        receipts_root: Digest::ZERO,
        state_root: Digest::ZERO,
        validators_hash: Digest::ZERO,
        next_validators_hash: Digest::ZERO,
        parameters_hash: Digest::ZERO,
        time: 0,
    };
    CertifiedBlock {
        header,
        batch: Batch::default(),
        bodies: Default::default(),
        proof: Proof::Commits(Default::default()),
    }
}

struct World {
    sync: Sync,
    now: Instant,
    height: u64,
    habits: Vec<Habit>,
    /// Answers under way.
    answers: BTreeMap<(Instant, u64), (NodeIndex, Vec<CertifiedBlock>)>,
    sent: u64,
    asked: Vec<u64>,
    /// Blocks that came and were not missing.
    wasted: u64,
}

impl World {
    fn new(habits: &[Habit]) -> World {
        World {
            sync: Sync::default(),
            now: Instant::ORIGIN,
            height: 0,
            habits: habits.to_vec(),
            answers: BTreeMap::new(),
            sent: 0,
            asked: vec![0; habits.len()],
            wasted: 0,
        }
    }

    fn send(&mut self, after: u64, from: NodeIndex, blocks: Vec<CertifiedBlock>) {
        self.sent += 1;
        self.answers.insert((self.now + Duration::from_millis(after), self.sent), (from, blocks));
    }

    fn question(&mut self, RangeQuestion { to, from, count }: RangeQuestion) {
        assert!(count > 0 && count <= RANGE_MAX, "{count} blocks");
        let times = &mut self.asked[to.as_usize()];
        *times += 1;
        let times = *times;
        let range = |from: u64| (from..from + count).map(block).collect::<Vec<_>>();
        let from = from.0;
        match self.habits[to.as_usize()] {
            Honest(latency) => self.send(latency, to, range(from)),
            Silent => {}
            Empty => self.send(1, to, Vec::new()),
            Drip => {
                let ask = self.sync.sources[&to].ask.unwrap();
                let left = ask.until.saturating_since(self.now).as_millis() as u64;
                self.send(left - 2, to, vec![block(from)]);
            }
            WrongHeight => self.send(1, to, range(from + 1)),
            Duplicates => (0..20).for_each(|i| self.send(1 + i, to, range(1))),
            Backwards => self.send(1, to, range(from).into_iter().rev().collect()),
            Gap => self.send(1, to, std::iter::once(block(from)).chain(range(from + 2)).collect()),
            Crumbs => self.send(1, to, vec![block(from)]),
            Alternating if times % 2 == 1 => self.send(5, to, range(from)),
            Betrayer if times <= 20 => self.send(1, to, range(from)),
            Alternating | Betrayer => {}
        }
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        while let Some(entry) = self.answers.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (from, blocks) = entry.remove();
            for block in self.sync.on_answer(self.now, from, blocks) {
                let height = block.header.height;
                let is_useful = height.0 > self.height && self.sync.held.park(block, height.0 == self.height + 1);
                self.wasted += u64::from(!is_useful);
            }
        }
        while self.sync.held.hand_on(Height(self.height + 1)).is_some() {
            self.height += 1;
        }
        let at = Progress { executed: Height(self.height), delivered: Height(self.height) };
        self.sync.held.release(at.executed, at.delivered);
        if self.sync.takes_turn(self.now) {
            let heights = (0..self.habits.len()).map(|index| (NodeIndex(index as u8), self.sync.target)).collect();
            for question in self.sync.plan(self.now, at, &heights) {
                self.question(question);
            }
        }
    }

    /// How many milliseconds it takes to get so many blocks more.
    fn fetch(&mut self, blocks: u64) -> u64 {
        let (began, end) = (self.now, self.height + blocks);
        self.sync.start(Height(end));
        while self.height < end {
            self.step();
            assert!(self.now.saturating_since(began) < Duration::from_secs(600), "no progress: {}", self.height);
        }
        self.now.saturating_since(began).as_millis() as u64
    }
}

const BLOCKS: u64 = 4_096;
const LATENCY: u64 = 50;

/// The bound of the module's documentation, for each lie: the only honest source among three gets blocks here at its own
/// rate, but for the times that liars were trusted.
#[test]
fn one_honest_source_is_enough_whatever_the_others_do() {
    let alone = World::new(&[Honest(LATENCY)]).fetch(BLOCKS);
    for lie in [Silent, Empty, Drip, WrongHeight, Duplicates, Backwards, Gap, Crumbs, Alternating, Betrayer] {
        for habits in [[lie, lie, Honest(LATENCY)], [Honest(LATENCY), lie, lie]] {
            let took = World::new(&habits).fetch(BLOCKS);
            println!("{lie:?}: {took} ms, {alone} ms alone");
            assert!(took <= alone + alone / 4, "{habits:?} took {took} ms, and {alone} ms alone");
        }
    }
}

#[test]
fn honest_sources_share_the_work() {
    let alone = World::new(&[Honest(LATENCY)]).fetch(BLOCKS);
    let mut world = World::new(&[Honest(LATENCY); 3]);
    let took = world.fetch(BLOCKS);
    assert!(took * 5 < alone * 2, "{took} ms, and {alone} ms alone");
    assert_eq!(world.wasted, 0, "each block comes once");
}

/// Everybody was in trouble for a minute: whoever answers again is asked again within the rest of the others.
#[test]
fn nobody_is_banned_for_ever() {
    let mut world = World::new(&[Silent; 4]);
    world.sync.start(Height(BLOCKS));
    for _ in 0..120_000 {
        world.step();
    }
    assert_eq!(world.height, 0);
    world.habits = vec![Silent, Silent, Honest(LATENCY), Silent];
    let took = world.fetch(BLOCKS);
    let alone = World::new(&[Honest(LATENCY)]).fetch(BLOCKS);
    assert!(took <= alone + alone / 4 + 5_500, "{took} ms, and {alone} ms alone");
}

/// A source that is slow every time is no liar: without a better one it is used. It is taken for a liar every other time,
/// and gives two thirds of what it could at least.
#[test]
fn late_answers_count_where_nobody_is_faster() {
    let latency = 3_000;
    let took = World::new(&[Honest(latency), Silent, Silent]).fetch(20 * RANGE_MAX);
    assert!(took <= 30 * latency, "{took} ms");
}

#[test]
fn a_slow_source_holds_up_no_fast_one() {
    let alone = World::new(&[Honest(20)]).fetch(BLOCKS);
    let took = World::new(&[Honest(1_200), Honest(20), Honest(1_200)]).fetch(BLOCKS);
    assert!(took <= alone + alone / 4, "{took} ms, and {alone} ms alone");
}

/// A liar is asked less and less.
#[test]
fn who_never_answers_is_asked_seldom() {
    let mut world = World::new(&[Silent, Honest(LATENCY)]);
    world.fetch(50_000);
    let seconds = world.now.as_micros() / 1_000_000;
    assert!(seconds > 60 && world.asked[0] <= 10, "{} questions in {seconds} s", world.asked[0]);
}

/// A source allows so many questions only; more of them would be lost, and it would seem silent.
#[test]
fn no_source_is_asked_more_than_it_allows() {
    let mut world = World::new(&[Honest(1)]);
    let millis = world.fetch(BLOCKS);
    let allowed = 32 + millis * 32 * 1_000 / SYNC_ANSWER_BYTES as u64;
    assert!(world.asked[0] <= allowed * 3 / 4 + 1, "{} questions in {millis} ms", world.asked[0]);
}

/// BM: blocks that wait are bounded in number and bytes, and the one that all others wait for always comes through.
#[test]
fn what_waits_is_bounded_and_the_next_block_has_its_place() {
    let mut sync = Sync::default();
    sync.start(Height(u64::MAX));
    sync.mean = SYNC_ANSWER_BYTES;
    let at = Progress { executed: Height(0), delivered: Height(0) };
    let heights: BTreeMap<NodeIndex, Height> = (0..30).map(|index| (NodeIndex(index), Height(u64::MAX))).collect();
    let asked = sync.plan(Instant::ORIGIN, at, &heights);
    assert_eq!(asked.iter().map(|question| question.from.0).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    // Nobody gives the first one, and everything else comes.
    let mut held = 0;
    for height in 2..1_000 {
        held += usize::from(sync.held.park(block(height), false)) * size(&block(height));
        assert!(held <= PARKED_BYTES_MAX);
    }
    sync.held.parked_bytes = PARKED_BYTES_MAX;
    let later = Instant::from_micros(2_000_000);
    let asked = sync.plan(later, at, &heights);
    assert!(!asked.is_empty() && asked.iter().all(|question| question.from == Height(1)), "{asked:?}");
    assert!(!sync.held.park(block(2_000), false), "full");
    assert!(sync.held.park(block(1), true));
    sync.held.handed_bytes = crate::replica::held::HANDED_BYTES_MAX;
    assert!(sync.held.hand_on(Height(1)).is_none(), "execution has to keep up first");
}

#[test]
fn no_height_beyond_reach_is_asked_for() {
    let mut sync = Sync::default();
    sync.start(Height(u64::MAX));
    let at = Progress { executed: Height(7), delivered: Height(9) };
    let heights: BTreeMap<NodeIndex, Height> = (0..30).map(|index| (NodeIndex(index), Height(u64::MAX))).collect();
    let asked = sync.plan(Instant::ORIGIN, at, &heights);
    let last = asked.iter().map(|question| question.from.0 + question.count - 1).max();
    assert_eq!(last, Some(7 + HEIGHTS_MAX));
    let behind = BTreeMap::from([(NodeIndex(0), Height(9))]);
    assert!(Sync { sources: BTreeMap::new(), ..sync }.plan(Instant::ORIGIN, at, &behind).is_empty(), "it has none");
}

#[test]
fn what_nobody_asked_for_is_dropped() {
    let mut sync = Sync::default();
    sync.start(Height(100));
    let at = Progress { executed: Height(0), delivered: Height(0) };
    let heights = BTreeMap::from([(NodeIndex(0), Height(100))]);
    let [RangeQuestion { count, .. }] = sync.plan(Instant::ORIGIN, at, &heights)[..] else { panic!("one question") };
    let answer = |from: u64, count: u64| (from..from + count).map(block).collect::<Vec<_>>();
    assert!(sync.on_answer(Instant::ORIGIN, NodeIndex(1), answer(1, 5)).is_empty(), "a stranger");
    assert!(sync.on_answer(Instant::ORIGIN, NodeIndex(0), answer(2, 5)).is_empty(), "another range");
    let kept = sync.on_answer(Instant::ORIGIN, NodeIndex(0), answer(1, count + 9));
    assert_eq!(kept.len() as u64, count, "no more than asked");
    assert!(sync.on_answer(Instant::ORIGIN, NodeIndex(0), answer(1, 5)).is_empty(), "a second time");
}

/// A link that goes down in time is no way out.
#[test]
fn a_source_that_leaves_before_its_answer_rests() {
    let mut sync = Sync::default();
    sync.start(Height(100));
    let at = Progress { executed: Height(0), delivered: Height(0) };
    let both = BTreeMap::from([(NodeIndex(0), Height(100)), (NodeIndex(1), Height(100))]);
    assert_eq!(sync.plan(Instant::ORIGIN, at, &both).len(), 2);
    let other = BTreeMap::from([(NodeIndex(1), Height(100))]);
    sync.plan(Instant::from_micros(10), at, &other);
    let asked = sync.plan(Instant::from_micros(20), at, &both);
    assert!(asked.iter().all(|question| question.to != NodeIndex(0)), "{asked:?}");
}
