//! Counts of what a full queue or a bad input made this node drop.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

/// What was dropped, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Gossiped transactions found their queue full; claims and pool repair bring them back.
    GossipQueueFull,
    /// A client's transactions found their queue full; the client is told so.
    ClientQueueFull,
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
    const ALL: [Drop; 6] = [
        Drop::GossipQueueFull,
        Drop::ClientQueueFull,
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
            Drop::Malformed => "malformed",
            Drop::Unverifiable => "unverifiable",
            Drop::ServeFull => "serve_full",
            Drop::SendFull => "send_full",
        }
    }
}

/// Counts since the start of this process.
#[derive(Debug, Default)]
pub struct Counters {
    drops: [AtomicU64; Drop::ALL.len()],
}

impl Counters {
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
    }
}
