//! The rules of fairness one by one, the attacks that they are for, and that a correct primary is never accused.

use super::tests::{START, VIEW, WINDOW, admit, at, config, transaction, verified};
use super::*;
use crate::document::{Body, Outcome, Position, SignedTransaction, SkipReason};
use crate::executed::ExecutedIds;
use crate::id::{Epoch, Sequence, View};
use crate::time::{Now, UnixMillis};
use quorate_crypto::Verified;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_millis(1_000);

const BACKUP: ViewStart = ViewStart { view: VIEW, view_timeout: TIMEOUT, validators: 4, judges: true };

/// A backup's pool, and blocks that its primary had executed.
struct Backup {
    pool: Pool,
    sequence: u64,
}

type Signed = Verified<SignedTransaction>;

impl Backup {
    fn new(config: PoolConfig) -> Backup {
        let mut pool = Pool::new(config, ExecutedIds::new());
        pool.begin_view(at(0), BACKUP);
        Backup { pool, sequence: 0 }
    }

    /// A backup that sent its claim on this transaction at 500 ms.
    fn with_claim(claim: &Signed) -> Backup {
        let mut backup = Backup::new(config());
        admit(&mut backup.pool, at(0), claim).unwrap();
        assert_eq!(backup.pool.claims_due(at(500), VIEW, 256).len(), 1);
        backup
    }

    /// A fresh batch is accepted at `accepted` and executed at once.
    fn fresh(&mut self, accepted: u64, batch: &[&Signed]) -> Option<Unfair> {
        self.fresh_at(accepted, START + accepted, batch)
    }

    fn fresh_at(&mut self, accepted: u64, time: UnixMillis, batch: &[&Signed]) -> Option<Unfair> {
        self.pool.note_accepted(at(accepted), Sequence(self.sequence + 1), time);
        self.execute(accepted, time, batch, Outcome::Applied)
    }

    fn execute(&mut self, ms: u64, time: UnixMillis, batch: &[&Signed], outcome: Outcome) -> Option<Unfair> {
        self.sequence += 1;
        let bodies: Vec<Body> = batch.iter().map(|signed| Arc::new(SignedTransaction::clone(signed))).collect();
        execute(&mut self.pool, at(ms), Sequence(self.sequence), time, &bodies, |_| outcome)
    }
}

pub(super) fn execute(
    pool: &mut Pool,
    now: Now,
    sequence: Sequence,
    time: UnixMillis,
    bodies: &[Body],
    outcome: impl Fn(&Body) -> Outcome,
) -> Option<Unfair> {
    let positions: Vec<_> = bodies.iter().map(|body| Position { id: body.id(), outcome: outcome(body) }).collect();
    let valid_untils: Vec<_> = bodies.iter().map(|body| body.valid_until()).collect();
    pool.settle(now, sequence, &positions, &valid_untils);
    pool.expire(now, time);
    pool.judge_block(&ExecutedBlock { sequence, time, positions: &positions, bodies })
}

fn left_out(claim: &Signed, sequence: u64) -> Option<Unfair> {
    Some(Unfair::ClaimLeftOut { id: claim.id(), sequence: Sequence(sequence) })
}

#[test]
fn a_batch_owes_a_claim_that_was_sent_more_than_a_view_timeout_before_it_was_accepted() {
    let claim = transaction(1, 0);
    let mut backup = Backup::with_claim(&claim);
    assert_eq!(backup.fresh(1_500, &[]), None, "exactly one view timeout");
    assert_eq!(backup.fresh(1_501, &[]), left_out(&claim, 2));
    assert_eq!(backup.fresh(1_502, &[&transaction(2, 0)]), left_out(&claim, 3));
    assert_eq!(backup.fresh(1_503, &[&claim]), None);
    assert_eq!(backup.fresh(1_504, &[]), None);
}

#[test]
fn what_was_not_proposed_in_this_view_owes_nothing() {
    let claim = transaction(1, 0);
    let mut backup = Backup::with_claim(&claim);
    assert_eq!(backup.execute(2_000, START + 2_000, &[], Outcome::Applied), None);
    backup.pool.note_accepted(at(2_000), Sequence(2), START + 2_000);
    let view = (Epoch(0), View(1));
    backup.pool.begin_view(at(2_001), ViewStart { view, ..BACKUP });
    assert_eq!(backup.execute(2_002, START + 2_000, &[], Outcome::Applied), None);
    assert_eq!(backup.fresh(9_000, &[]), None, "the new primary has not been sent the claim");
    assert_eq!(backup.pool.claims_due(at(9_000), view, 256).len(), 1);
    assert_eq!(backup.fresh(10_001, &[]), left_out(&claim, 4));
}

