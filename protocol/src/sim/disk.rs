//! A replica's disk: a chain store and a vote journal, and what a crash leaves of them.
//!
//! A write is first queued, then synced, then what it releases leaves the node; a crash can fall between any two of
//! these. What was synced survives every crash. What was only queued is lost, or survives in part from its beginning,
//! as the operating system may have written some of it.

use crate::document::{AssetCode, Block, Certificate, Genesis, Header, Proof};
use crate::id::{Height, TransactionId};
use crate::pbft::Ticket;
use crate::pbft::evidence::Evidence;
use crate::replica::{JournalEntry, PeerMessage};
use crate::store::{BlockCommit, EvidenceList, Head, MemoryStore, StateReader, Store, StoreError};
use quorate_crypto::sparse::{Bucket, Leaves};
use quorate_crypto::{Digest, PublicKey};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a crash leaves of writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// Nothing.
    Lost,
    /// Everything: the system had written it, and only nobody was told.
    Kept,
    /// So many of a thousand writes, counted from the oldest.
    Part(u32),
}

impl Unsynced {
    /// How many of `count` writes are left.
    fn survivors(self, count: usize) -> usize {
        match self {
            Unsynced::Lost => 0,
            Unsynced::Kept => count,
            Unsynced::Part(per_mille) => count * per_mille.min(1_000) as usize / 1_000,
        }
    }
}

/// One write to the journal on its way.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Append { entry: Box<JournalEntry>, release: Vec<Arc<PeerMessage>>, ticket: Ticket },
    Trim { low: Height, carry: Vec<JournalEntry> },
}

/// What becomes of a journal write once it is synced.
#[derive(Clone, Debug)]
pub(super) struct Synced {
    pub release: Vec<Arc<PeerMessage>>,
    pub ticket: Ticket,
}

/// A replica's disk.
#[derive(Debug)]
pub struct Disk {
    /// The chain.
    pub store: SimStore,
    journal: Vec<JournalEntry>,
    queue: VecDeque<Write>,
    /// How many of the queue's first writes the sync under way covers.
    syncing: usize,
}

impl Disk {
    /// A disk with a chain and an empty vote journal, as it is when a key is made.
    #[must_use]
    pub fn new(chain: MemoryStore) -> Self {
        let store = SimStore { durable: chain, unsynced: Mutex::default() };
        Disk { store, journal: Vec::new(), queue: VecDeque::new(), syncing: 0 }
    }

    /// What the vote journal holds for certain.
    #[must_use]
    pub fn journal(&self) -> &[JournalEntry] {
        &self.journal
    }

    pub(super) fn write(&mut self, write: Write) {
        self.queue.push_back(write);
    }

    /// Begins a sync of everything queued, unless one is under way or there is nothing to sync.
    pub(super) fn begin_sync(&mut self) -> bool {
        let begins = self.syncing == 0 && !self.queue.is_empty();
        if begins {
            self.syncing = self.queue.len();
        }
        begins
    }

    /// The sync is done: its writes are in the journal, and what they release may leave.
    pub(super) fn end_sync(&mut self) -> Vec<Synced> {
        let count = std::mem::take(&mut self.syncing);
        self.apply(count)
    }

    fn apply(&mut self, count: usize) -> Vec<Synced> {
        let writes: Vec<Write> = self.queue.drain(..count).collect();
        let mut synced = Vec::new();
        for write in writes {
            match write {
                Write::Append { entry, release, ticket } => {
                    self.journal.push(*entry);
                    synced.push(Synced { release, ticket });
                }
                Write::Trim { low, carry } => self.trim(low, carry),
            }
        }
        synced
    }

    fn trim(&mut self, low: Height, carry: Vec<JournalEntry>) {
        let kept = self.journal.drain(..).filter(|entry| entry.sequence().is_some_and(|n| Height::from(n) > low));
        self.journal = carry.into_iter().chain(kept.collect::<Vec<_>>()).collect();
    }

    /// The node dies.
    pub(super) fn crash(&mut self, unsynced: Unsynced) {
        self.apply(unsynced.survivors(self.queue.len()));
        self.queue.clear();
        self.syncing = 0;
        self.store.crash(unsynced);
    }
}

/// A chain store whose certificates vanish in a crash until they are synced; blocks are synced as they are written.
#[derive(Debug)]
pub struct SimStore {
    durable: MemoryStore,
    unsynced: Mutex<Vec<(Height, Certificate)>>,
}

impl SimStore {
    fn unsynced(&self) -> MutexGuard<'_, Vec<(Height, Certificate)>> {
        // A list of certificates is whole after every step, whoever panicked.
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn crash(&self, unsynced: Unsynced) {
        let mut list = self.unsynced();
        let survivors = unsynced.survivors(list.len());
        for (height, certificate) in list.drain(..).take(survivors) {
            self.durable.certify(height, &certificate).expect("the block of a certificate is there");
        }
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
        if self.durable.header(height)?.is_none() {
            return self.durable.certify(height, certificate);
        }
        self.unsynced().push((height, certificate.clone()));
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.unsynced().drain(..).try_for_each(|(height, certificate)| self.durable.certify(height, &certificate))
    }

    fn header(&self, height: Height) -> Result<Option<Header>, StoreError> {
        self.durable.header(height)
    }

    fn height_of(&self, header_hash: &Digest) -> Result<Option<Height>, StoreError> {
        self.durable.height_of(header_hash)
    }

    fn block(&self, height: Height) -> Result<Option<Block>, StoreError> {
        self.durable.block(height)
    }

    fn proof(&self, height: Height) -> Result<Option<Proof>, StoreError> {
        self.durable.proof(height)
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StoreError> {
        let unsynced = self.unsynced().iter().find(|(of, _)| *of == height).map(|(_, certificate)| certificate.clone());
        if unsynced.is_some() { Ok(unsynced) } else { self.durable.certificate(height) }
    }

    fn uncertified(&self, from: Height, max: usize) -> Result<Vec<Height>, StoreError> {
        let unsynced: Vec<Height> = self.unsynced().iter().map(|(height, _)| *height).collect();
        let heights = self.durable.uncertified(from, max.saturating_add(unsynced.len()))?;
        Ok(heights.into_iter().filter(|height| !unsynced.contains(height)).take(max).collect())
    }

    fn balances(&self, account: &PublicKey, max: usize) -> Result<Vec<(AssetCode, u128)>, StoreError> {
        self.durable.balances(account, max)
    }

    fn put_evidence(&self, evidence: &Evidence) -> Result<bool, StoreError> {
        self.durable.put_evidence(evidence)
    }

    fn evidence(&self, bytes_max: usize) -> Result<EvidenceList, StoreError> {
        self.durable.evidence(bytes_max)
    }
}
