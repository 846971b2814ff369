//! What execution makes of a batch.

use crate::api::code::Code;
use crate::document::batch::Batch;
use crate::document::certificate::{Certificate, Checkpoint};
use crate::document::transaction::Body;
use crate::id::{ChainId, Epoch, Height, TransactionId};
use crate::limits::{BATCH_COUNT_LIMIT, VALIDATORS_LIMIT};
use crate::pbft::message::Commit;
use crate::time::UnixMillis;
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::encode::{BoundedVec, encode};
use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::merkle;
use quorate_crypto::signed::Signed;
use serde::{Deserialize, Serialize};

/// The head of a block: everything that a certificate vouches for (PROTOCOL 2.1). It holds no view, since correct nodes
/// may have committed one batch in different views.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the rules that executed it.
    pub version: u16,
    /// The chain.
    pub chain_id: ChainId,
    /// The validator set that decided it.
    pub epoch: Epoch,
    /// Its number, the batch's sequence number.
    pub height: Height,
    /// Hash of the header before it; zero for the genesis.
    pub parent: Digest,
    /// What was ordered.
    pub batch_digest: Digest,
    /// Commits to the ids of all positions, see [`transactions_root`].
    pub transactions_root: Digest,
    /// Commits to all [`Position`]s, see [`receipts_root`].
    pub receipts_root: Digest,
    /// Root of the state after it.
    pub state_root: Digest,
    /// Hash of the validator set in force.
    pub validators_hash: Digest,
    /// Hash of the set in force for the next block.
    pub next_validators_hash: Digest,
    /// Hash of the parameters in force.
    pub parameters_hash: Digest,
    /// Block time, Unix milliseconds; never before the parent's.
    pub time: UnixMillis,
}

impl Header {
    /// The header's hash, which names the block and everything before it.
    pub fn hash(&self) -> Digest {
        digest("quorate/header", self)
    }

    /// What validators sign about this block.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { epoch: self.epoch, height: self.height, header_hash: self.hash() }
    }
}

/// Why a position was passed over. That is no receipt of the id, and uses nothing up (PROTOCOL 2.3).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum SkipReason {
    /// The block's time has reached its `valid_until`, or lies more than the validity window before it.
    OutsideWindow = 0,
    /// The id was executed already.
    Duplicate = 1,
    /// The sender is no member.
    NotAMember = 2,
}

impl SkipReason {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            SkipReason::OutsideWindow => "outside_window",
            SkipReason::Duplicate => "duplicate",
            SkipReason::NotAMember => "not_a_member",
        }
    }
}

/// What became of one position of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "status", content = "code", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Outcome {
    /// All operations apply.
    Applied = 0,
    /// None applies, for this reason, for ever.
    Failed(Code) = 1,
    /// Not executed.
    Skipped(SkipReason) = 2,
}

impl Outcome {
    /// Whether the id has been executed: applied or failed. Only such positions are indexed and have receipts.
    pub const fn is_executed(self) -> bool {
        matches!(self, Outcome::Applied | Outcome::Failed(_))
    }
}

/// One position of a block; its canonical bytes are a leaf under `receipts_root`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The transaction.
    pub id: TransactionId,
    /// What became of it.
    pub outcome: Outcome,
}

/// An executed batch, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// Its head.
    pub header: Header,
    /// What was ordered; for a null block no ids and the parent's time, see [`Block::is_null`].
    pub batch: Batch,
    /// The transactions of the batch, in its order.
    pub bodies: Vec<Body>,
    /// What became of them, in the same order.
    pub positions: Vec<Position>,
}

impl Block {
    /// Whether the null batch was ordered here.
    pub fn is_null(&self) -> bool {
        self.header.batch_digest == Batch::null_digest()
    }

    /// The block as synchronisation sends it. `None` when it has more bodies than a batch can have, which no block
    /// made by this crate has.
    pub fn to_certified(&self, proof: Proof) -> Option<CertifiedBlock> {
        let bodies = BoundedVec::try_from(self.bodies.clone()).ok()?;
        Some(CertifiedBlock { header: self.header.clone(), batch: self.batch.clone(), bodies, proof })
    }
}

/// Commits to the ids of a block: the hash of their number and their RFC 6962 root. The number is part of it because
/// a path alone fits several places in trees of several sizes.
pub fn transactions_root(ids: &[TransactionId]) -> Digest {
    let root = merkle::root(ids.iter().map(|id| id.as_bytes()));
    digest("quorate/transactions-root", &(ids.len() as u64, root))
}

/// Commits to the positions of a block, whose canonical bytes are the leaves, in the same way.
pub fn receipts_root(positions: &[Position]) -> Digest {
    bind_receipts(positions.len() as u64, merkle::root(positions.iter().map(encode)))
}

/// What `receipts_root` is for so many positions under an RFC 6962 root.
pub(crate) fn bind_receipts(count: u64, root: Digest) -> Digest {
    digest("quorate/receipts-root", &(count, root))
}

/// What made a block final at this node.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Proof {
    /// A quorum of COMMITs of one view.
    Commits(BoundedVec<Signed<Commit>, VALIDATORS_LIMIT>) = 0,
    /// A quorum of CHECKPOINTs over its header, which synchronisation brought.
    Certificate(Certificate) = 1,
}

/// A block as synchronisation sends it, with what proves it final: q CHECKPOINTs over its header, or while they are not
/// there yet, the q COMMITs of its batch (PROTOCOL 4.2, 4.3).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedBlock {
    /// Its head.
    pub header: Header,
    /// What was ordered; for a null block no ids and the parent's time.
    pub batch: Batch,
    /// The transactions of the batch, in its order.
    pub bodies: BoundedVec<Body, BATCH_COUNT_LIMIT>,
    /// Why it is final.
    pub proof: Proof,
}

impl CertifiedBlock {
    /// Whether the null batch was ordered here.
    pub fn is_null(&self) -> bool {
        self.header.batch_digest == Batch::null_digest()
    }

    /// Whether the parts belong together: the batch has the digest that the header names (or is the null batch), and
    /// the bodies are those of its ids, in order.
    pub fn is_consistent(&self) -> bool {
        let batch_matches = if self.is_null() {
            self.batch.ids.is_empty() && self.batch.time == self.header.time
        } else {
            self.batch.digest() == self.header.batch_digest
        };
        batch_matches
            && self.bodies.len() == self.batch.ids.len()
            && self.bodies.iter().zip(self.batch.ids.iter()).all(|(body, id)| body.id() == *id)
    }
}
