//! STATUS: what a replica has (PROTOCOL 4.1).

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    encode::{BoundedBytes, BoundedVec},
    signed::Signable,
};

use crate::{
    id::{Epoch, Height, Sequence, View},
    limits::{LOG_WINDOW_LIMIT, STATUS_UNCERTIFIED_MAX},
};

/// How many slots a STATUS tells of: as many as the largest window has.
pub const STATUS_SLOTS_MAX: usize = LOG_WINDOW_LIMIT as usize;

/// How far a replica has come with one sequence; a bit set in a [`Status`].
pub mod progress {
    /// The slot's proposal is accepted in the current view.
    pub const ACCEPTED: u8 = 1;
    /// The slot holds a prepared certificate of the current view.
    pub const PREPARED: u8 = 2;
    /// The slot is known to have committed.
    pub const COMMITTED: u8 = 4;
}

/// What a replica has, so that others can send what it lacks (PROTOCOL 4.1). Not a vote.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Status {
    /// The epoch that the sender is in.
    pub epoch: Epoch,
    /// The view that it entered.
    pub view: View,
    /// Whether that view is active (false inside a view change).
    pub active: bool,
    /// Its low watermark h.
    pub low: Height,
    /// Its highest executed and durable block.
    pub executed: Height,
    /// One [`progress`] byte for each sequence from `low + 1` on.
    pub slots: BoundedBytes<STATUS_SLOTS_MAX>,
    /// The lowest executed heights for which it lacks a certificate.
    pub uncertified: BoundedVec<Height, STATUS_UNCERTIFIED_MAX>,
    /// Whose VIEW-CHANGE for `view` it holds: bit i stands for validator i.
    pub view_changes: u32,
}

impl Signable for Status {
    const DOMAIN: &'static str = "quorate/status";
}

impl Status {
    /// The [`progress`] bits for `sequence`; 0 where the status says nothing of it.
    pub fn progress(&self, sequence: Sequence) -> u8 {
        let Some(offset) = sequence.0.checked_sub(self.low.next().0) else {
            // At or below the watermark: held durably with a certificate.
            return progress::ACCEPTED | progress::PREPARED | progress::COMMITTED;
        };
        usize::try_from(offset).ok().and_then(|offset| self.slots.get(offset).copied()).unwrap_or(0)
    }
}
