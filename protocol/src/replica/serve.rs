//! What a node answers from its chain store when a peer asks: bodies of executed transactions, blocks, certificates.
//!
//! Not part of the replica, which owns no store: whoever drives it calls this for `Output::Serve`.

use std::sync::Arc;

use quorate_crypto::{
    encode::{BoundedVec, encode},
    hash::Digest,
};

use super::{
    durable::certificate_of,
    message::{PeerMessage, SyncMessage},
};
use crate::{
    document::{Block, Body, CertifiedBlock, Proof},
    id::{Height, Sequence, TransactionId},
    limits::{MESSAGE_BYTES_MAX, SYNC_ANSWER_BYTES, SYNC_BLOCKS_MAX, SYNC_BODIES_MAX},
    pbft::message::{CertifiedCheckpoint, Content, Message},
    store::{Store, StoreError},
};

/// Bytes of the discriminants and the count in front of a list.
const LENGTH_BYTES: usize = 8;

/// The answers to a request; none where the store has nothing to say. Each fits a frame, whatever was asked for.
///
/// # Errors
///
/// When the store cannot be read.
pub fn answer(store: &dyn Store, request: &SyncMessage) -> Result<Vec<PeerMessage>, StoreError> {
    Ok(match request {
        SyncMessage::FetchBodies(ids) => vec![PeerMessage::Sync(SyncMessage::Bodies(bodies(store, ids)?))],
        SyncMessage::FetchBlocks { from, count } => {
            vec![PeerMessage::Sync(SyncMessage::Blocks(blocks(store, *from, *count)?))]
        }
        SyncMessage::FetchCertificate { height } => certificate(store, *height)?.into_iter().collect(),
        SyncMessage::FetchBatches(places) => batches(store, places)?,
        // VIEW-CHANGEs are in no store, and answers are not answered.
        SyncMessage::FetchViewChanges(_)
        | SyncMessage::Repair(_)
        | SyncMessage::Claims(_)
        | SyncMessage::Bodies(_)
        | SyncMessage::Blocks(_)
        | SyncMessage::Batch { .. } => Vec::new(),
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

/// Consecutive blocks from `from` on: the first, and of the next as many as an answer takes.
fn blocks(
    store: &dyn Store,
    from: Height,
    count: u16,
) -> Result<BoundedVec<CertifiedBlock, SYNC_BLOCKS_MAX>, StoreError> {
    let mut found = BoundedVec::default();
    let mut bytes = LENGTH_BYTES;
    // A peer can name the last number there is.
    let end = from.saturating_add(count.into());
    for height in (from.0..end.0).map(Height) {
        let Some(block) = final_block(store, height)? else { break };
        bytes += encode(&block).len();
        // The largest block there can be fits a frame.
        if (bytes > SYNC_ANSWER_BYTES && !found.is_empty()) || found.push(block).is_err() {
            break;
        }
    }
    Ok(found)
}

/// What the asked digests stand for, where they were executed at the asked heights.
fn batches(store: &dyn Store, places: &[(Sequence, Digest)]) -> Result<Vec<PeerMessage>, StoreError> {
    let mut found = Vec::new();
    for (sequence, digest) in places {
        let height = Height::from(*sequence);
        // The genesis was not ordered. The header is small, and tells whether the block is worth reading.
        if height == Height::ZERO || store.header(height)?.is_none_or(|header| header.batch_digest != *digest) {
            continue;
        }
        let Some(block) = store.block(height)? else { continue };
        let content = if block.is_null() { Content::Null } else { Content::Batch(block.batch) };
        found.push(PeerMessage::Sync(SyncMessage::Batch { sequence: *sequence, content }));
    }
    Ok(found)
}

/// A block with its certificate, or else with the commits that made it final here.
fn final_block(store: &dyn Store, height: Height) -> Result<Option<CertifiedBlock>, StoreError> {
    let Some(block) = store.block(height)? else { return Ok(None) };
    let proof = match certificate_of(store, height)? {
        Some(certificate) => Some(Proof::Certificate(certificate)),
        None => store.proof(height)?,
    };
    Ok(proof.and_then(|proof| block.to_certified(proof)))
}

fn certificate(store: &dyn Store, height: Height) -> Result<Option<PeerMessage>, StoreError> {
    let (Some(header), Some(certificate)) = (store.header(height)?, certificate_of(store, height)?) else {
        return Ok(None);
    };
    let certified = CertifiedCheckpoint { checkpoint: header.checkpoint(), certificate };
    Ok(Some(PeerMessage::Pbft(Message::CertifiedCheckpoint(certified))))
}
