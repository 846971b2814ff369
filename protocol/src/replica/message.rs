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
        BATCH_COUNT_LIMIT, CLAIMS_MAX, FETCH_BATCHES_MAX, FRAME_BYTES_MAX, SYNC_BLOCKS_MAX, SYNC_BODIES_MAX,
        VALIDATORS_LIMIT,
    },
    pbft::message::{CommitCertificate, Content, Message, VerifyContext},
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
    /// Blocks from this height on, as many as a frame takes.
    FetchBlocks {
        /// The first height wanted.
        from: Height,
    },
    /// What digests at sequences stand for: batches that a new view proposes again.
    FetchBatches(BoundedVec<(Sequence, Digest), FETCH_BATCHES_MAX>),
    /// What one of them stands for; it counts only if it hashes to the digest.
    Batch {
        /// Where it was proposed.
        sequence: Sequence,
        /// The batch, or null.
        content: Content,
    },
    /// VIEW-CHANGEs that a NEW-VIEW names. The answers are protocol messages.
    FetchViewChanges(BoundedVec<Digest, VALIDATORS_LIMIT>),
    /// Consecutive final blocks; none where the sender has none to give.
    Blocks(BoundedVec<CertifiedBlock, SYNC_BLOCKS_MAX>),
    /// The certificate of one block. The answer is a protocol message.
    FetchCertificate {
        /// The block's height.
        height: Height,
    },
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
