//! What nodes say to each other over their links: the protocol's messages, and what synchronisation asks and answers.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    encode::BoundedVec,
    hash::Digest,
    signature::Claim,
    signed::{Contains, Unverifiable, Verifiable},
};

use crate::{
    document::{Body, CertifiedBlock, Proof},
    id::{Height, Sequence, TransactionId},
    limits::{
        BATCH_COUNT_LIMIT, CLAIMS_MAX, FRAME_BYTES_MAX, REPAIR_IDS_MAX, SYNC_BATCHES_MAX, SYNC_BLOCKS_MAX,
        SYNC_BODIES_MAX, VALIDATORS_LIMIT,
    },
    pbft::message::{CommitCertificate, Content, Message, VerifyContext},
    time::UnixMillis,
};

/// One frame between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PeerMessage {
    /// A message of the agreement.
    Pbft(Message),
    /// A question or an answer about bodies and blocks.
    Sync(SyncMessage),
}

/// Questions and answers about bodies and blocks (PROTOCOL 3.3, 4.3, 5.6).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SyncMessage {
    /// The sender's oldest pending transactions, for the primary. The edge verifies them one by one, drops those of
    /// strangers, and hands the rest in as `Input::Submitted`.
    Claims(BoundedVec<Body, CLAIMS_MAX>),
    /// Which bodies a proposal or a final batch lacks.
    FetchBodies(BoundedVec<TransactionId, BATCH_COUNT_LIMIT>),
    /// Bodies that were asked for.
    Bodies(BoundedVec<Body, SYNC_BODIES_MAX>),
    /// Blocks from this height on: the first one, and as many of the next as an answer takes.
    FetchBlocks {
        /// The first height wanted.
        from: Height,
        /// How many at most.
        count: u16,
    },
    /// Consecutive final blocks; none where the sender has none to give.
    Blocks(BoundedVec<CertifiedBlock, SYNC_BLOCKS_MAX>),
    /// The certificate of one block. The answer is a protocol message.
    FetchCertificate {
        /// The block's height.
        height: Height,
    },
    /// What digests at sequences stand for: batches of a NEW-VIEW's O, from the log or from executed blocks. The answers
    /// are [`SyncMessage::Batch`].
    FetchBatches(BoundedVec<(Sequence, Digest), SYNC_BATCHES_MAX>),
    /// What a digest stands for. Nothing in it is signed: whoever asked compares it with the digest.
    Batch {
        /// Where it was ordered.
        sequence: Sequence,
        /// Hashes to the digest that was asked for.
        content: Content,
    },
    /// VIEW-CHANGEs that a NEW-VIEW names (PROTOCOL 5.4). The answers are protocol messages.
    FetchViewChanges(BoundedVec<Digest, VALIDATORS_LIMIT>),
    /// What waits in the sender's pool (PROTOCOL 4.6).
    Repair(RepairMessage),
}

/// What pool repair says (PROTOCOL 4.6).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RepairMessage {
    /// Part of what has been pending at the sender for long.
    Pending(BoundedVec<Told, REPAIR_IDS_MAX>),
    /// Which of these the receiver lacks.
    FetchPending(BoundedVec<TransactionId, REPAIR_IDS_MAX>),
    /// Their bodies. The edge verifies them one by one, drops those of strangers, and hands the rest in as
    /// `Input::Submitted` by the door of gossip.
    PendingBodies(BoundedVec<Body, REPAIR_IDS_MAX>),
}

/// A pending transaction that somebody is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Told {
    /// Its id.
    pub id: TransactionId,
    /// Its `valid_until`, Unix milliseconds. Whoever is told looks the id up by it; if it is a lie, that costs a body.
    pub valid_until: UnixMillis,
}

impl RepairMessage {
    /// A short word for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            RepairMessage::Pending(_) => "pending",
            RepairMessage::FetchPending(_) => "fetch-pending",
            RepairMessage::PendingBodies(_) => "pending-bodies",
        }
    }
}

impl Verifiable for RepairMessage {
    type Context = VerifyContext;

    fn claims(&self, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        match self {
            RepairMessage::PendingBodies(bodies) => bodies_claims(bodies, context, out),
            RepairMessage::Pending(_) | RepairMessage::FetchPending(_) => Ok(()),
        }
    }
}

