//! Whether the primary is unfair: rules (b), (c) and (d) of PROTOCOL 5.6. Rule (a), that nothing moves at all, is the
//! engine's.
//!
//! - **(b) too slow**: time is cut into windows of one view timeout. In each, as many positions are applied or failed as
//!   had been pending here for over a timeout at its start, or one full batch. Two windows in a row that fall short
//!   accuse: pools are bounded, so this one may hold what the primary's had no room for. When the primary has served
//!   what it holds it has room, and repair brings it the rest well within the second window.
//! - **(c) claim left out**: a batch that owed a claim lacked it although it had room.
//! - **(d) claim overtaken**: batches that owed a claim executed more than n positions of one sender, and not the claim.
//!
//! A batch *owes* a claim if it is fresh, was accepted here in this view more than a view timeout after the claim was
//! last sent, and may contain it by its time. A correct primary held the claim then, so it stood at the head of its
//! sender's queue, behind at most one claim of each other validator: at most n - 1 turns of the ring pass before it, and
//! every other sender is served at most n times meanwhile.
//!
//! The counts of (d) are shared: all claims that are owed when a count begins belong to it, and it ends when all of them
//! have left. A claim that comes to be owed in between waits for the next count. So it takes one counter per sender, not
//! one per sender and claim, and no claim waits longer than two counts.
//!
//! In three more cases less is demanded than could be, since a correct primary may be unable to give it. What is so close
//! to either end of its validity that clocks within `clock_skew_max` may disagree is not missed by (b); the claims cover
//! it. What leaves otherwise than by execution is not missed either. And when a sender is found to be no member
//! any more, batches accepted until then owe nothing: its skipped positions would look like room.

use super::load::Load;
use super::slab::Slot;
use super::state::Pool;
use super::watch::{Fresh, ViewStart, Watch, Window};
use crate::document::{Body, Outcome, Position};
use crate::id::{Sequence, TransactionId};
use crate::time::{Instant, Now, UnixMillis};
use quorate_crypto::key::PublicKey;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Senders whose positions are counted at once for (d). Beyond them others are not counted.
const COUNTED_SENDERS_MAX: usize = 200_000;

/// Pending transactions that the start of a window of (b) looks at, at most.
const LOOKED_AT_MAX: usize = 16_384;

/// What the primary is accused of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfair {
    /// (b): fewer positions were executed than had waited for over a timeout, in two windows of a timeout in a row.
    TooSlow {
        /// Positions applied or failed within the second window.
        settled: usize,
        /// How many should have been.
        expected: usize,
        /// The window: the view timeout at its start.
        within: Duration,
    },
    /// (c): a batch with room lacked a claim that it owed.
    ClaimLeftOut {
        /// The claim.
        id: TransactionId,
        /// The batch.
        sequence: Sequence,
    },
    /// (d): others were served over and over while a claim waited.
    ClaimOvertaken {
        /// The claim.
        id: TransactionId,
        /// Who was served.
        sender: PublicKey,
        /// How many of its positions were executed.
        positions: usize,
    },
}

impl fmt::Display for Unfair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfair::TooSlow { settled, expected, within } => {
                write!(
                    f,
                    "too slow: {settled} positions executed within {} ms, {expected} had waited",
                    within.as_millis()
                )
            }
            Unfair::ClaimLeftOut { id, sequence } => {
                write!(f, "claim {id} left out of batch {sequence}, which had room")
            }
            Unfair::ClaimOvertaken { id, sender, positions } => {
                write!(f, "claim {id} overtaken: {positions} positions of sender {sender} executed before it")
            }
        }
    }
}

/// A block that was executed here.
#[derive(Clone, Copy, Debug)]
pub struct ExecutedBlock<'a> {
    /// Its sequence number.
    pub sequence: Sequence,
    /// Its time, Unix milliseconds.
    pub time: UnixMillis,
    /// What became of each position.
    pub positions: &'a [Position],
    /// The bodies of these positions, one by one.
    pub bodies: &'a [Body],
}

