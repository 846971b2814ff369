//! What a chain's genesis decides about timing and sizes.

use crate::limits::{BATCH_BYTES_LIMIT, BATCH_COUNT_LIMIT, LOG_WINDOW_LIMIT, TRANSACTION_BYTES_LIMIT};
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::hash::{Digest, digest};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of the rules that this program knows.
pub const PROTOCOL_VERSION: u16 = 1;

/// Parameters of a chain (PROTOCOL 10). Durations are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Version of the rules.
    pub protocol_version: u16,
    /// How long a view may go without progress at first.
    pub view_timeout_ms: u64,
    /// What the doubling view timeout stops at.
    pub view_timeout_max_ms: u64,
    /// How long a claim waits before it is sent to the primary.
    pub forward_timeout_ms: u64,
    /// How far two correct clocks may be apart.
    pub clock_skew_max_ms: u64,
    /// How far ahead `valid_until` may lie. Never changes after the genesis, since executed ids are forgotten by it.
    pub validity_window_ms: u64,
    /// K: blocks from one low watermark to the next.
    pub checkpoint_interval: u64,
    /// L: how far above its low watermark a replica takes part.
    pub log_window: u64,
    /// Transactions of a batch.
    pub batch_count_max: u32,
    /// Canonical bytes of a batch's transactions.
    pub batch_bytes_max: u32,
    /// Canonical bytes of a signed transaction.
    pub transaction_bytes_max: u32,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            protocol_version: PROTOCOL_VERSION,
            view_timeout_ms: 1_000,
            view_timeout_max_ms: 16_000,
            forward_timeout_ms: 500,
            clock_skew_max_ms: 2_000,
            validity_window_ms: 120_000,
            checkpoint_interval: 32,
            log_window: 128,
            batch_count_max: 2_000,
            batch_bytes_max: 1024 * 1024,
            transaction_bytes_max: 16 * 1024,
        }
    }
}

/// Longest duration that a parameter can name: a day, so that sums of times never come near an overflow.
const DURATION_MAX_MS: u64 = 24 * 60 * 60 * 1_000;

/// A parameter that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameters.{field} is {value}: it must be {range}, because {reason}")]
pub struct ParametersError {
    /// The field.
    pub field: &'static str,
    /// What it is.
    pub value: u64,
    /// What it may be.
    pub range: String,
    /// Why.
    pub reason: &'static str,
}

impl Parameters {
    /// Judges every parameter against its bounds and the others.
    ///
    /// # Errors
    ///
    /// Names the first field that is out of range, what it may be, and why.
    pub fn check(&self) -> Result<(), ParametersError> {
        self.check_version()?;
        self.check_durations()?;
        self.check_log()?;
        self.check_sizes()
    }

    fn check_version(&self) -> Result<(), ParametersError> {
        let known = u64::from(PROTOCOL_VERSION);
        let reason = "this program knows no other version; use the release that made this file";
        within("protocol_version", self.protocol_version.into(), known, known, reason)
    }

    fn check_durations(&self) -> Result<(), ParametersError> {
        let window = self.validity_window_ms;
        within("view_timeout_ms", self.view_timeout_ms, 10, DURATION_MAX_MS, "a view needs time for three phases")?;
        let reason = "timeouts double from view_timeout_ms up to it";
        within("view_timeout_max_ms", self.view_timeout_max_ms, self.view_timeout_ms, DURATION_MAX_MS, reason)?;
        let reason = "a claim has to reach the primary before the view timeout blames it";
        within("forward_timeout_ms", self.forward_timeout_ms, 1, self.view_timeout_ms, reason)?;
        let reason = "executed ids are remembered for this long";
        within("validity_window_ms", window, 1_000, DURATION_MAX_MS, reason)?;
        let reason = "a wrong clock must not use up the validity window (an eighth of it at most)";
        within("clock_skew_max_ms", self.clock_skew_max_ms, 1, window / 8, reason)
    }

    fn check_log(&self) -> Result<(), ParametersError> {
        let reason = "the log is cut at its multiples, and the log window holds two of them";
        within("checkpoint_interval", self.checkpoint_interval, 1, LOG_WINDOW_LIMIT / 2, reason)?;
        let reason = "it spans two checkpoint intervals, and a view change with all of it fits a frame";
        within("log_window", self.log_window, 2 * self.checkpoint_interval, LOG_WINDOW_LIMIT, reason)
    }

    fn check_sizes(&self) -> Result<(), ParametersError> {
        let reason = "a batch travels in one frame";
        within("batch_count_max", self.batch_count_max.into(), 1, BATCH_COUNT_LIMIT as u64, reason)?;
        let reason = "a transaction of one transfer takes some 250 bytes, and the larger ones fit a gossip message";
        let transaction = u64::from(self.transaction_bytes_max);
        within("transaction_bytes_max", transaction, 1_024, TRANSACTION_BYTES_LIMIT as u64, reason)?;
        let reason = "a batch holds at least two of the largest transactions, and a block travels in one frame";
        within("batch_bytes_max", self.batch_bytes_max.into(), 2 * transaction, BATCH_BYTES_LIMIT as u64, reason)
    }

    /// The hash that headers name.
    pub fn hash(&self) -> Digest {
        digest("quorate/parameters", self)
    }

    /// How long a view may go without progress at first.
    pub const fn view_timeout(&self) -> Duration {
        Duration::from_millis(self.view_timeout_ms)
    }

    /// What the doubling view timeout stops at.
    pub const fn view_timeout_max(&self) -> Duration {
        Duration::from_millis(self.view_timeout_max_ms)
    }

    /// How long a claim waits before it is sent to the primary.
    pub const fn forward_timeout(&self) -> Duration {
        Duration::from_millis(self.forward_timeout_ms)
    }
}

fn within(field: &'static str, value: u64, low: u64, high: u64, reason: &'static str) -> Result<(), ParametersError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let range = if low == high { low.to_string() } else { format!("{low} to {high}") };
    Err(ParametersError { field, value, range, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Parameters::default().check(), Ok(()));
    }

    #[test]
    fn every_field_is_judged() {
        let refused = |change: fn(&mut Parameters)| {
            let mut parameters = Parameters::default();
            change(&mut parameters);
            parameters.check().expect_err("out of range").field
        };
        assert_eq!(refused(|p| p.protocol_version = 2), "protocol_version");
        assert_eq!(refused(|p| p.view_timeout_ms = 0), "view_timeout_ms");
        assert_eq!(refused(|p| p.view_timeout_max_ms = 999), "view_timeout_max_ms");
        assert_eq!(refused(|p| p.forward_timeout_ms = 1_001), "forward_timeout_ms");
        assert_eq!(refused(|p| p.clock_skew_max_ms = 15_001), "clock_skew_max_ms");
        assert_eq!(refused(|p| p.validity_window_ms = u64::MAX), "validity_window_ms");
        assert_eq!(refused(|p| p.checkpoint_interval = 0), "checkpoint_interval");
        assert_eq!(refused(|p| p.log_window = 63), "log_window");
        assert_eq!(refused(|p| p.batch_count_max = 0), "batch_count_max");
        assert_eq!(refused(|p| p.batch_bytes_max = 1_024), "batch_bytes_max");
        assert_eq!(refused(|p| p.transaction_bytes_max = u32::MAX), "transaction_bytes_max");
    }
}
