use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_crypto::sparse::{BUCKET_BITS, Bucket, Leaves, PROOF_SIBLINGS_MAX, ProofEnd, SparseProof, SparseTree};
use quorate_crypto::{Digest, decode, encode, sha256};

type Contents = BTreeMap<Digest, Vec<u8>>;

/// A tree with its entries, as a node keeps them.
pub struct State {
    pub contents: Contents,
    pub tree: SparseTree,
}

impl State {
    pub fn new() -> Self {
        Self { contents: Contents::new(), tree: SparseTree::new() }
    }

    /// Changes one entry; not committed.
    pub fn set(&mut self, key_hash: Digest, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.contents.insert(key_hash, value),
            None => self.contents.remove(&key_hash),
        };
        let bucket = Bucket::of(&key_hash);
        let leaves = self.bucket(bucket);
        self.tree.set_bucket(bucket, &leaves);
    }

    fn bucket(&self, bucket: Bucket) -> Leaves {
        let (first, end) = bucket.range();
        let leaves = self.contents.range(first..).map(|(key_hash, value)| (*key_hash, value.clone()));
        leaves.take_while(|(key_hash, _)| end.is_none_or(|end| *key_hash < end)).collect()
    }

    pub fn prove(&self, key_hash: &Digest) -> SparseProof {
        self.tree.prove(key_hash, &self.bucket(self.tree.witness_bucket(key_hash)))
    }
}

/// The definition, straight from the text: all entries, the bits of the key hash, three prefixes.
fn defined_root(contents: &Contents) -> Digest {
    fn subtree(entries: &[(&Digest, &Vec<u8>)], depth: usize) -> Digest {
        match entries {
            [] => sha256(&[4]),
            [(key_hash, value)] => sha256(&[&[2][..], key_hash.as_bytes(), value].concat()),
            _ => {
                let goes_right = |key_hash: &Digest| key_hash.as_bytes()[depth / 8] & (0x80 >> (depth % 8)) != 0;
                let (right, left): (Vec<_>, Vec<_>) =
                    entries.iter().copied().partition(|(key_hash, _)| goes_right(key_hash));
                let (left, right) = (subtree(&left, depth + 1), subtree(&right, depth + 1));
                sha256(&[&[3][..], left.as_bytes(), right.as_bytes()].concat())
            }
        }
    }
    subtree(&contents.iter().collect::<Vec<_>>(), 0)
}

/// Key hashes that share long prefixes: zeros with a few bits set, most of them among the first.
fn key_hash() -> impl Strategy<Value = Digest> {
    let position = prop_oneof![3 => 0..24usize, 1 => 0..256usize];
    prop::collection::vec(position, 0..4).prop_map(|positions| {
        let mut bytes = [0u8; 32];
        for position in positions {
            bytes[position / 8] |= 0x80 >> (position % 8);
        }
        Digest::from_bytes(bytes)
    })
}

