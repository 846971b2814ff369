//! Executing batches: judging order, exactly once, determinism, conservation.

use crate::common::*;
use proptest::prelude::*;
use quorate_crypto::encode::decode;
use quorate_crypto::hash::Digest;
use quorate_crypto::sparse::{Bucket, Leaves};
use quorate_protocol::api::code::Code;
use quorate_protocol::document::{
    AssetState, Batch, Body, Operation, Outcome, Position, Role, Roles, Scale, SkipReason, StateKey,
};
use quorate_protocol::executed::ExecutedIds;
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::ledger::Ledger;
use quorate_protocol::store::{BlockCommit, MemoryStore, StateReader, Store, StoreError};
use std::collections::{BTreeMap, HashMap};

fn valid_until(sender: u8, salt: u64, valid_until: u64) -> Body {
    let mut transaction = transaction(sender, salt, vec![transfer(BOB, 1)]);
    transaction.valid_until = valid_until;
    unsigned(transaction)
}

fn outcomes(positions: &[Position]) -> Vec<Outcome> {
    positions.iter().map(|position| position.outcome).collect()
}

#[test]
fn the_window_is_judged_before_duplicates_and_membership() {
    let mut chain = Chain::new();
    let time = START + 1_000;
    let first = valid_until(ALICE, 1, time + WINDOW);
    let block = chain.block(
        time,
        &[
            valid_until(ALICE, 2, time),
            valid_until(ALICE, 3, time + 1),
            first.clone(),
            valid_until(ALICE, 4, time + WINDOW + 1),
            valid_until(STRANGER, 5, time),
            valid_until(STRANGER, 6, time + 1),
            valid_until(ALICE, 7, u64::MAX),
            first.clone(),
        ],
    );
    let skipped = Outcome::Skipped;
    assert_eq!(
        outcomes(&block.positions),
        vec![
            skipped(SkipReason::OutsideWindow),
            Outcome::Applied,
            Outcome::Applied,
            skipped(SkipReason::OutsideWindow),
            skipped(SkipReason::OutsideWindow),
            skipped(SkipReason::NotAMember),
            skipped(SkipReason::OutsideWindow),
            skipped(SkipReason::Duplicate),
        ]
    );
    // At its valid_until the duplicate is outside the window, and nobody needs to remember it.
    let late = chain.block(time + WINDOW, std::slice::from_ref(&first));
    assert_eq!(late.positions[0].outcome, skipped(SkipReason::OutsideWindow));
    assert_eq!(chain.store.transaction(&first.id()).unwrap(), Some((Height(1), 2)));
}

#[test]
fn an_id_is_executed_once_failed_or_applied_and_skipping_uses_nothing_up() {
    let mut chain = Chain::new();
    let failing = unsigned(transaction(ALICE, 1, vec![transfer(BOB, 100_001)]));
    let stranger = unsigned(transaction(STRANGER, 2, vec![transfer(BOB, 1)]));
    let first = chain.block(START + 1, &[failing.clone(), stranger.clone()]);
    assert_eq!(first.positions[0].outcome, Outcome::Failed(Code::InsufficientBalance));
    assert_eq!(chain.store.transaction(&stranger.id()).unwrap(), None, "skipped is not indexed");

    // Alice could pay now, and the stranger is a member: the failed one stays failed, the skipped one is executed.
    let registered = Operation::MemberRegister { key: key(STRANGER), roles: Roles::NONE };
    let mint = Operation::AssetMint { code: code("USD"), to: key(ALICE), amount: 5_000 };
    let pay = Operation::AssetMint { code: code("USD"), to: key(STRANGER), amount: 1 };
    assert_eq!(chain.outcome(ADMIN, vec![registered, mint, pay]), Outcome::Applied);
    chain.reopen();
    let again = chain.block(START + 2, &[failing.clone(), stranger.clone()]);
    assert_eq!(outcomes(&again.positions), vec![Outcome::Skipped(SkipReason::Duplicate), Outcome::Applied]);
    assert_eq!(chain.store.transaction(&failing.id()).unwrap(), Some((Height(1), 0)));
}

