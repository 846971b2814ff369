//! What a client takes home: proof that a transaction has its place in the chain, and what became of it.

use crate::document::block::{Block, Header, Position};
use crate::document::certificate::Certificate;
use crate::document::validators::ValidatorSet;
use crate::limits::{RECEIPT_BOUNDARIES_LIMIT, RECEIPT_PATH_LIMIT};
use quorate_crypto::encode::{BoundedVec, encode};
use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use serde::{Deserialize, Serialize};

/// A position of a block with everything needed to check it against the genesis file (PROTOCOL 8.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Which position of the block, from 0.
    pub index: u32,
    /// How many positions the block has.
    pub count: u32,
    /// The transaction and what became of it.
    pub position: Position,
    /// The hashes beside the way from the position to `receipts_root`, lowest first.
    pub path: BoundedVec<Digest, RECEIPT_PATH_LIMIT>,
    /// The block's header.
    pub header: Header,
    /// A quorum's signatures of the header.
    pub certificate: Certificate,
    /// One for each change of the validator set from the genesis up to this block's epoch. Empty in epoch 0.
    pub boundaries: BoundedVec<Boundary, RECEIPT_BOUNDARIES_LIMIT>,
}

/// The step from one validator set to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boundary {
    /// Header of the last block that the old set decided.
    pub header: Header,
    /// The old set's signatures of it.
    pub certificate: Certificate,
    /// The new set.
    pub validators: ValidatorSet,
}

/// The receipts of one certified block. Hashing its tree once serves every receipt of it.
#[derive(Clone, Debug)]
pub struct Receipts {
    header: Header,
    certificate: Certificate,
    positions: Vec<Position>,
    tree: merkle::Tree,
}

impl Receipts {
    /// Prepares the receipts of a block. The certificate has to be the block's own.
    pub fn new(block: &Block, certificate: Certificate) -> Receipts {
        Receipts::from_parts(block.header.clone(), block.positions.clone(), certificate)
    }

    /// As [`Receipts::new`], from the parts of a block that matter.
    pub fn from_parts(header: Header, positions: Vec<Position>, certificate: Certificate) -> Receipts {
        let tree = merkle::Tree::new(positions.iter().map(encode));
        Receipts { header, certificate, positions, tree }
    }

    /// The receipt of a position; none where there is no such position or it was skipped, which is no receipt.
    pub fn get(&self, index: u32) -> Option<Receipt> {
        let place = index as usize;
        let position = *self.positions.get(place).filter(|position| position.outcome.is_executed())?;
        Some(Receipt {
            index,
            count: u32::try_from(self.positions.len()).ok()?,
            position,
            path: BoundedVec::try_from(self.tree.path(place)?).ok()?,
            header: self.header.clone(),
            certificate: self.certificate.clone(),
            boundaries: BoundedVec::new(),
        })
    }
}
