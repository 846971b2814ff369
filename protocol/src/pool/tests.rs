//! One test per rule of the pool, and properties over random histories.

use super::claimants::claimants;
use super::state::{Entry, Place};
use super::*;
use crate::api::code::Code;
use crate::document::{Operation, Outcome, Position, SignedTransaction, SkipReason, Transaction};
use crate::executed::ExecutedIds;
use crate::id::{Epoch, NodeIndex, Sequence, TransactionId, View};
use crate::time::{Instant, Now, UnixMillis};
use proptest::prelude::*;
use quorate_crypto::{BoundedString, BoundedVec, Digest, SecretKey, Verified, Verifier};
use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

pub(super) const WINDOW: UnixMillis = 120_000;
pub(super) const SKEW: UnixMillis = 2_000;
pub(super) const START: UnixMillis = 1_000_000;
pub(super) const VIEW: (Epoch, View) = (Epoch(0), View(0));
const LIMITS: BatchLimits = BatchLimits { count_max: 100, bytes_max: 1 << 20 };

pub(super) fn config() -> PoolConfig {
    PoolConfig {
        count_max: 1_000,
        bytes_max: 1 << 20,
        sender_share: 16,
        claims_max: 4,
        transaction_bytes_max: 16 * 1024,
        batch_count_max: 100,
        batch_bytes_max: 1 << 20,
        validity_window: WINDOW,
        clock_skew_max: SKEW,
        forward_timeout: Duration::from_millis(500),
    }
}

pub(super) fn pool() -> Pool {
    Pool::new(config(), ExecutedIds::new())
}

pub(super) fn at(ms: u64) -> Now {
    Now { monotonic: Instant::from_micros(ms * 1_000), wall: START + ms }
}

thread_local! {
    static VERIFIER: RefCell<Verifier> = RefCell::new(Verifier::new([7; 32], 256));
}

pub(super) fn verified(sender: u8, salt: u64, valid_until: UnixMillis, memo: usize) -> Verified<SignedTransaction> {
    let key = SecretKey::from_seed([sender; 32]);
    let mut operations = BoundedVec::new();
    let operation = Operation::Transfer { to: key.public_key(), code: "USD".parse().unwrap(), amount: 1 };
    operations.push(operation).unwrap();
    let transaction = Transaction {
        chain_id: Digest::ZERO,
        sender: key.public_key(),
        valid_until,
        salt,
        operations,
        memo: BoundedString::try_from("m".repeat(memo)).unwrap(),
    };
    let signed = SignedTransaction::sign(transaction, &key);
    VERIFIER.with_borrow_mut(|verifier| Verified::check(signed, &Digest::ZERO, verifier).unwrap())
}

/// Valid for half a minute.
pub(super) fn transaction(sender: u8, salt: u64) -> Verified<SignedTransaction> {
    verified(sender, salt, START + 30_000, 0)
}

pub(super) fn admit(pool: &mut Pool, now: Now, transaction: &Verified<SignedTransaction>) -> Result<Admitted, Code> {
    pool.admit(now, START, transaction.clone(), Door::Gossip)
}

pub(super) fn settle(pool: &mut Pool, now: Now, sequence: u64, ids: &[TransactionId], outcome: Outcome) {
    let positions: Vec<_> = ids.iter().map(|id| Position { id: *id, outcome }).collect();
    pool.settle(now, Sequence(sequence), &positions, &vec![START + 30_000; ids.len()]);
}

fn batch(pool: &mut Pool, sequence: u64) -> Vec<TransactionId> {
    pool.next_batch(LIMITS, START + 1, Sequence(sequence)).map_or_else(Vec::new, |batch| batch.ids.into_inner())
}

