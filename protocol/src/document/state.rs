//! Keys and values of the ledger's state, and how a block changes them.

use crate::document::amount;
use crate::document::operation::{AssetCode, Roles, Scale};
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::key::PublicKey;
use serde::{Deserialize, Serialize};

/// What the state holds a value for. The discriminants are frozen; families to come are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum StateKey {
    /// A [`MemberState`].
    Member(PublicKey) = 0,
    /// An [`AssetState`].
    Asset(AssetCode) = 1,
    /// Minor units, a `u128`. A balance of zero is absent, so that the root depends on what is held only.
    Balance {
        /// Who holds them.
        account: PublicKey,
        /// Of which asset.
        code: AssetCode,
    } = 2,
}

impl StateKey {
    /// Where the value lies in the state tree.
    pub fn key_hash(&self) -> Digest {
        digest("quorate/state-key", self)
    }
}

/// A member of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberState {
    /// What it may do.
    pub roles: Roles,
    /// Whether its transactions fail.
    pub frozen: bool,
}

/// An asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetState {
    /// Decimal places.
    pub scale: Scale,
    /// Who mints and burns it.
    pub issuer: PublicKey,
    /// Minor units that exist: the sum of all balances.
    #[serde(with = "amount::minor")]
    pub supply: u128,
}

/// One key that a block changed, with the value after the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: StateKey,
    /// Its place in the tree.
    pub key_hash: Digest,
    /// Whether the key was absent before the block.
    pub created: bool,
    /// Canonical bytes of the value; `None` when the key is absent now.
    pub value: Option<Vec<u8>>,
}
