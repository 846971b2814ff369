//! Whatever the disk gives back: a value of the chain store is read as the one that was written under its key, or refused.

mod common;
#[path = "../../crypto/tests/decoding/mod.rs"]
mod decoding;

use std::fmt::Debug;
use std::fs;
use std::sync::{Arc, LazyLock};

use borsh::{BorshDeserialize, BorshSerialize};
use common::{account, certificate, code, commits, genesis, next_block, secret};
use decoding::{
    Decoder, assert_no_length_is_believed, assert_whole_samples_only, changed, document, edits, is_alone, lengths,
    read_by_all, refused, write_seeds,
};
use proptest::prelude::*;
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::signed::Signed;
use quorate_crypto::{decode, encode};
use quorate_protocol::document::{Batch, Block, Body, Certificate, Header, Position, Proof};
use quorate_protocol::id::{Epoch, Height, Sequence, TransactionId, View};
use quorate_protocol::pbft::Record;
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::pbft::message::{Ballot, Commit, Prepare};
use quorate_protocol::replica::JournalEntry;
use quorate_protocol::store::{BlockCommit, MemoryStore, Store, StoreError};
use quorate_storage::data::{DataDirectory, DataError};
use quorate_storage::files::Files;
use quorate_storage::journal::{Journal, Options, PAGE_BYTES, Recovered};
use quorate_storage::schema::{
    Kind, balance_code, balance_key, evidence_key, evidence_value, seal, seal_hash, seal_header_height, seal_place,
    sealed_height, uncertified_height, uncertified_key, unseal, unseal_hash, unseal_header_height, unseal_place,
};
use quorate_storage::volatile::VolatileFiles;

/// Bytes in front of the canonical bytes of a value by height: kind and height.
const SEAL_BYTES: usize = 9;

fn hash() -> Digest {
    sha256(b"a hash")
}

/// Reads at the height that the bytes name, as the store does; at no other height, and under no other kind.
fn reads_at_height<T: BorshSerialize + BorshDeserialize>(kind: Kind, bytes: &[u8]) -> bool {
    let read = sealed_height(kind, bytes).and_then(|height| Ok((height, unseal::<T>(kind, height, bytes)?)));
    let (height, value) = match read {
        Ok(read) => read,
        Err(error) => return refused(&error),
    };
    assert_eq!(seal(kind, height, &value), bytes, "two encodings of one {kind:?}");
    assert!(unseal::<T>(kind, Height(!height.get()), bytes).is_err());
    let other = if kind == Kind::Head { Kind::Proof } else { Kind::Head };
    assert!(sealed_height(other, bytes).is_err());
    true
}

fn sealed_lengths<T: BorshDeserialize>(bytes: &[u8]) -> Vec<usize> {
    lengths::<T>(&bytes[SEAL_BYTES..]).into_iter().map(|at| SEAL_BYTES + at).collect()
}

