//! A primary's pool and a backup's pool side by side through random arrivals: a correct primary is never accused, and
//! every unfair one is, within bounded time.

use super::fairness_tests::execute;
use super::tests::{START, VIEW, config, verified};
use super::*;
use crate::document::{Batch, Body, Outcome, SignedTransaction, SkipReason};
use crate::executed::ExecutedIds;
use crate::id::{NodeIndex, Sequence, TransactionId};
use crate::time::{Instant, Now, UnixMillis};
use proptest::prelude::*;
use quorate_crypto::{PublicKey, Verified};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

type Signed = Verified<SignedTransaction>;

const SENDERS: usize = 24;
const EACH: usize = 64;
/// The last sender is the primary's accomplice: nobody else knows its transactions.
const ACCOMPLICE: usize = SENDERS - 1;
const TICK: u64 = 10;
const TIMEOUT_MS: u64 = 400;
const BATCH: usize = 16;
/// A block each 50 ms: 320 transactions a second at most.
const BLOCK_MS: u64 = 50;
const IN_FLIGHT: usize = 3;
const REPAIR_MS: u64 = 100;

fn small() -> PoolConfig {
    PoolConfig {
        count_max: 640,
        claims_max: 16,
        batch_count_max: BATCH,
        batch_bytes_max: 16 * 1024,
        transaction_bytes_max: 1_024,
        forward_timeout: Duration::from_millis(100),
        clock_skew_max: 200,
        ..config()
    }
}

/// Some live for four seconds, most for thirty.
fn prepared() -> Vec<Vec<Signed>> {
    let lives = |sender: usize, salt: usize| if (sender + salt) % 7 == 3 { 4_000 } else { 30_000 };
    let one = |sender: usize, salt: usize| {
        let valid_until = START + lives(sender, salt) + (salt as u64 * 31) % 500;
        verified(sender as u8 + 1, salt as u64, valid_until, sender * 8)
    };
    (0..SENDERS).map(|sender| (0..EACH).map(|salt| one(sender, salt)).collect()).collect()
}

thread_local!(static PREPARED: Vec<Vec<Signed>> = prepared());

fn signed(sender: usize, salt: usize) -> Signed {
    PREPARED.with(|all| all[sender][salt].clone())
}

/// How the primary cuts its batches.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Conduct {
    Correct,
    Empty,
    /// One transaction of the accomplice in each batch.
    Drip,
    /// Everybody but sender 0.
    Starve,
    /// Sender 0 only, its claim never.
    Flood,
}

/// What is proposed and when it was and will be executed.
struct Proposal {
    sequence: Sequence,
    batch: Batch,
    bodies: Vec<Body>,
    cut: u64,
    accepted: bool,
}

struct Pair {
    conduct: Conduct,
    primary: Pool,
    backup: Pool,
    /// By how many milliseconds the backup's clock is ahead of the primary's.
    ahead: i64,
    sequence: u64,
    last_time: UnixMillis,
    head: UnixMillis,
    proposals: VecDeque<Proposal>,
    next_block: u64,
    claims: VecDeque<(u64, Vec<Body>)>,
    bodies: HashMap<TransactionId, Body>,
    /// Where the next part of what repair tells begins.
    told: u64,
    removed: Option<PublicKey>,
    /// What an unfair primary has proposed.
    proposed: HashSet<TransactionId>,
    accused: Option<(u64, Unfair)>,
}

fn door_of(pool: &mut Pool, now: Now, head: UnixMillis, transaction: Signed, door: Door) {
    let _ = pool.admit(now, head, transaction, door);
}

impl Pair {
    fn new(conduct: Conduct, ahead: i64) -> Pair {
        let start =
            ViewStart { view: VIEW, view_timeout: Duration::from_millis(TIMEOUT_MS), validators: 4, judges: true };
        let mut primary = Pool::new(small(), ExecutedIds::new());
        primary.begin_view(now(0, 0), ViewStart { judges: false, ..start });
        let mut backup = Pool::new(small(), ExecutedIds::new());
        backup.begin_view(now(0, ahead), start);
        let bodies = PREPARED.with(|all| all.iter().flatten().map(|signed| (signed.id(), body(signed))).collect());
        Pair {
            conduct,
            primary,
            backup,
            ahead,
            sequence: 0,
            last_time: START,
            head: START,
            proposals: VecDeque::new(),
            next_block: 0,
            claims: VecDeque::new(),
            bodies,
            told: 0,
            removed: None,
            proposed: HashSet::new(),
            accused: None,
        }
    }

