use quorate_crypto::merkle::{Tree, path, root, root_of_path, verify_path};
use quorate_crypto::{Digest, sha256};

use crate::vectors;

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_le_bytes()[..1 + number % 3].to_vec()).collect()
}

/// The definition of RFC 6962, section 2.1, word by word.
fn defined_root(leaves: &[Vec<u8>]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [leaf] => sha256(&[&[0][..], leaf].concat()),
        _ => {
            let mut k = 1;
            while 2 * k < leaves.len() {
                k *= 2;
            }
            let (left, right) = (defined_root(&leaves[..k]), defined_root(&leaves[k..]));
            sha256(&[&[1][..], left.as_bytes(), right.as_bytes()].concat())
        }
    }
}

#[test]
fn rfc_6962_vectors_give_the_published_roots() {
    assert_eq!(root(std::iter::empty::<&[u8]>()), sha256(b""));
    let mut leaves = Vec::new();
    for field in vectors(include_str!("../vectors/rfc6962.txt")) {
        leaves.push(field("leaf"));
        assert_eq!(root(leaves.iter()).as_bytes()[..], field("root"), "{} leaves", leaves.len());
    }
    assert_eq!(leaves.len(), 8);
}

#[test]
fn the_root_follows_the_definition_for_every_count() {
    for count in 0..70 {
        assert_eq!(root(leaves(count).iter()), defined_root(&leaves(count)), "{count} leaves");
    }
}

#[test]
fn every_leaf_of_every_list_has_a_path_that_verifies_and_fails_when_changed() {
    for count in 1..40 {
        let leaves = leaves(count);
        let root = root(leaves.iter());
        for (index, leaf) in leaves.iter().enumerate() {
            let good = path(&leaves, index);
            let holds =
                |root: &Digest, leaf: &[u8], index, count, path: &[Digest]| verify_path(root, leaf, index, count, path);
            let (place, total) = (index as u64, count as u64);
            assert!(holds(&root, leaf, place, total, &good), "{index} of {count}");
            assert!(!holds(&sha256(b"other"), leaf, place, total, &good));
            assert!(!holds(&root, b"another leaf", place, total, &good));
            assert!(!holds(&root, leaf, total, total, &good));
            for other in (0..total).filter(|other| *other != place) {
                assert!(!holds(&root, leaf, other, total, &good), "{index} as {other} of {count}");
            }
            for broken in broken_paths(&good) {
                assert!(!holds(&root, leaf, place, total, &broken), "{index} of {count}");
            }
        }
    }
}

#[test]
fn a_kept_tree_gives_the_same_root_and_paths() {
    assert_eq!(Tree::new(leaves(0).iter()).root(), root(leaves(0).iter()));
    assert_eq!(Tree::new(leaves(0).iter()).path(0), None);
    for count in 1..70 {
        let leaves = leaves(count);
        let tree = Tree::new(leaves.iter());
        assert_eq!(tree.root(), root(leaves.iter()), "{count} leaves");
        for (index, leaf) in leaves.iter().enumerate() {
            let kept = tree.path(index).expect("there is such a leaf");
            assert_eq!(kept, path(&leaves, index), "{index} of {count}");
            assert_eq!(root_of_path(leaf, index as u64, count as u64, &kept), Some(tree.root()));
        }
        assert_eq!(tree.path(count), None);
        assert_eq!(tree.path(usize::MAX), None);
    }
}

/// A path with a node changed, left out, added or moved.
fn broken_paths(good: &[Digest]) -> Vec<Vec<Digest>> {
    let mut broken = Vec::new();
    for position in 0..good.len() {
        let mut changed = good.to_vec();
        changed[position] = sha256(changed[position].as_bytes());
        let mut shorter = good.to_vec();
        shorter.remove(position);
        broken.extend([changed, shorter]);
        if position > 0 {
            let mut swapped = good.to_vec();
            swapped.swap(position - 1, position);
            broken.push(swapped);
        }
    }
    for position in 0..=good.len() {
        let mut longer = good.to_vec();
        longer.insert(position, sha256(b"more"));
        broken.push(longer);
    }
    broken
}

#[test]
fn a_node_never_passes_for_a_leaf() {
    let leaves = leaves(2);
    let root_of_two = root(leaves.iter());
    let hash = |leaf: &Vec<u8>| sha256(&[&[0][..], leaf].concat());
    let node = [hash(&leaves[0]).as_bytes().as_slice(), hash(&leaves[1]).as_bytes()].concat();
    assert!(!verify_path(&root_of_two, &node, 0, 1, &[] as &[Digest]));
}

#[test]
fn absurd_counts_and_paths_are_refused_without_a_panic() {
    let long = vec![Digest::ZERO; 1000];
    for count in [0, 1, 2, 3, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
        for index in [0, 1, count / 2, count.saturating_sub(1), count, u64::MAX] {
            for length in [0, 1, 63, 64, 65, 1000] {
                assert!(!verify_path(&Digest::ZERO, b"leaf", index, count, &long[..length]));
            }
        }
    }
}
