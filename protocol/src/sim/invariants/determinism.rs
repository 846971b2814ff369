//! DT: equal blocks give equal states and receipts.

use super::promise::{Invariant, Observation, Promise, Violation};
use crate::document::{Block, Genesis, Header};
use crate::id::{Height, NodeIndex};
use crate::ledger::Ledger;
use crate::store::{BlockCommit, MemoryStore, Store};
use quorate_crypto::Digest;
use std::collections::BTreeMap;

/// What executing a batch on top of a block gave, and where that was seen first; the same must come out everywhere,
/// and once more when the whole chain is executed again from its genesis.
#[derive(Debug, Default)]
pub struct Determinism {
    results: BTreeMap<(Digest, Digest), (Header, NodeIndex)>,
}

impl Determinism {
    fn see(&mut self, node: NodeIndex, header: &Header) -> Result<(), Violation> {
        let key = (header.parent, header.batch_digest);
        let (first, by) = self.results.entry(key).or_insert_with(|| (header.clone(), node));
        if first == header {
            return Ok(());
        }
        let detail = format!(
            "batch {} executed on block {} gives {by} {first:?} and {node} {header:?}",
            header.batch_digest, header.parent
        );
        Err(Violation { promise: Promise::Determinism, detail })
    }
}

impl Invariant for Determinism {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        match observation {
            Observation::Executed { node, block, .. } => self.see(node, &block.header),
            Observation::Ended { stores, genesis, .. } => {
                stores.first().map_or(Ok(()), |(_, store)| execute_again(*store, genesis))
            }
            _ => Ok(()),
        }
    }
}

/// Executes a whole chain from its genesis into an empty store and compares every header.
fn execute_again(store: &dyn Store, genesis: &Genesis) -> Result<(), Violation> {
    let readable = "a simulated store can be read and written";
    let fresh = MemoryStore::new();
    fresh.initialize(genesis).expect(readable);
    let mut ledger = Ledger::open(genesis, &fresh).expect(readable);
    for height in 1.. {
        let Some(block) = store.block(Height(height)).expect(readable) else { break };
        let proof = store.proof(Height(height)).expect(readable).expect("every block has its proof");
        let executed = ledger.execute(&fresh, &block.batch, &block.bodies, block.is_null()).expect(readable);
        check_equal(&block, &executed.block)?;
        fresh.append(&BlockCommit { block: executed.block, proof, changes: executed.changes }).expect(readable);
    }
    Ok(())
}

fn check_equal(first: &Block, again: &Block) -> Result<(), Violation> {
    if first.header == again.header && first.positions == again.positions {
        return Ok(());
    }
    let detail = format!("block {:?}, executed again from the genesis on, gives {:?}", first.header, again.header);
    Err(Violation { promise: Promise::Determinism, detail })
}
