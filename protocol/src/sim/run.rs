//! From a plan to an outcome.

use super::fault::{Cast, Fault, Role, TimedFault, TimedTransaction};
use super::happened::Happened;
use super::invariants::{Promise, Violation};
use super::liveness;
use super::outcome::{Outcome, Report};
use super::plan::Plan;
use super::storage_fault::StorageFault;
use super::unsynced::Unsynced;
use super::workload::Workload;
use super::world::World;
use crate::id::NodeIndex;
use crate::time::Instant;
use quorate_crypto::Digest;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Lines of the trace that a report carries.
const TAIL_LINES: usize = 120;

/// One thing that the plan does to the world.
#[derive(Clone, Copy)]
enum Action<'a> {
    Submit(&'a TimedTransaction),
    Begin(usize, &'a TimedFault),
    End(usize, &'a TimedFault),
    /// Twins hear and tell everybody from here on.
    UniteTwins,
}

/// A world with the plan that it lives through.
struct Play<'a> {
    plan: &'a Plan,
    world: World,
    workload: Workload,
    /// Which faults have begun and not ended, by their places in the plan.
    active: Vec<usize>,
    /// A validator's first machine and its twin, while they are kept apart.
    twins: Vec<(NodeIndex, NodeIndex)>,
    begun: usize,
}

impl Plan {
    /// Lives through the plan.
    #[must_use]
    pub fn run(&self) -> Report {
        let world = World::new(self.world.clone());
        let mut play =
            Play { plan: self, world, workload: Workload::default(), active: Vec::new(), twins: Vec::new(), begun: 0 };
        play.cast();
        for (at, action) in self.timeline() {
            if at > self.load {
                break;
            }
            play.world.run_until(Instant::ORIGIN + at, |_| false);
            play.act(action);
        }
        play.world.run_until(Instant::ORIGIN + self.load, |_| false);
        play.workload.retry_with_a_few(&mut play.world);
        let settled = liveness::settle(&mut play.world, &mut play.workload, self.healed_delay);
        if settled.is_ok() {
            play.world.finish();
        }
        play.report(settled)
    }

    /// As [`Plan::run`]; a panic is an outcome like others.
    #[must_use]
    pub fn run_caught(&self) -> Report {
        catch_unwind(AssertUnwindSafe(|| self.run())).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            let violation = Violation { promise: Promise::NoPanic, detail: text.unwrap_or_default() };
            Report {
                seed: self.world.seed,
                outcome: Outcome::of(violation),
                executed: 0,
                height: 0,
                view: 0,
                faults: self.trouble(),
                happened: Happened::default(),
                dropped: 0,
                lines: 0,
                digest: Digest::ZERO,
                tail: String::new(),
            }
        })
    }

    /// Everything that the plan does, in order of time.
    fn timeline(&self) -> Vec<(Duration, Action<'_>)> {
        let mut timeline: Vec<(Duration, Action<'_>)> =
            self.transactions.iter().map(|timed| (timed.at, Action::Submit(timed))).collect();
        for (place, timed) in self.faults.iter().enumerate() {
            timeline.push((timed.at, Action::Begin(place, timed)));
            timeline.push((timed.at + timed.lasts, Action::End(place, timed)));
        }
        timeline.push((self.load / 2, Action::UniteTwins));
        // Stable: what falls on one moment keeps its order.
        timeline.sort_by_key(|(at, _)| *at);
        timeline
    }
}