#[test]
fn a_transaction_is_pending_once_whatever_the_door() {
    let mut pool = pool();
    let first = transaction(1, 1);
    assert_eq!(pool.admit(at(0), START, first.clone(), Door::Client), Ok(Admitted::New));
    assert_eq!(pool.admit(at(0), START, first.clone(), Door::Gossip), Ok(Admitted::Known));
    assert_eq!(pool.admit(at(0), START, first.clone(), Door::Claim(NodeIndex(1))), Ok(Admitted::Known));
    assert_eq!(pool.pending(), Load { count: 1, bytes: first.size() });
    assert_eq!(pool.get(&first.id()).unwrap().id(), first.id());
    assert_eq!(batch(&mut pool, 1), [first.id()]);
    assert_eq!(batch(&mut pool, 2), []);
}

#[test]
fn an_executed_transaction_is_not_admitted_again_until_it_has_expired() {
    let mut pool = pool();
    let (applied, failed) = (transaction(1, 1), transaction(1, 2));
    settle(&mut pool, at(0), 1, &[applied.id()], Outcome::Applied);
    settle(&mut pool, at(0), 2, &[failed.id()], Outcome::Failed(Code::InsufficientBalance));
    assert_eq!(admit(&mut pool, at(1), &applied), Ok(Admitted::Executed));
    assert_eq!(admit(&mut pool, at(1), &failed), Ok(Admitted::Executed));
    pool.expire(at(2), START + 31_000);
    assert_eq!(pool.admit(at(2), START + 31_000, applied, Door::Client), Err(Code::Expired));
}

#[test]
fn a_skipped_position_leaves_the_pool_and_uses_nothing_up() {
    let mut pool = pool();
    let skipped = transaction(1, 1);
    admit(&mut pool, at(0), &skipped).unwrap();
    settle(&mut pool, at(0), 1, &[skipped.id()], Outcome::Skipped(SkipReason::OutsideWindow));
    assert_eq!(pool.pending(), Load::default());
    assert_eq!(admit(&mut pool, at(0), &skipped), Ok(Admitted::New));
}

#[test]
fn a_sender_that_is_no_member_any_more_loses_everything() {
    let mut pool = pool();
    for salt in 0..5 {
        admit(&mut pool, at(0), &transaction(1, salt)).unwrap();
    }
    let other = transaction(2, 0);
    admit(&mut pool, at(0), &other).unwrap();
    settle(&mut pool, at(1), 1, &[transaction(1, 3).id()], Outcome::Skipped(SkipReason::NotAMember));
    assert_eq!(pool.pending().count, 1);
    assert!(pool.contains(&other.id()));
    pool.remove_sender(at(1), &other.transaction().sender);
    assert_eq!(pool.pending(), Load::default());
}

#[test]
fn validity_is_measured_from_the_later_of_head_and_clock_and_clients_get_less() {
    let late_head = START + 5_000;
    for (reference, head, now) in [(START + 100, START, at(100)), (late_head, late_head, at(100))] {
        let ask = |valid_until, door| pool().admit(now, head, verified(1, 1, valid_until, 0), door);
        assert_eq!(ask(reference, Door::Gossip), Err(Code::Expired));
        assert_eq!(ask(reference + 1, Door::Client), Ok(Admitted::New));
        assert_eq!(ask(reference + WINDOW - SKEW, Door::Client), Ok(Admitted::New));
        assert_eq!(ask(reference + WINDOW - SKEW + 1, Door::Client), Err(Code::ValidUntilTooFar));
        for (door, ahead) in [(Door::Gossip, WINDOW), (Door::Claim(NodeIndex(0)), WINDOW + 2 * SKEW)] {
            assert_eq!(ask(reference + ahead, door), Ok(Admitted::New));
            assert_eq!(ask(reference + ahead + 1, door), Err(Code::ValidUntilTooFar));
        }
    }
}

