//! Who gets in.

use super::state::{Load, Place, Pool};
use crate::api::code::Code;
use crate::document::{Body, SignedTransaction};
use crate::id::NodeIndex;
use crate::time::{Now, UnixMillis};
use quorate_crypto::signed::Verified;
use std::sync::Arc;

/// The way by which a transaction comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A client of this node.
    Client,
    /// Another node that has admitted it.
    Gossip,
    /// A validator's claim: it has waited there for too long.
    Claim(NodeIndex),
}

/// What became of an admitted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is pending now.
    New,
    /// It was pending already.
    Known,
    /// It has been executed; nothing was added.
    Executed,
}

impl Pool {
    /// Takes in a transaction that is signed, of this chain, and of a member. `head_time` is the time of the latest
    /// executed block, in Unix milliseconds.
    ///
    /// A known transaction that comes as a claim moves to the head of its sender's queue, behind earlier claims.
    ///
    /// # Errors
    ///
    /// `too_large` when the chain allows no such transaction, `expired` or `valid_until_too_far` by the later of the
    /// head's time and the local clock, `sender_quota` when its
    /// sender has its share of the pool, `pool_full` when the pool or the validator's places for claims are full.
    pub fn admit(
        &mut self,
        now: Now,
        head_time: UnixMillis,
        transaction: Verified<SignedTransaction>,
        door: Door,
    ) -> Result<Admitted, Code> {
        let transaction = transaction.into_inner();
        if transaction.size() > self.config.transaction_bytes_max {
            return Err(Code::TooLarge);
        }
        let id = transaction.id();
        if self.executed.contains_at(&id, transaction.valid_until()) {
            return Ok(Admitted::Executed);
        }
        if let Some(&slot) = self.by_id.get(&id) {
            if let Door::Claim(_) = door {
                self.promote(slot);
            }
            return Ok(Admitted::Known);
        }
        let reference = head_time.max(now.wall);
        self.set_order_time(reference);
        self.check_validity(reference, head_time, transaction.transaction().valid_until, door)?;
        let body: Body = Arc::new(transaction);
        let place = self.place_for(now, &body, door)?;
        self.insert(now.monotonic, body, place, matches!(door, Door::Claim(_)));
        Ok(Admitted::New)
    }

    fn check_validity(
        &mut self,
        reference: UnixMillis,
        head_time: UnixMillis,
        valid_until: UnixMillis,
        door: Door,
    ) -> Result<(), Code> {
        if valid_until <= reference {
            // Another node holds it and can tell its client nothing before block time passes it.
            if valid_until > head_time && door != Door::Client {
                self.turned_away = self.turned_away.max(valid_until);
            }
            return Err(Code::Expired);
        }
        let margin = if door == Door::Client { self.config.clock_skew_max } else { 0 };
        if valid_until - reference > self.config.validity_window.saturating_sub(margin) {
            return Err(Code::ValidUntilTooFar);
        }
        Ok(())
    }

    /// A common place, or else one of the claiming validator's.
    fn place_for(&mut self, now: Now, body: &Body, door: Door) -> Result<Place, Code> {
        match (self.check_room(body), door) {
            (Ok(()), _) => Ok(Place::Common),
            (Err(_), Door::Claim(validator)) => self.claim_place(now.monotonic, validator, body.transaction().sender),
            (Err(code), _) => Err(code),
        }
    }

    fn check_room(&self, body: &Body) -> Result<(), Code> {
        let config = &self.config;
        let load =
            self.by_key.get(&body.transaction().sender).map_or_else(Default::default, |&slot| self.senders[slot].load);
        let fits = |load: Load, share: usize| {
            load.count < config.count_max / share && load.bytes + body.size() <= config.bytes_max / share
        };
        if !fits(load, config.sender_share) {
            return Err(Code::SenderQuota);
        }
        if !fits(self.common, 1) {
            return Err(Code::PoolFull);
        }
        Ok(())
    }
}
