//! What each operation does, each code of the rules, and which code wins.

use crate::common::*;
use quorate_crypto::key::PublicKey;
use quorate_protocol::api::code::{Code, Stage};
use quorate_protocol::document::{Operation, Outcome, Role, Roles, Scale, SkipReason};
use quorate_protocol::store::Store;
use std::collections::BTreeSet;

fn scale(places: u8) -> Scale {
    Scale::new(places).unwrap()
}

fn mint(asset: &str, to: u8, amount: u128) -> Operation {
    Operation::AssetMint { code: code(asset), to: key(to), amount }
}

fn burn(asset: &str, amount: u128) -> Operation {
    Operation::AssetBurn { code: code(asset), amount }
}

fn create(asset: &str) -> Operation {
    Operation::AssetCreate { code: code(asset), scale: scale(2) }
}

fn register(name: u8, roles: &[Role]) -> Operation {
    Operation::MemberRegister { key: key(name), roles: Roles::of(roles) }
}

fn set_roles(name: u8, roles: &[Role]) -> Operation {
    Operation::MemberSetRoles { key: key(name), roles: Roles::of(roles) }
}

fn freeze(name: u8, frozen: bool) -> Operation {
    Operation::MemberFreeze { key: key(name), frozen }
}

fn small_order_key() -> PublicKey {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    PublicKey::from_bytes(bytes)
}

/// For each code of the rules a transaction that earns it, on a chain where CAROL is frozen. Where more than one code
/// would be true, the first in the table's order is expected: such rows are the tests of the precedence.
fn failures() -> Vec<(u8, Vec<Operation>, Code)> {
    vec![
        (ALICE, vec![], Code::NoOperations),
        (CAROL, vec![], Code::NoOperations),
        (CAROL, vec![transfer(BOB, 1)], Code::SenderFrozen),
        (CAROL, vec![transfer(STRANGER, 0)], Code::SenderFrozen),
        (ALICE, vec![create("EUR")], Code::NotPermitted),
        (ALICE, vec![create("USD")], Code::NotPermitted),
        (ALICE, vec![mint("USD", BOB, 0)], Code::NotPermitted),
        (ALICE, vec![burn("USD", 1)], Code::NotPermitted),
        (ALICE, vec![register(STRANGER, &[])], Code::NotPermitted),
        (ALICE, vec![set_roles(STRANGER, &[])], Code::NotPermitted),
        (ALICE, vec![freeze(ALICE, true)], Code::NotPermitted),
        (ALICE, vec![transfer(STRANGER, 0)], Code::AmountZero),
        (ADMIN, vec![mint("NONE", BOB, 0)], Code::AmountZero),
        (ADMIN, vec![burn("USD", 0)], Code::AmountZero),
        (ALICE, vec![Operation::Transfer { to: key(STRANGER), code: code("NONE"), amount: 1 }], Code::UnknownAsset),
        (ADMIN, vec![mint("NONE", STRANGER, 1)], Code::UnknownAsset),
        (ADMIN, vec![create("USD")], Code::AssetExists),
        (BOB, vec![mint("USD", STRANGER, 1)], Code::NotTheIssuer),
        (BOB, vec![burn("USD", u128::MAX)], Code::NotTheIssuer),
        (ALICE, vec![transfer(STRANGER, u128::MAX)], Code::ReceiverNotAMember),
        (ADMIN, vec![mint("USD", STRANGER, u128::MAX)], Code::ReceiverNotAMember),
        (ALICE, vec![transfer(BOB, 100_001)], Code::InsufficientBalance),
        (ALICE, vec![transfer(ALICE, 100_001)], Code::InsufficientBalance),
        (ADMIN, vec![burn("USD", 1)], Code::InsufficientBalance),
        (ADMIN, vec![mint("USD", ADMIN, u128::MAX)], Code::Overflow),
        (ADMIN, vec![Operation::MemberRegister { key: small_order_key(), roles: Roles::NONE }], Code::BadKey),
        (ADMIN, vec![register(ADMIN, &[])], Code::MemberExists),
        (ADMIN, vec![set_roles(STRANGER, &[])], Code::UnknownMember),
        (ADMIN, vec![freeze(STRANGER, true)], Code::UnknownMember),
        (ADMIN, vec![set_roles(ADMIN, &[])], Code::OwnMembership),
        (ADMIN, vec![freeze(ADMIN, true)], Code::OwnMembership),
    ]
}

