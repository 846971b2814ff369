//! Executing batches into blocks, strictly in order.
//!
//! The ledger holds in memory what execution needs at hand: the top of the state tree, recently used buckets of the
//! state, the executed ids of the validity window, and the head. Everything else it reads from the store. It advances
//! with each [`Ledger::execute`]; after an error it refuses to go on, since what it holds may no longer be the state of
//! any block, and nothing may be signed that is built on it.

mod cache;

use crate::document::batch::Batch;
use crate::document::block::{Block, Header, Position, receipts_root, transactions_root};
use crate::document::genesis::Genesis;
use crate::document::parameters::Parameters;
use crate::document::state::Change;
use crate::document::transaction::Body;
use crate::executed::ExecutedIds;
use crate::id::{Height, TransactionId};
use crate::limits::LEDGER_CACHE_ENTRIES_MAX;
use crate::rules::{self, StateView};
use crate::store::{StateReader, Store, StoreError};
use crate::time::UnixMillis;
use cache::BucketCache;
use quorate_crypto::encode::BoundedVec;
use quorate_crypto::hash::Digest;
use quorate_crypto::sparse::{Bucket, Leaves, SparseTree};

/// A block and what it changed, ready to be appended to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The block.
    pub block: Block,
    /// The keys that it changed, in the order of their hashes.
    pub changes: Vec<Change>,
}

/// The state of the chain after its last block, as far as memory holds it.
#[derive(Debug)]
pub struct Ledger {
    parameters: Parameters,
    head: Header,
    head_hash: Digest,
    tree: SparseTree,
    cache: BucketCache,
    executed: ExecutedIds,
    /// Whether an execution has ended in an error.
    broken: bool,
}

impl Ledger {
    /// Takes up the chain where the store's head is. The whole state is read and hashed, and the root compared with
    /// the head's; the executed ids come from the blocks of the validity window.
    ///
    /// # Errors
    ///
    /// When the store is empty, holds another chain, cannot be read, or holds a state that is not the head's.
    pub fn open(genesis: &Genesis, store: &dyn Store) -> Result<Ledger, StoreError> {
        let head = store.head()?.ok_or(StoreError::NotInitialized)?;
        let (expected, found) = (genesis.chain_id(), head.header.chain_id);
        if found != expected {
            return Err(StoreError::WrongChain { expected, found });
        }
        let tree = read_tree(store)?;
        if tree.root() != head.header.state_root {
            let detail =
                format!("its root is {}, and block {} says {}", tree.root(), head.height, head.header.state_root);
            return Err(StoreError::corrupt("state", detail));
        }
        Ok(Ledger {
            parameters: genesis.parameters.clone(),
            executed: executed_ids(store, genesis.parameters.validity_window_ms)?,
            head: head.header,
            head_hash: head.header_hash,
            tree,
            cache: BucketCache::new(LEDGER_CACHE_ENTRIES_MAX),
            broken: false,
        })
    }

    /// The header of the last block.
    pub fn head(&self) -> &Header {
        &self.head
    }

    /// The hash of the last block's header.
    pub fn head_hash(&self) -> &Digest {
        &self.head_hash
    }

    /// The executed ids of the validity window.
    pub fn executed(&self) -> &ExecutedIds {
        &self.executed
    }

    /// The state tree after the last block, for proofs.
    pub fn tree(&self) -> &SparseTree {
        &self.tree
    }

    /// Makes the next block out of a batch. `bodies` are the batch's transactions in its order, all verified; `null`
    /// says that the null batch was ordered, which has none. `reader` has to hold every block before this one.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or the bodies are not the batch's. The ledger is unusable then: every further
    /// call fails.
    pub fn execute(
        &mut self,
        reader: &dyn StateReader,
        batch: &Batch,
        bodies: &[Body],
        null: bool,
    ) -> Result<Executed, StoreError> {
        if self.broken {
            let reason = "an earlier block could not be executed, and the ledger in memory is no block's state";
            return Err(StoreError::Io(reason.to_owned()));
        }
        let executed = self.try_execute(reader, batch, bodies, null);
        self.broken = executed.is_err();
        executed
    }