#[test]
fn block_time_never_goes_back_and_a_null_block_takes_its_parents() {
    let mut chain = Chain::new();
    assert_eq!(chain.block(START + 500, &[]).header.time, START + 500);
    assert_eq!(chain.block(START + 100, &[]).header.time, START + 500);
    let null = chain.null_block();
    assert_eq!((null.header.time, null.header.batch_digest), (START + 500, Batch::null_digest()));
    assert!(null.is_null() && null.batch.ids.is_empty());
    let empty = chain.block(START + 500, &[]);
    assert!(!empty.is_null());
    assert_ne!(empty.header.batch_digest, null.header.batch_digest, "an empty batch is not null");
    assert_eq!(empty.header.parent, null.header.hash());
}

#[test]
fn blocks_as_sent_are_consistent_and_changed_ones_are_not() {
    let mut chain = Chain::new();
    let body = unsigned(transaction(ALICE, 1, vec![transfer(BOB, 1)]));
    let other = unsigned(transaction(ALICE, 2, vec![transfer(BOB, 1)]));
    let block = chain.block(START + 1, std::slice::from_ref(&body));
    let sent = block.to_certified(proof(&block.header)).unwrap();
    assert!(sent.is_consistent());
    let null = chain.null_block();
    assert!(null.to_certified(proof(&null.header)).unwrap().is_consistent());
    let mut changed = sent.clone();
    changed.batch.time += 1;
    assert!(!changed.is_consistent());
    let mut changed = sent.clone();
    changed.bodies = bounded(vec![other]);
    assert!(!changed.is_consistent());
    let mut changed = sent.clone();
    changed.bodies = bounded(vec![]);
    assert!(!changed.is_consistent());
    let mut changed = sent;
    changed.header.batch_digest = Batch::null_digest();
    assert!(!changed.is_consistent());
}

#[test]
fn executed_ids_of_the_window_come_back_from_the_blocks() {
    let mut chain = Chain::new();
    for step in 0..20u64 {
        let time = START + step * WINDOW / 8;
        chain.block(time + 1, &[valid_until(ALICE, step, time + WINDOW), valid_until(BOB, 100 + step, time + 2)]);
        chain.reopen();
    }
    let kept = chain.ledger.executed();
    for step in 0..20u64 {
        let until = START + step * WINDOW / 8 + WINDOW;
        let id = valid_until(ALICE, step, until).id();
        let expected = until > chain.ledger.head().time;
        // A run leaves as a whole, so that an id may stay for less than a second longer.
        if expected || until + 1_000 <= chain.ledger.head().time {
            assert_eq!(kept.contains(&id, until), expected, "step {step}");
        }
    }
}

#[test]
fn bodies_that_are_not_the_batchs_break_the_ledger_and_nothing_follows() {
    let mut chain = Chain::new();
    let batch = Batch { time: START + 1, ids: bounded(vec![TransactionId(Digest::ZERO)]) };
    assert!(chain.ledger.execute(&chain.store, &batch, &[], false).is_err());
    assert!(chain.ledger.execute(&chain.store, &Batch::default(), &[], true).is_err(), "a broken ledger goes on");
}

/// A disk that fails at every read of a bucket.
struct Unreadable;

impl StateReader for Unreadable {
    fn state(&self, _: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Err(StoreError::Io("no".into()))
    }
    fn bucket(&self, _: Bucket) -> Result<Leaves, StoreError> {
        Err(StoreError::Io("no".into()))
    }
    fn each_state(&self, _: &mut dyn FnMut(&Digest, &[u8])) -> Result<(), StoreError> {
        Err(StoreError::Io("no".into()))
    }
    fn transaction(&self, _: &TransactionId) -> Result<Option<(Height, u32)>, StoreError> {
        Err(StoreError::Io("no".into()))
    }
}

