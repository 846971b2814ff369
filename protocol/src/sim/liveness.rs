//! The second phase of a plan: what is promised once a quorum of correct nodes is whole again (LV).
//!
//! The network heals between correct nodes, and those that are down start. Everything else stays as it is: liars lie on,
//! the dead stay dead, cut links to the faulty stay cut, an amnesiac does not vote. Clients are silent. From then on
//! everything that an honest client sent and that a correct node still has in its pool must be settled, all correct nodes
//! must reach one certified height, and more transactions must go through, each within [`bound`].

use super::network::Link;
use super::payment::transfer;
use super::unsynced::Unsynced;
use super::workload::Workload;
use super::world::World;
use crate::document::SignedTransaction;
use crate::id::{Height, NodeIndex};
use std::time::Duration;

/// LV's constant c (PROTOCOL 10).
const LINK_DELAYS: u32 = 30;

/// How long a source of blocks may keep a laggard waiting before another is asked.
const SOURCE_PATIENCE: Duration = Duration::from_millis(1_100);

/// How many transactions every world executes, those of the first phase included.
const EXECUTED_MIN: usize = 100;

/// How often the world is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long correct nodes may take after healing: (f + 1) times the longest view timeout, 30 link delays, and what honest
/// work takes: the pace of STATUS and of claims, a bad source of blocks for each liar, and `blocks` executed one by one.
#[must_use]
pub fn bound(world: &World, delay: Duration, blocks: usize) -> Duration {
    let config = world.config();
    let f = world.genesis().validators.f() as u32;
    let timeouts = Duration::from_millis(config.parameters.view_timeout_max_ms) * (f + 1);
    let pace = config.status_interval_idle * 3 + config.status_interval * 6;
    let claims = Duration::from_millis(config.parameters.forward_timeout_ms) * 2;
    let per_block = config.execution.1 + (config.sync.1 + config.release.1) * 4 + delay * 4;
    timeouts + delay * LINK_DELAYS + pace + claims + SOURCE_PATIENCE * (f + 1) + per_block * (blocks as u32 + 4)
}

impl World {
    /// Heals what can heal: see the documentation of this file. Links between correct nodes take `delay` from here on.
    pub fn heal_correct(&mut self, delay: Duration) {
        self.say(format_args!("everything heals that can heal"));
        let correct = self.correct();
        for from in &correct {
            self.clock.set_drift(*from, 0);
            for to in &correct {
                let link = self.network.link(*from, *to);
                *self.network.link_mut(*from, *to) = Link::exact(delay);
                if link.is_cut && from != to {
                    self.reconnect(*from, *to);
                }
            }
        }
        for node in correct {
            if self.halted(node).is_some() {
                self.repair(node);
                self.crash(node, Unsynced::Lost);
            }
            self.repair(node);
            self.restart(node);
        }
    }

    /// Whether every correct node holds a certificate at or above this height.
    #[must_use]
    pub fn all_certified(&self, height: Height) -> bool {
        let is_certified =
            |node| (height.0..=self.height(node).0).any(|at| at == 0 || self.is_certified(node, Height(at)));
        self.correct().into_iter().all(is_certified)
    }

    fn highest(&self) -> Height {
        self.correct().into_iter().map(|node| self.height(node)).max().unwrap_or_default()
    }
}

/// Lives through the second phase. What was not done in time, for people.
pub(super) fn settle(world: &mut World, workload: &mut Workload, delay: Duration) -> Result<(), String> {
    world.heal_correct(delay);
    if world.correct().len() < world.genesis().validators.quorum() {
        return Err("the plan is wrong: fewer than a quorum of nodes is correct".to_owned());
    }
    // Restarted nodes read what they have; then everything that they wait for is owed.
    world.run_for(LOOK);
    let owed = workload.owed(world);
    let first = world.correct()[0];
    let within = bound(world, delay, owed.len());
    let is_settled = |world: &mut World, workload: &mut Workload| {
        workload.look(world, first);
        workload.open_among(&owed) == 0
    };
    if !look_until(world, workload, within, is_settled) {
        let open = workload.open_among(&owed);
        return Err(format!(
            "{open} of {} transactions are not settled within {within:?}{}",
            owed.len(),
            whereabouts(world)
        ));
    }
    converge(world, workload, bound(world, delay, 0))?;
    go_on(world, workload, delay)
}

fn look_until(
    world: &mut World,
    workload: &mut Workload,
    within: Duration,
    mut is_done: impl FnMut(&mut World, &mut Workload) -> bool,
) -> bool {
    let deadline = world.clock().now() + within;
    while world.violation().is_none() && world.clock().now() < deadline {
        world.run_for(LOOK);
        if is_done(world, workload) {
            return true;
        }
    }
    world.violation().is_some()
}

fn converge(world: &mut World, workload: &mut Workload, within: Duration) -> Result<(), String> {
    let height = world.highest();
    match look_until(world, workload, within, |world, _| world.all_certified(height)) {
        true => Ok(()),
        false => Err(format!("not all nodes hold certificates up to height {height}{}", whereabouts(world))),
    }
}

/// Everything is settled, and the chain is alive: more transactions, each given to one node, so many that every world has
/// executed [`EXECUTED_MIN`] of them.
fn go_on(world: &mut World, workload: &mut Workload, delay: Duration) -> Result<(), String> {
    let correct = world.correct();
    let executed = workload.executed(world, correct[0]);
    let payments: Vec<SignedTransaction> =
        (0..EXECUTED_MIN.saturating_sub(executed).max(1)).map(|number| late_payment(world, number)).collect();
    let first = world.config().seed as usize;
    for (number, payment) in payments.iter().enumerate() {
        workload.submit(world, correct[(first + number) % correct.len()], payment);
    }
    let within = bound(world, delay, payments.len());
    let is_done = |world: &mut World, _: &mut Workload| {
        let is_settled = |node: NodeIndex, payment: &SignedTransaction| {
            world.executed(node, &payment.id()).is_some_and(|height| world.is_certified(node, height))
        };
        world.correct().into_iter().all(|node| payments.iter().all(|payment| is_settled(node, payment)))
    };
    match look_until(world, workload, within, is_done) {
        true => Ok(()),
        false => Err(format!("{} last transactions are not all settled{}", payments.len(), whereabouts(world))),
    }
}

fn late_payment(world: &World, number: usize) -> SignedTransaction {
    let accounts = world.accounts().funded();
    let [payer, payee] = [0, 1].map(|next| &accounts[(number + next) % accounts.len()]);
    let valid_until = world.clock().wall() + 30_000;
    transfer(world.genesis().chain_id(), payer, payee.address, 1, valid_until, u64::MAX - number as u64)
}

fn whereabouts(world: &World) -> String {
    let place = |node: NodeIndex| match world.status(node) {
        Some(status) => {
            let view = if status.engine.active { "view" } else { "leaving for view" };
            format!("{node} at height {} in {view} {}", status.engine.executed, status.engine.view)
        }
        None => format!("{node} is down"),
    };
    let places: Vec<String> = world.correct().into_iter().map(place).collect();
    format!("; {}", places.join(", "))
}
