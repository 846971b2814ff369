//! What pool repair (PROTOCOL 4.6) asks of the pool: which transactions have waited for long, and which are lacking.

use super::state::Pool;
use crate::id::TransactionId;
use crate::time::{Instant, Now, UnixMillis};

/// Old pending transactions to tell somebody of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Ids with their `valid_until`, Unix milliseconds: claims first, then by arrival.
    pub pending: Vec<(TransactionId, UnixMillis)>,
    /// Where the next part begins; none when this was the last one.
    pub next: Option<u64>,
}

impl Pool {
    /// At most `max` of what has been pending for `forward_timeout` and is in no proposal: up to a quarter of them each
    /// sender's oldest, then those whose arrival has the number `from` or a later one.
    #[must_use]
    pub fn summary(&self, now: Now, from: u64, max: usize) -> Summary {
        let timeout = self.config.forward_timeout;
        let is_old = |arrived: Instant| now.monotonic.saturating_since(arrived) >= timeout;
        let mut summary = Summary::default();
        let claims = self.oldest.iter().take_while(|&(&arrival, _)| arrival < from).map(|(_, &slot)| slot);
        for slot in claims.take(self.config.claims_max.min(max / 4)) {
            let entry = &self.entries[slot];
            if entry.mark.is_none() && is_old(entry.arrived) {
                summary.pending.push((entry.body.id(), entry.valid_until()));
            }
        }
        for (arrival, slot) in self.arrived_from(from) {
            let entry = &self.entries[slot];
            if !is_old(entry.arrived) {
                break;
            }
            if summary.pending.len() >= max {
                summary.next = Some(arrival);
                break;
            }
            if entry.mark.is_none() {
                summary.pending.push((entry.body.id(), entry.valid_until()));
            }
        }
        summary
    }

    /// Since when the oldest pending transaction waits.
    #[must_use]
    pub fn oldest_arrived(&self) -> Option<Instant> {
        self.oldest.values().next().map(|&slot| self.entries[slot].arrived)
    }

    /// The number of a pending transaction's arrival.
    #[must_use]
    pub fn arrival(&self, id: &TransactionId) -> Option<u64> {
        self.by_id.get(id).map(|&slot| self.entries[slot].arrival)
    }

    /// Whether a transaction with this id and `valid_until` would be news here: neither pending, nor executed, nor in a
    /// proposal, not passed by block time (`head_time`), and within the window at `reference`, all times in Unix
    /// milliseconds. What has expired by the clock alone is news: somebody waits to be told of it (PROTOCOL 2.7).
    #[must_use]
    pub fn lacks(
        &self,
        id: &TransactionId,
        valid_until: UnixMillis,
        head_time: UnixMillis,
        reference: UnixMillis,
    ) -> bool {
        let in_window = valid_until > head_time && valid_until.saturating_sub(reference) <= self.config.validity_window;
        in_window
            && !self.by_id.contains_key(id)
            && !self.executed.contains(id, valid_until)
            && !self.foreign_marks.contains_key(id)
    }

    /// How many more transactions the common places could take, if none is larger than what all of them are on average.
    #[must_use]
    pub fn vacant(&self) -> usize {
        let (count, bytes) = (self.config.count_max, self.config.bytes_max);
        let by_bytes = bytes.saturating_sub(self.common.bytes) / (bytes / count.max(1)).max(1);
        count.saturating_sub(self.common.count).min(by_bytes)
    }
}
