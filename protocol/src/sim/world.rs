//! A world: replicas, their disks and the network between them, moved by one queue of events.

use super::clock::Clock;
use super::describe;
use super::disk::{Disk, Unsynced, Write};
use super::genesis::{self, Accounts};
use super::invariants::{self, Invariant, Observation, Promise, Violation};
use super::network::{Link, Network};
use super::node::{self, Job, Node, Running};
use super::random::Random;
use super::trace::Trace;
use crate::api::code::Code;
use crate::document::{Block, Body, Genesis, Header, Parameters, SignedTransaction, StateKey};
use crate::id::{Height, NodeIndex, TransactionId};
use crate::pbft;
use crate::pbft::message::VerifyContext;
use crate::pool::{Admitted, Door};
use crate::replica::serve;
use crate::replica::{
    ExecutionJob, Input, Output, PeerMessage, RepairMessage, Replica, ReplicaConfig, ReplicaStatus, SyncMessage,
};
use crate::store::{MemoryStore, StateReader, Store};
use crate::time::Instant;
use quorate_crypto::{Digest, Signature, Verified, Verifier, decode, encode, sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A range of times from which one is drawn.
pub type Delay = (Duration, Duration);

/// What a world begins with.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Decides every draw.
    pub seed: u64,
    /// How many validators.
    pub n: usize,
    /// Every link at first.
    pub link: Link,
    /// How long a sync of the journal takes.
    pub sync: Delay,
    /// How long the votes of a synced record take to leave, and the answer of a written block to come.
    pub release: Delay,
    /// How long executing and writing a block takes.
    pub execution: Delay,
    /// How long two nodes need to notice that a link is up or down.
    pub connect: Delay,
    /// The chain's parameters.
    pub parameters: Parameters,
    /// How often STATUS goes out while something is missing.
    pub status_interval: Duration,
    /// How often STATUS goes out while nothing is missing.
    pub status_interval_idle: Duration,
    /// Whether the trace keeps all its lines.
    pub keep_trace: bool,
}

impl WorldConfig {
    /// `n` validators on a network that delivers after exactly one millisecond, with disks that sync in half of one.
    #[must_use]
    pub fn quiet(n: usize) -> Self {
        let half = Duration::from_micros(500);
        WorldConfig {
            seed: 0,
            n,
            link: Link::exact(Duration::from_millis(1)),
            sync: (half, half),
            release: (Duration::ZERO, Duration::ZERO),
            execution: (half, half),
            connect: (Duration::ZERO, Duration::ZERO),
            parameters: Parameters::default(),
            status_interval: Duration::from_millis(100),
            status_interval_idle: Duration::from_secs(1),
            keep_trace: true,
        }
    }
}

/// Something that is going to happen. Where a life is named, it happens only if the node still lives it.
enum Event {
    Deliver { from: NodeIndex, to: NodeIndex, message: Arc<Verified<PeerMessage>> },
    Gossip { from: NodeIndex, to: NodeIndex, transactions: Vec<Verified<SignedTransaction>> },
    LinkUp { node: NodeIndex, peer: NodeIndex },
    LinkDown { node: NodeIndex, peer: NodeIndex },
    Synced { node: NodeIndex, life: u32 },
    Released { node: NodeIndex, life: u32 },
    Executed { node: NodeIndex, life: u32 },
    Reported { node: NodeIndex, life: u32 },
    Alarm { node: NodeIndex, life: u32, at: Instant },
}

