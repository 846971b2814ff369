//! The clocks of a world: one virtual time, and a wall clock for each replica.

use crate::id::NodeIndex;
use crate::time::{Instant, Now, UnixMillis};

/// What every wall clock shows when a world begins, in Unix milliseconds.
pub const WALL_ORIGIN: UnixMillis = 1_700_000_000_000;

/// Virtual time. It moves when the world says so; nothing waits for it.
#[derive(Clone, Debug)]
pub struct Clock {
    now: Instant,
    walls: Vec<Wall>,
}

/// What is wrong with one wall clock.
#[derive(Clone, Copy, Debug, Default)]
struct Wall {
    /// By how much it was ahead of the true one at `since`, in milliseconds.
    skew: i64,
    /// By how many milliseconds it gains on the true one in a thousand seconds.
    drift: i64,
    since: Instant,
}

impl Wall {
    fn ahead(&self, now: Instant) -> i64 {
        let elapsed = i64::try_from(now.saturating_since(self.since).as_millis()).unwrap_or(i64::MAX);
        self.skew.saturating_add(elapsed.saturating_mul(self.drift) / 1_000_000)
    }
}

impl Clock {
    /// The clocks of `n` replicas, all exact.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Clock { now: Instant::ORIGIN, walls: vec![Wall::default(); n] }
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
        Now { monotonic: self.now, wall: self.wall().saturating_add_signed(self.ahead(node)) }
    }

    /// By how much a replica's wall clock is ahead of the true one (behind it, if negative), in milliseconds.
    #[must_use]
    pub fn ahead(&self, node: NodeIndex) -> i64 {
        self.walls.get(node.as_usize()).map_or(0, |wall| wall.ahead(self.now))
    }

    /// Sets a replica's wall clock ahead of the true one (behind it, if negative), in milliseconds. It jumps there.
    pub fn set_skew(&mut self, node: NodeIndex, skew: i64) {
        let now = self.now;
        if let Some(wall) = self.walls.get_mut(node.as_usize()) {
            *wall = Wall { skew, since: now, ..*wall };
        }
    }

    /// From here on a replica's wall clock gains so many milliseconds on the true one in a thousand seconds (loses, if
    /// negative): parts per million.
    pub fn set_drift(&mut self, node: NodeIndex, drift: i64) {
        let (now, skew) = (self.now, self.ahead(node));
        if let Some(wall) = self.walls.get_mut(node.as_usize()) {
            *wall = Wall { skew, drift, since: now };
        }
    }

    /// One more clock, an exact one.
    pub(super) fn grow(&mut self) {
        self.walls.push(Wall::default());
    }

    /// Moves time forward; an earlier time is ignored.
    pub(super) fn advance_to(&mut self, time: Instant) {
        self.now = self.now.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn clocks_jump_and_drift_from_where_they_are() {
        let mut clock = Clock::new(2);
        let (first, second) = (NodeIndex(0), NodeIndex(1));
        clock.set_skew(first, -500);
        clock.set_drift(first, 200_000);
        clock.advance_to(Instant::ORIGIN + Duration::from_secs(10));
        assert_eq!((clock.ahead(first), clock.ahead(second)), (1_500, 0));
        clock.set_drift(first, 0);
        clock.advance_to(Instant::ORIGIN + Duration::from_secs(20));
        assert_eq!(clock.read(first).wall, clock.wall() + 1_500);
    }
}
