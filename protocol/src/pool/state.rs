//! What the pool holds and how its parts stay in step.

use super::arrivals::Arrivals;
use super::claimants::claimants;
use super::config::PoolConfig;
use super::load::Load;
use super::order::{FairOrder, Rank};
use super::slab::{Slab, Slot};
use super::watch::Watch;
use crate::document::Body;
use crate::executed::ExecutedIds;
use crate::id::{Epoch, NodeIndex, Sequence, TransactionId, View};
use crate::time::{Instant, UnixMillis};
use quorate_crypto::fast::FastMap;
use quorate_crypto::key::PublicKey;
use std::collections::{BTreeMap, BTreeSet};

/// Which of the bounds a transaction counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The pool's own bounds and its sender's share.
    Common,
    /// The places for claims of those who claim it. When none does any more it leaves, at once or when its mark goes.
    Claim,
}

/// A claim's latest sending: in which view, and whether it was the second one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) view: (Epoch, View),
    pub(super) again: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) body: Body,
    pub(super) sender: Slot,
    /// Number of the arrival, over all senders.
    pub(super) arrival: u64,
    pub(super) arrived: Instant,
    pub(super) rank: Rank,
    pub(super) place: Place,
    /// The validators whose claim on its sender it is, as a bitmap.
    pub(super) claimants: u32,
    /// The slot of the order whose proposal names it.
    pub(super) mark: Option<Sequence>,
    /// Whether the fair order holds it.
    pub(super) ready: bool,
    pub(super) sent: Option<(Round, Instant)>,
}

impl Entry {
    pub(super) fn valid_until(&self) -> UnixMillis {
        self.body.transaction().valid_until
    }
}

#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) key: PublicKey,
    /// What it has in the common places.
    pub(super) load: Load,
    /// Arrival of its oldest pending transaction.
    pub(super) oldest: u64,
    /// Since when that one is the oldest.
    pub(super) oldest_since: Instant,
}

/// The pool. See the documentation of [its module](crate::pool).
#[derive(Clone, Debug)]
pub struct Pool {
    pub(super) config: PoolConfig,
    pub(super) entries: Slab<Entry>,
    pub(super) by_id: FastMap<TransactionId, Slot>,
    pub(super) senders: Slab<Sender>,
    pub(super) by_key: FastMap<PublicKey, Slot>,
    pub(super) by_arrival: Arrivals,
    /// All pending transactions of each sender by arrival.
    pub(super) arrivals: BTreeSet<(Slot, u64, Slot)>,
    /// Each sender's oldest pending transaction, under its arrival: the claims.
    pub(super) oldest: BTreeMap<u64, Slot>,
    pub(super) expiry: BTreeSet<(UnixMillis, Slot)>,
    pub(super) order: FairOrder,
    /// The batch time for which the fair order holds what may be proposed.
    pub(super) order_time: UnixMillis,
    pub(super) ready: Load,
    /// What is marked, by slot of the order; ids that are not pending here included.
    pub(super) marks: BTreeMap<Sequence, Vec<TransactionId>>,
    /// Marked ids that are not pending here, so that they are not proposed a second time if they arrive.
    pub(super) foreign_marks: FastMap<TransactionId, Sequence>,
    /// What each validator claims: one transaction of a sender, its newest claim.
    pub(super) claimed: BTreeMap<(NodeIndex, Slot), Slot>,
    pub(super) common: Load,
    pub(super) total: Load,
    pub(super) executed: ExecutedIds,
    next_arrival: u64,
    pub(super) next_claim: u64,
    /// Newest `valid_until` of what came too late by the local clock.
    pub(super) turned_away: UnixMillis,
    /// When the link to the primary of which view last came back.
    pub(super) link_returned: Option<((Epoch, View), Instant)>,
    /// Claims of this node that were sent in the view of `claims_view` and are pending still, by arrival.
    pub(super) open_claims: BTreeMap<u64, Slot>,
    pub(super) claims_view: Option<(Epoch, View)>,
    /// What this node has seen of the primary; none while it judges nobody.
    pub(super) watch: Option<Watch>,
}

