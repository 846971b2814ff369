//! Moments of a world that scenarios wait for, and what left the nodes by then.

use super::stage::{Stage, ms};
use quorate_crypto::{PublicKey, Signable, Signed, encode};
use quorate_protocol::id::{Height, NodeIndex, View};
use quorate_protocol::pbft::message::Proposal;
use quorate_protocol::pbft::{Message, Record};
use quorate_protocol::replica::{PeerMessage, SyncMessage};
use quorate_protocol::sim::{Fate, InFlight, Unsynced, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The kinds of votes, in the order in which a view change meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    PrePrepare,
    Prepare,
    Commit,
    ViewChange,
    NewView,
}

/// The kind of a message and who signed it; none where it is no vote.
pub fn vote_of(message: &PeerMessage) -> Option<(Vote, PublicKey)> {
    let PeerMessage::Pbft(message) = message else { return None };
    match message {
        Message::PrePrepare(proposal) => Some((Vote::PrePrepare, proposal.pre_prepare.signer)),
        Message::Prepare(vote) => Some((Vote::Prepare, vote.signer)),
        Message::Commit(vote) => Some((Vote::Commit, vote.signer)),
        Message::ViewChange(vote) => Some((Vote::ViewChange, vote.signer)),
        Message::NewView(vote) => Some((Vote::NewView, vote.signer)),
        _ => None,
    }
}

pub fn is_vote(message: &PeerMessage, kind: Vote) -> bool {
    vote_of(message).is_some_and(|(found, _)| found == kind)
}

/// Whether a message lets its receiver skip the votes: a certificate, a block, or what certificates come from.
pub fn is_certificate(message: &PeerMessage) -> bool {
    matches!(
        message,
        PeerMessage::Pbft(Message::CommitCertificate(_) | Message::CertifiedCheckpoint(_))
            | PeerMessage::Sync(SyncMessage::Blocks(_))
    )
}

/// The own votes of a kind that have left a node, byte for byte, in their order.
pub fn said(world: &World, node: NodeIndex, kind: Vote) -> Vec<Vec<u8>> {
    let own = world.genesis().validators.key(node).copied();
    let is_own = |message: &PeerMessage| vote_of(message).is_some_and(|(of, key)| of == kind && Some(key) == own);
    world.votes(node).iter().map(|verified| &***verified).filter(|message| is_own(message)).map(encode).collect()
}

/// The own votes of a kind that lie in a node's journal, as they leave it.
pub fn written(world: &World, node: NodeIndex, kind: Vote) -> Vec<Vec<u8>> {
    let own = world.genesis().validators.key(node).copied();
    let vote = |record: &Record| match (kind, record) {
        (Vote::PrePrepare, Record::Accepted { pre_prepare, content: Some(content), .. }) => {
            let proposal = |pre_prepare| Message::PrePrepare(Proposal { pre_prepare, content: content.clone() });
            by(own, pre_prepare).map(proposal).map(bytes)
        }
        (Vote::Prepare, Record::Accepted { prepare: Some(vote), .. }) => by(own, vote).map(Message::Prepare).map(bytes),
        (Vote::Commit, Record::Prepared { commit, .. }) => by(own, commit).map(Message::Commit).map(bytes),
        (Vote::ViewChange, Record::ViewChange(vote)) => by(own, vote).map(Message::ViewChange).map(bytes),
        (Vote::NewView, Record::NewView { new_view, .. }) => by(own, new_view).map(Message::NewView).map(bytes),
        _ => None,
    };
    world.disk(node).journal().filter_map(|entry| vote(&entry.record)).collect()
}

fn by<T: Signable + Clone>(own: Option<PublicKey>, signed: &Signed<T>) -> Option<Signed<T>> {
    (Some(signed.signer) == own).then(|| signed.clone())
}

fn bytes(message: Message) -> Vec<u8> {
    encode(&PeerMessage::Pbft(message))
}

/// How many lines of its trace a world shows when it fails.
const TAIL: usize = 150;

