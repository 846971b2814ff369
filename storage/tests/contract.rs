//! One suite for every chain store: RocksDB, memory, and both behind a wrapper that could fail and does not.

mod common;

use std::collections::BTreeMap;

use common::*;
use quorate_crypto::encode::encode;
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::signed::Signed;
use quorate_crypto::sparse::{Bucket, Leaves};
use quorate_protocol::document::{Change, Proof};
use quorate_protocol::id::{Epoch, Height, Sequence, TransactionId, View};
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::pbft::message::{Ballot, Commit, Prepare};
use quorate_protocol::store::{EvidenceList, MemoryStore, StateReader, Store, StoreError};
use quorate_storage::faulty::{Fault, FaultyStore, Plan};
use quorate_storage::rocks::{RocksStore, StoreOptions};
use tempfile::TempDir;

/// A store and what has to live as long.
struct Subject {
    store: Box<dyn Store>,
    _directory: Option<TempDir>,
}

fn rocks(index_run_max: usize) -> (RocksStore, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { index_run_max, ..StoreOptions::default() };
    (RocksStore::open(directory.path(), options).unwrap(), directory)
}

mod subjects {
    use super::*;

    pub fn memory() -> Subject {
        Subject { store: Box::new(MemoryStore::new()), _directory: None }
    }

    pub fn memory_behind_faulty() -> Subject {
        Subject { store: Box::new(FaultyStore::new(MemoryStore::new(), Plan::new())), _directory: None }
    }

    pub fn rocks() -> Subject {
        let (store, directory) = super::rocks(StoreOptions::default().index_run_max);
        Subject { store: Box::new(store), _directory: Some(directory) }
    }

    /// Writes its index as a file every few entries.
    pub fn rocks_with_short_runs() -> Subject {
        let (store, directory) = super::rocks(3);
        Subject { store: Box::new(store), _directory: Some(directory) }
    }

    pub fn rocks_behind_faulty() -> Subject {
        let (store, directory) = super::rocks(3);
        Subject { store: Box::new(FaultyStore::new(store, Plan::new())), _directory: Some(directory) }
    }
}

/// Makes a test of each case on each store.
macro_rules! contract {
    ($($case:ident)*) => {
        contract!(@store memory: $($case)*);
        contract!(@store memory_behind_faulty: $($case)*);
        contract!(@store rocks: $($case)*);
        contract!(@store rocks_with_short_runs: $($case)*);
        contract!(@store rocks_behind_faulty: $($case)*);
    };
    (@store $subject:ident: $($case:ident)*) => {
        mod $subject {
            $(
                #[test]
                fn $case() {
                    super::$case(super::subjects::$subject().store.as_ref());
                }
            )*
        }
    };
}

contract! {
    an_empty_store_holds_nothing_and_takes_no_block
    the_genesis_is_written_once_and_only_its_own
    blocks_come_back_as_they_were_appended
    a_block_out_of_order_is_refused
    the_state_is_that_after_the_last_block
    only_executed_positions_are_indexed
    certificates_are_added_and_missing_ones_listed
    balances_are_listed_in_the_order_of_the_codes
    readers_never_see_half_a_block
    of_one_key_kind_and_epoch_the_first_piece_of_evidence_stays
    evidence_beyond_the_bound_of_an_answer_is_counted
}

fn an_empty_store_holds_nothing_and_takes_no_block(store: &dyn Store) {
    assert_eq!(store.head(), Ok(None));
    assert_eq!(store.header(Height(0)), Ok(None));
    assert_eq!(store.block(Height(0)), Ok(None));
    assert_eq!(store.proof(Height(0)), Ok(None));
    assert_eq!(store.certificate(Height(0)), Ok(None));
    assert_eq!(store.height_of(&sha256(b"none")), Ok(None));
    assert_eq!(store.transaction(&TransactionId(sha256(b"none"))), Ok(None));
    assert_eq!(store.state(&sha256(b"none")), Ok(None));
    assert_eq!(store.uncertified(Height(0), 10), Ok(Vec::new()));
    assert_eq!(store.balances(&account(1), 10), Ok(Vec::new()));
    let other = MemoryStore::new();
    other.initialize(&genesis(0)).unwrap();
    assert_eq!(store.append(&next_block(&other, 1)), Err(StoreError::NotInitialized));
}

