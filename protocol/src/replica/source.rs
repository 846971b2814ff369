//! Who is asked for blocks, and until when.

use std::time::Duration;

use crate::{
    id::{Height, NodeIndex},
    time::Instant,
};

/// How long a source may take before another is asked.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The state of catching up.
#[derive(Clone, Debug, Default)]
pub(super) struct Sync {
    /// A height that at least one correct replica has reached; 0 while there is nothing to fetch.
    pub target: Height,
    pub asked: Option<(NodeIndex, Instant)>,
    /// Which of the connected validators is asked.
    pub source: usize,
}

impl Sync {
    /// There is something to fetch.
    pub fn start(&mut self, target: Height) {
        self.target = self.target.max(target);
    }

    pub fn is_active(&self) -> bool {
        self.target > Height::ZERO
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.asked.map(|(_, until)| until)
    }

    /// A block was executed: the source deserves its time anew.
    pub fn progressed(&mut self, now: Instant) {
        if let Some((_, until)) = &mut self.asked {
            *until = now + ANSWER_WITHIN;
        }
    }
}
