//! Buckets of the state that were used lately.

use crate::store::{StateReader, StoreError};
use quorate_crypto::fast::FastMap;
use quorate_crypto::sparse::{Bucket, Leaves};
use std::collections::hash_map::Entry;

/// A bounded cache in two generations: what is used moves to the young one; when that has grown to half of the bound,
/// the old one is dropped and the young one takes its place. So nothing that was used since the last turn is lost, and
/// no use has to be recorded.
#[derive(Debug)]
pub(super) struct BucketCache {
    young: FastMap<Bucket, Leaves>,
    old: FastMap<Bucket, Leaves>,
    /// Entries in the young generation, empty buckets counting as one.
    young_entries: usize,
    entries_max: usize,
}

impl BucketCache {
    pub(super) fn new(entries_max: usize) -> BucketCache {
        BucketCache { young: FastMap::default(), old: FastMap::default(), young_entries: 0, entries_max }
    }

    /// The entries of a bucket, read if they are not at hand. They may be changed in place to what the store will hold.
    pub(super) fn get(&mut self, bucket: Bucket, reader: &dyn StateReader) -> Result<&mut Leaves, StoreError> {
        match self.young.entry(bucket) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let leaves = match self.old.remove(&bucket) {
                    Some(leaves) => leaves,
                    None => reader.bucket(bucket)?,
                };
                self.young_entries += leaves.len().max(1);
                Ok(entry.insert(leaves))
            }
        }
    }

    /// Drops what the bound does not allow. Called between blocks only: what a block has read has to stay until the
    /// tree is updated.
    pub(super) fn trim(&mut self) {
        if self.young_entries > self.entries_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_entries = 0;
        }
    }
}
