//! From a seed to a plan: everything that will be done to a world, as data.

use super::byzantine::Lie;
use super::config::{WorldConfig, hasty_timeouts};
use super::fault::{Cast, Fault, Role, TimedFault, TimedTransaction};
use super::network::Link;
use super::random::Random;
use super::storage_fault::{Place, StorageFault};
use super::unsynced::Unsynced;
use crate::document::Parameters;
use crate::id::NodeIndex;
use std::collections::BTreeSet;
use std::time::Duration;

/// Everything that a seed decides. All of it can be changed by hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The world at its beginning.
    pub world: WorldConfig,
    /// How long the first phase lasts, in which things go wrong and clients submit.
    pub load: Duration,
    /// What clients submit.
    pub transactions: Vec<TimedTransaction>,
    /// What goes wrong.
    pub faults: Vec<TimedFault>,
    /// Who lies, and how.
    pub casts: Vec<Cast>,
    /// How long every link between correct nodes takes in the second phase.
    pub healed_delay: Duration,
}

impl Plan {
    /// The plan of a seed; `n` replaces the number of validators that the seed would choose.
    #[must_use]
    pub fn from_seed(seed: u64, n: Option<usize>) -> Self {
        let mut random = Random::new(seed).fork();
        let n = n.unwrap_or_else(|| *random.pick(&[1, 4, 4, 4, 4, 5, 6, 7]).expect("a list of sizes"));
        let load = Duration::from_millis(random.between(1_000, 2_500));
        let world = world_config(seed, n, &mut random);
        let count = random.between(130, 180);
        let transaction = |_| TimedTransaction { at: random.duration(Duration::ZERO, load), seed: random.next_u64() };
        let transactions = (0..count).map(transaction).collect();
        let (casts, mut faults) = the_faulty(n, load, &mut random);
        let count = random.between(5, 9);
        faults.extend((0..count).map(|_| timed_fault(&world, load, &mut random)));
        Plan { world, load, transactions, faults, casts, healed_delay: Duration::from_millis(2) }
    }

    /// The nodes that count among the f, whatever the reason.
    #[must_use]
    pub fn faulty(&self) -> BTreeSet<NodeIndex> {
        let cast = self.casts.iter().map(|cast| cast.node);
        cast.chain(self.faults.iter().filter_map(|timed| timed.fault.costs())).collect()
    }

    /// How many things go wrong in it.
    #[must_use]
    pub fn trouble(&self) -> usize {
        self.faults.len() + self.casts.len()
    }
}

fn world_config(seed: u64, n: usize, random: &mut Random) -> WorldConfig {
    let micros = Duration::from_micros;
    let loss = [0, 10, 50, 150, 300];
    let delay_min = micros(random.between(50, 1_000));
    let checkpoint_interval = random.between(2, 12);
    WorldConfig {
        seed,
        n,
        link: Link {
            delay_min,
            delay_max: delay_min + micros(random.between(0, 20_000)),
            loss_per_mille: *random.pick(&loss).expect("a list of losses"),
            duplicate_per_mille: random.between(0, 60) as u32,
            is_cut: false,
        },
        sync: (micros(100), micros(random.between(100, 5_000))),
        release: (Duration::ZERO, micros(random.between(0, 1_000))),
        execution: (micros(100), micros(random.between(100, 8_000))),
        connect: (micros(100), micros(5_000)),
        parameters: hasty_timeouts(Parameters {
            checkpoint_interval,
            log_window: checkpoint_interval * random.between(2, 6),
            batch_count_max: random.between(1, 40) as u32,
            ..Parameters::default()
        }),
        status_interval: Duration::from_millis(random.between(50, 150)),
        status_interval_idle: Duration::from_millis(500),
        keep_trace: false,
    }
}

