//! What the threads of a node share about each peer: its queues, its budgets, what was lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use quorate_crypto::PublicKey;
use quorate_protocol::id::NodeIndex;

use super::events::{Budget, Credit};
use super::frame::{Class, Frame, HEADER_BYTES, StreamKind};
use super::outbox::Outbox;

/// Messages of one peer's vote stream that the node holds at a time.
const VOTE_ITEMS_MAX: usize = 4096;
/// Their bytes.
const VOTE_BYTES_MAX: usize = 8 << 20;
/// Messages of one peer's sync stream that the node holds at a time.
const SYNC_ITEMS_MAX: usize = 64;
/// Their bytes.
const SYNC_BYTES_MAX: usize = 8 << 20;
/// Gossip messages passed on by one peer that the node holds at a time.
const GOSSIP_ITEMS_MAX: usize = 128;
/// Their bytes.
const GOSSIP_BYTES_MAX: usize = 8 << 20;
/// Unread events about one peer's connections. A connection is refused while its peer has this many.
const LINK_EVENTS_MAX: usize = 16;

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub index: NodeIndex,
    pub id: PeerId,
    pub consensus_key: PublicKey,
    pub network_key: PublicKey,
    pub votes: Arc<Budget>,
    pub sync: Arc<Budget>,
    pub gossip: Arc<Budget>,
    pub links: Arc<Budget>,
    outbox: Mutex<Outbox>,
    down: Mutex<Option<Credit>>,
    times: Mutex<Times>,
}

/// When a peer was there.
#[derive(Debug, Default)]
struct Times {
    /// Since when the present connection stands.
    since: Option<Instant>,
    /// When its last message came.
    heard: Option<Instant>,
}

/// A peer's link, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// The validator.
    pub index: NodeIndex,
    /// How long it is connected, if it is.
    pub connected: Option<Duration>,
    /// How long ago its last message came, or its hello; `None` if it was never connected.
    pub silent: Option<Duration>,
}

impl Peer {
    pub(super) fn new(index: NodeIndex, id: PeerId, consensus_key: PublicKey, network_key: PublicKey) -> Peer {
        Peer {
            index,
            id,
            consensus_key,
            network_key,
            votes: Budget::new(VOTE_ITEMS_MAX, VOTE_BYTES_MAX),
            sync: Budget::new(SYNC_ITEMS_MAX, SYNC_BYTES_MAX),
            gossip: Budget::new(GOSSIP_ITEMS_MAX, GOSSIP_BYTES_MAX),
            links: Budget::new(LINK_EVENTS_MAX, 0),
            outbox: Mutex::default(),
            down: Mutex::default(),
            times: Mutex::default(),
        }
    }

    /// Notes that a message came.
    pub(super) fn hear(&self) {
        self.times().heard = Some(Instant::now());
    }

