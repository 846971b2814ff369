//! Counts of what a full queue or a bad input made this node drop, and of what it did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quorate_protocol::id::NodeIndex;
use quorate_protocol::limits::VALIDATORS_LIMIT;
use tracing::warn;

use super::metrics::Metrics;

/// What was dropped, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Gossiped transactions found their queue full; claims and pool repair bring them back.
    GossipQueueFull,
    /// A client's transactions found no room; the client is told so.
    ClientQueueFull,
    /// A client had its share of what all clients share; it is told so.
    ClientQuota,
    /// A connection without a request, or a body that came slowly, gave way to others.
    Displaced,
    /// Bytes of a peer that are no message.
    Malformed,
    /// A message with a signature that does not verify, or of a key without a vote.
    Unverifiable,
    /// A peer's request to serve found too many before it.
    ServeFull,
    /// The network had no room for an outgoing message; STATUS brings it back.
    SendFull,
}

impl Drop {
    /// Every kind.
    pub const ALL: [Drop; 8] = [
        Drop::GossipQueueFull,
        Drop::ClientQueueFull,
        Drop::ClientQuota,
        Drop::Displaced,
        Drop::Malformed,
        Drop::Unverifiable,
        Drop::ServeFull,
        Drop::SendFull,
    ];

    /// A stable name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Drop::GossipQueueFull => "gossip_queue_full",
            Drop::ClientQueueFull => "client_queue_full",
            Drop::ClientQuota => "client_quota",
            Drop::Displaced => "displaced",
            Drop::Malformed => "malformed",
            Drop::Unverifiable => "unverifiable",
            Drop::ServeFull => "serve_full",
            Drop::SendFull => "send_full",
        }
    }
}

/// Counts since the start of this process.
#[derive(Debug)]
pub struct Counters {
    drops: [AtomicU64; Drop::ALL.len()],
    /// The part of the above that a validator sent or was to get, by its index.
    by_peer: [[AtomicU64; Drop::ALL.len()]; VALIDATORS_LIMIT],
    /// What the node did.
    pub metrics: Metrics,
    /// When the counting began.
    started: Instant,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            drops: Default::default(),
            by_peer: Default::default(),
            metrics: Metrics::default(),
            started: Instant::now(),
        }
    }
}

impl Counters {
    /// Seconds since the counting began.
    pub fn uptime_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Counts one that `peer` sent, or was to get.
    pub fn count_of(&self, peer: NodeIndex, drop: Drop) {
        if let Some(drops) = self.by_peer.get(peer.as_usize()) {
            drops[drop as usize].fetch_add(1, Ordering::Relaxed);
        }
        self.count(drop);
    }

    /// Every kind that has happened with `peer`, with its count.
    pub fn of(&self, peer: NodeIndex) -> Vec<(&'static str, u64)> {
        let counts = self.by_peer.get(peer.as_usize()).into_iter().flatten();
        let named = Drop::ALL.iter().zip(counts).map(|(drop, count)| (drop.name(), count.load(Ordering::Relaxed)));
        named.filter(|(_, count)| *count > 0).collect()
    }

    /// Counts one. Logs the first, second, fourth, eighth …, so that no flood of input becomes a flood of log.
    pub fn count(&self, drop: Drop) {
        let count = self.drops[drop as usize].fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            warn!(kind = drop.name(), count, "dropped");
        }
    }

    /// How often `drop` has happened.
    pub fn get(&self, drop: Drop) -> u64 {
        self.drops[drop as usize].load(Ordering::Relaxed)
    }

    /// Every kind that has happened, with its count.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        Drop::ALL.iter().map(|drop| (drop.name(), self.get(*drop))).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself() {
        let counters = Counters::default();
        counters.count(Drop::SendFull);
        counters.count(Drop::SendFull);
        counters.count(Drop::Malformed);
        assert_eq!(counters.get(Drop::SendFull), 2);
        assert_eq!(counters.all(), [("malformed", 1), ("send_full", 2)]);
        counters.count_of(NodeIndex(3), Drop::Malformed);
        counters.count_of(NodeIndex(200), Drop::Malformed);
        assert_eq!(counters.get(Drop::Malformed), 3, "what a peer sent is part of the whole");
        assert_eq!((counters.of(NodeIndex(3)), counters.of(NodeIndex(2))), (vec![("malformed", 1)], vec![]));
    }
}
