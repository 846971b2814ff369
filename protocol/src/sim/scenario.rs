//! Plans of one situation, by its name.
//!
//! A scenario takes the plan of a seed - cluster, links, disks, load -, empties it of all that goes wrong, and puts in what
//! its name says. Nodes, times and amounts are drawn from the seed in a stream of their own, so that plain seeds stay what
//! they are. What comes out is a [`Plan`] like any other, for the same checkers, the same [`shrink`](super::shrink()) and the
//! same trace; [`Scenario::happened`] says whether the situation came about in it.
//!
//! Situations that need a hand on single messages or moments have no plan: they are tests in `tests/scenarios/`, which has
//! one for each name here as well. `tests/named_scenarios.rs` runs those of this file.

use self::Ingredients::{Backup, Drawn, Primary};
use super::byzantine::Lie;
use super::fault::{Cast, Fault, Role, TimedFault};
use super::happened::Happened;
use super::outcome::Report;
use super::plan::Plan;
use super::random::Random;
use super::storage_fault::{Place, StorageFault};
use super::unsynced::Unsynced;
use crate::id::NodeIndex;
use std::time::Duration;

/// Makes the stream of a scenario another one than that of its seed: "scenario" in ASCII.
const STREAM: u64 = 0x7363_656e_6172_696f;

/// Who is the primary at first.
const V0: NodeIndex = NodeIndex(0);

/// A situation with a name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens in it, on one line.
    pub about: &'static str,
    /// The fewest validators that it takes.
    pub n_min: usize,
    ingredients: Ingredients,
    count: fn(&Happened) -> u64,
}

/// What a scenario puts into a plan.
#[derive(Clone, Copy, Debug)]
enum Ingredients {
    /// The first primary lies.
    Primary(Lie),
    /// Somebody else lies.
    Backup(Lie),
    /// This.
    Drawn(fn(&mut Draft)),
}

impl Scenario {
    /// The scenario of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Its plan for a seed; `n` replaces the number of validators that the seed would choose.
    ///
    /// # Panics
    ///
    /// When `n` is less than [`Scenario::n_min`].
    #[must_use]
    pub fn plan(&self, seed: u64, n: Option<usize>) -> Plan {
        let mut random = Random::new(seed ^ STREAM).fork();
        let more = *random.pick(&[0, 0, 0, 1, 2, 3]).expect("a list of sizes");
        let n = n.unwrap_or(self.n_min + more);
        assert!(n >= self.n_min, "{} takes {} validators at least", self.name, self.n_min);
        let mut plan = Plan::from_seed(seed, Some(n));
        plan.faults.clear();
        plan.casts.clear();
        (plan.world.link.loss_per_mille, plan.world.link.duplicate_per_mille) = (0, 0);
        let mut draft = Draft { plan, random };
        match self.ingredients {
            Primary(lie) => draft.cast(V0, Role::Lies(lie)),
            Backup(lie) => {
                let node = draft.backup();
                draft.cast(node, Role::Lies(lie));
            }
            Drawn(draw) => draw(&mut draft),
        }
        draft.plan
    }

    /// How often its situation came about in a world of its plan.
    #[must_use]
    pub fn happened(&self, report: &Report) -> u64 {
        (self.count)(&report.happened)
    }
}

/// All scenarios.
#[must_use]
pub fn scenarios() -> &'static [Scenario] {
    SCENARIOS
}

/// A plan under way, and where its draws come from.
struct Draft {
    plan: Plan,
    random: Random,
}

impl Draft {
    fn n(&self) -> usize {
        self.plan.world.n
    }

    fn all(&self) -> Vec<NodeIndex> {
        (0..self.n() as u8).map(NodeIndex).collect()
    }

    fn others(&self, node: NodeIndex) -> Vec<NodeIndex> {
        self.all().into_iter().filter(|other| *other != node).collect()
    }

    fn f(&self) -> usize {
        (self.n() - 1) / 3
    }

    /// Somebody who is not the first primary.
    fn backup(&mut self) -> NodeIndex {
        NodeIndex(self.random.between(1, self.n() as u64 - 1) as u8)
    }

    /// So many of all, in an order of their own.
    fn some(&mut self, count: usize) -> Vec<NodeIndex> {
        let mut left = self.all();
        (0..count).map(|_| left.swap_remove(self.random.below(left.len() as u64) as usize)).collect()
    }