impl Pool {
    /// An empty pool that knows which ids have been executed.
    #[must_use]
    pub fn new(config: PoolConfig, executed: ExecutedIds) -> Self {
        Pool {
            config,
            entries: Slab::new(),
            by_id: FastMap::default(),
            senders: Slab::new(),
            by_key: FastMap::default(),
            by_arrival: Arrivals::default(),
            arrivals: BTreeSet::new(),
            oldest: BTreeMap::new(),
            expiry: BTreeSet::new(),
            order: FairOrder::default(),
            order_time: 0,
            ready: Load::default(),
            marks: BTreeMap::new(),
            foreign_marks: FastMap::default(),
            claimed: BTreeMap::new(),
            common: Load::default(),
            total: Load::default(),
            executed,
            next_arrival: 0,
            next_claim: 0,
            turned_away: 0,
            link_returned: None,
            open_claims: BTreeMap::new(),
            claims_view: None,
            watch: None,
        }
    }

    /// The body of a pending transaction.
    #[must_use]
    pub fn get(&self, id: &TransactionId) -> Option<Body> {
        self.by_id.get(id).map(|&slot| self.entries[slot].body.clone())
    }

    /// Whether the transaction is pending here.
    #[must_use]
    pub fn contains(&self, id: &TransactionId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whether the transaction is remembered as executed.
    #[must_use]
    pub fn is_executed(&self, body: &Body) -> bool {
        // What is pending is not executed, and finding that out is cheaper.
        !self.by_id.contains_key(&body.id()) && self.executed.contains(&body.id(), body.valid_until())
    }

    /// All that is pending, marked or not, in places for claims or not.
    #[must_use]
    pub fn pending(&self) -> Load {
        self.total
    }

    /// What could be proposed now: pending, not marked, and valid at the time of the latest batch or admission.
    #[must_use]
    pub fn ready(&self) -> Load {
        self.ready
    }

    /// What may be proposed in a batch of this time (Unix milliseconds).
    pub fn ready_at(&mut self, time: UnixMillis) -> Load {
        self.set_order_time(time);
        self.ready
    }

    /// When the next of those may be proposed that are valid for too long as yet, in Unix milliseconds of batch time: claims may
    /// lie ahead of the window.
    #[must_use]
    pub fn next_to_open(&self) -> Option<UnixMillis> {
        let window = self.config.validity_window;
        let beyond = (self.order_time.saturating_add(window).saturating_add(1), Slot::MIN);
        self.expiry.range(beyond..).next().map(|&(valid_until, _)| valid_until - window)
    }

    /// The newest `valid_until` that has passed by the local clock `wall` but not by `block_time`, both in Unix
    /// milliseconds: of what is pending, and of what gossip or a claim brought too late. A primary answers it with a
    /// batch of a later time, so that clients can know that their transactions expired.
    #[must_use]
    pub fn overdue(&self, wall: UnixMillis, block_time: UnixMillis) -> Option<UnixMillis> {
        let pending = self.expiry.range(..=(wall, Slot::MAX)).next_back().map_or(0, |&(valid_until, _)| valid_until);
        let newest = pending.max(self.turned_away);
        (newest > block_time && newest <= wall).then_some(newest)
    }

    /// Adds a transaction that is not pending yet.
    pub(super) fn insert(&mut self, arrived: Instant, body: Body, place: Place) -> Slot {
        let id = body.id();
        let valid_until = body.transaction().valid_until;
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        let sender = self.sender_slot(body.transaction().sender, arrival, arrived);
        let rank = Rank::arrived(arrival);
        let mark = self.take_foreign_mark(&id);
        let bytes = body.size();
        let (claimants, ready, sent) = (0, false, None);
        let entry = Entry { body, sender, arrival, arrived, rank, place, claimants, mark, ready, sent };
        let slot = self.entries.insert(entry);
        self.by_id.insert(id, slot);
        self.by_arrival.push(arrival, slot);
        self.arrivals.insert((sender, arrival, slot));
        if self.senders[sender].oldest == arrival {
            self.oldest.insert(arrival, slot);
        }
        self.expiry.insert((valid_until, slot));
        self.total.add(bytes);
        if place == Place::Common {
            self.common.add(bytes);
            self.senders[sender].load.add(bytes);
        }
        self.refresh(slot);
        slot
    }

    /// Takes a transaction out of everything but the marks' lists. `now` is since when the next one is the oldest.
    pub(super) fn remove(&mut self, now: Instant, slot: Slot) {
        self.withdraw(slot);
        let entry = self.entries.remove(slot);
        let bytes = entry.body.size();
        self.by_id.remove(&entry.body.id());
        self.by_arrival.leave(|number, slot| is_there(&self.entries, number, slot));
        self.arrivals.remove(&(entry.sender, entry.arrival, slot));
        self.expiry.remove(&(entry.valid_until(), slot));
        self.total.subtract(bytes);
        if entry.place == Place::Common {
            self.common.subtract(bytes);
            self.senders[entry.sender].load.subtract(bytes);
        }
        for validator in claimants(entry.claimants) {
            self.claimed.remove(&(validator, entry.sender));
        }
        if entry.sent.is_some() {
            self.open_claims.remove(&entry.arrival);
        }
        if self.senders[entry.sender].oldest == entry.arrival {
            self.next_oldest(now, entry.sender);
        }
    }

    /// What is pending, from the arrival of number `from` on.
    pub(super) fn arrived_from(&self, from: u64) -> impl Iterator<Item = (u64, Slot)> + '_ {
        self.by_arrival.range(from).filter(|&(number, slot)| is_there(&self.entries, number, slot))
    }

