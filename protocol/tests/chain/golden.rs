//! The canonical bytes and hashes of every document, frozen in `tests/golden`.
//!
//! A difference means that nodes of two builds would disagree. `QUORATE_BLESS=1 cargo test` rewrites the files after a
//! change that is meant.

use crate::common::*;
use borsh::BorshSerialize;
use quorate_crypto::encode::encode;
use quorate_crypto::hash::Digest;
use quorate_crypto::signed::{Signed, signing_bytes};
use quorate_protocol::api::code::Code;
use quorate_protocol::api::envelope::{Envelope, to_pretty_json};
use quorate_protocol::document::{
    AssetState, Batch, MemberState, Operation, Outcome, Parameters, Position, Proof, Receipts, Role, Roles, Scale,
    SignedTransaction, SkipReason, StateKey, Transaction,
};
use quorate_protocol::id::{Epoch, Sequence, TransactionId, View};
use quorate_protocol::pbft::message::{Ballot, Commit};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("QUORATE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((ours, frozen)) = text.lines().zip(golden.lines()).find(|(ours, frozen)| ours != frozen) {
        panic!("{name} differs:\n frozen {frozen}\n    now {ours}");
    }
    assert_eq!(text, golden, "{name} is longer or shorter than what is frozen");
}

fn every_operation() -> Vec<Operation> {
    let (to, code, scale) = (key(BOB), code("USD"), Scale::new(18).unwrap());
    let roles = Roles::of(&[Role::Admin, Role::Auditor]);
    vec![
        Operation::AssetCreate { code, scale },
        Operation::AssetMint { code, to, amount: u128::MAX },
        Operation::AssetBurn { code: self::code("ABCDEFGHIJ12"), amount: 1 },
        Operation::Transfer { to, code, amount: 12_50 },
        Operation::MemberRegister { key: to, roles },
        Operation::MemberSetRoles { key: to, roles: Roles::NONE },
        Operation::MemberFreeze { key: to, frozen: true },
    ]
}

fn full_transaction() -> Transaction {
    Transaction { memo: "invoice 7, paid".try_into().unwrap(), ..transaction(ALICE, 42, every_operation()) }
}

/// One line per value: name, then hex of bytes or a hash.
struct Lines(String);

impl Lines {
    fn bytes<T: BorshSerialize>(&mut self, name: &str, value: &T) {
        writeln!(self.0, "{name} {}", hex::encode(encode(value))).unwrap();
    }

    fn hash(&mut self, name: &str, digest: Digest) {
        writeln!(self.0, "{name} {digest}").unwrap();
    }
}

#[test]
fn transactions_are_frozen() {
    let mut lines = Lines(String::new());
    for (number, operation) in every_operation().iter().enumerate() {
        lines.bytes(&format!("operation.{number}"), operation);
    }
    let transaction = full_transaction();
    let signed = SignedTransaction::sign(transaction.clone(), &secret(ALICE));
    lines.bytes("transaction", &transaction);
    lines.hash("transaction.id", transaction.id().0);
    writeln!(lines.0, "transaction.signing_bytes {}", hex::encode(signing_bytes(&transaction.chain_id, &transaction)))
        .unwrap();
    lines.bytes("signed_transaction", &signed);
    check("transaction.txt", &lines.0);
    check("transaction.json", &to_pretty_json(&transaction));
}

#[test]
fn blocks_are_frozen() {
    let mut lines = Lines(String::new());
    let mut chain = Chain::new();
    let body = Arc::new(SignedTransaction::sign(full_transaction(), &secret(ALICE)));
    let block = chain.block(START + 9, &[body, unsigned(transaction(STRANGER, 1, vec![transfer(BOB, 1)]))]);
    let certificate = certificate(&block.header);
    lines.bytes("batch", &block.batch);
    lines.hash("batch.digest", block.batch.digest());
    lines.hash("batch.empty_digest", Batch::default().digest());
    lines.hash("batch.null_digest", Batch::null_digest());
    lines.bytes("header", &block.header);
    lines.hash("header.hash", block.header.hash());
    lines.bytes("block", &block);
    lines.bytes("certificate", &certificate);
    lines.bytes("checkpoint", &block.header.checkpoint());
    lines.bytes("checkpoint.signed", &Signed::sign(block.header.checkpoint(), &block.header.chain_id, &secret(100)));
    lines.bytes("proof.certificate", &Proof::Certificate(certificate.clone()));
    let ballot = Ballot { epoch: Epoch(1), view: View(2), sequence: Sequence(3), digest: Batch::null_digest() };
    let commit = Signed::sign(Commit(ballot), &block.header.chain_id, &secret(100));
    lines.bytes("proof.commits", &Proof::Commits(bounded(vec![commit])));
    lines.bytes("certified_block", &block.to_certified(Proof::Certificate(certificate)).unwrap());
    let id = TransactionId(Digest::ZERO);
    for (name, outcome) in [
        ("applied", Outcome::Applied),
        ("failed", Outcome::Failed(Code::InsufficientBalance)),
        ("outside_window", Outcome::Skipped(SkipReason::OutsideWindow)),
        ("duplicate", Outcome::Skipped(SkipReason::Duplicate)),
        ("not_a_member", Outcome::Skipped(SkipReason::NotAMember)),
    ] {
        lines.bytes(&format!("position.{name}"), &Position { id, outcome });
    }
    check("block.txt", &lines.0);
}

#[test]
fn the_genesis_is_frozen() {
    let mut lines = Lines(String::new());
    let genesis = genesis();
    lines.bytes("parameters", &Parameters::default());
    lines.hash("parameters.hash", Parameters::default().hash());
    lines.bytes("validators", &genesis.validators);
    lines.hash("validators.hash", genesis.validators.hash());
    lines.bytes("genesis", &genesis);
    lines.hash("genesis.chain_id", genesis.chain_id());
    lines.bytes("genesis.header", &genesis.header());
    lines.hash("genesis.header.hash", genesis.header().hash());
    check("genesis.txt", &lines.0);
    check("genesis.json", &genesis.to_json());
}

#[test]
fn the_state_is_frozen() {
    let mut lines = Lines(String::new());
    for (name, key) in [
        ("member", StateKey::Member(key(ALICE))),
        ("asset", StateKey::Asset(code("USD"))),
        ("balance", StateKey::Balance { account: key(ALICE), code: code("USD") }),
    ] {
        lines.bytes(&format!("key.{name}"), &key);
        lines.hash(&format!("key.{name}.hash"), key.key_hash());
    }
    lines.bytes("value.member", &MemberState { roles: Roles::of(&Role::ALL), frozen: true });
    let scale = Scale::new(2).unwrap();
    lines.bytes("value.asset", &AssetState { scale, issuer: key(ADMIN), supply: 300_000 });
    lines.bytes("value.balance", &100_000u128);
    check("state.txt", &lines.0);
}

#[test]
fn error_codes_are_frozen() {
    let mut text = String::new();
    for code in Code::ALL {
        let retryable = if code.retryable() { "retryable" } else { "final" };
        writeln!(text, "{} {code} {} {retryable} {}", code.number(), code.http_status(), code.outcome()).unwrap();
    }
    check("codes.txt", &text);
}

#[test]
fn the_printed_receipt_is_frozen() {
    let mut chain = Chain::new();
    let bodies = [1, 2, 3].map(|salt| unsigned(transaction(ALICE, salt, vec![transfer(BOB, 1)])));
    let block = chain.block(START + 9, &bodies);
    let receipt = Receipts::new(&block, certificate(&block.header)).get(1).unwrap();
    check("receipt.json", &to_pretty_json(&Envelope::success(receipt)));
}
