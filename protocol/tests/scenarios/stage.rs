//! What all scenarios need: worlds that differ by their seed, payments, and the promises to look at in the end.

use quorate_protocol::document::SignedTransaction;
use quorate_protocol::id::{Height, NodeIndex, TransactionId};
use quorate_protocol::sim::{Link, World, WorldConfig, transfer};
use std::time::Duration;

pub const V0: NodeIndex = NodeIndex(0);
pub const V1: NodeIndex = NodeIndex(1);
pub const V2: NodeIndex = NodeIndex(2);
pub const V3: NodeIndex = NodeIndex(3);

/// How long links take once everything is well again.
pub const WELL: Duration = Duration::from_millis(2);

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A world, and every payment that was made in it.
pub struct Stage {
    pub world: World,
    pub payments: Vec<TransactionId>,
    /// The same as their clients keep them, to try again.
    pub transactions: Vec<SignedTransaction>,
}

impl Stage {
    /// `n` validators on links whose delays, up to 5 ms, differ by the seed.
    pub fn new(n: usize, seed: u64) -> Stage {
        Stage::with(n, seed, |_| ())
    }

    /// The same with something else in how the world begins.
    pub fn with(n: usize, seed: u64, change: impl FnOnce(&mut WorldConfig)) -> Stage {
        let mut config = WorldConfig::hasty(n, seed);
        config.link = Link { delay_max: ms(5), ..Link::exact(Duration::from_micros(200)) };
        change(&mut config);
        let mut stage = Stage { world: World::new(config), payments: Vec::new(), transactions: Vec::new() };
        stage.world.run_for(ms(20));
        stage
    }

    /// One payment of a client, given to this node.
    pub fn pay(&mut self, to: NodeIndex) -> TransactionId {
        let salt = self.transactions.len() as u64;
        let accounts = self.world.accounts();
        let payer = &accounts.funded()[salt as usize % 7];
        let payee = accounts.get("heidi").expect("she is there").address;
        let valid_until = self.world.clock().wall() + 100_000;
        let payment = transfer(self.world.genesis().chain_id(), payer, payee, 1, valid_until, salt);
        self.world.submit(to, &payment);
        self.payments.push(payment.id());
        self.transactions.push(payment);
        self.payments[self.payments.len() - 1]
    }

    /// Clients try again: every payment, the same bytes, goes to this node.
    pub fn retry(&mut self, to: NodeIndex) {
        for payment in &self.transactions {
            self.world.submit(to, payment);
        }
    }

    /// So many payments, one every five milliseconds, given to these nodes in turn.
    pub fn pay_many(&mut self, count: usize, to: &[NodeIndex]) {
        for turn in 0..count {
            self.pay(to[turn % to.len()]);
            self.world.run_for(ms(5));
        }
    }

    /// Whether all payments are executed and certified at this node.
    pub fn is_settled(&self, node: NodeIndex) -> bool {
        let world = &self.world;
        let is_certified = |height: Height| world.is_certified(node, height);
        self.payments.iter().all(|id| world.executed(node, id).is_some_and(is_certified))
    }

    /// LV: everything is settled at every correct node within the bound; then all promises are looked at.
    pub fn must_settle(&mut self) {
        let bound = quorate_protocol::sim::liveness::bound(&self.world, WELL, self.payments.len());
        self.must_settle_within(bound);
        self.world.finish();
        self.must_keep_promises();
    }

    pub fn must_settle_within(&mut self, time: Duration) {
        let deadline = self.world.clock().now() + time;
        while self.world.clock().now() < deadline && self.world.violation().is_none() {
            if self.world.correct().into_iter().all(|node| self.is_settled(node)) {
                return;
            }
            self.world.run_for(ms(10));
        }
        self.must_keep_promises();
        panic!("not settled within {time:?}:\n{}", self.world.trace().tail(100));
    }

    pub fn must_keep_promises(&self) {
        if let Some(violation) = self.world.violation() {
            panic!("seed {}: {violation}\n{}", self.world.config().seed, self.world.trace().tail(100));
        }
    }

    /// The height of every node.
    pub fn heights(&self) -> Vec<Height> {
        self.world.indices().into_iter().map(|node| self.world.height(node)).collect()
    }

    /// The highest view that a correct node is in.
    pub fn view(&self) -> u64 {
        let views = self.world.correct().into_iter().filter_map(|node| self.world.status(node));
        views.map(|status| status.engine.view.0).max().unwrap_or_default()
    }
}

/// Plays a scenario once for each of so many seeds; `QUORATE_SCENARIO_SEEDS=FIRST..LAST` chooses others.
///
/// # Panics
///
/// Where the scenario fails, with its seed.
pub fn for_seeds(count: u64, mut scenario: impl FnMut(u64)) {
    let seeds = match std::env::var("QUORATE_SCENARIO_SEEDS") {
        Ok(text) => {
            let (first, last) = text.split_once("..").expect("QUORATE_SCENARIO_SEEDS is FIRST..LAST");
            first.parse().expect("a number")..last.parse().expect("a number")
        }
        Err(_) => 0..count,
    };
    seeds.for_each(&mut scenario);
}
