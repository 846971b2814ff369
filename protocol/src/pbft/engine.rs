//! The engine's state, and the one match on its inputs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use quorate_crypto::{
    encode::encode,
    hash::{Digest, sha256},
    key::{PublicKey, SecretKey},
};

use super::{
    config::Config,
    evidence::Evidence,
    input::{Input, Synced},
    message::{Ballot, Message, PreparedCertificate},
    output::{Note, Output, Ticket},
    record::{Durable, Record},
    safety::{Phase, Refusal, Safety},
    slot::Slot,
    state::{Executing, Pending, State},
    timer::Timer,
};
use crate::{
    document::Proof,
    id::{Height, NodeIndex, Sequence, View},
    time::Instant,
};

/// One replica's part in the agreement of one epoch. A value: it owns no clock, socket, disk or thread.
#[derive(Clone)]
pub struct Engine {
    pub(super) config: Config,
    pub(super) safety: Safety,
    pub(super) state: State,
    /// The time of the last input; not part of the fingerprint.
    pub(super) now: Instant,
}

impl Engine {
    /// An engine as of the last crash: what is durable decides everything, and nothing else is remembered. Its first
    /// deadline is at once; then it tells its peers what it has.
    pub fn recover(config: Config, key: SecretKey, durable: Durable, now: Instant) -> Engine {
        let voting = config.me.is_some() && durable.records.is_some();
        let mut safety = Safety::new(key, config.chain_id, config.epoch, voting);
        safety.set_low(durable.low);
        safety.set_executed(durable.executed);
        let mut status_timer = Timer::default();
        status_timer.set(Duration::ZERO);
        let state = State {
            view: View(0),
            active: true,
            opening: None,
            own_new_view: None,
            refused_new_views: BTreeSet::new(),
            own_view_change: None,
            view_changes: BTreeMap::new(),
            candidates: BTreeMap::new(),
            prepared: BTreeMap::new(),
            contents: BTreeMap::new(),
            left: BTreeMap::new(),
            wanted: BTreeMap::new(),
            held: BTreeMap::new(),
            proven: durable.proven,
            failed_views: 0,
            progressed: false,
            pool_pending: false,
            view_timer: Timer::default(),
            heard: BTreeSet::new(),
            recovering: true,
            low: durable.low,
            executed: durable.executed,
            delivered: durable.executed,
            slots: BTreeMap::new(),
            synced: BTreeMap::new(),
            executing: BTreeMap::new(),
            blocks: BTreeMap::new(),
            early: BTreeMap::new(),
            lost: Default::default(),
            late: Vec::new(),
            peers: BTreeMap::new(),
            next_sequence: Sequence(durable.executed.0 + 1),
            pending: BTreeMap::new(),
            next_ticket: 0,
            executed_at_status: durable.executed,
            status_timer,
            noted: BTreeSet::new(),
            state_diverged: None,
            halted: None,
        };
        let mut engine = Engine { config, safety, state, now };
        engine.restore(durable.records.unwrap_or_default());
        engine.forget_unneeded_contents();
        // What the log held is not young: whoever lacks it is to be sent it at once.
        engine.state.slots.values_mut().for_each(|slot| slot.since = None);
        for block in durable.blocks {
            engine.restore_block(block);
        }
        if engine.safety.floor() > durable.executed {
            // The store lost blocks, perhaps the low watermark with them, and the log up to there is given up (7.2).
            engine.safety.set_low(engine.safety.floor());
            engine.state.lost = (durable.executed, engine.safety.floor());
        }
        engine
    }