fn the_genesis_is_written_once_and_only_its_own(store: &dyn Store) {
    let genesis_zero = genesis(0);
    store.initialize(&genesis_zero).unwrap();
    let head = store.head().unwrap().unwrap();
    assert_eq!((head.height, &head.header), (Height(0), &genesis_zero.header()));
    assert_eq!(head.header_hash, genesis_zero.header().hash());
    assert_eq!(store.block(Height(0)), Ok(Some(genesis_zero.block())));
    assert_eq!(store.proof(Height(0)), Ok(None));
    for change in genesis_zero.state() {
        assert_eq!(store.state(&change.key_hash), Ok(change.value));
    }
    grow(store, 2, 3);
    store.initialize(&genesis_zero).unwrap();
    assert_eq!(store.head().unwrap().unwrap().height, Height(2));
    let (expected, found) = (genesis(1).chain_id(), genesis_zero.chain_id());
    assert_eq!(store.initialize(&genesis(1)), Err(StoreError::WrongChain { expected, found }));
}

fn blocks_come_back_as_they_were_appended(store: &dyn Store) {
    store.initialize(&genesis(0)).unwrap();
    for transactions in [0, 1, 5, 40] {
        let commit = next_block(store, transactions);
        store.append(&commit).unwrap();
        let (height, hash) = (commit.block.header.height, commit.block.header.hash());
        let head = store.head().unwrap().unwrap();
        assert_eq!((head.height, head.header_hash, &head.header), (height, hash, &commit.block.header));
        assert_eq!(store.header(height), Ok(Some(commit.block.header.clone())));
        assert_eq!(store.height_of(&hash), Ok(Some(height)));
        assert_eq!(store.proof(height), Ok(Some(commit.proof.clone())));
        assert_eq!(store.block(height), Ok(Some(commit.block)));
    }
    assert_eq!(store.block(Height(5)), Ok(None));
    assert_eq!(check_whole(store), 4);
    store.sync().unwrap();
}

fn a_block_out_of_order_is_refused(store: &dyn Store) {
    store.initialize(&genesis(0)).unwrap();
    let first = next_block(store, 2);
    store.append(&first).unwrap();
    let second = next_block(store, 2);
    store.append(&second).unwrap();
    for wrong in [&first, &second] {
        let (expected, found) = (Height(3), wrong.block.header.height);
        assert_eq!(store.append(wrong), Err(StoreError::OutOfOrder { expected, found }));
    }
    assert_eq!(check_whole(store), 2);
}

fn the_state_is_that_after_the_last_block(store: &dyn Store) {
    let genesis = genesis(0);
    store.initialize(&genesis).unwrap();
    let mut model: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut play = |changes: &[Change]| {
        for change in changes {
            match &change.value {
                Some(value) => model.insert(change.key_hash, value.clone()),
                None => model.remove(&change.key_hash),
            };
        }
    };
    play(&genesis.state());
    for round in 0..20 {
        let made = (0..30).map(|n| set_balance(&account(round * 10 + n), "EUR", u128::from(round + n), n >= 20));
        let removed = (0..round).map(|n| remove_balance(&account(n * 3), "EUR"));
        let made: Vec<Change> = changes(made.chain(removed));
        play(&made);
        store.append(&block_on(&store.head().unwrap().unwrap(), Vec::new(), made)).unwrap();
    }
    let mut found = BTreeMap::new();
    let mut keys = Vec::new();
    store
        .each_state(&mut |key, value| {
            keys.push(*key);
            found.insert(*key, value.to_vec());
        })
        .unwrap();
    assert!(keys.is_sorted() && keys.len() == model.len());
    assert_eq!(found, model);
    for (key, value) in &model {
        assert_eq!(store.state(key), Ok(Some(value.clone())));
        let bucket = Bucket::of(key);
        let expected: Leaves = model
            .iter()
            .filter(|(key, _)| Bucket::of(key) == bucket)
            .map(|(key, value)| (*key, value.clone()))
            .collect();
        assert_eq!(store.bucket(bucket), Ok(expected));
    }
    // The last bucket has no end.
    let last = Bucket::of(&Digest::from_bytes([255; 32]));
    assert_eq!(store.bucket(last).unwrap().len(), model.keys().filter(|key| Bucket::of(key) == last).count());
}

