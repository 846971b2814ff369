//! Answers to what other nodes ask of the chain: bodies of executed transactions, blocks, certificates.
//!
//! A thread of its own, since it reads the disk. Requests are bounded per peer in number and in rate: what is too much
//! is dropped, and whoever needs it asks again or asks somebody else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use quorate_crypto::encode::{BoundedVec, encode};
use quorate_protocol::document::{Block, Body, CertifiedBlock, Proof};
use quorate_protocol::id::{Height, NodeIndex, TransactionId};
use quorate_protocol::limits::{MESSAGE_BYTES_MAX, SYNC_BLOCKS_MAX, SYNC_BODIES_MAX, VALIDATORS_LIMIT};
use quorate_protocol::pbft::message::{CertifiedCheckpoint, Message};
use quorate_protocol::replica::{PeerMessage, SyncMessage};
use quorate_protocol::store::{Store, StoreError};
use quorate_protocol::time::Instant;
use tracing::warn;

use crate::clock::Clock;
use crate::halt::Halt;
use crate::send::Outbound;
use crate::telemetry::{Counters, Drop};
use crate::threads::spawn;

/// Requests of all peers that may wait.
const REQUESTS_MAX: usize = 256;
/// Requests that a peer may make at once; each costs at most one frame of reading.
const BURST: u32 = 32;
/// Microseconds after which a peer may make one more request: 64 a second, some 250 MiB a second at most.
const REFILL_MICROS: u64 = 1_000_000 / 64;

/// A question of a peer.
pub type Request = (NodeIndex, SyncMessage);

/// The thread's state.
struct Server {
    store: Arc<dyn Store>,
    outbound: Outbound,
    clock: Clock,
    counters: Arc<Counters>,
    allowances: [Allowance; VALIDATORS_LIMIT],
}

/// What a peer may still ask for, refilled with time.
#[derive(Clone, Copy)]
struct Allowance {
    left: u32,
    refilled: Instant,
}

/// Starts the thread; it ends when the sender is dropped. A full queue is the sender's to count.
///
/// # Errors
/// The operating system gives no thread.
pub fn start(
    store: Arc<dyn Store>,
    outbound: Outbound,
    clock: Clock,
    counters: Arc<Counters>,
    halt: &Arc<Halt>,
) -> std::io::Result<(SyncSender<Request>, JoinHandle<()>)> {
    let (sender, requests) = sync_channel(REQUESTS_MAX);
    let full = Allowance { left: BURST, refilled: clock.now().monotonic };
    let mut server = Server { store, outbound, clock, counters, allowances: [full; VALIDATORS_LIMIT] };
    let thread = spawn("serve", halt, move || server.run(&requests))?;
    Ok((sender, thread))
}

impl Allowance {
    /// Takes one, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let micros = u64::try_from(now.saturating_since(self.refilled).as_micros()).unwrap_or(u64::MAX);
        let more = micros / REFILL_MICROS;
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(BURST);
            self.refilled = now;
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}

impl Server {
    fn run(&mut self, requests: &Receiver<Request>) {
        while let Ok((to, request)) = requests.recv() {
            let now = self.clock.now().monotonic;
            if !self.allowances.get_mut(to.as_usize()).is_some_and(|allowance| allowance.take(now)) {
                self.counters.count(Drop::ServeFull);
                continue;
            }
            match self.answer(request) {
                Ok(Some(answer)) => self.outbound.send(to, &answer),
                Ok(None) => {}
                Err(error) => warn!(%to, %error, "a peer's request cannot be answered"),
            }
        }
    }

    fn answer(&self, request: SyncMessage) -> Result<Option<PeerMessage>, StoreError> {
        let answer = match request {
            SyncMessage::FetchBodies(ids) => PeerMessage::Sync(SyncMessage::Bodies(self.bodies(&ids)?)),
            SyncMessage::FetchBlocks { from } => PeerMessage::Sync(SyncMessage::Blocks(self.blocks(from)?)),
            SyncMessage::FetchCertificate { height } => return self.certificate(height),
            // Answers are not answered.
            SyncMessage::Claims(_) | SyncMessage::Bodies(_) | SyncMessage::Blocks(_) => return Ok(None),
        };
        Ok(Some(answer))
    }

    /// The executed ones among `ids`, as many as fit a frame.
    fn bodies(&self, ids: &[TransactionId]) -> Result<BoundedVec<Body, SYNC_BODIES_MAX>, StoreError> {
        let mut found = BoundedVec::default();
        let mut bytes = LENGTH_BYTES;
        // The ids of a request mostly stand in one block.
        let mut block: Option<(Height, Block)> = None;
        for id in ids {
            let Some((height, index)) = self.store.transaction(id)? else { continue };
            if block.as_ref().is_none_or(|(held, _)| *held != height) {
                block = self.store.block(height)?.map(|block| (height, block));
            }
            let Some(body) = block.as_ref().and_then(|(_, block)| block.bodies.get(index as usize)) else { continue };
            bytes += body.size();
            if bytes > MESSAGE_BYTES_MAX || found.push(Arc::clone(body)).is_err() {
                break;
            }
        }
        Ok(found)
    }

    /// Consecutive blocks from `from` on, as many as fit a frame.
    fn blocks(&self, from: Height) -> Result<BoundedVec<CertifiedBlock, SYNC_BLOCKS_MAX>, StoreError> {
        let mut found = BoundedVec::default();
        let mut bytes = LENGTH_BYTES;
        let mut height = from;
        while let Some(block) = self.final_block(height)? {
            bytes += encode(&block).len();
            if bytes > MESSAGE_BYTES_MAX || found.push(block).is_err() {
                break;
            }
            height = height.next();
        }
        Ok(found)
    }

    /// A block with its certificate, or else with the commits that made it final here.
    fn final_block(&self, height: Height) -> Result<Option<CertifiedBlock>, StoreError> {
        let Some(block) = self.store.block(height)? else { return Ok(None) };
        let proof = match self.store.certificate(height)? {
            Some(certificate) => Some(Proof::Certificate(certificate)),
            None => self.store.proof(height)?,
        };
        Ok(proof.and_then(|proof| block.to_certified(proof)))
    }

    fn certificate(&self, height: Height) -> Result<Option<PeerMessage>, StoreError> {
        let (Some(header), Some(certificate)) = (self.store.header(height)?, self.store.certificate(height)?) else {
            return Ok(None);
        };
        let certified = CertifiedCheckpoint { checkpoint: header.checkpoint(), certificate };
        Ok(Some(PeerMessage::Pbft(Message::CertifiedCheckpoint(certified))))
    }
}

/// Bytes of the discriminants and the count in front of a list.
const LENGTH_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_peer_gets_its_burst_and_then_its_rate() {
        let mut allowance = Allowance { left: BURST, refilled: Instant::ORIGIN };
        let granted = (0..100).filter(|_| allowance.take(Instant::ORIGIN)).count();
        assert_eq!(granted, BURST as usize);
        let later = Instant::from_micros(2 * REFILL_MICROS);
        assert_eq!([(); 3].map(|()| allowance.take(later)), [true, true, false]);
        let much_later = Instant::from_micros(u64::MAX);
        assert_eq!((0..100).filter(|_| allowance.take(much_later)).count(), BURST as usize);
    }
}
