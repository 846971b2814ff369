//! What a test or a plan does to a world.

use super::byzantine::{Behaviour, DeafToItself, Liar};
use super::describe;
use super::disk::Disk;
use super::event::Event;
use super::flight::{Fate, InFlight};
use super::invariants::Observation;
use super::journal::Found;
use super::network::Link;
use super::node::Node;
use super::unsynced::Unsynced;
use super::world::World;
use crate::api::code::Code;
use crate::document::SignedTransaction;
use crate::id::NodeIndex;
use crate::pbft;
use crate::pool::Door;
use crate::replica::{Input, PeerMessage, ReplicaConfig};
use crate::store::{MemoryStore, Store};
use std::time::Duration;

impl World {
    /// A client gives a transaction to a node. What the node answers is found in [`World::admission`]; a node that is
    /// down answers nothing.
    pub fn submit(&mut self, to: NodeIndex, transaction: &SignedTransaction) {
        let id = transaction.id();
        if !self.is_up(to) {
            return;
        }
        let answer = match self.verify_transaction(transaction) {
            Err(code) => Err(code),
            Ok(_) if !self.is_member(to, transaction) => Err(Code::UnknownSender),
            Ok(verified) => Ok(verified),
        };
        let sender = self.accounts.name(transaction.sender());
        self.note(to, format_args!("gets transaction {} of {sender}", describe::short_id(&id)));
        match answer {
            Ok(verified) => self.handle(to, Input::Submitted { transactions: vec![verified], door: Door::Client }),
            Err(code) => self.admitted(to, id, Err(code)),
        }
    }

    /// Says something in the name of a machine: over its links, and verified by the receiver as everything is.
    pub fn send(&mut self, from: NodeIndex, to: NodeIndex, message: &PeerMessage) {
        if let Some(message) = self.pass_edge(from, message) {
            self.carry(from, to, &message);
        }
    }

