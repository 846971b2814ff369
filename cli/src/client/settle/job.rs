//! What is to be settled.

use std::sync::Arc;

use quorate_protocol::id::TransactionId;

/// What is to be settled.
#[derive(Clone, Debug)]
pub struct Job {
    /// The transaction.
    pub id: TransactionId,
    /// Its canonical bytes, to send them (again); without them it is only looked for.
    pub bytes: Option<Arc<[u8]>>,
    /// Until when it may be executed, Unix milliseconds of block time, where that is known.
    pub valid_until: Option<u64>,
    /// Nobody has been sent these bytes before.
    pub first_time: bool,
}