    fn try_execute(
        &mut self,
        reader: &dyn StateReader,
        batch: &Batch,
        bodies: &[Body],
        null: bool,
    ) -> Result<Executed, StoreError> {
        let batch = if null { Batch { time: self.head.time, ids: BoundedVec::new() } } else { batch.clone() };
        if !bodies.iter().map(|body| body.id()).eq(batch.ids.iter().copied()) {
            return Err(StoreError::corrupt("execution", "the bodies are not those of the batch"));
        }
        let time = batch.time.max(self.head.time);
        let mut view = LedgerView { cache: &mut self.cache, executed: &self.executed, reader };
        let delta = rules::apply_block(&mut view, time, self.parameters.validity_window_ms, bodies)?;
        let state_root = self.update_tree(reader, &delta.changes)?;
        self.remember(time, bodies, &delta.positions);
        let batch_digest = if null { Batch::null_digest() } else { batch.digest() };
        let header = self.next_header(time, batch_digest, &batch, &delta.positions, state_root);
        self.head_hash = header.hash();
        self.head = header.clone();
        self.cache.trim();
        let block = Block { header, batch, bodies: bodies.to_vec(), positions: delta.positions };
        Ok(Executed { block, changes: delta.changes })
    }

    /// Brings the buckets of the changed keys, and the tree over them, up to date.
    fn update_tree(&mut self, reader: &dyn StateReader, changes: &[Change]) -> Result<Digest, StoreError> {
        for group in changes.chunk_by(|a, b| Bucket::of(&a.key_hash) == Bucket::of(&b.key_hash)) {
            let bucket = Bucket::of(&group[0].key_hash);
            let leaves = self.cache.get(bucket, reader)?;
            for change in group {
                put(leaves, change);
            }
            self.tree.set_bucket(bucket, leaves);
        }
        Ok(self.tree.commit())
    }

    fn remember(&mut self, time: UnixMillis, bodies: &[Body], positions: &[Position]) {
        remember(&mut self.executed, bodies, positions);
        self.executed.expire(time);
    }

    fn next_header(
        &self,
        time: UnixMillis,
        batch_digest: Digest,
        batch: &Batch,
        positions: &[Position],
        state_root: Digest,
    ) -> Header {
        Header {
            version: self.head.version,
            chain_id: self.head.chain_id,
            epoch: self.head.epoch,
            height: self.head.height.next(),
            parent: self.head_hash,
            batch_digest,
            transactions_root: transactions_root(&batch.ids),
            receipts_root: receipts_root(positions),
            state_root,
            validators_hash: self.head.next_validators_hash,
            next_validators_hash: self.head.next_validators_hash,
            parameters_hash: self.head.parameters_hash,
            time,
        }
    }
}

/// What execution reads: buckets through the cache, so that updating the tree reads nothing again.
struct LedgerView<'a> {
    cache: &'a mut BucketCache,
    executed: &'a ExecutedIds,
    reader: &'a dyn StateReader,
}

impl StateView for LedgerView<'_> {
    fn read(&mut self, key_hash: &Digest) -> Result<Option<&[u8]>, StoreError> {
        let leaves = self.cache.get(Bucket::of(key_hash), self.reader)?;
        let found = leaves.binary_search_by_key(key_hash, |(key_hash, _)| *key_hash);
        Ok(found.ok().map(|place| leaves[place].1.as_slice()))
    }

    fn is_executed(&mut self, id: &TransactionId, valid_until: UnixMillis) -> Result<bool, StoreError> {
        // Two ids can share a fingerprint; the index has the last word.
        Ok(self.executed.contains(id, valid_until) && self.reader.transaction(id)?.is_some())
    }
}

/// Puts a change into its bucket.
fn put(leaves: &mut Leaves, change: &Change) {
    let place = leaves.binary_search_by_key(&change.key_hash, |(key_hash, _)| *key_hash);
    match (place, &change.value) {
        (Ok(place), Some(value)) => leaves[place].1.clone_from(value),
        (Ok(place), None) => drop(leaves.remove(place)),
        (Err(place), Some(value)) => leaves.insert(place, (change.key_hash, value.clone())),
        (Err(_), None) => {}
    }
}

