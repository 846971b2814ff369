//! Transactions for everybody: gossipsub, many transactions per message.
//!
//! Messages are anonymous and named by the SHA-256 of their data, so that one message is one message whoever sends it. The
//! data is the canonical encoding of a list: a little-endian `u32` count, then each transaction's own bytes. A message
//! leaves when it is full, or as soon as the one before it is old enough: after a silence that is at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::gossipsub::{
    Behaviour, Config, ConfigBuilder, IdentTopic, MessageAcceptance, MessageAuthenticity, MessageId, PublishError,
    ValidationMode,
};
use quorate_crypto::{Digest, sha256};
use quorate_protocol::limits::{GOSSIP_BYTES_MAX, GOSSIP_INTERVAL_MS};

use super::events::Verdict;

/// How long after a message the next one leaves, if it is not full before.
const INTERVAL: Duration = Duration::from_millis(GOSSIP_INTERVAL_MS);
/// Full messages that wait to be published; what is more is dropped, and comes back by claims and pool repair.
const MESSAGES_WAITING_MAX: usize = 64;
/// Bytes of the count in front of the transactions.
const COUNT_BYTES: usize = 4;
/// Largest data of a message, in bytes.
pub(super) const DATA_BYTES_MAX: usize = GOSSIP_BYTES_MAX + COUNT_BYTES;
/// Largest gossipsub transmission, in bytes: one message with topic and framing, or control messages.
const TRANSMIT_BYTES_MAX: usize = 2 * GOSSIP_BYTES_MAX;
/// Messages queued towards one slow peer; older ones give way by age.
const PEER_QUEUE_MAX: usize = 128;
/// Heartbeats for which messages are kept for peers that ask, and for verdicts that are still out.
const HISTORY: usize = 3;
/// How long a message's name is remembered. What comes again after that, the pool knows.
const DUPLICATE_AGE: Duration = Duration::from_secs(30);
/// Peers in the mesh of a large network.
const MESH_MAX: usize = 6;

/// The gossipsub configuration for a network of `peers` others.
pub(super) fn config(peers: usize) -> Result<Config, String> {
    // In a small network everybody is in everybody's mesh. Nobody needs outbound peers of their own: peers are fixed, and
    // the highest index dials nobody.
    let mesh = peers.clamp(1, MESH_MAX);
    let mesh_low = if peers <= MESH_MAX { mesh } else { MESH_MAX - 2 };
    ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| MessageId::from(sha256(&message.data).as_bytes().to_vec()))
        .max_transmit_size(TRANSMIT_BYTES_MAX)
        .mesh_outbound_min(0)
        .mesh_n_low(mesh_low)
        .mesh_n(mesh)
        .mesh_n_high(2 * mesh)
        .gossip_lazy(mesh.min(3))
        .flood_publish(false)
        .heartbeat_initial_delay(Duration::from_millis(500))
        .history_length(HISTORY)
        .history_gossip(HISTORY - 1)
        .duplicate_cache_time(DUPLICATE_AGE)
        .connection_handler_queue_len(PEER_QUEUE_MAX)
        // A restarted peer must be let into the mesh again at once; there is nobody else to graft.
        .prune_backoff(Duration::from_secs(2))
        .unsubscribe_backoff(Duration::from_secs(1))
        .build()
        .map_err(|error| error.to_string())
}

/// The behaviour, subscribed to the topic of the chain.
pub(super) fn behaviour(peers: usize, topic: &IdentTopic) -> Result<Behaviour, String> {
    let mut behaviour = Behaviour::new(MessageAuthenticity::Anonymous, config(peers)?)?;
    behaviour.subscribe(topic).map_err(|error| error.to_string())?;
    Ok(behaviour)
}