    /// The only way in. Total: no input of a peer makes it panic.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let elapsed = now.saturating_since(self.now);
        self.now = self.now.max(now);
        self.state.status_timer.advance(elapsed);
        self.state.view_timer.advance(elapsed);
        if self.state.halted.is_some() {
            return;
        }
        match input {
            Input::Message(message) => self.on_message(message.into_inner(), out),
            Input::Propose(batch) => self.on_propose(batch, out),
            Input::Checked { sequence, digest, verdict } => self.on_checked(sequence, digest, verdict, out),
            Input::Durable(ticket) => self.on_durable(ticket, out),
            Input::Executed { height, header_hash, settled, expired } => {
                self.on_executed(height, header_hash, settled > 0 || expired, out);
            }
            Input::Demand { pending, unfair } => self.on_demand(pending, unfair, out),
            Input::Content { sequence, content } => self.on_content(sequence, content, out),
            Input::Synced(synced) => self.on_synced(synced, out),
            Input::Anchored(height) => self.on_anchored(height, out),
            Input::PeerUp(peer) => self.on_peer_up(peer, out),
            Input::Deadline => {}
        }
        if self.state.halted.is_none() && self.state.status_timer.take_due() {
            self.on_status_timer(out);
        }
        if self.state.halted.is_none() {
            self.ask_for_contents(false, out);
            self.update_view_timer();
            if self.state.view_timer.take_due() {
                self.on_view_timer(out);
                self.update_view_timer();
            }
        }
    }

    fn on_message(&mut self, message: Message, out: &mut Vec<Output>) {
        if self.is_from_a_twin(&message) {
            let reason = "a valid vote of this node's own key arrived that this node never cast: two processes share the \
                          key; stop one of them";
            self.halt(reason.to_owned(), out);
            return;
        }
        match message {
            Message::PrePrepare(proposal) => self.on_pre_prepare(proposal, out),
            Message::Prepare(vote) => self.on_prepare(vote, out),
            Message::Commit(vote) => self.on_commit(vote, out),
            Message::Checkpoint(checkpoint) => self.on_checkpoint(checkpoint, out),
            Message::CommitCertificate(certificate) => self.on_commit_certificate(certificate, out),
            Message::CertifiedCheckpoint(certified) => self.on_certified_checkpoint(certified, out),
            Message::Status(status) => self.on_status(status, out),
            Message::ViewChange(view_change) => self.on_view_change(view_change, out),
            Message::NewView(new_view) => self.on_new_view(new_view, out),
        }
    }

    /// Whether the message holds a fresh vote of this replica's own key that it never cast, or its CHECKPOINT above its
    /// floor (PROTOCOL 6.4). Only votes above the low watermark tell: older ones may be replays of what was forgotten on
    /// purpose.
    fn is_from_a_twin(&self, message: &Message) -> bool {
        if self.safety.check_standing() == Err(Refusal::NotVoting) {
            return false;
        }
        let own = self.safety.public_key();
        let unknown = |signer: PublicKey, ballot: Ballot, phase: Phase| {
            signer == own && Height::from(ballot.sequence) > self.safety.low() && !self.safety.knows(&ballot, phase)
        };
        let unknown_in = |certificate: &PreparedCertificate| {
            let proposal = &certificate.pre_prepare;
            unknown(proposal.signer, proposal.body.0, Phase::PrePrepare)
                || certificate.prepares.iter().any(|vote| unknown(vote.signer, vote.body.0, Phase::Prepare))
        };
        match message {
            Message::ViewChange(signed) => {
                (signed.signer == own && !self.safety.knows_view(signed.body.view, false))
                    || signed.body.prepared.iter().any(unknown_in)
            }
            Message::NewView(signed) => signed.signer == own && !self.safety.knows_view(signed.body.view, true),
            Message::PrePrepare(proposal) => unknown(proposal.pre_prepare.signer, proposal.ballot(), Phase::PrePrepare),
            Message::Prepare(vote) => unknown(vote.signer, vote.body.0, Phase::Prepare),
            Message::Commit(vote) => unknown(vote.signer, vote.body.0, Phase::Commit),
            Message::CommitCertificate(certificate) => {
                certificate.commits.iter().any(|vote| unknown(vote.signer, vote.body.0, Phase::Commit))
            }
            Message::Checkpoint(signed) => signed.signer == own && signed.body.height > self.safety.floor(),
            Message::CertifiedCheckpoint(_) | Message::Status(_) => false,
        }
    }

    /// When the engine wants an [`Input::Deadline`], if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.state.halted.is_some() {
            return None;
        }
        [&self.state.status_timer, &self.state.view_timer]
            .into_iter()
            .filter_map(|timer| timer.deadline(self.now))
            .min()
    }

    /// A digest of everything that decides what the engine does next.
    pub fn fingerprint(&self) -> Digest {
        let mut bytes = encode(&self.state);
        self.safety.fingerprint_into(&mut bytes);
        sha256(&bytes)
    }

    /// The primary of the current view.
    pub fn primary(&self) -> NodeIndex {
        self.config.validators.primary(self.config.epoch, self.state.view)
    }

    /// Whether this replica is the primary of the current view.
    pub fn is_primary(&self) -> bool {
        self.config.me == Some(self.primary())
    }

    /// The highest block that is durable here.
    pub fn executed(&self) -> Height {
        self.state.executed
    }

    /// Whether the current view proposes this sequence for the first time, not again by its NEW-VIEW.
    pub fn is_fresh(&self, sequence: Sequence) -> bool {
        sequence > self.view_max()
    }

    /// The highest block whose execution was asked for.
    pub fn delivered(&self) -> Height {
        self.state.delivered
    }

    /// The world can no longer do what the engine relies on: nothing is signed from here on.
    pub fn stop(&mut self, reason: String) {
        self.state.halted = Some(reason);
    }

    /// Whether the window has room for one more proposal of this replica: it is the primary of an active view, it votes,
    /// and neither the high watermark nor `in_flight_max` is reached (PROTOCOL 3.1).
    pub fn room(&self) -> Option<Sequence> {
        let sequence = self.state.next_sequence;
        let open = self.is_primary() && self.state.active && self.state.halted.is_none() && self.safety.is_voting();
        if !open || self.state.executed < self.view_min() || !self.knows_proposed_again() {
            return None;
        }
        let above = sequence.0.saturating_sub(self.last_committed().0);
        (self.in_window(sequence) && above <= self.config.in_flight_max).then_some(sequence)
    }

    /// Whether the ids of everything that this view proposes again are known, so that none is proposed a second time.
    fn knows_proposed_again(&self) -> bool {
        let again = Sequence::from(self.state.executed.next())..=self.view_max();
        again.is_empty()
            || self
                .state
                .slots
                .range(again)
                .filter_map(|(_, slot)| slot.acceptance.as_ref())
                .all(|a| a.content.is_some())
    }

    /// The highest sequence up to which everything is committed.
    pub(super) fn last_committed(&self) -> Sequence {
        Sequence(self.state.delivered.0)
    }

    /// low < n <= low + L, or the same above the watermark from which the view began: a replica that lacks the blocks below
    /// it votes nevertheless, and delays only their execution (5.4).
    pub(super) fn in_window(&self, sequence: Sequence) -> bool {
        let height = Height::from(sequence);
        let within = |low: Height| height > low && height.0 - low.0 <= self.config.window;
        height > self.state.low && (within(self.state.low) || within(self.view_min()))
    }

    /// The slot of a sequence inside the window.
    pub(super) fn slot(&mut self, sequence: Sequence) -> &mut Slot {
        let now = self.now;
        if !self.state.slots.contains_key(&sequence) {
            // From now on something is missing, so peers are told sooner.
            self.state.status_timer.hasten(self.config.status_interval);
        }
        self.state.slots.entry(sequence).or_insert_with(|| Slot::new(now))
    }

    pub(super) fn index_of(&self, key: &PublicKey) -> Option<NodeIndex> {
        self.config.validators.index_of(key)
    }

    pub(super) fn persist(&mut self, record: Record, release: Vec<Message>, pending: Pending, out: &mut Vec<Output>) {
        let ticket = Ticket(self.state.next_ticket);
        self.state.next_ticket += 1;
        self.state.pending.insert(ticket, pending);
        out.push(Output::Persist { record, release, ticket });
    }

    fn on_durable(&mut self, ticket: Ticket, out: &mut Vec<Output>) {
        match self.state.pending.remove(&ticket) {
            Some(Pending::Accepted { view, sequence, prepare }) => {
                self.on_accepted_durable(view, sequence, prepare, out)
            }
            Some(Pending::Prepared(commit)) => self.on_prepared_durable(commit, out),
            Some(Pending::Checkpoint(checkpoint)) => self.on_checkpoint(checkpoint, out),
            Some(Pending::ViewChange(view_change)) => self.on_view_change_durable(view_change, out),
            Some(Pending::NewView(view)) => self.on_new_view_durable(view),
            // Answered twice, or asked for before a restart.
            None => {}
        }
    }

    /// The one component that delivers blocks (PROTOCOL 4.4): whatever made a height final, it is executed here, once and
    /// in order.
    pub(super) fn try_deliver(&mut self, out: &mut Vec<Output>) {
        loop {
            let height = self.state.delivered.next();
            let from_sync = self.state.synced.remove(&height);
            let slot = self.state.slots.get(&Sequence::from(height));
            let (content, proof, certified) = match (slot.and_then(|slot| slot.committed.as_ref()), from_sync) {
                (Some(held), _) => (held.content.clone(), Proof::Commits(held.commits.clone()), None),
                (None, Some(synced)) => {
                    // COMMITs prove what was ordered, CHECKPOINTs what came out of it as well.
                    let certified = match &synced.proof {
                        Proof::Certificate(certificate) => Some((synced.header_hash, certificate.clone())),
                        Proof::Commits(_) => None,
                    };
                    (synced.content, synced.proof, certified)
                }
                (None, None) => return,
            };
            let expected = certified.as_ref().map(|(header_hash, _)| *header_hash);
            self.state.executing.insert(height, Executing { digest: content.digest(), certified });
            out.push(Output::Execute { height, content, proof, expected });
            self.state.delivered = height;
            self.state.next_sequence = self.state.next_sequence.max(Sequence::from(height).next());
        }
    }

    fn on_synced(&mut self, synced: Synced, out: &mut Vec<Output>) {
        let ahead = synced.height.0.saturating_sub(self.state.delivered.0);
        if ahead == 0 || ahead > self.config.window {
            return;
        }
        self.state.synced.insert(synced.height, synced);
        self.try_deliver(out);
    }

    /// Tells of a liar, of each kind of lie once.
    pub(super) fn accuse(&mut self, evidence: Evidence, out: &mut Vec<Output>) {
        let index = self.index_of(&evidence.accused());
        if index.is_some_and(|index| self.state.noted.insert((index, evidence.kind()))) {
            out.push(Output::Note(Note::Evidence(Box::new(evidence))));
        }
    }

    pub(super) fn halt(&mut self, reason: String, out: &mut Vec<Output>) {
        self.state.halted = Some(reason.clone());
        out.push(Output::Halt { reason, divergence: None });
    }

    pub(super) fn note_not_signed(what: &'static str, refusal: Refusal, out: &mut Vec<Output>) {
        out.push(Output::Note(Note::NotSigned { what, refusal }));
    }
}
