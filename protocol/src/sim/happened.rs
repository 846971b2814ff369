//! What happened in a world, counted where it took effect, so that a situation that was asked for can be told from one that
//! came about. Counting draws nothing and writes no line of the trace.

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