#[test]
fn one_sender_has_at_most_a_sixteenth_by_count_and_by_bytes() {
    let small = PoolConfig { count_max: 160, ..config() };
    let mut pool = Pool::new(small, ExecutedIds::new());
    for salt in 0..10 {
        assert_eq!(admit(&mut pool, at(0), &transaction(1, salt)), Ok(Admitted::New));
    }
    assert_eq!(admit(&mut pool, at(0), &transaction(1, 10)), Err(Code::SenderQuota));
    assert_eq!(admit(&mut pool, at(0), &transaction(2, 0)), Ok(Admitted::New));

    let size = transaction(1, 0).size();
    let narrow = PoolConfig { bytes_max: 16 * size * 3, ..config() };
    let mut pool = Pool::new(narrow, ExecutedIds::new());
    for salt in 0..3 {
        assert_eq!(admit(&mut pool, at(0), &transaction(1, salt)), Ok(Admitted::New));
    }
    assert_eq!(admit(&mut pool, at(0), &transaction(1, 3)), Err(Code::SenderQuota));
}

#[test]
fn a_full_pool_refuses_by_count_and_by_bytes() {
    let size = transaction(1, 0).size();
    for full in [
        PoolConfig { count_max: 8, sender_share: 1, ..config() },
        PoolConfig { bytes_max: 8 * size + 1, sender_share: 1, ..config() },
    ] {
        let mut pool = Pool::new(full, ExecutedIds::new());
        for sender in 0..4 {
            admit(&mut pool, at(0), &transaction(sender, 0)).unwrap();
            admit(&mut pool, at(0), &transaction(sender, 1)).unwrap();
        }
        assert_eq!(admit(&mut pool, at(0), &transaction(9, 0)), Err(Code::PoolFull));
        settle(&mut pool, at(0), 1, &[transaction(3, 0).id()], Outcome::Applied);
        assert_eq!(admit(&mut pool, at(0), &transaction(9, 0)), Ok(Admitted::New));
    }
}

#[test]
fn a_transaction_larger_than_the_chain_allows_never_enters() {
    let mut pool = Pool::new(PoolConfig { transaction_bytes_max: 300, ..config() }, ExecutedIds::new());
    assert_eq!(admit(&mut pool, at(0), &verified(1, 1, START + 100, 256)), Err(Code::TooLarge));
}

#[test]
fn batches_go_round_the_senders_and_keep_each_senders_order() {
    let mut pool = pool();
    let mut ids = Vec::new();
    for (sender, salt) in [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 1)] {
        let transaction = transaction(sender, salt);
        admit(&mut pool, at(0), &transaction).unwrap();
        ids.push(transaction.id());
    }
    assert_eq!(batch(&mut pool, 1), [ids[0], ids[3], ids[4], ids[1], ids[5], ids[2]]);
}

#[test]
fn a_batch_is_cut_by_count_and_ends_at_the_first_that_does_not_fit() {
    let mut pool = pool();
    let (small, large, other) =
        (verified(1, 0, START + 9, 0), verified(2, 0, START + 9, 200), verified(3, 0, START + 9, 0));
    for transaction in [&small, &large, &other] {
        admit(&mut pool, at(0), transaction).unwrap();
    }
    let two_small = BatchLimits { count_max: 9, bytes_max: 2 * small.size() };
    let cut = pool.next_batch(two_small, START + 1, Sequence(1)).unwrap();
    assert_eq!(*cut.ids, [small.id()]);
    let one = BatchLimits { count_max: 1, ..LIMITS };
    let cut = pool.next_batch(one, START + 1, Sequence(2)).unwrap();
    assert_eq!(*cut.ids, [large.id()]);
    assert_eq!(batch(&mut pool, 3), [other.id()]);
}

#[test]
fn only_what_is_valid_at_the_batch_time_is_proposed() {
    let mut pool = pool();
    let (early, far) = (verified(1, 0, START + 100, 0), verified(1, 1, START + WINDOW, 0));
    admit(&mut pool, at(0), &early).unwrap();
    admit(&mut pool, at(0), &far).unwrap();
    assert_eq!(pool.ready().count, 2);
    // A clock that fell back: the far one is not yet within the window.
    let cut = pool.next_batch(LIMITS, START - 1, Sequence(1)).unwrap();
    assert_eq!(*cut.ids, [early.id()]);
    pool.unmark(at(1), Sequence(1));
    let cut = pool.next_batch(LIMITS, START + 100, Sequence(1)).unwrap();
    assert_eq!(*cut.ids, [far.id()]);
    // What the batch time has passed is still pending, and comes back should the time fall back.
    assert_eq!((pool.pending().count, pool.ready().count), (2, 0));
    assert_eq!(*pool.next_batch(LIMITS, START + 99, Sequence(2)).unwrap().ids, [early.id()]);
}

