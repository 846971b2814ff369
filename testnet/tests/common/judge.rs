//! What must be true of a chain after whatever happened to it: all nodes have the same blocks, every receipt that a client
//! holds is at its place, nothing was executed twice, and no money came or went.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::client::http::{CallError, Node};
use quorate_cli::receipt;
use quorate_protocol::api::http::BlockResponse;
use quorate_protocol::document::{Outcome, SkipReason};
use quorate_protocol::id::TransactionId;

use super::clients::{Clients, FUNDS, Held};
use super::{Net, PATIENCE};

/// How often something is looked at again.
const PAUSE: Duration = Duration::from_millis(20);
/// What alice, bob and carol hold together, in minor units.
const SUPPLY: u128 = 300_000_000;

/// What was found.
pub struct Judged {
    /// Blocks.
    pub head: u64,
    /// Receipts that the clients hold.
    pub receipts: usize,
    /// Positions that were skipped because their id had been executed before.
    pub skipped: usize,
}

/// Ends the load and judges the chain as a whole. `others` is how many transactions of other senders may have executed, or not.
pub fn judge(net: &Net, clients: &mut Clients, others: usize) -> Judged {
    clients.end();
    let held = std::mem::take(&mut *clients.held());
    let height = held.iter().map(|held| held.receipt.header.height.get()).max().unwrap();
    net.wait_equal(height, &[]);
    let head = net.height();
    let chains: Vec<Vec<BlockResponse>> = thread::scope(|scope| {
        let threads: Vec<_> = net.nodes().into_iter().map(|node| scope.spawn(move || chain(&node, head))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for chain in &chains[1..] {
        assert_eq!(chain.len(), chains[0].len());
        for (one, other) in chain.iter().zip(&chains[0]) {
            assert_eq!((one.hash, &one.transactions), (other.hash, &other.transactions), "{}", one.height);
        }
    }
    assert!(chains[0].windows(2).all(|two| two[0].header.time <= two[1].header.time), "block time goes back");
    let skipped = once_each(&chains[0], &held, others);
    for Held { receipt, .. } in &held {
        receipt::check(receipt, clients.genesis(), Some(receipt.position.id)).unwrap();
    }
    assert_balances(net, clients, &held);
    Judged { head, receipts: held.len(), skipped }
}

/// Every account holds, at every node, what the receipts add up to.
fn assert_balances(net: &Net, clients: &Clients, held: &[Held]) {
    let accounts = clients.accounts();
    let mut expected = vec![FUNDS; accounts.len()];
    for Held { sender, amount, .. } in held {
        expected[*sender] -= amount;
        expected[clients.receiver(*sender)] += amount;
    }
    let ready = ["alice", "bob", "carol"].map(|name| net.key(name).public_key().to_string());
    for node in net.nodes() {
        let balance = |account: &str| node.account(account).unwrap().balances[0].minor;
        for (account, expected) in accounts.iter().zip(&expected) {
            assert_eq!(balance(&account.to_string()), *expected, "{}", node.name());
        }
        assert_eq!(ready.iter().map(|account| balance(account)).sum::<u128>(), SUPPLY, "{}", node.name());
    }
}

/// The blocks of a node, from the first.
fn chain(node: &Node, head: u64) -> Vec<BlockResponse> {
    let end = Instant::now() + PATIENCE;
    let block = |height: u64| loop {
        match node.block(&height.to_string()) {
            Ok(block) => break block,
            Err(error @ CallError::Nonsense(_)) => panic!("{}: {error}", node.name()),
            Err(error) => assert!(Instant::now() < end, "{} lost block {height}: {error}", node.name()),
        }
        thread::sleep(PAUSE);
    };
    (1..=head).map(block).collect()
}

/// No id is executed in two places, every receipt is at its place, and nothing was executed that no client knows of.
/// Returns how many positions were skipped because their id had been executed before.
fn once_each(chain: &[BlockResponse], held: &[Held], others: usize) -> usize {
    let (mut places, mut skipped) = (BTreeMap::<TransactionId, (u64, u32)>::new(), 0);
    for block in chain {
        for position in &block.transactions {
            if position.outcome.is_executed() {
                let before = places.insert(position.id, (block.height.get(), position.index));
                assert_eq!(before, None, "{} is executed twice, again in {}", position.id, block.height);
            } else {
                assert_eq!(position.outcome, Outcome::Skipped(SkipReason::Duplicate));
                skipped += 1;
            }
        }
    }
    for Held { receipt, .. } in held {
        let place = places.remove(&receipt.position.id);
        assert_eq!(place, Some((receipt.header.height.get(), receipt.index)), "{}", receipt.position.id);
    }
    // The first transfer of every testnet, and what registered the clients.
    let unknown = places.len();
    assert!((2..=2 + others).contains(&unknown), "{unknown} were executed and no client has the receipt");
    skipped
}
