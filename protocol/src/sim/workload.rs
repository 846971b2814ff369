//! Clients: transfers that should apply, some that must fail, and some that come too late.

use super::clock::WALL_ORIGIN;
use super::genesis::{Account, Accounts, FUNDS, usd};
use super::random::Random;
use super::world::World;
use crate::document::{Operation, SignedTransaction, Transaction};
use crate::id::{ChainId, Height, NodeIndex, TransactionId};
use crate::time::UnixMillis;
use quorate_crypto::{BoundedString, BoundedVec, PublicKey};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a client means its transaction to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A transfer that its sender can afford.
    Payment,
    /// A transfer of more than there is.
    Overdraft,
    /// A transfer that is valid for so short that a stall outlives it.
    ShortLived,
    /// A transfer that has expired before it is sent.
    Expired,
    /// A transfer of somebody who is no member.
    Stranger,
}

impl Kind {
    /// Whether every node that is asked for the first time must refuse it.
    const fn is_refused(self) -> bool {
        matches!(self, Kind::Expired | Kind::Stranger)
    }

    const fn valid_for(self) -> Duration {
        match self {
            Kind::ShortLived => Duration::from_millis(400),
            _ => Duration::from_secs(30),
        }
    }
}

/// A transaction that a client has signed.
#[derive(Clone, Debug)]
struct Submission {
    transaction: SignedTransaction,
    kind: Kind,
    /// The certified block that has executed it, or whose time has passed it.
    settled: Option<Height>,
}

/// All clients of a world.
#[derive(Clone, Debug)]
pub struct Workload {
    random: Random,
    chain_id: ChainId,
    salt: u64,
    submissions: BTreeMap<TransactionId, Submission>,
}

impl Workload {
    /// Clients of a chain.
    #[must_use]
    pub fn new(random: Random, chain_id: ChainId) -> Self {
        Workload { random, chain_id, salt: 0, submissions: BTreeMap::new() }
    }

    /// How many transactions have been signed.
    #[must_use]
    pub fn submitted(&self) -> usize {
        self.submissions.len()
    }

    /// A client signs a transaction of a random kind and gives it to a random node that is up, sometimes to two.
    pub fn submit_one(&mut self, world: &mut World) {
        let kind = match self.random.below(100) {
            0..=5 => Kind::Overdraft,
            6..=11 => Kind::ShortLived,
            12..=14 => Kind::Expired,
            15..=16 => Kind::Stranger,
            _ => Kind::Payment,
        };
        let transaction = self.sign(world, kind);
        let up: Vec<NodeIndex> = world.indices().into_iter().filter(|node| world.is_up(*node)).collect();
        let copies = if self.random.chance(150) { 2 } else { 1 };
        for _ in 0..copies {
            if let Some(node) = self.random.pick(&up) {
                world.submit(*node, &transaction);
            }
        }
        self.submissions.insert(transaction.id(), Submission { transaction, kind, settled: None });
    }

    fn sign(&mut self, world: &World, kind: Kind) -> SignedTransaction {
        let accounts = world.accounts();
        let [from, to] = self.two(accounts);
        let from = if kind == Kind::Stranger { accounts.stranger() } else { from };
        let amount = if kind == Kind::Overdraft { FUNDS * 100 } else { u128::from(self.random.between(1, 9)) };
        let valid_until = match kind {
            Kind::Expired => WALL_ORIGIN,
            _ => world.clock().wall() + kind.valid_for().as_millis() as UnixMillis,
        };
        self.salt += 1;
        transfer(self.chain_id, from, to.address, amount, valid_until, self.salt)
    }

    fn two<'a>(&mut self, accounts: &'a Accounts) -> [&'a Account; 2] {
        [(); 2].map(|()| self.random.pick(accounts.funded()).expect("there are eight"))
    }

    /// Looks at what a node has certified, and notes which transactions are executed or have expired by it.
    pub fn look(&mut self, world: &World, node: NodeIndex) {
        let Some((height, time)) = certified_head(world, node) else { return };
        for (id, submission) in self.submissions.iter_mut().filter(|(_, submission)| submission.settled.is_none()) {
            let executed = world.executed(node, id).filter(|executed| *executed <= height);
            let expired = (time >= submission.transaction.valid_until()).then_some(height);
            submission.settled = executed.or(expired);
        }
    }

    /// How many transactions have neither been executed nor expired by a certified block, nor been refused by every
    /// node.
    #[must_use]
    pub fn open(&self, world: &World) -> usize {
        self.submissions.values().filter(|submission| !is_settled(submission, world)).count()
    }

    /// Clients try again: every open transaction goes to every node.
    pub fn retry(&mut self, world: &mut World) {
        let open: Vec<SignedTransaction> = self
            .submissions
            .values()
            .filter(|submission| !is_settled(submission, world))
            .map(|submission| submission.transaction.clone())
            .collect();
        for transaction in open {
            for node in world.indices() {
                world.submit(node, &transaction);
            }
        }
    }

    /// How many transactions a node has executed.
    #[must_use]
    pub fn executed(&self, world: &World, node: NodeIndex) -> usize {
        self.submissions.keys().filter(|id| world.executed(node, id).is_some()).count()
    }

    /// A transaction that was executed though it had expired, or though its sender is no member.
    #[must_use]
    pub fn misjudged(&self, world: &World, node: NodeIndex) -> Option<(TransactionId, Kind)> {
        let executed = |id: &TransactionId| world.executed(node, id).is_some();
        let wrong = self.submissions.iter().find(|(id, submission)| submission.kind.is_refused() && executed(id));
        wrong.map(|(id, submission)| (*id, submission.kind))
    }
}

/// Settled by the chain; or refused by every node, and then no node waits for it either.
fn is_settled(submission: &Submission, world: &World) -> bool {
    let id = submission.transaction.id();
    let refused = |node: NodeIndex| matches!(world.admission(node, &id), Some(Err(_)));
    submission.settled.is_some() || world.indices().into_iter().all(refused)
}

/// The highest height that a node holds a certificate of, and that block's time.
fn certified_head(world: &World, node: NodeIndex) -> Option<(Height, UnixMillis)> {
    let heights = (1..=world.height(node).0).rev().map(Height);
    let height = heights.into_iter().find(|height| world.is_certified(node, *height))?;
    world.header(node, height).map(|header| (height, header.time))
}

/// A signed transfer of the world's asset; `valid_until` in Unix milliseconds.
///
/// # Panics
///
/// Never: one operation is within the bounds.
#[must_use]
pub fn transfer(
    chain_id: ChainId,
    from: &Account,
    to: PublicKey,
    amount: u128,
    valid_until: UnixMillis,
    salt: u64,
) -> SignedTransaction {
    let mut operations = BoundedVec::new();
    operations.push(Operation::Transfer { to, code: usd(), amount }).expect("one operation");
    let memo = BoundedString::default();
    let transaction = Transaction { chain_id, sender: from.address, valid_until, salt, operations, memo };
    SignedTransaction::sign(transaction, &from.key)
}