/// A change of one entry (None deletes), and whether a commit follows.
fn change() -> impl Strategy<Value = (Digest, Option<Vec<u8>>, bool)> {
    let value = prop_oneof![2 => prop::collection::vec(any::<u8>(), 0..3).prop_map(Some), 1 => Just(None)];
    (key_hash(), value, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_root_depends_on_the_contents_only(changes in prop::collection::vec(change(), 0..40)) {
        let mut state = State::new();
        for (key_hash, value, commit) in changes {
            state.set(key_hash, value);
            if commit {
                prop_assert_eq!(state.tree.commit(), defined_root(&state.contents));
            }
        }
        let root = state.tree.commit();
        prop_assert_eq!(root, defined_root(&state.contents));
        prop_assert_eq!(root, state.tree.root());
        // The same contents at once, last key first.
        let mut fresh = State::new();
        for (key_hash, value) in state.contents.iter().rev() {
            fresh.set(*key_hash, Some(value.clone()));
        }
        prop_assert_eq!(fresh.tree.commit(), root);
        // And nothing is left behind when all of it goes.
        for key_hash in state.contents.keys().copied().collect::<Vec<_>>() {
            state.set(key_hash, None);
        }
        prop_assert_eq!(state.tree.commit(), sha256(&[4]));
    }

    #[test]
    fn presence_and_absence_are_proved_and_no_changed_proof_verifies(
        entries in prop::collection::btree_map(key_hash(), prop::collection::vec(any::<u8>(), 0..3), 0..20),
        asked in prop::collection::vec(key_hash(), 1..5),
        position: prop::sample::Index,
    ) {
        let mut state = State::new();
        for (key_hash, value) in &entries {
            state.set(*key_hash, Some(value.clone()));
        }
        let root = state.tree.commit();
        for key_hash in asked.iter().chain(entries.keys()) {
            let proof = state.prove(key_hash);
            let value = entries.get(key_hash).map(Vec::as_slice);
            let opposite: Option<&[u8]> = if value.is_some() { None } else { Some(&[]) };
            prop_assert!(proof.verify(&root, key_hash, value), "{proof:?}");
            prop_assert_eq!(&decode::<SparseProof>(&encode(&proof)).unwrap(), &proof);
            // Another claim, another root, another key.
            let other = [value.unwrap_or_default(), &[1]].concat();
            prop_assert!(!proof.verify(&root, key_hash, Some(&other)));
            prop_assert!(!proof.verify(&root, key_hash, opposite));
            prop_assert!(!proof.verify(&sha256(root.as_bytes()), key_hash, value));
            prop_assert!(value.is_none() || !proof.verify(&root, &sha256(key_hash.as_bytes()), value));
            for (change, broken) in broken_proofs(&proof, position) {
                prop_assert!(!broken.verify(&root, key_hash, value), "{change}: {broken:?}");
                prop_assert!(!broken.verify(&root, key_hash, opposite), "{change}: {broken:?}");
            }
        }
    }
}

/// A proof with one part of it changed.
fn broken_proofs(good: &SparseProof, position: prop::sample::Index) -> Vec<(&'static str, SparseProof)> {
    let with_siblings =
        |siblings: Vec<Digest>| SparseProof { siblings: siblings.try_into().unwrap(), end: good.end.clone() };
    let with_end = |end| SparseProof { siblings: good.siblings.clone(), end };
    let siblings = good.siblings.to_vec();
    let mut broken = Vec::new();
    for place in 0..siblings.len() {
        let mut changed = siblings.clone();
        let mut bytes = *changed[place].as_bytes();
        bytes[position.index(32)] ^= 1 << position.index(8);
        changed[place] = Digest::from_bytes(bytes);
        broken.push(("a sibling changed", with_siblings(changed)));
        let mut shorter = siblings.clone();
        shorter.remove(place);
        broken.push(("a sibling left out", with_siblings(shorter)));
    }
    if siblings.len() < PROOF_SIBLINGS_MAX {
        for more in [sha256(&[4]), sha256(b"more")] {
            let mut longer = siblings.clone();
            longer.insert(position.index(siblings.len() + 1), more);
            broken.push(("a sibling added", with_siblings(longer)));
        }
    }
    match &good.end {
        ProofEnd::Present => broken.push(("present made empty", with_end(ProofEnd::Empty))),
        ProofEnd::Empty => broken.push(("empty made present", with_end(ProofEnd::Present))),
        ProofEnd::Other { key_hash, value } => {
            let mut bytes = *key_hash.as_bytes();
            bytes[position.index(32)] ^= 1 << position.index(8);
            let longer = [&**value, &[0]].concat().try_into().unwrap();
            let other_key = ProofEnd::Other { key_hash: Digest::from_bytes(bytes), value: value.clone() };
            let other_value = ProofEnd::Other { key_hash: *key_hash, value: longer };
            broken.push(("another entry's key", with_end(other_key)));
            broken.push(("another entry's value", with_end(other_value)));
            broken.push(("an entry made empty", with_end(ProofEnd::Empty)));
            broken.push(("an entry made present", with_end(ProofEnd::Present)));
        }
    }
    broken
}

#[test]
fn a_present_entry_cannot_be_passed_off_as_another_one() {
    let mut state = State::new();
    let (here, there) = (sha256(b"here"), sha256(b"there"));
    state.set(here, Some(b"value".to_vec()));
    let root = state.tree.commit();
    // The whole tree is one leaf: it proves the absence of every other key, but not of its own.
    let own = |key_hash| SparseProof {
        siblings: Default::default(),
        end: ProofEnd::Other { key_hash, value: b"value".to_vec().try_into().unwrap() },
    };
    assert!(own(here).verify(&root, &there, None));
    assert!(!own(here).verify(&root, &here, None));
    assert_eq!(state.prove(&there), own(here));
}

#[test]
fn a_witness_may_stand_in_another_bucket_than_the_absent_key() {
    let mut state = State::new();
    let low = Digest::from_bytes([0x01; 32]);
    let high = Digest::from_bytes([0xf1; 32]);
    state.set(low, Some(vec![1]));
    state.set(high, Some(vec![2]));
    let root = state.tree.commit();
    let absent = Digest::from_bytes([0x70; 32]);
    assert_eq!(state.tree.witness_bucket(&absent), Bucket::of(&low));
    assert_ne!(Bucket::of(&low), Bucket::of(&absent));
    assert!(state.prove(&absent).verify(&root, &absent, None));
}

#[test]
fn a_proof_from_outdated_entries_does_not_verify() {
    let mut state = State::new();
    let key_hash = sha256(b"key");
    state.set(key_hash, Some(vec![1]));
    state.set(sha256(b"other"), Some(vec![2]));
    let old = state.prove(&key_hash);
    state.set(key_hash, Some(vec![3]));
    let root = state.tree.commit();
    assert!(!old.verify(&root, &key_hash, Some(&[1])));
    assert!(!state.prove(&key_hash).verify(&root, &key_hash, Some(&[1])));
    assert!(state.prove(&key_hash).verify(&root, &key_hash, Some(&[3])));
}

#[test]
fn buckets_cover_all_key_hashes_in_order() {
    let (first, end) = Bucket::of(&Digest::ZERO).range();
    assert_eq!(first, Digest::ZERO);
    let second = Bucket::of(&end.unwrap());
    assert_eq!((second.index(), second.range().0), (1, end.unwrap()));
    let last = Bucket::of(&Digest::from_bytes([0xff; 32]));
    assert_eq!((last.index(), last.range().1), ((1 << BUCKET_BITS) - 1, None));
    for number in 0..1000u32 {
        let key_hash = sha256(&number.to_le_bytes());
        let (first, end) = Bucket::of(&key_hash).range();
        assert!(first <= key_hash && end.is_none_or(|end| key_hash < end));
    }
}

#[test]
#[should_panic(expected = "another bucket")]
fn entries_of_another_bucket_are_a_bug() {
    SparseTree::new().set_bucket(Bucket::of(&Digest::ZERO), &[(Digest::from_bytes([0xff; 32]), vec![])]);
}

#[test]
#[should_panic(expected = "not sorted")]
fn repeated_entries_are_a_bug() {
    SparseTree::new().set_bucket(Bucket::of(&Digest::ZERO), &[(Digest::ZERO, vec![1]), (Digest::ZERO, vec![2])]);
}