    fn ms(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.random.between(low, high))
    }

    /// So many moments of the load, one in each of as many equal parts of it, each in the first half of its part.
    fn moments(&mut self, count: u32) -> Vec<Duration> {
        let part = self.plan.load / count;
        (0..count).map(|number| part * number + self.random.duration(Duration::ZERO, part / 2)).collect()
    }

    /// The load lasts so long, its transactions spread over it.
    fn load_for(&mut self, load: Duration) {
        let stretch = load.as_secs_f64() / self.plan.load.as_secs_f64();
        self.plan.load = load;
        self.plan.transactions.iter_mut().for_each(|timed| timed.at = timed.at.mul_f64(stretch));
    }

    fn cast(&mut self, node: NodeIndex, role: Role) {
        self.plan.casts.push(Cast { node, role });
    }

    fn fault(&mut self, at: Duration, lasts: Duration, fault: Fault) {
        self.plan.faults.push(TimedFault { at, lasts, fault });
    }

    fn crash(&mut self, at: Duration, lasts: Duration, nodes: &[NodeIndex], unsynced: Unsynced) {
        self.fault(at, lasts, Fault::Crash { nodes: nodes.to_vec(), unsynced });
    }

    fn cut_both_ways(&mut self, at: Duration, lasts: Duration, (one, other): (NodeIndex, NodeIndex)) {
        self.fault(at, lasts, Fault::Cut { from: one, to: other });
        self.fault(at, lasts, Fault::Cut { from: other, to: one });
    }

    /// A backup's disk is damaged in the middle of the load; a restart notices.
    fn damage(&mut self, fault: StorageFault) {
        let (node, at, lasts) = (self.backup(), self.plan.load / 2, self.ms(5, 100));
        self.fault(at, lasts, Fault::Storage { node, fault });
        self.crash(at, lasts, &[node], Unsynced::Lost);
    }

    /// The disks of two nodes do this, one after the other, each long enough to be written to meanwhile.
    fn ail(&mut self, fault: StorageFault) {
        for at in self.moments(2) {
            let node = self.some(1)[0];
            let lasts = self.plan.load / 5;
            self.fault(at, lasts, Fault::Storage { node, fault });
        }
    }
}

/// A row of the table.
const fn scenario(
    name: &'static str,
    about: &'static str,
    ingredients: Ingredients,
    count: fn(&Happened) -> u64,
) -> Scenario {
    Scenario { name, about, n_min: 4, ingredients, count }
}

/// A row whose ingredient is a lie.
const fn lie(name: &'static str, about: &'static str, ingredients: Ingredients) -> Scenario {
    scenario(name, about, ingredients, |happened| happened.lies)
}