#[test]
fn marked_ids_are_not_proposed_and_return_to_their_place() {
    let mut pool = pool();
    let transactions: Vec<_> = (0..3).map(|salt| transaction(1, salt)).collect();
    let unknown = transaction(2, 0);
    for transaction in &transactions {
        admit(&mut pool, at(0), transaction).unwrap();
    }
    pool.mark(Sequence(5), &[transactions[0].id(), unknown.id()]);
    admit(&mut pool, at(0), &unknown).unwrap();
    assert_eq!(pool.pending().count, 4);
    assert_eq!(batch(&mut pool, 6), [transactions[1].id(), transactions[2].id()]);
    pool.unmark(at(1), Sequence(6));
    pool.unmark(at(1), Sequence(5));
    let order: Vec<_> = batch(&mut pool, 7).into_iter().filter(|id| *id != unknown.id()).collect();
    assert_eq!(order, transactions.iter().map(|transaction| transaction.id()).collect::<Vec<_>>());
}

#[test]
fn a_mark_on_an_unknown_id_dies_with_its_proposal() {
    let mut pool = pool();
    let late = transaction(1, 0);
    pool.mark(Sequence(5), &[late.id()]);
    pool.unmark(at(0), Sequence(5));
    admit(&mut pool, at(0), &late).unwrap();
    assert_eq!(batch(&mut pool, 6), [late.id()]);
}

#[test]
fn an_id_in_two_proposals_belongs_to_the_lower_one() {
    let mut pool = pool();
    let twice = transaction(1, 0);
    admit(&mut pool, at(0), &twice).unwrap();
    pool.mark(Sequence(8), &[twice.id()]);
    pool.mark(Sequence(7), &[twice.id()]);
    pool.unmark(at(0), Sequence(8));
    assert_eq!(pool.ready().count, 0);
    pool.unmark(at(0), Sequence(7));
    assert_eq!(pool.ready().count, 1);
}

#[test]
fn a_block_that_executed_another_batch_frees_what_was_marked_there() {
    let mut pool = pool();
    let (mine, theirs) = (transaction(1, 0), transaction(2, 0));
    admit(&mut pool, at(0), &mine).unwrap();
    assert_eq!(batch(&mut pool, 1), [mine.id()]);
    settle(&mut pool, at(1), 1, &[theirs.id()], Outcome::Applied);
    assert_eq!(batch(&mut pool, 2), [mine.id()]);
}

#[test]
fn block_time_expires_and_the_local_clock_only_asks_for_a_block() {
    let mut pool = pool();
    let (first, second) = (verified(1, 0, START + 100, 0), verified(1, 1, START + 200, 0));
    admit(&mut pool, at(0), &first).unwrap();
    admit(&mut pool, at(0), &second).unwrap();
    assert_eq!(pool.overdue(START + 99, START), None);
    assert_eq!(pool.overdue(START + 150, START), Some(START + 100));
    assert_eq!(pool.overdue(START + 250, START), Some(START + 200));
    assert_eq!(pool.expire(at(250), START + 99), []);
    assert_eq!(pool.expire(at(250), START + 100), [first.id()]);
    assert_eq!(pool.expire(at(250), START + 200), [second.id()]);
    assert_eq!(pool.overdue(START + 250, START + 200), None);
    assert_eq!(pool.pending(), Load::default());
}

#[test]
fn what_comes_too_late_by_the_clock_leaves_only_its_time() {
    let mut pool = pool();
    let late = verified(1, 0, START + 100, 0);
    assert_eq!(pool.admit(at(100), START, late.clone(), Door::Client), Err(Code::Expired));
    assert_eq!(pool.overdue(START + 100, START), None, "a client's own word makes no blocks");
    assert_eq!(pool.admit(at(100), START, late, Door::Claim(NodeIndex(2))), Err(Code::Expired));
    assert_eq!(pool.pending(), Load::default());
    assert_eq!(pool.overdue(START + 100, START), Some(START + 100));
    assert_eq!(pool.overdue(START + 100, START + 100), None);
}

