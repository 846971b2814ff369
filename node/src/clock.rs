//! The one place that asks what time it is. Everything below the pump gets time as a value.

use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use quorate_protocol::time::{Instant, Now, UnixMillis};

/// This process's clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: SystemInstant,
}

impl Clock {
    /// A clock whose monotonic origin is now.
    pub fn start() -> Clock {
        Clock { origin: SystemInstant::now() }
    }

    /// What both clocks say.
    pub fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall: wall() }
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
