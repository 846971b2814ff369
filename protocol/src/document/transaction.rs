//! What a member signs.

use crate::api::code::Code;
use crate::document::operation::Operation;
use crate::id::{ChainId, TransactionId};
use crate::limits::{MEMO_BYTES_LIMIT, OPERATIONS_LIMIT};
use crate::time::UnixMillis;
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::encode::{BoundedString, BoundedVec, encode};
use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::key::{PublicKey, SecretKey, Signature};
use quorate_crypto::signature::Claim;
use quorate_crypto::signed::{Signable, Unverifiable, Verifiable, signing_bytes};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

/// A list of operations that apply all together or not at all, at most once, before `valid_until`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// The chain that it is meant for.
    pub chain_id: ChainId,
    /// Whose key signs it, and whose units and rights it uses.
    pub sender: PublicKey,
    /// Block time, Unix milliseconds, from which on it can no longer be executed.
    pub valid_until: UnixMillis,
    /// Any number; it tells apart two transactions that are otherwise equal.
    pub salt: u64,
    /// 1 to 64 operations, executed in this order.
    pub operations: BoundedVec<Operation, OPERATIONS_LIMIT>,
    /// A note for people, at most 256 bytes.
    pub memo: BoundedString<MEMO_BYTES_LIMIT>,
}

impl Transaction {
    /// Its id: the hash of its canonical bytes.
    pub fn id(&self) -> TransactionId {
        TransactionId(digest("quorate/transaction-id", self))
    }
}

impl Signable for Transaction {
    const DOMAIN: &'static str = "quorate/transaction";
}

/// A transaction with its sender's signature, which is checked by
/// [`Verified::check`](quorate_crypto::signed::Verified::check) and nowhere else.
///
/// Id and size are computed once, when the value is made or decoded. Its canonical bytes are those of the transaction,
/// then those of the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    transaction: Transaction,
    signature: Signature,
    id: TransactionId,
    size: u32,
}

/// A transaction that several owners share: pool, slots, blocks. Whoever makes one has verified it.
pub type Body = Arc<SignedTransaction>;

impl SignedTransaction {
    /// Puts a transaction and a signature together, without checking them.
    pub fn new(transaction: Transaction, signature: Signature) -> SignedTransaction {
        let id = transaction.id();
        let length = encode(&transaction).len() + signature.as_bytes().len();
        let size = u32::try_from(length).expect("every part of a transaction is bounded");
        SignedTransaction { transaction, signature, id, size }
    }

    /// Signs a transaction for the chain that it names.
    pub fn sign(transaction: Transaction, key: &SecretKey) -> SignedTransaction {
        let signature = key.sign(&signing_bytes(&transaction.chain_id, &transaction));
        SignedTransaction::new(transaction, signature)
    }

    /// What was signed.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The signature, verified or not.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The transaction's id.
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// The sender.
    pub fn sender(&self) -> &PublicKey {
        &self.transaction.sender
    }

    /// Block time, Unix milliseconds, from which on it can no longer be executed.
    pub fn valid_until(&self) -> UnixMillis {
        self.transaction.valid_until
    }

    /// Canonical bytes, the signature included.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// Judges what needs neither clock nor ledger nor signature: size, chain, form.
    ///
    /// # Errors
    ///
    /// `too_large`, `wrong_chain` or `no_operations`, in this order.
    pub fn check_form(&self, chain_id: &ChainId, transaction_bytes_max: usize) -> Result<(), Code> {
        if self.size() > transaction_bytes_max {
            return Err(Code::TooLarge);
        }
        if self.transaction.chain_id != *chain_id {
            return Err(Code::WrongChain);
        }
        if self.transaction.operations.is_empty() {
            return Err(Code::NoOperations);
        }
        Ok(())
    }
}

impl Verifiable for SignedTransaction {
    type Context = Digest;

    fn claims(&self, chain_id: &Digest, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        if self.transaction.chain_id != *chain_id {
            return Err(Unverifiable("the transaction names another chain"));
        }
        let message = signing_bytes(chain_id, &self.transaction);
        out.push(Claim { key: self.transaction.sender, signature: self.signature, message });
        Ok(())
    }
}

impl BorshSerialize for SignedTransaction {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&self.transaction, writer)?;
        BorshSerialize::serialize(&self.signature, writer)
    }
}

impl BorshDeserialize for SignedTransaction {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<SignedTransaction> {
        let transaction = Transaction::deserialize_reader(reader)?;
        let signature = Signature::deserialize_reader(reader)?;
        Ok(SignedTransaction::new(transaction, signature))
    }
}
