//! A load on a running testnet: clients with a key each, transactions signed beforehand, certified outcomes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::client::http::Node;
use quorate_cli::clock::now_ms;
use quorate_cli::exit::Failure;
use quorate_crypto::encode::encode;
use quorate_crypto::hash::Digest;
use quorate_crypto::hash::digest;
use quorate_crypto::key::SecretKey;
use quorate_protocol::api::http::TransactionStatus;
use quorate_protocol::document::{AssetCode, Operation, Role, Roles, SignedTransaction, Transaction};
use quorate_protocol::limits::OPERATIONS_LIMIT;

/// Transactions in one request at full load.
const LIST: usize = 500;
/// Requests that are open at full load: enough that every stage of every node has work.
const OPEN_REQUESTS: usize = 24;
/// Threads that send at the steady rate; each waits for its receipt, so this bounds what is open.
const STEADY_SENDERS: usize = 64;
/// How long a client waits for a certified outcome.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a transaction of a load is valid: what the chain's window allows, less what clocks may differ.
const VALID_FOR_MS: u64 = 110_000;

/// Clients of a testnet, registered and funded.
pub struct Load {
    nodes: Vec<Node>,
    chain_id: Digest,
    asset: AssetCode,
    clients: Vec<SecretKey>,
    salt: u64,
}

/// What full load gave.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// Transactions with a certified `applied`.
    pub applied: usize,
    /// Transactions that ended in any other way.
    pub other: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// What the steady rate gave.
#[derive(Clone, Debug)]
pub struct Steady {
    /// From the moment at which each was due to its certified receipt, ascending. Counted from when it was due, not from when
    /// it was sent, so a stall delays everything that was due during it.
    pub latencies: Vec<Duration>,
    /// Transactions without a certified `applied`.
    pub other: usize,
}

impl Load {
    /// Registers and funds `count` clients, whose keys follow from the chain and their number.
    ///
    /// # Errors
    /// When a node refuses, or does not answer in time.
    pub fn prepare(
        nodes: Vec<Node>,
        chain_id: Digest,
        admin: &SecretKey,
        asset: AssetCode,
        count: usize,
    ) -> Result<Load, Failure> {
        let seed = |index: usize| *digest("quorate/load-client", &(chain_id, index as u64)).as_bytes();
        let clients: Vec<SecretKey> = (0..count).map(|index| SecretKey::from_seed(seed(index))).collect();
        let load = Load { nodes, chain_id, asset, clients, salt: now_ms() };
        let known = load.nodes[0].account(&load.clients[count - 1].public_key().to_string());
        if known.is_ok_and(|account| account.member) {
            return Ok(load);
        }
        let transactions: Vec<Vec<u8>> = load
            .clients
            .chunks(OPERATIONS_LIMIT / 2)
            .map(|part| encode(&load.sign(admin, load.welcome(part), 0)))
            .collect();
        for part in transactions.chunks(64) {
            let (applied, _) = load.send_list(&load.nodes[0], part);
            if applied != part.len() {
                let message =
                    format!("{} of {} preparing transactions were not applied", part.len() - applied, part.len());
                return Err(Failure::internal(message, "look at `quorate-testnet status`, and try again"));
            }
        }
        Ok(load)
    }

    /// Registers and funds some clients in one transaction.
    fn welcome(&self, clients: &[SecretKey]) -> Vec<Operation> {
        let roles = Roles::of(&[Role::Member]);
        let each = |key: &SecretKey| {
            let key = key.public_key();
            [
                Operation::MemberRegister { key, roles },
                Operation::AssetMint { code: self.asset, to: key, amount: 1_000_000_000 },
            ]
        };
        clients.iter().flat_map(each).collect()
    }

    fn sign(&self, key: &SecretKey, operations: Vec<Operation>, number: u64) -> SignedTransaction {
        let transaction = Transaction {
            chain_id: self.chain_id,
            sender: key.public_key(),
            valid_until: now_ms() + VALID_FOR_MS,
            salt: self.salt.wrapping_add(number),
            operations: operations.try_into().unwrap_or_default(),
            memo: Default::default(),
        };
        SignedTransaction::sign(transaction, key)
    }

