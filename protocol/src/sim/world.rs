//! A world: replicas, their disks and the network between them, moved by one queue of events.

use super::byzantine::Forge;
use super::clock::Clock;
use super::config::WorldConfig;
use super::disk::Disk;
use super::event::{Event, Queue};
use super::flight::{Fate, InFlight};
use super::genesis::{self, Accounts};
use super::happened::Happened;
use super::invariants::{self, Observation, Violation};
use super::network::Network;
use super::node::{Node, Running};
use super::random::Random;
use super::trace::Trace;
use super::watch::Watch;
use crate::api::code::Code;
use crate::document::{Genesis, SignedTransaction};
use crate::id::{NodeIndex, TransactionId};
use crate::pbft;
use crate::pbft::message::VerifyContext;
use crate::pool::Admitted;
use crate::replica::PeerMessage;
use crate::store::{MemoryStore, Store};
use crate::time::Instant;
use quorate_crypto::{Digest, Signature, Verified, Verifier};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Decides what becomes of a message on its way.
pub(super) type Interceptor = Box<dyn FnMut(&InFlight<'_>) -> Fate + Send>;

/// A seeded world. See the documentation of [`super`].
pub struct World {
    pub(super) config: WorldConfig,
    pub(super) genesis: Genesis,
    pub(super) accounts: Accounts,
    pub(super) context: VerifyContext,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    pub(super) events: Queue,
    pub(super) verifier: Verifier,
    /// Transactions whose signatures have been checked once for all nodes; `None` for a bad one.
    pub(super) verified: BTreeMap<(TransactionId, Signature), Option<Verified<SignedTransaction>>>,
    /// Messages whose signatures have been checked once for all nodes, by the hash of their bytes; `None` for a bad one.
    pub(super) messages: BTreeMap<Digest, Option<Arc<Verified<PeerMessage>>>>,
    pub(super) admissions: BTreeMap<(TransactionId, NodeIndex), Result<Admitted, Code>>,
    pub(super) watch: Watch,
    pub(super) trace: Trace,
    pub(super) forge: Forge,
    pub(super) interceptor: Option<Interceptor>,
    /// Messages and transactions of liars that did not verify, and so went no further than the edge.
    pub(super) dropped: u64,
    pub(super) happened: Happened,
    /// When the latest message over each link arrives.
    pub(super) latest: BTreeMap<(NodeIndex, NodeIndex), Instant>,
}

impl World {
    /// A world in which all nodes have just started.
    ///
    /// # Panics
    ///
    /// When `n` is not 1 to 31 or the parameters are not allowed.
    #[must_use]
    pub fn new(config: WorldConfig) -> Self {
        let mut random = Random::new(config.seed);
        let (genesis, keys, accounts) = genesis::of_world(&mut random, config.n, config.parameters.clone());
        let (chain_id, validators) = (genesis.chain_id(), genesis.validators.clone());
        let context = pbft::Config::new(chain_id, validators.clone(), None, &genesis.parameters).verify_context();
        let fresh = MemoryStore::new();
        fresh.initialize(&genesis).expect("an empty store takes a genesis");
        let node = |(index, key)| {
            let index = NodeIndex(index);
            Node::new(index, index.to_string(), key, Disk::new(fresh.clone()))
        };
        let friend = accounts.friend().clone();
        let payee = accounts.funded()[0].address;
        let mut world = World {
            clock: Clock::new(config.n),
            network: Network::new(config.n, config.link),
            nodes: (0..).zip(keys).map(node).collect(),
            verifier: Verifier::new(random.bytes32(), 256),
            watch: Watch::new(invariants::all(&genesis)),
            trace: Trace::new(config.keep_trace),
            forge: Forge::new(chain_id, validators, friend, payee, Random::new(!config.seed)),
            events: Queue::default(),
            verified: BTreeMap::new(),
            messages: BTreeMap::new(),
            admissions: BTreeMap::new(),
            interceptor: None,
            dropped: 0,
            happened: Happened::default(),
            latest: BTreeMap::new(),
            config,
            genesis,
            accounts,
            context,
            random,
        };
        for node in world.indices() {
            world.restart(node);
        }
        world
    }

    /// The time of the next event.
    #[must_use]
    pub fn next_event_at(&self) -> Option<Instant> {
        self.events.next_at()
    }

    /// Lets the next event happen; false when there is none, or a promise is broken.
    pub fn step(&mut self) -> bool {
        if self.watch.violation().is_some() {
            return false;
        }
        let Some((time, event)) = self.events.take() else { return false };
        self.clock.advance_to(time);
        self.happen(event);
        true
    }

    /// Lets everything happen that is due within `duration` from now.
    pub fn run_for(&mut self, duration: Duration) {
        let deadline = self.clock.now() + duration;
        self.run_until(deadline, |_| false);
    }

    /// Lets events happen until the condition holds (true) or nothing more is due by `deadline` (false, and the time is
    /// then the deadline). The condition is asked before every event.
    pub fn run_until(&mut self, deadline: Instant, mut condition: impl FnMut(&World) -> bool) -> bool {
        loop {
            if condition(self) {
                return true;
            }
            if self.next_event_at().is_none_or(|time| time > deadline) || !self.step() {
                self.clock.advance_to(deadline);
                return false;
            }
        }
    }

    /// As [`World::run_until`], counted from now.
    pub fn run_within(&mut self, duration: Duration, condition: impl FnMut(&World) -> bool) -> bool {
        let deadline = self.clock.now() + duration;
        self.run_until(deadline, condition)
    }

    pub(super) fn schedule(&mut self, delay: Duration, event: Event) {
        self.events.put(self.clock.now() + delay, event);
    }

    pub(super) fn draw(&mut self, (low, high): super::config::Delay) -> Duration {
        self.random.duration(low, high)
    }

    pub(super) fn lives(&self, node: NodeIndex, life: u32) -> bool {
        let node = self.node(node);
        node.running.is_some() && node.life == life
    }

    pub(super) fn node(&self, node: NodeIndex) -> &Node {
        &self.nodes[node.as_usize()]
    }

    pub(super) fn node_mut(&mut self, node: NodeIndex) -> &mut Node {
        &mut self.nodes[node.as_usize()]
    }

    pub(super) fn running_mut(&mut self, node: NodeIndex) -> Option<&mut Running> {
        self.nodes[node.as_usize()].running.as_mut()
    }

    pub(super) fn note(&mut self, node: NodeIndex, what: std::fmt::Arguments<'_>) {
        let World { trace, clock, nodes, .. } = self;
        let label = &nodes[node.as_usize()].label;
        trace.push(clock.now(), format_args!("{label}       {what}"));
    }

    pub(super) fn say(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.push(self.clock.now(), what);
    }

    /// Shows something to the checkers.
    pub(super) fn observe(&mut self, observation: Observation<'_>) {
        let broken = self.watch.show(observation);
        self.break_promise(broken);
    }

    pub(super) fn break_promise(&mut self, violation: Option<Violation>) {
        let Some(violation) = violation else { return };
        self.say(format_args!("{violation}"));
        self.watch.keep(violation);
    }
}
