//! Between the nodes: what leaves one is verified as the edge of an honest node verifies it, shown to whoever intercepts,
//! and carried over its link.

use super::byzantine::own_votes::ballots;
use super::byzantine::{Behaviour, Liar, Said};
use super::describe;
use super::event::Event;
use super::flight::{Fate, InFlight};
use super::invariants::{Observation, Promise, Violation};
use super::world::World;
use crate::api::code::Code;
use crate::document::{Body, SignedTransaction, StateKey};
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::pool::Door;
use crate::replica::{Input, PeerMessage, RepairMessage, SyncMessage};
use crate::store::StateReader;
use quorate_crypto::{BoundedVec, Verified, decode, encode, sha256};
use std::sync::Arc;
use std::time::Duration;

impl World {
    pub(super) fn deliver(&mut self, from: NodeIndex, to: NodeIndex, message: &Arc<Verified<PeerMessage>>) {
        if !self.is_up(to) || !self.is_heard(from, to, message) {
            return;
        }
        let text = describe::message(message);
        let World { trace, clock, nodes, .. } = self;
        let (sender, receiver) = (&nodes[from.as_usize()].label, &nodes[to.as_usize()].label);
        trace.push(clock.now(), format_args!("{sender} → {receiver}  {text}"));
        let validator = nodes[from.as_usize()].validator;
        if let PeerMessage::Sync(SyncMessage::Claims(bodies)) = &***message {
            let transactions = self.members_among(to, bodies);
            return self.handle(to, Input::Submitted { transactions, door: Door::Claim(validator) });
        }
        if let PeerMessage::Sync(SyncMessage::Repair(RepairMessage::PendingBodies(bodies))) = &***message {
            let transactions = self.members_among(to, bodies);
            return self.handle(to, Input::Submitted { transactions, door: Door::Gossip });
        }
        self.handle(to, Input::Peer { from: validator, message: Verified::clone(message) });
    }

    pub(super) fn deliver_gossip(
        &mut self,
        from: NodeIndex,
        to: NodeIndex,
        transactions: Vec<Verified<SignedTransaction>>,
    ) {
        if !self.is_up(to) {
            return;
        }
        let count = describe::counted(transactions.len(), "transaction");
        let World { trace, clock, nodes, .. } = self;
        let (sender, receiver) = (&nodes[from.as_usize()].label, &nodes[to.as_usize()].label);
        trace.push(clock.now(), format_args!("{sender} → {receiver}  gossip of {count}"));
        self.handle(to, Input::Submitted { transactions, door: Door::Gossip });
    }

    /// A liar may be deaf, and its honest part never hears what was forged in its own name: it would stop, as it should.
    fn is_heard(&mut self, from: NodeIndex, to: NodeIndex, message: &PeerMessage) -> bool {
        if self.node(to).behaviour.is_none() {
            return true;
        }
        let own = self.node(to).key.public_key();
        if let PeerMessage::Pbft(message) = message
            && ballots(message, &own).iter().any(|ballot| self.forge.has_signed(ballot))
        {
            return false;
        }
        let validator = self.node(from).validator;
        let heard = self.lie(to, |behaviour, liar| {
            let is_heard = behaviour.on_receive(liar, validator, message);
            (is_heard, is_heard && liar.has_said_nothing())
        });
        heard.unwrap_or(true)
    }

    /// What the edge of a node does: signatures are checked, and strangers are dropped.
    pub(super) fn members_among(&mut self, node: NodeIndex, bodies: &[Body]) -> Vec<Verified<SignedTransaction>> {
        let verified = bodies.iter().filter_map(|body| self.verify_transaction(body).ok()).collect::<Vec<_>>();
        verified.into_iter().filter(|transaction| self.is_member(node, transaction)).collect()
    }

