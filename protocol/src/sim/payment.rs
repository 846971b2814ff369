//! What clients sign.

use super::genesis::{Account, usd};
use crate::document::{Operation, SignedTransaction, Transaction};
use crate::id::ChainId;
use crate::time::UnixMillis;
use quorate_crypto::{BoundedString, BoundedVec, PublicKey};

/// A signed transfer of the world's asset; `valid_until` in Unix milliseconds.
///
/// # Panics
///
/// Never: one operation is within the bounds.
#[must_use]
pub fn transfer(
    chain_id: ChainId,
    from: &Account,
    to: PublicKey,
    amount: u128,
    valid_until: UnixMillis,
    salt: u64,
) -> SignedTransaction {
    let mut operations = BoundedVec::new();
    operations.push(Operation::Transfer { to, code: usd(), amount }).expect("one operation");
    let memo = BoundedString::default();
    let transaction = Transaction { chain_id, sender: from.address, valid_until, salt, operations, memo };
    SignedTransaction::sign(transaction, &from.key)
}