impl ExecutedBlock<'_> {
    /// The bodies of what was applied or failed.
    fn settled(&self) -> impl Iterator<Item = &Body> {
        let is_settled = |position: &Position| !matches!(position.outcome, Outcome::Skipped(_));
        self.positions.iter().zip(self.bodies).filter(move |(position, _)| is_settled(position)).map(|(_, body)| body)
    }
}

impl Pool {
    /// A view has become active here: all counts start anew, and no claim counts until it is sent again.
    pub fn begin_view(&mut self, now: Now, start: ViewStart) {
        self.begin_claims(start.view);
        let window = self.open_window(now, start.view_timeout);
        let (fresh, overtaken, served) = Default::default();
        self.watch = start.judges.then_some(Watch { start, fresh, window, short: false, overtaken, served });
    }

    /// The view has been left and the next is not active yet: nobody is judged.
    pub fn leave_view(&mut self) {
        self.watch = None;
    }

    /// The view timeout of this view has changed. A window that is open keeps its length.
    pub fn set_view_timeout(&mut self, view_timeout: Duration) {
        if let Some(watch) = &mut self.watch {
            watch.start.view_timeout = view_timeout;
        }
    }

    /// A fresh proposal was accepted here in this view. `time` is the batch's, in Unix milliseconds. What comes by a
    /// NEW-VIEW's O, by commits or by synchronisation is not noted and owes nothing.
    pub fn note_accepted(&mut self, now: Now, sequence: Sequence, time: UnixMillis) {
        if let Some(watch) = &mut self.watch {
            let view_timeout = watch.start.view_timeout;
            watch.fresh.insert(sequence, Fresh { accepted: now.monotonic, view_timeout, time });
        }
    }

    /// Judges (c) and (d), after the block's positions were settled and what it expires has left.
    pub fn judge_block(&mut self, block: &ExecutedBlock<'_>) -> Option<Unfair> {
        let watch = self.watch.as_mut()?;
        let mut settled = Load::default();
        block.settled().for_each(|body| settled.add(body.size()));
        watch.window.settled.count += settled.count;
        watch.window.settled.bytes += settled.bytes;
        let fresh = watch.fresh.remove(&block.sequence);
        watch.fresh = watch.fresh.split_off(&block.sequence);
        let owed = self.owed_claims(&fresh?, block.time);
        if let (Some(&(_, slot)), true) = (owed.first(), self.config.has_room(settled)) {
            let id = self.entries[slot].body.id();
            return Some(Unfair::ClaimLeftOut { id, sequence: block.sequence });
        }
        let owed: BTreeSet<u64> = owed.into_iter().map(|(arrival, _)| arrival).collect();
        let (arrival, sender, positions) = self.watch.as_mut()?.count(owed, block)?;
        let id = self.entries[*self.open_claims.get(&arrival)?].body.id();
        Some(Unfair::ClaimOvertaken { id, sender, positions })
    }

    /// Claims of this node that the batch owed and that are still pending, by arrival.
    fn owed_claims(&self, fresh: &Fresh, block_time: UnixMillis) -> Vec<(u64, Slot)> {
        let latest = fresh.time.saturating_add(self.config.validity_window);
        let is_owed = |slot: Slot| {
            let entry = &self.entries[slot];
            let sent_long_ago = |sent| fresh.accepted.saturating_since(sent) > fresh.view_timeout;
            let valid_until = entry.valid_until();
            entry.sent.is_some_and(|(_, sent)| sent_long_ago(sent)) && valid_until > block_time && valid_until <= latest
        };
        self.open_claims.iter().map(|(&arrival, &slot)| (arrival, slot)).filter(|&(_, slot)| is_owed(slot)).collect()
    }

