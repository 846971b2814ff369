//! Whatever bytes arrive at a decoder of this crate: it says yes or no, and yes only to the one encoding of a value.

mod decoding;

use std::sync::LazyLock;

use borsh::{BorshDeserialize, BorshSerialize};
use decoding::{
    Decoder, assert_no_length_is_believed, assert_whole_samples_only, canonical, changed, document, edits, endless,
    is_alone, json, read_by_all, refused, text,
};
use proptest::prelude::*;
use quorate_crypto::keystore::{self, Cost};
use quorate_crypto::merkle;
use quorate_crypto::sparse::{ProofEnd, SparseProof};
use quorate_crypto::{
    BoundedBytes, BoundedString, BoundedVec, Digest, PublicKey, SecretKey, Signature, Signed, sha256,
};
use serde::{Deserialize, Serialize};

/// A value of every kind of part.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
struct Mixed {
    number: u64,
    flag: bool,
    maybe: Option<Digest>,
    list: BoundedVec<BoundedString<32>, 1_000_000>,
    wide: BoundedVec<[u64; 16], 1_000_000>,
    bytes: BoundedBytes<100_000_000>,
}

fn mixed() -> Vec<Mixed> {
    let list: Vec<BoundedString<32>> = vec!["one".try_into().unwrap(), "zwölf".try_into().unwrap()];
    let mixed = Mixed {
        number: 7,
        flag: true,
        maybe: Some(sha256(b"x")),
        list: list.try_into().unwrap(),
        wide: vec![[1; 16], [2; 16]].try_into().unwrap(),
        bytes: vec![7; 5_000].try_into().unwrap(),
    };
    let empty = Mixed { maybe: None, list: BoundedVec::new(), wide: BoundedVec::new(), ..mixed.clone() };
    vec![mixed, empty]
}

fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn proofs() -> Vec<SparseProof> {
    let siblings: BoundedVec<Digest, _> = (0..20u8).map(|byte| sha256(&[byte])).collect::<Vec<_>>().try_into().unwrap();
    let other = ProofEnd::Other { key_hash: sha256(b"other"), value: vec![1, 2].try_into().unwrap() };
    let proof = |end| SparseProof { siblings: siblings.clone(), end };
    vec![proof(ProofEnd::Present), proof(ProofEnd::Empty), proof(other)]
}

/// The public part of a sealed key, without the passphrase; every byte of it is a part of the key.
fn reads_sealed(bytes: &[u8]) -> bool {
    match keystore::public_key(bytes) {
        Ok(_) => {
            assert!(bytes.len() == keystore::SEALED_BYTES && keystore::is_sealed(bytes));
            true
        }
        Err(error) => refused(&error),
    }
}

fn table() -> &'static [Decoder] {
    static TABLE: LazyLock<Vec<Decoder>> = LazyLock::new(make_table);
    &TABLE
}

fn make_table() -> Vec<Decoder> {
    let (public, signature) = (key().public_key(), key().sign(b"text"));
    let signed = Signed { body: mixed().remove(1), signer: public, signature };
    let hex = [sha256(b"").to_string(), public.to_string(), signature.to_string()];
    let sealed = keystore::seal(&key(), b"correct horse", Cost { memory_kib: 8, passes: 1 }).unwrap();
    vec![
        canonical(vec![sha256(b"")]),
        canonical(vec![public]),
        canonical(vec![signature]),
        canonical(vec![signed.clone()]),
        canonical(proofs()),
        canonical(proofs().into_iter().map(|proof| proof.end).collect()),
        canonical(mixed()),
        json(vec![sha256(b"")]),
        json(vec![public]),
        json(vec![signature]),
        json(vec![signed]),
        json(proofs()),
        json(mixed()),
        text::<Digest>(&[&hex[0]], true),
        text::<PublicKey>(&[&hex[1]], true),
        text::<Signature>(&[&hex[2]], true),
        text::<BoundedString<32>>(&["quorate"], false),
        document("a sealed key", reads_sealed, vec![sealed]),
    ]
}

#[test]
fn whole_values_are_read_and_nothing_shorter_or_longer() {
    assert_whole_samples_only(table());
}

#[test]
fn a_length_that_is_a_lie_is_refused_and_reserves_no_memory() {
    if is_alone("a_length_that_is_a_lie_is_refused_and_reserves_no_memory") {
        assert_no_length_is_believed(table());
    }
}

#[test]
fn brackets_without_end_are_refused() {
    endless().iter().for_each(|bytes| read_by_all(table(), bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused_or_are_the_one_encoding_of_a_value(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        read_by_all(table(), &bytes);
        // Small numbers are lengths that come true.
        read_by_all(table(), &bytes.iter().map(|byte| byte % 3).collect::<Vec<_>>());
    }

    #[test]
    fn changed_values_are_refused_or_are_the_one_encoding_of_another(
        which in any::<[prop::sample::Index; 4]>(), edits in edits(),
    ) {
        read_by_all(table(), &changed(table(), &which, &edits));
    }

    #[test]
    fn no_path_and_no_proof_panics_or_proves_a_lie(
        index in any::<u64>(), count in any::<u64>(), small in 0..40u64, length in 0..70usize, which in 0..3usize,
    ) {
        let path: Vec<Digest> = (0..length).map(|number| sha256(&number.to_le_bytes())).collect();
        for (index, count) in [(index, count), (small, count), (small, small + 1), (u64::MAX - 1, u64::MAX)] {
            prop_assert!(!merkle::verify_path(&sha256(b"root"), b"leaf", index, count, &path));
        }
        let siblings = BoundedVec::try_from(path).unwrap();
        let proof = SparseProof { siblings, end: proofs().swap_remove(which).end };
        prop_assert!(!proof.verify(&sha256(b"root"), &sha256(b"key"), Some(b"value")));
        prop_assert!(!proof.verify(&sha256(b"root"), &sha256(b"key"), None));
    }
}
