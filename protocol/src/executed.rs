//! Which transactions were executed and could be executed again if nobody remembered (PROTOCOL 2.3).
//!
//! An id is remembered until block time passes its own `valid_until`; from then on the window refuses it. Ids lie in
//! runs, one per second of `valid_until`, so that forgetting is dropping a run. What is kept of an id is its first
//! 16 bytes: a miss is certain, and a hit is certain for all that anyone can compute; the ledger still confirms it by
//! the exact look-up before it judges.

use crate::id::TransactionId;
use crate::time::UnixMillis;
use quorate_crypto::fast::FastSet;
use std::collections::BTreeMap;

/// Milliseconds of `valid_until` that share a run.
const RUN_MS: u64 = 1_000;

/// The executed ids of the validity window.
///
/// Its size follows from throughput and window: an id that is here was executed by a block, and leaves at its
/// `valid_until`, which lies at most a window after that block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutedIds {
    /// By `valid_until / RUN_MS`.
    runs: BTreeMap<u64, FastSet<u128>>,
}

impl ExecutedIds {
    /// No ids.
    pub fn new() -> ExecutedIds {
        ExecutedIds::default()
    }

    /// Remembers an executed id.
    pub fn insert(&mut self, id: &TransactionId, valid_until: UnixMillis) {
        self.runs.entry(valid_until / RUN_MS).or_default().insert(fingerprint(id));
    }

    /// Whether the id is remembered, looked up in every run.
    pub fn contains(&self, id: &TransactionId) -> bool {
        let fingerprint = fingerprint(id);
        self.runs.values().any(|run| run.contains(&fingerprint))
    }

    /// Whether the id is remembered. One look-up: an id determines its `valid_until`.
    pub fn contains_at(&self, id: &TransactionId, valid_until: UnixMillis) -> bool {
        self.runs.get(&(valid_until / RUN_MS)).is_some_and(|run| run.contains(&fingerprint(id)))
    }

    /// Forgets the runs that are past as a whole: block time has reached every `valid_until` in them.
    pub fn expire(&mut self, block_time: UnixMillis) {
        // The run of second s ends with valid_until = 1000 s + 999.
        let first_kept = block_time.saturating_add(1) / RUN_MS;
        self.runs = self.runs.split_off(&first_kept);
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.runs.values().map(FastSet::len).sum()
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
        assert!(executed.contains(&id(1)) && executed.contains_at(&id(1), 5_999));
        executed.expire(5_999);
        assert!(!executed.contains(&id(1)), "block time has reached its valid_until");
        assert!(executed.contains(&id(2)));
        executed.expire(u64::MAX);
        assert!(executed.is_empty());
        assert!(!executed.contains(&id(2)));
    }

    #[test]
    fn what_was_not_inserted_is_not_contained() {
        let mut executed = ExecutedIds::new();
        assert!(executed.is_empty());
        executed.insert(&id(1), 5_000);
        executed.insert(&id(1), 5_000);
        assert_eq!(executed.len(), 1);
        assert!(!executed.contains(&id(2)));
        assert!(!executed.contains_at(&id(1), 4_000));
    }
}
