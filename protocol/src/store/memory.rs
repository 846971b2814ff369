//! A store in memory, for tests and the simulator.

use super::contract::{BlockCommit, EvidenceList, Head, StateReader, Store, StoreError};
use crate::document::block::{Block, Header, Proof};
use crate::document::certificate::Certificate;
use crate::document::genesis::Genesis;
use crate::document::operation::AssetCode;
use crate::document::state::{Change, StateKey};
use crate::id::{Epoch, Height, TransactionId};
use crate::pbft::evidence::Evidence;
use quorate_crypto::encode::{decode, encode};
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use quorate_crypto::sparse::{Bucket, Leaves};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A chain store that lives as long as the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: RwLock<Tables>,
}

#[derive(Clone, Debug, Default)]
struct Tables {
    /// By height.
    blocks: Vec<Block>,
    proofs: BTreeMap<Height, Proof>,
    certificates: BTreeMap<Height, Certificate>,
    uncertified: BTreeSet<Height>,
    heights: BTreeMap<Digest, Height>,
    transactions: BTreeMap<TransactionId, (Height, u32)>,
    state: BTreeMap<Digest, Vec<u8>>,
    /// Of which assets an account holds something.
    holdings: BTreeMap<PublicKey, BTreeSet<AssetCode>>,
    /// By epoch, key and code of the kind.
    evidence: BTreeMap<(Epoch, PublicKey, u8), Evidence>,
}

impl Tables {
    fn head(&self) -> Option<Head> {
        let header = self.blocks.last()?.header.clone();
        Some(Head { height: header.height, header_hash: header.hash(), header })
    }

    fn put_block(&mut self, block: Block, changes: &[Change]) {
        let height = block.header.height;
        for (index, position) in block.positions.iter().enumerate() {
            if position.outcome.is_executed() {
                self.transactions.insert(position.id, (height, index as u32));
            }
        }
        for change in changes {
            self.put_change(change);
        }
        self.heights.insert(block.header.hash(), height);
        self.blocks.push(block);
    }

    fn put_change(&mut self, change: &Change) {
        match &change.value {
            Some(value) => self.state.insert(change.key_hash, value.clone()),
            None => self.state.remove(&change.key_hash),
        };
        if let StateKey::Balance { account, code } = change.key {
            let held = self.holdings.entry(account).or_default();
            match change.value {
                Some(_) => held.insert(code),
                None => held.remove(&code),
            };
        }
    }

    fn get(&self, height: Height) -> Option<&Block> {
        self.blocks.get(usize::try_from(height.0).ok()?)
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    // A poisoned lock means that a reader or writer panicked between two statements that cannot; the tables are whole.
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Clone for MemoryStore {
    /// A store of its own with the same contents.
    fn clone(&self) -> MemoryStore {
        MemoryStore { tables: RwLock::new(self.read().clone()) }
    }
}

impl StateReader for MemoryStore {
    fn state(&self, key_hash: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().state.get(key_hash).cloned())
    }

    fn bucket(&self, bucket: Bucket) -> Result<Leaves, StoreError> {
        let (first, past_the_end) = bucket.range();
        let end = past_the_end.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.read();
        let entries = tables.state.range((Bound::Included(first), end));
        Ok(entries.map(|(key_hash, value)| (*key_hash, value.clone())).collect())
    }

    fn each_state(&self, visit: &mut dyn FnMut(&Digest, &[u8])) -> Result<(), StoreError> {
        for (key_hash, value) in &self.read().state {
            visit(key_hash, value);
        }
        Ok(())
    }

    fn transaction(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StoreError> {
        Ok(self.read().transactions.get(id).copied())
    }
}

impl Store for MemoryStore {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.read().head())
    }

    fn initialize(&self, genesis: &Genesis) -> Result<(), StoreError> {
        let mut tables = self.write();
        if let Some(block) = tables.blocks.first() {
            let (expected, found) = (genesis.chain_id(), block.header.chain_id);
            return if expected == found { Ok(()) } else { Err(StoreError::WrongChain { expected, found }) };
        }
        tables.put_block(genesis.block(), &genesis.state());
        Ok(())
    }

    fn append(&self, commit: &BlockCommit) -> Result<(), StoreError> {
        let mut tables = self.write();
        let expected = tables.head().ok_or(StoreError::NotInitialized)?.height.next();
        let found = commit.block.header.height;
        if found != expected {
            return Err(StoreError::OutOfOrder { expected, found });
        }
        match &commit.proof {
            Proof::Certificate(certificate) => drop(tables.certificates.insert(found, certificate.clone())),
            Proof::Commits(_) => drop(tables.uncertified.insert(found)),
        }
        tables.proofs.insert(found, commit.proof.clone());
        tables.put_block(commit.block.clone(), &commit.changes);
        Ok(())
    }

    fn certify(&self, height: Height, certificate: &Certificate) -> Result<(), StoreError> {
        let mut tables = self.write();
        if tables.get(height).is_none() {
            return Err(StoreError::corrupt("certificates", format!("there is no block {height} to certify")));
        }
        tables.certificates.insert(height, certificate.clone());
        tables.uncertified.remove(&height);
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn header(&self, height: Height) -> Result<Option<Header>, StoreError> {
        Ok(self.read().get(height).map(|block| block.header.clone()))
    }

    fn height_of(&self, header_hash: &Digest) -> Result<Option<Height>, StoreError> {
        Ok(self.read().heights.get(header_hash).copied())
    }

    fn block(&self, height: Height) -> Result<Option<Block>, StoreError> {
        Ok(self.read().get(height).cloned())
    }

    fn proof(&self, height: Height) -> Result<Option<Proof>, StoreError> {
        Ok(self.read().proofs.get(&height).cloned())
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StoreError> {
        Ok(self.read().certificates.get(&height).cloned())
    }

    fn uncertified(&self, from: Height, max: usize) -> Result<Vec<Height>, StoreError> {
        Ok(self.read().uncertified.range(from..).take(max).copied().collect())
    }

    fn balances(&self, account: &PublicKey, max: usize) -> Result<Vec<(AssetCode, u128)>, StoreError> {
        let tables = self.read();
        let held = tables.holdings.get(account).into_iter().flatten().take(max);
        held.map(|code| {
            let key = StateKey::Balance { account: *account, code: *code };
            let value = tables.state.get(&key.key_hash());
            let value = value.ok_or_else(|| StoreError::corrupt("balances", format!("no {code} of {account}")))?;
            let amount = decode(value).map_err(|error| StoreError::corrupt("balances", error.to_string()))?;
            Ok((*code, amount))
        })
        .collect()
    }

    fn put_evidence(&self, evidence: &Evidence) -> Result<bool, StoreError> {
        let key = (evidence.place().epoch, evidence.accused(), evidence.kind().code());
        match self.write().evidence.entry(key) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(place) => {
                place.insert(evidence.clone());
                Ok(true)
            }
        }
    }

    fn evidence(&self, bytes_max: usize) -> Result<EvidenceList, StoreError> {
        let (mut list, mut room) = (EvidenceList::default(), bytes_max);
        for piece in self.read().evidence.values() {
            match room.checked_sub(encode(piece).len()) {
                Some(left) => {
                    room = left;
                    list.pieces.push(piece.clone());
                }
                None => list.left_out += 1,
            }
        }
        Ok(list)
    }
}