    pub(super) fn verify_transaction(
        &mut self,
        transaction: &SignedTransaction,
    ) -> Result<Verified<SignedTransaction>, Code> {
        let key = (transaction.id(), *transaction.signature());
        if let Some(verified) = self.verified.get(&key) {
            return verified.clone().ok_or(Code::BadSignature);
        }
        transaction.check_form(&self.context.chain_id, self.config.parameters.transaction_bytes_max as usize)?;
        let checked = Verified::check(transaction.clone(), &self.context.chain_id, &mut self.verifier).ok();
        self.verified.insert(key, checked.clone());
        checked.ok_or(Code::BadSignature)
    }

    pub(super) fn is_member(&self, node: NodeIndex, transaction: &SignedTransaction) -> bool {
        let key_hash = StateKey::Member(*transaction.sender()).key_hash();
        self.node(node).disk.store.state(&key_hash).expect("a simulated store can be read").is_some()
    }

    /// A node says something to one validator. A liar's behaviour decides what that becomes.
    pub(super) fn tell(&mut self, node: NodeIndex, to: NodeIndex, message: &PeerMessage) {
        if self.node(node).behaviour.is_some() {
            self.lie(node, |behaviour, liar| {
                behaviour.on_send(liar, to, message);
                ((), liar.has_said_only(to, message))
            });
        } else if let Some(message) = self.pass_edge(node, message) {
            self.carry_to_validator(node, to, &message);
        }
    }

    pub(super) fn tell_all(&mut self, node: NodeIndex, message: &PeerMessage) {
        let own = self.node(node).validator;
        let others = self.indices().into_iter().filter(|to| *to != own);
        if self.node(node).behaviour.is_some() {
            return others.for_each(|to| self.tell(node, to, message));
        }
        let Some(message) = self.pass_edge(node, message) else { return };
        others.for_each(|to| self.carry_to_validator(node, to, &message));
    }

    pub(super) fn gossip(&mut self, from: NodeIndex, bodies: &[Body]) {
        let own = self.node(from).validator;
        let others: Vec<NodeIndex> = self.indices().into_iter().filter(|to| *to != own).collect();
        for to in others {
            if self.node(from).behaviour.is_some() {
                self.lie(from, |behaviour, liar| {
                    behaviour.on_gossip(liar, to, bodies);
                    ((), liar.has_gossiped_only(to, bodies))
                });
            } else {
                self.carry_gossip(from, to, bodies);
            }
        }
    }

