//! What a restart starts from, read from the chain store.

use super::output::JournalEntry;
use crate::{
    document::{Block, Certificate, Proof},
    executed::ExecutedIds,
    id::Height,
    pbft::{
        DurableBlock,
        message::{CertifiedCheckpoint, CommitCertificate, Content},
    },
    store::{Store, StoreError},
    time::UnixMillis,
};

/// Everything durable that a restart starts from.
#[derive(Clone, Debug)]
pub struct DurableState {
    /// The vote journal. `None` where there is none to be trusted: then this replica follows and serves, and never votes.
    pub entries: Option<Vec<JournalEntry>>,
    /// The highest multiple of K (or 0) whose certificate is stored.
    pub low: Height,
    /// The proof of `low`; none at 0.
    pub proven: Option<CertifiedCheckpoint>,
    /// The head's height.
    pub executed: Height,
    /// The head's block time.
    pub head_time: UnixMillis,
    /// Blocks above `low`, and older ones without a certificate.
    pub blocks: Vec<DurableBlock>,
    /// The ids that the validity window remembers.
    pub executed_ids: ExecutedIds,
}

/// Older blocks without a certificate that a restart speaks of again; the rest follow at the next one.
const UNCERTIFIED_MAX: usize = 1_024;

impl DurableState {
    /// Puts together what the journal held (`None` where there is none to be trusted), what the store holds, and the
    /// executed ids that the ledger found in it. `checkpoint_interval` is K.
    ///
    /// # Errors
    ///
    /// When the store is empty or cannot be read.
    pub fn read(
        store: &dyn Store,
        entries: Option<Vec<JournalEntry>>,
        executed_ids: ExecutedIds,
        checkpoint_interval: u64,
    ) -> Result<DurableState, StoreError> {
        let head = store.head()?.ok_or(StoreError::NotInitialized)?;
        let low = low_watermark(store, head.height, checkpoint_interval)?;
        // From the first block on: a store knows its uncertified heights, it does not look for them.
        let mut heights = store.uncertified(Height(1), UNCERTIFIED_MAX)?;
        heights.retain(|height| *height <= low);
        heights.extend((low.0 + 1..=head.height.0).map(Height));
        let blocks = heights.into_iter().map(|height| durable_block(store, height));
        let mut blocks: Vec<DurableBlock> = blocks.collect::<Result<_, _>>()?;
        blocks.retain(|block| block.height > low || block.certificate.is_none());
        let (executed, head_time) = (head.height, head.header.time);
        let proven = match (store.header(low)?, store.certificate(low)?) {
            (Some(header), Some(certificate)) if low > Height::ZERO => {
                Some(CertifiedCheckpoint { checkpoint: header.checkpoint(), certificate })
            }
            _ => None,
        };
        Ok(DurableState { entries, low, proven, executed, head_time, blocks, executed_ids })
    }
}

/// The certificate of a block: the stored one, or else the one that came with the block and proved it final.
///
/// # Errors
///
/// When the store cannot be read.
pub(super) fn certificate_of(store: &dyn Store, height: Height) -> Result<Option<Certificate>, StoreError> {
    if let Some(certificate) = store.certificate(height)? {
        return Ok(Some(certificate));
    }
    match store.proof(height)? {
        Some(Proof::Certificate(certificate)) => Ok(Some(certificate)),
        Some(Proof::Commits(_)) | None => Ok(None),
    }
}

/// The highest multiple of K, or 0, whose block and certificate are stored (PROTOCOL 2.6).
fn low_watermark(store: &dyn Store, head: Height, checkpoint_interval: u64) -> Result<Height, StoreError> {
    let interval = checkpoint_interval.max(1);
    for multiple in (1..=head.0 / interval).rev() {
        let height = Height(multiple * interval);
        if certificate_of(store, height)?.is_some() {
            return Ok(height);
        }
    }
    Ok(Height::ZERO)
}

fn durable_block(store: &dyn Store, height: Height) -> Result<DurableBlock, StoreError> {
    let missing =
        |what| StoreError::corrupt(what, format!("there is none for block {height}, which is below the head"));
    let block = store.block(height)?.ok_or_else(|| missing("blocks"))?;
    let proof = store.proof(height)?.ok_or_else(|| missing("proofs"))?;
    let commits = match proof {
        Proof::Commits(commits) => Some(CommitCertificate { commits, content: content_of(&block) }),
        Proof::Certificate(_) => None,
    };
    Ok(DurableBlock {
        height,
        digest: block.header.batch_digest,
        header_hash: block.header.hash(),
        commits,
        certificate: certificate_of(store, height)?,
    })
}

fn content_of(block: &Block) -> Content {
    if block.is_null() { Content::Null } else { Content::Batch(block.batch.clone()) }
}