const SCENARIOS: &[Scenario] = &[
    scenario(
        "crash_backup_under_load",
        "one backup after the other dies and comes back",
        Drawn(crash_backup_under_load),
        |happened| happened.crashes - happened.primary_crashes,
    ),
    Scenario {
        n_min: 7,
        ..scenario(
            "crash_two_primaries_in_a_row",
            "the primary and the next one die at once, for good",
            Drawn(crash_two_primaries_in_a_row),
            |happened| if happened.crashes >= 2 { happened.primary_crashes } else { 0 },
        )
    },
    scenario("crash_loop", "one backup dies and comes back all the time", Drawn(crash_loop), |happened| {
        happened.crashes
    }),
    scenario(
        "rolling_restart",
        "everybody restarts, one at a time, then two at a time",
        Drawn(rolling_restart),
        |happened| happened.crashes,
    ),
    scenario(
        "long_outage_beyond_f",
        "f + 1 nodes are down for so long that the timers reach their cap",
        Drawn(long_outage_beyond_f),
        |happened| happened.crashes,
    ),
    scenario("split_two_two", "two halves do not hear each other", Drawn(split_two_two), |happened| happened.held),
    scenario("isolate_primary", "one primary after the other is cut off", Drawn(isolate_primary), |happened| {
        happened.primaries_cut
    }),
    scenario("isolate_backup", "a backup is cut off, then deaf, then mute", Drawn(isolate_backup), |happened| {
        happened.held
    }),
    scenario("ring_partition", "everybody hears its two neighbours only", Drawn(ring_partition), |happened| {
        happened.held
    }),
    scenario(
        "lossy_reordering_duplicating",
        "links lose 30 to 50 percent, double and reorder",
        Drawn(lossy_reordering_duplicating),
        |happened| happened.lost.min(happened.doubled).min(happened.overtaken),
    ),
    scenario(
        "drop_schedules",
        "links lose 30 to 70 percent for a few rounds and do nothing else wrong, then clients are silent",
        Drawn(drop_schedules),
        |happened| happened.lost,
    ),
    scenario(
        "primary_hears_but_cannot_speak",
        "nothing that the primary says arrives anywhere",
        Drawn(primary_hears_but_cannot_speak),
        |happened| happened.primaries_cut,
    ),
    scenario(
        "backup_kept_in_the_dark",
        "a backup does not hear the primary, and is needed later, when f others are dead",
        Drawn(backup_kept_in_the_dark),
        |happened| happened.held.min(happened.crashes),
    ),
    scenario("flapping_links", "links break and come back all the time", Drawn(flapping_links), |happened| {
        happened.held
    }),
    lie("equivocate_halves", "the primary proposes two batches at one place", Primary(Lie::Equivocate)),
    lie(
        "same_transaction_in_two_batches",
        "the primary proposes a transaction again in the next batch",
        Primary(Lie::SameTransaction),
    ),
    lie("shifted_sequence", "the primary tells one validator one place later", Primary(Lie::ShiftedSequence)),
    lie("gap_or_jump_in_sequence", "the primary leaves places out, and jumps", Primary(Lie::SequenceGap)),
    lie(
        "digest_without_body",
        "the primary proposes bodies that nobody has, or one node only (body_to_too_few)",
        Primary(Lie::MissingBody),
    ),
    lie(
        "poisoned_batch",
        "the primary proposes what is forged, doubled, expired, too much",
        Primary(Lie::PoisonedBatch),
    ),
    lie("busy_idler", "the primary proposes empty batches while transactions wait", Primary(Lie::Idler)),
    lie("drip", "the primary serves one friend, just often enough", Primary(Lie::Drip)),
    lie("primary_prepares", "the primary sends a PREPARE for its own proposal", Primary(Lie::PrimaryPrepares)),
    lie("double_votes", "a backup votes twice at one place", Backup(Lie::DoubleVotes)),
    lie("impersonation", "a backup votes in the name of others", Backup(Lie::Impersonation)),
    lie(
        "wrong_chain_view_digest_kind",
        "a backup votes for other chains, epochs, views and places",
        Backup(Lie::WrongPlace),
    ),
    lie("false_checkpoints", "a backup certifies headers that do not exist", Backup(Lie::FalseCheckpoints)),
    lie("selective_votes", "a backup votes to one validator only", Backup(Lie::SelectiveVotes)),
    lie("bad_sync_source", "a backup lags behind, and asks a source that gives it bad blocks", Drawn(bad_sync_source)),
    scenario("twins", "f validators have a second machine with the same key", Drawn(twins), |happened| happened.twins),
    scenario(
        "amnesiac",
        "a backup loses its vote log, or its whole disk, and comes back with its old key",
        Drawn(amnesiac),
        |happened| happened.amnesiacs,
    ),
    scenario(
        "torn_vote_log_tail",
        "crashes tear the ends of vote logs, and one end has flipped bits",
        Drawn(torn_vote_log_tail),
        |happened| happened.torn,
    ),
    scenario(
        "corrupted_middle",
        "a vote log is damaged in its middle, or a block in the chain store",
        Drawn(corrupted_middle),
        |happened| happened.amnesiacs + happened.rotten_blocks,
    ),
    scenario(
        "misdirected_read",
        "a disk gives the block before the one that was asked for",
        Drawn(|draft| {
            let below_head = draft.random.between(0, 3);
            draft.damage(StorageFault::MisdirectedRead { below_head });
        }),
        |happened| happened.rotten_blocks,
    ),
    scenario("fsync_error", "writes to a disk fail", Drawn(|draft| draft.ail(StorageFault::WritesFail)), |happened| {
        happened.halts
    }),
    scenario("disk_full", "a disk has no space left", Drawn(|draft| draft.ail(StorageFault::Full)), |happened| {
        happened.halts
    }),
    scenario(
        "power_loss",
        "everybody loses power at once, and what was not synced is gone",
        Drawn(power_loss),
        |happened| happened.unsynced_crashes,
    ),
    scenario(
        "slow_disk",
        "every sync of one disk takes 100 ms",
        Drawn(|draft| {
            let (node, hundred) = (draft.some(1)[0], Duration::from_millis(100));
            let fault = StorageFault::Slow { sync: (hundred, hundred) };
            draft.fault(draft.plan.load / 4, draft.plan.load / 2, Fault::Storage { node, fault });
        }),
        |happened| happened.slow_syncs,
    ),
    scenario("skewed", "every clock is wrong, as far as is allowed", Drawn(skewed), |happened| happened.clocks),
    scenario("drifting", "every clock runs wrong, by up to a fifth", Drawn(drifting), |happened| happened.clocks),
    scenario("jumping_back", "clocks jump ahead, and back", Drawn(jumping_back), |happened| happened.clocks_set_back),
];