impl Play<'_> {
    /// Who is not honest begins with it.
    fn cast(&mut self) {
        for Cast { node, role } in &self.plan.casts {
            match role {
                Role::Lies(lie) => {
                    let behaviour = lie.behaviour(&self.plan.world.parameters);
                    self.world.say(format_args!("{node} lies: {lie:?}"));
                    self.world.corrupt(*node, behaviour);
                }
                Role::Twin => {
                    let twin = self.world.add_twin(*node);
                    self.twins.push((*node, twin));
                }
            }
        }
        self.cut();
    }

    fn act(&mut self, action: Action<'_>) {
        match action {
            Action::Submit(timed) => self.workload.submit_one(&mut self.world, timed.seed),
            Action::Begin(place, timed) => {
                self.begun += 1;
                self.active.push(place);
                self.begin(&timed.fault);
            }
            Action::End(place, timed) => {
                self.active.retain(|active| *active != place);
                self.end(&timed.fault);
            }
            Action::UniteTwins => {
                self.twins.clear();
                self.cut();
            }
        }
    }

    fn begin(&mut self, fault: &Fault) {
        let world = &mut self.world;
        match fault {
            Fault::Crash { nodes, unsynced } => nodes.iter().for_each(|node| world.crash(*node, *unsynced)),
            Fault::Dead { node } => {
                world.crash(*node, Unsynced::Lost);
                world.give_up(*node);
            }
            Fault::Partition { side } => {
                world.say(format_args!("nothing passes between {side:?} and the others"));
                if let [alone] = side[..] {
                    world.count_cut(alone);
                }
                self.cut();
            }
            Fault::Cut { from, to } => {
                world.say(format_args!("nothing passes from {from} to {to}"));
                world.count_cut(*from);
                self.cut();
            }
            Fault::SlowLink { from, to, delay } => {
                world.say(format_args!("what {from} says reaches {to} late"));
                let link = world.network_mut().link_mut(*from, *to);
                (link.delay_min, link.delay_max) = (*delay, *delay * 2);
            }
            Fault::Storage { node, fault } => world.damage(*node, *fault),
            Fault::Clock { node, skew, drift } => {
                world.say(format_args!("the clock of {node} jumps to {skew} ms ahead, and drifts"));
                world.count_clock(*node, *skew, *drift);
                world.clock_mut().set_skew(*node, *skew);
                world.clock_mut().set_drift(*node, *drift);
            }
        }
    }

    fn end(&mut self, fault: &Fault) {
        let world = &mut self.world;
        match fault {
            Fault::Crash { nodes, .. } => {
                let dead = |node: &NodeIndex| world.node(*node).standing.given_up;
                let alive: Vec<NodeIndex> = nodes.iter().copied().filter(|node| !dead(node)).collect();
                alive.into_iter().for_each(|node| world.restart(node));
            }
            Fault::Dead { .. } => {}
            Fault::Partition { .. } | Fault::Cut { .. } => {
                world.say(format_args!("a partition ends"));
                self.cut();
            }
            Fault::SlowLink { from, to, .. } => {
                let usual = world.config().link;
                let link = world.network_mut().link_mut(*from, *to);
                (link.delay_min, link.delay_max) = (usual.delay_min, usual.delay_max);
            }
            Fault::Storage {
                node,
                fault: StorageFault::Full | StorageFault::WritesFail | StorageFault::Slow { .. },
            } => {
                world.repair(*node);
                if world.halted(*node).is_some() {
                    world.crash(*node, Unsynced::Lost);
                    world.restart(*node);
                }
            }
            Fault::Storage { .. } => {}
            Fault::Clock { node, .. } => world.clock_mut().set_drift(*node, 0),
        }
    }

    /// Cuts what the active faults cut, and nothing else. Where something passes again, both ends make a new connection.
    fn cut(&mut self) {
        let before = self.world.network().clone();
        self.world.network_mut().mend();
        for place in &self.active {
            match &self.plan.faults[*place].fault {
                Fault::Partition { side } => self.world.network_mut().partition(side),
                Fault::Cut { from, to } => self.world.network_mut().cut(*from, *to),
                _ => {}
            }
        }
        self.part_twins();
        for from in self.world.machines() {
            for to in self.world.peers(from) {
                if before.link(from, to).is_cut && !self.world.network().link(from, to).is_cut {
                    self.world.reconnect(from, to);
                }
            }
        }
    }

    /// First machines hear and tell each other and the honest ones of even index, twins each other and those of odd index.
    fn part_twins(&mut self) {
        let firsts: Vec<NodeIndex> = self.twins.iter().map(|(first, _)| *first).collect();
        let twins: Vec<NodeIndex> = self.twins.iter().map(|(_, twin)| *twin).collect();
        let honest = self.world.indices().into_iter().filter(|node| !firsts.contains(node));
        let (even, odd): (Vec<_>, Vec<_>) = honest.partition(|node| node.0 % 2 == 0);
        for (side, deaf) in [(&odd, &firsts), (&even, &twins), (&twins, &firsts)] {
            for (one, other) in side.iter().flat_map(|one| deaf.iter().map(move |other| (*one, *other))) {
                self.world.network_mut().cut(one, other);
                self.world.network_mut().cut(other, one);
            }
        }
    }

    fn report(self, settled: Result<(), String>) -> Report {
        let Play { plan, world, workload, begun, .. } = self;
        let first = world.correct().first().copied().unwrap_or_default();
        let views = world.correct().into_iter().filter_map(|node| world.status(node)).map(|status| status.engine.view);
        Report {
            seed: plan.world.seed,
            outcome: judge(&world, &workload, first, settled),
            executed: workload.executed(&world, first),
            height: world.height(first).0,
            view: views.max().unwrap_or_default().0,
            faults: begun + plan.casts.len(),
            happened: world.happened(),
            dropped: world.dropped(),
            lines: world.trace().count(),
            digest: world.trace().digest(),
            tail: world.trace().tail(if plan.world.keep_trace { usize::MAX } else { TAIL_LINES }),
        }
    }
}

fn judge(world: &World, workload: &Workload, first: NodeIndex, settled: Result<(), String>) -> Outcome {
    if let Some(violation) = world.violation() {
        return Outcome::of(violation.clone());
    }
    if let Some((id, kind)) = workload.misjudged(world, first) {
        let detail = format!("{id} was executed, and it was {kind:?}");
        return Outcome::of(Violation { promise: Promise::Validity, detail });
    }
    settled.map_or_else(Outcome::NoProgress, |()| Outcome::Pass)
}
