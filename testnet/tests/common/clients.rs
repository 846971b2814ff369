//! Clients that transfer at a steady pace, each from an account of its own, and go on with other nodes when theirs dies.
//! Each sends the same bytes until it holds a verified receipt, as the commands do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_cli::client::http::Node;
use quorate_cli::client::settle::{Job, settle};
use quorate_cli::exit::Exit;
use quorate_cli::output::progress::Progress;
use quorate_cli::{clock, genesis};
use quorate_crypto::encode::encode;
use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::{AssetCode, Genesis, Operation, Receipt, Role, Roles, SignedTransaction, Transaction};

use super::Net;

/// Clients of a load; with [`PACE`] they send 300 transactions a second while everything runs.
pub const CLIENTS: usize = 30;
/// Clients where something else than the load is tested: 60 transactions a second.
const FEW: usize = 6;
/// How often a client sends, if it has its last receipt.
const PACE: Duration = Duration::from_millis(100);
/// How long a client tries before it calls the chain dead.
const OUTCOME_WITHIN: Duration = Duration::from_secs(60);
/// The pause after an attempt that reached no node.
const PAUSE: Duration = Duration::from_millis(50);
/// For how long a transaction may be executed: longer than a client tries.
const VALID_FOR_MS: u64 = 110_000;
/// Minor units that each client starts with.
pub const FUNDS: u128 = 1_000_000_000;

/// A verified receipt that a client holds, and what it is about.
#[derive(Clone, Debug)]
pub struct Held {
    /// When the client got it.
    pub at: Instant,
    /// Who sent, by number; the next client receives.
    pub sender: usize,
    /// How many minor units.
    pub amount: u128,
    /// The proof.
    pub receipt: Receipt,
}

struct Shared {
    nodes: Vec<Node>,
    genesis: Arc<Genesis>,
    keys: Vec<SecretKey>,
    held: Mutex<Vec<Held>>,
    ended: AtomicBool,
    /// The test has failed: nobody waits for outcomes any more.
    abandoned: AtomicBool,
}

/// The clients, until they are dropped.
pub struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

fn usd() -> AssetCode {
    AssetCode::new("USD").unwrap()
}

impl Clients {
    /// Registers and funds [`CLIENTS`] clients, and lets them send.
    pub fn start(net: &Net) -> Clients {
        Clients::start_some(net, CLIENTS)
    }

    /// As [`Clients::start`], but only few.
    pub fn start_few(net: &Net) -> Clients {
        Clients::start_some(net, FEW)
    }

    fn start_some(net: &Net, count: usize) -> Clients {
        let genesis = Arc::new(genesis::load(&net.manifest().genesis).unwrap());
        let keys = (0..count).map(|index| SecretKey::from_seed([100 + index as u8; 32])).collect();
        let (ended, abandoned) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Shared { nodes: net.nodes(), genesis, keys, held: Mutex::default(), ended, abandoned };
        let shared = Arc::new(shared);
        let welcome = shared.keys.iter().map(SecretKey::public_key).flat_map(|key| {
            let roles = Roles::of(&[Role::Member]);
            [Operation::MemberRegister { key, roles }, Operation::AssetMint { code: usd(), to: key, amount: FUNDS }]
        });
        let applied = shared.send(0, &shared.sign(&net.key("admin"), welcome.collect(), 0));
        assert!(applied.is_some_and(|applied| applied.status == TransactionStatus::Applied));
        let start = |index| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.run(index))
        };
        let threads = (0..count).map(start).collect();
        Clients { shared, threads }
    }

    /// The client to whom one sends.
    pub fn receiver(&self, sender: usize) -> usize {
        self.shared.receiver(sender)
    }

    /// The receipts that the clients hold, in the order in which they got them.
    pub fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.shared.held.lock().unwrap()
    }

    /// The chain's genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.shared.genesis
    }

    /// The clients' accounts.
    pub fn accounts(&self) -> Vec<PublicKey> {
        self.shared.keys.iter().map(SecretKey::public_key).collect()
    }

    /// Waits until every client has the receipt of what it sent last, and lets none send again.
    pub fn end(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().expect("every client gets its receipts");
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn receiver(&self, sender: usize) -> usize {
        (sender + 1) % self.keys.len()
    }

    fn run(&self, me: usize) {
        let begin = Instant::now() + PACE * me as u32 / self.keys.len() as u32;
        let mut due = begin;
        for number in 0.. {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.ended.load(Ordering::SeqCst) || self.abandoned.load(Ordering::SeqCst) {
                return;
            }
            let amount = 1 + u128::from(number % 9);
            let to = self.keys[self.receiver(me)].public_key();
            let transfer = Operation::Transfer { to, code: usd(), amount };
            let Some(response) = self.send(me, &self.sign(&self.keys[me], vec![transfer], number)) else { return };
            assert_eq!(response.status, TransactionStatus::Applied, "{response:?}");
            let receipt = response.receipt.expect("an outcome comes with its proof");
            self.held.lock().unwrap().push(Held { at: Instant::now(), sender: me, amount, receipt });
            due = (due + PACE).max(Instant::now());
        }
    }

    fn sign(&self, key: &SecretKey, operations: Vec<Operation>, salt: u64) -> SignedTransaction {
        let transaction = Transaction {
            chain_id: self.genesis.chain_id(),
            sender: key.public_key(),
            valid_until: clock::now_ms() + VALID_FOR_MS,
            salt,
            operations: operations.try_into().unwrap(),
            memo: Default::default(),
        };
        SignedTransaction::sign(transaction, key)
    }

    /// Sends the same bytes until there is a verified outcome, or the test is over.
    fn send(&self, me: usize, signed: &SignedTransaction) -> Option<TransactionResponse> {
        let mut nodes = self.nodes.clone();
        nodes.rotate_left(me % self.nodes.len());
        let valid_until = Some(signed.transaction().valid_until);
        let mut job = Job { id: signed.id(), bytes: Some(encode(signed).into()), valid_until, first_time: true };
        let end = Instant::now() + OUTCOME_WITHIN;
        loop {
            match settle(&nodes, &self.genesis, &job, end, &mut Progress::silent()) {
                Ok(response) => return Some(response),
                Err(_) if self.abandoned.load(Ordering::SeqCst) => return None,
                Err(failure) => {
                    let may_come = matches!(failure.exit, Exit::NotSent | Exit::Overloaded | Exit::Unknown);
                    assert!(may_come && Instant::now() < end, "client {me}: {failure:?}");
                }
            }
            job.first_time = false;
            thread::sleep(PAUSE);
        }
    }
}
