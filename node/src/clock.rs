//! The one place that asks what time it is. Everything below the pump gets time as a value.

use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use quorate_protocol::time::{Instant, Now, UnixMillis};

/// This process's clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: SystemInstant,
    /// Milliseconds that are added to the wall clock.
    offset_ms: i64,
}

impl Clock {
    /// A clock whose monotonic origin is now, and whose wall clock is wrong on purpose by so many milliseconds
    /// (`clock_offset` in `node.toml`; 0 outside of experiments).
    pub fn start(offset_ms: i64) -> Clock {
        Clock { origin: SystemInstant::now(), offset_ms }
    }

    /// What both clocks say.
    pub fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall: wall().saturating_add_signed(self.offset_ms) }
    }

    /// How long it is until `deadline`; zero if it has passed.
    pub fn until(&self, deadline: Instant) -> Duration {
        deadline.saturating_since(self.monotonic())
    }

    fn monotonic(&self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }
}

/// Milliseconds since the Unix epoch by the wall clock; 0 before it, so that a clock that was never set is only wrong.
fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_the_wall_clock_and_nothing_else() {
        let (true_clock, fast, slow) = (Clock::start(0), Clock::start(3_600_000), Clock::start(-3_600_000));
        let (now, ahead, behind) = (true_clock.now(), fast.now(), slow.now());
        assert!((3_600_000..3_660_000).contains(&(ahead.wall - now.wall)), "{now:?} {ahead:?}");
        assert!((3_540_000..=3_600_000).contains(&(now.wall - behind.wall)), "{now:?} {behind:?}");
        let minute = Instant::ORIGIN + Duration::from_secs(60);
        assert!(ahead.monotonic < minute && behind.monotonic < minute);
        assert_eq!(Clock::start(i64::MIN).now().wall, 0, "a clock cannot say less");
    }
}