#[test]
fn the_oldest_of_each_sender_is_claimed_after_the_forward_timeout() {
    let mut pool = pool();
    let (old, newer, other) = (transaction(1, 0), transaction(1, 1), transaction(2, 0));
    admit(&mut pool, at(0), &old).unwrap();
    admit(&mut pool, at(10), &newer).unwrap();
    admit(&mut pool, at(20), &other).unwrap();
    // The link came up before there was anything to claim: that is no return.
    pool.primary_link_returned(at(0).monotonic, VIEW);
    let due =
        |pool: &mut Pool, ms, view| pool.claims_due(at(ms), view, 256).iter().map(|body| body.id()).collect::<Vec<_>>();
    assert_eq!(pool.next_claim_due(VIEW), Some(at(500).monotonic));
    assert_eq!(due(&mut pool, 499, VIEW), []);
    assert_eq!(due(&mut pool, 520, VIEW), [old.id(), other.id()]);
    assert_eq!(due(&mut pool, 900, VIEW), [], "once in a view");
    pool.primary_link_returned(at(905).monotonic, VIEW);
    assert_eq!(due(&mut pool, 910, VIEW), [old.id(), other.id()], "and once more when the link comes back");
    pool.primary_link_returned(at(915).monotonic, VIEW);
    assert_eq!(due(&mut pool, 920, VIEW), [], "however often the link breaks");
    assert_eq!(due(&mut pool, 930, (Epoch(0), View(1))), [old.id(), other.id()], "and to each new primary");
    assert_eq!(pool.claims().next().unwrap().sent, Some(at(930).monotonic));
    settle(&mut pool, at(1_000), 1, &[old.id()], Outcome::Applied);
    assert_eq!(due(&mut pool, 1_400, VIEW), [other.id()]);
    assert_eq!(due(&mut pool, 1_500, VIEW), [newer.id()], "the next one counts from when it became the oldest");
}

#[test]
fn a_claim_that_is_proposed_is_not_sent() {
    let mut pool = pool();
    admit(&mut pool, at(0), &transaction(1, 0)).unwrap();
    batch(&mut pool, 1);
    assert_eq!(pool.claims_due(at(900), VIEW, 256).len(), 0);
    pool.unmark(at(900), Sequence(1));
    assert_eq!(pool.claims_due(at(900), VIEW, 256).len(), 1);
}

#[test]
fn at_most_so_many_claims_are_sent_and_the_oldest_first() {
    let mut pool = pool();
    let transactions: Vec<_> = (0..6).map(|sender| transaction(sender, 0)).collect();
    for (ms, transaction) in transactions.iter().enumerate() {
        admit(&mut pool, at(ms as u64), transaction).unwrap();
    }
    let sent: Vec<_> = pool.claims_due(at(900), VIEW, 256).iter().map(|body| body.id()).collect();
    assert_eq!(sent, transactions[..4].iter().map(|transaction| transaction.id()).collect::<Vec<_>>());
    assert_eq!(pool.claims_due(at(900), VIEW, 256).len(), 0, "the primary has no places for more");
    settle(&mut pool, at(950), 1, &[transactions[2].id()], Outcome::Applied);
    let sent: Vec<_> = pool.claims_due(at(950), VIEW, 256).iter().map(|body| body.id()).collect();
    assert_eq!(sent, [transactions[4].id()]);
}