#[test]
fn a_claim_counts_from_its_latest_sending_and_by_the_current_view_timeout() {
    let claim = transaction(1, 0);
    let mut backup = Backup::with_claim(&claim);
    backup.pool.primary_link_returned(at(1_400).monotonic, VIEW);
    assert_eq!(backup.pool.claims_due(at(1_400), VIEW, 256).len(), 1);
    assert_eq!(backup.fresh(2_400, &[]), None);
    backup.pool.set_view_timeout(2 * TIMEOUT);
    assert_eq!(backup.fresh(3_400, &[]), None);
    assert_eq!(backup.fresh(3_401, &[]), left_out(&claim, 3));
}

#[test]
fn a_claim_that_the_batch_could_not_contain_is_not_owed() {
    let claim = verified(1, 0, START + WINDOW, 0);
    let mut backup = Backup::with_claim(&claim);
    assert_eq!(backup.fresh_at(1_600, START - 1, &[]), None, "valid for too long");
    assert_eq!(backup.fresh_at(1_600, START, &[]), left_out(&claim, 2));
    let claim = verified(1, 0, START + 1_600, 0);
    let mut backup = Backup::with_claim(&claim);
    assert_eq!(backup.fresh_at(1_550, START + 1_599, &[]), left_out(&claim, 1));
    assert_eq!(backup.fresh_at(1_550, START + 1_600, &[]), None, "expired by this block");
}

#[test]
fn a_full_batch_leaves_out_a_claim_without_blame_and_a_nearly_full_one_does_not() {
    let claim = transaction(1, 0);
    let others: Vec<_> = (0..4).map(|sender| transaction(50 + sender, 0)).collect();
    let others: Vec<_> = others.iter().collect();
    let size = others[0].size();
    let by_count = PoolConfig { batch_count_max: 4, ..config() };
    let by_bytes = PoolConfig { batch_bytes_max: 4 * size + 300, transaction_bytes_max: 300, ..config() };
    for config in [by_count, by_bytes] {
        let mut backup = Backup::new(config);
        admit(&mut backup.pool, at(0), &claim).unwrap();
        backup.pool.claims_due(at(500), VIEW, 256);
        assert_eq!(backup.fresh(1_600, &others), None);
        assert_eq!(backup.fresh(1_600, &others[..3]), left_out(&claim, 2));
        backup.pool.note_accepted(at(1_600), Sequence(3), START + 1_600);
        let skipped = Outcome::Skipped(SkipReason::Duplicate);
        assert_eq!(
            backup.execute(1_600, START + 1_600, &others, skipped),
            left_out(&claim, 3),
            "skipped is no filling"
        );
    }
}

#[test]
fn batches_accepted_before_a_sender_was_found_to_be_no_member_owe_nothing() {
    let (claim, removed) = (transaction(1, 0), transaction(2, 0));
    let mut backup = Backup::with_claim(&claim);
    admit(&mut backup.pool, at(0), &removed).unwrap();
    for sequence in 1..=2 {
        backup.pool.note_accepted(at(1_600), Sequence(sequence), START + 1_600);
    }
    let gone = Outcome::Skipped(SkipReason::NotAMember);
    assert_eq!(backup.execute(1_700, START + 1_600, &[&removed], gone), None);
    assert_eq!(backup.execute(1_700, START + 1_600, &[], gone), None);
    assert_eq!(backup.fresh(1_701, &[]), left_out(&claim, 3));
}

/// Full batches in which one sender is served `positions` times in all.
fn serve(backup: &mut Backup, sender: u8, salts: std::ops::Range<u64>) -> Option<Unfair> {
    salts.map(|salt| backup.fresh(1_600 + salt, &[&transaction(sender, salt)])).find(Option::is_some).flatten()
}

#[test]
fn a_claim_is_overtaken_when_one_sender_was_served_more_than_n_times() {
    let claim = transaction(1, 0);
    for sender in [1, 2] {
        let mut backup = Backup::new(PoolConfig { batch_count_max: 1, ..config() });
        admit(&mut backup.pool, at(0), &claim).unwrap();
        backup.pool.claims_due(at(500), VIEW, 256);
        assert_eq!(serve(&mut backup, sender, 100..104), None);
        assert_eq!(serve(&mut backup, 3, 100..104), None, "others do not add up");
        let sender = transaction(sender, 0).transaction().sender;
        let unfair =
            backup.fresh(1_800, &[&transaction(if sender == claim.transaction().sender { 1 } else { 2 }, 104)]);
        assert_eq!(unfair, Some(Unfair::ClaimOvertaken { id: claim.id(), sender, positions: 5 }));
    }
}

