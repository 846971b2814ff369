//! Pending transactions in the order of their arrival, for whoever wants the old ones.

use super::slab::Slot;
use std::collections::VecDeque;

/// Arrivals, oldest first. What has left stays as a gap until there are more gaps than entries, so that leaving costs
/// next to nothing; whoever reads says what is still there.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    log: VecDeque<(u64, Slot)>,
    gaps: usize,
}

impl Arrivals {
    /// Notes an arrival; numbers only grow.
    pub(super) fn push(&mut self, arrival: u64, slot: Slot) {
        self.log.push_back((arrival, slot));
    }

    /// One has left.
    pub(super) fn leave(&mut self, is_there: impl Fn(u64, Slot) -> bool) {
        self.gaps += 1;
        if self.gaps > self.log.len() / 2 {
            self.log.retain(|&(number, slot)| is_there(number, slot));
            self.gaps = 0;
        }
    }

    /// The arrivals from number `from` on, gaps included.
    pub(super) fn range(&self, from: u64) -> impl Iterator<Item = (u64, Slot)> + '_ {
        let start = self.log.partition_point(|&(number, _)| number < from);
        self.log.range(start..).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stay_fewer_than_what_is_there() {
        let mut arrivals = Arrivals::default();
        let mut there: Vec<bool> = vec![true; 1_000];
        for number in 0..1_000 {
            arrivals.push(number, number as Slot);
        }
        for number in (0..1_000).filter(|number| number % 10 != 9) {
            there[number] = false;
            arrivals.leave(|_, slot| there[slot as usize]);
        }
        assert!(arrivals.log.len() <= 200, "{} entries for 100 arrivals", arrivals.log.len());
        let left: Vec<u64> =
            arrivals.range(500).filter(|&(_, slot)| there[slot as usize]).map(|(number, _)| number).collect();
        assert_eq!(left, (50..100).map(|ten| ten * 10 + 9).collect::<Vec<u64>>());
    }
}
