//! Transactions whose signature was found good a short while ago, so that gossip which brings one again ends here:
//! the workers' memory of good signatures would spare its verification, but not the way to the pump.

use std::sync::{Mutex, MutexGuard};

use quorate_crypto::fast::FastSet;
use quorate_crypto::key::Signature;
use quorate_protocol::document::SignedTransaction;
use quorate_protocol::id::TransactionId;

/// Entries of one generation; two are kept, about 15 MiB together when full.
const GENERATION_MAX: usize = 50_000;

/// Keyed by id and signature, so that nobody can spoil another's transaction with a bad signature (PROTOCOL 2.4).
#[derive(Debug, Default)]
pub struct RecentlyVerified {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: FastSet<(TransactionId, Signature)>,
    old: FastSet<(TransactionId, Signature)>,
}

impl RecentlyVerified {
    /// Whether exactly these bytes were found good.
    pub fn contains(&self, transaction: &SignedTransaction) -> bool {
        let key = (transaction.id(), *transaction.signature());
        let generations = self.lock();
        generations.young.contains(&key) || generations.old.contains(&key)
    }

    /// Remembers transactions that were found good and handed on. The older half goes when there is no room.
    pub fn insert(&self, keys: impl Iterator<Item = (TransactionId, Signature)>) {
        let mut generations = self.lock();
        for key in keys {
            if generations.young.len() >= GENERATION_MAX {
                generations.old = std::mem::take(&mut generations.young);
            }
            generations.young.insert(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::Digest;
    use quorate_crypto::key::SecretKey;
    use quorate_protocol::document::Transaction;

    fn transaction(salt: u64) -> SignedTransaction {
        let key = SecretKey::from_seed([1; 32]);
        let transaction = Transaction {
            chain_id: Digest::ZERO,
            sender: key.public_key(),
            valid_until: 1,
            salt,
            operations: Default::default(),
            memo: Default::default(),
        };
        SignedTransaction::sign(transaction, &key)
    }

    fn key(transaction: &SignedTransaction) -> (TransactionId, Signature) {
        (transaction.id(), *transaction.signature())
    }

    #[test]
    fn other_signature_of_a_known_id_is_not_known() {
        let recent = RecentlyVerified::default();
        let good = transaction(1);
        recent.insert([key(&good)].into_iter());
        let mut bytes = *good.signature().as_bytes();
        bytes[0] ^= 1;
        let forged = SignedTransaction::new(good.transaction().clone(), Signature::from_bytes(bytes));
        assert!(recent.contains(&good));
        assert!(!recent.contains(&forged));
    }

    #[test]
    fn memory_is_bounded_and_the_young_stay() {
        let recent = RecentlyVerified::default();
        let (first, last) = (transaction(1), transaction(2));
        recent.insert([key(&first)].into_iter());
        for number in 0..2 * GENERATION_MAX as u64 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            recent.insert([(TransactionId(Digest::from_bytes(bytes)), *first.signature())].into_iter());
        }
        recent.insert([key(&last)].into_iter());
        assert!(!recent.contains(&first));
        assert!(recent.contains(&last));
        let generations = recent.lock();
        assert!(generations.young.len() <= GENERATION_MAX && generations.old.len() <= GENERATION_MAX);
    }
}
