//! What the agreement orders.

use crate::id::TransactionId;
use crate::limits::BATCH_COUNT_LIMIT;
use crate::time::UnixMillis;
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::encode::BoundedVec;
use quorate_crypto::hash::{Digest, digest};
use serde::{Deserialize, Serialize};

/// An ordered list of transaction ids and the time that its primary gives them (PROTOCOL 1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Unix milliseconds.
    pub time: UnixMillis,
    /// The transactions, in the order of their execution.
    pub ids: BoundedVec<TransactionId, BATCH_COUNT_LIMIT>,
}

impl Batch {
    /// What the three phases agree on.
    pub fn digest(&self) -> Digest {
        digest("quorate/batch", self)
    }

    /// The digest of the null batch, which a NEW-VIEW puts where no batch can have been committed. It is no batch's
    /// digest, since its domain is its own.
    pub fn null_digest() -> Digest {
        digest("quorate/null-batch", &())
    }
}
