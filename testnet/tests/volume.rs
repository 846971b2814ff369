//! Many transactions through a net of real processes at full load: every receipt is verified offline afterwards, the supply
//! is what it was, all chains are equal, and memory does not grow with the chain.
//!
//! `QUORATE_TRANSACTIONS=1000000` says how many (20,000 without it). The figures are printed:
//! `QUORATE_TRANSACTIONS=1000000 cargo test --release --workspace --locked --test volume -- --nocapture`.

mod common;

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::client::http::Node;
use quorate_cli::{genesis, receipt};
use quorate_crypto::encode::decode;
use quorate_protocol::document::{Genesis, Outcome, SignedTransaction};
use quorate_protocol::id::TransactionId;
use quorate_testnet::load::{Clients, Shape};
use quorate_testnet::usage::Usage;
use serde_json::Value;

use common::Net;

/// Clients, with a key each.
const CLIENTS: usize = 1_000;
/// How many are signed at a time: they must be sent before they expire.
const PART: usize = 50_000;
/// How long a part may take.
const PART_WITHIN: Duration = Duration::from_secs(100);
/// Memory that no node may ever have, in bytes: what is promised at the top rate.
const RESIDENT_MAX: u64 = 300 << 20;
/// Threads that fetch and verify receipts.
const AUDITORS: usize = 4;

fn count() -> usize {
    env::var("QUORATE_TRANSACTIONS").map_or(20_000, |count| count.parse().expect("QUORATE_TRANSACTIONS is a number"))
}

/// What is resident in the largest node at present, and the most that ever was in any, in bytes.
fn resident(net: &Net) -> (u64, u64) {
    let usage = |node: &Value| Usage::of(u32::try_from(node["pid"].as_u64().expect("it runs")).unwrap());
    let all: Vec<Usage> = net.status().iter().map(usage).collect();
    let most = |of: fn(&Usage) -> u64| all.iter().map(of).max().unwrap();
    (most(|usage| usage.resident_bytes), most(|usage| usage.resident_bytes_max))
}

fn ids(signed: &[Vec<u8>]) -> impl Iterator<Item = TransactionId> + '_ {
    signed.iter().map(|bytes| decode::<SignedTransaction>(bytes).expect("what was signed").id())
}

/// Fetches each receipt from the node whose turn it is, and verifies it against the genesis and nothing else.
fn audit(nodes: &[Node], genesis: &Genesis, ids: &[TransactionId]) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AUDITORS {
            scope.spawn(|| {
                while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let place = usize::from(id.0.as_bytes()[0]) % nodes.len();
                    let told = nodes[place].receipt(id).unwrap_or_else(|error| panic!("{id}: {error}"));
                    receipt::check(&told, genesis, Some(*id)).unwrap_or_else(|error| panic!("{id}: {error}"));
                    assert_eq!(told.position.outcome, Outcome::Applied, "{id}");
                }
            });
        }
    });
}

/// The sum of what all accounts hold, as one node tells it, in minor units.
fn supply(net: &Net, node: &Node, clients: &Clients) -> u128 {
    let ready = net.manifest().accounts.iter().map(|account| account.address.to_string()).collect::<Vec<_>>();
    let all = clients.accounts().iter().map(ToString::to_string).chain(ready);
    let held = |address: String| {
        let account = node.account(&address).unwrap_or_else(|error| panic!("{address}: {error}"));
        account.balances.iter().map(|balance| balance.minor).sum::<u128>()
    };
    all.map(held).sum()
}

/// All nodes come to the same head, and have the same blocks.
fn chains_are_equal(net: &Net) {
    net.wait_equal(net.height(), &[]);
    let (nodes, head) = (net.nodes(), net.height());
    // The parent's hash stands in each header, so equal heads are equal chains. Some blocks between are looked at all the
    // same: they are what the nodes serve.
    let step = usize::try_from(head / 50 + 1).unwrap();
    for height in (1..=head).step_by(step).chain([head]) {
        let hashes: Vec<_> = nodes.iter().map(|node| node.block(&height.to_string()).unwrap().hash).collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "height {height}: {hashes:?}");
    }
}

#[test]
fn every_receipt_of_many_transactions_verifies_and_nothing_is_lost_or_made() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    let manifest = net.manifest();
    let genesis = genesis::load(&manifest.genesis).unwrap();
    let (admin, shape) = (net.key("admin"), Shape { clients: CLIENTS, accounts: CLIENTS, bytes: 0 });
    let clients = Clients::prepare(net.nodes(), manifest.chain_id, &admin, "USD".parse().unwrap(), shape).unwrap();
    let before = supply(&net, &net.nodes()[0], &clients);
    let (total, begun) = (count(), Instant::now());
    let (mut sent, mut memory): (Vec<TransactionId>, Vec<u64>) = (Vec::new(), Vec::new());
    while sent.len() < total {
        let signed = clients.sign_transfers(sent.len() as u64, PART.min(total - sent.len()));
        let samples = clients.full(&signed, PART_WITHIN);
        assert_eq!((samples.applied(), samples.other()), (signed.len(), 0), "each is certified as applied");
        sent.extend(ids(&signed));
        memory.push(resident(&net).0 / 1_000_000);
    }
    let submitted = begun.elapsed();
    chains_are_equal(&net);
    let audited = Instant::now();
    audit(&net.nodes(), &genesis, &sent);
    println!(
        "{} transactions in {submitted:.1?} (signing included), all receipts verified offline in {:.1?}; MB resident after \
         each {PART}: {memory:?}",
        sent.len(),
        audited.elapsed()
    );
    for node in net.nodes() {
        assert_eq!(supply(&net, &node, &clients), before, "{}", node.name());
    }
    let most = resident(&net).1;
    assert!(most < RESIDENT_MAX, "a node had {most} bytes");
    // What a node remembers of the validity window and its caches fill in the beginning; the chain alone must not make it grow.
    let [half, end] = [memory[(memory.len() - 1) / 2], memory[memory.len() - 1]];
    assert!(end <= half + half / 4, "memory grows: {memory:?}");
}