    /// From here on every message is shown to `decide` before it takes to its link.
    pub fn intercept(&mut self, decide: impl FnMut(&InFlight<'_>) -> Fate + Send + 'static) {
        self.interceptor = Some(Box::new(decide));
    }

    /// Messages take to their links again as they are sent.
    pub fn stop_intercepting(&mut self) {
        self.interceptor = None;
    }

    /// From here on a node lies.
    pub fn corrupt(&mut self, node: NodeIndex, behaviour: Box<dyn Behaviour>) {
        self.note(node, format_args!("lies from here on"));
        self.distrust(node);
        let held = self.node_mut(node);
        held.behaviour = Some(behaviour);
        let (validator, key, life) = (held.validator, held.key.clone(), held.life);
        self.forge.learn(validator, key);
        self.schedule(Liar::TICK, Event::Tick { node, life });
    }

    /// A second machine begins with the key of a validator, and with an empty vote journal of its own. Both of them are
    /// honest but for not hearing each other's votes; no message passes from one to the other.
    ///
    /// # Panics
    ///
    /// When there is no such validator.
    pub fn add_twin(&mut self, of: NodeIndex) -> NodeIndex {
        self.happened.twins += 1;
        let twin = NodeIndex(self.nodes.len() as u8);
        let chain = MemoryStore::new();
        chain.initialize(&self.genesis).expect("an empty store takes a genesis");
        let (validator, label, key) = {
            let first = self.node(of);
            (first.validator, format!("{}'", first.label), first.key.clone())
        };
        self.nodes.push(Node::new(validator, label, key, Disk::new(chain)));
        self.network.grow(self.config.link);
        self.clock.grow();
        self.corrupt(of, Box::new(DeafToItself));
        self.restart(twin);
        self.corrupt(twin, Box::new(DeafToItself));
        twin
    }

    /// Nothing is held against the promises of this node any more: it counts among the f.
    pub(super) fn distrust(&mut self, node: NodeIndex) {
        let held = self.node_mut(node);
        held.standing.lies = true;
        held.standing.may_halt = true;
        let key = held.key.public_key();
        self.observe(Observation::Lies { node, key });
    }

    /// The node counts among the f from here on: healing leaves it as it is.
    pub fn give_up(&mut self, node: NodeIndex) {
        self.node_mut(node).standing.given_up = true;
    }

    /// Kills a node. What it had not synced is lost or kept as told.
    pub fn crash(&mut self, node: NodeIndex, unsynced: Unsynced) {
        let leads = self.leads(node);
        if self.node_mut(node).running.take().is_none() {
            return;
        }
        self.note(node, format_args!("crashes"));
        self.happened.crashes += 1;
        self.happened.primary_crashes += u64::from(leads);
        self.happened.unsynced_crashes += u64::from(self.node(node).disk.has_unsynced());
        self.node_mut(node).disk.crash(unsynced);
        if !self.is_lying(node) {
            let crashed = Observation::Crashed { node, store: &self.nodes[node.as_usize()].disk.store };
            let broken = self.watch.show(crashed);
            self.break_promise(broken);
        }
        self.tell_peers(node, |node, peer| Event::LinkDown { node: peer, peer: node });
    }

    /// Starts a node on what its disk holds. A running node goes on. One whose store cannot be read stays down, and is
    /// given up.
    ///
    /// # Panics
    ///
    /// When a disk that has never done anything wrong holds no chain: a fault of the program.
    pub fn restart(&mut self, node: NodeIndex) {
        if self.is_up(node) {
            return;
        }
        let (config, now) = (self.replica_config(node), self.clock.read(node));
        let World { nodes, genesis, .. } = self;
        let found = match nodes[node.as_usize()].start(config, genesis, now) {
            Ok(found) => found,
            Err(error) => {
                assert!(self.node(node).standing.may_halt, "a sound disk holds what was written: {error}");
                self.note(node, format_args!("does not start: {error}"));
                return self.give_up(node);
            }
        };
        let height = self.height(node);
        self.note(node, format_args!("starts at height {height}"));
        self.judge_journal(node, found);
        for peer in self.peers(node) {
            if self.is_up(peer) {
                let delay = self.draw(self.config.connect);
                self.schedule(delay, Event::LinkUp { node, peer });
                self.schedule(delay, Event::LinkUp { node: peer, peer: node });
            }
        }
        if self.node(node).behaviour.is_some() {
            let life = self.node(node).life;
            self.schedule(Liar::TICK, Event::Tick { node, life });
        }
        self.set_alarm(node);
    }

    fn judge_journal(&mut self, node: NodeIndex, found: Found) {
        if matches!(found, Found::Whole { .. }) && self.node_mut(node).standing.amnesiac.take().is_some() {
            // What was damaged lies below a certified height of its store by now, and matters no longer (7.3).
            let key = self.node(node).key.public_key();
            self.observe(Observation::Remembers { node, key });
        }
        match found {
            Found::Whole { cut: 0, .. } => {}
            Found::Whole { cut, .. } => {
                self.happened.torn += 1;
                self.note(node, format_args!("cuts {cut} from the end of its journal"));
            }
            Found::Amnesiac { reason } => {
                self.happened.amnesiacs += 1;
                self.note(node, format_args!("follows and serves, and does not vote: {reason}"));
                self.node_mut(node).standing.amnesiac = Some(reason);
                if let Some(running) = self.running_mut(node) {
                    // Nothing is ever written to a journal that cannot be trusted, so that it stays what it is.
                    running.journal_failed = true;
                }
                let key = self.node(node).key.public_key();
                self.observe(Observation::Amnesiac { node, key });
            }
        }
    }

    /// The connection between two machines broke and is made anew: both notice.
    pub fn reconnect(&mut self, first: NodeIndex, second: NodeIndex) {
        let delay = self.draw(self.config.connect);
        for (node, peer) in [(first, second), (second, first)] {
            self.schedule(delay, Event::LinkAgain { node, peer });
        }
    }

    /// Ends all cuts, makes every link deliver after `delay` without loss, and starts every node that is down.
    pub fn heal(&mut self, delay: Duration) {
        self.say(format_args!("everything heals"));
        self.network.set_all(Link::exact(delay));
        for node in self.machines() {
            self.restart(node);
        }
    }

    /// Has every checker look at the end of the world, in which all correct nodes have caught up.
    pub fn finish(&mut self) {
        let correct = self.correct();
        let height = correct.iter().map(|node| self.height(*node)).min().unwrap_or_default();
        let store = |node: NodeIndex| (node, &self.nodes[node.as_usize()].disk.store as &dyn Store);
        // What is rotten cannot be read, and says nothing.
        let is_sound = |node: &NodeIndex| self.node(*node).disk.store.is_sound();
        let stores: Vec<(NodeIndex, &dyn Store)> = correct.into_iter().filter(is_sound).map(store).collect();
        let broken = self.watch.show(Observation::Ended { stores: &stores, height, genesis: &self.genesis });
        self.break_promise(broken);
    }

    /// Gives a node a disk on which nothing has ever happened: a lie that no honest disk tells.
    #[cfg(test)]
    pub(super) fn replace_disk(&mut self, node: NodeIndex) {
        let fresh = MemoryStore::new();
        fresh.initialize(&self.genesis).expect("an empty store takes a genesis");
        self.node_mut(node).disk = Disk::new(fresh);
    }

    /// The machines that a machine has links with: all but those with its own key.
    pub(super) fn peers(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let own = self.node(node).validator;
        self.machines().into_iter().filter(|peer| self.node(*peer).validator != own).collect()
    }

    fn tell_peers(&mut self, node: NodeIndex, event: impl Fn(NodeIndex, NodeIndex) -> Event) {
        for peer in self.peers(node) {
            if self.is_up(peer) {
                let delay = self.draw(self.config.connect);
                self.schedule(delay, event(node, peer));
            }
        }
    }

    fn replica_config(&self, node: NodeIndex) -> ReplicaConfig {
        let parameters = &self.genesis.parameters;
        let validators = self.genesis.validators.clone();
        let me = Some(self.node(node).validator);
        let engine = pbft::Config {
            status_interval: self.config.status_interval,
            status_interval_idle: self.config.status_interval_idle,
            ..pbft::Config::new(self.context.chain_id, validators, me, parameters)
        };
        ReplicaConfig::new(engine, parameters.clone())
    }
}