#[test]
fn a_claim_goes_to_the_head_of_its_senders_queue_behind_earlier_claims() {
    let mut pool = pool();
    let ids: Vec<_> = (0..5).map(|salt| transaction(1, salt)).collect();
    for transaction in &ids[..4] {
        admit(&mut pool, at(0), transaction).unwrap();
    }
    pool.admit(at(1), START, ids[3].clone(), Door::Claim(NodeIndex(1))).unwrap();
    pool.admit(at(1), START, ids[4].clone(), Door::Claim(NodeIndex(2))).unwrap();
    pool.admit(at(1), START, ids[3].clone(), Door::Claim(NodeIndex(3))).unwrap();
    let order: Vec<_> = [3, 4, 0, 1, 2].iter().map(|&index: &usize| ids[index].id()).collect();
    assert_eq!(batch(&mut pool, 1), order);
}

/// A pool whose common places one sender has filled.
fn full_pool() -> Pool {
    let mut pool = Pool::new(PoolConfig { count_max: 2, sender_share: 1, ..config() }, ExecutedIds::new());
    admit(&mut pool, at(0), &transaction(200, 0)).unwrap();
    admit(&mut pool, at(0), &transaction(200, 1)).unwrap();
    pool
}

#[test]
fn each_validator_has_places_for_claims_in_a_full_pool() {
    let mut pool = full_pool();
    let claim =
        |pool: &mut Pool, sender, from| pool.admit(at(0), START, transaction(sender, 0), Door::Claim(NodeIndex(from)));
    assert_eq!(admit(&mut pool, at(0), &transaction(1, 0)), Err(Code::PoolFull));
    for sender in 1..=4 {
        assert_eq!(claim(&mut pool, sender, 1), Ok(Admitted::New));
    }
    assert_eq!(claim(&mut pool, 5, 2), Ok(Admitted::New), "another validator has its own");
    assert_eq!(pool.pending().count, 7);
    settle(&mut pool, at(0), 1, &[transaction(1, 0).id()], Outcome::Applied);
    assert_eq!(claim(&mut pool, 6, 1), Ok(Admitted::New), "a place is free when its claim has left");
    assert_eq!(pool.pending().count, 7);
    pool.mark(Sequence(2), &[transaction(4, 0).id()]);
    assert_eq!(claim(&mut pool, 7, 1), Ok(Admitted::New));
    assert!(pool.contains(&transaction(2, 0).id()), "what a proposal has gives its place first");
    assert_eq!(claim(&mut pool, 8, 1), Ok(Admitted::New));
    assert!(!pool.contains(&transaction(2, 0).id()), "and then the validator's oldest claim");
    assert_eq!(pool.pending().count, 8);
    pool.unmark(at(0), Sequence(2));
    assert_eq!(pool.pending().count, 7);
}

#[test]
fn one_validator_cannot_let_go_of_what_another_claims_too() {
    let mut pool = full_pool();
    let [first, second] = [0, 1].map(|salt| transaction(1, salt));
    for (claim, from) in [(&first, 1), (&first, 2), (&second, 1)] {
        pool.admit(at(0), START, claim.clone(), Door::Claim(NodeIndex(from))).unwrap();
    }
    assert!(pool.contains(&first.id()), "validator 2 claims it still");
    pool.admit(at(0), START, second.clone(), Door::Claim(NodeIndex(2))).unwrap();
    assert!(!pool.contains(&first.id()));
}

#[test]
fn one_validator_puts_one_transaction_of_a_sender_before_anothers_claim() {
    let mut pool = pool();
    let ids: Vec<_> = (0..6).map(|salt| transaction(1, salt)).collect();
    for transaction in &ids {
        admit(&mut pool, at(0), transaction).unwrap();
    }
    for (index, from) in [(1, 1), (2, 1), (3, 1), (5, 2), (4, 1)] {
        let claim: &Verified<SignedTransaction> = &ids[index];
        pool.admit(at(1), START, claim.clone(), Door::Claim(NodeIndex(from))).unwrap();
    }
    let order: Vec<_> = [5, 4, 0, 1, 2, 3].iter().map(|&index: &usize| ids[index].id()).collect();
    assert_eq!(batch(&mut pool, 1), order);
}