#[test]
fn the_count_of_who_overtook_ends_with_its_claims_and_begins_anew_with_the_view() {
    let [first, second] = [1, 2].map(|sender| transaction(sender, 0));
    let mut backup = Backup::new(PoolConfig { batch_count_max: 1, ..config() });
    admit(&mut backup.pool, at(0), &first).unwrap();
    backup.pool.claims_due(at(500), VIEW, 256);
    assert_eq!(serve(&mut backup, 3, 0..3), None);
    admit(&mut backup.pool, at(0), &second).unwrap();
    backup.pool.claims_due(at(1_000), VIEW, 256);
    assert_eq!(backup.fresh(2_100, &[&first]), None);
    assert_eq!(serve(&mut backup, 3, 1_000..1_004), None, "four since the first claim left");
    let view = (Epoch(0), View(1));
    backup.pool.begin_view(at(3_000), ViewStart { view, ..BACKUP });
    backup.pool.claims_due(at(3_000), view, 256);
    assert_eq!(serve(&mut backup, 3, 3_000..3_004), None);
    let unfair = serve(&mut backup, 3, 3_004..3_005);
    assert!(matches!(unfair, Some(Unfair::ClaimOvertaken { id, .. }) if id == second.id()), "{unfair:?}");
}

/// Ends a window, if it ends at `ms`: what was executed in it and what should have been, if it fell short.
fn rate(backup: &mut Backup, ms: u64) -> Option<(usize, usize)> {
    let due = backup.pool.next_judgement().expect("something is pending");
    let watch = |backup: &Backup| backup.pool.watch.clone().expect("it judges");
    let before = watch(backup);
    let unfair = backup.pool.judge_rate(at(ms));
    if at(ms).monotonic < due {
        assert_eq!(unfair, None);
        return None;
    }
    let short = (before.settled(), before.expected());
    let accused = Unfair::TooSlow { settled: short.0, expected: short.1, within: TIMEOUT };
    assert_eq!(unfair, (before.is_short() && watch(backup).is_short()).then_some(accused));
    watch(backup).is_short().then_some(short)
}

#[test]
fn the_second_of_two_slow_windows_in_a_row_accuses() {
    let mut backup = Backup::new(config());
    let served = transaction(2, 0);
    admit(&mut backup.pool, at(0), &transaction(1, 0)).unwrap();
    assert_eq!([1_001, 2_001].map(|ms| backup.pool.judge_rate(at(ms))), [None, None]);
    backup.execute(2_500, START + 2_500, &[&served], Outcome::Applied);
    assert_eq!([3_001, 4_001].map(|ms| backup.pool.judge_rate(at(ms))), [None, None]);
    let unfair = Some(Unfair::TooSlow { settled: 0, expected: 1, within: TIMEOUT });
    assert_eq!([5_001, 6_001].map(|ms| backup.pool.judge_rate(at(ms))), [unfair.clone(), unfair]);
    backup.pool.begin_view(at(7_000), ViewStart { view: (Epoch(0), View(1)), ..BACKUP });
    assert_eq!(backup.pool.judge_rate(at(8_000)), None, "each view starts anew");
    assert!(backup.pool.judge_rate(at(9_000)).is_some());
}

#[test]
fn what_waited_for_over_a_timeout_or_a_full_batch_is_executed_within_the_next() {
    for (batch_count_max, owed) in [(100, 3), (2, 2)] {
        let mut backup = Backup::new(PoolConfig { batch_count_max, ..config() });
        for salt in 0..3 {
            admit(&mut backup.pool, at(0), &transaction(1, salt)).unwrap();
        }
        admit(&mut backup.pool, at(1), &transaction(2, 0)).unwrap();
        assert_eq!(rate(&mut backup, 999), None);
        assert_eq!(backup.pool.next_judgement(), Some(at(1_000).monotonic));
        assert_eq!(rate(&mut backup, 1_001), None, "nothing waited for so long when it began");
        assert_eq!(rate(&mut backup, 2_000), None);
        assert_eq!(backup.pool.next_judgement(), Some(at(2_001).monotonic));
        let foreign: Vec<_> = (0..3).map(|salt| transaction(9, salt)).collect();
        let drip: Vec<_> = foreign[..owed - 1].iter().collect();
        backup.execute(1_500, START + 1_500, &drip, Outcome::Applied);
        assert_eq!(rate(&mut backup, 2_001), Some((owed - 1, owed)));
        let enough: Vec<_> = [0, 1, 2].map(|salt| transaction(10, salt)).into_iter().collect();
        backup.execute(2_500, START + 2_500, &enough[..owed].iter().collect::<Vec<_>>(), Outcome::Applied);
        assert_eq!(rate(&mut backup, 3_001), (owed == 3).then_some((3, 4)));
    }
}

