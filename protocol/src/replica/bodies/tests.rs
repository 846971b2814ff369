use std::sync::Arc;

use quorate_crypto::key::SecretKey;

use super::*;
use crate::{
    document::{AssetCode, Operation, Parameters, SignedTransaction, Transaction},
    executed::ExecutedIds,
    limits::{BATCH_COUNT_LIMIT, TRANSACTION_BYTES_LIMIT},
    pool::PoolConfig,
};

fn pool() -> Pool {
    Pool::new(PoolConfig::new(&Parameters::default()), ExecutedIds::default())
}

/// A body of some 4 KiB at most; its signature plays no part here.
fn body(salt: u64, operations: usize) -> Body {
    let key = SecretKey::from_seed([9; 32]);
    let transfer = Operation::Transfer { to: key.public_key(), code: "USD".parse::<AssetCode>().unwrap(), amount: 1 };
    let transaction = Transaction {
        chain_id: Digest::ZERO,
        sender: key.public_key(),
        valid_until: 1,
        salt,
        operations: vec![transfer; operations].try_into().unwrap(),
        memo: Default::default(),
    };
    Arc::new(SignedTransaction::sign(transaction, &key))
}

fn batch(bodies: &[Body]) -> Batch {
    Batch { time: 0, ids: bodies.iter().map(|body| body.id()).collect::<Vec<_>>().try_into().unwrap() }
}

/// Ids that nobody knows.
fn unknown(first: u64, count: usize) -> Batch {
    let id = |number: u64| TransactionId(quorate_crypto::hash::digest("test", &number));
    let ids: Vec<TransactionId> = (first..first + count as u64).map(id).collect();
    Batch { time: first, ids: ids.try_into().unwrap() }
}

fn key(sequence: u64, batch: &Batch) -> Key {
    (Sequence(sequence), batch.digest())
}

fn want(bodies: &mut Bodies, sequence: u64, batch: &Batch, proposer: u8) -> Key {
    let key = key(sequence, batch);
    bodies.want(key, batch, NodeIndex(proposer), &pool(), Instant::ORIGIN);
    key
}

fn asked(bodies: &mut Bodies, micros: u64) -> Vec<(u64, u8, usize)> {
    let connected = (0..4).map(NodeIndex).collect();
    let questions = bodies.due(Instant::from_micros(micros), &connected);
    questions.into_iter().map(|question| (question.key.0.0, question.to.0, question.ids.len())).collect()
}

/// BM: a lying primary fills its window with ids that nobody knows. What is kept of them is bounded, and the lowest slot,
/// for which everything waits, is completed all the same.
#[test]
fn a_window_of_unknown_ids_is_bounded_and_the_lowest_slot_has_its_place() {
    let mut bodies = Bodies::default();
    let count = OPEN_IDS_MAX / 8;
    let (held, rest) = (body(1, 1), unknown(0, BATCH_COUNT_LIMIT));
    for sequence in (2..40).rev() {
        want(&mut bodies, sequence, &unknown(sequence * 100_000, BATCH_COUNT_LIMIT), 0);
        assert!(bodies.open_ids <= OPEN_IDS_MAX && bodies.index.len() == bodies.open_ids);
    }
    assert_eq!(bodies.open_ids, OPEN_IDS_MAX, "{count}");
    let slots: Vec<u64> = asked(&mut bodies, 20_000).into_iter().map(|(sequence, ..)| sequence).collect();
    assert_eq!(slots, (2..18).collect::<Vec<_>>(), "the lowest ones are asked for");
    let first = want(&mut bodies, 1, &batch(std::slice::from_ref(&held)), 0);
    assert!(bodies.supply(&held) && bodies.complete(&first).is_some());
    let zero = want(&mut bodies, 0, &rest, 0);
    assert!(bodies.wanted[&zero].is_open() && bodies.index.len() <= OPEN_IDS_MAX + 1);
    // As slots are executed, those that waited are opened.
    for sequence in 0..39 {
        bodies.release(Sequence(sequence));
        let lowest = bodies.wanted.values().next().unwrap();
        assert!(lowest.missing == 0 || lowest.is_open(), "{sequence}");
    }
    bodies.release(Sequence(39));
    assert!(bodies.index.is_empty() && bodies.keys.is_empty() && bodies.open_ids == 0);
}

/// The default parameters never reach the bound.
#[test]
fn a_default_window_of_full_batches_fits() {
    let parameters = Parameters::default();
    assert!(parameters.log_window as usize * parameters.batch_count_max as usize <= OPEN_IDS_MAX);
}

/// An entry of the index has the size that the bound is reckoned with.
#[test]
fn the_bound_is_reckoned_with_the_sizes_that_there_are() {
    assert_eq!(size_of::<(TransactionId, u64)>(), 40);
    assert_eq!((size_of::<TransactionId>(), size_of::<Option<Body>>()), (32, 8));
}

