//! The task that owns the swarm.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use libp2p::PeerId;
use libp2p::allow_block_list::{AllowedPeers, Behaviour as AllowList};
use libp2p::connection_limits::{Behaviour as Limits, ConnectionLimits};
use libp2p::gossipsub::{self, IdentTopic};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, NetworkBehaviour, Swarm, SwarmEvent};
use quorate_crypto::Digest;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::dialer::{Dial, Dialer};
use super::events::{EventSender, GossipId, NetworkEvent, ReceivedGossip, Verdict};
use super::gossip;
use super::handle::Shared;
use super::handler::Break;
use super::votes::{self, Closing, Votes};

/// Connections that are being set up at a time, per direction. Strangers can take the inbound ones, for five seconds each.
const PENDING_MAX: u32 = 256;
/// Standing connections to one peer: one, and for a moment its successor.
const PER_PEER_MAX: u32 = 2;

/// What every connection runs. The limits and the allow-list come first: what they refuse never reaches the others.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: Limits,
    allowed: AllowList<AllowedPeers>,
    votes: Votes,
    gossip: gossipsub::Behaviour,
}

impl Behaviour {
    pub(super) fn new(peers: &[PeerId], votes: Votes, gossip: gossipsub::Behaviour) -> Behaviour {
        let established = PER_PEER_MAX * peers.len() as u32; // at most 30 peers
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(PENDING_MAX))
            .with_max_pending_outgoing(Some(PENDING_MAX))
            .with_max_established_per_peer(Some(PER_PEER_MAX))
            .with_max_established(Some(established));
        let mut allowed = AllowList::<AllowedPeers>::default();
        for peer in peers {
            allowed.allow_peer(*peer);
        }
        Behaviour { limits: Limits::new(limits), allowed, votes, gossip }
    }
}

/// See the module's description.
pub(super) struct Task {
    pub swarm: Swarm<Behaviour>,
    pub shared: Arc<Shared>,
    pub events: EventSender,
    pub dialer: Dialer,
    pub topic: IdentTopic,
    /// Dropped with the task, which tells `NetworkHandle::stop` that it has ended.
    pub running: watch::Sender<()>,
}

impl Task {
    /// Runs until it is told to stop or nobody listens to its events any more.
    pub(super) async fn run(mut self) {
        while !self.shared.is_stopping() {
            self.dial_due();
            self.report_verdicts();
            self.publish_due();
            let due = self.due();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                () = self.shared.woken() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
                () = self.events.closed() => break,
            }
        }
        drop(self.swarm);
        drop(self.running);
    }

    fn due(&self) -> Option<Instant> {
        [self.dialer.due(), self.shared.gossip_due()].into_iter().flatten().min()
    }

    fn dial_due(&mut self) {
        while let Some(Dial { id, address, .. }) = self.dialer.next(Instant::now()) {
            let options = DialOpts::peer_id(id)
                .condition(PeerCondition::NotDialing)
                .addresses(vec![address])
                .allocate_new_port()
                .build();
            if let Err(error) = self.swarm.dial(options) {
                self.on_dial_failed(&id, &error);
            }
        }
    }

    /// Has a peer dialled again later, if it is one of ours to dial.
    fn on_lost(&mut self, id: &PeerId) -> Option<u32> {
        // Without randomness there is no jitter, which is not worth an error.
        self.dialer.on_lost(id, Instant::now(), getrandom::u64().unwrap_or(0))
    }

    fn on_dial_failed(&mut self, id: &PeerId, error: &DialError) {
        let Some(failures) = self.on_lost(id) else {
            return;
        };
        let peer = self.shared.directory.find(id).map(|peer| peer.index).unwrap_or_default();
        // The first, the second, the fourth … of a row are worth a line.
        if failures.is_power_of_two() {
            tracing::info!(%peer, failures, %error, "cannot connect, trying again");
        } else {
            tracing::debug!(%peer, failures, %error, "cannot connect, trying again");
        }
    }

    fn report_verdicts(&mut self) {
        for (id, verdict) in self.shared.take_verdicts() {
            self.report(id, verdict);
        }
    }

    fn report(&mut self, id: GossipId, verdict: Verdict) {
        if let Some(peer) = self.shared.directory.get(id.source) {
            gossip::report(&mut self.swarm.behaviour_mut().gossip, &id.digest, &peer.id, verdict);
        }
    }

    fn publish_due(&mut self) {
        while let Some(data) = self.shared.take_gossip(Instant::now()) {
            if let Err(error) = gossip::publish(&mut self.swarm.behaviour_mut().gossip, &self.topic, data) {
                tracing::debug!(%error, "gossip message lost");
                self.shared.counters.gossip_dropped(1);
            }
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Votes(event)) => self.on_votes(event),
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => {
                if let Ok(digest) = message_id.0.try_into() {
                    self.on_gossip(propagation_source, Digest::from_bytes(digest), message.data);
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.on_dial_failed(&peer, &error)
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.on_lost(&peer_id);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "inbound connection refused");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "the listener failed to accept"),
            SwarmEvent::ListenerClosed { reason, .. } => tracing::error!(?reason, "the listener is closed"),
            _ => {}
        }
    }

    fn on_votes(&mut self, event: votes::Event) {
        match event {
            votes::Event::Connected(index) => {
                tracing::info!(peer = %index, "connected");
                self.dialer.on_connected(index);
            }
            votes::Event::Closing(index, reason @ (Closing::Refused(_) | Closing::Broken(Break::Negotiation(_)))) => {
                tracing::warn!(peer = %index, %reason, "peer refused");
            }
            votes::Event::Closing(index, reason) => tracing::info!(peer = %index, %reason, "connection closed"),
        }
    }

    /// Passes a message to the node, if its source is connected and within its budget; otherwise it is ignored.
    fn on_gossip(&mut self, source: PeerId, digest: Digest, data: Vec<u8>) {
        let Some(peer) = self.shared.directory.find(&source).cloned() else {
            return;
        };
        let id = GossipId { digest, source: peer.index };
        if data.len() > gossip::DATA_BYTES_MAX {
            return self.report(id, Verdict::Reject);
        }
        let credit = peer.gossip.take(data.len(), std::task::Waker::noop());
        match credit.filter(|_| peer.active().is_some()) {
            Some(credit) => {
                let data = data.into();
                self.events.send(NetworkEvent::Gossip(ReceivedGossip { id, data, _credit: credit }));
            }
            None => {
                self.shared.counters.gossip_dropped(1);
                self.report(id, Verdict::Ignore);
            }
        }
    }
}