/// A value by height. `reads` is that of `T` under `kind`: a function cannot hold a kind.
fn by_height<T>(name: &'static str, kind: Kind, reads: fn(&[u8]) -> bool, values: Vec<T>) -> Decoder
where
    T: BorshSerialize + BorshDeserialize + PartialEq + Debug,
{
    let heights = [Height(1), Height(1 << 40), Height(u64::MAX)];
    let samples = values.iter().zip(heights.into_iter().cycle()).map(|(value, height)| {
        let bytes = seal(kind, height, value);
        assert_eq!(unseal::<T>(kind, height, &bytes).as_ref(), Ok(value));
        bytes
    });
    document(name, reads, samples.collect()).with_lengths(sealed_lengths::<T>)
}

/// What was read is written as the same bytes.
fn read_as<T>(read: Result<T, StoreError>, write: impl Fn(T) -> Vec<u8>, bytes: &[u8]) -> bool {
    match read {
        Ok(value) => {
            assert_eq!(write(value), bytes, "two encodings of one value");
            true
        }
        Err(error) => refused(&error),
    }
}

fn reads_place(bytes: &[u8]) -> bool {
    let id = TransactionId(hash());
    read_as(unseal_place(&id, bytes), |(height, position)| seal_place(&id, height, position), bytes)
}

fn reads_header_height(bytes: &[u8]) -> bool {
    read_as(unseal_header_height(&hash(), bytes), |height| seal_header_height(&hash(), height), bytes)
}

fn reads_state(bytes: &[u8]) -> bool {
    read_as(unseal_hash("state", hash().as_bytes(), bytes), |value| seal_hash(hash().as_bytes(), value), bytes)
}

fn reads_balance_key(bytes: &[u8]) -> bool {
    read_as(balance_code(&account(1), bytes), |code| balance_key(&account(1), &code), bytes)
}

fn reads_uncertified_key(bytes: &[u8]) -> bool {
    read_as(uncertified_height(bytes), uncertified_key, bytes)
}

/// Under the key that the piece itself names; under no other.
fn reads_evidence(bytes: &[u8]) -> bool {
    let key = match decode::<Evidence>(bytes) {
        Ok(evidence) => evidence_key(&evidence),
        Err(_) => [0; 41],
    };
    assert!(evidence_value(&[7; 41], bytes).is_err() || key == [7; 41]);
    read_as(evidence_value(&key, bytes), |evidence| encode(&evidence), bytes)
}

fn evidence() -> Vec<Evidence> {
    let ballot = |digest| Ballot { epoch: Epoch(1), view: View(2), sequence: Sequence(9), digest: sha256(&[digest]) };
    let prepare = |digest| Signed::sign(Prepare(ballot(digest)), &sha256(b"chain"), &secret(3));
    let commit = |digest| Signed::sign(Commit(ballot(digest)), &sha256(b"chain"), &secret(3));
    vec![Evidence::Prepare(prepare(1), prepare(2)), Evidence::Commit(commit(1), commit(2))]
}

fn chain() -> Vec<BlockCommit> {
    let store = MemoryStore::new();
    store.initialize(&genesis(1)).unwrap();
    let grown = (0..3).map(|transactions| {
        let block = next_block(&store, 3 * transactions);
        store.append(&block).unwrap();
        block
    });
    grown.collect()
}

fn table() -> &'static [Decoder] {
    static TABLE: LazyLock<Vec<Decoder>> = LazyLock::new(make_table);
    &TABLE
}

