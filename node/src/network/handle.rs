//! The node's end of the network: queues that any thread can put into, at once and without waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use quorate_protocol::id::NodeIndex;
use tokio::sync::{Notify, watch};

use super::events::{GossipId, Verdict};
use super::frame::Frame;
use super::gossip::Batcher;
use super::peer::{Counters, Directory, LinkStatus, NetworkCounts, Peer};

/// Verdicts that wait for the network task. More are only possible for messages that it has forgotten already.
const VERDICTS_WAITING_MAX: usize = 8192;

/// Sends to peers. Clones are handles of the same network; every method returns at once, on any thread.
#[derive(Clone, Debug)]
pub struct NetworkHandle {
    shared: Arc<Shared>,
    running: watch::Receiver<()>,
}

impl NetworkHandle {
    pub(super) fn new(shared: Arc<Shared>, running: watch::Receiver<()>) -> NetworkHandle {
        NetworkHandle { shared, running }
    }

    /// Queues a frame for one peer. False when it was dropped, because its class is full or the peer not connected.
    pub fn send(&self, to: NodeIndex, frame: &Frame) -> bool {
        self.shared.directory.get(to).is_some_and(|peer| self.push(peer, frame))
    }

    /// Queues a frame for every connected peer; returns for how many.
    pub fn broadcast(&self, frame: &Frame) -> usize {
        self.shared.directory.iter().filter(|peer| self.push(peer, frame)).count()
    }

    /// Gossips transactions, each given as its own canonical bytes. What finds no room is dropped and counted.
    pub fn gossip<T: AsRef<[u8]>>(&self, transactions: impl IntoIterator<Item = T>) {
        let now = Instant::now();
        let mut dropped = 0;
        let wake = {
            let mut batcher = self.shared.batcher();
            let waited = batcher.due().is_some();
            for transaction in transactions {
                if !batcher.add(transaction.as_ref(), now) {
                    dropped += 1;
                }
            }
            // A message that is open already has its timer.
            batcher.is_full() || !waited
        };
        self.shared.counters.gossip_dropped(dropped);
        if wake {
            self.shared.wake.notify_one();
        }
    }

    /// Lets gathered transactions leave now.
    pub fn flush_gossip(&self) {
        if self.shared.batcher().flush(Instant::now()) {
            self.shared.wake.notify_one();
        }
    }

    /// Says what the node thinks of a gossip message: only an accepted one is passed on.
    pub fn validate(&self, id: GossipId, verdict: Verdict) {
        let mut verdicts = self.shared.verdicts();
        if verdicts.len() < VERDICTS_WAITING_MAX {
            verdicts.push_back((id, verdict));
        }
        drop(verdicts);
        self.shared.wake.notify_one();
    }

    /// The peers that are connected, in order.
    pub fn connected(&self) -> Vec<NodeIndex> {
        let connected = self.shared.directory.iter().filter(|peer| peer.active().is_some());
        connected.map(|peer| peer.index).collect()
    }

    /// How the links to all peers are, in order.
    pub fn links(&self) -> Vec<LinkStatus> {
        self.shared.directory.iter().map(|peer| peer.link()).collect()
    }

    /// What the network has done since it started.
    pub fn counts(&self) -> NetworkCounts {
        self.shared.counters.snapshot()
    }

    /// Closes the listener and all connections, and returns when that is done. What is still queued is lost.
    pub async fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        let mut running = self.running.clone();
        // The sender never sends: it goes when the task ends.
        while running.changed().await.is_ok() {}
    }

    fn push(&self, peer: &Peer, frame: &Frame) -> bool {
        let queued = peer.push(frame);
        if !queued {
            self.shared.counters.dropped(frame.class());
        }
        queued
    }
}

/// What the handles and the network task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub directory: Arc<Directory>,
    pub counters: Arc<Counters>,
    batcher: Mutex<Batcher>,
    verdicts: Mutex<VecDeque<(GossipId, Verdict)>>,
    wake: Notify,
    stopping: AtomicBool,
}

impl Shared {
    pub(super) fn new(directory: Arc<Directory>, counters: Arc<Counters>) -> Shared {
        Shared {
            directory,
            counters,
            batcher: Mutex::default(),
            verdicts: Mutex::default(),
            wake: Notify::new(),
            stopping: AtomicBool::new(false),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Resolves when a handle has something for the task.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn gossip_due(&self) -> Option<Instant> {
        self.batcher().due()
    }

    pub(super) fn take_gossip(&self, now: Instant) -> Option<Vec<u8>> {
        self.batcher().take(now)
    }

    pub(super) fn take_verdicts(&self) -> VecDeque<(GossipId, Verdict)> {
        std::mem::take(&mut *self.verdicts())
    }

    fn batcher(&self) -> MutexGuard<'_, Batcher> {
        self.batcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verdicts(&self) -> MutexGuard<'_, VecDeque<(GossipId, Verdict)>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
