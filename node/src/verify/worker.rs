//! The threads that verify.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use quorate_crypto::ClaimMemory;
use quorate_crypto::encode::decode;
use quorate_crypto::key::random_seed;
use quorate_crypto::signature::Verifier;
use quorate_crypto::signed::Verified;
use quorate_protocol::pool::Door;
use quorate_protocol::replica::{PeerMessage, RepairMessage, SyncMessage};
use tracing::debug;

use super::edge::Edge;
use super::queue::{Bulk, Spent};
use super::transactions;
use crate::halt::Halt;
use crate::network::{Class, ReceivedFrame};
use crate::send::class_of;
use crate::telemetry::Drop;
use crate::threads::spawn;

/// Decoded keys that each bulk worker keeps, about 250 bytes each: some thousand clients that take turns.
const CLIENT_KEYS_MAX: usize = 16_384;
/// Decoded keys that the votes' worker keeps: validators only.
const VALIDATOR_KEYS_MAX: usize = 64;
/// Good signatures that all workers remember together, about 75 bytes each: some seconds at the highest rate. Two tables of 32,768 places, full
/// to seven eighths. Under load a proposal
/// overtakes its bodies, so that many come twice: as an answer to this node's question, and by gossip.
const CLAIMS_MAX: usize = 57_344;

/// Starts the worker for votes and `count` workers for bulk.
///
/// # Errors
/// The operating system gives no thread or no randomness.
pub fn spawn_workers(edge: Arc<Edge>, count: usize, halt: &Arc<Halt>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::with_capacity(count + 1);
    let memory = Arc::new(ClaimMemory::new(CLAIMS_MAX));
    let mut verifier = new_verifier(VALIDATOR_KEYS_MAX, &memory)?;
    let votes = Arc::clone(&edge);
    threads.push(spawn("verify-votes", halt, move || {
        while let Ok(frames) = votes.queue.take_votes() {
            verify_frames(&votes, frames, &mut verifier);
        }
    })?);
    for _ in 0..count {
        let mut verifier = new_verifier(CLIENT_KEYS_MAX, &memory)?;
        let bulk = Arc::clone(&edge);
        threads.push(spawn("verify-bulk", halt, move || {
            let mut spent = Spent::Nothing;
            while let Ok(turn) = bulk.queue.take_bulk(spent) {
                let begin = Instant::now();
                spent = match turn {
                    Bulk::Frame(frame) => {
                        verify_frames(&bulk, vec![frame], &mut verifier);
                        Spent::Frame(begin.elapsed())
                    }
                    Bulk::Arrivals(arrivals) => {
                        let forged = transactions::verify_arrivals(&bulk, arrivals, &mut verifier);
                        Spent::Arrivals { took: begin.elapsed(), forged }
                    }
                };
            }
        })?);
    }
    Ok(threads)
}

fn new_verifier(keys_max: usize, memory: &Arc<ClaimMemory>) -> std::io::Result<Verifier> {
    let seed = random_seed().map_err(std::io::Error::other)?;
    Ok(Verifier::new(*seed, keys_max).with_memory(Arc::clone(memory)))
}

/// Decodes and verifies frames in one batch, and posts what is right. A peer whose bytes are wrong loses those bytes
/// only: a relayed message may be wrong without its fault.
fn verify_frames(edge: &Edge, frames: Vec<ReceivedFrame>, verifier: &mut Verifier) {
    let mut decoded = Vec::with_capacity(frames.len());
    let mut messages = Vec::with_capacity(frames.len());
    for frame in frames {
        match decode::<PeerMessage>(&frame.payload) {
            Ok(PeerMessage::Sync(SyncMessage::Claims(claims))) if frame.class == Class::Transactions => {
                let door = Door::Claim(frame.from);
                transactions::verify_bodies(edge, frame, door, claims.into_inner(), verifier);
            }
            Ok(PeerMessage::Sync(SyncMessage::Repair(RepairMessage::PendingBodies(bodies))))
                if frame.class == Class::Transactions =>
            {
                transactions::verify_bodies(edge, frame, Door::Gossip, bodies.into_inner(), verifier);
            }
            // A class has its own queue and bounds: nothing may pass in the name of another.
            Ok(message) if class_of(&message) != frame.class => {
                debug!(from = %frame.from, class = ?frame.class, what = message.name(), "message in a wrong class");
                edge.counters.count_of(frame.from, Drop::Malformed);
            }
            Ok(message) => {
                messages.push(message);
                decoded.push(frame);
            }
            Err(error) => {
                debug!(from = %frame.from, class = ?frame.class, %error, "malformed message");
                edge.counters.count_of(frame.from, Drop::Malformed);
            }
        }
    }
    let verdicts = Verified::check_all(messages, &edge.context, verifier);
    let mut right = Vec::with_capacity(decoded.len());
    for (frame, verdict) in decoded.into_iter().zip(verdicts) {
        match verdict {
            Ok(message) => right.push((frame, message)),
            Err(_) => {
                debug!(from = %frame.from, class = ?frame.class, "unverifiable message");
                edge.counters.count_of(frame.from, Drop::Unverifiable);
                edge.counters.metrics.bad_signatures.inc();
            }
        }
    }
    edge.inbox.post_peers(right);
}