#[test]
fn a_validator_has_one_place_per_sender_and_its_newest_claim_counts() {
    let mut pool = full_pool();
    let claims: Vec<_> = (0..3).map(|salt| transaction(1, salt)).collect();
    let claim =
        |pool: &mut Pool, index: usize| pool.admit(at(0), START, claims[index].clone(), Door::Claim(NodeIndex(1)));
    assert_eq!(claim(&mut pool, 0), Ok(Admitted::New));
    assert_eq!(claim(&mut pool, 1), Ok(Admitted::New));
    assert!(!pool.contains(&claims[0].id()));
    // One that is in a proposal stays until the proposal is decided.
    pool.mark(Sequence(1), &[claims[1].id()]);
    assert_eq!(claim(&mut pool, 2), Ok(Admitted::New));
    assert!(pool.contains(&claims[1].id()));
    pool.unmark(at(0), Sequence(1));
    assert!(!pool.contains(&claims[1].id()));
    assert!(pool.contains(&claims[2].id()));
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Admit { sender: u8, salt: u64, door: u8 },
    Batch { count: usize },
    Unmark,
    Settle { applied: bool },
    Wait { ms: u64 },
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..6u8, 0..12u64, 0..4u8).prop_map(|(sender, salt, door)| Step::Admit { sender, salt, door }),
        2 => (1..8usize).prop_map(|count| Step::Batch { count }),
        1 => Just(Step::Unmark),
        2 => any::<bool>().prop_map(|applied| Step::Settle { applied }),
        1 => (1..40u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Expire),
    ];
    proptest::collection::vec(step, 1..120)
}

/// Every index says the same, and no bound is exceeded.
fn assert_consistent(pool: &Pool) {
    let entries: Vec<_> = pool.by_id.values().map(|&slot| (slot, &pool.entries[slot])).collect();
    let bytes = |wanted: &dyn Fn(&Entry) -> bool| {
        let chosen = entries.iter().filter(|(_, entry)| wanted(entry));
        chosen.fold(Load::default(), |mut load, (_, entry)| {
            load.add(entry.body.size());
            load
        })
    };
    assert_eq!(pool.total, bytes(&|_| true));
    assert_eq!(pool.common, bytes(&|entry| entry.place == Place::Common));
    assert_eq!(pool.ready, bytes(&|entry| entry.ready));
    assert!(pool.common.count <= pool.config.count_max && pool.common.bytes <= pool.config.bytes_max);
    assert_eq!(pool.arrivals.len(), entries.len());
    assert_eq!(pool.expiry.len(), entries.len());
    assert_eq!(pool.oldest.len(), pool.by_key.len());
    for (key, &sender) in &pool.by_key {
        let load = bytes(&|entry| entry.sender == sender && entry.place == Place::Common);
        assert_eq!((pool.senders[sender].key, pool.senders[sender].load), (*key, load));
        assert!(load.count <= pool.config.count_max / pool.config.sender_share);
        let oldest = entries.iter().filter(|(_, entry)| entry.sender == sender).map(|(_, entry)| entry.arrival).min();
        assert_eq!(Some(pool.senders[sender].oldest), oldest);
    }
    for (slot, entry) in &entries {
        let valid = entry.valid_until() > pool.order_time && entry.valid_until() <= pool.order_time + WINDOW;
        assert_eq!(entry.ready, valid && entry.mark.is_none());
        for validator in claimants(entry.claimants) {
            assert_eq!(pool.claimed[&(validator, entry.sender)], *slot);
        }
        assert!(entry.place == Place::Common || entry.claimants != 0 || entry.mark.is_some());
        assert!(entry.rank.is_claimed() || entry.claimants == 0);
        assert!(!entry.rank.is_claimed() || entry.claimants != 0 || entry.place == Place::Claim);
        assert!(pool.arrived_from(entry.arrival).next() == Some((entry.arrival, *slot)));
    }
    let bits: usize = entries.iter().map(|(_, entry)| entry.claimants.count_ones() as usize).sum();
    assert_eq!(bits, pool.claimed.len());
    for validator in 0..4 {
        let claims = pool.claimed.keys().filter(|(claimant, _)| claimant.0 == validator).count();
        assert!(claims <= pool.config.claims_max);
    }
    assert_eq!(pool.arrived_from(0).count(), entries.len());
}

