//! The behaviour behind the vote and sync streams: who is connected, and by which connection.
//!
//! A connection counts from the moment its hello is accepted. When a second one of the same peer gets that far, the newest
//! wins and the older is closed, so that a connection to a process that no longer exists never locks out its successor.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use quorate_crypto::{Digest, PublicKey, SecretKey, Verifier};
use quorate_protocol::id::{Epoch, NodeIndex};
use thiserror::Error;

use super::events::{EventSender, NetworkEvent};
use super::frame::{FrameError, Kind, raw_frame};
use super::handler::{Accepted, Break, Handler, Patience, Protocols, Report};
use super::hello::{self, Expected, Hello, Refusal, Role};
use super::peer::{Counters, Directory, Peer};

/// What this node says of itself.
pub(super) struct Identity {
    pub chain_id: Digest,
    pub epoch: Epoch,
    pub me: NodeIndex,
    pub consensus_key: SecretKey,
    pub network_key: PublicKey,
}

/// What the behaviour tells the network task.
#[derive(Debug)]
pub(super) enum Event {
    /// The peer is connected now.
    Connected(NodeIndex),
    /// The peer's connection is being closed for this reason.
    Closing(NodeIndex, Closing),
}

/// Why the behaviour closes a connection.
#[derive(Debug, Error)]
pub(super) enum Closing {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Broken(#[from] Break),
    #[error("a newer connection took over")]
    Replaced,
    #[error("it connects again and again, faster than this node takes notice")]
    Restless,
}

/// See the module's description.
pub(super) struct Votes {
    identity: Identity,
    protocols: Protocols,
    patience: Patience,
    directory: Arc<Directory>,
    events: EventSender,
    counters: Arc<Counters>,
    verifier: Verifier,
    /// When each standing connection was established, in order.
    standing: HashMap<ConnectionId, u64>,
    established: u64,
    actions: VecDeque<ToSwarm<Event, Accepted>>,
    waker: Option<Waker>,
}

impl Votes {
    pub(super) fn new(
        identity: Identity,
        protocols: Protocols,
        patience: Patience,
        directory: Arc<Directory>,
        events: EventSender,
        counters: Arc<Counters>,
        verifier: Verifier,
    ) -> Votes {
        Votes {
            identity,
            protocols,
            patience,
            directory,
            events,
            counters,
            verifier,
            standing: HashMap::new(),
            established: 0,
            actions: VecDeque::new(),
            waker: None,
        }
    }

    fn handler(&self, connection: ConnectionId, id: &PeerId) -> Result<Handler, ConnectionDenied> {
        let peer = self.directory.find(id).ok_or_else(|| ConnectionDenied::new(UnknownPeer))?;
        let hello = self.hello_for(peer).map_err(ConnectionDenied::new)?;
        Ok(Handler::new(
            connection,
            Arc::clone(peer),
            hello,
            self.protocols.clone(),
            self.patience,
            self.events.clone(),
            Arc::clone(&self.counters),
        ))
    }

    fn hello_for(&self, peer: &Peer) -> Result<Bytes, FrameError> {
        let hello = Hello {
            chain_id: self.identity.chain_id,
            epoch: self.identity.epoch,
            role: Role::Validator,
            index: self.identity.me,
            from: self.identity.network_key,
            to: peer.network_key,
        };
        raw_frame(Kind::Hello, &hello::sign(hello, &self.identity.consensus_key))
    }

    fn on_hello(&mut self, peer: &Arc<Peer>, connection: ConnectionId, payload: &[u8]) {
        let expected = Expected {
            chain_id: self.identity.chain_id,
            index: peer.index,
            consensus_key: peer.consensus_key,
            from: peer.network_key,
            to: self.identity.network_key,
        };
        match hello::check(payload, &expected, &mut self.verifier) {
            Ok(()) => self.accept(peer, connection),
            Err(refusal) => {
                self.counters.hello_refused();
                self.close(peer, connection, refusal.into());
            }
        }
    }

    /// Makes the connection the one that counts, unless a newer one does already.
    fn accept(&mut self, peer: &Arc<Peer>, connection: ConnectionId) {
        let Some(established) = self.standing.get(&connection).copied() else {
            return; // closed meanwhile
        };
        let older = peer.active();
        if older.and_then(|older| self.standing.get(&older)).is_some_and(|other| *other > established) {
            return self.close(peer, connection, Closing::Replaced);
        }
        // One credit for Connected and one for the Disconnected that will follow it, so that neither is ever missing.
        let credits = peer.links.take(0, Waker::noop()).zip(peer.links.take(0, Waker::noop()));
        let Some((up, down)) = credits else {
            return self.close(peer, connection, Closing::Restless);
        };
        if let Some(older) = older {
            self.disconnect(peer);
            self.close(peer, older, Closing::Replaced);
        }
        // First the queue, then the news: who hears it can send at once.
        peer.activate(connection, down);
        self.events.send_with(NetworkEvent::Connected(peer.index), up);
        self.act(ToSwarm::NotifyHandler { peer_id: peer.id, handler: NotifyHandler::One(connection), event: Accepted });
        self.act(ToSwarm::GenerateEvent(Event::Connected(peer.index)));
    }

    fn disconnect(&mut self, peer: &Peer) {
        if let Some(credit) = peer.deactivate() {
            self.events.send_with(NetworkEvent::Disconnected(peer.index), credit);
        }
    }

    fn close(&mut self, peer: &Peer, connection: ConnectionId, reason: Closing) {
        self.act(ToSwarm::CloseConnection { peer_id: peer.id, connection: CloseConnection::One(connection) });
        self.act(ToSwarm::GenerateEvent(Event::Closing(peer.index, reason)));
    }

    fn act(&mut self, action: ToSwarm<Event, Accepted>) {
        self.actions.push_back(action);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Only reached when the allow-list in front of this behaviour is wrong.
#[derive(Debug, Error)]
#[error("peer is not in the validator set")]
struct UnknownPeer;

impl NetworkBehaviour for Votes {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(connection, &peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(connection, &peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                self.established += 1;
                self.standing.insert(event.connection_id, self.established);
            }
            FromSwarm::ConnectionClosed(event) => {
                self.standing.remove(&event.connection_id);
                if let Some(peer) = self.directory.find(&event.peer_id).cloned()
                    && peer.active() == Some(event.connection_id)
                {
                    self.disconnect(&peer);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, report: THandlerOutEvent<Self>) {
        let Some(peer) = self.directory.find(&peer).cloned() else {
            return;
        };
        match report {
            Report::Hello(payload) => self.on_hello(&peer, connection, &payload),
            Report::Broken(reason) => {
                if reason != Break::Ended {
                    self.counters.link_broken();
                }
                if peer.active() == Some(connection) {
                    self.disconnect(&peer);
                }
                self.close(&peer, connection, reason.into());
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        match self.actions.pop_front() {
            Some(action) => Poll::Ready(action),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