#[test]
fn skipped_positions_and_empty_batches_are_no_service() {
    let mut backup = Backup::new(config());
    admit(&mut backup.pool, at(0), &transaction(1, 0)).unwrap();
    assert_eq!(rate(&mut backup, 1_001), None);
    let skipped = Outcome::Skipped(SkipReason::OutsideWindow);
    backup.execute(1_100, START + 1_100, &[&transaction(2, 0)], skipped);
    backup.execute(1_200, START + 1_200, &[], skipped);
    assert_eq!(rate(&mut backup, 2_001), Some((0, 1)));
}

#[test]
fn a_batch_full_by_its_bytes_is_service_enough() {
    let one = transaction(2, 0);
    let bytes = PoolConfig { batch_bytes_max: 300 + one.size(), transaction_bytes_max: 300, ..config() };
    for (config, expected) in [(bytes, None), (self::config(), Some((1, 3)))] {
        let mut backup = Backup::new(config);
        for salt in 0..3 {
            admit(&mut backup.pool, at(0), &transaction(1, salt)).unwrap();
        }
        rate(&mut backup, 1_001);
        backup.execute(1_500, START + 1_500, &[&one], Outcome::Applied);
        assert_eq!(rate(&mut backup, 2_001), expected);
    }
}

#[test]
fn what_leaves_unexecuted_is_not_missed() {
    let mut backup = Backup::new(config());
    let removed: Vec<_> = (0..5).map(|salt| transaction(1, salt)).collect();
    for transaction in removed.iter().chain([&transaction(2, 0)]) {
        admit(&mut backup.pool, at(0), transaction).unwrap();
    }
    rate(&mut backup, 1_001);
    let gone = Outcome::Skipped(SkipReason::NotAMember);
    backup.execute(1_100, START + 1_100, &[&removed[0]], gone);
    assert_eq!(rate(&mut backup, 2_001), Some((0, 1)));
    backup.execute(2_100, START + 2_100, &[&transaction(2, 0)], Outcome::Applied);
    assert_eq!(backup.pool.next_judgement(), None, "nothing is pending");
    assert_eq!(backup.pool.judge_rate(at(3_001)), None);
}

#[test]
fn what_clocks_may_disagree_about_is_not_missed() {
    // A window of (b) lasts from 1,001 ms to 2,001 ms.
    let soonest = START + 2_001 + 2_000;
    let latest = START + 1_001 + WINDOW - 2_000;
    for (valid_until, missed) in [(soonest, false), (soonest + 1, true), (latest, true), (latest + 1, false)] {
        let mut backup = Backup::new(config());
        admit(&mut backup.pool, at(0), &verified(1, 0, valid_until, 0)).unwrap();
        assert_eq!(rate(&mut backup, 1_001), None);
        assert_eq!(rate(&mut backup, 2_001).is_some(), missed);
    }
}

#[test]
fn a_primary_accuses_nobody() {
    let mut backup = Backup::new(config());
    let claim = transaction(1, 0);
    for ending in [Some(ViewStart { judges: false, ..BACKUP }), None] {
        match ending {
            Some(start) => backup.pool.begin_view(at(0), start),
            None => backup.pool.leave_view(),
        }
        let _ = admit(&mut backup.pool, at(0), &claim);
        backup.pool.claims_due(at(500), VIEW, 256);
        assert_eq!(backup.pool.next_judgement(), None);
        assert_eq!(backup.fresh(5_000, &[]), None);
        assert_eq!(backup.pool.judge_rate(at(5_000)), None);
    }
}

#[test]
fn accusations_say_what_happened() {
    let claim = transaction(1, 0);
    let (id, sender) = (claim.id(), claim.transaction().sender);
    let words = [
        Unfair::TooSlow { settled: 1, expected: 3, within: TIMEOUT }.to_string(),
        Unfair::ClaimLeftOut { id, sequence: Sequence(7) }.to_string(),
        Unfair::ClaimOvertaken { id, sender, positions: 5 }.to_string(),
    ];
    assert_eq!(words[0], "too slow: 1 positions executed within 1000 ms, 3 had waited");
    assert!(words[1].ends_with("left out of batch 7, which had room"));
    assert!(words[2].contains("overtaken: 5 positions of sender"));
}