    fn tick(&mut self, ms: u64, claim_delay: u64, link_up: bool) {
        self.send_claims(ms, claim_delay, link_up);
        while self.proposals.len() < IN_FLIGHT {
            let Some(proposal) = self.propose(ms) else { break };
            self.proposals.push_back(proposal);
        }
        for proposal in &mut self.proposals {
            if !proposal.accepted && ms >= proposal.cut + 2 * TICK {
                proposal.accepted = true;
                let ids: Vec<_> = proposal.batch.ids.to_vec();
                self.backup.mark(proposal.sequence, &ids);
                self.backup.note_accepted(now(ms, self.ahead), proposal.sequence, proposal.batch.time);
            }
        }
        if ms >= self.next_block && self.proposals.front().is_some_and(|proposal| proposal.accepted) {
            self.next_block = ms + BLOCK_MS;
            let proposal = self.proposals.pop_front().expect("it was looked at");
            self.execute(ms, &proposal);
        }
        if link_up && ms.is_multiple_of(REPAIR_MS) {
            self.repair(ms);
        }
        let unfair = self.backup.judge_rate(now(ms, self.ahead));
        self.accuse(ms, unfair);
    }

    fn send_claims(&mut self, ms: u64, delay: u64, link_up: bool) {
        if link_up {
            let claims = self.backup.claims_due(now(ms, self.ahead), VIEW, 256);
            self.claims.push_back((ms + delay, claims));
        }
        while self.claims.front().is_some_and(|(at, _)| *at <= ms) {
            let (_, bodies) = self.claims.pop_front().expect("it was looked at");
            for claim in bodies {
                let signed = find(&claim);
                door_of(&mut self.primary, now(ms, 0), self.head, signed, Door::Claim(NodeIndex(1)));
            }
        }
    }

    /// The backup tells the primary what has waited, and the primary fetches what it lacks.
    fn repair(&mut self, ms: u64) {
        let told = self.backup.summary(now(ms, self.ahead), self.told, 64);
        self.told = told.next.unwrap_or(0);
        let reference = now(ms, 0).wall.max(self.head);
        for (id, valid_until) in told.pending {
            if self.primary.vacant() > 0 && self.primary.lacks(&id, valid_until, self.head, reference) {
                let transaction = find(&self.bodies[&id]);
                door_of(&mut self.primary, now(ms, 0), self.head, transaction, Door::Gossip);
            }
        }
    }

    fn propose(&mut self, ms: u64) -> Option<Proposal> {
        let time = now(ms, 0).wall.max(self.head).max(self.last_time);
        let sequence = Sequence(self.sequence + 1);
        let limits = BatchLimits { count_max: BATCH, bytes_max: 16 * 1024 };
        let batch = match self.conduct {
            Conduct::Correct => self.primary.next_batch(limits, time, sequence).or_else(|| {
                self.primary.overdue(now(ms, 0).wall, self.last_time.max(self.head))?;
                Some(Batch { time, ids: Default::default() })
            })?,
            unfair => Batch { time, ids: self.chosen(unfair).try_into().expect("a small batch") },
        };
        self.sequence += 1;
        self.last_time = batch.time;
        let bodies = batch.ids.iter().map(|id| self.bodies[id].clone()).collect();
        Some(Proposal { sequence, batch, bodies, cut: ms, accepted: false })
    }

    /// What an unfair primary proposes: nothing twice.
    fn chosen(&mut self, conduct: Conduct) -> Vec<TransactionId> {
        let [victim, accomplice] = [0, ACCOMPLICE].map(|sender| *signed(sender, 0).sender());
        let first_claim = signed(0, 0).id();
        let wanted = |body: &Body| match conduct {
            Conduct::Correct | Conduct::Empty => false,
            Conduct::Drip => *body.sender() == accomplice,
            Conduct::Starve => *body.sender() != victim,
            Conduct::Flood => *body.sender() == victim && body.id() != first_claim,
        };
        let count = if conduct == Conduct::Drip { 1 } else { BATCH };
        let mut ids: Vec<_> = self.bodies.values().filter(|body| wanted(body)).map(|body| body.id()).collect();
        ids.sort();
        ids.retain(|id| !self.proposed.contains(id));
        ids.truncate(count);
        self.proposed.extend(&ids);
        ids
    }

