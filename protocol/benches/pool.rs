//! Microseconds per transaction that passes the pool: admitted, batched, settled, and judged, as by a backup that has sent
//! claims and counts who overtakes them. Beside it, in the same run, what verifying a signature costs at least:
//! ed25519-dalek's batch of 1,024 with decoded keys.
//!
//! `cargo bench -p quorate-protocol --bench pool`

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use quorate_crypto::{BoundedString, BoundedVec, Digest, SecretKey, Verified, Verifier};
use quorate_protocol::document::{Body, Operation, Outcome, Position, SignedTransaction, Transaction};
use quorate_protocol::executed::ExecutedIds;
use quorate_protocol::id::{Epoch, Sequence, View};
use quorate_protocol::pool::{Admitted, BatchLimits, Door, ExecutedBlock, Pool, PoolConfig, ViewStart};
use quorate_protocol::time::{Instant, Now};
use std::time::{Duration, Instant as Stopwatch};

const SENDERS: usize = 1_000;
const ROUNDS: usize = 100;
const START: u64 = 1_000_000;

/// How many transactions a batch has, and how many wait while others pass.
#[derive(Clone, Copy)]
struct Weight {
    batch: usize,
    backlog: usize,
}

const WEIGHTS: [Weight; 2] = [Weight { batch: 1_000, backlog: 20_000 }, Weight { batch: 2_000, backlog: 50_000 }];

const VIEW: (Epoch, View) = (Epoch(0), View(0));

fn config(weight: Weight) -> PoolConfig {
    PoolConfig {
        count_max: 100_000,
        bytes_max: 64 << 20,
        sender_share: 16,
        claims_max: 256,
        transaction_bytes_max: 16 << 10,
        batch_count_max: weight.batch,
        batch_bytes_max: 1 << 20,
        validity_window: 120_000,
        clock_skew_max: 2_000,
        forward_timeout: Duration::from_millis(500),
    }
}

/// `ROUNDS` transfers of every sender, senders in turn.
fn transactions() -> Vec<Verified<SignedTransaction>> {
    let keys: Vec<_> = (0..SENDERS).map(|number| SecretKey::from_seed(seed(number))).collect();
    let mut signed = Vec::with_capacity(SENDERS * ROUNDS);
    for salt in 0..ROUNDS {
        for key in &keys {
            let mut operations = BoundedVec::new();
            let to = key.public_key();
            operations.push(Operation::Transfer { to, code: "USD".parse().expect("a code"), amount: 1 }).expect("room");
            let transaction = Transaction {
                chain_id: Digest::ZERO,
                sender: to,
                valid_until: START + 30_000 + salt as u64,
                salt: salt as u64,
                operations,
                memo: BoundedString::default(),
            };
            signed.push(SignedTransaction::sign(transaction, key));
        }
    }
    let mut verifier = Verifier::new([1; 32], 2 * SENDERS);
    let verified = Verified::check_all(signed, &Digest::ZERO, &mut verifier);
    verified.into_iter().map(|result| result.expect("a good signature")).collect()
}

fn seed(number: usize) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

fn now(step: usize) -> Now {
    Now { monotonic: Instant::from_micros(step as u64 * 20), wall: START + step as u64 / 50 }
}

/// What is spent on each step of all transactions' way.
#[derive(Default)]
struct Spent {
    admitted: Duration,
    batched: Duration,
    settled: Duration,
    judged: Duration,
}

impl Spent {
    fn total(&self) -> Duration {
        self.admitted + self.batched + self.settled + self.judged
    }
}

