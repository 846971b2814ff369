//! What a node answers from its chain store when a peer asks: bodies of executed transactions, blocks, certificates.
//!
//! Not part of the replica, which owns no store: whoever drives it calls this for `Output::Serve`.

use std::sync::Arc;

use quorate_crypto::{
    encode::{BoundedVec, encode},
    hash::Digest,
};

use super::message::{PeerMessage, SyncMessage};
use crate::{
    document::{Block, Body, CertifiedBlock, Proof},
    id::{Height, Sequence, TransactionId},
    limits::{MESSAGE_BYTES_MAX, SYNC_BLOCKS_MAX, SYNC_BODIES_MAX},
    pbft::message::{CertifiedCheckpoint, Content, Message},
    store::{Store, StoreError},
};

/// Bytes of the discriminants and the count in front of a list.
const LENGTH_BYTES: usize = 8;

/// The answer to a request; `None` where the store has nothing to say. It fits a frame, whatever was asked for.
///
/// # Errors
///
/// When the store cannot be read.
pub fn answer(store: &dyn Store, request: &SyncMessage) -> Result<Option<PeerMessage>, StoreError> {
    Ok(match request {
        SyncMessage::FetchBodies(ids) => Some(PeerMessage::Sync(SyncMessage::Bodies(bodies(store, ids)?))),
        SyncMessage::FetchBlocks { from } => Some(PeerMessage::Sync(SyncMessage::Blocks(blocks(store, *from)?))),
        SyncMessage::FetchCertificate { height } => certificate(store, *height)?,
        SyncMessage::FetchBatches(wanted) => batch(store, wanted)?,
        // Answers are not answered, and VIEW-CHANGEs are in no store.
        SyncMessage::Claims(_)
        | SyncMessage::Bodies(_)
        | SyncMessage::Blocks(_)
        | SyncMessage::Batch { .. }
        | SyncMessage::FetchViewChanges(_) => None,
    })
}

/// The executed ones among `ids`, as many as fit a frame.
fn bodies(store: &dyn Store, ids: &[TransactionId]) -> Result<BoundedVec<Body, SYNC_BODIES_MAX>, StoreError> {
    let mut found = BoundedVec::default();
    let mut bytes = LENGTH_BYTES;
    // The ids of a request mostly stand in one block.
    let mut block: Option<(Height, Block)> = None;
    for id in ids {
        let Some((height, index)) = store.transaction(id)? else { continue };
        if block.as_ref().is_none_or(|(held, _)| *held != height) {
            block = store.block(height)?.map(|block| (height, block));
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
fn blocks(store: &dyn Store, from: Height) -> Result<BoundedVec<CertifiedBlock, SYNC_BLOCKS_MAX>, StoreError> {
    let mut found = BoundedVec::default();
    let mut bytes = LENGTH_BYTES;
    let mut height = from;
    while let Some(block) = final_block(store, height)? {
        bytes += encode(&block).len();
        if bytes > MESSAGE_BYTES_MAX || found.push(block).is_err() {
            break;
        }
        height = height.next();
    }
    Ok(found)
}

/// A block with its certificate, or else with the commits that made it final here.
fn final_block(store: &dyn Store, height: Height) -> Result<Option<CertifiedBlock>, StoreError> {
    let Some(block) = store.block(height)? else { return Ok(None) };
    let proof = match store.certificate(height)? {
        Some(certificate) => Some(Proof::Certificate(certificate)),
        None => store.proof(height)?,
    };
    Ok(proof.and_then(|proof| block.to_certified(proof)))
}

/// The first of the wanted batches that is executed here.
fn batch(store: &dyn Store, wanted: &[(Sequence, Digest)]) -> Result<Option<PeerMessage>, StoreError> {
    for (sequence, digest) in wanted {
        let Some(block) = store.block(Height::from(*sequence))? else { continue };
        if block.header.batch_digest == *digest {
            let content = if block.is_null() { Content::Null } else { Content::Batch(block.batch) };
            return Ok(Some(PeerMessage::Sync(SyncMessage::Batch { sequence: *sequence, content })));
        }
    }
    Ok(None)
}

fn certificate(store: &dyn Store, height: Height) -> Result<Option<PeerMessage>, StoreError> {
    let (Some(header), Some(certificate)) = (store.header(height)?, store.certificate(height)?) else {
        return Ok(None);
    };
    let certified = CertifiedCheckpoint { checkpoint: header.checkpoint(), certificate };
    Ok(Some(PeerMessage::Pbft(Message::CertifiedCheckpoint(certified))))
}
