//! A replica's disk: a chain store and a vote journal, and what a crash leaves of them.
//!
//! A write is first queued, then synced, then what it releases leaves the node; a crash can fall between any two of
//! these. What was synced survives every crash. What was only queued is lost, or survives in part from its beginning,
//! as the operating system may have written some of it.

use super::config::Delay;
use super::journal::{Found, Journal, Place};
use super::store::SimStore;
use super::unsynced::Unsynced;
use crate::id::Height;
use crate::pbft::Ticket;
use crate::replica::{JournalEntry, PeerMessage};
use crate::store::{MemoryStore, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;

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
    journal: Journal,
    queue: VecDeque<Write>,
    /// How many of the queue's first writes the sync under way covers.
    syncing: usize,
    /// What every write answers, while the disk fails or is full.
    write_error: Option<StoreError>,
    /// How long a sync takes here, where it is not as everywhere.
    pub(super) sync: Option<Delay>,
}

impl Disk {
    /// A disk with a chain and an empty vote journal, as it is when a key is made.
    #[must_use]
    pub fn new(chain: MemoryStore) -> Self {
        Disk {
            store: SimStore::new(chain),
            journal: Journal::born(),
            queue: VecDeque::new(),
            syncing: 0,
            write_error: None,
            sync: None,
        }
    }

    /// What the vote journal holds for certain, oldest first.
    pub fn journal(&self) -> impl Iterator<Item = &JournalEntry> {
        self.journal.entries()
    }

    /// Reads the journal as a start does.
    pub(super) fn open_journal(&mut self, low: Height) -> Found {
        self.journal.open(low)
    }

    pub(super) fn lose_journal(&mut self) {
        self.journal.lose();
    }

    /// Says whether the journal's end looks like a tear now.
    pub(super) fn damage_journal(&mut self, before_last: usize, place: Place) -> bool {
        self.journal.damage(before_last, place);
        self.journal.looks_torn()
    }

    /// From here on every write fails, or none does.
    pub(super) fn set_write_error(&mut self, error: Option<StoreError>) {
        self.store.set_write_error(error.clone());
        self.write_error = error;
    }

    pub(super) fn write(&mut self, write: Write) {
        self.queue.push_back(write);
    }

    /// Whether a crash would find writes that are not synced.
    pub(super) fn has_unsynced(&self) -> bool {
        !self.queue.is_empty()
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
    ///
    /// # Errors
    ///
    /// The disk's. Then nothing is in the journal, and nothing may leave.
    pub(super) fn end_sync(&mut self) -> Result<Vec<Synced>, StoreError> {
        let count = std::mem::take(&mut self.syncing);
        match &self.write_error {
            Some(error) => {
                self.queue.clear();
                Err(error.clone())
            }
            None => Ok(self.apply(count)),
        }
    }

    fn apply(&mut self, count: usize) -> Vec<Synced> {
        let writes: Vec<Write> = self.queue.drain(..count).collect();
        let mut synced = Vec::new();
        for write in writes {
            match write {
                Write::Append { entry, release, ticket } => {
                    self.journal.append(*entry);
                    synced.push(Synced { release, ticket });
                }
                Write::Trim { low, carry } => self.journal.trim(low, carry),
            }
        }
        synced
    }

    /// The node dies.
    pub(super) fn crash(&mut self, unsynced: Unsynced) {
        let count = if self.write_error.is_some() { 0 } else { unsynced.survivors(self.queue.len()) };
        self.apply(count);
        self.queue.clear();
        self.syncing = 0;
        self.store.crash(unsynced);
    }
}
