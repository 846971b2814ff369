//! Blocks that sources gave and that are not executed yet, within bounds (DESIGN, BM).

use std::collections::BTreeMap;

use crate::{document::CertifiedBlock, id::Height};

/// How far above the executed height blocks are fetched.
pub(super) const HEIGHTS_MAX: u64 = 256;

/// Canonical bytes of blocks that wait for one before them; one more block may stand on top.
pub(super) const PARKED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Canonical bytes of blocks that were handed on and are not executed yet; one more block may stand on top.
pub(super) const HANDED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a block takes beside its ids and bodies: header and proof.
const FIXED_BYTES: usize = 4 * 1024;

/// A block that was handed on stands here without its contents until it is executed.
#[derive(Clone, Debug)]
struct Entry {
    bytes: usize,
    block: Option<Box<CertifiedBlock>>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    entries: BTreeMap<Height, Entry>,
    pub(super) parked_bytes: usize,
    pub(super) handed_bytes: usize,
}

impl Held {
    pub fn contains(&self, height: Height) -> bool {
        self.entries.contains_key(&height)
    }

    /// Keeps a block until the ones before it are there; tells whether there was room. The one that comes next, which
    /// all others wait for, has its place beyond the bound.
    pub fn park(&mut self, block: CertifiedBlock, is_next: bool) -> bool {
        let (height, bytes) = (block.header.height, size(&block));
        let has_room = is_next || self.parked_bytes + bytes <= PARKED_BYTES_MAX;
        if !has_room || self.contains(height) {
            return false;
        }
        self.parked_bytes += bytes;
        self.entries.insert(height, Entry { bytes, block: Some(Box::new(block)) });
        true
    }

    /// The block of a height, to be handed on: as long as execution keeps up.
    pub fn hand_on(&mut self, height: Height) -> Option<CertifiedBlock> {
        if !self.may_hand_on() {
            return None;
        }
        let entry = self.entries.get_mut(&height)?;
        let block = entry.block.take()?;
        self.parked_bytes -= entry.bytes;
        self.handed_bytes += entry.bytes;
        Some(*block)
    }

    pub fn may_hand_on(&self) -> bool {
        self.handed_bytes < HANDED_BYTES_MAX
    }

    /// Lets go of executed blocks, and of those that were delivered in another way.
    pub fn release(&mut self, executed: Height, delivered: Height) {
        self.entries.retain(|height, entry| {
            let is_parked = entry.block.is_some();
            let goes = *height <= executed || (is_parked && *height <= delivered);
            if goes {
                *if is_parked { &mut self.parked_bytes } else { &mut self.handed_bytes } -= entry.bytes;
            }
            !goes
        });
    }

    /// There is nothing to fetch any more: what waits is not needed. What was handed on still counts.
    pub fn clear_parked(&mut self) {
        self.entries.retain(|_, entry| entry.block.is_none());
        self.parked_bytes = 0;
    }
}

/// Canonical bytes of a block, or a little more. In memory it takes up to about twice as much.
pub(super) fn size(block: &CertifiedBlock) -> usize {
    let bodies: usize = block.bodies.iter().map(|body| body.size()).sum();
    FIXED_BYTES + block.batch.ids.len() * 32 + bodies
}
