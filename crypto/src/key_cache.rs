//! A bounded memory of decoded public keys.

use curve25519_dalek::EdwardsPoint;

use crate::fast::FastMap;
use crate::key::PublicKey;

/// Decoded keys in two generations. When the young one is full it becomes the old one and the old one is forgotten: a key
/// in use is moved back to the young one and so survives, with no list to keep in order.
pub(crate) struct KeyCache {
    young: FastMap<PublicKey, EdwardsPoint>,
    old: FastMap<PublicKey, EdwardsPoint>,
    generation_max: usize,
}

impl KeyCache {
    /// Holds at most `keys_max` keys (none when it is below 2), about 250 bytes each.
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { young: FastMap::default(), old: FastMap::default(), generation_max: keys_max / 2 }
    }

    /// The decoded key, if it is known.
    pub(crate) fn get(&mut self, key: &PublicKey) -> Option<EdwardsPoint> {
        if let Some(point) = self.young.get(key) {
            return Some(*point);
        }
        let point = self.old.remove(key)?;
        self.insert(*key, point);
        Some(point)
    }

    /// Remembers a decoded key.
    pub(crate) fn insert(&mut self, key: PublicKey, point: EdwardsPoint) {
        if self.generation_max == 0 {
            return;
        }
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, point);
    }

    /// How many keys are held.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> (PublicKey, EdwardsPoint) {
        let point = EdwardsPoint::mul_base(&(number + 1).into());
        (PublicKey::from_bytes(point.compress().to_bytes()), point)
    }

    #[test]
    fn the_cache_never_holds_more_keys_than_its_bound() {
        let mut cache = KeyCache::new(10);
        for number in 0..100 {
            let (key, point) = key(number);
            cache.insert(key, point);
            assert!(cache.len() <= 10);
            assert_eq!(cache.get(&key), Some(point));
        }
        assert_eq!(cache.get(&key(0).0), None);
    }

    #[test]
    fn a_key_in_use_survives_a_flood_of_others() {
        let mut cache = KeyCache::new(10);
        let (used, point) = key(1000);
        cache.insert(used, point);
        for number in 0..100 {
            let (other, other_point) = key(number);
            cache.insert(other, other_point);
            assert_eq!(cache.get(&used), Some(point), "after {number} others");
        }
    }

    #[test]
    fn a_cache_of_no_keys_holds_none() {
        let mut cache = KeyCache::new(0);
        let (key, point) = key(1);
        cache.insert(key, point);
        assert_eq!(cache.len(), 0);
    }
}