fn prepared_transactions() -> Vec<Vec<Verified<SignedTransaction>>> {
    (0..6u8)
        .map(|sender| {
            (0..12).map(|salt| verified(sender, salt, START + 100 + 37 * salt, usize::from(sender) * 9)).collect()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bounds_and_indexes_hold_through_any_history(steps in steps()) {
        thread_local!(static PREPARED: Vec<Vec<Verified<SignedTransaction>>> = prepared_transactions());
        let tight = PoolConfig { count_max: 24, sender_share: 4, claims_max: 2, ..config() };
        let mut pool = Pool::new(tight, ExecutedIds::new());
        let (mut ms, mut sequence, mut open) = (0, 0, std::collections::VecDeque::new());
        for step in steps {
            match step {
                Step::Admit { sender, salt, door } => {
                    let transaction = PREPARED.with(|all| all[usize::from(sender)][salt as usize].clone());
                    let door = [Door::Client, Door::Gossip, Door::Claim(NodeIndex(0)), Door::Claim(NodeIndex(1))][usize::from(door)];
                    let _ = pool.admit(at(ms), START, transaction, door);
                }
                Step::Batch { count } => {
                    sequence += 1;
                    let limits = BatchLimits { count_max: count, bytes_max: 2_000 };
                    if let Some(batch) = pool.next_batch(limits, START + ms, Sequence(sequence)) {
                        prop_assert!(batch.ids.len() <= count);
                        let distinct: HashSet<_> = batch.ids.iter().collect();
                        prop_assert_eq!(distinct.len(), batch.ids.len());
                        open.push_back((sequence, batch));
                    }
                }
                Step::Unmark => {
                    if let Some((sequence, _)) = open.pop_back() {
                        pool.unmark(at(ms), Sequence(sequence));
                    }
                }
                Step::Settle { applied } => {
                    if let Some((sequence, batch)) = open.pop_front() {
                        let outcome = if applied { Outcome::Applied } else { Outcome::Skipped(SkipReason::Duplicate) };
                        settle(&mut pool, at(ms), sequence, &batch.ids, outcome);
                        prop_assert!(batch.ids.iter().all(|id| !pool.contains(id)));
                    }
                }
                Step::Wait { ms: more } => ms += more,
                Step::Expire => {
                    let block_time = START + ms;
                    pool.expire(at(ms), block_time);
                    prop_assert!(pool.by_id.values().all(|&slot| pool.entries[slot].valid_until() > block_time));
                }
            }
            assert_consistent(&pool);
        }
    }

    /// Between two transactions of one sender, everybody who waited all the time is served.
    #[test]
    fn nobody_is_more_than_one_round_behind(counts in proptest::collection::vec(0..10usize, 2..6), size in 1..7usize) {
        thread_local!(static PREPARED: Vec<Vec<Verified<SignedTransaction>>> = prepared_transactions());
        let mut pool = pool();
        for (sender, &count) in counts.iter().enumerate() {
            for salt in 0..count {
                let transaction = PREPARED.with(|all| all[sender][salt].clone());
                admit(&mut pool, at(0), &transaction).unwrap();
            }
        }
        let mut served = Vec::new();
        let limits = BatchLimits { count_max: size, bytes_max: 1 << 20 };
        for sequence in 1.. {
            let Some(batch) = pool.next_batch(limits, START + 1, Sequence(sequence)) else { break };
            served.extend(batch.ids.iter().map(|id| pool.get(id).unwrap().transaction().sender));
        }
        prop_assert_eq!(served.len(), counts.iter().sum::<usize>());
        for end in 0..=served.len() {
            let times = |sender: usize| {
                let key = PREPARED.with(|all| all[sender][0].transaction().sender);
                served[..end].iter().filter(|&&served| served == key).count()
            };
            for waiting in (0..counts.len()).filter(|&sender| times(sender) < counts[sender]) {
                for other in 0..counts.len() {
                    prop_assert!(times(other) <= times(waiting) + 1);
                }
            }
        }
    }
}
