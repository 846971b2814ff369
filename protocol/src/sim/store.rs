//! A chain store whose certificates vanish in a crash until they are synced, and whose reads and writes can fail.

use super::unsynced::Unsynced;
use crate::document::{AssetCode, Block, Certificate, Genesis, Header, Proof};
use crate::id::{Height, TransactionId};
use crate::pbft::evidence::Evidence;
use crate::store::{BlockCommit, EvidenceList, Head, MemoryStore, StateReader, Store, StoreError};
use quorate_crypto::sparse::{Bucket, Leaves};
use quorate_crypto::{Digest, PublicKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the disk under a store does wrong.
#[derive(Debug, Default)]
struct Damage {
    /// Blocks that come back with other bits than were written.
    rotten: BTreeSet<Height>,
    /// Reads of the first height give what lies at the second.
    misdirected: BTreeMap<Height, Height>,
    /// What every write answers.
    write_error: Option<StoreError>,
}

/// A chain store as a node has one. Blocks are synced as they are written.
///
/// As in the real one every block is sealed: bits that changed, and a block that belongs to another height, are found
/// out by the read.
#[derive(Debug)]
pub struct SimStore {
    durable: MemoryStore,
    unsynced: Mutex<Vec<(Height, Certificate)>>,
    damage: Mutex<Damage>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is whole after every step, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimStore {
    pub(super) fn new(durable: MemoryStore) -> SimStore {
        SimStore { durable, unsynced: Mutex::default(), damage: Mutex::default() }
    }

    pub(super) fn crash(&self, unsynced: Unsynced) {
        let mut list = lock(&self.unsynced);
        let survivors = unsynced.survivors(list.len());
        for (height, certificate) in list.drain(..).take(survivors) {
            self.durable.certify(height, &certificate).expect("the block of a certificate is there");
        }
    }

    /// What lies on it, as a backup would take it.
    pub(super) fn copy(&self) -> MemoryStore {
        self.durable.clone()
    }

    pub(super) fn rot(&self, height: Height) {
        lock(&self.damage).rotten.insert(height);
    }

    pub(super) fn misdirect(&self, height: Height, to: Height) {
        lock(&self.damage).misdirected.insert(height, to);
    }

    pub(super) fn set_write_error(&self, error: Option<StoreError>) {
        lock(&self.damage).write_error = error;
    }

    /// Whether everything can be read.
    pub(super) fn is_sound(&self) -> bool {
        let damage = lock(&self.damage);
        damage.rotten.is_empty() && damage.misdirected.is_empty()
    }

    fn check_write(&self) -> Result<(), StoreError> {
        lock(&self.damage).write_error.clone().map_or(Ok(()), Err)
    }

    /// Where a read of this height really goes, if what lies there is whole.
    fn place(&self, height: Height) -> Result<Height, StoreError> {
        let damage = lock(&self.damage);
        let place = damage.misdirected.get(&height).copied().unwrap_or(height);
        match damage.rotten.contains(&place) {
            true => Err(StoreError::corrupt("block", format!("the checksum of height {place} is wrong"))),
            false => Ok(place),
        }
    }

    /// The header of a height as it was written, whatever the disk makes of it: for whoever looks from outside.
    pub(super) fn true_header(&self, height: Height) -> Option<Header> {
        self.durable.header(height).expect("a store in memory can be read")
    }

    /// Where a transaction was executed, whatever the disk makes of it.
    pub(super) fn true_place(&self, id: &TransactionId) -> Option<(Height, u32)> {
        self.durable.transaction(id).expect("a store in memory can be read")
    }
}

impl StateReader for SimStore {
    fn state(&self, key_hash: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.durable.state(key_hash)
    }

    fn bucket(&self, bucket: Bucket) -> Result<Leaves, StoreError> {
        self.durable.bucket(bucket)
    }

    fn each_state(&self, visit: &mut dyn FnMut(&Digest, &[u8])) -> Result<(), StoreError> {
        self.durable.each_state(visit)
    }

    fn transaction(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StoreError> {
        self.durable.transaction(id)
    }
}

impl Store for SimStore {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        self.durable.head()
    }

    fn initialize(&self, genesis: &Genesis) -> Result<(), StoreError> {
        self.durable.initialize(genesis)
    }

    fn append(&self, commit: &BlockCommit) -> Result<(), StoreError> {
        // A synced batch makes everything before it durable as well.
        self.sync()?;
        self.durable.append(commit)
    }

    fn certify(&self, height: Height, certificate: &Certificate) -> Result<(), StoreError> {
        self.check_write()?;
        if self.durable.header(height)?.is_none() {
            return self.durable.certify(height, certificate);
        }
        lock(&self.unsynced).push((height, certificate.clone()));
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.check_write()?;
        lock(&self.unsynced).drain(..).try_for_each(|(height, certificate)| self.durable.certify(height, &certificate))
    }

    fn header(&self, height: Height) -> Result<Option<Header>, StoreError> {
        self.durable.header(height)
    }

    fn height_of(&self, header_hash: &Digest) -> Result<Option<Height>, StoreError> {
        self.durable.height_of(header_hash)
    }

    fn block(&self, height: Height) -> Result<Option<Block>, StoreError> {
        let Some(block) = self.durable.block(self.place(height)?)? else { return Ok(None) };
        if block.header.height != height {
            return Err(StoreError::corrupt("block", format!("what lies at height {height} belongs to another")));
        }
        Ok(Some(block))
    }

    fn proof(&self, height: Height) -> Result<Option<Proof>, StoreError> {
        self.durable.proof(height)
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StoreError> {
        let unsynced =
            lock(&self.unsynced).iter().find(|(of, _)| *of == height).map(|(_, certificate)| certificate.clone());
        if unsynced.is_some() { Ok(unsynced) } else { self.durable.certificate(height) }
    }

    fn uncertified(&self, from: Height, max: usize) -> Result<Vec<Height>, StoreError> {
        let unsynced: Vec<Height> = lock(&self.unsynced).iter().map(|(height, _)| *height).collect();
        let heights = self.durable.uncertified(from, max.saturating_add(unsynced.len()))?;
        Ok(heights.into_iter().filter(|height| !unsynced.contains(height)).take(max).collect())
    }

    fn put_evidence(&self, evidence: &Evidence) -> Result<bool, StoreError> {
        self.durable.put_evidence(evidence)
    }

    fn evidence(&self, bytes_max: usize) -> Result<EvidenceList, StoreError> {
        self.durable.evidence(bytes_max)
    }

    fn balances(&self, account: &PublicKey, max: usize) -> Result<Vec<(AssetCode, u128)>, StoreError> {
        self.durable.balances(account, max)
    }
}
