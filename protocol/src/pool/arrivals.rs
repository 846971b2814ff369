//! Pending transactions in the order of their arrival, for whoever wants the oldest ones.

use super::slab::Slot;
use std::collections::VecDeque;

/// Arrivals, oldest first. What has left stays as a gap until there are more gaps than entries, so both ways cost a
/// constant on average.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    log: VecDeque<(u64, Option<Slot>)>,
    gaps: usize,
}

impl Arrivals {
    /// Notes an arrival; numbers only grow.
    pub(super) fn push(&mut self, arrival: u64, slot: Slot) {
        self.log.push_back((arrival, Some(slot)));
    }

    /// Forgets an arrival.
    pub(super) fn remove(&mut self, arrival: u64) {
        let Ok(index) = self.log.binary_search_by_key(&arrival, |&(number, _)| number) else { return };
        if self.log[index].1.take().is_some() {
            self.gaps += 1;
        }
        while self.log.front().is_some_and(|(_, slot)| slot.is_none()) {
            self.log.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > self.log.len() / 2 {
            self.log.retain(|(_, slot)| slot.is_some());
            self.gaps = 0;
        }
    }

    /// The arrivals from number `from` on.
    pub(super) fn range(&self, from: u64) -> impl Iterator<Item = (u64, Slot)> + '_ {
        let start = self.log.partition_point(|&(number, _)| number < from);
        self.log.range(start..).filter_map(|&(number, slot)| slot.map(|slot| (number, slot)))
    }

    /// The oldest. At the front is never a gap.
    pub(super) fn oldest(&self) -> Option<Slot> {
        self.log.front().and_then(|&(_, slot)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_is_not_found_and_gaps_stay_few() {
        let mut arrivals = Arrivals::default();
        for number in 0..1_000 {
            arrivals.push(number, number as Slot);
        }
        for number in (0..1_000).filter(|number| number % 10 != 9) {
            arrivals.remove(number);
            arrivals.remove(number);
        }
        assert_eq!(arrivals.oldest(), Some(9));
        let left: Vec<u64> = arrivals.range(500).map(|(number, _)| number).collect();
        assert_eq!(left, (50..100).map(|ten| ten * 10 + 9).collect::<Vec<u64>>());
        assert!(arrivals.log.len() <= 200, "{} entries for 100 arrivals", arrivals.log.len());
        (0..1_000).for_each(|number| arrivals.remove(number));
        assert_eq!((arrivals.oldest(), arrivals.log.len()), (None, 0));
    }
}
