//! What every rule works with: the state that it reads, who asks, and why it may refuse.

use crate::api::code::Code;
use crate::document::state::MemberState;
use crate::id::TransactionId;
use crate::store::StoreError;
use crate::time::UnixMillis;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;

/// What execution reads: the state before the block, and the executed ids of the validity window.
pub trait StateView {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    fn read(&mut self, key_hash: &Digest) -> Result<Option<&[u8]>, StoreError>;

    /// Whether a block before this one executed the transaction.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    fn is_executed(&mut self, id: &TransactionId, valid_until: UnixMillis) -> Result<bool, StoreError>;
}

/// Who sent a transaction, and what it may do.
pub(super) struct Sender {
    pub(super) key: PublicKey,
    pub(super) member: MemberState,
}

/// Why a transaction does not apply.
pub(super) enum Stop {
    /// It fails with this code.
    Code(Code),
    /// Nobody can say, since the state cannot be read.
    Store(StoreError),
}

impl From<Code> for Stop {
    fn from(code: Code) -> Stop {
        Stop::Code(code)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Store(error)
    }
}
