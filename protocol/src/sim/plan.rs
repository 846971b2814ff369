//! From a seed to a plan, and from a plan to an outcome.

use super::disk::Unsynced;
use super::invariants::{Promise, Violation};
use super::network::Link;
use super::random::Random;
use super::workload::Workload;
use super::world::{World, WorldConfig};
use crate::document::Parameters;
use crate::id::NodeIndex;
use quorate_crypto::Digest;
use std::fmt;
use std::time::Duration;

/// How long after everything has healed the last open transaction must be settled, in virtual time.
const PROGRESS_BOUND: Duration = Duration::from_secs(30);

/// How often clients try again after everything has healed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Lines of the trace that a report carries.
const TAIL_LINES: usize = 120;

/// Something that goes wrong. Every fault ends: what crashes is started again, what is cut is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// These nodes die together.
    Crash {
        /// Who.
        nodes: Vec<NodeIndex>,
        /// What their disks keep.
        unsynced: Unsynced,
    },
    /// Nothing passes between these nodes and the others.
    Partition {
        /// One side.
        side: Vec<NodeIndex>,
    },
    /// Nothing passes one way between two nodes.
    Cut {
        /// Who is not heard.
        from: NodeIndex,
        /// Who does not hear.
        to: NodeIndex,
    },
}

/// A fault with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedFault {
    /// When it begins, counted from the beginning of the world.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What it is.
    pub fault: Fault,
}

/// Everything that a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The world at its beginning.
    pub world: WorldConfig,
    /// How many transactions clients submit.
    pub transactions: u64,
    /// Over which time they do.
    pub load: Duration,
    /// What goes wrong meanwhile.
    pub faults: Vec<TimedFault>,
}

/// How a world ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every promise held, and everything submitted was settled in time.
    Pass,
    /// Every promise held, but something was not settled in time after everything had healed. What, for people.
    NoProgress(String),
    /// A promise was broken.
    Violated(Violation),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Pass => f.write_str("pass"),
            Outcome::NoProgress(what) => write!(f, "no progress: {what}"),
            Outcome::Violated(violation) => write!(f, "{violation}"),
        }
    }
}

/// What became of a plan.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Transactions executed.
    pub executed: usize,
    /// Blocks of the chain.
    pub height: u64,
    /// Faults that happened.
    pub faults: usize,
    /// Lines of the trace.
    pub lines: u64,
    /// A hash over the whole trace: equal seeds have equal ones.
    pub digest: Digest,
    /// The last lines of the trace.
    pub tail: String,
}

/// One thing that the plan does to the world.
enum Action {
    Submit,
    Begin(Fault),
    End(Fault),
}

impl Plan {
    /// The plan of a seed; `n` replaces the number of validators that the seed would choose.
    #[must_use]
    pub fn from_seed(seed: u64, n: Option<usize>) -> Self {
        let mut random = Random::new(seed).fork();
        let n = n.unwrap_or_else(|| *random.pick(&[1, 4, 4, 4, 4, 5, 6, 7]).expect("a list of sizes"));
        let load = Duration::from_millis(random.between(1_000, 2_500));
        let count = random.between(5, 9);
        Plan {
            world: world_config(seed, n, &mut random),
            transactions: random.between(130, 180),
            load,
            faults: (0..count).map(|_| timed_fault(n, load, &mut random)).collect(),
        }
    }

    /// Lives through the plan.
    #[must_use]
    pub fn run(self) -> Report {
        let seed = self.world.seed;
        let mut world = World::new(self.world.clone());
        let mut workload = Workload::new(Random::new(!seed), world.genesis().chain_id());
        let faults = self.faults.len();
        for (at, action) in self.timeline() {
            let deadline = crate::time::Instant::ORIGIN + at;
            world.run_until(deadline, |_| false);
            act(&mut world, &mut workload, action);
        }
        let outcome = settle(&mut world, &mut workload);
        Report {
            seed,
            outcome,
            executed: workload.executed(&world, NodeIndex(0)),
            height: world.height(NodeIndex(0)).0,
            faults,
            lines: world.trace().count(),
            digest: world.trace().digest(),
            tail: world.trace().tail(TAIL_LINES),
        }
    }

