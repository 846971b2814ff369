//! Time as values: nothing here can ask what time it is.

use std::ops::Add;
use std::time::Duration;

/// Milliseconds since the Unix epoch, as in block times and `valid_until`.
pub type UnixMillis = u64;

/// A point of monotonic time, in microseconds since an arbitrary origin of the process that measures it.
///
/// Only differences mean anything, and only within one process. All arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ORIGIN: Instant = Instant(0);

    /// The instant this many microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Instant {
        Instant(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` until here, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Rounds down to microseconds and saturates at the end of time.
    fn add(self, duration: Duration) -> Instant {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(micros))
    }
}

/// What the clocks say at the moment of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers.
    pub monotonic: Instant,
    /// For batch times and the checks of them; a wall clock can jump.
    pub wall: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Instant::from_micros(u64::MAX - 1);
        assert_eq!(late + Duration::from_secs(1), Instant::from_micros(u64::MAX));
        assert_eq!(late + Duration::MAX, Instant::from_micros(u64::MAX));
        assert_eq!(Instant::ORIGIN.saturating_since(late), Duration::ZERO);
        assert_eq!((Instant::ORIGIN + Duration::from_millis(3)).saturating_since(Instant::ORIGIN).as_millis(), 3);
    }
}
