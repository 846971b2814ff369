//! When the engine wants to be woken, as values: nothing here reads a clock.

use std::time::Duration;

use borsh::BorshSerialize;

use crate::time::Instant;

/// A point in time relative to the engine's last input, so that two engines in the same situation are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Timer {
    remaining_micros: Option<u64>,
}

impl Timer {
    /// Starts the timer, or starts it again.
    pub fn set(&mut self, after: Duration) {
        self.remaining_micros = Some(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
    }

    /// Brings the timer forward to `after` from now, if it would ring later than that or not at all.
    pub fn hasten(&mut self, after: Duration) {
        let after = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.remaining_micros = Some(self.remaining_micros.map_or(after, |remaining| remaining.min(after)));
    }

    /// Stops the timer.
    pub fn stop(&mut self) {
        self.remaining_micros = None;
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.remaining_micros.is_some()
    }

    /// Lets time pass.
    pub fn advance(&mut self, elapsed: Duration) {
        let elapsed = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        if let Some(remaining) = &mut self.remaining_micros {
            *remaining = remaining.saturating_sub(elapsed);
        }
    }

    /// Whether it rings, and if so stops it.
    pub fn take_due(&mut self) -> bool {
        let due = self.remaining_micros == Some(0);
        if due {
            self.remaining_micros = None;
        }
        due
    }

    /// When it rings, seen from `now`.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.remaining_micros.map(|remaining| now + Duration::from_micros(remaining))
    }
}
