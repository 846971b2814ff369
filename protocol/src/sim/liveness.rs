//! The second phase of a plan: what is promised once a quorum of correct nodes is whole again (LV).
//!
//! The network heals between correct nodes, and those that are down start. Everything else stays as it is: liars lie on,
//! the dead stay dead, cut links to the faulty stay cut, an amnesiac does not vote. Clients are silent. From then on
//! everything that an honest client sent and that a correct node still has in its pool must be settled, all correct nodes
//! must reach one certified height, and one more transaction must go through, each within [`bound`].

use super::config::WorldConfig;
use super::disk::Unsynced;
use super::network::Link;
use super::payment::transfer;
use super::workload::Workload;
use super::world::World;
use crate::document::SignedTransaction;
use crate::id::{Height, NodeIndex};
use std::sync::OnceLock;
use std::time::Duration;

/// LV's constant c (PROTOCOL 10).
const LINK_DELAYS: u32 = 30;

/// How long a source of blocks may keep a laggard waiting before another is asked.
const SOURCE_PATIENCE: Duration = Duration::from_millis(1_100);

/// How often the world is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Whether this engine changes views: tried out once, on a primary that is dead.
#[must_use]
pub fn views_change() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let mut world = World::new(WorldConfig { keep_trace: false, ..WorldConfig::hasty(4, 0) });
        world.crash(NodeIndex(0), Unsynced::Lost);
        let payment = probe(&world);
        world.submit(NodeIndex(1), &payment);
        world.run_within(Duration::from_secs(20), |world| world.executed(NodeIndex(2), &payment.id()).is_some())
    })
}

/// Whether nodes learn what others have pending and gossip lost (PROTOCOL 4.6): tried out once, on two nodes without a
/// quorum.
#[must_use]
pub fn pools_are_repaired() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let mut world = World::new(WorldConfig { keep_trace: false, ..WorldConfig::hasty(4, 0) });
        let (knows, learns) = (NodeIndex(1), NodeIndex(2));
        world.crash(NodeIndex(0), Unsynced::Lost);
        world.crash(NodeIndex(3), Unsynced::Lost);
        world.network_mut().partition(&[knows]);
        let payment = probe(&world);
        world.submit(knows, &payment);
        world.run_for(Duration::from_millis(50));
        world.network_mut().mend();
        let has_learnt =
            |world: &World| world.replica(learns).is_some_and(|replica| replica.pool().contains(&payment.id()));
        world.run_within(Duration::from_secs(10), has_learnt)
    })
}

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
    if !views_change() {
        return settle_with_nudges(world, workload);
    }
    // Restarted nodes read what they have; then everything that they wait for is owed.
    world.run_for(LOOK);
    if !pools_are_repaired() {
        workload.retry(world);
    }
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
    go_on(world, workload, bound(world, delay, 0))
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

/// Everything is settled, and the chain is alive: one more transaction, given to one node.
fn go_on(world: &mut World, workload: &mut Workload, within: Duration) -> Result<(), String> {
    let correct = world.correct();
    let node = correct[world.config().seed as usize % correct.len()];
    let payment = probe(world);
    world.submit(node, &payment);
    let is_done = |world: &mut World, _: &mut Workload| {
        let executed = |node: NodeIndex| world.executed(node, &payment.id());
        world.correct().into_iter().all(|node| executed(node).is_some_and(|height| world.is_certified(node, height)))
    };
    match look_until(world, workload, within, is_done) {
        true => Ok(()),
        false => Err(format!("a last transaction, given to {node}, is not settled{}", whereabouts(world))),
    }
}

fn probe(world: &World) -> SignedTransaction {
    let accounts = world.accounts();
    let [payer, payee, ..] = accounts.funded() else { unreachable!("there are eight of them") };
    let valid_until = world.clock().wall() + 30_000;
    transfer(world.genesis().chain_id(), payer, payee.address, 1, valid_until, u64::MAX)
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

/// While views cannot change, a lost claim is not sent again: clients try every second until all is settled.
fn settle_with_nudges(world: &mut World, workload: &mut Workload) -> Result<(), String> {
    let first = world.correct()[0];
    let mut retry_at = world.clock().now();
    let is_done = |world: &mut World, workload: &mut Workload| {
        if world.clock().now() >= retry_at {
            workload.retry(world);
            retry_at = retry_at + Duration::from_secs(1);
        }
        workload.look(world, first);
        workload.open(world) == 0
    };
    if !look_until(world, workload, Duration::from_secs(30), is_done) {
        let open = workload.open(world);
        return Err(format!("{open} transactions are neither executed nor certified expired{}", whereabouts(world)));
    }
    converge(world, workload, Duration::from_secs(30))?;
    go_on(world, workload, Duration::from_secs(30))
}