    fn execute(&mut self, ms: u64, proposal: &Proposal) {
        self.head = self.head.max(proposal.batch.time);
        let removed = self.removed;
        let outcome = |body: &Body| match removed {
            Some(key) if key == *body.sender() => Outcome::Skipped(SkipReason::NotAMember),
            _ => Outcome::Applied,
        };
        let (sequence, bodies) = (proposal.sequence, &proposal.bodies);
        execute(&mut self.primary, now(ms, 0), sequence, self.head, bodies, outcome);
        let unfair = execute(&mut self.backup, now(ms, self.ahead), sequence, self.head, bodies, outcome);
        self.accuse(ms, unfair);
    }

    fn accuse(&mut self, ms: u64, unfair: Option<Unfair>) {
        if let (None, Some(unfair)) = (&self.accused, unfair) {
            self.accused = Some((ms, unfair));
        }
    }
}

fn body(signed: &Signed) -> Body {
    Arc::new(SignedTransaction::clone(signed))
}

fn find(body: &Body) -> Signed {
    let salt = body.transaction().salt as usize;
    let sender = (0..SENDERS).find(|&sender| signed(sender, salt).id() == body.id()).expect("one that was prepared");
    signed(sender, salt)
}

/// What a clock that is `ahead` milliseconds ahead says.
fn now(ms: u64, ahead: i64) -> Now {
    Now { monotonic: Instant::from_micros(ms * 1_000), wall: (START + ms).saturating_add_signed(ahead) }
}

/// One client's transaction: where it comes first, and when.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: u64,
    sender: usize,
    /// When gossip brings it to the backup, and to the primary; never to the primary if it is lost.
    backup: u64,
    primary: Option<u64>,
    /// A lying validator claims it from the primary.
    lied: bool,
}

/// Over two seconds up to three times what can be executed.
fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let sender = prop_oneof![3 => 0..ACCOMPLICE, 1 => 0..3usize];
    let one = (0..2_000u64, sender, 0..60u64, 0..60u64, 0..20u8, 0..6u8);
    let one = one.prop_map(|(at, sender, backup, primary, lost, lied)| Arrival {
        at,
        sender,
        backup,
        primary: (lost > 0).then_some(primary),
        lied: lied == 0,
    });
    proptest::collection::vec(one, 1..1_400)
}

/// Hands in the arrivals, as gossip brings them to each of both pools.
struct Feed {
    due: Vec<(u64, bool, Signed, Door)>,
}

impl Feed {
    fn new(mut arrivals: Vec<Arrival>) -> Feed {
        arrivals.sort_by_key(|arrival| arrival.at);
        let mut salts = [0; SENDERS];
        let mut due = Vec::new();
        for arrival in arrivals {
            let salt = salts[arrival.sender];
            if salt >= EACH {
                continue;
            }
            salts[arrival.sender] += 1;
            let transaction = signed(arrival.sender, salt);
            due.push((arrival.at + arrival.backup, false, transaction.clone(), Door::Gossip));
            if let Some(delay) = arrival.primary {
                due.push((arrival.at + delay, true, transaction.clone(), Door::Gossip));
            }
            if arrival.lied {
                due.push((arrival.at + 61, true, transaction, Door::Claim(NodeIndex(2))));
            }
        }
        due.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
        Feed { due }
    }