#[test]
fn every_code_of_the_rules_is_earned_and_changes_nothing() {
    let mut chain = Chain::new();
    let preparation = vec![freeze(CAROL, true), set_roles(BOB, &[Role::Issuer])];
    assert_eq!(chain.outcome(ADMIN, preparation), Outcome::Applied);
    let state_root = chain.ledger.head().state_root;
    let mut earned = BTreeSet::new();
    for (sender, operations, expected) in failures() {
        let what = format!("{operations:?}");
        assert_eq!(chain.outcome(sender, operations), Outcome::Failed(expected), "{what}");
        assert_eq!(chain.ledger.head().state_root, state_root, "{what}");
        earned.insert(expected);
    }
    let all: BTreeSet<Code> = Code::ALL.iter().copied().filter(|code| code.stage() == Stage::Execution).collect();
    assert_eq!(earned, all, "a code of the rules has no test");
}

#[test]
fn the_first_operation_that_fails_gives_the_code() {
    let mut chain = Chain::new();
    let operations = vec![transfer(BOB, 1), transfer(STRANGER, 1), transfer(BOB, 0)];
    assert_eq!(chain.outcome(ALICE, operations), Outcome::Failed(Code::ReceiverNotAMember));
}

#[test]
fn all_operations_apply_or_none() {
    let mut chain = Chain::new();
    let before = chain.state.clone();
    let failing = vec![create("EUR"), mint("EUR", BOB, 5), burn("EUR", 1)];
    assert_eq!(chain.outcome(ADMIN, failing), Outcome::Failed(Code::InsufficientBalance));
    assert_eq!(chain.state, before);
    assert_eq!(chain.balance(BOB, "EUR"), 0);
    let applying = vec![create("EUR"), mint("EUR", ADMIN, 5), burn("EUR", 1)];
    assert_eq!(chain.outcome(ADMIN, applying), Outcome::Applied);
    assert_eq!(chain.balance(ADMIN, "EUR"), 4);
}

#[test]
fn operations_see_what_the_ones_before_them_did() {
    let mut chain = Chain::new();
    let spend_what_comes = vec![transfer(BOB, 100_000), transfer(BOB, 1)];
    assert_eq!(chain.outcome(ALICE, spend_what_comes), Outcome::Failed(Code::InsufficientBalance));
    assert_eq!(chain.outcome(ALICE, vec![transfer(BOB, 60_000), transfer(CAROL, 40_000)]), Outcome::Applied);
    assert_eq!((chain.balance(ALICE, "USD"), chain.balance(BOB, "USD")), (0, 160_000));
    assert!(chain.store.balances(&key(ALICE), 100).unwrap().is_empty(), "a balance of zero is absent");
    // Opening compares the root with that of what the store holds.
    chain.reopen();
}

#[test]
fn a_transfer_to_oneself_applies_and_changes_nothing() {
    let mut chain = Chain::new();
    let state_root = chain.ledger.head().state_root;
    assert_eq!(chain.outcome(ALICE, vec![transfer(ALICE, 100_000)]), Outcome::Applied);
    assert_eq!(chain.ledger.head().state_root, state_root);
}

#[test]
fn a_frozen_member_receives_and_does_not_send_until_it_is_unfrozen() {
    let mut chain = Chain::new();
    assert_eq!(chain.outcome(ADMIN, vec![freeze(BOB, true)]), Outcome::Applied);
    assert_eq!(chain.outcome(ALICE, vec![transfer(BOB, 1)]), Outcome::Applied);
    assert_eq!(chain.outcome(BOB, vec![transfer(ALICE, 1)]), Outcome::Failed(Code::SenderFrozen));
    assert_eq!(chain.outcome(ADMIN, vec![freeze(BOB, false)]), Outcome::Applied);
    assert_eq!(chain.outcome(BOB, vec![transfer(ALICE, 1)]), Outcome::Applied);
}

#[test]
fn a_registered_key_can_receive_and_send() {
    let mut chain = Chain::new();
    assert_eq!(
        chain.outcome(STRANGER, vec![transfer(ALICE, 1)]),
        Outcome::Skipped(SkipReason::NotAMember),
        "before it is registered"
    );
    let registered = vec![register(STRANGER, &[Role::Member])];
    assert_eq!(chain.outcome(ADMIN, registered), Outcome::Applied);
    assert_eq!(chain.outcome(ALICE, vec![transfer(STRANGER, 7)]), Outcome::Applied);
    assert_eq!(chain.outcome(STRANGER, vec![transfer(BOB, 7)]), Outcome::Applied);
}

#[test]
fn roles_taken_from_an_issuer_stop_its_minting() {
    let mut chain = Chain::new();
    assert_eq!(chain.outcome(CAROL, vec![create("EUR"), mint("EUR", CAROL, 10)]), Outcome::Applied);
    assert_eq!(chain.outcome(ADMIN, vec![set_roles(CAROL, &[Role::Member])]), Outcome::Applied);
    assert_eq!(chain.outcome(CAROL, vec![mint("EUR", CAROL, 1)]), Outcome::Failed(Code::NotPermitted));
}