#[test]
fn a_read_error_is_returned_and_the_ledger_refuses_to_go_on() {
    let mut chain = Chain::new();
    let body = unsigned(transaction(ALICE, 1, vec![transfer(BOB, 1)]));
    let batch = Batch { time: START + 1, ids: bounded(vec![body.id()]) };
    let error = chain.ledger.execute(&Unreadable, &batch, std::slice::from_ref(&body), false).unwrap_err();
    assert_eq!(error, StoreError::Io("no".into()));
    assert!(chain.ledger.execute(&chain.store, &batch, &[body], false).is_err());
}

#[test]
fn stores_that_are_empty_or_of_another_chain_are_not_opened() {
    let genesis = genesis();
    let store = MemoryStore::new();
    assert_eq!(Ledger::open(&genesis, &store).unwrap_err(), StoreError::NotInitialized);
    store.initialize(&genesis).unwrap();
    store.initialize(&genesis).unwrap();
    let mut other = genesis.clone();
    other.time += 1;
    assert!(matches!(Ledger::open(&other, &store), Err(StoreError::WrongChain { .. })));
    assert!(matches!(store.initialize(&other), Err(StoreError::WrongChain { .. })));
}

#[test]
fn a_state_that_is_not_the_heads_is_not_opened() {
    let mut chain = Chain::new();
    let body = unsigned(transaction(ALICE, 1, vec![transfer(BOB, 1)]));
    let batch = Batch { time: START + 1, ids: bounded(vec![body.id()]) };
    let executed = chain.ledger.execute(&chain.store, &batch, &[body], false).unwrap();
    let mut changes = executed.changes.clone();
    changes.pop();
    for (changes, whole) in [(executed.changes, true), (changes, false)] {
        let store = chain.store.clone();
        let block = executed.block.clone();
        let proof = proof(&block.header);
        store.append(&BlockCommit { block, proof, changes }).unwrap();
        let opened = Ledger::open(&chain.genesis, &store);
        assert!(whole && opened.is_ok() || matches!(opened, Err(StoreError::Corrupt { what: "state", .. })));
    }
}

// --- Random histories -------------------------------------------------------------------------------------------------

/// Names that random operations draw from: members, and two that may become some.
const NAMES: [u8; 6] = [ADMIN, ALICE, BOB, CAROL, STRANGER, 10];

fn name() -> impl Strategy<Value = u8> {
    proptest::sample::select(&NAMES[..])
}

fn asset() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&["USD", "EUR", "GOLD"][..])
}

fn amount() -> impl Strategy<Value = u128> {
    // Often what a member starts with, so that balances become zero.
    prop_oneof![5 => 0..150_000u128, 3 => Just(100_000), 1 => Just(u128::MAX), 1 => Just(u128::MAX - 300_000)]
}

fn roles() -> impl Strategy<Value = Roles> {
    proptest::sample::subsequence(Role::ALL.to_vec(), 0..=4).prop_map(|roles| Roles::of(&roles))
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => asset().prop_map(|asset| Operation::AssetCreate { code: code(asset), scale: Scale::new(2).unwrap() }),
        3 => (asset(), name(), amount())
            .prop_map(|(asset, to, amount)| Operation::AssetMint { code: code(asset), to: key(to), amount }),
        2 => (asset(), amount()).prop_map(|(asset, amount)| Operation::AssetBurn { code: code(asset), amount }),
        9 => (asset(), name(), amount())
            .prop_map(|(asset, to, amount)| Operation::Transfer { to: key(to), code: code(asset), amount }),
        2 => (name(), roles()).prop_map(|(name, roles)| Operation::MemberRegister { key: key(name), roles }),
        1 => (name(), roles()).prop_map(|(name, roles)| Operation::MemberSetRoles { key: key(name), roles }),
        1 => (name(), any::<bool>()).prop_map(|(name, frozen)| Operation::MemberFreeze { key: key(name), frozen }),
    ]
}

/// Blocks as (milliseconds after the one before, transactions); few salts, so that some repeat.
type History = Vec<(u64, Vec<(u8, u64, u64, Vec<Operation>)>)>;

fn history() -> impl Strategy<Value = History> {
    let transaction = (name(), 0..4u64, 0..WINDOW + 5_000, prop::collection::vec(operation(), 0..4));
    let block = (0..20_000u64, prop::collection::vec(transaction, 0..12));
    prop::collection::vec(block, 1..12)
}

