//! What a chain store must be able to do, and how it fails.

use crate::document::block::{Block, Header, Position, Proof};
use crate::document::certificate::Certificate;
use crate::document::genesis::Genesis;
use crate::document::operation::AssetCode;
use crate::document::state::Change;
use crate::id::{ChainId, Height, TransactionId};
use crate::pbft::evidence::Evidence;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use quorate_crypto::sparse::{Bucket, Leaves};

/// Why a store cannot do what it was asked. After any of these from a write or from execution, nothing more is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The operating system or the disk failed.
    #[error("the chain store failed: {0}; check the disk, then restart the node")]
    Io(String),
    /// What was read cannot be what was written.
    #[error("the chain store is damaged: {what}: {detail}; restore it from a snapshot or let the node sync again")]
    Corrupt {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// Executing a block gives another header than the one that a quorum certified. Nothing of it was written.
    #[error("executing block {height} gives header {own}, and a quorum certified {certified}: this node has diverged")]
    Diverged {
        /// The block.
        height: Height,
        /// Hash of the header computed here.
        own: Digest,
        /// Hash of the certified header.
        certified: Digest,
    },
    /// There is no space left.
    #[error("the chain store has no space left: {0}; free some, then restart the node, nothing acknowledged is lost")]
    Full(String),
    /// The store has no genesis yet.
    #[error("the chain store is empty: initialize it with the genesis first")]
    NotInitialized,
    /// The store belongs to another chain.
    #[error(
        "the chain store holds chain {found}, not {expected}: give the genesis file that it was made with, or another data directory"
    )]
    WrongChain {
        /// The chain of the genesis file.
        expected: ChainId,
        /// The chain in the store.
        found: ChainId,
    },
    /// A block was appended out of order, which is a fault of this program.
    #[error("a block of height {found} was appended to the chain store where {expected} comes next")]
    OutOfOrder {
        /// What would come next.
        expected: Height,
        /// What came.
        found: Height,
    },
}

impl StoreError {
    /// Damage in one part of the store.
    pub fn corrupt(what: &'static str, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { what, detail: detail.into() }
    }
}

/// The last block of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its height.
    pub height: Height,
    /// Its header.
    pub header: Header,
    /// The header's hash.
    pub header_hash: Digest,
}

/// What a store holds against validators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceList {
    /// In the order of epoch, key and kind.
    pub pieces: Vec<Evidence>,
    /// How many more there are that did not fit.
    pub left_out: usize,
}

/// Everything that one block makes durable at once (PROTOCOL 2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockCommit {
    /// The block.
    pub block: Block,
    /// What made it final here.
    pub proof: Proof,
    /// The keys that it changed, in the order of their hashes.
    pub changes: Vec<Change>,
}

/// What execution reads.
pub trait StateReader {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn state(&self, key_hash: &Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// All entries of a bucket of the state tree, in the order of their key hashes.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn bucket(&self, bucket: Bucket) -> Result<Leaves, StoreError>;

    /// Hands every entry of the state to `visit`, in the order of the key hashes.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn each_state(&self, visit: &mut dyn FnMut(&Digest, &[u8])) -> Result<(), StoreError>;

    /// Where a transaction was executed (applied or failed): height and position. Skipped positions are not indexed.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn transaction(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StoreError>;
}

/// A chain store.
pub trait Store: StateReader + Send + Sync {
    /// The last block, `None` in an empty store.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn head(&self) -> Result<Option<Head>, StoreError>;

    /// Writes block 0 and its state into an empty store, durably. In a store of the same chain it does nothing.
    ///
    /// # Errors
    ///
    /// When the store holds another chain, or cannot be written.
    fn initialize(&self, genesis: &Genesis) -> Result<(), StoreError>;

    /// Writes the next block with its proof, index and state in one batch, durable on return.
    ///
    /// # Errors
    ///
    /// When it is not the next block, or the store cannot be written. The block is then not there, or wholly there.
    fn append(&self, commit: &BlockCommit) -> Result<(), StoreError>;

    /// Adds the certificate of a block that is there. It may be lost in a crash until [`Store::sync`].
    ///
    /// # Errors
    ///
    /// When there is no such block, or the store cannot be written.
    fn certify(&self, height: Height, certificate: &Certificate) -> Result<(), StoreError>;

    /// Makes everything written so far durable.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn sync(&self) -> Result<(), StoreError>;

    /// The header of a height.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn header(&self, height: Height) -> Result<Option<Header>, StoreError>;

    /// The height of a header's hash.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn height_of(&self, header_hash: &Digest) -> Result<Option<Height>, StoreError>;

    /// The block of a height.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn block(&self, height: Height) -> Result<Option<Block>, StoreError>;

    /// The positions of a height's block, without its bodies.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn positions(&self, height: Height) -> Result<Option<Vec<Position>>, StoreError> {
        Ok(self.block(height)?.map(|block| block.positions))
    }

    /// What made the block of a height final here. Block 0 has none.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn proof(&self, height: Height) -> Result<Option<Proof>, StoreError>;

    /// The certificate over exactly this height's header, if it is there.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StoreError>;

    /// The lowest heights from `from` on, at most `max` of them, that have no certificate of their own. Block 0, which
    /// needs none, is never among them. Costs what it returns, however long the chain is: a start asks from height 1.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn uncertified(&self, from: Height, max: usize) -> Result<Vec<Height>, StoreError>;

    /// What an account holds, in the order of the asset codes, at most `max` entries.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn balances(&self, account: &PublicKey, max: usize) -> Result<Vec<(AssetCode, u128)>, StoreError>;

    /// Keeps a piece of evidence, durably on return, and says whether it is new: of one key, kind and epoch the first
    /// piece stays (PROTOCOL 9.3), so that a liar cannot fill the store. The pieces are checked by whoever hands them in.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    fn put_evidence(&self, evidence: &Evidence) -> Result<bool, StoreError>;

    /// The evidence in the order of epoch, key and kind, as much of it as fits into `bytes_max` canonical bytes.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or what it holds is damaged.
    fn evidence(&self, bytes_max: usize) -> Result<EvidenceList, StoreError>;
}
