//! What the engine must know before it starts: the validator set, its own place in it, and the sizes of its windows.

use std::time::Duration;

use quorate_crypto::hash::Digest;

use super::message::VerifyContext;
use crate::{
    document::{Parameters, ValidatorSet},
    id::{Epoch, Height, NodeIndex},
    limits::IN_FLIGHT_MAX,
};

/// STATUS while something is missing: a few link delays, so that a loss is repaired long before a view times out.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);

/// STATUS while nothing is missing: only a node that was away learns from it.
const STATUS_INTERVAL_IDLE: Duration = Duration::from_secs(1);

/// One epoch, seen by one replica.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain whose votes count.
    pub chain_id: Digest,
    /// The epoch of `validators`.
    pub epoch: Epoch,
    /// The set that votes.
    pub validators: ValidatorSet,
    /// This replica's place in the set; `None` for an observer.
    pub me: Option<NodeIndex>,
    /// The boundary that opened the epoch; 0 for the first.
    pub base: Height,
    /// K: the low watermark moves in steps of this many blocks.
    pub checkpoint_interval: u64,
    /// L: how far above the low watermark votes are cast; at least 2 K.
    pub window: u64,
    /// How many batches the primary keeps open above the last committed one.
    pub in_flight_max: u64,
    /// How long a view may go without progress at first (PROTOCOL 5.6); doubled for each view that fails.
    pub view_timeout: Duration,
    /// The longest that it becomes.
    pub view_timeout_max: Duration,
    /// How often STATUS goes out while something is missing.
    pub status_interval: Duration,
    /// How often STATUS goes out while nothing is missing.
    pub status_interval_idle: Duration,
}

impl Config {
    /// What signatures of this epoch are verified against.
    pub fn verify_context(&self) -> VerifyContext {
        VerifyContext {
            chain_id: self.chain_id,
            epoch: self.epoch,
            validators: self.validators.clone(),
            base: self.base,
            checkpoint_interval: self.checkpoint_interval,
            window: self.window,
        }
    }

    /// The first epoch of a chain, with the default local settings.
    pub fn new(chain_id: Digest, validators: ValidatorSet, me: Option<NodeIndex>, parameters: &Parameters) -> Config {
        Config {
            chain_id,
            epoch: Epoch(0),
            validators,
            me,
            base: Height(0),
            checkpoint_interval: parameters.checkpoint_interval,
            window: parameters.log_window,
            in_flight_max: IN_FLIGHT_MAX,
            view_timeout: Duration::from_millis(parameters.view_timeout_ms),
            view_timeout_max: Duration::from_millis(parameters.view_timeout_max_ms),
            status_interval: STATUS_INTERVAL,
            status_interval_idle: STATUS_INTERVAL_IDLE,
        }
    }
}
