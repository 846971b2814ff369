//! Counting what happens where it takes effect.

use super::happened::Happened;
use super::network::Link;
use super::world::World;
use crate::id::NodeIndex;
use std::time::Duration;

impl World {
    /// What happened so far, counted.
    #[must_use]
    pub fn happened(&self) -> Happened {
        self.happened
    }

    /// Whether a node is the primary of the highest view that a correct node is in.
    pub(super) fn leads(&self, node: NodeIndex) -> bool {
        let view = |node: NodeIndex| self.replica(node).map(|replica| replica.engine().status().view);
        let highest = self.correct().into_iter().filter_map(view).max();
        self.replica(node).is_some_and(|replica| replica.engine().is_primary()) && view(node) == highest
    }

    /// What this node says does not arrive from here on, everywhere or somewhere.
    pub(super) fn count_cut(&mut self, sender: NodeIndex) {
        self.happened.primaries_cut += u64::from(self.leads(sender));
    }

    /// A wall clock will be so many milliseconds ahead, and drift.
    pub(super) fn count_clock(&mut self, node: NodeIndex, skew: i64, drift: i64) {
        self.happened.clocks += u64::from(skew != 0 || drift != 0);
        self.happened.clocks_set_back += u64::from(skew < self.clock.ahead(node));
    }

    /// What became of a message that took to a link.
    pub(super) fn count_deliveries(&mut self, (from, to): (NodeIndex, NodeIndex), link: Link, delays: &[Duration]) {
        match delays.len() {
            0 if link.is_cut => self.happened.held += 1,
            0 => self.happened.lost += 1,
            1 => {}
            _ => self.happened.doubled += 1,
        }
        let Some(arrival) = delays.iter().min().map(|delay| self.clock.now() + *delay) else { return };
        let latest = self.latest.entry((from, to)).or_insert(arrival);
        if arrival < *latest {
            self.happened.overtaken += 1;
        }
        *latest = arrival.max(*latest);
    }
}
