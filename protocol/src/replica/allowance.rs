//! How much each peer may ask: an answer costs up to a frame of reading and sending, a question next to nothing.

use crate::time::Instant;

/// Questions that a peer may ask at once.
const BURST: u32 = 32;

/// Microseconds after which a peer may ask once more: 64 questions a second, some 250 MiB of answers at most.
const REFILL_MICROS: u64 = 1_000_000 / 64;

/// What one peer may still ask, refilled with time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    left: u32,
    refilled: Instant,
}

impl Allowance {
    /// A full one.
    pub fn full(now: Instant) -> Allowance {
        Allowance { left: BURST, refilled: now }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let micros = u64::try_from(now.saturating_since(self.refilled).as_micros()).unwrap_or(u64::MAX);
        let more = micros / REFILL_MICROS;
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(BURST);
            self.refilled = now;
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greedy_peer_gets_its_burst_and_then_its_rate() {
        let mut allowance = Allowance::full(Instant::ORIGIN);
        let granted = (0..100).filter(|_| allowance.take(Instant::ORIGIN)).count();
        assert_eq!(granted, BURST as usize);
        let later = Instant::from_micros(2 * REFILL_MICROS);
        assert_eq!([(); 3].map(|()| allowance.take(later)), [true, true, false]);
        let much_later = Instant::from_micros(u64::MAX);
        assert_eq!((0..100).filter(|_| allowance.take(much_later)).count(), BURST as usize);
    }
}