    /// Signs `count` transfers: each client in its turn sends one minor unit to the next.
    pub fn sign_transfers(&self, first: u64, count: usize) -> Vec<Vec<u8>> {
        let clients = &self.clients;
        let sign = |number: usize| {
            let to = clients[(number + 1) % clients.len()].public_key();
            let transfer = Operation::Transfer { to, code: self.asset, amount: 1 };
            encode(&self.sign(&clients[number % clients.len()], vec![transfer], first + number as u64))
        };
        let half = count / 2;
        thread::scope(|scope| {
            let upper = scope.spawn(move || (half..count).map(sign).collect::<Vec<_>>());
            let mut signed: Vec<Vec<u8>> = (0..half).map(sign).collect();
            signed.extend(upper.join().unwrap_or_default());
            signed
        })
    }

    /// Sends everything as fast as it is committed, spread over all nodes, for `duration` at most.
    pub fn burst(&self, transactions: &[Vec<u8>], duration: Duration) -> Burst {
        let lists: Vec<&[Vec<u8>]> = transactions.chunks(LIST).collect();
        let (next, applied, other) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let begin = Instant::now();
        thread::scope(|scope| {
            for sender in 0..OPEN_REQUESTS {
                let (next, applied, other, lists) = (&next, &applied, &other, &lists);
                let node = &self.nodes[sender % self.nodes.len()];
                scope.spawn(move || {
                    while begin.elapsed() < duration {
                        let Some(list) = lists.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                        let (good, bad) = self.send_list(node, list);
                        applied.fetch_add(good, Ordering::Relaxed);
                        other.fetch_add(bad, Ordering::Relaxed);
                    }
                });
            }
        });
        let elapsed = begin.elapsed();
        Burst { applied: applied.into_inner(), other: other.into_inner(), elapsed }
    }

    /// Sends `rate` single transactions a second, each when it is due, whatever became of those before.
    pub fn steady(&self, transactions: &[Vec<u8>], rate: u64) -> Steady {
        let next = AtomicUsize::new(0);
        let begin = Instant::now();
        let mut results: Vec<Option<Duration>> = Vec::new();
        thread::scope(|scope| {
            let senders: Vec<_> = (0..STEADY_SENDERS)
                .map(|_| {
                    let next = &next;
                    scope.spawn(move || {
                        let mut own = Vec::new();
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            let Some(transaction) = transactions.get(number) else { return own };
                            let due = begin + Duration::from_secs(1).mul_f64(number as f64 / rate as f64);
                            thread::sleep(due.saturating_duration_since(Instant::now()));
                            let answer = self.nodes[number % self.nodes.len()].submit(transaction, PATIENCE);
                            let is_applied = answer.is_ok_and(|answer| answer.status == TransactionStatus::Applied);
                            own.push(is_applied.then(|| due.elapsed()));
                        }
                    })
                })
                .collect();
            results.extend(senders.into_iter().flat_map(|sender| sender.join().unwrap_or_default()));
        });
        let mut latencies: Vec<Duration> = results.iter().flatten().copied().collect();
        latencies.sort_unstable();
        Steady { other: transactions.len() - latencies.len(), latencies }
    }

    /// How many of a list were applied, and how many not.
    fn send_list(&self, node: &Node, list: &[Vec<u8>]) -> (usize, usize) {
        let mut bytes = u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        list.iter().for_each(|transaction| bytes.extend_from_slice(transaction));
        let answer = node.submit_many(&bytes, "committed", PATIENCE);
        let outcomes = answer.map(|answer| answer.outcomes).unwrap_or_default();
        let applied = outcomes.iter().filter(|outcome| outcome.status == TransactionStatus::Applied).count();
        (applied, list.len() - applied)
    }
}
