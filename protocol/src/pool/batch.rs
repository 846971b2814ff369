//! From the queue to the chain: proposing, marking, settling, expiring.

use super::slab::Slot;
use super::state::{Place, Pool};
use crate::document::{Batch, Outcome, Position, SkipReason};
use crate::id::{Sequence, TransactionId};
use crate::limits::BATCH_COUNT_LIMIT;
use crate::time::{Instant, Now, UnixMillis};
use quorate_crypto::encode::BoundedVec;
use quorate_crypto::key::PublicKey;

/// How large a batch may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most transactions.
    pub count_max: usize,
    /// Most canonical bytes of these transactions.
    pub bytes_max: usize,
}

impl Pool {
    /// Cuts the next batch in the fair order and marks its ids under `sequence`; nothing when nothing may be proposed
    /// at `time` (Unix milliseconds). The batch ends at the first transaction that does not fit.
    pub fn next_batch(&mut self, limits: BatchLimits, time: UnixMillis, sequence: Sequence) -> Option<Batch> {
        self.set_order_time(time);
        let mut ids = BoundedVec::<TransactionId, BATCH_COUNT_LIMIT>::default();
        let mut bytes_left = limits.bytes_max;
        while ids.len() < limits.count_max.min(BATCH_COUNT_LIMIT) {
            let entries = &self.entries;
            let Some(slot) = self.order.take_next(|slot| entries[slot].body.size() <= bytes_left) else { break };
            let entry = &mut self.entries[slot];
            entry.ready = false;
            entry.mark = Some(sequence);
            self.ready.subtract(entry.body.size());
            bytes_left -= entry.body.size();
            ids.push(entry.body.id()).expect("the loop stops at the bound");
        }
        if ids.is_empty() {
            return None;
        }
        self.marks.entry(sequence).or_default().extend(ids.iter());
        Some(Batch { time, ids })
    }

    /// Notes that a proposal at `sequence` names these ids, pending here or not: they are not proposed again.
    ///
    /// An id that two proposals name belongs to the lower one, which executes first.
    pub fn mark(&mut self, sequence: Sequence, ids: &[TransactionId]) {
        for id in ids {
            match self.by_id.get(id) {
                Some(&slot) => {
                    let entry = &mut self.entries[slot];
                    entry.mark = Some(entry.mark.map_or(sequence, |earlier| earlier.min(sequence)));
                    self.withdraw(slot);
                }
                None => {
                    self.foreign_marks
                        .entry(*id)
                        .and_modify(|earlier| *earlier = sequence.min(*earlier))
                        .or_insert(sequence);
                }
            }
        }
        self.marks.entry(sequence).or_default().extend(ids);
    }

    /// The proposal at `sequence` is dead: what it named goes back to its place in its sender's queue.
    pub fn unmark(&mut self, now: Now, sequence: Sequence) {
        for id in self.marks.remove(&sequence).unwrap_or_default() {
            if self.foreign_marks.get(&id) == Some(&sequence) {
                self.foreign_marks.remove(&id);
            }
            let Some(&slot) = self.by_id.get(&id) else { continue };
            if self.entries[slot].mark != Some(sequence) {
                continue;
            }
            self.entries[slot].mark = None;
            if self.entries[slot].place == Place::Claim && self.entries[slot].claimants == 0 {
                self.note_gone(slot);
                self.remove(now.monotonic, slot);
            } else {
                self.refresh(slot);
            }
        }
    }

    /// The block of `sequence` has executed: its positions leave, and applied and failed ones are remembered as
    /// executed. `valid_untils` (Unix milliseconds) belong to the positions one by one. What was marked under
    /// `sequence` and is not among the positions goes back to its queue.
    pub fn settle(&mut self, now: Now, sequence: Sequence, positions: &[Position], valid_untils: &[UnixMillis]) {
        for (position, valid_until) in positions.iter().zip(valid_untils) {
            self.take_foreign_mark(&position.id);
            match position.outcome {
                Outcome::Applied | Outcome::Failed(_) => self.executed.insert(&position.id, *valid_until),
                Outcome::Skipped(_) => {}
            }
            let Some(&slot) = self.by_id.get(&position.id) else { continue };
            let sender = self.entries[slot].sender;
            if position.outcome == Outcome::Skipped(SkipReason::NotAMember) {
                self.remove_all_of(now.monotonic, sender);
                self.forgive_accepted();
                continue;
            }
            if let Outcome::Skipped(_) = position.outcome {
                self.note_gone(slot);
            }
            self.remove(now.monotonic, slot);
        }
        self.settle_marks(now, sequence, positions);
    }

    fn settle_marks(&mut self, now: Now, sequence: Sequence, positions: &[Position]) {
        let Some(marked) = self.marks.get(&sequence) else { return };
        // Nearly always the block is what was proposed, and then nothing is left of its marks.
        if marked.iter().eq(positions.iter().map(|position| &position.id)) {
            self.marks.remove(&sequence);
        } else {
            self.unmark(now, sequence);
        }
    }

    /// Takes out everything of a sender that is no longer a member.
    pub fn remove_sender(&mut self, now: Now, sender: &PublicKey) {
        if let Some(&slot) = self.by_key.get(sender) {
            self.remove_all_of(now.monotonic, slot);
        }
    }

    fn remove_all_of(&mut self, now: Instant, sender: Slot) {
        let range = (sender, u64::MIN, Slot::MIN)..=(sender, u64::MAX, Slot::MAX);
        let slots: Vec<Slot> = self.arrivals.range(range).map(|&(_, _, slot)| slot).collect();
        for slot in slots {
            self.note_gone(slot);
            self.remove(now, slot);
        }
    }

    /// Block time has reached `block_time` (Unix milliseconds): takes out what it has passed, and answers those ids.
    /// Ids remembered as executed are forgotten by the same rule.
    pub fn expire(&mut self, now: Now, block_time: UnixMillis) -> Vec<TransactionId> {
        self.executed.expire(block_time);
        let mut expired = Vec::new();
        while let Some(&(valid_until, slot)) = self.expiry.first() {
            if valid_until > block_time {
                break;
            }
            expired.push(self.entries[slot].body.id());
            self.note_gone(slot);
            self.remove(now.monotonic, slot);
        }
        expired
    }
}
