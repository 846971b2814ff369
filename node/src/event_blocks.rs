//! Certified blocks as events, read from the store. Those read lately stay at hand: all streams at the head read the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use quorate_protocol::api::event::{BlockEvent, Cursor, Event, TransactionEvent};
use quorate_protocol::api::http::TransactionStatus;
use quorate_protocol::document::{Block, Outcome};
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::store::{Store, StoreError};
use quorate_protocol::time::UnixMillis;
use tokio::sync::Semaphore;

/// Blocks kept; 80 bytes for each of their transactions.
const BLOCKS_MAX: usize = 4;
/// Blocks that are read at once: streams share the disk with the chain itself.
const READERS_MAX: usize = 2;

/// What events say of a block, without bodies.
#[derive(Debug)]
pub struct EventBlock {
    height: Height,
    hash: Digest,
    time: UnixMillis,
    state_root: Digest,
    /// How many positions it has: the index of the block's own event.
    positions: u32,
    /// Applied and failed positions.
    executed: Vec<(u32, TransactionId, Outcome, PublicKey)>,
}

/// See the module.
pub struct EventBlocks {
    store: Arc<dyn Store>,
    recent: Mutex<VecDeque<Arc<EventBlock>>>,
    readers: Arc<Semaphore>,
}

impl EventBlock {
    fn of(block: &Block) -> EventBlock {
        let numbered = (0..).zip(block.positions.iter().zip(&block.bodies));
        let executed = numbered.filter(|(_, (position, _))| position.outcome.is_executed());
        EventBlock {
            height: block.header.height,
            hash: block.header.hash(),
            time: block.header.time,
            state_root: block.header.state_root,
            positions: u32::try_from(block.positions.len()).unwrap_or(u32::MAX),
            executed: executed
                .map(|(index, (position, body))| (index, position.id, position.outcome, *body.sender()))
                .collect(),
        }
    }

    /// The events from `index` on, in order, each with its place.
    pub fn events(&self, index: u32) -> impl Iterator<Item = (Cursor, Event)> + '_ {
        let start = self.executed.partition_point(|(at, ..)| *at < index);
        let transactions = self.executed[start..].iter().map(|entry| self.transaction(entry));
        let block = (index <= self.positions).then(|| self.block());
        transactions.chain(block)
    }

    fn transaction(&self, entry: &(u32, TransactionId, Outcome, PublicKey)) -> (Cursor, Event) {
        let (index, id, outcome, sender) = *entry;
        let (status, code) = match outcome {
            Outcome::Failed(code) => (TransactionStatus::Failed, Some(code)),
            // What was skipped is not among the executed.
            Outcome::Applied | Outcome::Skipped(_) => (TransactionStatus::Applied, None),
        };
        let (height, time) = (self.height, self.time);
        let event = TransactionEvent { height, index, id, status, code, sender, time };
        (Cursor { height, index }, Event::Transaction(event))
    }

    fn block(&self) -> (Cursor, Event) {
        let event = BlockEvent {
            height: self.height,
            hash: self.hash,
            time: self.time,
            state_root: self.state_root,
            transactions: u32::try_from(self.executed.len()).unwrap_or(u32::MAX),
        };
        (Cursor { height: self.height, index: self.positions }, Event::Block(event))
    }
}

impl EventBlocks {
    /// Events of the chain in `store`.
    pub fn new(store: Arc<dyn Store>) -> EventBlocks {
        EventBlocks { store, recent: Mutex::default(), readers: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// The block of a height, which must be in the store.
    ///
    /// # Errors
    /// The store cannot be read, or lacks the block.
    pub async fn get(&self, height: Height) -> Result<Arc<EventBlock>, StoreError> {
        if let Some(known) = self.known(height) {
            return Ok(known);
        }
        let reader = Arc::clone(&self.readers).acquire_owned().await;
        // While this one waited another may have read it.
        if let Some(known) = self.known(height) {
            return Ok(known);
        }
        let store = Arc::clone(&self.store);
        // Off the threads that carry the network.
        let read = tokio::task::spawn_blocking(move || {
            // It reads to its end even where the client has gone, and counts until then.
            let _reader = reader;
            read(store.as_ref(), height)
        });
        let block = read.await.map_err(|error| StoreError::corrupt("blocks", error.to_string()))??;
        let mut recent = self.lock();
        if recent.len() >= BLOCKS_MAX {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&block));
        Ok(block)
    }

    fn known(&self, height: Height) -> Option<Arc<EventBlock>> {
        self.lock().iter().find(|block| block.height == height).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<EventBlock>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(store: &dyn Store, height: Height) -> Result<Arc<EventBlock>, StoreError> {
    let missing = || StoreError::corrupt("blocks", format!("block {height} is certified, and it is not there"));
    Ok(Arc::new(EventBlock::of(&store.block(height)?.ok_or_else(missing)?)))
}