fn only_executed_positions_are_indexed(store: &dyn Store) {
    store.initialize(&genesis(0)).unwrap();
    let commit = next_block(store, 10);
    let repeated = commit.block.bodies[0].clone();
    store.append(&commit).unwrap();
    for (place, position) in commit.block.positions.iter().enumerate() {
        let expected = (place % 5 != 4).then_some((Height(1), place as u32));
        assert_eq!(store.transaction(&position.id), Ok(expected), "position {place}");
    }
    // The same id once more, skipped as a duplicate (the fifth position): the first place stays.
    let head = store.head().unwrap().unwrap();
    let mut bodies: Vec<_> = (0..4).map(|salt| body(head.header.chain_id, 2, salt)).collect();
    bodies.push(repeated.clone());
    store.append(&block_on(&head, bodies, Vec::new())).unwrap();
    assert_eq!(store.transaction(&repeated.id()), Ok(Some((Height(1), 0))));
}

fn certificates_are_added_and_missing_ones_listed(store: &dyn Store) {
    store.initialize(&genesis(0)).unwrap();
    grow(store, 6, 1);
    assert_eq!(store.uncertified(Height(0), 100), Ok((1..=6).map(Height).collect()));
    store.certify(Height(2), &certificate(2)).unwrap();
    store.certify(Height(5), &certificate(5)).unwrap();
    assert_eq!(store.certificate(Height(2)), Ok(Some(certificate(2))));
    assert_eq!(store.certificate(Height(3)), Ok(None));
    assert_eq!(store.uncertified(Height(0), 100), Ok([1, 3, 4, 6].map(Height).to_vec()));
    assert_eq!(store.uncertified(Height(3), 2), Ok([3, 4].map(Height).to_vec()));
    assert_eq!(store.uncertified(Height(7), 2), Ok(Vec::new()));
    let missing = store.certify(Height(7), &certificate(7));
    assert!(matches!(missing, Err(StoreError::Corrupt { .. })), "{missing:?}");
    assert_eq!(store.certificate(Height(7)), Ok(None));
    // A block that came with a certificate has one.
    let mut synced = next_block(store, 1);
    synced.proof = Proof::Certificate(certificate(77));
    store.append(&synced).unwrap();
    assert_eq!(store.certificate(Height(7)), Ok(Some(certificate(77))));
    assert_eq!(store.proof(Height(7)), Ok(Some(synced.proof)));
    assert_eq!(store.uncertified(Height(0), 100), Ok([1, 3, 4, 6].map(Height).to_vec()));
    store.sync().unwrap();
}

fn balances_are_listed_in_the_order_of_the_codes(store: &dyn Store) {
    store.initialize(&genesis(0)).unwrap();
    let (one, two) = (account(1), account(2));
    let append = |made: Vec<Change>| {
        store.append(&block_on(&store.head().unwrap().unwrap(), Vec::new(), changes(made))).unwrap();
    };
    append(vec![
        set_balance(&one, "USDX", 7, true),
        set_balance(&one, "A", 1, true),
        set_balance(&one, "EUR", 3, true),
        set_balance(&two, "B", 9, true),
    ]);
    let held = |list: &[(&str, u128)]| list.iter().map(|(text, amount)| (code(text), *amount)).collect::<Vec<_>>();
    assert_eq!(store.balances(&one, 10), Ok(held(&[("A", 1), ("EUR", 3), ("USD", 1001), ("USDX", 7)])));
    assert_eq!(store.balances(&one, 2), Ok(held(&[("A", 1), ("EUR", 3)])));
    append(vec![remove_balance(&one, "EUR"), set_balance(&one, "USD", 5, false)]);
    assert_eq!(store.balances(&one, 10), Ok(held(&[("A", 1), ("USD", 5), ("USDX", 7)])));
    assert_eq!(store.balances(&two, 10), Ok(held(&[("B", 9), ("USD", 1002)])));
    append(vec![set_balance(&one, "EUR", 4, true)]);
    assert_eq!(store.balances(&one, 10), Ok(held(&[("A", 1), ("EUR", 4), ("USD", 5), ("USDX", 7)])));
    // Made and emptied by one block: it was never there.
    let mut passing = remove_balance(&two, "C");
    passing.created = true;
    append(vec![passing]);
    assert_eq!(store.balances(&two, 10), Ok(held(&[("B", 9), ("USD", 1002)])));
    assert_eq!(store.balances(&account(99), 10), Ok(Vec::new()));
}

fn readers_never_see_half_a_block(store: &dyn Store) {
    store.initialize(&genesis(0)).unwrap();
    const BLOCKS: u64 = 150;
    std::thread::scope(|scope| {
        scope.spawn(|| grow(store, BLOCKS, 4));
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let head = store.head().unwrap().unwrap();
                    let block = store.block(head.height).unwrap().expect("the head's block is there");
                    assert_eq!(block.header, head.header);
                    assert_eq!(store.height_of(&head.header_hash), Ok(Some(head.height)));
                    for (place, position) in block.positions.iter().enumerate() {
                        let expected = position.outcome.is_executed().then_some((head.height, place as u32));
                        assert_eq!(store.transaction(&position.id), Ok(expected));
                    }
                    if head.height == Height(BLOCKS) {
                        break;
                    }
                }
            });
        }
    });
    assert_eq!(check_whole(store), BLOCKS);
}

