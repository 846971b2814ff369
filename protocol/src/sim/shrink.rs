//! From a plan that fails to a short one that fails in the same way.
//!
//! Plans are data: what can be taken out is taken out, and what is still wrong then is what matters. The network draws its
//! delays anew for each try, so a step that loses the failure is simply not taken.

use super::fault::{Cast, Fault, TimedFault};
use super::legend::{condensed, legend};
use super::network::Link;
use super::outcome::{OutcomeKind, Report};
use super::plan::Plan;
use crate::id::NodeIndex;
use std::time::Duration;

/// A failing plan that could not be made any shorter.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What becomes of it.
    pub report: Report,
    /// How many plans were tried.
    pub tries: usize,
}

impl Shrunk {
    /// Everything that a person needs: the outcome, the plan in words, and the end of the trace.
    #[must_use]
    pub fn story(&self) -> String {
        let lines = condensed(&self.report.tail);
        format!("{}\n\n{}\n{lines}", self.report.outcome, legend(&self.plan))
    }
}

/// Makes a failing plan as short as `tries` runs allow. `run` is [`Plan::run_caught`], or something else that judges plans.
///
/// Nothing is made shorter where the plan passes.
pub fn shrink(plan: &Plan, tries: usize, run: impl Fn(&Plan) -> Report) -> Shrunk {
    let report = run(plan);
    let kind = report.outcome.kind();
    let mut search = Search { best: Shrunk { plan: plan.clone(), report, tries: 1 }, kind, tries, run };
    if kind != OutcomeKind::Pass {
        while search.round() {}
    }
    search.best
}

struct Search<R> {
    best: Shrunk,
    kind: OutcomeKind,
    tries: usize,
    run: R,
}

impl<R: Fn(&Plan) -> Report> Search<R> {
    /// Tries every way of cutting once; whether one of them worked.
    fn round(&mut self) -> bool {
        let mut shorter = false;
        shorter |= self.fewer(|plan| &mut plan.transactions);
        shorter |= self.fewer(|plan| &mut plan.faults);
        shorter |= self.fewer(|plan| &mut plan.casts);
        while self.best.plan.world.n > 1 && self.attempt(one_validator_less) {
            shorter = true;
        }
        shorter |= self.attempt(perfect_links);
        shorter |= self.attempt(quick_disks);
        shorter |= self.attempt(shorter_faults);
        while self.best.plan.load > Duration::from_millis(10) && self.attempt(half_the_time) {
            shorter = true;
        }
        shorter
    }

    /// Runs what the change makes of the best plan, and keeps it if it fails in the same way.
    fn attempt(&mut self, change: impl Fn(&mut Plan)) -> bool {
        let mut plan = self.best.plan.clone();
        change(&mut plan);
        // With more than f faulty anything can happen, and that would be another story.
        let is_hopeless = |plan: &Plan| plan.faulty().len() > (plan.world.n - 1) / 3;
        if self.best.tries >= self.tries
            || plan == self.best.plan
            || (is_hopeless(&plan) && !is_hopeless(&self.best.plan))
        {
            return false;
        }
        self.best.tries += 1;
        let report = (self.run)(&plan);
        let same = report.outcome.kind() == self.kind;
        if same {
            (self.best.plan, self.best.report) = (plan, report);
        }
        same
    }

    /// Takes ever smaller parts out of a list: half of it, a quarter, down to single entries.
    fn fewer<T>(&mut self, list: impl Fn(&mut Plan) -> &mut Vec<T>) -> bool {
        let mut shorter = false;
        let mut part = list(&mut self.best.plan.clone()).len();
        while part > 0 {
            let mut from = 0;
            while from < list(&mut self.best.plan.clone()).len() {
                let without = |plan: &mut Plan| {
                    let entries = list(plan);
                    let to = (from + part).min(entries.len());
                    entries.drain(from..to);
                };
                if self.attempt(without) {
                    shorter = true;
                } else {
                    from += part;
                }
            }
            part /= 2;
        }
        shorter
    }
}

fn one_validator_less(plan: &mut Plan) {
    plan.world.n -= 1;
    let last = NodeIndex(plan.world.n as u8);
    let stays = |node: &NodeIndex| *node < last;
    plan.casts.retain(|Cast { node, .. }| stays(node));
    for TimedFault { fault, .. } in &mut plan.faults {
        if let Fault::Crash { nodes, .. } | Fault::Partition { side: nodes } = fault {
            nodes.retain(stays);
        }
    }
    plan.faults.retain(|timed| timed.fault.nodes().iter().all(stays));
}

fn perfect_links(plan: &mut Plan) {
    plan.world.link = Link::exact(Duration::from_millis(1));
}

fn quick_disks(plan: &mut Plan) {
    let quick = (Duration::from_micros(500), Duration::from_micros(500));
    (plan.world.sync, plan.world.execution) = (quick, quick);
    (plan.world.release, plan.world.connect) = Default::default();
}

fn shorter_faults(plan: &mut Plan) {
    plan.faults.iter_mut().for_each(|timed| timed.lasts /= 2);
}

fn half_the_time(plan: &mut Plan) {
    plan.load /= 2;
    plan.transactions.iter_mut().for_each(|timed| timed.at /= 2);
    plan.faults.iter_mut().for_each(|timed| timed.at /= 2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fault::Role;

    /// More than f have twins, the first primary too: two batches commit at one place sooner or later.
    fn hopeless(seed: u64) -> Plan {
        let mut plan = Plan::from_seed(seed, Some(4));
        let has_twin = |node| Cast { node: NodeIndex(node), role: Role::Twin };
        plan.casts = vec![has_twin(0), has_twin(1)];
        plan
    }

    #[test]
    fn a_fork_by_too_many_twins_shrinks_to_a_trace_that_a_person_can_read() {
        let plan = (0..50).map(hopeless).find(|plan| plan.run_caught().outcome.kind() == OutcomeKind::Diverged);
        let plan = plan.expect("two of four with twins fork the chain");
        let shrunk = shrink(&plan, 400, Plan::run_caught);
        assert_eq!(shrunk.report.outcome.kind(), OutcomeKind::Diverged);
        assert!(shrunk.plan.transactions.len() <= 3, "{}", shrunk.plan.transactions.len());
        assert!(shrunk.plan.faults.len() <= 2, "{:?}", shrunk.plan.faults);
        assert!(!shrunk.plan.casts.is_empty(), "without liars there is no fork");
        let again = shrunk.plan.run_caught();
        assert_eq!((again.digest, &again.outcome), (shrunk.report.digest, &shrunk.report.outcome));
        let story = shrunk.story();
        assert!(story.contains("has a twin") && story.contains("agreement (AG)"), "{story}");
        assert!(story.lines().count() < 140, "{story}");
    }

    #[test]
    fn a_plan_that_passes_stays_as_it_is() {
        let plan = Plan::from_seed(1, Some(1));
        let shrunk = shrink(&plan, 9, Plan::run_caught);
        assert_eq!((shrunk.tries, shrunk.plan), (1, plan));
    }
}