/// The tree over everything that the store holds.
fn read_tree(store: &dyn StateReader) -> Result<SparseTree, StoreError> {
    let mut tree = SparseTree::new();
    let mut leaves: Leaves = Vec::new();
    let mut ordered = true;
    store.each_state(&mut |key_hash, value| {
        if let Some((last, _)) = leaves.last() {
            ordered &= last < key_hash;
            if Bucket::of(last) != Bucket::of(key_hash) {
                set_bucket(&mut tree, &mut leaves, ordered);
            }
        }
        leaves.push((*key_hash, value.to_vec()));
    })?;
    set_bucket(&mut tree, &mut leaves, ordered);
    if !ordered {
        return Err(StoreError::corrupt("state", "its keys are out of order"));
    }
    tree.commit();
    Ok(tree)
}

/// Empties `leaves` into the tree, unless their order is wrong and all is lost anyway.
fn set_bucket(tree: &mut SparseTree, leaves: &mut Leaves, ordered: bool) {
    if let Some((key_hash, _)) = leaves.first().filter(|_| ordered) {
        tree.set_bucket(Bucket::of(key_hash), leaves);
    }
    leaves.clear();
}

fn remember(executed: &mut ExecutedIds, bodies: &[Body], positions: &[Position]) {
    for (body, position) in bodies.iter().zip(positions) {
        if position.outcome.is_executed() {
            executed.insert(&position.id, body.valid_until());
        }
    }
}

/// The executed ids whose `valid_until` the head's time has not reached, out of the blocks of the validity window
/// (milliseconds) before it.
///
/// # Errors
///
/// When the store is empty, cannot be read, or lacks a block of the window.
pub fn executed_ids(store: &dyn Store, validity_window: u64) -> Result<ExecutedIds, StoreError> {
    let head = store.head()?.ok_or(StoreError::NotInitialized)?;
    let mut executed = ExecutedIds::new();
    let mut height = head.height;
    while height > Height::ZERO {
        let block = store.block(height)?;
        let block = block.ok_or_else(|| StoreError::corrupt("blocks", format!("block {height} is missing")))?;
        // What this block executed was valid for at most a window from its time on, and older blocks' for less.
        if block.header.time.saturating_add(validity_window) <= head.header.time {
            break;
        }
        remember(&mut executed, &block.bodies, &block.positions);
        height = Height(height.0 - 1);
    }
    executed.expire(head.header.time);
    Ok(executed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out entries in the order in which they are.
    struct Entries(Leaves);

    impl StateReader for Entries {
        fn state(&self, _: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }

        fn bucket(&self, _: Bucket) -> Result<Leaves, StoreError> {
            Ok(Leaves::new())
        }

        fn each_state(&self, visit: &mut dyn FnMut(&Digest, &[u8])) -> Result<(), StoreError> {
            self.0.iter().for_each(|(key_hash, value)| visit(key_hash, value));
            Ok(())
        }

        fn transaction(&self, _: &TransactionId) -> Result<Option<(Height, u32)>, StoreError> {
            Ok(None)
        }
    }

    #[test]
    fn a_state_out_of_order_is_damage_and_no_panic() {
        // Two in one bucket, one in another.
        let leaf = |first: u8, last: u8| {
            let mut bytes = [0; 32];
            (bytes[0], bytes[31]) = (first, last);
            (Digest::from_bytes(bytes), vec![last])
        };
        let entries = vec![leaf(1, 1), leaf(1, 2), leaf(200, 3)];
        assert!(read_tree(&Entries(entries.clone())).is_ok());
        for swapped in [(0, 1), (1, 2), (0, 2)] {
            let mut entries = entries.clone();
            entries.swap(swapped.0, swapped.1);
            assert!(matches!(read_tree(&Entries(entries)), Err(StoreError::Corrupt { .. })), "{swapped:?}");
        }
        let repeated = vec![leaf(1, 1), leaf(1, 1)];
        assert!(read_tree(&Entries(repeated)).is_err());
    }
}