fn crash_backup_under_load(draft: &mut Draft) {
    for at in draft.moments(3) {
        let (node, lasts) = (draft.backup(), draft.ms(50, 150));
        draft.crash(at, lasts, &[node], Unsynced::Lost);
    }
}

fn crash_two_primaries_in_a_row(draft: &mut Draft) {
    let at = draft.plan.load / 3;
    for node in [V0, NodeIndex(1)] {
        draft.fault(at, Duration::ZERO, Fault::Dead { node });
    }
}

fn crash_loop(draft: &mut Draft) {
    let node = draft.backup();
    for at in draft.moments(12) {
        let lasts = draft.plan.load / 25;
        draft.crash(at, lasts, &[node], Unsynced::Kept);
    }
}

fn rolling_restart(draft: &mut Draft) {
    let singly = draft.some(draft.n());
    let pairs: Vec<Vec<NodeIndex>> = singly.chunks(2).map(<[NodeIndex]>::to_vec).collect();
    let groups: Vec<Vec<NodeIndex>> = singly.iter().map(|node| vec![*node]).chain(pairs).collect();
    draft.load_for(Duration::from_millis(250) * groups.len() as u32);
    for (at, nodes) in draft.moments(groups.len() as u32).into_iter().zip(groups) {
        let lasts = draft.ms(50, 100);
        draft.crash(at, lasts, &nodes, Unsynced::Lost);
    }
}

fn long_outage_beyond_f(draft: &mut Draft) {
    draft.load_for(Duration::from_secs(8));
    let nodes = draft.some(draft.f() + 1);
    let at = draft.ms(200, 1_000);
    draft.crash(at, draft.plan.load - at, &nodes, Unsynced::Lost);
}

fn split_two_two(draft: &mut Draft) {
    for at in draft.moments(2) {
        let side = draft.some(draft.n() / 2);
        let lasts = draft.ms(200, 400);
        draft.fault(at, lasts, Fault::Partition { side });
    }
}

/// Each cut lasts for two view timeouts, so that the next primary is in office at the next cut.
fn isolate_primary(draft: &mut Draft) {
    draft.load_for(Duration::from_millis(3_000));
    for number in 0..3 {
        let (at, lasts) = (Duration::from_millis(100 + 950 * number), draft.ms(600, 700));
        draft.fault(at, lasts, Fault::Partition { side: vec![NodeIndex(number as u8)] });
    }
}

fn isolate_backup(draft: &mut Draft) {
    let node = draft.backup();
    let others = draft.others(node);
    let lasts = draft.plan.load / 4;
    let [cut, deaf, mute] = draft.moments(3)[..] else { return };
    draft.fault(cut, lasts, Fault::Partition { side: vec![node] });
    for other in others {
        draft.fault(deaf, lasts, Fault::Cut { from: other, to: node });
        draft.fault(mute, lasts, Fault::Cut { from: node, to: other });
    }
}

fn ring_partition(draft: &mut Draft) {
    let (n, at, lasts) = (draft.n(), draft.plan.load / 4, draft.plan.load / 2);
    let pairs = (0..n).flat_map(|one| (one + 2..n).map(move |other| (one, other)));
    for (one, other) in pairs.filter(|(one, other)| (other + 1) % n != *one) {
        draft.cut_both_ways(at, lasts, (NodeIndex(one as u8), NodeIndex(other as u8)));
    }
}

fn lossy_reordering_duplicating(draft: &mut Draft) {
    let (loss, double, spread) = (draft.random.between(300, 500), draft.random.between(50, 200), draft.ms(5, 30));
    let link = &mut draft.plan.world.link;
    (link.loss_per_mille, link.duplicate_per_mille) = (loss as u32, double as u32);
    link.delay_max = link.delay_min + spread;
}

fn drop_schedules(draft: &mut Draft) {
    draft.load_for(Duration::from_millis(300));
    draft.plan.transactions.truncate(20);
    let loss = draft.random.between(300, 700);
    let link = &mut draft.plan.world.link;
    (link.loss_per_mille, link.delay_max) = (loss as u32, link.delay_min);
}

