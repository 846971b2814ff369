//! Clients: transfers that should apply, some that must fail, and some that come too late.

use super::clock::WALL_ORIGIN;
use super::genesis::FUNDS;
use super::payment::transfer;
use super::random::Random;
use super::world::World;
use crate::document::SignedTransaction;
use crate::id::{Height, NodeIndex, TransactionId};
use crate::time::UnixMillis;
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
#[derive(Clone, Debug, Default)]
pub struct Workload {
    submissions: BTreeMap<TransactionId, Submission>,
}

impl Workload {
    /// How many transactions have been signed.
    #[must_use]
    pub fn submitted(&self) -> usize {
        self.submissions.len()
    }

    /// A client signs a transaction of a random kind and gives it to a random node that is up, sometimes to two. All that
    /// is random about it follows from `seed`.
    pub fn submit_one(&mut self, world: &mut World, seed: u64) {
        let mut random = Random::new(seed);
        let kind = match random.below(100) {
            0..=5 => Kind::Overdraft,
            6..=11 => Kind::ShortLived,
            12..=14 => Kind::Expired,
            15..=16 => Kind::Stranger,
            _ => Kind::Payment,
        };
        let transaction = sign(world, kind, seed, &mut random);
        let up: Vec<NodeIndex> = world.indices().into_iter().filter(|node| world.is_up(*node)).collect();
        let copies = if random.chance(150) { 2 } else { 1 };
        for _ in 0..copies {
            if let Some(node) = random.pick(&up) {
                world.submit(*node, &transaction);
            }
        }
        self.submissions.insert(transaction.id(), Submission { transaction, kind, settled: None });
    }

    /// A client gives a payment to a node.
    pub fn submit(&mut self, world: &mut World, node: NodeIndex, payment: &SignedTransaction) {
        world.submit(node, payment);
        let submission = Submission { transaction: payment.clone(), kind: Kind::Payment, settled: None };
        self.submissions.insert(payment.id(), submission);
    }

    /// What a correct node that is up has in its pool: all of it must be settled some day.
    #[must_use]
    pub fn owed(&self, world: &World) -> Vec<TransactionId> {
        let replicas: Vec<_> = world.correct().into_iter().filter_map(|node| world.replica(node)).collect();
        let is_pending = |id: &TransactionId| replicas.iter().any(|replica| replica.pool().contains(id));
        self.submissions.keys().copied().filter(is_pending).collect()
    }

    /// How many of these are neither executed nor expired by a certified block, as far as [`Workload::look`] has seen.
    #[must_use]
    pub fn open_among(&self, ids: &[TransactionId]) -> usize {
        let is_open = |id: &&TransactionId| self.submissions.get(*id).is_some_and(|held| held.settled.is_none());
        ids.iter().filter(is_open).count()
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
        let open = self.submissions.values().filter(|submission| !is_settled(submission, world));
        let open: Vec<SignedTransaction> = open.map(|submission| submission.transaction.clone()).collect();
        for transaction in open {
            for node in world.indices() {
                world.submit(node, &transaction);
            }
        }
    }

    /// Clients try a last time, each with f + 1 nodes, and fall silent.
    pub fn retry_with_a_few(&mut self, world: &mut World) {
        let few = world.genesis().validators.weak_quorum();
        let open = self.submissions.values().filter(|submission| !is_settled(submission, world));
        let open: Vec<SignedTransaction> = open.map(|submission| submission.transaction.clone()).collect();
        for transaction in open {
            let up: Vec<NodeIndex> = world.indices().into_iter().filter(|node| world.is_up(*node)).collect();
            let first = usize::from(transaction.id().as_bytes()[0]);
            for node in up.iter().cycle().skip(first).take(few.min(up.len())) {
                world.submit(*node, &transaction);
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

fn sign(world: &World, kind: Kind, salt: u64, random: &mut Random) -> SignedTransaction {
    let accounts = world.accounts();
    let [from, to] = [(); 2].map(|()| random.pick(accounts.funded()).expect("there are eight"));
    let from = if kind == Kind::Stranger { accounts.stranger() } else { from };
    let amount = if kind == Kind::Overdraft { FUNDS * 100 } else { u128::from(random.between(1, 9)) };
    let valid_until = match kind {
        Kind::Expired => WALL_ORIGIN,
        _ => world.clock().wall() + kind.valid_for().as_millis() as UnixMillis,
    };
    transfer(world.genesis().chain_id(), from, to.address, amount, valid_until, salt)
}

/// Settled by the chain; or refused by every correct node, and then no node waits for it either.
fn is_settled(submission: &Submission, world: &World) -> bool {
    let id = submission.transaction.id();
    let refused = |node: NodeIndex| matches!(world.admission(node, &id), Some(Err(_)));
    submission.settled.is_some() || world.correct().into_iter().all(refused)
}

/// The highest height that a node holds a certificate of, and that block's time.
fn certified_head(world: &World, node: NodeIndex) -> Option<(Height, UnixMillis)> {
    let heights = (1..=world.height(node).0).rev().map(Height);
    let height = heights.into_iter().find(|height| world.is_certified(node, *height))?;
    world.header(node, height).map(|header| (height, header.time))
}