/// Publishes one message. That it is known already, or that nobody is there to hear it, is normal; other outcomes lose
/// the message, which gossip may.
pub(super) fn publish(behaviour: &mut Behaviour, topic: &IdentTopic, data: Vec<u8>) -> Result<(), PublishError> {
    match behaviour.publish(topic.hash(), data) {
        Ok(_) | Err(PublishError::Duplicate | PublishError::NoPeersSubscribedToTopic) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reports a verdict.
pub(super) fn report(behaviour: &mut Behaviour, digest: &Digest, source: &PeerId, verdict: Verdict) {
    let acceptance = match verdict {
        Verdict::Accept => MessageAcceptance::Accept,
        Verdict::Ignore => MessageAcceptance::Ignore,
        Verdict::Reject => MessageAcceptance::Reject,
    };
    let id = MessageId::from(digest.as_bytes().to_vec());
    behaviour.report_message_validation_result(&id, source, acceptance);
}

/// Gathers transactions into messages. Any thread may add; the network task takes.
#[derive(Debug, Default)]
pub(super) struct Batcher {
    ready: VecDeque<Vec<u8>>,
    open: Vec<u8>,
    count: u32,
    opened: Option<Instant>,
    /// When the last message that was not full left.
    left: Option<Instant>,
}

impl Batcher {
    /// Adds one transaction's canonical bytes; false when it was dropped because too much waits or it fits no message.
    pub(super) fn add(&mut self, transaction: &[u8], now: Instant) -> bool {
        if transaction.len() > GOSSIP_BYTES_MAX {
            return false;
        }
        if self.count > 0 && self.open.len() + transaction.len() > DATA_BYTES_MAX {
            if self.ready.len() >= MESSAGES_WAITING_MAX {
                return false;
            }
            self.close();
        }
        if self.count == 0 {
            self.open.resize(COUNT_BYTES, 0);
            self.opened = Some(now);
        }
        self.count += 1;
        self.open.extend_from_slice(transaction);
        true
    }

    /// Lets the open message leave now, unless too many wait; false when nothing waits.
    pub(super) fn flush(&mut self, now: Instant) -> bool {
        if self.count > 0 && self.ready.len() < MESSAGES_WAITING_MAX {
            self.close();
            self.left = Some(now);
        }
        !self.ready.is_empty()
    }

    /// Moves the open message to the ready ones.
    fn close(&mut self) {
        let mut data = std::mem::take(&mut self.open);
        data[..COUNT_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.ready.push_back(data);
        self.count = 0;
        self.opened = None;
    }

    /// The next message that is full or old enough.
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.ready.is_empty() && self.due().is_some_and(|due| due <= now) {
            self.flush(now);
        }
        self.ready.pop_front()
    }

    /// When the open message has to leave.
    pub(super) fn due(&self) -> Option<Instant> {
        let opened = self.opened?;
        Some(self.left.map_or(opened, |left| opened.max(left + INTERVAL)))
    }

    /// Whether a message is full.
    pub(super) fn is_full(&self) -> bool {
        !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mesh_parameters_are_legal_for_every_size_of_network() {
        for peers in 0..=30 {
            let config = config(peers).expect("legal");
            assert!(config.mesh_n_low() <= config.mesh_n() && config.mesh_n() <= config.mesh_n_high(), "{peers} peers");
            let full = config.mesh_n_low() == peers && config.mesh_n() == peers;
            assert!(full || !(1..=MESH_MAX).contains(&peers), "small networks are full meshes");
        }
    }

    #[test]
    fn the_first_message_leaves_at_once_and_the_next_gathers_what_comes_meanwhile() {
        let now = Instant::now();
        let mut batcher = Batcher::default();
        assert!(batcher.add(b"one", now));
        assert_eq!(batcher.take(now).as_deref(), Some(&b"\x01\0\0\0one"[..]));
        assert!(batcher.add(b"two", now) && batcher.add(b"three", now + INTERVAL / 2));
        assert_eq!((batcher.take(now + INTERVAL / 2), batcher.due()), (None, Some(now + INTERVAL)));
        assert_eq!(batcher.take(now + INTERVAL).as_deref(), Some(&b"\x02\0\0\0twothree"[..]));
        assert_eq!((batcher.take(now + 2 * INTERVAL), batcher.due()), (None, None));
        assert!(batcher.add(b"four", now + 3 * INTERVAL));
        assert_eq!(batcher.due(), Some(now + 3 * INTERVAL), "after a silence nothing waits");
        assert!(batcher.take(now + 3 * INTERVAL).is_some() && batcher.add(b"five", now + 3 * INTERVAL));
        assert!(batcher.flush(now + 3 * INTERVAL), "what is asked to leave does not wait either");
        assert_eq!(batcher.take(now + 3 * INTERVAL).as_deref(), Some(&b"\x01\0\0\0five"[..]));
    }

    #[test]
    fn a_message_leaves_when_it_is_full_and_none_is_too_large() {
        let now = Instant::now();
        let mut batcher = Batcher::default();
        let transaction = vec![7; 1000];
        for _ in 0..200 {
            assert!(batcher.add(&transaction, now));
        }
        let messages: Vec<Vec<u8>> = std::iter::from_fn(|| batcher.take(now)).collect();
        let (rest, full) = messages.split_last().expect("200 transactions are more than one message");
        assert!(full.len() > 2 && rest.len() <= DATA_BYTES_MAX);
        assert!(full.iter().all(|data| data.len() <= DATA_BYTES_MAX && data.len() > DATA_BYTES_MAX - 1004));
        let count: usize = messages.iter().map(|data| (data.len() - COUNT_BYTES) / 1000).sum();
        assert_eq!(count, 200);
        assert!(batcher.add(&vec![0; GOSSIP_BYTES_MAX], now), "the largest transaction fits");
        assert!(!batcher.add(&vec![0; GOSSIP_BYTES_MAX + 1], now));
    }

    #[test]
    fn what_waits_is_bounded() {
        let now = Instant::now();
        let mut batcher = Batcher::default();
        let taken = (0..1000).filter(|_| batcher.add(&vec![0; GOSSIP_BYTES_MAX], now)).count();
        assert_eq!(taken, MESSAGES_WAITING_MAX + 1);
        let mut batcher = Batcher::default();
        for _ in 0..1000 {
            batcher.add(b"one", now);
            batcher.flush(now);
        }
        assert_eq!(batcher.ready.len(), MESSAGES_WAITING_MAX, "whoever asks them to leave makes no more of them");
    }
}