impl PeerMessage {
    /// A short word for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            PeerMessage::Pbft(message) => message.name(),
            PeerMessage::Sync(SyncMessage::Claims(_)) => "claims",
            PeerMessage::Sync(SyncMessage::FetchBodies(_)) => "fetch-bodies",
            PeerMessage::Sync(SyncMessage::Bodies(_)) => "bodies",
            PeerMessage::Sync(SyncMessage::FetchBlocks { .. }) => "fetch-blocks",
            PeerMessage::Sync(SyncMessage::Blocks(_)) => "blocks",
            PeerMessage::Sync(SyncMessage::FetchCertificate { .. }) => "fetch-certificate",
            PeerMessage::Sync(SyncMessage::FetchBatches(_)) => "fetch-batches",
            PeerMessage::Sync(SyncMessage::Batch { .. }) => "batch",
            PeerMessage::Sync(SyncMessage::FetchViewChanges(_)) => "fetch-view-changes",
            PeerMessage::Sync(SyncMessage::Repair(message)) => message.name(),
        }
    }
}

impl SyncMessage {
    /// Whether it wants an answer.
    pub fn is_question(&self) -> bool {
        matches!(
            self,
            SyncMessage::FetchBodies(_)
                | SyncMessage::FetchBlocks { .. }
                | SyncMessage::FetchCertificate { .. }
                | SyncMessage::FetchBatches(_)
                | SyncMessage::FetchViewChanges(_)
                | SyncMessage::Repair(RepairMessage::Pending(_) | RepairMessage::FetchPending(_))
        )
    }
}

impl Verifiable for PeerMessage {
    type Context = VerifyContext;

    fn claims(&self, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        match self {
            PeerMessage::Pbft(message) => message.claims(context, out),
            PeerMessage::Sync(message) => message.claims(context, out),
        }
    }
}

impl Contains<Message> for PeerMessage {
    fn into_part(self) -> Result<Message, PeerMessage> {
        match self {
            PeerMessage::Pbft(message) => Ok(message),
            other => Err(other),
        }
    }
}

impl Verifiable for SyncMessage {
    type Context = VerifyContext;

    fn claims(&self, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        match self {
            SyncMessage::Claims(bodies) => bodies_claims(bodies, context, out),
            SyncMessage::Bodies(bodies) => bodies_claims(bodies, context, out),
            SyncMessage::Repair(message) => message.claims(context, out),
            SyncMessage::Blocks(blocks) => blocks.iter().try_for_each(|block| block_claims(block, context, out)),
            SyncMessage::FetchBodies(_)
            | SyncMessage::FetchBlocks { .. }
            | SyncMessage::FetchCertificate { .. }
            | SyncMessage::FetchBatches(_)
            | SyncMessage::Batch { .. }
            | SyncMessage::FetchViewChanges(_) => Ok(()),
        }
    }
}

fn bodies_claims(bodies: &[Body], context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
    bodies.iter().try_for_each(|body| body.claims(&context.chain_id, out))
}

/// The parts belong together, every client signed, and a quorum made it final.
fn block_claims(block: &CertifiedBlock, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
    let header = &block.header;
    if header.epoch != context.epoch || header.chain_id != context.chain_id {
        return Err(Unverifiable("the block belongs to another chain or epoch"));
    }
    if !block.is_consistent() {
        return Err(Unverifiable("the block's batch or bodies do not belong to its header"));
    }
    bodies_claims(&block.bodies, context, out)?;
    match &block.proof {
        Proof::Certificate(certificate) => {
            certificate.claims(&header.checkpoint(), &context.validators, &context.chain_id, out)
        }
        Proof::Commits(commits) => {
            let content = content_of(block);
            let certificate = CommitCertificate { commits: commits.clone(), content };
            if certificate.ballot().is_none_or(|ballot| Height::from(ballot.sequence) != header.height) {
                return Err(Unverifiable("the commits are about another height"));
            }
            certificate.claims(context, out)
        }
    }
}

/// What was ordered at a block's height.
pub fn content_of(block: &CertifiedBlock) -> Content {
    if block.is_null() { Content::Null } else { Content::Batch(block.batch.clone()) }
}

/// Bodies in parts that each fit a frame.
pub(super) fn frames_of(bodies: Vec<Body>) -> Vec<BoundedVec<Body, SYNC_BODIES_MAX>> {
    let mut frames = Vec::new();
    let mut part: Vec<Body> = Vec::new();
    let mut bytes = 0;
    for body in bodies {
        if !part.is_empty() && (bytes + body.size() > FRAME_BYTES_MAX / 2 || part.len() >= SYNC_BODIES_MAX) {
            frames.extend(BoundedVec::try_from(std::mem::take(&mut part)).ok());
            bytes = 0;
        }
        bytes += body.size();
        part.push(body);
    }
    if !part.is_empty() {
        frames.extend(BoundedVec::try_from(part).ok());
    }
    frames
}
