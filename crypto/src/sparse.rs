//! The state tree: one root for a map from key hashes to values, with proofs of presence and of absence.
//!
//! It is a binary tree over the bits of the key hash, first bit first. A subtree without entries is *empty*, a subtree with
//! one entry *is* that entry's leaf, and any other is a node of its two halves; so a leaf sits at its shortest unique
//! prefix and the root depends on the contents only, never on the order of changes. The three kinds are hashed with
//! different prefixes:
//!
//! ```text
//! leaf   SHA-256(02 | key hash | value)
//! node   SHA-256(03 | left | right)
//! empty  SHA-256(04)
//! ```
//!
//! The top [`BUCKET_BITS`] levels are held in memory. What lies below one of their ends is a *bucket*: all entries whose
//! key hashes begin with the same bits. Entries are kept by the caller, in the order of key hashes; a bucket is small (two
//! entries at a million), and its root is computed from them whenever one changes.

use std::sync::LazyLock;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::encode::{BoundedBytes, BoundedVec};
use crate::hash::{Digest, sha256, sha256_of};

/// How many leading bits of the key hash choose the bucket.
pub const BUCKET_BITS: u32 = 19;

/// The number of buckets.
const BUCKETS: usize = 1 << BUCKET_BITS;

/// The length of a hash in memory.
const HASH_BYTES: usize = 32;

/// The most siblings in a proof: one for each bit of a key hash.
pub const PROOF_SIBLINGS_MAX: usize = 256;

/// The largest value in bytes that a proof of absence may quote.
pub const PROOF_VALUE_BYTES_MAX: usize = 64 * 1024;

/// An entry of the state: its key hash and its value.
pub type Leaf = (Digest, Vec<u8>);

/// The entries of a bucket, or of several in a row, sorted by key hash, each key hash once.
pub type Leaves = Vec<Leaf>;

/// The hash of an empty subtree.
static EMPTY: LazyLock<Digest> = LazyLock::new(|| sha256(&[4]));

/// All entries whose key hashes begin with the same [`BUCKET_BITS`] bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u32);

impl Bucket {
    /// The bucket of a key hash.
    pub fn of(key_hash: &Digest) -> Self {
        let [a, b, c, d, ..] = *key_hash.as_bytes();
        Self(u32::from_be_bytes([a, b, c, d]) >> (u32::BITS - BUCKET_BITS))
    }

    /// The number of the bucket, from 0; buckets are numbered in the order of their key hashes.
    pub fn index(self) -> u32 {
        self.0
    }

    /// The smallest key hash of the bucket, and the smallest one past it (none after the last bucket).
    pub fn range(self) -> (Digest, Option<Digest>) {
        let first_of = |index: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&(index << (u32::BITS - BUCKET_BITS)).to_be_bytes());
            Digest::from_bytes(bytes)
        };
        let next = self.0 + 1;
        (first_of(self.0), ((next as usize) < BUCKETS).then(|| first_of(next)))
    }
}

/// The root of a subtree and what kind it is; the kind decides whether it rises.
#[derive(Clone, Copy)]
enum Subtree {
    Empty,
    Leaf(Digest),
    Node(Digest),
}

impl Subtree {
    /// The subtree with these two halves: the one place that defines the shape of the tree.
    fn join(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::Empty, Self::Leaf(hash)) | (Self::Leaf(hash), Self::Empty) => Self::Leaf(hash),
            _ => Self::Node(node_hash(&left.hash(), &right.hash())),
        }
    }

    /// The subtree of entries that agree in their first `depth` bits.
    fn of(leaves: &[Leaf], depth: usize) -> Self {
        match leaves {
            [] => Self::Empty,
            [(key_hash, value)] => Self::Leaf(leaf_hash(key_hash, value)),
            _ => {
                let (left, right) = split(leaves, depth);
                Self::join(Self::of(left, depth + 1), Self::of(right, depth + 1))
            }
        }
    }

    fn hash(self) -> Digest {
        match self {
            Self::Empty => *EMPTY,
            Self::Leaf(hash) | Self::Node(hash) => hash,
        }
    }
}

/// Splits entries by the bit at `depth`: 0 to the left, 1 to the right.
fn split(leaves: &[Leaf], depth: usize) -> (&[Leaf], &[Leaf]) {
    leaves.split_at(leaves.partition_point(|(key_hash, _)| !bit(key_hash, depth)))
}

/// The bit of a key hash at `depth`, counted from the first.
fn bit(key_hash: &Digest, depth: usize) -> bool {
    key_hash.as_bytes()[depth / 8] >> (7 - depth % 8) & 1 == 1
}

