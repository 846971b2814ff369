//! Receipts, made from the store. Blocks that were asked about lately stay at hand with their trees: when a block is
//! certified, all clients of it come at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use quorate_crypto::encode::{BoundedVec, encode};
use quorate_crypto::merkle::Tree;
use quorate_protocol::document::{Block, Certificate, Header, Position, Receipt};
use quorate_protocol::id::Height;
use quorate_protocol::store::{Store, StoreError};

/// Blocks kept; a full one takes some 300 KiB.
const BLOCKS_MAX: usize = 32;

/// A certified block without its bodies.
struct ProvenBlock {
    header: Header,
    certificate: Certificate,
    positions: Vec<Position>,
    tree: Tree,
}

/// See the module.
pub struct Receipts {
    store: Arc<dyn Store>,
    blocks: Mutex<VecDeque<Arc<ProvenBlock>>>,
}

impl Receipts {
    /// Receipts for the chain in `store`.
    pub fn new(store: Arc<dyn Store>) -> Receipts {
        Receipts { store, blocks: Mutex::default() }
    }

    /// The receipt of a position that was applied or failed; `None` while its block lacks its certificate.
    ///
    /// # Errors
    /// The store cannot be read, or lacks a block that its index names.
    pub fn receipt(&self, height: Height, index: u32) -> Result<Option<Receipt>, StoreError> {
        let Some(block) = self.proven(height)? else { return Ok(None) };
        let found = (block.positions.get(index as usize), block.tree.path(index as usize));
        let (Some(position), Some(path)) = found else {
            return Err(StoreError::corrupt("index", format!("block {height} has no position {index}")));
        };
        let too_deep = |_| StoreError::corrupt("blocks", format!("block {height} is larger than a block can be"));
        Ok(Some(Receipt {
            index,
            count: u32::try_from(block.positions.len()).unwrap_or(u32::MAX),
            position: *position,
            path: BoundedVec::try_from(path).map_err(too_deep)?,
            header: block.header.clone(),
            certificate: block.certificate.clone(),
            boundaries: BoundedVec::default(),
        }))
    }

    /// What became of a position, without its proof; `None` while its block lacks its certificate. Costs much less than a receipt
    /// where the block was not asked about lately.
    ///
    /// # Errors
    /// The store cannot be read, or lacks a block that its index names.
    pub fn position(&self, height: Height, index: u32) -> Result<Option<Position>, StoreError> {
        let known = self.lock().iter().find(|block| block.header.height == height).cloned();
        let found = match known {
            Some(block) => block.positions.get(index as usize).copied(),
            None if self.store.certificate(height)?.is_none() => return Ok(None),
            None => self.store.positions(height)?.and_then(|positions| positions.get(index as usize).copied()),
        };
        found.map(Some).ok_or_else(|| StoreError::corrupt("index", format!("block {height} has no position {index}")))
    }

    fn proven(&self, height: Height) -> Result<Option<Arc<ProvenBlock>>, StoreError> {
        // Held while the block is read: all others that come for it would read it as well.
        let mut blocks = self.lock();
        if let Some(known) = blocks.iter().find(|block| block.header.height == height) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(certificate) = self.store.certificate(height)? else { return Ok(None) };
        let Some(Block { header, positions, .. }) = self.store.block(height)? else {
            return Err(StoreError::corrupt("blocks", format!("block {height} has a certificate and is not there")));
        };
        let tree = Tree::new(positions.iter().map(encode));
        let block = Arc::new(ProvenBlock { header, certificate, positions, tree });
        if blocks.len() >= BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back(Arc::clone(&block));
        Ok(Some(block))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<ProvenBlock>>> {
        self.blocks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
