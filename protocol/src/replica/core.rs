//! The replica's state, and the one match on its inputs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use quorate_crypto::{encode::BoundedVec, hash::Digest, key::SecretKey, signed::Verified};

use super::{
    allowance::{Allowance, cost},
    bodies::{Bodies, Key, Question},
    durable::DurableState,
    input::Input,
    message::{PeerMessage, RepairMessage, SyncMessage},
    output::{ExecutionJob, JournalEntry, Output},
    proposals::Proposals,
    repair::Repair,
    source::Sync,
};
use crate::{
    document::{Body, Parameters, Proof, SignedTransaction},
    id::{Height, NodeIndex, Sequence},
    limits::{BATCH_AGE_MS, SYNC_BATCHES_MAX},
    pbft::{self, Durable, Engine, Record, message::Content, status::EngineStatus},
    pool::{Admitted, Door, Load, Pool, PoolConfig},
    time::{Instant, Now, UnixMillis},
};

/// What a replica is told once.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// The engine's part: the validator set and this replica's place in it.
    pub engine: pbft::Config,
    /// The chain's parameters.
    pub parameters: Parameters,
    /// The pool's bounds.
    pub pool: PoolConfig,
    /// How long the first transaction of a batch waits for others while batches are in flight.
    pub batch_age: Duration,
}

impl ReplicaConfig {
    /// The defaults for a chain's parameters.
    pub fn new(engine: pbft::Config, parameters: Parameters) -> ReplicaConfig {
        let pool = PoolConfig::new(&parameters);
        ReplicaConfig { engine, parameters, pool, batch_age: Duration::from_millis(BATCH_AGE_MS) }
    }
}

/// What a replica says of itself.
#[derive(Clone, Debug)]
pub struct ReplicaStatus {
    /// The engine's counters.
    pub engine: EngineStatus,
    /// What is pending in the pool.
    pub pool: Load,
    /// Validators whose links are up.
    pub connected: BTreeSet<NodeIndex>,
    /// Whether blocks are being fetched.
    pub catching_up: bool,
    /// The head's block time, Unix milliseconds.
    pub head_time: UnixMillis,
}

/// See the module's documentation.
#[derive(Clone)]
pub struct Replica {
    pub(super) config: ReplicaConfig,
    pub(super) engine: Engine,
    pub(super) pool: Pool,
    pub(super) bodies: Bodies,
    pub(super) proposals: Proposals,
    pub(super) sync: Sync,
    pub(super) repair: Repair,
    /// Batches above the low watermark whose bodies are in the journal, or on their way there. Views that fail one after the other
    /// propose the same ones again.
    pub(super) journaled: BTreeSet<Key>,
    /// Final batches in order of height whose bodies are not all here.
    pub(super) executions: VecDeque<Execution>,
    pub(super) connected: BTreeSet<NodeIndex>,
    pub(super) head_time: UnixMillis,
    pub(super) claims_at: Instant,
    /// Whether the engine knows of something pending.
    pub(super) told_pending: bool,
    allowances: BTreeMap<NodeIndex, Allowance>,
}

/// A final batch that waits for its bodies, or for the ones before it.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub height: Height,
    pub content: Content,
    proof: Proof,
    expected: Option<Digest>,
}

impl Replica {
    /// A replica as of its last crash. `key` signs its votes. Its first deadline is at once.
    pub fn recover(config: ReplicaConfig, key: SecretKey, durable: DurableState, now: Now) -> Replica {
        let mut pool = Pool::new(config.pool.clone(), durable.executed_ids);
        let mut bodies = Bodies::default();
        let mut proposals = Proposals::new(now.monotonic);
        proposals.set_last_time(durable.head_time);
        let mut journaled = BTreeSet::new();
        for entry in durable.entries.iter().flatten() {
            let Record::Accepted { pre_prepare, content: Some(Content::Batch(batch)), .. } = &entry.record else {
                continue;
            };
            let ballot = pre_prepare.body.0;
            if Height::from(ballot.sequence) <= durable.executed {
                continue;
            }
            let proposer = config.engine.validators.primary(ballot.epoch, ballot.view);
            bodies.want((ballot.sequence, ballot.digest), batch, proposer, &pool, now.monotonic);
            for body in &entry.bodies {
                bodies.supply(body);
            }
            if !entry.bodies.is_empty() {
                journaled.insert((ballot.sequence, ballot.digest));
            }
            proposals.set_last_time(batch.time);
        }
        let records = durable.entries.map(|entries| entries.into_iter().map(|entry| entry.record).collect());
        let (low, executed, proven) = (durable.low, durable.executed, durable.proven);
        let engine_durable = Durable { records, low, proven, executed, blocks: durable.blocks };
        let engine = Engine::recover(config.engine.clone(), key, engine_durable, now.monotonic);
        let kept = engine.kept_contents();
        bodies.retain(|key| kept.contains(key));
        for (sequence, batch) in engine.proposed() {
            pool.mark(sequence, &batch.ids);
            proposals.place(sequence, batch);
        }
        let repair = Repair::new(config.engine.me.unwrap_or_default(), config.pool.forward_timeout);
        let mut replica = Replica {
            config,
            engine,
            pool,
            bodies,
            journaled,
            proposals,
            repair,
            sync: Sync::default(),
            executions: VecDeque::new(),
            connected: BTreeSet::new(),
            head_time: durable.head_time,
            claims_at: now.monotonic,
            told_pending: false,
            allowances: BTreeMap::new(),
        };
        replica.begin_view(now);
        replica
    }