    /// Lets a liar act, and carries out what it says. `act` says with its result whether an honest node had done the same.
    pub(super) fn lie<T>(
        &mut self,
        node: NodeIndex,
        act: impl FnOnce(&mut dyn Behaviour, &mut Liar<'_>) -> (T, bool),
    ) -> Option<T> {
        let mut behaviour = self.node_mut(node).behaviour.take()?;
        let now = self.clock.read(node);
        let World { nodes, forge, .. } = self;
        let held = &nodes[node.as_usize()];
        let acted = held.running.as_ref().map(|running| {
            let mut liar = Liar::new(held.validator, now, &running.replica, forge);
            let result = act(behaviour.as_mut(), &mut liar);
            (result, liar.into_said())
        });
        self.node_mut(node).behaviour = Some(behaviour);
        let ((result, is_honest), said) = acted?;
        self.happened.lies += u64::from(!is_honest);
        for said in said {
            match said {
                Said::Message { to, message } => {
                    if let Some(message) = self.pass_edge(node, &message) {
                        self.carry_to_validator(node, to, &message);
                    }
                }
                Said::Gossip { to, transactions } => self.carry_gossip(node, to, &transactions),
            }
        }
        Some(result)
    }

    /// A message leaves a node: its bytes are made and read again, and its signatures checked once, however often these
    /// bytes are sent, by whomever and to whom. What a liar sent and does not verify ends here.
    pub(super) fn pass_edge(&mut self, node: NodeIndex, message: &PeerMessage) -> Option<Arc<Verified<PeerMessage>>> {
        let is_lying = self.is_lying(node);
        if !is_lying {
            self.observe(Observation::Released { node, message });
        }
        let claims = if is_lying { self.true_claims(message) } else { None };
        let bytes = encode(claims.as_ref().unwrap_or(message));
        let hash = sha256(&bytes);
        let verified = match self.messages.get(&hash) {
            Some(known) => known.clone(),
            None => {
                let read = decode::<PeerMessage>(&bytes).ok();
                let checked = read.and_then(|read| Verified::check(read, &self.context, &mut self.verifier).ok());
                let checked = checked.map(Arc::new);
                self.messages.insert(hash, checked.clone());
                checked
            }
        };
        match &verified {
            Some(verified) if self.config.keep_trace && is_vote(message) => {
                self.node_mut(node).votes.push(Arc::clone(verified));
            }
            Some(_) => {}
            None if is_lying => self.dropped += 1,
            None => {
                let detail = format!("{node} sent what does not verify: {}", describe::message(message));
                self.break_promise(Some(Violation { promise: Promise::Availability, detail }));
            }
        }
        verified
    }

    /// Claims are verified one by one at the edge; the bad ones are gone.
    fn true_claims(&mut self, message: &PeerMessage) -> Option<PeerMessage> {
        let PeerMessage::Sync(SyncMessage::Claims(bodies)) = message else { return None };
        let good: Vec<Body> = bodies.iter().filter(|body| self.verify_transaction(body).is_ok()).cloned().collect();
        self.dropped += (bodies.len() - good.len()) as u64;
        BoundedVec::try_from(good).ok().map(|claims| PeerMessage::Sync(SyncMessage::Claims(claims)))
    }

    fn carry_to_validator(&mut self, from: NodeIndex, to: NodeIndex, message: &Arc<Verified<PeerMessage>>) {
        for machine in self.machines_of(to) {
            self.carry(from, machine, message);
        }
    }

    /// The machines with a validator's key. Nearly always one.
    fn machines_of(&self, validator: NodeIndex) -> Vec<NodeIndex> {
        self.machines().into_iter().filter(|machine| self.node(*machine).validator == validator).collect()
    }

    pub(super) fn carry(&mut self, from: NodeIndex, to: NodeIndex, message: &Arc<Verified<PeerMessage>>) {
        let now = self.clock.now();
        let fate = self.interceptor.as_mut().map(|decide| decide(&InFlight { now, from, to, message }));
        let (times, later) = match fate {
            None | Some(Fate::Pass) => (1, Duration::ZERO),
            Some(Fate::Drop) => (0, Duration::ZERO),
            Some(Fate::Delay(later)) => (1, later),
            Some(Fate::Repeat(times)) => (times, Duration::ZERO),
        };
        for _ in 0..times {
            let link = self.network.link(from, to);
            let delays = link.deliveries(&mut self.random);
            self.count_deliveries((from, to), link, &delays);
            for delay in delays {
                self.schedule(delay + later, Event::Deliver { from, to, message: Arc::clone(message) });
            }
        }
    }

    fn carry_gossip(&mut self, from: NodeIndex, to: NodeIndex, bodies: &[Body]) {
        let transactions: Vec<_> = bodies.iter().filter_map(|body| self.verify_transaction(body).ok()).collect();
        self.dropped += (bodies.len() - transactions.len()) as u64;
        for to in self.machines_of(to) {
            for delay in self.network.link(from, to).deliveries(&mut self.random) {
                self.schedule(delay, Event::Gossip { from, to, transactions: transactions.clone() });
            }
        }
    }
}

fn is_vote(message: &PeerMessage) -> bool {
    matches!(
        message,
        PeerMessage::Pbft(
            Message::PrePrepare(_)
                | Message::Prepare(_)
                | Message::Commit(_)
                | Message::Checkpoint(_)
                | Message::ViewChange(_)
                | Message::NewView(_)
        )
    )
}