fn ballot(epoch: u64, sequence: u64, digest: u8) -> Ballot {
    Ballot { epoch: Epoch(epoch), view: View(2), sequence: Sequence(sequence), digest: sha256(&[digest]) }
}

/// Two PREPAREs of one key for one place.
fn two_prepares(key: u64, epoch: u64, sequence: u64) -> Evidence {
    let prepare = |digest| Signed::sign(Prepare(ballot(epoch, sequence, digest)), &sha256(b"chain"), &secret(key));
    Evidence::Prepare(prepare(1), prepare(2))
}

fn two_commits(key: u64, epoch: u64, sequence: u64) -> Evidence {
    let commit = |digest| Signed::sign(Commit(ballot(epoch, sequence, digest)), &sha256(b"chain"), &secret(key));
    Evidence::Commit(commit(1), commit(2))
}

fn of_one_key_kind_and_epoch_the_first_piece_of_evidence_stays(store: &dyn Store) {
    store.initialize(&genesis(0)).unwrap();
    assert_eq!(store.evidence(usize::MAX), Ok(EvidenceList::default()));
    let pieces = [two_prepares(1, 0, 7), two_prepares(2, 0, 7), two_commits(1, 0, 7), two_prepares(1, 1, 7)];
    for piece in &pieces {
        assert_eq!(store.put_evidence(piece), Ok(true));
    }
    for piece in &pieces {
        assert_eq!(store.put_evidence(piece), Ok(false));
    }
    for sequence in 8..20 {
        assert_eq!(store.put_evidence(&two_prepares(1, 0, sequence)), Ok(false), "it is bounded");
    }
    let list = store.evidence(usize::MAX).unwrap();
    assert_eq!((list.pieces.len(), list.left_out), (pieces.len(), 0));
    for piece in &pieces {
        assert!(list.pieces.contains(piece), "{piece:?}");
    }
    let order = |piece: &Evidence| (piece.place().epoch, piece.accused(), piece.kind());
    assert!(list.pieces.is_sorted_by_key(order));
    grow(store, 1, 1);
    assert_eq!(store.evidence(usize::MAX), Ok(list));
}

fn evidence_beyond_the_bound_of_an_answer_is_counted(store: &dyn Store) {
    store.initialize(&genesis(0)).unwrap();
    for key in 1..=5 {
        store.put_evidence(&two_prepares(key, 0, 7)).unwrap();
    }
    let one = encode(&two_prepares(1, 0, 7)).len();
    for (bytes, expected) in [(0, 0), (one - 1, 0), (one, 1), (5 * one - 1, 4), (5 * one, 5)] {
        let list = store.evidence(bytes).unwrap();
        assert_eq!((list.pieces.len(), list.left_out), (expected, 5 - expected), "{bytes} bytes");
    }
}

#[test]
fn a_planned_fault_strikes_when_it_should() {
    let plan = Plan::new();
    let store = FaultyStore::new(MemoryStore::new(), plan.clone());
    store.initialize(&genesis(0)).unwrap();
    let commit = next_block(&store, 3);
    plan.strike_after(1, Fault::Full);
    store.append(&commit).unwrap();
    let full = store.append(&next_block(&store, 1));
    assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
    assert_eq!(store.head().unwrap().unwrap().height, Height(1), "reads go on, and nothing was written");
    plan.strike_after(0, Fault::Write);
    assert!(matches!(store.certify(Height(1), &certificate(1)), Err(StoreError::Io(_))));
    plan.strike_after(2, Fault::Read);
    assert!(store.head().is_ok() && store.block(Height(1)).is_ok() && store.head().is_err());
    assert!(store.state(&sha256(&encode(&1u8))).is_err() && store.sync().is_ok());
    assert!(matches!(store.evidence(1), Err(StoreError::Io(_))));
    plan.strike_after(0, Fault::Full);
    assert!(matches!(store.put_evidence(&two_prepares(1, 0, 7)), Err(StoreError::Full(_))));
    plan.heal();
    assert_eq!(store.evidence(usize::MAX), Ok(EvidenceList::default()));
    assert_eq!(check_whole(&store), 1);
}