/// At most f nodes that are not correct: liars, twins, the dead, and those whose disks forget.
fn the_faulty(n: usize, load: Duration, random: &mut Random) -> (Vec<Cast>, Vec<TimedFault>) {
    let f = (n - 1) / 3;
    let mut candidates: Vec<NodeIndex> = (0..n as u8).map(NodeIndex).collect();
    let (mut casts, mut faults) = (Vec::new(), Vec::new());
    let least = u64::from(random.chance(800)).min(f as u64);
    for _ in 0..random.between(least, f as u64) {
        let node = candidates.swap_remove(random.below(candidates.len() as u64) as usize);
        let fault = match random.below(10) {
            0..=5 => {
                let lie = *random.pick(Lie::ALL).expect("there are ways of lying");
                casts.push(Cast { node, role: Role::Lies(lie) });
                continue;
            }
            6 => {
                casts.push(Cast { node, role: Role::Twin });
                continue;
            }
            7 => Fault::Dead { node },
            _ => Fault::Storage { node, fault: forgetful(random) },
        };
        let at = random.duration(Duration::ZERO, load);
        let lasts = Duration::from_millis(random.between(5, 400));
        // A disk that forgets is noticed at the next start.
        let crash = Fault::Crash { nodes: vec![node], unsynced: Unsynced::Lost };
        faults.push(TimedFault { at, lasts, fault });
        faults.push(TimedFault { at, lasts, fault: crash });
    }
    (casts, faults)
}

/// Damage that costs a node its vote, or its life.
fn forgetful(random: &mut Random) -> StorageFault {
    let below_head = random.between(0, 3);
    match random.below(6) {
        0..=1 => StorageFault::Journal { before_last: random.below(4) as usize, place: Place::Journal },
        2 => StorageFault::Journal { before_last: 1 + random.below(3) as usize, place: Place::Both },
        3 => *random.pick(&[StorageFault::NoJournal, StorageFault::Wiped]).expect("two"),
        4 => StorageFault::RottenBlock { below_head },
        _ => StorageFault::MisdirectedRead { below_head },
    }
}

fn timed_fault(world: &WorldConfig, load: Duration, random: &mut Random) -> TimedFault {
    let at = random.duration(Duration::ZERO, load);
    let lasts = Duration::from_millis(random.between(5, 400));
    TimedFault { at, lasts, fault: fault(world, random) }
}

/// Something that correct nodes survive.
fn fault(world: &WorldConfig, random: &mut Random) -> Fault {
    let all: Vec<NodeIndex> = (0..world.n as u8).map(NodeIndex).collect();
    let one = *random.pick(&all).expect("a world has validators");
    let other = *random.pick(&all).expect("a world has validators");
    let some: Vec<NodeIndex> = all.iter().copied().filter(|_| random.chance(400)).collect();
    let unsynced = match random.below(3) {
        0 => Unsynced::Lost,
        1 => Unsynced::Kept,
        _ => Unsynced::Part(random.between(0, 1_000) as u32),
    };
    match random.below(20) {
        0..=5 => Fault::Crash { nodes: vec![one], unsynced },
        // The first primary, which the most depends on.
        6 => Fault::Crash { nodes: vec![NodeIndex(0)], unsynced },
        7..=8 => Fault::Crash { nodes: all, unsynced },
        9..=10 => Fault::Crash { nodes: some, unsynced },
        11..=13 => Fault::Partition { side: some },
        14 => Fault::Cut { from: one, to: other },
        15 => Fault::SlowLink { from: one, to: other, delay: Duration::from_millis(random.between(20, 300)) },
        16..=17 => Fault::Storage { node: one, fault: survivable(random) },
        _ => {
            // Any two correct clocks stay within what the chain allows.
            let skew_max = (world.parameters.clock_skew_max_ms / 2 - 100) as i64;
            let skew = random.between(0, 2 * skew_max as u64) as i64 - skew_max;
            Fault::Clock { node: one, skew, drift: random.between(0, 20_000) as i64 - 10_000 }
        }
    }
}

/// Trouble with a disk that costs nobody the vote.
fn survivable(random: &mut Random) -> StorageFault {
    match random.below(4) {
        0 => StorageFault::Full,
        1 => StorageFault::WritesFail,
        2 => StorageFault::Journal { before_last: random.below(4) as usize, place: Place::Copy },
        _ => {
            let slow = Duration::from_millis(random.between(20, 100));
            StorageFault::Slow { sync: (slow, slow) }
        }
    }
}
