//! Clients that wait for what becomes of their transactions.
//!
//! A request registers its ids before it hands its transactions in, so that no answer can come too early. Answers come from
//! three sides: the signature workers (per request: a forged copy must not end somebody else's wait), the pump
//! (admission, by id) and the execution thread (a certified block: settled, or expired by its time).

use quorate_crypto::fast::FastMap;
use quorate_crypto::hash::Digest;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use quorate_protocol::api::Code;
use quorate_protocol::document::Position;
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::pool::Admitted;
use quorate_protocol::time::UnixMillis;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::{Client, NoRoom, Shares};

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is in the pool.
    Accepted,
    /// It was executed before.
    Executed,
    /// It is not in the pool; nothing was done.
    Rejected(Code),
    /// It has a position, applied or failed, in a certified block.
    Settled {
        /// Height of the block.
        height: Height,
        /// Its place in the block.
        index: u32,
        /// What stands there.
        position: Position,
    },
    /// Certified block time passed its `valid_until`, and it was not executed.
    Expired,
    /// The node is stopping.
    Stopping,
}

/// Where the events of one request go. The channel needs no bound of its own: each id of a request gets few events, and
/// the ids are bounded by [`Waiters`].
pub type EventSender = UnboundedSender<(TransactionId, Event)>;

/// All waiting clients of this node.
#[derive(Debug)]
pub struct Waiters {
    registry: Mutex<Registry>,
}

#[derive(Debug)]
struct Registry {
    by_id: FastMap<TransactionId, Entry>,
    by_expiry: BTreeSet<(UnixMillis, TransactionId)>,
    /// Room for pairs of a request and an id.
    entries: Shares,
    next_request: u64,
    stopping: bool,
}

#[derive(Debug)]
struct Entry {
    valid_until: UnixMillis,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    request: u64,
    client: Client,
    sender: EventSender,
    /// Which of the pool's words it has heard, a bit each. Anybody may post the same bytes again and again; nobody need hear it twice.
    heard: u8,
}

/// One request's registration; dropping it ends the wait.
#[derive(Debug)]
pub struct Wait {
    waiters: Arc<Waiters>,
    request: u64,
    ids: Vec<TransactionId>,
    sender: EventSender,
    /// The events of its ids.
    pub events: UnboundedReceiver<(TransactionId, Event)>,
}

impl Wait {
    /// For those who answer this request alone.
    pub fn sender(&self) -> EventSender {
        self.sender.clone()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waiters.lock().forget(self.request, &self.ids);
    }
}

impl Waiters {
    /// A registry for at most `entries_max` waited-for transactions.
    pub fn new(entries_max: usize) -> Arc<Waiters> {
        Arc::new(Waiters { registry: Mutex::new(Registry::new(entries_max)) })
    }

    /// Registers a request of `client` that waits for `transactions`, each with its `valid_until`.
    ///
    /// # Errors
    /// There is no room for so many, or none for this client.
    pub fn register(
        self: &Arc<Waiters>,
        client: Client,
        transactions: impl Iterator<Item = (TransactionId, UnixMillis)>,
    ) -> Result<Wait, NoRoom> {
        let transactions: BTreeSet<_> = transactions.collect();
        let (sender, events) = unbounded_channel();
        let mut registry = self.lock();
        registry.entries.take(client, transactions.len())?;
        registry.next_request += 1;
        let request = registry.next_request;
        let mut ids = Vec::with_capacity(transactions.len());
        for (id, valid_until) in transactions {
            registry.add(id, valid_until, Watcher { request, client, sender: sender.clone(), heard: 0 });
            ids.push(id);
        }
        Ok(Wait { waiters: Arc::clone(self), request, ids, sender, events })
    }

    /// Says what the pool made of a transaction.
    pub fn admitted(&self, id: TransactionId, result: Result<Admitted, Code>) {
        let (bit, event) = match result {
            Ok(Admitted::New | Admitted::Known) => (1, Event::Accepted),
            Ok(Admitted::Executed) => (2, Event::Executed),
            Err(code) => (4, Event::Rejected(code)),
        };
        if let Some(entry) = self.lock().by_id.get_mut(&id) {
            for watcher in entry.watchers.iter_mut().filter(|watcher| watcher.heard & bit == 0) {
                watcher.heard |= bit;
                // A request that has ended no longer listens.
                let _ = watcher.sender.send((id, event));
            }
        }
    }

