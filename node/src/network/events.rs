//! What the network tells the node, and the budgets that bound it.
//!
//! Every event that a peer can cause holds a credit of that peer's own budget, and gives it back when the node drops the
//! event. A peer whose budget is used up is not read from until then, so that TCP slows down that peer and nobody else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use quorate_crypto::Digest;
use quorate_protocol::id::NodeIndex;
use tokio::sync::mpsc;

use super::frame::Class;

/// An event of the network.
#[derive(Debug)]
pub enum NetworkEvent {
    /// The peer's signed hello was verified: frames can be sent to it. When a newer connection takes over from an older
    /// one, the old one's `Disconnected` comes first.
    Connected(NodeIndex),
    /// The peer's connection is gone; frames that were under way may be lost.
    Disconnected(NodeIndex),
    /// A message of a connected peer. Its content has not been verified.
    Frame(ReceivedFrame),
    /// A gossip message. Its content has not been verified; answer it with [`super::NetworkHandle::validate`].
    Gossip(ReceivedGossip),
}

/// A message received on a stream. It counts against its sender's budget until it is dropped.
#[derive(Debug)]
pub struct ReceivedFrame {
    /// The peer that the stream leads to. Whose signatures are inside, only verification says.
    pub from: NodeIndex,
    /// The class that the sender put it in.
    pub class: Class,
    /// Canonical bytes of the message.
    pub payload: Bytes,
    pub(super) _credit: Credit,
}

/// Names a gossip message that waits for a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GossipId {
    /// SHA-256 of the data.
    pub digest: Digest,
    /// The peer that passed the message on, not its author.
    pub source: NodeIndex,
}

/// A gossip message. It counts against its source's budget until it is dropped.
#[derive(Debug)]
pub struct ReceivedGossip {
    /// What to name in the verdict.
    pub id: GossipId,
    /// Canonical bytes of a list of transactions: a little-endian `u32` count, then each transaction's own bytes.
    pub data: Bytes,
    pub(super) _credit: Credit,
}

#[cfg(test)]
impl ReceivedFrame {
    /// An empty one of a class.
    pub(crate) fn of_class(class: Class) -> ReceivedFrame {
        let credit = Budget::new(1, 1).take(1, Waker::noop()).expect("room for one");
        ReceivedFrame { from: NodeIndex(0), class, payload: Bytes::new(), _credit: credit }
    }
}

#[cfg(test)]
impl ReceivedGossip {
    /// One of so many bytes that nobody passed on.
    pub(crate) fn of_bytes(bytes: usize) -> ReceivedGossip {
        let budget = Budget::new(1, bytes);
        ReceivedGossip {
            id: GossipId { digest: Digest::ZERO, source: NodeIndex(0) },
            data: vec![0; bytes].into(),
            _credit: budget.take(bytes, Waker::noop()).expect("room for one"),
        }
    }
}

/// What the node thinks of a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good: it is passed on.
    Accept,
    /// Not worth passing on, and nobody's fault.
    Ignore,
    /// Provably bad: it is not passed on.
    Reject,
}

/// Receives [`NetworkEvent`]s.
#[derive(Debug)]
pub struct NetworkEvents {
    receiver: mpsc::UnboundedReceiver<Queued>,
}

/// An event on its way; events about connections bring a credit that is given back when they are received.
#[derive(Debug)]
struct Queued {
    event: NetworkEvent,
    _credit: Option<Credit>,
}

impl NetworkEvents {
    /// The next event, or `None` when the network has stopped. Safe to cancel.
    pub async fn recv(&mut self) -> Option<NetworkEvent> {
        self.receiver.recv().await.map(|queued| queued.event)
    }

    /// As [`NetworkEvents::recv`], for a thread that is not async.
    ///
    /// # Panics
    /// When it is called from async code.
    pub fn blocking_recv(&mut self) -> Option<NetworkEvent> {
        self.receiver.blocking_recv().map(|queued| queued.event)
    }

    /// The next event, if one waits already.
    pub fn try_recv(&mut self) -> Option<NetworkEvent> {
        self.receiver.try_recv().ok().map(|queued| queued.event)
    }
}

/// The sending side. The channel itself has no bound; every event that goes in holds a credit, and those are bounded.
#[derive(Clone, Debug)]
pub(super) struct EventSender {
    sender: mpsc::UnboundedSender<Queued>,
}

impl EventSender {
    pub(super) fn send(&self, event: NetworkEvent) {
        self.queue(event, None);
    }

    pub(super) fn send_with(&self, event: NetworkEvent, credit: Credit) {
        self.queue(event, Some(credit));
    }

    fn queue(&self, event: NetworkEvent, credit: Option<Credit>) {
        // Without a receiver the node is going down, and the network task ends by `closed`.
        let _ = self.sender.send(Queued { event, _credit: credit });
    }

    /// Resolves when the receiver is gone.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// A channel for events.
pub(super) fn channel() -> (EventSender, NetworkEvents) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (EventSender { sender }, NetworkEvents { receiver })
}

/// How much of one kind one peer may have in the node at a time.
#[derive(Debug)]
pub(super) struct Budget {
    items_max: usize,
    bytes_max: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    items: usize,
    bytes: usize,
    waker: Option<Waker>,
}

impl Budget {
    pub(super) fn new(items_max: usize, bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget { items_max, bytes_max, used: Mutex::default() })
    }

    /// Takes a credit; an item above the bytes of the whole budget is taken when nothing else is out. Without one, `waker`
    /// is woken when some credit comes back.
    pub(super) fn take(self: &Arc<Budget>, bytes: usize, waker: &Waker) -> Option<Credit> {
        let mut used = self.used();
        let room = used.items < self.items_max && (used.items == 0 || used.bytes + bytes <= self.bytes_max);
        if !room {
            used.waker = Some(waker.clone());
            return None;
        }
        used.items += 1;
        used.bytes += bytes;
        Some(Credit { budget: Arc::clone(self), bytes })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Part of a budget, given back on drop.
#[derive(Debug)]
pub(super) struct Credit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Credit {
    fn drop(&mut self) {
        let waker = {
            let mut used = self.budget.used();
            used.items -= 1;
            used.bytes -= self.bytes;
            used.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_bounds_items_and_bytes_and_takes_credit_back() {
        let budget = Budget::new(2, 100);
        let first = budget.take(60, Waker::noop()).expect("room");
        assert!(budget.take(41, Waker::noop()).is_none(), "bytes");
        let second = budget.take(40, Waker::noop()).expect("room");
        assert!(budget.take(0, Waker::noop()).is_none(), "items");
        drop(first);
        assert!(budget.take(60, Waker::noop()).is_some());
        drop(second);
        assert!(budget.take(1000, Waker::noop()).is_some(), "a single large item passes alone");
    }
}
