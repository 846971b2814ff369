//! Merkle trees over lists, as in RFC 6962: transactions and receipts of a block.
//!
//! Leaves and nodes are hashed with different prefixes, so that no node can pass for a leaf. A list splits at the largest
//! power of two below its length; nothing is padded, and the count is part of what a path is checked against.

use std::borrow::Borrow;

use crate::hash::{Digest, sha256, sha256_of};

/// The most nodes that a path can have: the depth of a list of `u64::MAX` leaves.
pub const PATH_NODES_MAX: usize = 64;

/// The root of a list of leaves. An empty list has the hash of no bytes.
pub fn root(leaves: impl ExactSizeIterator<Item = impl AsRef<[u8]>>) -> Digest {
    // Roots of whole subtrees, largest first; their sizes are the one bits of the number of leaves so far.
    let mut subtrees: Vec<Digest> = Vec::with_capacity(PATH_NODES_MAX);
    for (before, leaf) in leaves.enumerate() {
        let mut hash = leaf_hash(leaf.as_ref());
        for _ in 0..before.trailing_ones() {
            let left = subtrees.pop().expect("one subtree for each one bit of the count");
            hash = node_hash(&left, &hash);
        }
        subtrees.push(hash);
    }
    subtrees.into_iter().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| sha256(&[]))
}

/// The siblings from the leaf at `index` up to the root, for [`verify_path`].
///
/// # Panics
///
/// When there is no such leaf.
pub fn path<T: AsRef<[u8]>>(leaves: &[T], index: usize) -> Vec<Digest> {
    assert!(index < leaves.len(), "leaf {index} of a list of {}", leaves.len());
    let mut siblings = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(left_size(leaves.len()));
        let (mine, other) = if index < left.len() { (left, right) } else { (right, left) };
        index = if index < left.len() { index } else { index - left.len() };
        siblings.push(root(other.iter()));
        leaves = mine;
    }
    siblings.reverse();
    siblings
}

/// All hashes of a tree, to take many paths out of it at the cost of hashing it once.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The hashes of the leaves first, the root alone last; a node without a right sibling rises unchanged.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// Hashes a list of leaves.
    pub fn new(leaves: impl ExactSizeIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut levels = vec![leaves.map(|leaf| leaf_hash(leaf.as_ref())).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let level = below.chunks(2).map(|pair| match pair {
                [left, right] => node_hash(left, right),
                rest => rest[0],
            });
            levels.push(level.collect());
        }
        Self { levels }
    }

    /// The same as [`root`] of the leaves.
    pub fn root(&self) -> Digest {
        self.levels.last().and_then(|level| level.first().copied()).unwrap_or_else(|| sha256(&[]))
    }

    /// The same as [`path`] in the leaves; none where there is no such leaf.
    pub fn path(&self, index: usize) -> Option<Vec<Digest>> {
        self.levels.first()?.get(index)?;
        let sibling = |(depth, level): (usize, &Vec<Digest>)| level.get((index >> depth) ^ 1).copied();
        Some(self.levels.iter().enumerate().filter_map(sibling).collect())
    }
}

/// Whether `leaf` stands at `index` in the list of `count` leaves that has this root.
///
/// The root alone does not determine `count`; where a reader must not be told another one, bind it to the root.
pub fn verify_path(root: &Digest, leaf: &[u8], index: u64, count: u64, path: &[impl Borrow<Digest>]) -> bool {
    root_of_path(leaf, index, count, path) == Some(*root)
}

/// The root that `path` leads to from `leaf` at `index` in a list of `count` leaves; none when such a list has no such path.
pub fn root_of_path(leaf: &[u8], index: u64, count: u64, path: &[impl Borrow<Digest>]) -> Option<Digest> {
    if index >= count {
        return None;
    }
    // Our place among the nodes of this level, and the place of the level's last node.
    let (mut place, mut last) = (index, count - 1);
    let mut hash = leaf_hash(leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        // A last node without a right sibling rises unchanged to the level where it has a left one.
        while place == last && place & 1 == 0 {
            place >>= 1;
            last >>= 1;
        }
        hash = if place & 1 == 1 { node_hash(sibling.borrow(), &hash) } else { node_hash(&hash, sibling.borrow()) };
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// The largest power of two below `count`, which is at least 2.
const fn left_size(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn leaf_hash(leaf: &[u8]) -> Digest {
    sha256_of(&[&[0], leaf])
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left.as_bytes());
    bytes[33..].copy_from_slice(right.as_bytes());
    sha256(&bytes)
}
