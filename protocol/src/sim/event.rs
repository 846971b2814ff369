//! What is going to happen in a world, in the order of its time.

use crate::document::SignedTransaction;
use crate::id::NodeIndex;
use crate::replica::PeerMessage;
use crate::time::Instant;
use quorate_crypto::Verified;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that is going to happen. Where a life is named, it happens only if the node still lives it.
pub(super) enum Event {
    Deliver {
        from: NodeIndex,
        to: NodeIndex,
        message: Arc<Verified<PeerMessage>>,
    },
    Gossip {
        from: NodeIndex,
        to: NodeIndex,
        transactions: Vec<Verified<SignedTransaction>>,
    },
    LinkUp {
        node: NodeIndex,
        peer: NodeIndex,
    },
    LinkDown {
        node: NodeIndex,
        peer: NodeIndex,
    },
    /// A connection broke and is made anew.
    LinkAgain {
        node: NodeIndex,
        peer: NodeIndex,
    },
    Synced {
        node: NodeIndex,
        life: u32,
    },
    Released {
        node: NodeIndex,
        life: u32,
    },
    Executed {
        node: NodeIndex,
        life: u32,
    },
    Reported {
        node: NodeIndex,
        life: u32,
    },
    Alarm {
        node: NodeIndex,
        life: u32,
        at: Instant,
    },
    /// A lying node has time to do something of its own.
    Tick {
        node: NodeIndex,
        life: u32,
    },
}

/// Everything that is going to happen.
#[derive(Default)]
pub(super) struct Queue {
    events: BTreeMap<(Instant, u64), Event>,
    next: u64,
}

impl Queue {
    /// Events of one moment happen in the order in which they were put in.
    pub fn put(&mut self, at: Instant, event: Event) {
        self.events.insert((at, self.next), event);
        self.next += 1;
    }

    pub fn next_at(&self) -> Option<Instant> {
        self.events.first_key_value().map(|((time, _), _)| *time)
    }

    pub fn take(&mut self) -> Option<(Instant, Event)> {
        self.events.pop_first().map(|((time, _), event)| (time, event))
    }
}