    fn tick(&mut self, ms: u64, pair: &mut Pair) {
        while self.due.last().is_some_and(|(at, ..)| *at <= ms) {
            let (_, to_primary, transaction, door) = self.due.pop().expect("it was looked at");
            if pair.removed == Some(*transaction.sender()) {
                continue;
            }
            let (pool, ahead) = if to_primary { (&mut pair.primary, 0) } else { (&mut pair.backup, pair.ahead) };
            door_of(pool, now(ms, ahead), pair.head, transaction, door);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_correct_primary_is_never_accused(
        arrivals in arrivals(),
        ahead in -200..=200i64,
        claim_delay in 0..250u64,
        link_down in 200..3_000u64,
        removed in 0..4_000u64,
    ) {
        let mut pair = Pair::new(Conduct::Correct, ahead);
        let mut feed = Feed::new(arrivals);
        for ms in (0..9_000).step_by(TICK as usize) {
            feed.tick(ms, &mut pair);
            // What is under way when the link goes is lost.
            if ms / TICK == link_down / TICK {
                pair.claims.clear();
            }
            if ms / TICK == (link_down + 100) / TICK {
                pair.backup.primary_link_returned(now(ms, 0).monotonic, VIEW);
            }
            if ms / TICK == removed / TICK {
                pair.removed = Some(*signed(1, 0).sender());
            }
            let link_up = ms + TICK <= link_down || ms > link_down + 100;
            pair.tick(ms, claim_delay, link_up);
            prop_assert_eq!(&pair.accused, &None);
        }
        prop_assert_eq!(pair.backup.pending().count, 0, "all that is pending is executed or expires");
    }
}

/// A backup with a steady stream of all senders' transactions, under an unfair primary.
fn accused_by(conduct: Conduct) -> Option<(u64, Unfair)> {
    let mut pair = Pair::new(conduct, 50);
    let each = |salt: usize| (0..ACCOMPLICE).map(move |sender| (salt as u64 * 90, sender));
    let arrivals = (0..EACH / 2).flat_map(each).map(|(at, sender)| Arrival {
        at,
        sender,
        backup: 5,
        primary: Some(5),
        lied: false,
    });
    let mut feed = Feed::new(arrivals.collect());
    for ms in (0..3_000).step_by(TICK as usize) {
        feed.tick(ms, &mut pair);
        pair.tick(ms, 20, true);
        if pair.accused.is_some() {
            break;
        }
    }
    pair.accused
}

#[test]
fn empty_batches_are_accused() {
    let (ms, unfair) = accused_by(Conduct::Empty).expect("accused");
    // A claim goes after 100 ms and is owed after 400 ms more; a block takes up to 100 ms.
    assert!(ms <= 700 && matches!(unfair, Unfair::ClaimLeftOut { .. }), "{ms} ms: {unfair}");
}

#[test]
fn a_drip_of_an_accomplices_transactions_is_accused() {
    let (ms, unfair) = accused_by(Conduct::Drip).expect("accused");
    assert!(ms <= 700 && matches!(unfair, Unfair::ClaimLeftOut { .. }), "{ms} ms: {unfair}");
}

#[test]
fn starving_one_sender_in_full_batches_is_accused() {
    let (ms, unfair) = accused_by(Conduct::Starve).expect("accused");
    assert!(ms <= 1_600 && matches!(unfair, Unfair::ClaimOvertaken { .. }), "{ms} ms: {unfair}");
}

#[test]
fn a_flood_of_a_senders_later_transactions_before_its_claim_is_accused() {
    let (ms, unfair) = accused_by(Conduct::Flood).expect("accused");
    assert!(ms <= 1_000, "{ms} ms: {unfair}");
}

#[test]
fn a_primary_that_ignores_all_claims_unseen_is_accused_by_its_slowness() {
    // Without claims: the backup's links never come up.
    for conduct in [Conduct::Empty, Conduct::Drip] {
        let mut pair = Pair::new(conduct, 0);
        let one = |sender| Arrival { at: 0, sender, backup: 5, primary: Some(5), lied: false };
        let mut feed = Feed::new((0..ACCOMPLICE).chain(0..ACCOMPLICE).map(one).collect());
        for ms in (0..2_000).step_by(TICK as usize) {
            feed.tick(ms, &mut pair);
            pair.tick(ms, 0, false);
        }
        let (ms, unfair) = pair.accused.expect("accused");
        assert!(ms <= 4 * TIMEOUT_MS + TICK && matches!(unfair, Unfair::TooSlow { .. }), "{ms} ms: {unfair}");
    }
}
