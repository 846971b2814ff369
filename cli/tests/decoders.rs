//! Whatever a file on the user's disk holds: what reads it takes it, or says which file it is, what is wrong and what to do.

#[path = "../../crypto/tests/decoding/mod.rs"]
mod decoding;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use decoding::{edited, edits, endless};
use proptest::prelude::*;
use quorate_cli::client::access::Access;
use quorate_cli::client::heights::Heights;
use quorate_cli::client::journal::Journal;
use quorate_cli::client::outbox::Outbox;
use quorate_cli::exit::{Exit, Failure};
use quorate_cli::manifest::{MANIFEST_NAME, MANIFEST_VERSION, Manifest, ManifestAccount, ManifestNode};
use quorate_cli::passphrase::Passphrases;
use quorate_cli::{genesis, key_file};
use quorate_crypto::key::SecretKey;
use quorate_crypto::keystore::{Cost, seal};
use quorate_crypto::{Digest, sha256};
use quorate_protocol::document::{SignedTransaction, Transaction};
use quorate_protocol::id::Height;

const GENESIS: &[u8] = include_bytes!("../../protocol/tests/golden/genesis.json");

/// A file that the command reads.
struct Kind {
    /// Its name in a folder of its own.
    name: String,
    reads: fn(&Path) -> Result<(), Failure>,
    sample: Vec<u8>,
}

fn key() -> SecretKey {
    SecretKey::from_seed([5; 32])
}

fn chain() -> Digest {
    sha256(b"a chain")
}

fn transaction() -> SignedTransaction {
    let transaction = Transaction {
        chain_id: chain(),
        sender: key().public_key(),
        valid_until: 1_000,
        salt: 1,
        operations: Default::default(),
        memo: Default::default(),
    };
    SignedTransaction::sign(transaction, &key())
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().expect("it stands in a folder").to_owned()
}

/// What a writer puts into the file of this name.
fn written(name: &str, write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write(&path);
    fs::read(path).unwrap()
}

fn manifest() -> Manifest {
    let home = PathBuf::from("v0");
    let api = "http://127.0.0.1:1".to_owned();
    let node = ManifestNode { name: "v0".to_owned(), api, p2p: "/ip4/127.0.0.1/tcp/2".to_owned(), home };
    let address = key().public_key();
    Manifest {
        version: MANIFEST_VERSION,
        chain_id: chain(),
        genesis: PathBuf::from("genesis.json"),
        page: None,
        nodes: vec![node],
        accounts: vec![ManifestAccount { name: "alice".to_owned(), address, key_file: PathBuf::from("alice.json") }],
    }
}

fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let sealed = seal(&key(), b"a passphrase", Cost::DEFAULT).unwrap();
        let signed = transaction();
        let outbox = written(&format!("{}.json", signed.id()), |path| {
            Outbox::new(folder_of(path)).keep(&transaction()).unwrap();
        });
        let journal = written("pay.journal", |path| {
            Journal::open(path, chain()).unwrap().sign(sha256(b"an item"), &transaction()).unwrap();
        });
        let kind = |name: &str, reads, sample| Kind { name: name.to_owned(), reads, sample };
        vec![
            kind(
                "key.json",
                |path| key_file::read(path).map(drop),
                written("key.json", |path| {
                    key_file::write(path, &key(), "a test").unwrap();
                }),
            ),
            // The public part: opening it costs a second each time.
            kind("sealed.json", |path| key_file::public_key(path).map(drop), sealed),
            kind("genesis.json", |path| genesis::load(path).map(drop), GENESIS.to_vec()),
            kind(
                MANIFEST_NAME,
                |path| Manifest::load(&folder_of(path)).map(drop),
                written(MANIFEST_NAME, |path| {
                    manifest().save(&folder_of(path)).unwrap();
                }),
            ),
            Kind {
                name: format!("{}.json", signed.id()),
                reads: |path| Outbox::new(folder_of(path)).find(&transaction().id()).map(drop),
                sample: outbox,
            },
            kind("pay.journal", |path| Journal::open(path, chain()).map(drop), journal),
            kind(
                "heights.json",
                |path| Heights::new(path.to_owned()).of(&chain()).map(drop),
                written("heights.json", |path| {
                    Heights::new(path.to_owned()).remember(&chain(), Height(7)).unwrap();
                }),
            ),
            kind("token", |path| Access::load(Some(path), None).map(drop), b"c2VjcmV0LXRva2Vu\n".to_vec()),
            kind("authority.pem", |path| Access::load(None, Some(path)).map(drop), {
                include_bytes!("fixtures/authority.pem").to_vec()
            }),
        ]
    })
}

/// What reading the file says; a refusal names the file, a reason and a remedy, and is a bad file, nothing else.
fn read(kind: &Kind, bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(&kind.name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(bytes).unwrap();
    drop(file);
    match (kind.reads)(&path) {
        Ok(()) => true,
        Err(failure) => {
            let Failure { exit, code, message, hint, .. } = &failure;
            assert_eq!(*exit, Exit::Config, "{}: {failure:?}", kind.name);
            assert!(message.contains(&kind.name) && !hint.is_empty() && !code.is_empty(), "{}: {failure:?}", kind.name);
            assert!(message.len() < 2_000, "{}: a message is for people: {failure:?}", kind.name);
            false
        }
    }
}

#[test]
fn what_was_written_is_read_and_nothing_is_is_refused() {
    for kind in kinds() {
        assert!(read(kind, &kind.sample), "{}", kind.name);
        // A journal may be empty: its first line had not been written.
        assert_eq!(read(kind, b""), kind.name == "pay.journal", "{} without bytes", kind.name);
    }
}

#[test]
fn brackets_without_end_are_refused() {
    for kind in kinds() {
        for bytes in endless() {
            read(kind, &bytes);
        }
    }
}

/// A secret that a damaged file holds must not stand in the message about it.
#[test]
fn no_message_quotes_a_secret() {
    let kind = kinds().iter().find(|kind| kind.name == "key.json").unwrap();
    let secret = hex::encode(key().seed().as_slice());
    let text = String::from_utf8(kind.sample.clone()).unwrap();
    for damaged in [text.replace(&secret, &format!("{secret}0")), text.replace("\"secret\"", "\"geheim\"")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(&kind.name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(damaged.as_bytes()).unwrap();
        let failure = key_file::read_either(&path, &Passphrases::default()).map(drop).unwrap_err();
        assert!(!format!("{failure:?}").contains(&secret[..16]), "{failure:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_read_or_refused_with_a_remedy(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for kind in kinds() {
            read(kind, &bytes);
        }
    }

    #[test]
    fn changed_files_are_read_or_refused_with_a_remedy(edits in edits()) {
        for kind in kinds() {
            read(kind, &edited(&kind.sample, b"\n{\"version\":2}", &edits));
        }
    }
}