    fn sender_slot(&mut self, key: PublicKey, arrival: u64, arrived: Instant) -> Slot {
        if let Some(&slot) = self.by_key.get(&key) {
            return slot;
        }
        let slot = self.senders.insert(Sender { key, load: Load::default(), oldest: arrival, oldest_since: arrived });
        self.by_key.insert(key, slot);
        slot
    }

    /// The sender's oldest has left: its next one becomes the claim, or the sender is forgotten.
    fn next_oldest(&mut self, now: Instant, sender: Slot) {
        self.oldest.remove(&self.senders[sender].oldest);
        match self.arrivals.range((sender, 0, 0)..).next() {
            Some(&(owner, arrival, slot)) if owner == sender => {
                self.senders[sender].oldest = arrival;
                self.senders[sender].oldest_since = now;
                self.oldest.insert(arrival, slot);
            }
            _ => {
                let gone = self.senders.remove(sender);
                self.by_key.remove(&gone.key);
            }
        }
    }

    /// Puts the transaction into the fair order or takes it out, as its mark and its validity want it.
    pub(super) fn refresh(&mut self, slot: Slot) {
        let entry = &self.entries[slot];
        let valid_until = entry.valid_until();
        let valid = valid_until > self.order_time && valid_until - self.order_time <= self.config.validity_window;
        if entry.mark.is_none() && valid {
            self.offer(slot);
        } else {
            self.withdraw(slot);
        }
    }

    fn offer(&mut self, slot: Slot) {
        let entry = &mut self.entries[slot];
        if !entry.ready {
            entry.ready = true;
            self.ready.add(entry.body.size());
            self.order.push(entry.sender, entry.rank, slot);
        }
    }

    pub(super) fn withdraw(&mut self, slot: Slot) {
        let entry = &mut self.entries[slot];
        if entry.ready {
            entry.ready = false;
            self.ready.subtract(entry.body.size());
            self.order.remove(entry.sender, entry.rank, slot);
        }
    }

    /// Moves the fair order to another batch time: what leaves the window is withdrawn, what enters it is offered.
    pub(super) fn set_order_time(&mut self, time: UnixMillis) {
        let before = self.order_time;
        if before == time {
            return;
        }
        self.order_time = time;
        let (low, high) = (before.min(time), before.max(time));
        let window = self.config.validity_window;
        let mut changed: Vec<Slot> = Vec::new();
        for (past, up_to) in [(low, high), (low.saturating_add(window), high.saturating_add(window))] {
            let range = (past.saturating_add(1), Slot::MIN)..=(up_to, Slot::MAX);
            if past < up_to {
                changed.extend(self.expiry.range(range).map(|&(_, slot)| slot));
            }
        }
        for slot in changed {
            self.refresh(slot);
        }
    }

    pub(super) fn take_foreign_mark(&mut self, id: &TransactionId) -> Option<Sequence> {
        // Mostly there are none, and then hashing the id is wasted.
        if self.foreign_marks.is_empty() { None } else { self.foreign_marks.remove(id) }
    }
}

fn is_there(entries: &Slab<Entry>, arrival: u64, slot: Slot) -> bool {
    entries.get(slot).is_some_and(|entry| entry.arrival == arrival)
}
