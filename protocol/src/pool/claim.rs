//! Claims: each sender's oldest pending transaction, and the places that every validator has for its own.

use super::claimants::bit;
use super::order::Rank;
use super::slab::Slot;
use super::state::{Entry, Place, Pool, Round};
use crate::document::Body;
use crate::id::{Epoch, NodeIndex, TransactionId, View};
use crate::time::{Instant, Now};
use quorate_crypto::key::PublicKey;

/// A sender's oldest pending transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The transaction.
    pub id: TransactionId,
    /// Its sender.
    pub sender: PublicKey,
    /// When it came here.
    pub arrived: Instant,
    /// When it was last sent to the primary; from then on it counts.
    pub sent: Option<Instant>,
}

impl Pool {
    /// The oldest claims of this node, oldest first, at most as many as the primary keeps places for.
    pub fn claims(&self) -> impl Iterator<Item = Claim> + '_ {
        self.claim_slots().map(|slot| {
            let entry = &self.entries[slot];
            Claim {
                id: entry.body.id(),
                sender: entry.body.transaction().sender,
                arrived: entry.arrived,
                sent: entry.sent.map(|(_, at)| at),
            }
        })
    }

    /// Claims to send to the primary of `view` now, at most `max`, oldest first; they count as sent from now on.
    ///
    /// Due is what has been its sender's oldest for `forward_timeout`, is in no proposal, and has not been sent in
    /// this view, or not since the link to its primary came back. No more are open in a view than the primary has places
    /// for: the next is sent when one has left.
    pub fn claims_due(&mut self, now: Now, view: (Epoch, View), max: usize) -> Vec<Body> {
        self.begin_claims(view);
        let timeout = self.config.forward_timeout;
        let is_due = |slot: &Slot| {
            let entry = &self.entries[*slot];
            let waited = now.monotonic.saturating_since(self.senders[entry.sender].oldest_since);
            waited >= timeout && entry.mark.is_none() && self.wants_sending(entry, view)
        };
        let again = self.open_claims.values().copied().filter(is_due);
        let room = self.config.claims_max.saturating_sub(self.open_claims.len());
        let is_open = |slot: &Slot| self.open_claims.contains_key(&self.entries[*slot].arrival);
        let fresh = self.claim_slots().filter(|slot| !is_open(slot)).filter(is_due).take(room);
        let due: Vec<Slot> = again.chain(fresh).take(max).collect();
        let mut bodies = Vec::with_capacity(due.len());
        for slot in due {
            let entry = &mut self.entries[slot];
            let again = entry.sent.is_some_and(|(round, _)| round.view == view);
            entry.sent = Some((Round { view, again }, now.monotonic));
            self.open_claims.insert(entry.arrival, slot);
            bodies.push(entry.body.clone());
        }
        bodies
    }

    /// Claims sent to another primary count no longer.
    pub(super) fn begin_claims(&mut self, view: (Epoch, View)) {
        if self.claims_view.replace(view) != Some(view) {
            self.open_claims.clear();
        }
    }

    /// When [`Pool::claims_due`] has something to send in `view`, if nothing changes before. Walks over all claims
    /// that may be sent.
    #[must_use]
    pub fn next_claim_due(&self, view: (Epoch, View)) -> Option<Instant> {
        self.claim_slots()
            .map(|slot| &self.entries[slot])
            .filter(|entry| entry.mark.is_none() && self.wants_sending(entry, view))
            .map(|entry| self.senders[entry.sender].oldest_since + self.config.forward_timeout)
            .min()
    }

    /// The link to the primary of `view` has come back: each claim that was sent to it before is sent once more, once in a
    /// view. A primary that breaks its link again and again wins no time by it.
    pub fn primary_link_returned(&mut self, now: Instant, view: (Epoch, View)) {
        self.link_returned = Some((view, now));
    }

    fn wants_sending(&self, entry: &Entry, view: (Epoch, View)) -> bool {
        match entry.sent {
            Some((round, at)) if round.view == view => {
                let returned = self.link_returned.is_some_and(|(of, since)| of == view && since >= at);
                !round.again && returned
            }
            _ => true,
        }
    }

    fn claim_slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.oldest.values().take(self.config.claims_max).copied()
    }

    /// A validator claims a pending transaction: it goes to the head of its sender's queue, behind earlier claims.
    ///
    /// Each validator has one claim per sender and so many in all, whatever the transactions' places are; otherwise one
    /// liar could put a whole queue before another's claim, or let go of what another claims too. A newer one takes the
    /// place of an older one of the same sender, else of one that a proposal has, else of the oldest. An honest node
    /// loses nothing by that: it claims anew only when what it claimed has left its pool.
    pub(super) fn claim(&mut self, now: Instant, validator: NodeIndex, slot: Slot) {
        let sender = self.entries[slot].sender;
        let earlier = self.claimed.get(&(validator, sender)).copied();
        if earlier == Some(slot) || bit(validator) == 0 {
            return;
        }
        self.claimed.insert((validator, sender), slot);
        self.entries[slot].claimants |= bit(validator);
        if !self.entries[slot].rank.is_claimed() {
            self.next_claim += 1;
            self.set_rank(slot, Rank::claimed(self.next_claim));
        }
        if let Some(earlier) = earlier.or_else(|| self.claim_in_excess(validator, slot)) {
            self.disclaim(now, validator, earlier);
        }
    }

    fn claim_in_excess(&self, validator: NodeIndex, newest: Slot) -> Option<Slot> {
        let all = self.claimed.range((validator, Slot::MIN)..=(validator, Slot::MAX)).map(|(_, &slot)| slot);
        if all.clone().count() <= self.config.claims_max {
            return None;
        }
        let entry = |slot: &Slot| &self.entries[*slot];
        all.filter(|slot| *slot != newest).min_by_key(|slot| (entry(slot).mark.is_none(), entry(slot).rank))
    }

    /// A validator claims this transaction no longer.
    fn disclaim(&mut self, now: Instant, validator: NodeIndex, slot: Slot) {
        let entry = &mut self.entries[slot];
        entry.claimants &= !bit(validator);
        let (sender, arrival) = (entry.sender, entry.arrival);
        if self.claimed.get(&(validator, sender)) == Some(&slot) {
            self.claimed.remove(&(validator, sender));
        }
        let entry = &self.entries[slot];
        if entry.claimants != 0 {
            return;
        }
        match (entry.place, entry.mark) {
            (Place::Common, _) => self.set_rank(slot, Rank::arrived(arrival)),
            (Place::Claim, Some(_)) => {}
            (Place::Claim, None) => {
                self.note_gone(slot);
                self.remove(now, slot);
            }
        }
    }

    fn set_rank(&mut self, slot: Slot, rank: Rank) {
        self.withdraw(slot);
        self.entries[slot].rank = rank;
        self.refresh(slot);
    }
}
