//! Hash maps and sets whose hashing costs next to nothing.
//!
//! Ids and public keys are hashed many times for each transaction; the standard library's SipHash was a tenth of a node's work. This
//! hash is seeded anew in each process, so that who chooses keys does not know which of them meet; against somebody who can time
//! single look-ups it promises less than SipHash does, and a node answers nobody that precisely. Nothing may depend on the order of
//! iteration, as with any hash map.

use std::collections::{HashMap, HashSet};

use foldhash::quality::RandomState;

/// A hash map with the hash of this module.
pub type FastMap<K, V> = HashMap<K, V, RandomState>;

/// A hash set with the hash of this module.
pub type FastSet<K> = HashSet<K, RandomState>;
