//! Who gets in.

use super::load::Load;
use super::state::{Place, Pool};
use crate::api::code::Code;
use crate::document::Body;
use crate::id::NodeIndex;
use crate::time::{Now, UnixMillis};
use quorate_crypto::signed::Verified;

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
    /// A transaction that comes as a claim moves to the head of its sender's queue, behind earlier claims, known or not,
    /// and has a place in any case.
    ///
    /// # Errors
    ///
    /// `too_large` when the chain allows no such transaction, `expired` or `valid_until_too_far` by the later of the
    /// head's time and the local clock, `sender_quota` when its
    /// sender has its share of the pool, `pool_full` when the pool is full.
    pub fn admit(
        &mut self,
        now: Now,
        head_time: UnixMillis,
        transaction: impl Into<Verified<Body>>,
        door: Door,
    ) -> Result<Admitted, Code> {
        let body = transaction.into().into_inner();
        if body.size() > self.config.transaction_bytes_max {
            return Err(Code::TooLarge);
        }
        let id = body.id();
        if self.executed.contains(&id, body.valid_until()) {
            return Ok(Admitted::Executed);
        }
        if let Some(&slot) = self.by_id.get(&id) {
            if let Door::Claim(validator) = door {
                self.claim(now.monotonic, validator, slot);
            }
            return Ok(Admitted::Known);
        }
        let reference = head_time.max(now.wall);
        self.set_order_time(reference);
        self.check_validity(reference, head_time, body.valid_until(), door)?;
        let place = match (self.check_room(&body), door) {
            (Ok(()), _) => Place::Common,
            (Err(_), Door::Claim(_)) => Place::Claim,
            (Err(code), _) => return Err(code),
        };
        let slot = self.insert(now.monotonic, body, place);
        if let Door::Claim(validator) = door {
            self.claim(now.monotonic, validator, slot);
        }
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
        let (window, skew) = (self.config.validity_window, self.config.clock_skew_max);
        let ahead_max = match door {
            Door::Client => window.saturating_sub(skew),
            Door::Gossip => window,
            // What another correct node has admitted by its own clock, or by the time of a block not executed here yet:
            // it waits here until it may be proposed. Refusing it would be leaving out a claim later on.
            Door::Claim(_) => window.saturating_add(skew.saturating_mul(2)),
        };
        if valid_until - reference > ahead_max {
            return Err(Code::ValidUntilTooFar);
        }
        Ok(())
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
