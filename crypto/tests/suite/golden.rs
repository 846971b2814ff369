//! Encodings and hashes as they are, frozen: a changed golden file is a changed protocol.
//!
//! `QUORATE_BLESS=1 cargo test` rewrites the files.

use std::fmt::Write as _;
use std::path::Path;

use borsh::BorshSerialize;
use quorate_crypto::sparse::{ProofEnd, SparseProof};
use quorate_crypto::{
    BoundedBytes, BoundedString, BoundedVec, Digest, Signed, Verifier, digest, encode, merkle, sha256, signing_bytes,
};

use crate::signatures::zip_215_claims;
use crate::signed::Vote;
use crate::sparse::State;
use crate::{key, vectors};

/// Compares lines with a golden file, or rewrites it.
fn check(file: &str, lines: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("QUORATE_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, lines).expect("the golden file can be written");
        return;
    }
    let golden =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}; QUORATE_BLESS=1 writes it"));
    for (number, (golden, line)) in golden.lines().zip(lines.lines()).enumerate() {
        assert_eq!(line, golden, "{file}, line {}; QUORATE_BLESS=1 accepts a wanted change", number + 1);
    }
    assert_eq!(lines.lines().count(), golden.lines().count(), "the number of lines of {file}");
}

/// A line "name: hex".
fn line(out: &mut String, name: &str, bytes: impl AsRef<[u8]>) {
    writeln!(out, "{name}: {}", hex::encode(bytes)).expect("writing to a string does not fail");
}

#[derive(BorshSerialize)]
enum Choice {
    Nothing,
    Tuple(u8, u16),
    Named { flag: bool },
}

#[test]
fn canonical_bytes_are_frozen() {
    let mut out = String::new();
    line(&mut out, "u8", encode(&0x12u8));
    line(&mut out, "u16", encode(&0x1234u16));
    line(&mut out, "u32", encode(&0x1234_5678u32));
    line(&mut out, "u64", encode(&0x1234_5678_9abc_def0u64));
    line(&mut out, "u128", encode(&0x1234u128));
    line(&mut out, "bool", encode(&true));
    line(&mut out, "option none", encode(&None::<u16>));
    line(&mut out, "option some", encode(&Some(1u16)));
    line(&mut out, "tuple", encode(&(1u8, 2u16, 3u32)));
    line(&mut out, "enum unit", encode(&Choice::Nothing));
    line(&mut out, "enum tuple", encode(&Choice::Tuple(1, 2)));
    line(&mut out, "enum named", encode(&Choice::Named { flag: true }));
    line(&mut out, "bounded vec", encode(&BoundedVec::<u16, 4>::try_from(vec![1, 2, 3]).unwrap()));
    line(&mut out, "bounded bytes", encode(&BoundedBytes::<4>::try_from(vec![1, 2, 3]).unwrap()));
    line(&mut out, "bounded string", encode(&BoundedString::<9>::try_from("quorate").unwrap()));
    line(&mut out, "digest", encode(&sha256(b"digest")));
    line(&mut out, "public key", encode(&key(1).public_key()));
    line(&mut out, "signature", encode(&key(1).sign(b"message")));
    line(&mut out, "signed", encode(&Signed::sign(Vote { height: 7 }, &sha256(b"chain"), &key(1))));
    let proof = |end| SparseProof { siblings: vec![sha256(b"left"), sha256(b"right")].try_into().unwrap(), end };
    let other = ProofEnd::Other { key_hash: sha256(b"other"), value: vec![1, 2].try_into().unwrap() };
    line(&mut out, "sparse proof present", encode(&proof(ProofEnd::Present)));
    line(&mut out, "sparse proof empty", encode(&proof(ProofEnd::Empty)));
    line(&mut out, "sparse proof other", encode(&proof(other.clone())));
    writeln!(out, "sparse proof as json: {}", serde_json::to_string(&proof(other)).unwrap()).unwrap();
    check("encoding.txt", &out);
}

#[test]
fn hashes_and_signatures_are_frozen() {
    let chain = sha256(b"chain");
    let mut out = String::new();
    line(&mut out, "sha256 of nothing", sha256(b""));
    line(&mut out, "sha256 of abc", sha256(b"abc"));
    line(&mut out, "digest of 7u64 in quorate/test", digest("quorate/test", &7u64));
    line(&mut out, "digest of a list in quorate/test", digest("quorate/test", &vec![1u8; 300]));
    line(&mut out, "digest in the empty domain", digest("", &()));
    line(&mut out, "signing bytes", signing_bytes(&chain, &Vote { height: 7 }));
    line(&mut out, "public key", key(1).public_key());
    line(&mut out, "signature", key(1).sign(&signing_bytes(&chain, &Vote { height: 7 })));
    check("hashing.txt", &out);
}

#[test]
fn zip_215_verdicts_are_frozen() {
    let mut out = String::new();
    let claims = zip_215_claims();
    let verdicts = Verifier::new([0; 32], 16).verify_batch(&claims);
    for (claim, holds) in claims.iter().zip(verdicts) {
        writeln!(out, "key={} signature={} holds={holds}", claim.key, claim.signature).unwrap();
    }
    check("zip215.txt", &out);
}

#[test]
fn list_roots_and_paths_are_frozen() {
    let mut out = String::new();
    let mut leaves: Vec<Vec<u8>> = Vec::new();
    line(&mut out, "root of 0", merkle::root(leaves.iter()));
    for field in vectors(include_str!("../vectors/rfc6962.txt")) {
        leaves.push(field("leaf"));
        line(&mut out, &format!("root of {}", leaves.len()), merkle::root(leaves.iter()));
    }
    for index in 0..7 {
        let path = merkle::path(&leaves[..7], index);
        line(&mut out, &format!("path of leaf {index} of 7"), encode(&path));
    }
    check("merkle.txt", &out);
}

#[test]
fn state_roots_are_frozen() {
    let mut out = String::new();
    let mut state = State::new();
    line(&mut out, "no entries", state.tree.root());
    for number in 0..300u32 {
        state.set(sha256(&number.to_le_bytes()), Some(number.to_be_bytes().to_vec()));
        if [1, 2, 3, 10, 100, 300].contains(&(number + 1)) {
            line(&mut out, &format!("{} entries", number + 1), state.tree.commit());
        }
    }
    for (name, key_hash) in [("present", sha256(&7u32.to_le_bytes())), ("absent", sha256(b"absent"))] {
        line(&mut out, &format!("proof of {name}"), encode(&state.prove(&key_hash)));
    }
    // Two keys that differ in the last bit only: the longest way there is.
    let mut last = [0; 32];
    last[31] = 1;
    state.set(Digest::ZERO, Some(vec![]));
    state.set(Digest::from_bytes(last), Some(vec![1]));
    line(&mut out, "twins 256 deep", state.tree.commit());
    check("sparse.txt", &out);
}