fn primary_hears_but_cannot_speak(draft: &mut Draft) {
    draft.load_for(Duration::from_millis(1_500));
    let (at, lasts) = (draft.ms(100, 300), draft.ms(600, 1_000));
    for to in draft.others(V0) {
        draft.fault(at, lasts, Fault::Cut { from: V0, to });
    }
}

fn backup_kept_in_the_dark(draft: &mut Draft) {
    let (dark, half) = (draft.backup(), draft.plan.load / 2);
    draft.fault(Duration::ZERO, half, Fault::Cut { from: V0, to: dark });
    let others: Vec<NodeIndex> = draft.others(V0).into_iter().filter(|node| *node != dark).collect();
    for node in others.into_iter().take(draft.f()) {
        draft.fault(half, Duration::ZERO, Fault::Dead { node });
    }
}

fn flapping_links(draft: &mut Draft) {
    for at in draft.moments(30) {
        let pair = draft.some(2);
        let lasts = draft.ms(20, 100);
        draft.cut_both_ways(at, lasts, (pair[0], pair[1]));
    }
}

/// The window is so small, and so many are the blocks, that votes alone do not help the laggard. Of sources that it knows
/// nothing of, it asks the first one first.
fn bad_sync_source(draft: &mut Draft) {
    let parameters = &mut draft.plan.world.parameters;
    (parameters.checkpoint_interval, parameters.log_window, parameters.batch_count_max) = (2, 4, 2);
    draft.cast(V0, Role::Lies(Lie::BadSource));
    let (laggard, lasts) = (draft.backup(), draft.plan.load / 5);
    for at in draft.moments(3) {
        draft.crash(at, lasts, &[laggard], Unsynced::Lost);
    }
}

fn twins(draft: &mut Draft) {
    for node in draft.some(draft.f()) {
        draft.cast(node, Role::Twin);
    }
}

fn amnesiac(draft: &mut Draft) {
    let fault = *draft.random.pick(&[StorageFault::NoJournal, StorageFault::Wiped]).expect("two");
    draft.damage(fault);
}

fn torn_vote_log_tail(draft: &mut Draft) {
    draft.damage(StorageFault::Journal { before_last: 0, place: Place::Both });
    for at in draft.moments(4) {
        let (nodes, lasts) = (draft.all(), draft.ms(5, 50));
        let unsynced = Unsynced::Part(draft.random.between(0, 1_000) as u32);
        draft.crash(at, lasts, &nodes, unsynced);
    }
}

fn corrupted_middle(draft: &mut Draft) {
    let is_log = draft.random.chance(500);
    let (before_last, below_head) = (draft.random.between(1, 3) as usize, draft.random.between(0, 3));
    draft.damage(match is_log {
        true => StorageFault::Journal { before_last, place: Place::Both },
        false => StorageFault::RottenBlock { below_head },
    });
}

/// Syncs take so long that there is nearly always something that is not synced.
fn power_loss(draft: &mut Draft) {
    draft.plan.world.sync = (Duration::from_millis(5), Duration::from_millis(10));
    for at in draft.moments(8) {
        let (nodes, lasts) = (draft.all(), draft.ms(5, 50));
        draft.crash(at, lasts, &nodes, Unsynced::Lost);
    }
}

/// How far a clock may be off, in milliseconds, so that any two stay within what the chain allows.
fn skew_max(draft: &Draft) -> i64 {
    (draft.plan.world.parameters.clock_skew_max_ms / 2 - 100) as i64
}

fn skewed(draft: &mut Draft) {
    let most = skew_max(draft);
    for node in draft.all() {
        let skew = draft.random.between(1, most as u64) as i64 * if draft.random.chance(500) { 1 } else { -1 };
        draft.fault(Duration::ZERO, draft.plan.load, Fault::Clock { node, skew, drift: 0 });
    }
}

fn drifting(draft: &mut Draft) {
    for node in draft.all() {
        let drift = draft.random.between(1_000, 200_000) as i64 * if draft.random.chance(500) { 1 } else { -1 };
        draft.fault(Duration::ZERO, draft.plan.load, Fault::Clock { node, skew: 0, drift });
    }
}

fn jumping_back(draft: &mut Draft) {
    let most = skew_max(draft) as u64;
    for (number, at) in draft.moments(6).into_iter().enumerate() {
        let (node, skew) = (NodeIndex((number / 2) as u8), draft.random.between(1, most) as i64);
        let skew = if number % 2 == 0 { skew } else { -skew };
        draft.fault(at, Duration::ZERO, Fault::Clock { node, skew, drift: 0 });
    }
}
