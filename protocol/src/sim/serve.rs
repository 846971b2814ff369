//! What a node answers from its chain store when a peer asks.

use crate::document::{CertifiedBlock, Proof};
use crate::id::{Height, TransactionId};
use crate::limits::{SYNC_BLOCKS_MAX, SYNC_BODIES_MAX};
use crate::pbft::Message;
use crate::pbft::message::CertifiedCheckpoint;
use crate::replica::{PeerMessage, SyncMessage};
use crate::store::{Store, StoreError};
use quorate_crypto::BoundedVec;

/// The answer to a request; `None` where the store has nothing to say. Blocks of a world are small, so that as many as
/// one answer may count fit a frame.
pub(super) fn answer(store: &dyn Store, request: &SyncMessage) -> Result<Option<PeerMessage>, StoreError> {
    Ok(match request {
        SyncMessage::FetchBodies(ids) => Some(PeerMessage::Sync(bodies(store, ids)?)),
        SyncMessage::FetchBlocks { from } => Some(PeerMessage::Sync(blocks(store, *from)?)),
        SyncMessage::FetchCertificate { height } => certificate(store, *height)?,
        SyncMessage::Claims(_) | SyncMessage::Bodies(_) | SyncMessage::Blocks(_) => None,
    })
}

fn bodies(store: &dyn Store, ids: &[TransactionId]) -> Result<SyncMessage, StoreError> {
    let mut found = BoundedVec::<_, SYNC_BODIES_MAX>::default();
    for id in ids {
        let Some((height, index)) = store.transaction(id)? else { continue };
        let body = store.block(height)?.and_then(|block| block.bodies.get(index as usize).cloned());
        if body.is_some_and(|body| found.push(body).is_err()) {
            break;
        }
    }
    Ok(SyncMessage::Bodies(found))
}

fn blocks(store: &dyn Store, from: Height) -> Result<SyncMessage, StoreError> {
    let mut found = BoundedVec::<_, SYNC_BLOCKS_MAX>::default();
    let mut height = from;
    while let Some(block) = final_block(store, height)? {
        if found.push(block).is_err() {
            break;
        }
        height = height.next();
    }
    Ok(SyncMessage::Blocks(found))
}

/// A block with its certificate, or else with the COMMITs that made it final.
fn final_block(store: &dyn Store, height: Height) -> Result<Option<CertifiedBlock>, StoreError> {
    let Some(block) = store.block(height)? else { return Ok(None) };
    let proof = match store.certificate(height)? {
        Some(certificate) => Some(Proof::Certificate(certificate)),
        None => store.proof(height)?,
    };
    Ok(proof.and_then(|proof| block.to_certified(proof)))
}

fn certificate(store: &dyn Store, height: Height) -> Result<Option<PeerMessage>, StoreError> {
    let (Some(header), Some(certificate)) = (store.header(height)?, store.certificate(height)?) else {
        return Ok(None);
    };
    let certified = CertifiedCheckpoint { checkpoint: header.checkpoint(), certificate };
    Ok(Some(PeerMessage::Pbft(Message::CertifiedCheckpoint(certified))))
}
