//! What is left of writes that nobody had synced.

/// What a crash leaves of writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// Nothing.
    Lost,
    /// Everything: the system had written it, and only nobody was told.
    Kept,
    /// So many of a thousand writes, counted from the oldest. The next one is torn, which no start can tell from one
    /// that was never begun.
    Part(u32),
}

impl Unsynced {
    /// How many of `count` writes are left.
    pub(super) fn survivors(self, count: usize) -> usize {
        match self {
            Unsynced::Lost => 0,
            Unsynced::Kept => count,
            Unsynced::Part(per_mille) => count * per_mille.min(1_000) as usize / 1_000,
        }
    }
}