fn bodies(time: u64, transactions: &[(u8, u64, u64, Vec<Operation>)]) -> Vec<Body> {
    let body = |(sender, salt, ahead, operations): &(u8, u64, u64, Vec<Operation>)| {
        let mut transaction = transaction(*sender, *salt, operations.clone());
        transaction.valid_until = time + ahead;
        unsigned(transaction)
    };
    transactions.iter().map(body).collect()
}

/// The supply of each asset is the sum of its balances, and no balance is zero.
fn assert_supply_is_conserved(state: &BTreeMap<StateKey, Vec<u8>>) {
    let mut sums: BTreeMap<_, u128> = BTreeMap::new();
    for (key, value) in state {
        if let StateKey::Balance { code, .. } = key {
            let units: u128 = decode(value).unwrap();
            assert_ne!(units, 0);
            let sum = sums.entry(*code).or_default();
            *sum = sum.checked_add(units).expect("balances exceed 128 bits");
        }
    }
    for (key, value) in state {
        if let StateKey::Asset(code) = key {
            let asset: AssetState = decode(value).unwrap();
            assert_eq!(asset.supply, sums.remove(code).unwrap_or(0), "{code}");
        }
    }
    assert!(sums.is_empty(), "balances of no asset: {sums:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_conserve_supply_execute_once_and_are_the_same_everywhere(history in history(), reopen_at in 0..12usize) {
        let mut chain = Chain::new();
        let mut twin = Chain::new();
        // A third chain gets only what applied.
        let mut pure = Chain::new();
        let mut receipts: HashMap<TransactionId, (Height, u32)> = HashMap::new();
        let mut time = START;
        let mut earlier: Vec<Body> = Vec::new();
        for (number, (step, transactions)) in history.iter().enumerate() {
            time += step;
            let mut bodies = bodies(time, transactions);
            // Some of the last block again.
            bodies.extend(earlier.iter().step_by(3).cloned());
            let block = chain.block(time, &bodies);
            if number == reopen_at {
                twin.reopen();
            }
            prop_assert_eq!(&twin.block(time, &bodies), &block);
            prop_assert_eq!(&twin.state, &chain.state);

            let applied: Vec<Body> = bodies.iter().zip(&block.positions)
                .filter(|(_, position)| position.outcome == Outcome::Applied).map(|(body, _)| body.clone()).collect();
            let pure_block = pure.block(time, &applied);
            prop_assert!(pure_block.positions.iter().all(|position| position.outcome == Outcome::Applied));
            prop_assert_eq!(pure_block.header.state_root, block.header.state_root, "a failed or skipped one left a trace");

            for (index, position) in block.positions.iter().enumerate() {
                if position.outcome.is_executed() {
                    let place = (block.header.height, index as u32);
                    prop_assert_eq!(receipts.insert(position.id, place), None, "a second receipt of one id");
                }
            }
            assert_supply_is_conserved(&chain.state);
            earlier = bodies;
        }
        for (id, place) in &receipts {
            prop_assert_eq!(chain.store.transaction(id).unwrap(), Some(*place));
        }
        chain.reopen();
        prop_assert_eq!(chain.ledger.head(), twin.ledger.head());
    }

    #[test]
    fn executed_ids_remember_exactly_what_can_still_be_executed(
        inserted in prop::collection::vec((any::<u8>(), 0..10_000u64), 0..40),
        time in 0..12_000u64,
    ) {
        let mut executed = ExecutedIds::new();
        let id = |salt: u8| TransactionId(quorate_crypto::hash::sha256(&[salt]));
        for (salt, until) in &inserted {
            executed.insert(&id(*salt), *until);
        }
        executed.expire(time);
        for (salt, until) in &inserted {
            if *until > time {
                prop_assert!(executed.contains(&id(*salt), *until));
            } else if until / 1_000 < (time + 1) / 1_000 {
                prop_assert!(!executed.contains(&id(*salt), *until));
            }
        }
    }
}
