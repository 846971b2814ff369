//! What stands in `fuzz/` about files begins with the files that this command writes.

#[path = "../../crypto/tests/decoding/mod.rs"]
mod decoding;

use std::fs;
use std::path::{Path, PathBuf};

use decoding::write_seeds;
use quorate_cli::client::journal::Journal;
use quorate_cli::client::outbox::Outbox;
use quorate_cli::key_file;
use quorate_cli::manifest::{MANIFEST_NAME, MANIFEST_VERSION, Manifest, ManifestAccount, ManifestNode};
use quorate_crypto::key::SecretKey;
use quorate_crypto::keystore::{Cost, seal};
use quorate_crypto::sha256;
use quorate_protocol::document::{SignedTransaction, Transaction};

fn key() -> SecretKey {
    SecretKey::from_seed([5; 32])
}

/// The one that the fuzz target looks for.
fn transaction() -> SignedTransaction {
    let (chain_id, operations, memo) = (sha256(b"a chain"), Default::default(), Default::default());
    let transaction =
        Transaction { chain_id, sender: key().public_key(), valid_until: 1_000, salt: 1, operations, memo };
    SignedTransaction::sign(transaction, &key())
}

fn manifest() -> Manifest {
    let home = PathBuf::from("v0");
    let (api, p2p) = ("http://127.0.0.1:1".to_owned(), "/ip4/127.0.0.1/tcp/2".to_owned());
    let account = ManifestAccount {
        name: "alice".to_owned(),
        address: key().public_key(),
        key_file: PathBuf::from("alice.json"),
    };
    Manifest {
        version: MANIFEST_VERSION,
        chain_id: sha256(b"a chain"),
        genesis: PathBuf::from("genesis.json"),
        page: None,
        nodes: vec![ManifestNode { name: "v0".to_owned(), api, p2p, home }],
        accounts: vec![account],
    }
}

/// The files, written into this folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    key_file::write(&folder.join("key.json"), &key(), "a test").unwrap();
    manifest().save(folder).unwrap();
    Outbox::new(folder.to_owned()).keep(&transaction()).unwrap();
    let mut journal = Journal::open(&folder.join("pay.journal"), sha256(b"a chain")).unwrap();
    journal.sign(sha256(b"an item"), &transaction()).unwrap();
    let names = ["key.json", MANIFEST_NAME, &format!("{}.json", transaction().id()), "pay.journal"];
    names.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect()
}

#[test]
#[ignore = "writes files; run it before fuzzing"]
fn every_file_becomes_a_seed_of_its_fuzz_target() {
    let folder = tempfile::tempdir().unwrap();
    let mut seeds = files(folder.path());
    seeds.push(seal(&key(), b"correct horse", Cost { memory_kib: 8, passes: 1 }).unwrap());
    seeds.push(include_bytes!("../../protocol/tests/golden/genesis.json").to_vec());
    seeds.push(include_bytes!("fixtures/authority.pem").to_vec());
    seeds.push([&include_bytes!("fixtures/node.pem")[..], include_bytes!("fixtures/node-key.pem")].concat());
    seeds.push(b"0123456789abcdef0123456789abcdef\n".to_vec());
    write_seeds("file", &seeds);
}
