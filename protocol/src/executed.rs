//! Which transactions were executed and could be executed again if nobody remembered (PROTOCOL 2.3).
//!
//! An id is remembered until block time passes its own `valid_until`; from then on the window refuses it. Ids lie in
//! runs, one per second of `valid_until`, so that forgetting is dropping a run. What is kept of an id is its first
//! 16 bytes: a miss is certain, and a hit is certain for all that anyone can compute; the ledger still confirms it by
//! the exact look-up before it judges.

use crate::id::TransactionId;
use crate::time::UnixMillis;
use quorate_crypto::fast::FastSet;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds of `valid_until` that share a run.
const RUN_MS: u64 = 1_000;

/// The loose part of a run is merged into the sorted one when it has grown to a quarter of it, and to this.
const LOOSE_MIN: usize = 1_024;

/// The executed ids of the validity window.
///
/// Its size follows from throughput and window: an id that is here was executed by a block, and leaves at its
/// `valid_until`, which lies at most a window after that block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutedIds {
    /// By `valid_until / RUN_MS`.
    runs: BTreeMap<u64, Run>,
}

/// Fingerprints, most of them sorted: 16 bytes each, where a set takes 26 and, while it grows, three times that.
#[derive(Clone, Debug, Default)]
struct Run {
    sorted: Vec<u128>,
    loose: FastSet<u128>,
}

impl Run {
    fn contains(&self, fingerprint: u128) -> bool {
        self.loose.contains(&fingerprint) || self.sorted.binary_search(&fingerprint).is_ok()
    }

    fn insert(&mut self, fingerprint: u128) {
        if self.sorted.binary_search(&fingerprint).is_err() && self.loose.insert(fingerprint) {
            self.try_merge();
        }
    }

    fn try_merge(&mut self) {
        if self.loose.len() < LOOSE_MIN.max(self.sorted.len() / 4) {
            return;
        }
        self.sorted.reserve_exact(self.loose.len());
        self.sorted.extend(self.loose.drain());
        // A long sorted part and a short one that is not: a stable sort takes the first as it is and merges.
        self.sorted.sort();
        self.loose.shrink_to(LOOSE_MIN);
    }

    fn len(&self) -> usize {
        self.sorted.len() + self.loose.len()
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Run) -> bool {
        let all = |run: &Run| run.sorted.iter().chain(&run.loose).copied().collect::<BTreeSet<u128>>();
        all(self) == all(other)
    }
}

impl Eq for Run {}

impl ExecutedIds {
    /// No ids.
    pub fn new() -> ExecutedIds {
        ExecutedIds::default()
    }

    /// Remembers an executed id.
    pub fn insert(&mut self, id: &TransactionId, valid_until: UnixMillis) {
        self.runs.entry(valid_until / RUN_MS).or_default().insert(fingerprint(id));
    }

    /// Whether the id is remembered. One look-up: an id determines its `valid_until`.
    pub fn contains(&self, id: &TransactionId, valid_until: UnixMillis) -> bool {
        self.runs.get(&(valid_until / RUN_MS)).is_some_and(|run| run.contains(fingerprint(id)))
    }

    /// Forgets the runs that are past as a whole: block time has reached every `valid_until` in them.
    pub fn expire(&mut self, block_time: UnixMillis) {
        // The run of second s ends with valid_until = 1000 s + 999.
        let first_kept = block_time.saturating_add(1) / RUN_MS;
        self.runs = self.runs.split_off(&first_kept);
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.runs.values().map(Run::len).sum()
    }

    /// Whether no id is remembered.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

fn fingerprint(id: &TransactionId) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&id.as_bytes()[..16]);
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::sha256;

    fn id(number: u8) -> TransactionId {
        TransactionId(sha256(&[number]))
    }

    #[test]
    fn an_id_is_remembered_until_block_time_reaches_its_valid_until() {
        let mut executed = ExecutedIds::new();
        executed.insert(&id(1), 5_999);
        executed.insert(&id(2), 6_000);
        executed.expire(5_998);
        assert!(executed.contains(&id(1), 5_999));
        executed.expire(5_999);
        assert!(!executed.contains(&id(1), 5_999), "block time has reached its valid_until");
        assert!(executed.contains(&id(2), 6_000));
        executed.expire(u64::MAX);
        assert!(executed.is_empty());
        assert!(!executed.contains(&id(2), 6_000));
    }

    /// Whatever lies in the sorted part and in the loose one, a run is a set.
    #[test]
    fn a_run_that_was_merged_many_times_has_what_was_inserted_and_nothing_else() {
        let id = |number: u32| TransactionId(sha256(&number.to_le_bytes()));
        let (mut executed, mut reversed) = (ExecutedIds::new(), ExecutedIds::new());
        let count = 20 * LOOSE_MIN as u32;
        for number in 0..count {
            executed.insert(&id(number), 5_000);
            executed.insert(&id(number / 2), 5_000);
            reversed.insert(&id(count - 1 - number), 5_000);
        }
        assert_eq!(executed.len(), count as usize);
        assert!((0..count).all(|number| executed.contains(&id(number), 5_000)));
        assert!((count..2 * count).all(|number| !executed.contains(&id(number), 5_000)));
        assert_eq!(executed, reversed, "the order of insertion is not remembered");
        let run = &executed.runs[&5];
        assert!(run.sorted.capacity() * 4 <= run.sorted.len() * 5 && run.loose.len() * 3 < run.sorted.len());
        executed.insert(&id(count), 5_000);
        assert_ne!(executed, reversed);
    }

    #[test]
    fn what_was_not_inserted_is_not_contained() {
        let mut executed = ExecutedIds::new();
        assert!(executed.is_empty());
        executed.insert(&id(1), 5_000);
        executed.insert(&id(1), 5_000);
        assert_eq!(executed.len(), 1);
        assert!(!executed.contains(&id(2), 5_000));
        assert!(!executed.contains(&id(1), 4_000));
    }
}