/// What an interceptor has done so far, and whether it still does.
#[derive(Clone, Default)]
pub struct Tap {
    count: Arc<AtomicU64>,
    is_off: Arc<AtomicBool>,
}

impl Tap {
    /// How many messages it has caught.
    pub fn caught(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// It catches nothing any more.
    pub fn close(&self) {
        self.is_off.store(true, Ordering::Relaxed);
    }
}

impl Stage {
    /// From here on all messages that `wanted` chooses are lost.
    pub fn lose(&mut self, wanted: impl FnMut(&InFlight<'_>) -> bool + Send + 'static) -> Tap {
        self.catch(Fate::Drop, wanted)
    }

    /// From here on all messages that `wanted` chooses meet this fate.
    pub fn catch(&mut self, fate: Fate, mut wanted: impl FnMut(&InFlight<'_>) -> bool + Send + 'static) -> Tap {
        let tap = Tap::default();
        let Tap { count, is_off } = tap.clone();
        self.world.intercept(move |flight| {
            if is_off.load(Ordering::Relaxed) || !wanted(flight) {
                return Fate::Pass;
            }
            count.fetch_add(1, Ordering::Relaxed);
            fate
        });
        tap
    }

    /// Waits for a moment that must come.
    #[track_caller]
    pub fn must_reach(&mut self, within: Duration, what: &str, condition: impl FnMut(&World) -> bool) {
        let reached = self.world.run_within(within, condition);
        self.must_keep_promises();
        let seed = self.world.config().seed;
        assert!(reached, "seed {seed}: {what}: not within {within:?}:\n{}", self.world.trace().tail(TAIL));
    }

    /// LV among these nodes: all payments are executed and certified there in time.
    #[track_caller]
    pub fn must_settle_at(&mut self, nodes: &[NodeIndex], within: Duration) {
        let deadline = self.world.clock().now() + within;
        while !nodes.iter().all(|node| self.is_settled(*node)) {
            self.must_keep_promises();
            let (seed, is_late) = (self.world.config().seed, self.world.clock().now() >= deadline);
            assert!(!is_late, "seed {seed}: not settled within {within:?}:\n{}", self.world.trace().tail(TAIL));
            self.world.run_for(ms(5));
        }
    }

    /// The bound of LV for the links of a stage.
    pub fn bound(&self) -> Duration {
        let delay = self.world.config().link.delay_max;
        quorate_protocol::sim::liveness::bound(&self.world, delay, self.payments.len())
    }

    /// The view that a node is in, active or not; that of a node which is down is 0.
    pub fn view_of(&self, node: NodeIndex) -> View {
        self.world.status(node).map_or(View(0), |status| status.engine.view)
    }

    /// Ends all cuts; connections that were cut are made anew.
    pub fn mend(&mut self) {
        let machines = self.world.machines();
        let network = self.world.network().clone();
        self.world.network_mut().mend();
        for from in &machines {
            for to in machines.iter().filter(|to| *to > from) {
                if network.link(*from, *to).is_cut || network.link(*to, *from).is_cut {
                    self.world.reconnect(*from, *to);
                }
            }
        }
    }

    /// All nodes die at one moment.
    pub fn crash_all(&mut self, unsynced: Unsynced) {
        for node in self.world.indices() {
            self.world.crash(node, unsynced);
        }
    }

    /// All nodes that are down start.
    pub fn restart_all(&mut self) {
        for node in self.world.indices() {
            self.world.restart(node);
        }
    }

    /// Block times of every correct node never go back.
    #[track_caller]
    pub fn times_must_not_go_back(&self) {
        for node in self.world.correct() {
            let header = |height| self.world.header(node, Height(height));
            let times: Vec<u64> = (0..).map_while(header).map(|header| header.time).collect();
            assert!(times.is_sorted(), "seed {}: {node} has block times {times:?}", self.world.config().seed);
        }
    }
}

/// What a crash leaves, by turns.
pub fn unsynced(turn: u64) -> Unsynced {
    [Unsynced::Lost, Unsynced::Kept, Unsynced::Part(500)][(turn % 3) as usize]
}