fn leaf_hash(key_hash: &Digest, value: &[u8]) -> Digest {
    sha256_of(&[&[2], key_hash.as_bytes(), value])
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [3; 65];
    bytes[1..33].copy_from_slice(left.as_bytes());
    bytes[33..].copy_from_slice(right.as_bytes());
    sha256(&bytes)
}

/// The top of the state tree, 32 MiB of address space of which only touched pages are resident.
pub struct SparseTree {
    /// A heap: the root is at 1, the halves of i at 2i and 2i + 1, bucket b at `BUCKETS + b`. All zeros is an empty
    /// subtree, so that a new tree touches no memory. It is one flat run of bytes because only for plain integers the
    /// standard library takes zeroed pages from the system; for arrays of 32 bytes it would write 32 MiB of zeros.
    hashes: Vec<u8>,
    /// One bit for each place of the heap: whether the subtree is a leaf.
    leaves: Vec<u64>,
    /// Buckets set since the last commit, with repetitions.
    dirty: Vec<Bucket>,
}

impl Default for SparseTree {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SparseTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SparseTree").field("root", &self.root()).field("dirty", &self.dirty.len()).finish()
    }
}

impl SparseTree {
    /// The tree of no entries.
    pub fn new() -> Self {
        Self { hashes: vec![0; 2 * BUCKETS * HASH_BYTES], leaves: vec![0; 2 * BUCKETS / 64], dirty: Vec::new() }
    }

    /// The root as of the last [`SparseTree::commit`].
    pub fn root(&self) -> Digest {
        self.get(1).hash()
    }

    /// Replaces all entries of a bucket. The root changes at the next [`SparseTree::commit`].
    ///
    /// # Panics
    ///
    /// When an entry is not of this bucket, or the entries are not sorted by key hash, each key hash once.
    pub fn set_bucket(&mut self, bucket: Bucket, leaves: &[Leaf]) {
        assert!(leaves.iter().all(|(key_hash, _)| Bucket::of(key_hash) == bucket), "an entry of another bucket");
        assert!(leaves.is_sorted_by(|(a, _), (b, _)| a < b), "the entries of a bucket are not sorted");
        self.set(BUCKETS + bucket.0 as usize, Subtree::of(leaves, BUCKET_BITS as usize));
        self.dirty.push(bucket);
    }

    /// Brings the top of the tree up to date and returns the root. Each node above a changed bucket is hashed once,
    /// however many changed buckets lie below it.
    pub fn commit(&mut self) -> Digest {
        let mut places: Vec<usize> = self.dirty.drain(..).map(|bucket| BUCKETS + bucket.0 as usize).collect();
        places.sort_unstable();
        for _ in 0..BUCKET_BITS {
            for place in &mut places {
                *place /= 2;
            }
            places.dedup();
            for place in &places {
                self.set(*place, Subtree::join(self.get(2 * place), self.get(2 * place + 1)));
            }
        }
        self.root()
    }

    /// The bucket whose entries [`SparseTree::prove`] needs for this key hash. For a key that is present it is
    /// its own; for an absent one it is the bucket of the entry that stands in its place, if there is one.
    pub fn witness_bucket(&self, key_hash: &Digest) -> Bucket {
        let (place, _) = self.descend(key_hash);
        match self.get(place) {
            Subtree::Leaf(_) => self.bucket_of_leaf(place),
            Subtree::Empty | Subtree::Node(_) => Bucket::of(key_hash),
        }
    }

    /// Proves that `key_hash` is present or absent, whichever is true, against the root of the last commit.
    ///
    /// `bucket_leaves` are the entries of [`SparseTree::witness_bucket`] as they were committed; with any others the proof
    /// does not verify.
    ///
    /// # Panics
    ///
    /// When an entry is repeated, or the value that a proof of absence must quote has more than
    /// [`PROOF_VALUE_BYTES_MAX`] bytes.
    pub fn prove(&self, key_hash: &Digest, bucket_leaves: &[Leaf]) -> SparseProof {
        let (place, mut siblings) = self.descend(key_hash);
        let mut leaves = match self.get(place) {
            Subtree::Empty => &[],
            Subtree::Leaf(_) | Subtree::Node(_) => bucket_leaves,
        };
        while leaves.len() > 1 {
            let depth = siblings.len();
            let (left, right) = split(leaves, depth);
            let (mine, other) = if bit(key_hash, depth) { (right, left) } else { (left, right) };
            siblings.push(Subtree::of(other, depth + 1).hash());
            leaves = mine;
        }
        let end = match leaves.first() {
            None => ProofEnd::Empty,
            Some((found, _)) if found == key_hash => ProofEnd::Present,
            Some((found, value)) => ProofEnd::Other {
                key_hash: *found,
                value: value.clone().try_into().expect("a value of the state is smaller than a proof allows"),
            },
        };
        SparseProof { siblings: siblings.try_into().expect("no more siblings than bits"), end }
    }

