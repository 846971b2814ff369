//! AG: no two correct nodes have different blocks at one height.

use super::promise::{Invariant, Observation, Promise, Violation, header_hash_at};
use crate::id::{Height, NodeIndex};
use quorate_crypto::Digest;
use std::collections::BTreeMap;

/// The first header seen at each height, and where; whatever is seen later must be the same.
#[derive(Debug, Default)]
pub struct Agreement {
    first: BTreeMap<Height, (Digest, NodeIndex)>,
}

impl Agreement {
    fn see(&mut self, height: Height, header_hash: Digest, node: NodeIndex) -> Result<(), Violation> {
        let (first, by) = *self.first.entry(height).or_insert((header_hash, node));
        if first == header_hash {
            return Ok(());
        }
        let detail = format!("at height {height} {by} has block {first} and {node} has {header_hash}");
        Err(Violation { promise: Promise::Agreement, detail })
    }
}

impl Invariant for Agreement {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        match observation {
            Observation::Executed { node, block, .. } => self.see(block.header.height, block.header.hash(), node),
            Observation::Certified { node, height, header_hash } => self.see(height, header_hash, node),
            Observation::Ended { stores, .. } => {
                let seen: Vec<Height> = self.first.keys().copied().collect();
                for (node, store) in stores {
                    for height in &seen {
                        if let Some(header_hash) = header_hash_at(*store, *height) {
                            self.see(*height, header_hash, *node)?;
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
