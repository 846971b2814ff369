//! Everything that can happen to a replica.

use quorate_crypto::{hash::Digest, signed::Verified};

use super::message::PeerMessage;
use crate::{
    document::{Header, Position, SignedTransaction},
    id::{Height, NodeIndex},
    pbft::Ticket,
    pool::Door,
    store::StoreError,
    time::UnixMillis,
};

/// One event.
#[derive(Debug)]
pub enum Input {
    /// A frame of a validator whose link is up; every signature in it was verified.
    Peer {
        /// Whose link it came over. Only questions are answered by it; votes count for their signers.
        from: NodeIndex,
        /// The frame.
        message: Verified<PeerMessage>,
    },
    /// Transactions of members, verified one by one.
    Submitted {
        /// The transactions.
        transactions: Vec<Verified<SignedTransaction>>,
        /// How they came.
        door: Door,
    },
    /// The journal holds the entry of this ticket, and what it releases was sent.
    Durable(Ticket),
    /// The answer to `Output::Execute`.
    Executed(Result<Box<ExecutionResult>, StoreError>),
    /// The certificate of `Output::Certify { anchor: true }` is synced.
    Anchored(Height),
    /// A validator's link came up.
    PeerUp(NodeIndex),
    /// A validator's link went down.
    PeerDown(NodeIndex),
    /// [`super::Replica::next_deadline`] has come.
    Deadline,
}

/// An executed block that is synced.
#[derive(Clone, Debug)]
pub struct ExecutionResult {
    /// Its header.
    pub header: Header,
    /// The header's hash.
    pub header_hash: Digest,
    /// What became of each position.
    pub positions: Vec<Position>,
    /// `valid_until` of each position's transaction, Unix milliseconds.
    pub valid_untils: Vec<UnixMillis>,
}
