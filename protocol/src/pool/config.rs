//! What the pool is told once.

use super::load::Load;
use crate::document::parameters::Parameters;
use crate::limits;
use crate::time::UnixMillis;
use std::time::Duration;

/// The pool's bounds and times.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Most transactions in the common places.
    pub count_max: usize,
    /// Most canonical bytes in the common places.
    pub bytes_max: usize,
    /// One sender has at most one part in so many of the two bounds above.
    pub sender_share: usize,
    /// Places for each validator's claims, beyond all other bounds.
    pub claims_max: usize,
    /// Most canonical bytes of one transaction; no more than a batch takes.
    pub transaction_bytes_max: usize,
    /// Most transactions of a batch.
    pub batch_count_max: usize,
    /// Most canonical bytes of a batch's transactions.
    pub batch_bytes_max: usize,
    /// How far `valid_until` may lie above a batch's time, in milliseconds.
    pub validity_window: UnixMillis,
    /// By how much a client's door admits less than the window, in milliseconds.
    pub clock_skew_max: UnixMillis,
    /// How long a transaction is its sender's oldest before it is sent to the primary.
    pub forward_timeout: Duration,
}

impl PoolConfig {
    /// The default bounds, and the chain's times.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        PoolConfig {
            count_max: limits::POOL_COUNT_MAX,
            bytes_max: limits::POOL_BYTES_MAX,
            sender_share: limits::POOL_SENDER_SHARE,
            claims_max: limits::CLAIMS_MAX,
            transaction_bytes_max: parameters.transaction_bytes_max as usize,
            batch_count_max: parameters.batch_count_max as usize,
            batch_bytes_max: parameters.batch_bytes_max as usize,
            validity_window: parameters.validity_window_ms,
            clock_skew_max: parameters.clock_skew_max_ms,
            forward_timeout: parameters.forward_timeout(),
        }
    }

    /// Whether a batch of this load could have taken any one transaction more (PROTOCOL 5.6).
    pub(super) fn has_room(&self, load: Load) -> bool {
        load.count < self.batch_count_max
            && load.bytes < self.batch_bytes_max.saturating_sub(self.transaction_bytes_max)
    }
}
