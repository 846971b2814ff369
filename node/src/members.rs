//! Who is a member, asked at every door: the state's answer, kept at hand until a block changes it.

use std::sync::{Arc, Mutex, MutexGuard};

use quorate_crypto::fast::FastMap;
use quorate_crypto::key::PublicKey;
use quorate_protocol::document::{Change, StateKey};
use quorate_protocol::store::{Store, StoreError};

/// Answers kept; some 5 MiB. All go when there is no room: the next questions fill it again.
const ANSWERS_MAX: usize = 65_536;

/// Membership by the latest executed block.
pub struct Members {
    store: Arc<dyn Store>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    answers: FastMap<PublicKey, bool>,
    /// Counts changes: an answer that was read before a change must not be kept after it.
    generation: u64,
}

impl Members {
    /// Membership in the state of `store`.
    pub fn new(store: Arc<dyn Store>) -> Members {
        Members { store, cache: Mutex::default() }
    }

    /// Whether `key` is a member.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn contains(&self, key: &PublicKey) -> Result<bool, StoreError> {
        let generation = {
            let cache = self.lock();
            if let Some(answer) = cache.answers.get(key) {
                return Ok(*answer);
            }
            cache.generation
        };
        let answer = self.store.state(&StateKey::Member(*key).key_hash())?.is_some();
        let mut cache = self.lock();
        if cache.generation == generation {
            if cache.answers.len() >= ANSWERS_MAX {
                cache.answers.clear();
            }
            cache.answers.insert(*key, answer);
        }
        Ok(answer)
    }

    /// Forgets what a block has changed. To be called once the block is in the store.
    pub fn changed<'a>(&self, changes: impl Iterator<Item = &'a Change>) {
        let keys = changes.filter_map(|change| match change.key {
            StateKey::Member(key) => Some(key),
            _ => None,
        });
        let mut cache = None;
        for key in keys {
            let cache = cache.get_or_insert_with(|| self.lock());
            cache.generation += 1;
            cache.answers.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
