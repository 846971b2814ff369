//! The threads that verify, and what they verify against.

use std::sync::Arc;
use std::thread::JoinHandle;

use quorate_crypto::encode::decode;
use quorate_crypto::key::random_seed;
use quorate_crypto::signature::Verifier;
use quorate_crypto::signed::Verified;
use quorate_protocol::pbft::message::VerifyContext;
use quorate_protocol::replica::{PeerMessage, SyncMessage};
use tracing::debug;

use super::queue::{Bulk, VerifyQueue};
use super::transactions;
use crate::halt::Halt;
use crate::inbox::Inbox;
use crate::members::Members;
use crate::network::{NetworkHandle, ReceivedFrame};
use crate::recent::RecentlyVerified;
use crate::telemetry::{Counters, Drop};
use crate::threads::spawn;

/// Decoded keys that each bulk worker keeps, about 250 bytes each: some thousand clients that take turns.
const CLIENT_KEYS_MAX: usize = 16_384;
/// Decoded keys that the votes' worker keeps: validators only.
const VALIDATOR_KEYS_MAX: usize = 64;

/// What stands between the outside and the pump.
pub struct Edge {
    /// What waits.
    pub queue: Arc<VerifyQueue>,
    /// Where verified messages go.
    pub inbox: Arc<Inbox>,
    /// For verdicts on gossip.
    pub network: NetworkHandle,
    /// Who may submit.
    pub members: Arc<Members>,
    /// What was found good before.
    pub recent: RecentlyVerified,
    /// What validators' signatures are verified against.
    pub context: VerifyContext,
    /// The chain's bound on a signed transaction, in bytes.
    pub transaction_bytes_max: usize,
    /// Counts of what is dropped.
    pub counters: Arc<Counters>,
}

/// Starts the worker for votes and `count` workers for bulk.
///
/// # Errors
/// The operating system gives no thread or no randomness.
pub fn spawn_workers(edge: Arc<Edge>, count: usize, halt: &Arc<Halt>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::with_capacity(count + 1);
    let mut verifier = new_verifier(VALIDATOR_KEYS_MAX)?;
    let votes = Arc::clone(&edge);
    threads.push(spawn("verify-votes", halt, move || {
        while let Ok(frames) = votes.queue.take_votes() {
            votes.verify_frames(frames, &mut verifier);
        }
    })?);
    for _ in 0..count {
        let mut verifier = new_verifier(CLIENT_KEYS_MAX)?;
        let bulk = Arc::clone(&edge);
        threads.push(spawn("verify-bulk", halt, move || {
            while let Ok(turn) = bulk.queue.take_bulk() {
                match turn {
                    Bulk::Frame(frame) => bulk.verify_frames(vec![frame], &mut verifier),
                    Bulk::Arrivals(arrivals) => transactions::verify_arrivals(&bulk, arrivals, &mut verifier),
                }
            }
        })?);
    }
    Ok(threads)
}

fn new_verifier(keys_max: usize) -> std::io::Result<Verifier> {
    let seed = random_seed().map_err(std::io::Error::other)?;
    Ok(Verifier::new(*seed, keys_max))
}

impl Edge {
    /// Decodes and verifies frames in one batch, and posts what is right. A peer whose bytes are wrong loses those bytes
    /// only: a relayed message may be wrong without its fault.
    fn verify_frames(&self, frames: Vec<ReceivedFrame>, verifier: &mut Verifier) {
        let mut decoded = Vec::with_capacity(frames.len());
        let mut messages = Vec::with_capacity(frames.len());
        for frame in frames {
            match decode::<PeerMessage>(&frame.payload) {
                Ok(PeerMessage::Sync(SyncMessage::Claims(claims))) => {
                    transactions::verify_claims(self, frame, claims.into_inner(), verifier);
                }
                Ok(message) => {
                    messages.push(message);
                    decoded.push(frame);
                }
                Err(error) => {
                    debug!(from = %frame.from, class = ?frame.class, %error, "malformed message");
                    self.counters.count(Drop::Malformed);
                }
            }
        }
        let verdicts = Verified::check_all(messages, &self.context, verifier);
        for (frame, verdict) in decoded.into_iter().zip(verdicts) {
            match verdict {
                Ok(message) => self.inbox.post_peer(frame, message),
                Err(_) => {
                    debug!(from = %frame.from, class = ?frame.class, "unverifiable message");
                    self.counters.count(Drop::Unverifiable);
                }
            }
        }
    }
}