fn make_table() -> Vec<Decoder> {
    let blocks: Vec<Block> = chain().into_iter().map(|commit| commit.block).collect();
    let headers: Vec<Header> = blocks.iter().map(|block| block.header.clone()).collect();
    let hashes = headers.iter().map(Header::hash).collect();
    let contents: Vec<(Batch, Vec<Body>)> =
        blocks.iter().map(|block| (block.batch.clone(), block.bodies.clone())).collect();
    let positions: Vec<Vec<Position>> = blocks.iter().map(|block| block.positions.clone()).collect();
    let proofs = vec![commits(Height(1)), Proof::Certificate(certificate(1))];
    let id = TransactionId(hash());
    let places = [(Height(1), 0), (Height(1 << 33), 7), (Height(u64::MAX), u32::MAX)];
    let reads_header = |bytes: &[u8]| reads_at_height::<Header>(Kind::Header, bytes);
    vec![
        by_height("a header", Kind::Header, reads_header, headers),
        by_height(
            "batch and bodies",
            Kind::Contents,
            |bytes| reads_at_height::<(Batch, Vec<Body>)>(Kind::Contents, bytes),
            contents,
        ),
        by_height(
            "positions",
            Kind::Positions,
            |bytes| reads_at_height::<Vec<Position>>(Kind::Positions, bytes),
            positions,
        ),
        by_height("a proof", Kind::Proof, |bytes| reads_at_height::<Proof>(Kind::Proof, bytes), proofs),
        by_height(
            "a certificate",
            Kind::Certificate,
            |bytes| reads_at_height::<Certificate>(Kind::Certificate, bytes),
            vec![certificate(2)],
        ),
        by_height("the head", Kind::Head, |bytes| reads_at_height::<Digest>(Kind::Head, bytes), hashes),
        by_height("the indexed height", Kind::Indexed, |bytes| reads_at_height::<()>(Kind::Indexed, bytes), vec![()]),
        by_height(
            "the mark of an uncertified height",
            Kind::Uncertified,
            |bytes| reads_at_height::<()>(Kind::Uncertified, bytes),
            vec![()],
        ),
        document(
            "a transaction's place",
            reads_place,
            places.iter().map(|(height, position)| seal_place(&id, *height, *position)).collect(),
        ),
        document("a header's height", reads_header_height, vec![seal_header_height(&hash(), Height(1 << 33))]),
        document("a value of the state", reads_state, vec![seal_hash(hash().as_bytes(), &encode(&7u128))]).open_ended(),
        document("the key of a balance", reads_balance_key, vec![balance_key(&account(1), &code("USD"))]).open_ended(),
        document("the key of an uncertified height", reads_uncertified_key, vec![uncertified_key(Height(77))]),
        document("evidence", reads_evidence, evidence().iter().map(encode).collect()).with_lengths(lengths::<Evidence>),
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

/// A journal of a few votes as one input of its fuzz target: how it is mended, `low`, pages of the copy, copy, segment.
fn journal_seed(mend: u8, low: u8, entries: usize) -> Vec<u8> {
    const SMALL: Options =
        Options { segment_bytes: 8 * PAGE_BYTES as u32, record_bytes_max: 3 * PAGE_BYTES as u32, spares_max: 2 };
    let files = VolatileFiles::new();
    let entry = |height| JournalEntry { record: Record::Floor(Height(height)), bodies: Vec::new() };
    Journal::create(Arc::new(files.clone()), hash(), &[entry(0)], SMALL).unwrap();
    let opened = Journal::open(Arc::new(files.clone()), hash(), 0, SMALL).unwrap();
    let Recovered::Whole { mut journal, .. } = opened else { panic!("a new journal is whole") };
    (1..=entries as u64).for_each(|height| journal.append(&[entry(height)]).unwrap());
    let file = |prefix: &str| {
        let names = files.list().unwrap();
        let name = names.iter().find(|name| name.starts_with(prefix)).unwrap();
        files.read(name, u64::MAX).unwrap()
    };
    [vec![mend, low, 1], file("copy-"), file("segment-")].concat()
}

/// What stands in `fuzz/` begins with these, and finds its way from there.
#[test]
#[ignore = "writes files; run it before fuzzing"]
fn every_sample_becomes_a_seed_of_its_fuzz_target() {
    write_seeds("store", table().iter().flat_map(|decoder| &decoder.samples));
    write_seeds("journal", &[journal_seed(0, 0, 0), journal_seed(0, 9, 3), journal_seed(7, 0, 4)]);
}

/// A file of the data directory that says what it is.
fn opened(magic: &[u8]) -> Result<(), DataError> {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("magic"), magic).unwrap();
    DataDirectory::open(parent.path()).map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused_or_are_the_one_encoding_of_a_value(
        bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..10u8, height in any::<u64>(),
    ) {
        read_by_all(table(), &bytes);
        // Behind what each value begins with, and with small numbers, which are lengths and variants that come true.
        let small: Vec<u8> = bytes.iter().map(|byte| byte % 3).collect();
        for bytes in [&bytes, &small] {
            let by_height = [&[kind][..], &height.to_be_bytes(), bytes].concat();
            read_by_all(table(), &by_height);
            read_by_all(table(), &seal_hash(hash().as_bytes(), bytes));
            read_by_all(table(), &[account(1).as_bytes().as_slice(), bytes].concat());
        }
    }

    #[test]
    fn changed_values_are_refused_or_are_the_one_encoding_of_another(
        which in any::<[prop::sample::Index; 4]>(), edits in edits(),
    ) {
        read_by_all(table(), &changed(table(), &which, &edits));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_directory_whose_magic_file_is_another_is_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..300), number in "[0-9+-]{1,30}",
    ) {
        prop_assert!(opened(b"quorate data directory, version 1\n").is_ok());
        let is_unknown = matches!(opened(&bytes), Err(DataError::Unknown { .. }));
        prop_assert!(is_unknown);
        let other = format!("quorate data directory, version {number}\n");
        let is_one = number.parse() == Ok(1);
        match opened(other.as_bytes()) {
            Ok(()) => prop_assert!(is_one),
            Err(error) => {
                let is_version = matches!(error, DataError::Version { .. });
                prop_assert!(is_version && !is_one && !refused(&error));
            }
        }
    }
}
