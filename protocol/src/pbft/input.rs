//! Everything that can happen to an engine.

use quorate_crypto::{hash::Digest, signed::Verified};

use super::{
    message::{Content, Message},
    output::Ticket,
};
use crate::{
    document::{batch::Batch, block::Proof},
    id::{Height, NodeIndex, Sequence},
};

/// One event. None of them makes the engine panic, whatever a peer put into it.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message whose every signature was verified. Who delivered it does not matter: anybody may relay.
    Message(Box<Verified<Message>>),
    /// The pool cut a batch; it is proposed if [`super::Engine::room`] still holds.
    Propose(Batch),
    /// The answer to [`super::Output::Check`].
    Checked {
        /// The sequence that was asked about.
        sequence: Sequence,
        /// The digest that was asked about.
        digest: Digest,
        /// May it be voted for?
        verdict: Verdict,
    },
    /// The record of that ticket is durable, and what it released was sent.
    Durable(Ticket),
    /// The block is executed and synced.
    Executed {
        /// Its height, one above the last.
        height: Height,
        /// Hash of its header.
        header_hash: Digest,
        /// How many of its positions were applied or failed; the rest was skipped.
        settled: usize,
        /// Whether its time passed the `valid_until` of something pending, whose client knows now.
        expired: bool,
    },
    /// What waits to be ordered, and whether the primary treats it unfairly (PROTOCOL 5.6).
    Demand {
        /// Whether something is pending in the pool.
        pending: bool,
        /// Why this replica accuses the primary of the current view, if it does.
        unfair: Option<String>,
    },
    /// What [`super::Output::FetchContents`] asked for; it counts if it hashes to the digest.
    Content {
        /// Where it was proposed.
        sequence: Sequence,
        /// What was proposed.
        content: Content,
    },
    /// A block that synchronisation proved final.
    Synced(Synced),
    /// The certificate that [`super::Output::Certify`] asked to anchor is durable.
    Anchored(Height),
    /// A peer's link came up.
    PeerUp(NodeIndex),
    /// [`super::Engine::next_deadline`] has come.
    Deadline,
}

/// Whether a proposal may be voted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is well formed and every body is held.
    Held,
    /// It must not be voted for.
    Refused(String),
}

/// A block that a source of synchronisation proved final.
#[derive(Clone, Debug, borsh::BorshSerialize)]
pub struct Synced {
    /// Its height.
    pub height: Height,
    /// Hash of the header that the source showed. Executing must give the same where q CHECKPOINTs prove it.
    pub header_hash: Digest,
    /// What was ordered there.
    pub content: Content,
    /// q CHECKPOINTs over that header, or q COMMITs over the content; verified.
    pub proof: Proof,
}
