//! The fair order: round-robin over senders, each sender's transactions by rank.
//!
//! Every sender that has something to propose stands once in a ring. Taking a transaction moves its sender to the end of
//! the ring; a sender that comes anew stands at the end too. So between two transactions of one sender every other
//! sender that waits is served once, and nobody is ever more than one round behind.

use super::slab::Slot;
use std::collections::{BTreeSet, VecDeque};

/// A transaction's place in its sender's queue: claims before the rest, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u64);

impl Rank {
    /// Above every claim; numbers of arrivals never come near it.
    const ARRIVED: u64 = 1 << 63;

    /// The rank of the `number`-th claim.
    pub(super) const fn claimed(number: u64) -> Self {
        Rank(number)
    }

    /// The rank of the `number`-th arrival.
    pub(super) const fn arrived(number: u64) -> Self {
        Rank(Self::ARRIVED | number)
    }

    /// Whether a validator has claimed the transaction.
    pub(super) const fn is_claimed(self) -> bool {
        self.0 < Self::ARRIVED
    }
}

/// What may be proposed, in the order in which it is proposed.
#[derive(Clone, Debug, Default)]
pub(super) struct FairOrder {
    queues: BTreeSet<(Slot, Rank, Slot)>,
    /// Senders in turn, each once. One whose queue has become empty stays until its turn comes.
    ring: VecDeque<Slot>,
    /// Whether a sender stands in the ring.
    in_ring: Vec<bool>,
}

impl FairOrder {
    pub(super) fn push(&mut self, sender: Slot, rank: Rank, transaction: Slot) {
        self.queues.insert((sender, rank, transaction));
        let index = sender as usize;
        if index >= self.in_ring.len() {
            self.in_ring.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.in_ring[index], true) {
            self.ring.push_back(sender);
        }
    }

    pub(super) fn remove(&mut self, sender: Slot, rank: Rank, transaction: Slot) {
        self.queues.remove(&(sender, rank, transaction));
    }

    /// Takes the next transaction and moves its sender to the end of the ring; if it does not fit, nothing changes.
    pub(super) fn take_next(&mut self, fits: impl FnOnce(Slot) -> bool) -> Option<Slot> {
        while let Some(&sender) = self.ring.front() {
            let from = (sender, Rank::claimed(0), Slot::MIN);
            match self.queues.range(from..).next() {
                Some(&key) if key.0 == sender => {
                    let transaction = key.2;
                    if !fits(transaction) {
                        return None;
                    }
                    self.queues.remove(&key);
                    self.ring.rotate_left(1);
                    return Some(transaction);
                }
                _ => {
                    self.ring.pop_front();
                    self.in_ring[sender as usize] = false;
                }
            }
        }
        None
    }
}