    /// The only way in. Total: no input of a peer or client makes it panic.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Peer { from, message } => self.on_peer(now, from, message, out),
            Input::Submitted { transactions, door } => self.on_submitted(now, transactions, door, out),
            Input::Durable(ticket) => self.step(now, pbft::Input::Durable(ticket), out),
            Input::Executed(Ok(result)) => self.on_executed(now, *result, out),
            Input::Executed(Err(error)) => {
                let reason = format!("a block could not be executed or written: {error}");
                self.engine.stop(reason.clone());
                out.push(Output::Halt { reason, divergence: None });
            }
            Input::Anchored(height) => self.step(now, pbft::Input::Anchored(height), out),
            Input::PeerUp(peer) => self.on_peer_up(now, peer, out),
            Input::PeerDown(peer) => {
                self.connected.remove(&peer);
                self.repair.peer_down(peer);
            }
            Input::Deadline => {}
        }
        self.run_timers(now, out);
    }

    /// When this replica wants an [`Input::Deadline`], if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let claims = (self.pool.pending().count > 0).then_some(self.claims_at);
        let asks = if self.connected.is_empty() { None } else { self.bodies.next_due() };
        let repair = if self.connected.is_empty() { None } else { self.repair.next_due(&self.pool) };
        let timers = [self.engine.next_deadline(), self.proposals.next_due(), self.sync.next_due(), claims, asks];
        timers.into_iter().chain([self.pool.next_judgement(), repair]).flatten().min()
    }

    /// What this replica says of itself.
    pub fn status(&self) -> ReplicaStatus {
        ReplicaStatus {
            engine: self.engine.status(),
            pool: self.pool.pending(),
            connected: self.connected.clone(),
            catching_up: self.sync.is_active(),
            head_time: self.head_time,
        }
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The pool, to look at.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Everything that is due by time, and everything that an input may have made possible.
    fn run_timers(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.engine.next_deadline().is_some_and(|deadline| deadline <= now.monotonic) {
            self.step(now, pbft::Input::Deadline, out);
        }
        self.tell_demand(now, out);
        self.tell_pending(now, out);
        self.judge_waiting(now, out);
        self.ask_for_bodies(now, out);
        self.send_claims(now, out);
        self.run_sync(now, out);
        self.try_propose(now, out);
    }

    /// Asks for missing bodies by their ids; where nobody finds them, for the final block that has them. A body that was
    /// skipped when its block executed stands in no index, and whoever executed it holds it in the block only.
    fn ask_for_bodies(&mut self, now: Now, out: &mut Vec<Output>) {
        let next = self.executions.front().map(|execution| execution.height);
        for Question { key, to, ids, is_repeated } in self.bodies.due(now.monotonic, &self.connected) {
            let height = Height::from(key.0);
            if is_repeated && next == Some(height) {
                send(to, SyncMessage::FetchBlocks { from: height, count: 1 }, out);
            }
            if let Ok(ids) = BoundedVec::try_from(ids) {
                send(to, SyncMessage::FetchBodies(ids), out);
            }
        }
    }

    /// Hands one input to the engine and does what it says, until nothing more follows.
    pub(super) fn step(&mut self, now: Now, input: pbft::Input, out: &mut Vec<Output>) {
        let mut answers = Vec::new();
        self.engine.handle(now.monotonic, input, &mut answers);
        for answer in answers {
            self.obey(now, answer, out);
        }
    }

    fn obey(&mut self, now: Now, wish: pbft::Output, out: &mut Vec<Output>) {
        match wish {
            pbft::Output::Send { to, message } => {
                out.push(Output::Send { to, message: Arc::new(PeerMessage::Pbft(message)) });
            }
            pbft::Output::Broadcast(message) => out.push(Output::Broadcast(Arc::new(PeerMessage::Pbft(message)))),
            pbft::Output::Check { sequence, content, purpose } => self.on_check(now, sequence, content, purpose, out),
            pbft::Output::FetchContents { to, wanted } => {
                for part in wanted.chunks(SYNC_BATCHES_MAX).filter_map(|part| BoundedVec::try_from(part.to_vec()).ok())
                {
                    send(to, SyncMessage::FetchBatches(part), out);
                }
            }
            pbft::Output::FetchViewChanges { to, names } => {
                if let Ok(names) = BoundedVec::try_from(names) {
                    send(to, SyncMessage::FetchViewChanges(names), out);
                }
            }
            pbft::Output::Entered { active, kept, committed, .. } => self.on_entered(now, active, &kept, &committed),
            pbft::Output::Persist { record, release, ticket } => {
                self.note_accepted(now, &record);
                let entry = Box::new(self.journal_entry(record));
                let release = release.into_iter().map(|message| Arc::new(PeerMessage::Pbft(message))).collect();
                out.push(Output::Persist { entry, release, ticket });
            }
            pbft::Output::Execute { height, content, proof, expected } => {
                if let Content::Batch(batch) = &content {
                    let key = (Sequence::from(height), content.digest());
                    self.bodies.want(key, batch, self.engine.primary(), &self.pool, now.monotonic);
                }
                self.executions.push_back(Execution { height, content, proof, expected });
                self.try_execute(out);
            }
            pbft::Output::Certify { height, certificate, anchor } => {
                out.push(Output::Certify { height, certificate, anchor });
            }
            pbft::Output::Trim { low, carry } => {
                self.journaled = self.journaled.split_off(&(Sequence::from(low).next(), Digest::ZERO));
                let carry = carry.into_iter().map(|record| JournalEntry { record, bodies: Vec::new() }).collect();
                out.push(Output::Trim { low, carry });
            }
            pbft::Output::ServeCertificate { to, height } => {
                let request = SyncMessage::FetchCertificate { height };
                if self.allow(now, to, &request) {
                    out.push(Output::Serve { to, request });
                }
            }
            pbft::Output::Behind { target } => self.sync.start(target),
            pbft::Output::Note(pbft::Note::LeftView { to, reason }) => {
                let reason = match self.bodies.lacking(Sequence::from(self.engine.executed().next())) {
                    Some(lacking) => format!("{reason}; {lacking}"),
                    None => reason,
                };
                out.push(Output::Note(pbft::Note::LeftView { to, reason }));
            }
            pbft::Output::Note(note) => out.push(Output::Note(note)),
            pbft::Output::Halt { reason, divergence } => out.push(Output::Halt { reason, divergence }),
        }
    }

    /// The bodies that a vote vouches for stand beside its record. For an executed batch they are in the store already, and for one
    /// that an earlier view proposed they stand beside the record of then.
    pub(super) fn journal_entry(&mut self, record: Record) -> JournalEntry {
        let bodies = match &record {
            Record::Accepted { pre_prepare, content: Some(_), .. } => {
                let key = (pre_prepare.body.0.sequence, pre_prepare.body.0.digest);
                let complete = self.bodies.complete(&key).unwrap_or_default();
                let is_new = !complete.is_empty() && self.journaled.insert(key);
                if is_new { complete } else { Vec::new() }
            }
            _ => Vec::new(),
        };
        JournalEntry { record, bodies }
    }

    fn on_peer(&mut self, now: Now, from: NodeIndex, message: Verified<PeerMessage>, out: &mut Vec<Output>) {
        match message.part::<pbft::Message>().map_err(Verified::into_inner) {
            Ok(message) if self.is_relayed_status(from, &message) => {}
            Ok(message) => self.step(now, pbft::Input::Message(Box::new(message)), out),
            Err(PeerMessage::Sync(message)) => self.on_sync(now, from, message, out),
            Err(PeerMessage::Pbft(_)) => {}
        }
    }

    /// A STATUS counts from its signer's own link only. Answers to it are limited in rate, so a stale one that somebody
    /// replays would keep the true one from being answered.
    fn is_relayed_status(&self, from: NodeIndex, message: &pbft::Message) -> bool {
        match message {
            pbft::Message::Status(status) => self.config.engine.validators.key(from) != Some(&status.signer),
            _ => false,
        }
    }

    fn on_sync(&mut self, now: Now, from: NodeIndex, message: SyncMessage, out: &mut Vec<Output>) {
        if message.is_question() && !self.allow(now, from, &message) {
            return;
        }
        match message {
            // The edge hands claims in one by one, as `Input::Submitted`.
            SyncMessage::Claims(_) | SyncMessage::Repair(RepairMessage::PendingBodies(_)) => {}
            SyncMessage::Repair(message) => self.on_repair(now, from, &message, out),
            SyncMessage::FetchBodies(ids) => self.on_fetch_bodies(from, &ids, out),
            SyncMessage::FetchBatches(wanted) => self.on_fetch_batches(from, &wanted, out),
            SyncMessage::Batch { sequence, content } => self.step(now, pbft::Input::Content { sequence, content }, out),
            SyncMessage::FetchViewChanges(names) => self.on_fetch_view_changes(from, &names, out),
            SyncMessage::Bodies(bodies) => {
                bodies.iter().for_each(|body| self.supply(body));
                self.try_execute(out);
            }
            SyncMessage::Blocks(blocks) => self.on_blocks(now, from, blocks.into_inner(), out),
            request @ (SyncMessage::FetchBlocks { .. } | SyncMessage::FetchCertificate { .. }) => {
                out.push(Output::Serve { to: from, request });
            }
        }
    }

    /// Whether a peer may still ask this.
    fn allow(&mut self, now: Now, from: NodeIndex, question: &SyncMessage) -> bool {
        let allowance = self.allowances.entry(from).or_insert_with(|| Allowance::full(now.monotonic));
        allowance.take(now.monotonic, cost(question))
    }

    fn on_submitted(
        &mut self,
        now: Now,
        transactions: Vec<Verified<SignedTransaction>>,
        door: Door,
        out: &mut Vec<Output>,
    ) {
        let mut fresh = Vec::new();
        for transaction in transactions {
            let id = transaction.id();
            let transaction: Verified<Body> = transaction.into();
            let body = Body::clone(&transaction);
            let result = self.pool.admit(now, self.head_time, transaction, door);
            if result != Ok(Admitted::Known) {
                // Also what the pool has no room for: another pool had, and proposed it.
                self.supply(&body);
            }
            if result == Ok(Admitted::New) {
                fresh.push(body);
            }
            if result.is_err() && door == Door::Gossip {
                self.repair.note_refused(now.monotonic, id);
            }
            if door == Door::Client {
                out.push(Output::Admission { id, result });
            }
        }
        if door == Door::Client && !fresh.is_empty() {
            out.push(Output::Gossip(fresh));
        }
        self.proposals.note_ready(now.monotonic, self.pool.ready().count);
        self.try_execute(out);
    }

    /// A verified body: every pinned batch that lacks it has it from here on.
    pub(super) fn supply(&mut self, body: &Body) {
        if self.bodies.supply(body) {
            self.proposals.note_completed();
        }
    }

    /// Passes final batches on in order, as far as their bodies are here.
    pub(super) fn try_execute(&mut self, out: &mut Vec<Output>) {
        while let Some(next) = self.executions.front() {
            let key = (Sequence::from(next.height), next.content.digest());
            let bodies = match &next.content {
                Content::Null => Vec::new(),
                Content::Batch(_) => match self.bodies.complete(&key) {
                    Some(bodies) => bodies,
                    None => return,
                },
            };
            let Some(Execution { height, content, proof, expected }) = self.executions.pop_front() else { return };
            out.push(Output::Execute(Box::new(ExecutionJob { height, content, bodies, proof, expected })));
        }
    }

    fn on_peer_up(&mut self, now: Now, peer: NodeIndex, out: &mut Vec<Output>) {
        self.connected.insert(peer);
        self.repair.peer_up(now.monotonic, peer);
        self.bodies.ask_anew(now.monotonic, peer);
        let status = self.engine.status();
        if peer == status.primary {
            self.pool.primary_link_returned(now.monotonic, (status.epoch, status.view));
            self.claims_at = now.monotonic;
        }
        self.step(now, pbft::Input::PeerUp(peer), out);
    }
}

pub(super) fn send(to: NodeIndex, message: SyncMessage, out: &mut Vec<Output>) {
    out.push(Output::Send { to, message: Arc::new(PeerMessage::Sync(message)) });
}