/// A seeded world. See the documentation of [`super`].
pub struct World {
    config: WorldConfig,
    genesis: Genesis,
    accounts: Accounts,
    context: VerifyContext,
    clock: Clock,
    random: Random,
    network: Network,
    nodes: Vec<Node>,
    events: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    verifier: Verifier,
    /// Transactions whose signatures have been checked once for all nodes.
    verified: BTreeMap<(TransactionId, Signature), Verified<SignedTransaction>>,
    /// Messages whose signatures have been checked once for all nodes, by the hash of their bytes.
    messages: BTreeMap<Digest, Arc<Verified<PeerMessage>>>,
    admissions: BTreeMap<(TransactionId, NodeIndex), Result<Admitted, Code>>,
    invariants: Vec<Box<dyn Invariant>>,
    violation: Option<Violation>,
    trace: Trace,
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
        let engine = pbft::Config::new(genesis.chain_id(), genesis.validators.clone(), None, &genesis.parameters);
        let context = engine.verify_context();
        let fresh = MemoryStore::new();
        fresh.initialize(&genesis).expect("an empty store takes a genesis");
        let nodes = keys.into_iter().map(|key| Node { key, disk: Disk::new(fresh.clone()), life: 0, running: None });
        let mut world = World {
            clock: Clock::new(config.n),
            network: Network::new(config.n, config.link),
            nodes: nodes.collect(),
            verifier: Verifier::new(random.bytes32(), 256),
            invariants: invariants::all(&genesis),
            trace: Trace::new(config.keep_trace),
            events: BTreeMap::new(),
            next_event: 0,
            verified: BTreeMap::new(),
            messages: BTreeMap::new(),
            admissions: BTreeMap::new(),
            violation: None,
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

    /// The chain's genesis.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The accounts that the genesis funds.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// All nodes.
    #[must_use]
    pub fn indices(&self) -> Vec<NodeIndex> {
        (0..self.config.n as u8).map(NodeIndex).collect()
    }

    /// The clocks.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The clocks, to set them wrong.
    pub fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// The network, to cut, slow down and mend.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// What happened so far.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(super) fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// The first promise that was broken, if one was.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Whether the node's process runs.
    #[must_use]
    pub fn is_up(&self, node: NodeIndex) -> bool {
        self.node(node).running.is_some()
    }

    /// What the node's replica says of itself; `None` while it is down.
    #[must_use]
    pub fn status(&self, node: NodeIndex) -> Option<ReplicaStatus> {
        self.node(node).running.as_ref().map(|running| running.replica.status())
    }

    /// The node's replica, to look at; `None` while it is down.
    #[must_use]
    pub fn replica(&self, node: NodeIndex) -> Option<&Replica> {
        self.node(node).running.as_ref().map(|running| &running.replica)
    }

    /// The node's disk; readable while the node is down as well.
    #[must_use]
    pub fn disk(&self, node: NodeIndex) -> &Disk {
        &self.node(node).disk
    }

    /// The node's height: that of its last durable block.
    ///
    /// # Panics
    ///
    /// Never: a simulated store has a head and can be read.
    #[must_use]
    pub fn height(&self, node: NodeIndex) -> Height {
        let head = self.node(node).disk.store.head().expect("a simulated store can be read");
        head.expect("every store begins with the genesis").height
    }

    /// The header of a height at a node, if it has got there.
    ///
    /// # Panics
    ///
    /// Never: a simulated store can be read.
    #[must_use]
    pub fn header(&self, node: NodeIndex, height: Height) -> Option<Header> {
        self.node(node).disk.store.header(height).expect("a simulated store can be read")
    }

    /// The node's chain: the hash of every header, from the genesis on.
    #[must_use]
    pub fn chain(&self, node: NodeIndex) -> Vec<Digest> {
        (0..).map_while(|height| self.header(node, Height(height))).map(|header| header.hash()).collect()
    }

    /// Whether the node holds a certificate of exactly this height.
    ///
    /// # Panics
    ///
    /// Never: a simulated store can be read.
    #[must_use]
    pub fn is_certified(&self, node: NodeIndex, height: Height) -> bool {
        self.node(node).disk.store.certificate(height).expect("a simulated store can be read").is_some()
    }

    /// Where the node has executed a transaction.
    ///
    /// # Panics
    ///
    /// Never: a simulated store can be read.
    #[must_use]
    pub fn executed(&self, node: NodeIndex, id: &TransactionId) -> Option<Height> {
        let place = self.node(node).disk.store.transaction(id).expect("a simulated store can be read");
        place.map(|(height, _)| height)
    }

    /// What the node last answered about a transaction at its client's door.
    #[must_use]
    pub fn admission(&self, node: NodeIndex, id: &TransactionId) -> Option<Result<Admitted, Code>> {
        self.admissions.get(&(*id, node)).copied()
    }

    /// The time of the next event.
    #[must_use]
    pub fn next_event_at(&self) -> Option<Instant> {
        self.events.first_key_value().map(|((time, _), _)| *time)
    }

    /// Lets the next event happen; false when there is none, or a promise is broken.
    pub fn step(&mut self) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let Some(((time, _), event)) = self.events.pop_first() else { return false };
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

    /// Kills a node. What it had not synced is lost or kept as told.
    pub fn crash(&mut self, node: NodeIndex, unsynced: Unsynced) {
        if self.node_mut(node).running.take().is_none() {
            return;
        }
        self.note(node, format_args!("crashes"));
        self.node_mut(node).disk.crash(unsynced);
        let crashed = Observation::Crashed { node, store: &self.nodes[node.as_usize()].disk.store };
        let broken = show(&mut self.invariants, crashed);
        self.break_promise(broken);
        self.tell_peers(node, |node, peer| Event::LinkDown { node: peer, peer: node });
    }

    /// Starts a node on what its disk holds. A running node goes on.
    ///
    /// # Panics
    ///
    /// When what the disk holds is no chain, which is a fault of the program.
    pub fn restart(&mut self, node: NodeIndex) {
        if self.is_up(node) {
            return;
        }
        let (config, now) = (self.replica_config(node), self.clock.read(node));
        let World { nodes, genesis, .. } = self;
        let started = nodes[node.as_usize()].start(config, genesis, now);
        started.expect("a simulated disk holds what was written");
        let height = self.height(node);
        self.note(node, format_args!("starts at height {height}"));
        for peer in self.indices() {
            if peer != node && self.is_up(peer) {
                let delay = self.draw(self.config.connect);
                self.schedule(delay, Event::LinkUp { node, peer });
                self.schedule(delay, Event::LinkUp { node: peer, peer: node });
            }
        }
        self.set_alarm(node);
    }

    /// Ends all cuts, makes every link deliver after `delay` without loss, and starts every node that is down.
    pub fn heal(&mut self, delay: Duration) {
        self.say(format_args!("everything heals"));
        self.network.set_all(Link::exact(delay));
        for node in self.indices() {
            self.restart(node);
        }
    }

    /// Has every checker look at the end of the world.
    pub fn finish(&mut self) {
        let stores: Vec<&dyn Store> = self.nodes.iter().map(|node| &node.disk.store as &dyn Store).collect();
        let broken = show(&mut self.invariants, Observation::Ended { stores: &stores, genesis: &self.genesis });
        self.break_promise(broken);
    }

    /// Gives a node a disk on which nothing has ever happened: a lie that no honest disk tells.
    #[cfg(test)]
    pub(super) fn replace_disk(&mut self, node: NodeIndex) {
        let fresh = MemoryStore::new();
        fresh.initialize(&self.genesis).expect("an empty store takes a genesis");
        self.node_mut(node).disk = Disk::new(fresh);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, &message),
            Event::Gossip { from, to, transactions } => self.deliver_gossip(from, to, transactions),
            Event::LinkUp { node, peer } if self.is_up(node) && self.is_up(peer) => {
                self.handle(node, Input::PeerUp(peer));
            }
            Event::LinkDown { node, peer } if self.is_up(node) && !self.is_up(peer) => {
                self.handle(node, Input::PeerDown(peer));
            }
            Event::Synced { node, life } if self.lives(node, life) => self.on_synced(node),
            Event::Released { node, life } if self.lives(node, life) => self.on_released(node),
            Event::Executed { node, life } if self.lives(node, life) => self.on_job(node),
            Event::Reported { node, life } if self.lives(node, life) => {
                let report = self.running_mut(node).and_then(|running| running.reports.pop_front());
                self.handle(node, report.expect("every report has its event"));
            }
            Event::Alarm { node, life, at } if self.lives(node, life) && self.take_alarm(node, at) => {
                self.handle(node, Input::Deadline);
            }
            // It was meant for an earlier life, for a link that has changed again, or for a deadline that has moved.
            _ => {}
        }
    }

    fn deliver(&mut self, from: NodeIndex, to: NodeIndex, message: &Arc<Verified<PeerMessage>>) {
        if !self.is_up(to) {
            return;
        }
        let text = describe::message(message);
        self.say(format_args!("{from} → {to}  {text}"));
        if let PeerMessage::Sync(SyncMessage::Claims(bodies)) = &***message {
            let transactions = self.members_among(to, bodies);
            return self.handle(to, Input::Submitted { transactions, door: Door::Claim(from) });
        }
        if let PeerMessage::Sync(SyncMessage::Repair(RepairMessage::PendingBodies(bodies))) = &***message {
            let transactions = self.members_among(to, bodies);
            return self.handle(to, Input::Submitted { transactions, door: Door::Gossip });
        }
        self.handle(to, Input::Peer { from, message: Verified::clone(message) });
    }

    fn deliver_gossip(&mut self, from: NodeIndex, to: NodeIndex, transactions: Vec<Verified<SignedTransaction>>) {
        if !self.is_up(to) {
            return;
        }
        let count = describe::counted(transactions.len(), "transaction");
        self.say(format_args!("{from} → {to}  gossip of {count}"));
        self.handle(to, Input::Submitted { transactions, door: Door::Gossip });
    }

    /// What the edge of a node does: signatures are checked, and strangers are dropped.
    fn members_among(&mut self, node: NodeIndex, bodies: &[Body]) -> Vec<Verified<SignedTransaction>> {
        let verified = bodies.iter().filter_map(|body| self.verify_transaction(body).ok()).collect::<Vec<_>>();
        verified.into_iter().filter(|transaction| self.is_member(node, transaction)).collect()
    }

    fn verify_transaction(&mut self, transaction: &SignedTransaction) -> Result<Verified<SignedTransaction>, Code> {
        let key = (transaction.id(), *transaction.signature());
        if let Some(verified) = self.verified.get(&key) {
            return Ok(verified.clone());
        }
        transaction.check_form(&self.context.chain_id, self.config.parameters.transaction_bytes_max as usize)?;
        let checked = Verified::check(transaction.clone(), &self.context.chain_id, &mut self.verifier);
        let verified = checked.map_err(|_| Code::BadSignature)?;
        self.verified.insert(key, verified.clone());
        Ok(verified)
    }

    fn is_member(&self, node: NodeIndex, transaction: &SignedTransaction) -> bool {
        let key_hash = StateKey::Member(*transaction.sender()).key_hash();
        self.node(node).disk.store.state(&key_hash).expect("a simulated store can be read").is_some()
    }

    /// Hands an input to a replica and begins what it asks for. The node's pump does the same.
    fn handle(&mut self, node: NodeIndex, input: Input) {
        let now = self.clock.read(node);
        let Some(running) = self.running_mut(node) else { return };
        let mut out = Vec::new();
        running.replica.handle(now, input, &mut out);
        for output in out {
            self.begin(node, output);
        }
        self.set_alarm(node);
    }

    fn begin(&mut self, node: NodeIndex, output: Output) {
        match output {
            Output::Send { to, message } => {
                if let Some(message) = self.leave(node, &message) {
                    self.carry(node, to, &message);
                }
            }
            Output::Broadcast(message) => self.broadcast(node, &message),
            Output::Gossip(bodies) => self.gossip(node, &bodies),
            Output::Persist { entry, release, ticket } => {
                let text = describe::record(&entry.record);
                self.note(node, format_args!("writes {text}"));
                self.write(node, Write::Append { entry, release, ticket });
            }
            Output::Trim { low, carry } => self.write(node, Write::Trim { low, carry }),
            Output::Execute(job) => self.enqueue(node, Job::Block(job)),
            Output::Certify { height, certificate, anchor } => {
                self.enqueue(node, Job::Certify { height, certificate, anchor });
            }
            Output::Serve { to, request } => {
                let answers =
                    serve::answer(&self.node(node).disk.store, &request).expect("a simulated store can be read");
                for answer in answers {
                    if let Some(message) = self.leave(node, &answer) {
                        self.carry(node, to, &message);
                    }
                }
            }
            Output::Admission { id, result } => self.admitted(node, id, result),
            Output::Note(note) => {
                let text = describe::note(&note);
                self.note(node, format_args!("{text}"));
            }
            Output::Halt { reason } => self.halt(node, reason),
        }
    }

    /// A correct node has no reason to stop itself: no world has more than f liars.
    fn halt(&mut self, node: NodeIndex, reason: String) {
        self.note(node, format_args!("halts: {reason}"));
        let detail = format!("{node} stopped itself: {reason}");
        if let Some(running) = self.running_mut(node) {
            running.halted = Some(reason);
        }
        self.break_promise(Some(Violation { promise: Promise::Availability, detail }));
    }

    fn admitted(&mut self, node: NodeIndex, id: TransactionId, result: Result<Admitted, Code>) {
        match result {
            Ok(Admitted::New) => self.note(node, format_args!("admits {}", describe::short_id(&id))),
            Ok(Admitted::Known) => self.note(node, format_args!("has {} already", describe::short_id(&id))),
            Ok(Admitted::Executed) => self.note(node, format_args!("has executed {} already", describe::short_id(&id))),
            Err(code) => self.note(node, format_args!("refuses {}: {code}", describe::short_id(&id))),
        }
        self.admissions.insert((id, node), result);
    }

    /// A message leaves a node: its bytes are made and read again, and its signatures checked once, however often these
    /// bytes are sent, by whomever and to whom.
    fn leave(&mut self, node: NodeIndex, message: &PeerMessage) -> Option<Arc<Verified<PeerMessage>>> {
        let broken = show(&mut self.invariants, Observation::Released { node, message });
        self.break_promise(broken);
        let bytes = encode(message);
        let hash = sha256(&bytes);
        if let Some(verified) = self.messages.get(&hash) {
            return Some(Arc::clone(verified));
        }
        let read: PeerMessage = decode(&bytes).expect("what a node sends can be read again");
        match Verified::check(read, &self.context, &mut self.verifier) {
            Ok(verified) => {
                let verified = Arc::new(verified);
                self.messages.insert(hash, Arc::clone(&verified));
                Some(verified)
            }
            Err(message) => {
                let detail = format!("{node} sent what does not verify: {}", describe::message(&message));
                self.break_promise(Some(Violation { promise: Promise::Availability, detail }));
                None
            }
        }
    }

    fn broadcast(&mut self, node: NodeIndex, message: &Arc<PeerMessage>) {
        let Some(message) = self.leave(node, message) else { return };
        for to in self.indices() {
            if to != node {
                self.carry(node, to, &message);
            }
        }
    }

    fn carry(&mut self, from: NodeIndex, to: NodeIndex, message: &Arc<Verified<PeerMessage>>) {
        for delay in self.network.link(from, to).deliveries(&mut self.random) {
            self.schedule(delay, Event::Deliver { from, to, message: Arc::clone(message) });
        }
    }

    fn gossip(&mut self, from: NodeIndex, bodies: &[Body]) {
        let transactions: Vec<_> = bodies.iter().filter_map(|body| self.verify_transaction(body).ok()).collect();
        for to in self.indices() {
            if to == from {
                continue;
            }
            for delay in self.network.link(from, to).deliveries(&mut self.random) {
                self.schedule(delay, Event::Gossip { from, to, transactions: transactions.clone() });
            }
        }
    }

    fn write(&mut self, node: NodeIndex, write: Write) {
        self.node_mut(node).disk.write(write);
        self.begin_sync(node);
    }

    fn begin_sync(&mut self, node: NodeIndex) {
        if self.node_mut(node).disk.begin_sync() {
            let (delay, life) = (self.draw(self.config.sync), self.node(node).life);
            self.schedule(delay, Event::Synced { node, life });
        }
    }

    fn on_synced(&mut self, node: NodeIndex) {
        let synced = self.node_mut(node).disk.end_sync();
        let life = self.node(node).life;
        for _ in &synced {
            let delay = self.draw(self.config.release);
            self.schedule(delay, Event::Released { node, life });
        }
        if let Some(running) = self.running_mut(node) {
            running.synced.extend(synced);
        }
        self.begin_sync(node);
    }

    /// The votes of the oldest synced record leave, and the replica hears that it is durable.
    fn on_released(&mut self, node: NodeIndex) {
        let Some(synced) = self.running_mut(node).and_then(|running| running.synced.pop_front()) else { return };
        for message in &synced.release {
            let text = describe::message(message);
            self.note(node, format_args!("says {text}"));
            self.broadcast(node, message);
        }
        self.handle(node, Input::Durable(synced.ticket));
    }

    fn enqueue(&mut self, node: NodeIndex, job: Job) {
        if let Some(running) = self.running_mut(node) {
            running.jobs.push_back(job);
        }
        self.begin_job(node);
    }

    fn begin_job(&mut self, node: NodeIndex) {
        let Some(running) = self.running_mut(node) else { return };
        if !running.executing && !running.jobs.is_empty() {
            running.executing = true;
            let (delay, life) = (self.draw(self.config.execution), self.node(node).life);
            self.schedule(delay, Event::Executed { node, life });
        }
    }

    /// The first job of a node's executor is done, and durable where it must be. A crash may still come before the
    /// replica hears of it.
    fn on_job(&mut self, node: NodeIndex) {
        let Some(job) = self.running_mut(node).and_then(|running| running.jobs.pop_front()) else { return };
        match job {
            Job::Block(job) => self.execute(node, *job),
            Job::Certify { height, certificate, anchor } => {
                let store = &self.node(node).disk.store;
                store.certify(height, &certificate).expect("a certificate comes after its block");
                if anchor {
                    store.sync().expect("a simulated store can be written");
                    self.report(node, Input::Anchored(height));
                }
                self.on_certified(node, height);
            }
        }
        if let Some(running) = self.running_mut(node) {
            running.executing = false;
        }
        self.begin_job(node);
    }

    fn execute(&mut self, node: NodeIndex, job: ExecutionJob) {
        let Node { disk, running: Some(running), .. } = &mut self.nodes[node.as_usize()] else { return };
        match node::execute(&mut running.ledger, &disk.store, job) {
            Ok((result, commit)) => {
                let text = describe::block(&commit.block);
                self.note(node, format_args!("executes {text}"));
                self.on_block(node, &commit.block);
                self.report(node, Input::Executed(Ok(Box::new(result))));
            }
            Err(error) => self.report(node, Input::Executed(Err(error))),
        }
    }

    /// The replica will hear of something that the executor has done.
    fn report(&mut self, node: NodeIndex, report: Input) {
        let (delay, life) = (self.draw(self.config.release), self.node(node).life);
        if let Some(running) = self.running_mut(node) {
            running.reports.push_back(report);
        }
        self.schedule(delay, Event::Reported { node, life });
    }

    fn on_block(&mut self, node: NodeIndex, block: &Block) {
        let executed = Observation::Executed { node, block, store: &self.nodes[node.as_usize()].disk.store };
        let broken = show(&mut self.invariants, executed);
        self.break_promise(broken);
    }

    fn on_certified(&mut self, node: NodeIndex, height: Height) {
        let header_hash = self.header(node, height).expect("a certified block is there").hash();
        self.note(node, format_args!("holds the certificate of height {height}"));
        let broken = show(&mut self.invariants, Observation::Certified { node, height, header_hash });
        self.break_promise(broken);
    }

    fn break_promise(&mut self, violation: Option<Violation>) {
        let Some(violation) = violation else { return };
        self.say(format_args!("{violation}"));
        self.violation.get_or_insert(violation);
    }

    fn tell_peers(&mut self, node: NodeIndex, event: impl Fn(NodeIndex, NodeIndex) -> Event) {
        for peer in self.indices() {
            if peer != node && self.is_up(peer) {
                let delay = self.draw(self.config.connect);
                self.schedule(delay, event(node, peer));
            }
        }
    }

    fn set_alarm(&mut self, node: NodeIndex) {
        let (now, life) = (self.clock.now(), self.node(node).life);
        let Some(running) = self.running_mut(node) else { return };
        let deadline = running.replica.next_deadline().map(|deadline| deadline.max(now));
        if deadline == running.alarm {
            return;
        }
        running.alarm = deadline;
        if let Some(at) = deadline {
            self.schedule(at.saturating_since(now), Event::Alarm { node, life, at });
        }
    }

    /// Whether the node still waits for this very time; if so, it waits no longer.
    fn take_alarm(&mut self, node: NodeIndex, at: Instant) -> bool {
        self.running_mut(node).is_some_and(|running| running.alarm.take_if(|alarm| *alarm == at).is_some())
    }

    fn replica_config(&self, node: NodeIndex) -> ReplicaConfig {
        let parameters = &self.genesis.parameters;
        let validators = self.genesis.validators.clone();
        let mut engine = pbft::Config::new(self.context.chain_id, validators, Some(node), parameters);
        engine.status_interval = self.config.status_interval;
        engine.status_interval_idle = self.config.status_interval_idle;
        ReplicaConfig::new(engine, parameters.clone())
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        // Events of one moment happen in the order in which they were scheduled.
        self.events.insert((self.clock.now() + delay, self.next_event), event);
        self.next_event += 1;
    }

    fn draw(&mut self, (low, high): Delay) -> Duration {
        self.random.duration(low, high)
    }

    fn lives(&self, node: NodeIndex, life: u32) -> bool {
        let node = self.node(node);
        node.running.is_some() && node.life == life
    }

    fn node(&self, node: NodeIndex) -> &Node {
        &self.nodes[node.as_usize()]
    }

    fn node_mut(&mut self, node: NodeIndex) -> &mut Node {
        &mut self.nodes[node.as_usize()]
    }

    fn running_mut(&mut self, node: NodeIndex) -> Option<&mut Running> {
        self.nodes[node.as_usize()].running.as_mut()
    }

    fn note(&mut self, node: NodeIndex, what: std::fmt::Arguments<'_>) {
        self.trace.push(self.clock.now(), format_args!("{node}       {what}"));
    }

    pub(super) fn say(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.push(self.clock.now(), what);
    }
}

/// Shows an observation to every checker; the first violation counts.
fn show(invariants: &mut [Box<dyn Invariant>], observation: Observation<'_>) -> Option<Violation> {
    invariants.iter_mut().find_map(|invariant| invariant.observe(observation).err())
}