    /// Everything that the plan does, in order of time.
    fn timeline(self) -> Vec<(Duration, Action)> {
        let mut random = Random::new(self.world.seed.rotate_left(17));
        let mut timeline: Vec<(Duration, Action)> =
            (0..self.transactions).map(|_| (random.duration(Duration::ZERO, self.load), Action::Submit)).collect();
        for TimedFault { at, lasts, fault } in self.faults {
            timeline.push((at, Action::Begin(fault.clone())));
            timeline.push((at + lasts, Action::End(fault)));
        }
        // Stable: what falls on one moment keeps its order.
        timeline.sort_by_key(|(at, _)| *at);
        timeline
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
        parameters: Parameters {
            checkpoint_interval,
            log_window: checkpoint_interval * random.between(2, 6),
            batch_count_max: random.between(1, 40) as u32,
            ..Parameters::default()
        },
        status_interval: Duration::from_millis(random.between(50, 150)),
        status_interval_idle: Duration::from_millis(500),
        keep_trace: false,
    }
}

fn timed_fault(n: usize, load: Duration, random: &mut Random) -> TimedFault {
    let at = random.duration(Duration::ZERO, load);
    let lasts = Duration::from_millis(random.between(5, 400));
    TimedFault { at, lasts, fault: fault(n, random) }
}

fn fault(n: usize, random: &mut Random) -> Fault {
    let all: Vec<NodeIndex> = (0..n as u8).map(NodeIndex).collect();
    let one = *random.pick(&all).expect("a world has validators");
    let other = *random.pick(&all).expect("a world has validators");
    let some: Vec<NodeIndex> = all.iter().copied().filter(|_| random.chance(400)).collect();
    let unsynced = match random.below(3) {
        0 => Unsynced::Lost,
        1 => Unsynced::Kept,
        _ => Unsynced::Part(random.between(0, 1_000) as u32),
    };
    match random.below(10) {
        0..=3 => Fault::Crash { nodes: vec![one], unsynced },
        // The first primary; views do not change by themselves.
        4 => Fault::Crash { nodes: vec![NodeIndex(0)], unsynced },
        5 => Fault::Crash { nodes: all, unsynced },
        6 => Fault::Crash { nodes: some, unsynced },
        7..=8 => Fault::Partition { side: some },
        _ => Fault::Cut { from: one, to: other },
    }
}

fn act(world: &mut World, workload: &mut Workload, action: Action) {
    match action {
        Action::Submit => workload.submit_one(world),
        Action::Begin(Fault::Crash { nodes, unsynced }) => nodes.iter().for_each(|node| world.crash(*node, unsynced)),
        Action::End(Fault::Crash { nodes, .. }) => nodes.iter().for_each(|node| world.restart(*node)),
        Action::Begin(Fault::Partition { side }) => {
            world.say(format_args!("nothing passes between {side:?} and the others"));
            world.network_mut().partition(&side);
        }
        Action::Begin(Fault::Cut { from, to }) => {
            world.say(format_args!("nothing passes from {from} to {to}"));
            world.network_mut().cut(from, to);
        }
        Action::End(Fault::Partition { .. } | Fault::Cut { .. }) => {
            world.say(format_args!("all links are whole"));
            world.network_mut().mend();
        }
    }
}

/// Heals everything; then clients try until the chain has settled all that they sent.
fn settle(world: &mut World, workload: &mut Workload) -> Outcome {
    let link = Duration::from_millis(1);
    world.heal(link);
    let deadline = world.clock().now() + PROGRESS_BOUND;
    let mut retry_at = world.clock().now();
    while world.violation().is_none() && world.clock().now() < deadline {
        if world.clock().now() >= retry_at {
            workload.retry(world);
            retry_at = retry_at + RETRY_INTERVAL;
        }
        world.run_for(Duration::from_millis(20));
        workload.look(world, NodeIndex(0));
        if workload.open(world) == 0 && has_converged(world) {
            break;
        }
    }
    if has_converged(world) {
        world.finish();
    }
    judge(world, workload)
}

fn judge(world: &World, workload: &Workload) -> Outcome {
    if let Some(violation) = world.violation() {
        return Outcome::Violated(violation.clone());
    }
    if let Some((id, kind)) = workload.misjudged(world, NodeIndex(0)) {
        let detail = format!("{id} was executed, and it was {kind:?}");
        return Outcome::Violated(Violation { promise: Promise::Validity, detail });
    }
    let open = workload.open(world);
    if open > 0 {
        return Outcome::NoProgress(format!("{open} transactions are neither executed nor certified expired"));
    }
    if !has_converged(world) {
        let heights: Vec<u64> = world.indices().into_iter().map(|node| world.height(node).0).collect();
        return Outcome::NoProgress(format!("the nodes have not met: their heights are {heights:?}"));
    }
    Outcome::Pass
}

/// All nodes are at one height and hold its certificate.
fn has_converged(world: &World) -> bool {
    let height = world.height(NodeIndex(0));
    world.indices().into_iter().all(|node| {
        let certified = height.0 == 0 || world.is_certified(node, height);
        certified && world.height(node) == height
    })
}
