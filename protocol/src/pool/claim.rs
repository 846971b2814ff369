//! Claims: each sender's oldest pending transaction, and the places that every validator has for its own.

use super::slab::Slot;
use super::state::{Place, Pool, Round};
use crate::api::code::Code;
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
    /// this view, or not since the link to its primary came back.
    pub fn claims_due(&mut self, now: Now, view: (Epoch, View), max: usize) -> Vec<Body> {
        let round = self.round_of(view);
        let timeout = self.config.forward_timeout;
        let is_due = |slot: &Slot| {
            let entry = &self.entries[*slot];
            let waited = now.monotonic.saturating_since(self.senders[entry.sender].oldest_since);
            waited >= timeout && entry.mark.is_none() && entry.sent.is_none_or(|(sent, _)| sent != round)
        };
        let due: Vec<Slot> = self.claim_slots().filter(is_due).take(max).collect();
        let mut bodies = Vec::with_capacity(due.len());
        for slot in due {
            let entry = &mut self.entries[slot];
            entry.sent = Some((round, now.monotonic));
            bodies.push(entry.body.clone());
        }
        bodies
    }

    /// When [`Pool::claims_due`] has something to send in `view`, if nothing changes before. Walks over all claims
    /// that may be sent.
    #[must_use]
    pub fn next_claim_due(&self, view: (Epoch, View)) -> Option<Instant> {
        let round = self.round_of(view);
        self.claim_slots()
            .map(|slot| &self.entries[slot])
            .filter(|entry| entry.mark.is_none() && entry.sent.is_none_or(|(sent, _)| sent != round))
            .map(|entry| self.senders[entry.sender].oldest_since + self.config.forward_timeout)
            .min()
    }

    /// The link to the primary of `view` has come back: what was sent to it is sent once more, once in a view.
    pub fn primary_link_returned(&mut self, view: (Epoch, View)) {
        self.link_round = Some(Round { view, link_returned: true });
    }

    fn round_of(&self, view: (Epoch, View)) -> Round {
        match self.link_round {
            Some(round) if round.view == view => round,
            _ => Round { view, link_returned: false },
        }
    }

    fn claim_slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.oldest.values().take(self.config.claims_max).copied()
    }

    /// A claimed transaction goes to the head of its sender's queue, behind earlier claims.
    pub(super) fn promote(&mut self, slot: Slot) {
        if self.entries[slot].rank.is_claimed() {
            return;
        }
        self.withdraw(slot);
        self.entries[slot].rank = self.claim_rank();
        self.refresh(slot);
    }

    /// Finds one of the validator's places. It has one per sender, so a newer claim displaces an older one.
    pub(super) fn claim_place(&mut self, now: Instant, validator: NodeIndex, sender: PublicKey) -> Result<Place, Code> {
        let displaced = self.by_key.get(&sender).and_then(|&sender| self.places.remove(&(validator, sender)));
        if let Some(slot) = displaced {
            self.entries[slot].place = Place::Lent;
            if self.entries[slot].mark.is_none() {
                self.remove(now, slot);
            }
        } else if self.places.range((validator, Slot::MIN)..=(validator, Slot::MAX)).count() >= self.config.claims_max {
            return Err(Code::PoolFull);
        }
        Ok(Place::Claim(validator))
    }
}
