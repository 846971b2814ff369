//! Everything that a replica can ask for.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::hash::Digest;

use super::message::{PeerMessage, SyncMessage};
use crate::{
    api::code::Code,
    document::{Body, Certificate, Proof},
    id::{Height, NodeIndex, Sequence, TransactionId},
    pbft::{Note, Record, Ticket, message::Content, output::Divergence},
    pool::Admitted,
};

/// One request to the world, to be begun in the order given.
#[derive(Debug)]
pub enum Output {
    /// Send to one validator.
    Send {
        /// The receiver.
        to: NodeIndex,
        /// The frame.
        message: Arc<PeerMessage>,
    },
    /// Send to every validator.
    Broadcast(Arc<PeerMessage>),
    /// Spread newly admitted transactions of clients.
    Gossip(Vec<Body>),
    /// Sync the entry to the vote journal, then broadcast what it releases, then answer `Input::Durable`.
    Persist {
        /// What must survive a crash.
        entry: Box<JournalEntry>,
        /// What leaves once it does.
        release: Vec<Arc<PeerMessage>>,
        /// Comes back in `Input::Durable`.
        ticket: Ticket,
    },
    /// Journal segments at or below `low` may go, once `carry` is synced in a newer one.
    Trim {
        /// The low watermark.
        low: Height,
        /// What outlives the old segments.
        carry: Vec<JournalEntry>,
    },
    /// Execute and sync; answered by `Input::Executed`. Heights come without gaps.
    Execute(Box<ExecutionJob>),
    /// Keep a block's certificate; its receipts may be served.
    Certify {
        /// The height.
        height: Height,
        /// The certificate.
        certificate: Certificate,
        /// Sync it and answer `Input::Anchored`.
        anchor: bool,
    },
    /// Answer a validator's question from the store, as far as the store can.
    Serve {
        /// Who asked.
        to: NodeIndex,
        /// `FetchBodies`, `FetchBlocks`, `FetchCertificate` or `FetchBatches`.
        request: SyncMessage,
    },
    /// What became of a transaction at the client's door.
    Admission {
        /// The transaction.
        id: TransactionId,
        /// Pending or executed, or refused with this code.
        result: Result<Admitted, Code>,
    },
    /// Something worth a log line or a metric.
    Note(Note),
    /// Nothing is signed from here on.
    Halt {
        /// Why, for the operator.
        reason: String,
        /// Where a quorum certified another header than this node computed: which.
        divergence: Option<Divergence>,
    },
}

/// What the executor needs for one block.
#[derive(Clone, Debug)]
pub struct ExecutionJob {
    /// Its height.
    pub height: Height,
    /// What was ordered.
    pub content: Content,
    /// The bodies of its ids, in order.
    pub bodies: Vec<Body>,
    /// Why it is final; stored beside it.
    pub proof: Proof,
    /// The header hash that executing must give, where a certificate names it. When it gives another, the executor
    /// writes nothing and answers with an error: no wrong block is ever in the store.
    pub expected: Option<Digest>,
}

/// One entry of the vote journal: the engine's record, and the bodies that its vote vouches for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct JournalEntry {
    /// What the engine wants to find again.
    pub record: Record,
    /// The bodies of an accepted batch, in its order. Empty where its block is in the store already, and where an earlier entry
    /// about the same batch has them.
    pub bodies: Vec<Body>,
}

impl JournalEntry {
    /// The sequence that the entry is about; `None` for one that outlives every sequence.
    pub fn sequence(&self) -> Option<Sequence> {
        self.record.sequence()
    }

    /// Up to which low watermark the entry stays in the journal.
    pub fn kept_until(&self) -> Sequence {
        self.record.kept_until()
    }
}