    /// Judges (b) when a window has ended, and opens the next. An idle pool has nothing to miss, so a window may end late.
    pub fn judge_rate(&mut self, now: Now) -> Option<Unfair> {
        let Watch { window, start, .. } = self.watch.as_ref()?;
        if now.monotonic < window.until {
            return None;
        }
        let (settled, expected, within) = (window.settled, window.expected - window.gone, window.length);
        let next = self.open_window(now, start.view_timeout);
        let short = settled.count < expected && self.config.has_room(settled);
        let watch = self.watch.as_mut()?;
        watch.window = next;
        let unfair = std::mem::replace(&mut watch.short, short) && short;
        unfair.then_some(Unfair::TooSlow { settled: settled.count, expected, within })
    }

    /// When [`Pool::judge_rate`] is due, if something is pending.
    #[must_use]
    pub fn next_judgement(&self) -> Option<Instant> {
        let watch = self.watch.as_ref()?;
        (self.total.count > 0).then_some(watch.window.until)
    }

    fn open_window(&self, now: Now, length: Duration) -> Window {
        let skew = self.config.clock_skew_max;
        let length_ms = UnixMillis::try_from(length.as_millis()).unwrap_or(UnixMillis::MAX);
        let low = now.wall.max(self.order_time).saturating_add(length_ms).saturating_add(skew);
        let high = now.wall.saturating_add(self.config.validity_window).saturating_sub(skew);
        let mut window = Window {
            until: now.monotonic + length,
            length,
            expected: 0,
            arrived_before: 0,
            valid: (low, high),
            gone: 0,
            settled: Load::default(),
        };
        let mut waiting = Load::default();
        for (arrival, slot) in self.arrived_from(0).take(LOOKED_AT_MAX) {
            let entry = &self.entries[slot];
            if now.monotonic.saturating_since(entry.arrived) <= length || !self.config.has_room(waiting) {
                break;
            }
            window.arrived_before = arrival + 1;
            if window.misses(arrival, entry.valid_until()) {
                waiting.add(entry.body.size());
            }
        }
        window.expected = waiting.count;
        window
    }

    /// A pending transaction is about to leave without having been executed.
    pub(super) fn note_gone(&mut self, slot: Slot) {
        let Some(watch) = &mut self.watch else { return };
        let entry = &self.entries[slot];
        if watch.window.misses(entry.arrival, entry.valid_until()) {
            watch.window.gone = (watch.window.gone + 1).min(watch.window.expected);
        }
    }

    /// A sender is no member any more: what was accepted until now owes nothing.
    pub(super) fn forgive_accepted(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.fresh.clear();
        }
    }
}

impl Window {
    fn misses(&self, arrival: u64, valid_until: UnixMillis) -> bool {
        arrival < self.arrived_before && valid_until > self.valid.0 && valid_until <= self.valid.1
    }
}

#[cfg(test)]
impl Watch {
    pub(super) fn is_short(&self) -> bool {
        self.short
    }

    pub(super) fn settled(&self) -> usize {
        self.window.settled.count
    }

    pub(super) fn expected(&self) -> usize {
        self.window.expected - self.window.gone
    }
}

impl Watch {
    /// Counts the block's positions for the claims that it owed; answers the oldest of these, and a sender with more
    /// than n positions.
    fn count(&mut self, owed: BTreeSet<u64>, block: &ExecutedBlock<'_>) -> Option<(u64, PublicKey, usize)> {
        self.overtaken.retain(|claim| owed.contains(claim));
        if self.overtaken.is_empty() {
            self.overtaken = owed;
            self.served.clear();
        }
        let claim = *self.overtaken.first()?;
        for body in block.settled() {
            let sender = body.sender();
            if self.served.len() >= COUNTED_SENDERS_MAX && !self.served.contains_key(sender) {
                continue;
            }
            let served = self.served.entry(*sender).or_default();
            *served += 1;
            if *served > self.start.validators {
                return Some((claim, *sender, *served));
            }
        }
        None
    }
}