    /// Walks from the root towards a key hash, as far as there are nodes in memory. Returns where it ends, and the
    /// siblings on the way, the root's half first.
    fn descend(&self, key_hash: &Digest) -> (usize, Vec<Digest>) {
        let (mut place, mut siblings) = (1, Vec::new());
        while place < BUCKETS && matches!(self.get(place), Subtree::Node(_)) {
            let side = usize::from(bit(key_hash, siblings.len()));
            siblings.push(self.get(2 * place + 1 - side).hash());
            place = 2 * place + side;
        }
        (place, siblings)
    }

    /// The bucket of the only entry below `place`.
    fn bucket_of_leaf(&self, mut place: usize) -> Bucket {
        while place < BUCKETS {
            let left = 2 * place;
            place = if matches!(self.get(left), Subtree::Empty) { left + 1 } else { left };
        }
        Bucket((place - BUCKETS) as u32)
    }

    fn get(&self, place: usize) -> Subtree {
        let hash = &self.hashes[place * HASH_BYTES..][..HASH_BYTES];
        let hash = Digest::from_bytes(hash.try_into().expect("a hash has 32 bytes"));
        if hash == Digest::ZERO {
            Subtree::Empty
        } else if self.leaves[place / 64] >> (place % 64) & 1 == 1 {
            Subtree::Leaf(hash)
        } else {
            Subtree::Node(hash)
        }
    }

    fn set(&mut self, place: usize, subtree: Subtree) {
        let hash = match subtree {
            Subtree::Empty => Digest::ZERO,
            Subtree::Leaf(hash) | Subtree::Node(hash) => hash,
        };
        self.hashes[place * HASH_BYTES..][..HASH_BYTES].copy_from_slice(hash.as_bytes());
        let flag = 1 << (place % 64);
        match subtree {
            Subtree::Leaf(_) => self.leaves[place / 64] |= flag,
            Subtree::Empty | Subtree::Node(_) => self.leaves[place / 64] &= !flag,
        }
    }
}

/// That a key hash has a certain value, or none, in the tree of a certain root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparseProof {
    /// The other halves on the way to the key hash, the root's first.
    pub siblings: BoundedVec<Digest, PROOF_SIBLINGS_MAX>,
    /// What stands where the way ends.
    pub end: ProofEnd,
}

/// Where the way to a key hash ends.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProofEnd {
    /// At the key's own leaf: it is present.
    Present,
    /// At an empty subtree: it is absent.
    Empty,
    /// At the leaf of another key that shares its first bits: it is absent, since it would have pushed that leaf down.
    Other {
        /// The other entry's key hash.
        key_hash: Digest,
        /// The other entry's value.
        value: BoundedBytes<PROOF_VALUE_BYTES_MAX>,
    },
}

impl SparseProof {
    /// Whether the proof shows that `key_hash` has this value (`None`: that it is absent) in the tree with this root.
    pub fn verify(&self, root: &Digest, key_hash: &Digest, value: Option<&[u8]>) -> bool {
        let Some(end) = self.end_hash(key_hash, value) else {
            return false;
        };
        let fold = |hash: Digest, (depth, sibling): (usize, &Digest)| {
            if bit(key_hash, depth) { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) }
        };
        self.siblings.iter().enumerate().rev().fold(end, fold) == *root
    }

    /// The hash at the end of the way; None when such an end does not show what is claimed.
    fn end_hash(&self, key_hash: &Digest, value: Option<&[u8]>) -> Option<Digest> {
        match (&self.end, value) {
            (ProofEnd::Present, Some(value)) => Some(leaf_hash(key_hash, value)),
            (ProofEnd::Empty, None) => Some(*EMPTY),
            // That the other key shares the way's bits needs no check: the root holds its leaf at no other place.
            (ProofEnd::Other { key_hash: other, value }, None) => (other != key_hash).then(|| leaf_hash(other, value)),
            (ProofEnd::Present, None) | (ProofEnd::Empty | ProofEnd::Other { .. }, Some(_)) => None,
        }
    }
}
