//! Chains for the tests and the bench: blocks that look like those of the ledger, without its rules.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::encode::{BoundedVec, encode};
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::key::{PublicKey, SecretKey, Signature};
use quorate_crypto::signed::Signed;
use quorate_protocol::api::code::Code;
use quorate_protocol::document::genesis::{GenesisAsset, GenesisBalance, GenesisMember};
use quorate_protocol::document::{
    AssetCode, Batch, Block, Body, Certificate, Change, Genesis, Header, Operation, Outcome, Parameters, Position,
    Proof, Role, Roles, Scale, SignedTransaction, SkipReason, StateKey, Transaction, Validator, ValidatorSet,
};
use quorate_protocol::id::{Epoch, Height, NodeIndex, Sequence, View};
use quorate_protocol::pbft::message::{Ballot, Commit};
use quorate_protocol::store::{BlockCommit, Head, Store};

pub fn secret(number: u64) -> SecretKey {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(seed)
}

pub fn account(number: u64) -> PublicKey {
    secret(number).public_key()
}

pub fn code(text: &str) -> AssetCode {
    AssetCode::new(text).unwrap()
}

fn vec<T: std::fmt::Debug, const MAX: usize>(items: Vec<T>) -> BoundedVec<T, MAX> {
    BoundedVec::try_from(items).unwrap_or_else(|_| panic!("within the bound"))
}

/// A chain of one validator with a few members and balances. Another number is another chain.
pub fn genesis(number: u64) -> Genesis {
    let validator = Validator { consensus_key: account(1_000_000), network_key: account(1_000_001) };
    let member = |n| GenesisMember { key: account(n), roles: Roles::of(&Role::ALL) };
    let balance = |n| GenesisBalance { account: account(n), code: code("USD"), amount: 1_000 + u128::from(n) };
    Genesis {
        version: 1,
        time: 1_700_000_000_000 + number,
        parameters: Parameters::default(),
        validators: ValidatorSet::new(vec![validator]).unwrap(),
        members: vec((0..5).map(member).collect()),
        assets: vec(vec![GenesisAsset { code: code("USD"), scale: Scale::new(2).unwrap(), issuer: account(0) }]),
        balances: vec((0..5).map(balance).collect()),
    }
}

pub fn body(chain_id: Digest, sender: u64, salt: u64) -> Body {
    let operation = Operation::Transfer { to: account(sender + 1), code: code("USD"), amount: 1 };
    let transaction = Transaction {
        chain_id,
        sender: account(sender),
        valid_until: 1_800_000_000_000,
        salt,
        operations: vec(vec![operation]),
        memo: Default::default(),
    };
    // Nobody verifies in these tests, and real signatures are slow to make.
    Arc::new(SignedTransaction::new(transaction, Signature::from_bytes([salt as u8; 64])))
}

pub fn commits(height: Height) -> Proof {
    let ballot = Ballot { epoch: Epoch(0), view: View(3), sequence: Sequence(height.get()), digest: sha256(b"batch") };
    let commit = Signed::sign(Commit(ballot), &sha256(b"chain"), &secret(1_000_000));
    Proof::Commits(vec(vec![commit]))
}

pub fn certificate(number: u8) -> Certificate {
    Certificate { signatures: vec(vec![(NodeIndex(0), Signature::from_bytes([number; 64]))]) }
}

/// The outcome of a position: most apply, some fail, some are skipped.
pub fn outcome(place: usize) -> Outcome {
    match place % 5 {
        3 => Outcome::Failed(Code::AmountZero),
        4 => Outcome::Skipped(SkipReason::Duplicate),
        _ => Outcome::Applied,
    }
}

/// The block behind `head` with these bodies and changes.
pub fn block_on(head: &Head, bodies: Vec<Body>, changes: Vec<Change>) -> BlockCommit {
    let batch = Batch { time: head.header.time + 1, ids: vec(bodies.iter().map(|body| body.id()).collect()) };
    let positions: Vec<Position> =
        bodies.iter().enumerate().map(|(place, body)| Position { id: body.id(), outcome: outcome(place) }).collect();
    let height = head.height.next();
    let header = Header {
        height,
        parent: head.header_hash,
        batch_digest: batch.digest(),
        state_root: sha256(&height.get().to_le_bytes()),
        time: batch.time,
        ..head.header.clone()
    };
    BlockCommit { block: Block { header, batch, bodies, positions }, proof: commits(height), changes }
}

/// The next block of a store, with so many transactions, that sets as many balances.
pub fn next_block(store: &dyn Store, transactions: u64) -> BlockCommit {
    let head = store.head().unwrap().unwrap();
    let number = head.height.next().get();
    let chain_id = head.header.chain_id;
    let bodies = (0..transactions).map(|place| body(chain_id, 1, number * 100_000 + place)).collect();
    let change = |place: u64| set_balance(&account(place % 5), "USD", u128::from(number * 1_000 + place), false);
    block_on(&head, bodies, changes((0..transactions.min(5)).map(change)))
}

/// Appends so many blocks.
pub fn grow(store: &dyn Store, blocks: u64, transactions: u64) {
    for _ in 0..blocks {
        store.append(&next_block(store, transactions)).unwrap();
    }
}

pub fn set_balance(account: &PublicKey, asset: &str, amount: u128, created: bool) -> Change {
    let key = StateKey::Balance { account: *account, code: code(asset) };
    Change { key, key_hash: key.key_hash(), created, value: Some(encode(&amount)) }
}

pub fn remove_balance(account: &PublicKey, asset: &str) -> Change {
    let key = StateKey::Balance { account: *account, code: code(asset) };
    Change { key, key_hash: key.key_hash(), created: false, value: None }
}

/// Changes in the order of their hashes.
pub fn changes(changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
    let by_hash: BTreeMap<Digest, Change> = changes.into_iter().map(|change| (change.key_hash, change)).collect();
    by_hash.into_values().collect()
}

/// All that a store says about its blocks agrees with itself; every block so far is there. Returns the height of the head.
pub fn check_whole(store: &dyn Store) -> u64 {
    let Some(head) = store.head().unwrap() else { return 0 };
    let mut parent = Digest::ZERO;
    for height in (0..=head.height.get()).map(Height) {
        let block = store.block(height).unwrap().expect("a block up to the head");
        assert_eq!(store.header(height).unwrap().as_ref(), Some(&block.header));
        assert_eq!(block.header.parent, parent, "height {height}");
        parent = block.header.hash();
        assert_eq!(store.height_of(&parent).unwrap(), Some(height));
        assert_eq!(store.proof(height).unwrap().is_some(), height > Height::ZERO);
        for (place, position) in block.positions.iter().enumerate() {
            let expected = position.outcome.is_executed().then_some((height, place as u32));
            assert_eq!(store.transaction(&position.id).unwrap(), expected, "height {height}, position {place}");
        }
    }
    assert_eq!(parent, head.header_hash);
    head.height.get()
}
