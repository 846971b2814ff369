//! Signatures that were found good a short while ago, remembered by all threads that check some.
//!
//! The same signed bytes reach a node on several ways: gossip brings a transaction, an answer to a question brings it again, a
//! message is repeated until its sender hears that it arrived. Checking it once is enough.

use std::sync::{Mutex, MutexGuard};

use crate::fast::FastSet;

/// What names a claim: k, the hash of the signature's R, the key and the message, and s, the signature's other half, both in
/// canonical bytes. Equal names belong to the same claim, unless somebody finds a collision of SHA-512 reduced to 252 bits.
pub(crate) type ClaimName = [u8; 64];

/// Good claims in two generations: when the young one is full it becomes the old one, and the old one is forgotten.
#[derive(Debug)]
pub struct ClaimMemory {
    generations: Mutex<Generations>,
    generation_max: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: FastSet<ClaimName>,
    old: FastSet<ClaimName>,
}

impl ClaimMemory {
    /// Holds at most `claims_max` claims, about 100 bytes each.
    pub fn new(claims_max: usize) -> Self {
        Self { generations: Mutex::default(), generation_max: claims_max / 2 }
    }

    /// Which of these are known to be good, in their order.
    pub(crate) fn recall(&self, names: &[Option<ClaimName>]) -> Vec<bool> {
        let generations = self.lock();
        let is_known = |name: &ClaimName| generations.young.contains(name) || generations.old.contains(name);
        names.iter().map(|name| name.as_ref().is_some_and(is_known)).collect()
    }

    /// Remembers claims that were found good.
    pub(crate) fn remember(&self, names: impl Iterator<Item = ClaimName>) {
        let mut generations = self.lock();
        for name in names {
            if generations.young.len() >= self.generation_max {
                generations.old = std::mem::take(&mut generations.young);
            }
            if self.generation_max > 0 {
                generations.young.insert(name);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // A set is whole after each insertion, so that a thread that panics leaves nothing broken behind.
        self.generations.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u16) -> ClaimName {
        let mut name = [0; 64];
        name[..2].copy_from_slice(&number.to_le_bytes());
        name
    }

    fn knows(memory: &ClaimMemory, number: u16) -> bool {
        memory.recall(&[Some(name(number))])[0]
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_young_stay() {
        let memory = ClaimMemory::new(20);
        for number in 0..1_000 {
            memory.remember(std::iter::once(name(number)));
            assert!(knows(&memory, number));
            let generations = memory.lock();
            assert!(generations.young.len() <= 10 && generations.old.len() <= 10);
        }
        assert!(knows(&memory, 991) && !knows(&memory, 900) && !knows(&memory, 1_000));
    }

    #[test]
    fn a_memory_without_room_knows_nothing() {
        let memory = ClaimMemory::new(1);
        memory.remember((0..10).map(name));
        assert!(!knows(&memory, 9));
        assert_eq!(memory.recall(&[None]), [false], "a claim without a name was never good");
    }
}
