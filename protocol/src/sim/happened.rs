//! What happened in a world, counted where it took effect, so that a situation that was asked for can be told from one that
//! came about. Counting draws nothing and writes no line of the trace.

use super::network::Link;
use super::world::World;
use crate::id::NodeIndex;
use std::time::Duration;

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Nodes that ran and died.
    pub crashes: u64,
    /// Those of them that were the primary of the highest view.
    pub primary_crashes: u64,
    /// Those of them that died with writes to the vote journal that were not synced.
    pub unsynced_crashes: u64,
    /// Cuts that began while the node behind them was the primary of the highest view: a partition that leaves it alone, or
    /// one direction from it.
    pub primaries_cut: u64,
    /// Messages that a cut link did not carry.
    pub held: u64,
    /// Messages that a link lost.
    pub lost: u64,
    /// Messages that a link delivered twice.
    pub doubled: u64,
    /// Messages that arrived before one that was sent earlier over the same link.
    pub overtaken: u64,
    /// What liars said that an honest node would not have, left out that it would have said, or would not hear.
    pub lies: u64,
    /// Validators with a second machine.
    pub twins: u64,
    /// Starts that cut records from the end of the vote journal.
    pub torn: u64,
    /// Starts that found a vote journal that cannot be trusted.
    pub amnesiacs: u64,
    /// Blocks that came to read as others than were written.
    pub rotten_blocks: u64,
    /// Nodes that stopped signing.
    pub halts: u64,
    /// Syncs on a disk that is slow.
    pub slow_syncs: u64,
    /// Wall clocks that were set wrong, or made to run wrong.
    pub clocks: u64,
    /// Those of them that were set back.
    pub clocks_set_back: u64,
}

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