fn pass_through(weight: Weight, transactions: Vec<Verified<SignedTransaction>>) -> Spent {
    let total = transactions.len();
    let mut pool = Pool::new(config(weight), ExecutedIds::new());
    // A timeout of no length: every claim is owed by every batch, and there is a window of (b) for each.
    let start = ViewStart { view: VIEW, view_timeout: Duration::from_micros(1), validators: 31, judges: true };
    pool.begin_view(now(0), start);
    let mut spent = Spent::default();
    let mut waiting = transactions.into_iter();
    let (mut step, mut sequence, mut passed) = (0, 0, 0);
    while passed < total {
        let arriving: Vec<_> = waiting.by_ref().take(if step == 0 { weight.backlog } else { weight.batch }).collect();
        let watch = Stopwatch::now();
        for transaction in arriving {
            step += 1;
            assert_eq!(pool.admit(now(step), START, transaction, Door::Gossip), Ok(Admitted::New));
        }
        spent.admitted += watch.elapsed();

        let watch = Stopwatch::now();
        sequence += 1;
        let limits = BatchLimits { count_max: weight.batch, bytes_max: 1 << 20 };
        let batch = pool.next_batch(limits, now(step).wall, Sequence(sequence)).expect("something waits");
        spent.batched += watch.elapsed();

        let watch = Stopwatch::now();
        pool.claims_due(now(step), VIEW, 256);
        pool.note_accepted(now(step + 1), Sequence(sequence), batch.time);
        spent.judged += watch.elapsed();

        let bodies: Vec<Body> = batch.ids.iter().map(|id| pool.get(id).expect("it is pending")).collect();
        let valid_untils: Vec<u64> = bodies.iter().map(|body| body.valid_until()).collect();
        let positions: Vec<_> = batch.ids.iter().map(|id| Position { id: *id, outcome: Outcome::Applied }).collect();
        let watch = Stopwatch::now();
        pool.settle(now(step), Sequence(sequence), &positions, &valid_untils);
        pool.expire(now(step), batch.time);
        spent.settled += watch.elapsed();

        let watch = Stopwatch::now();
        let block =
            ExecutedBlock { sequence: Sequence(sequence), time: batch.time, positions: &positions, bodies: &bodies };
        pool.judge_block(&block);
        pool.judge_rate(now(step + 1));
        spent.judged += watch.elapsed();
        passed += positions.len();
    }
    assert_eq!(pool.pending().count, 0);
    spent
}

/// Microseconds per signature of ed25519-dalek's batch of 1,024 with distinct decoded keys, the best of ten.
fn reference_cost() -> f64 {
    let keys: Vec<_> = (0..1_024).map(|number| SigningKey::from_bytes(&seed(number))).collect();
    let messages: Vec<[u8; 200]> = (0..1_024).map(|number| [number as u8; 200]).collect();
    let signatures: Vec<_> = keys.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
    let decoded: Vec<VerifyingKey> = keys.iter().map(SigningKey::verifying_key).collect();
    let slices: Vec<&[u8]> = messages.iter().map(|message| message.as_slice()).collect();
    let measure = |_| {
        let watch = Stopwatch::now();
        ed25519_dalek::verify_batch(&slices, &signatures, &decoded).expect("good signatures");
        watch.elapsed()
    };
    let best = (0..10).map(measure).min().expect("ten runs");
    best.as_secs_f64() * 1e6 / 1_024.0
}

fn main() {
    let reference = reference_cost();
    let transactions = transactions();
    for weight in WEIGHTS {
        let spent = (0..3).map(|_| pass_through(weight, transactions.clone())).min_by_key(Spent::total);
        let spent = spent.expect("three runs");
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6 / transactions.len() as f64;
        let Weight { batch, backlog } = weight;
        println!("pool: {SENDERS} senders, {backlog} waiting, batches of {batch}; microseconds per transaction");
        println!(
            "  admitted {:.2} + batched {:.2} + settled {:.2} + judged {:.2} = {:.2}",
            micros(spent.admitted),
            micros(spent.batched),
            micros(spent.settled),
            micros(spent.judged),
            micros(spent.total())
        );
    }
    println!("  reference: a signature in ed25519-dalek's batch of 1,024 takes {reference:.2}");
}
