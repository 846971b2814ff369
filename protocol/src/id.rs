//! Newtypes, so that a height is never taken for a view.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::hash::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Hash of the genesis file's canonical bytes: the name of a chain.
pub type ChainId = Digest;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The first value.
            pub const ZERO: $name = $name(0);

            /// The number itself.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this. Saturates: no chain lives to see the last number, but a peer can name it.
            #[must_use]
            pub const fn next(self) -> $name {
                $name(self.0.saturating_add(1))
            }

            /// The one before this, `None` before the first.
            pub const fn previous(self) -> Option<$name> {
                match self.0.checked_sub(1) {
                    Some(number) => Some($name(number)),
                    None => None,
                }
            }

            /// This and `count` more, `None` beyond the last number.
            pub const fn checked_add(self, count: u64) -> Option<$name> {
                match self.0.checked_add(count) {
                    Some(number) => Some($name(number)),
                    None => None,
                }
            }

            /// This and `count` more, saturating.
            #[must_use]
            pub const fn saturating_add(self, count: u64) -> $name {
                $name(self.0.saturating_add(count))
            }

            /// How far this is above `other`, zero if it is not.
            pub const fn saturating_since(self, other: $name) -> u64 {
                self.0.saturating_sub(other.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

counter! {
    /// Number of an executed block; the genesis is height 0.
    Height
}
counter! {
    /// Number of a slot in the order; the batch of sequence number n becomes the block of height n.
    Sequence
}
counter! {
    /// Number of a view within its epoch; each view has one primary.
    View
}
counter! {
    /// Number of a validator set; the genesis set is epoch 0.
    Epoch
}

impl From<Sequence> for Height {
    fn from(sequence: Sequence) -> Height {
        Height(sequence.0)
    }
}

impl From<Height> for Sequence {
    fn from(height: Height) -> Sequence {
        Sequence(height.0)
    }
}

/// Position of a validator in its set. Shown as `v0`, `v1`, ….
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct NodeIndex(pub u8);

impl NodeIndex {
    /// The position for slices.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// Hash of a transaction's canonical bytes. The signature is not part of it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct TransactionId(pub Digest);

impl TransactionId {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for TransactionId {
    type Err = <Digest as FromStr>::Err;

    fn from_str(text: &str) -> Result<TransactionId, Self::Err> {
        text.parse().map(TransactionId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_never_wrap() {
        assert_eq!(Height(u64::MAX).next(), Height(u64::MAX));
        assert_eq!(Height(u64::MAX).checked_add(1), None);
        assert_eq!(Height::ZERO.previous(), None);
        assert_eq!(View(3).previous(), Some(View(2)));
        assert_eq!(Height(3).saturating_since(Height(5)), 0);
        assert_eq!(Height::from(Sequence(7)), Height(7));
        assert_eq!(NodeIndex(2).to_string(), "v2");
    }
}