    /// Says that a block is certified: `settled` are its applied and failed positions, `time` is its time. Certificates
    /// can come in any order, so `is_executed` says what is settled in a block whose own certificate is still to come.
    pub fn certified(
        &self,
        height: Height,
        settled: impl Iterator<Item = (u32, Position)>,
        time: UnixMillis,
        is_executed: impl Fn(&TransactionId) -> bool,
    ) {
        let mut registry = self.lock();
        if registry.by_id.is_empty() {
            return;
        }
        for (index, position) in settled {
            registry.settle(&position.id, Event::Settled { height, index, position });
        }
        let mut past = registry.take_past(time);
        drop(registry);
        // After a standstill these are many, each is a look-up in the store, and the pump waits for the lock.
        past.retain(|id| !is_executed(id));
        let mut registry = self.lock();
        past.iter().for_each(|id| registry.settle(id, Event::Expired));
    }

    /// How many waited-for transactions are registered, those of each request counted by themselves.
    pub fn count(&self) -> usize {
        self.lock().entries.taken()
    }

    /// Tells every client that the node stops; later ones are told at once.
    pub fn stop(&self) {
        let mut registry = self.lock();
        registry.stopping = true;
        for (id, entry) in &registry.by_id {
            entry.tell(id, Event::Stopping);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Entry {
    fn tell(&self, id: &TransactionId, event: Event) {
        for watcher in &self.watchers {
            // A request that has ended no longer listens.
            let _ = watcher.sender.send((*id, event));
        }
    }
}

impl Registry {
    fn new(entries_max: usize) -> Registry {
        Registry {
            by_id: FastMap::default(),
            by_expiry: BTreeSet::new(),
            entries: Shares::new(entries_max),
            next_request: 0,
            stopping: false,
        }
    }

    /// Adds one for which there is room.
    fn add(&mut self, id: TransactionId, valid_until: UnixMillis, watcher: Watcher) {
        if self.stopping {
            let _ = watcher.sender.send((id, Event::Stopping));
        }
        let entry = self.by_id.entry(id).or_insert_with(|| Entry { valid_until, watchers: Vec::new() });
        entry.watchers.push(watcher);
        self.by_expiry.insert((valid_until, id));
    }

    /// The last event of a transaction.
    fn settle(&mut self, id: &TransactionId, event: Event) {
        if let Some(entry) = self.by_id.remove(id) {
            entry.tell(id, event);
            self.by_expiry.remove(&(entry.valid_until, *id));
            entry.watchers.iter().for_each(|watcher| self.entries.give_back(watcher.client, 1));
        }
    }

    /// A transaction whose `valid_until` is not above certified block time has its position by now or never.
    fn take_past(&mut self, time: UnixMillis) -> Vec<TransactionId> {
        let later = self.by_expiry.split_off(&(time.saturating_add(1), TransactionId(Digest::ZERO)));
        let past = std::mem::replace(&mut self.by_expiry, later);
        past.into_iter().map(|(_, id)| id).collect()
    }

    fn forget(&mut self, request: u64, ids: &[TransactionId]) {
        for id in ids {
            let Some(entry) = self.by_id.get_mut(id) else { continue };
            // A request has an id once.
            if let Some(place) = entry.watchers.iter().position(|watcher| watcher.request == request) {
                self.entries.give_back(entry.watchers.swap_remove(place).client, 1);
            }
            if entry.watchers.is_empty() {
                self.by_expiry.remove(&(entry.valid_until, *id));
                self.by_id.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_protocol::document::Outcome;

    use super::*;
    use crate::client::tests::client;

    fn id(byte: u8) -> TransactionId {
        TransactionId(Digest::from_bytes([byte; 32]))
    }

    fn events(wait: &mut Wait) -> Vec<Event> {
        std::iter::from_fn(|| wait.events.try_recv().ok()).map(|(_, event)| event).collect()
    }

    fn applied(byte: u8) -> Position {
        Position { id: id(byte), outcome: Outcome::Applied }
    }

    #[test]
    fn every_request_for_an_id_is_told() {
        let waiters = Waiters::new(10);
        let mut first = waiters.register(client(1, 1), [(id(1), 100)].into_iter()).unwrap();
        let mut second = waiters.register(client(1, 1), [(id(1), 100)].into_iter()).unwrap();
        waiters.admitted(id(1), Ok(Admitted::New));
        waiters.certified(Height(7), [(3, applied(1))].into_iter(), 50, |_| false);
        let told = [Event::Accepted, Event::Settled { height: Height(7), index: 3, position: applied(1) }];
        assert_eq!(events(&mut first), told);
        assert_eq!(events(&mut second), told);
    }

    #[test]
    fn nobody_hears_twice_what_the_pool_says_of_bytes_that_come_again() {
        let waiters = Waiters::new(10);
        let mut wait = waiters.register(client(1, 1), [(id(1), 100)].into_iter()).unwrap();
        for _ in 0..100 {
            waiters.admitted(id(1), Ok(Admitted::New));
            waiters.admitted(id(1), Ok(Admitted::Known));
            waiters.admitted(id(1), Err(Code::SenderQuota));
            waiters.admitted(id(1), Ok(Admitted::Executed));
        }
        assert_eq!(events(&mut wait), [Event::Accepted, Event::Rejected(Code::SenderQuota), Event::Executed]);
    }

    #[test]
    fn certified_time_expires_what_was_not_settled() {
        let waiters = Waiters::new(10);
        let mut late = waiters.register(client(1, 1), [(id(1), 100)].into_iter()).unwrap();
        let mut settled = waiters.register(client(1, 1), [(id(2), 100)].into_iter()).unwrap();
        let mut valid = waiters.register(client(1, 1), [(id(3), 101)].into_iter()).unwrap();
        waiters.certified(Height(1), std::iter::empty(), 99, |_| false);
        assert_eq!(events(&mut late), []);
        waiters.certified(Height(2), [(0, applied(2))].into_iter(), 100, |_| false);
        assert_eq!(events(&mut late), [Event::Expired]);
        assert_eq!(events(&mut settled), [Event::Settled { height: Height(2), index: 0, position: applied(2) }]);
        assert_eq!(events(&mut valid), []);
    }

    #[test]
    fn executed_transaction_waits_for_its_own_certificate() {
        let waiters = Waiters::new(10);
        let mut wait = waiters.register(client(1, 1), [(id(1), 100)].into_iter()).unwrap();
        waiters.certified(Height(9), std::iter::empty(), 100, |_| true);
        assert_eq!(events(&mut wait), []);
        waiters.certified(Height(8), [(0, applied(1))].into_iter(), 90, |_| true);
        assert_eq!(events(&mut wait), [Event::Settled { height: Height(8), index: 0, position: applied(1) }]);
    }

    #[test]
    fn room_is_bounded_and_comes_back() {
        let waiters = Waiters::new(8);
        let wait = waiters.register(client(1, 1), [(id(1), 1), (id(2), 1)].into_iter()).unwrap();
        assert_eq!(waiters.register(client(1, 1), [(id(3), 1)].into_iter()).err(), Some(NoRoom::Share));
        let nine = (10..19).map(|byte| (id(byte), 1));
        assert_eq!(waiters.register(client(2, 2), nine).err(), Some(NoRoom::Full));
        drop(wait);
        let settled = waiters.register(client(1, 1), [(id(3), 1), (id(4), 1)].into_iter()).unwrap();
        waiters.certified(Height(1), [(0, applied(3))].into_iter(), 1, |_| false);
        drop(settled);
        assert_eq!(waiters.count(), 0);
        assert!(waiters.register(client(1, 1), [(id(5), 1), (id(6), 1)].into_iter()).is_ok());
    }

    #[test]
    fn one_who_waits_for_all_that_it_may_leaves_room_for_others() {
        let waiters = Waiters::new(100);
        let ids = |from: u8, count: u8| (from..from + count).map(|byte| (id(byte), 1));
        let greedy: Vec<Wait> = (0..25).map_while(|n| waiters.register(client(1, 1), ids(n, 1)).ok()).collect();
        assert_eq!(greedy.len(), 25);
        assert_eq!(waiters.register(client(1, 1), ids(50, 1)).err(), Some(NoRoom::Share));
        let beside = waiters.register(client(1, 2), ids(50, 12)).unwrap();
        let elsewhere = waiters.register(client(2, 3), ids(70, 15)).unwrap();
        assert_eq!(waiters.count(), 25 + 12 + 15);
        drop((greedy, beside, elsewhere));
    }

    #[test]
    fn stopping_ends_present_and_later_waits() {
        let waiters = Waiters::new(10);
        let mut before = waiters.register(client(1, 1), [(id(1), 1)].into_iter()).unwrap();
        waiters.stop();
        let mut after = waiters.register(client(1, 1), [(id(2), 1)].into_iter()).unwrap();
        assert_eq!(events(&mut before), [Event::Stopping]);
        assert_eq!(events(&mut after), [Event::Stopping]);
    }
}
