//! The clocks of a world: one virtual time, and a wall clock for each replica.

use crate::id::NodeIndex;
use crate::time::{Instant, Now, UnixMillis};

/// What every wall clock shows when a world begins, in Unix milliseconds.
pub const WALL_ORIGIN: UnixMillis = 1_700_000_000_000;

/// Virtual time. It moves when the world says so; nothing waits for it.
#[derive(Clone, Debug)]
pub struct Clock {
    now: Instant,
    /// By how much each replica's wall clock is ahead of the true one, in milliseconds.
    skews: Vec<i64>,
}

impl Clock {
    /// The clocks of `n` replicas, all exact.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Clock { now: Instant::ORIGIN, skews: vec![0; n] }
    }

    /// The time of the world.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What an exact wall clock shows.
    #[must_use]
    pub fn wall(&self) -> UnixMillis {
        WALL_ORIGIN + self.now.as_micros() / 1_000
    }

    /// What a replica's clocks show.
    #[must_use]
    pub fn read(&self, node: NodeIndex) -> Now {
        let skew = self.skews.get(node.as_usize()).copied().unwrap_or_default();
        Now { monotonic: self.now, wall: self.wall().saturating_add_signed(skew) }
    }

    /// Sets a replica's wall clock ahead of the true one (behind it, if negative), in milliseconds.
    pub fn set_skew(&mut self, node: NodeIndex, skew: i64) {
        if let Some(held) = self.skews.get_mut(node.as_usize()) {
            *held = skew;
        }
    }

    /// Moves time forward; an earlier time is ignored.
    pub(super) fn advance_to(&mut self, time: Instant) {
        self.now = self.now.max(time);
    }
}