    /// How its link is.
    pub(super) fn link(&self) -> LinkStatus {
        let times = self.times();
        let elapsed = |time: Option<Instant>| time.map(|time| time.elapsed());
        LinkStatus { index: self.index, connected: elapsed(times.since), silent: elapsed(times.heard) }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget for what comes in on a stream.
    pub(super) fn budget(&self, stream: StreamKind) -> &Arc<Budget> {
        match stream {
            StreamKind::Vote => &self.votes,
            StreamKind::Sync => &self.sync,
        }
    }

    /// Queues a frame; false when it was dropped.
    pub(super) fn push(&self, frame: &Frame) -> bool {
        let (queued, waker) = self.outbox().push(frame);
        if let Some(waker) = waker {
            waker.wake();
        }
        queued
    }

    pub(super) fn pop(&self, connection: ConnectionId, stream: StreamKind, waker: &Waker) -> Option<Bytes> {
        self.outbox().pop(connection, stream, waker)
    }

    /// Opens the queues for a connection; `down` is kept for the event that it is gone.
    pub(super) fn activate(&self, connection: ConnectionId, down: Credit) {
        self.outbox().activate(connection);
        let now = Some(Instant::now());
        *self.times() = Times { since: now, heard: now };
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = Some(down);
    }

    /// Closes the queues; returns what `activate` was given, if it was.
    pub(super) fn deactivate(&self) -> Option<Credit> {
        self.outbox().deactivate();
        self.times().since = None;
        self.down.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The connection whose hello was verified last, if it stands.
    pub(super) fn active(&self) -> Option<ConnectionId> {
        self.outbox().active()
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All peers, by index and by libp2p peer id.
#[derive(Debug)]
pub(super) struct Directory {
    by_index: Vec<Option<Arc<Peer>>>,
    by_id: HashMap<PeerId, Arc<Peer>>,
}

impl Directory {
    pub(super) fn new(peers: Vec<Peer>) -> Directory {
        let mut directory = Directory { by_index: Vec::new(), by_id: HashMap::new() };
        for peer in peers.into_iter().map(Arc::new) {
            let slot = peer.index.as_usize();
            if directory.by_index.len() <= slot {
                directory.by_index.resize(slot + 1, None);
            }
            directory.by_id.insert(peer.id, Arc::clone(&peer));
            directory.by_index[slot] = Some(peer);
        }
        directory
    }

    pub(super) fn get(&self, index: NodeIndex) -> Option<&Arc<Peer>> {
        self.by_index.get(index.as_usize())?.as_ref()
    }

    pub(super) fn find(&self, id: &PeerId) -> Option<&Arc<Peer>> {
        self.by_id.get(id)
    }

    /// Every peer, in index order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.by_index.iter().flatten()
    }
}

/// Counts since the start, kept by all threads.
#[derive(Debug, Default)]
pub(super) struct Counters {
    frames_sent: AtomicU64,
    bytes_sent: AtomicU64,
    frames_received: AtomicU64,
    bytes_received: AtomicU64,
    frames_dropped: [AtomicU64; Class::ALL.len()],
    gossip_dropped: AtomicU64,
    hellos_refused: AtomicU64,
    links_broken: AtomicU64,
}

/// What the network has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkCounts {
    /// Messages written to streams.
    pub frames_sent: u64,
    /// Their bytes, headers included.
    pub bytes_sent: u64,
    /// Messages read from streams.
    pub frames_received: u64,
    /// Their bytes, headers included.
    pub bytes_received: u64,
    /// Messages dropped on the way out because a queue was full or the peer not connected, by class in the order of
    /// [`Class::ALL`].
    pub frames_dropped: [u64; Class::ALL.len()],
    /// Transactions dropped on the way out and gossip messages dropped on the way in because the node was busy.
    pub gossip_dropped: u64,
    /// Hellos that were refused.
    pub hellos_refused: u64,
    /// Connections closed by this node because their peer broke the protocol or fell silent.
    pub links_broken: u64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(super) fn sent(&self, frame_bytes: usize) {
        add(&self.frames_sent, 1);
        add(&self.bytes_sent, frame_bytes);
    }

    pub(super) fn received(&self, payload_bytes: usize) {
        add(&self.frames_received, 1);
        add(&self.bytes_received, payload_bytes + HEADER_BYTES);
    }

    pub(super) fn dropped(&self, class: Class) {
        add(&self.frames_dropped[class.slot()], 1);
    }

    pub(super) fn gossip_dropped(&self, count: usize) {
        add(&self.gossip_dropped, count);
    }

    pub(super) fn hello_refused(&self) {
        add(&self.hellos_refused, 1);
    }

    pub(super) fn link_broken(&self) {
        add(&self.links_broken, 1);
    }

    pub(super) fn snapshot(&self) -> NetworkCounts {
        NetworkCounts {
            frames_sent: load(&self.frames_sent),
            bytes_sent: load(&self.bytes_sent),
            frames_received: load(&self.frames_received),
            bytes_received: load(&self.bytes_received),
            frames_dropped: self.frames_dropped.each_ref().map(load),
            gossip_dropped: load(&self.gossip_dropped),
            hellos_refused: load(&self.hellos_refused),
            links_broken: load(&self.links_broken),
        }
    }
}