/// BM: members sign large bodies for a batch that never completes; it stops collecting them.
#[test]
fn an_oversized_batch_collects_no_more_than_a_batch_may_have() {
    let mut bodies = Bodies::default();
    let large: Vec<Body> = (0..600).map(|salt| body(salt, 64)).collect();
    let size = large[0].size();
    assert!(size * 600 > BATCH_BYTES_LIMIT && size <= TRANSACTION_BYTES_LIMIT);
    let key = want(&mut bodies, 1, &batch(&large), 0);
    for one in &large {
        assert!(!bodies.supply(one));
        assert!(bodies.wanted[&key].bytes <= BATCH_BYTES_LIMIT);
    }
    assert!(bodies.complete(&key).is_none() && bodies.index.is_empty() && bodies.open_ids == 0);
    assert!(bodies.wanted[&key].bodies.is_empty() && asked(&mut bodies, 1_000_000).is_empty());
}

#[test]
fn a_body_that_another_pinned_batch_holds_is_taken_from_there() {
    let mut bodies = Bodies::default();
    let (one, two, three) = (body(1, 1), body(2, 1), body(3, 1));
    let first = want(&mut bodies, 1, &batch(&[one.clone(), two.clone()]), 0);
    bodies.supply(&one);
    let second = want(&mut bodies, 2, &batch(std::slice::from_ref(&one)), 0);
    assert!(bodies.complete(&second).is_some() && bodies.complete(&first).is_none());
    let ids: BTreeSet<TransactionId> = [&one, &two, &three].iter().map(|body| body.id()).collect();
    assert_eq!(bodies.pinned(&ids).len(), 1);
    bodies.supply(&two);
    assert_eq!(bodies.pinned(&ids).len(), 2);
    bodies.release(Sequence(1));
    assert_eq!(bodies.pinned(&ids).len(), 1, "the second batch has it still");
    bodies.release(Sequence(2));
    assert!(bodies.pinned(&ids).is_empty());
}

/// An id twice in a batch is refused elsewhere; here it is no special case.
#[test]
fn an_id_at_two_places_is_filled_at_both() {
    let mut bodies = Bodies::default();
    let one = body(1, 1);
    let key = want(&mut bodies, 1, &batch(&[one.clone(), one.clone()]), 0);
    assert!(bodies.supply(&one) && !bodies.supply(&one));
    assert_eq!(bodies.complete(&key).unwrap().len(), 2);
}

/// A new view proposes the batch again: its primary is asked first, at once.
#[test]
fn a_reproposed_batch_is_asked_of_its_new_proposer() {
    let mut bodies = Bodies::default();
    let batch = unknown(0, 3);
    want(&mut bodies, 1, &batch, 0);
    assert_eq!(asked(&mut bodies, 20_000), [(1, 0, 3)]);
    want(&mut bodies, 1, &batch, 0);
    assert!(asked(&mut bodies, 60_000).is_empty(), "the same proposer has its time");
    want(&mut bodies, 1, &batch, 2);
    assert_eq!(asked(&mut bodies, 60_000), [(1, 2, 3)]);
}

#[test]
fn what_a_new_view_does_not_keep_is_dropped() {
    let mut bodies = Bodies::default();
    let (one, two) = (body(1, 1), body(2, 1));
    let kept = want(&mut bodies, 1, &batch(&[one.clone(), two.clone()]), 0);
    let dropped = want(&mut bodies, 1, &unknown(0, 5), 0);
    want(&mut bodies, 2, &batch(std::slice::from_ref(&one)), 0);
    bodies.supply(&one);
    bodies.retain(|key| *key == kept);
    assert!(!bodies.wanted.contains_key(&dropped) && bodies.wanted.len() == 1);
    assert_eq!((bodies.index.len(), bodies.open_ids, bodies.keys.len()), (2, 2, 1));
    assert!(bodies.supply(&two) && bodies.complete(&kept).is_some());
    assert_eq!(bodies.open_ids, 0);
}

/// A synced block brings its bodies for a batch that waits for room as well.
#[test]
fn bodies_of_a_whole_batch_complete_one_that_waits() {
    let mut bodies = Bodies::default();
    for sequence in 1..=OPEN_IDS_MAX.div_ceil(BATCH_COUNT_LIMIT) as u64 {
        want(&mut bodies, sequence, &unknown(sequence * 100_000, BATCH_COUNT_LIMIT), 0);
    }
    let all = [body(1, 1), body(2, 1)];
    let key = want(&mut bodies, 100, &batch(&all), 0);
    assert!(!bodies.wanted[&key].is_indexed && !bodies.supply(&all[0]));
    assert!(!bodies.supply_batch(&key, &all[..1]), "not these");
    assert!(bodies.supply_batch(&key, &all) && bodies.complete(&key).is_some());
    assert_eq!(bodies.pinned(&[all[0].id()].into()).len(), 1);
}
