//! Who decides: a validator set and the arithmetic of its quorums.

use crate::id::{Epoch, NodeIndex, View};
use crate::limits::VALIDATORS_LIMIT;
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::encode::BoundedVec;
use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::key::PublicKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;

/// One validator: the key that signs votes, bound to the key that its node is known by in the network.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// Signs votes and checkpoints.
    pub consensus_key: PublicKey,
    /// Identifies the node's connections.
    pub network_key: PublicKey,
}

/// The validators of an epoch: 1 to 31, no key twice.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValidatorSet {
    #[serde(deserialize_with = "checked_members")]
    members: BoundedVec<Validator, VALIDATORS_LIMIT>,
}

/// Why a list of validators is no set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorsError {
    /// The list is empty or too long.
    #[error("validators: there are {0} of them; a set has 1 to {VALIDATORS_LIMIT}")]
    Count(usize),
    /// A key appears twice.
    #[error(
        "validators: the key {0} appears twice; every validator needs a consensus key and a network key of its own"
    )]
    Repeated(PublicKey),
    /// A key is not usable.
    #[error("validators: the key {0} is not usable: make keys with `quorate-node init`")]
    BadKey(PublicKey),
}

fn check(members: &[Validator]) -> Result<(), ValidatorsError> {
    if members.is_empty() {
        return Err(ValidatorsError::Count(0));
    }
    let mut seen = BTreeSet::new();
    for key in members.iter().flat_map(|validator| [validator.consensus_key, validator.network_key]) {
        if !seen.insert(key) {
            return Err(ValidatorsError::Repeated(key));
        }
    }
    Ok(())
}

fn checked_members<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BoundedVec<Validator, VALIDATORS_LIMIT>, D::Error> {
    let members: BoundedVec<Validator, VALIDATORS_LIMIT> = Deserialize::deserialize(deserializer)?;
    check(&members).map_err(serde::de::Error::custom)?;
    Ok(members)
}

impl BorshDeserialize for ValidatorSet {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<ValidatorSet> {
        let members = BoundedVec::deserialize_reader(reader)?;
        check(&members).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        Ok(ValidatorSet { members })
    }
}

impl ValidatorSet {
    /// Makes a set; the order is part of it.
    ///
    /// # Errors
    ///
    /// When the list is empty or longer than 31, or a key appears twice.
    pub fn new(members: Vec<Validator>) -> Result<ValidatorSet, ValidatorsError> {
        let count = members.len();
        let members = BoundedVec::try_from(members).map_err(|_| ValidatorsError::Count(count))?;
        check(&members)?;
        Ok(ValidatorSet { members })
    }

    /// Judges what decoding does not, since it takes curve arithmetic: that every key is a usable one.
    ///
    /// # Errors
    ///
    /// Names the first key that is not.
    pub fn check_keys(&self) -> Result<(), ValidatorsError> {
        for key in self.members.iter().flat_map(|validator| [validator.consensus_key, validator.network_key]) {
            key.check_registrable().map_err(|_| ValidatorsError::BadKey(key))?;
        }
        Ok(())
    }

    /// The validators, in the order of their indices.
    pub fn members(&self) -> &[Validator] {
        &self.members
    }

    /// How many there are, at least 1.
    pub fn n(&self) -> usize {
        self.members.len()
    }

    /// How many may lie or stand still: floor((n - 1) / 3).
    pub fn f(&self) -> usize {
        (self.n() - 1) / 3
    }

    /// How many decide: ceil((n + f + 1) / 2). Two quorums share a correct validator, and n - f suffice for one.
    pub fn quorum(&self) -> usize {
        (self.n() + self.f() + 1).div_ceil(2)
    }

    /// How many include a correct one: f + 1.
    pub fn weak_quorum(&self) -> usize {
        self.f() + 1
    }

    /// Who proposes in a view: validator (epoch + view) mod n.
    pub fn primary(&self, epoch: Epoch, view: View) -> NodeIndex {
        let n = self.n() as u64;
        // Reduced before adding, so that no sum overflows.
        NodeIndex(((epoch.0 % n + view.0 % n) % n) as u8)
    }

    /// All indices, in order.
    pub fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.n() as u8).map(NodeIndex)
    }

    /// The index of a consensus key.
    pub fn index_of(&self, consensus_key: &PublicKey) -> Option<NodeIndex> {
        let position = self.members.iter().position(|validator| validator.consensus_key == *consensus_key)?;
        Some(NodeIndex(position as u8))
    }

    /// The consensus key of an index.
    pub fn key(&self, index: NodeIndex) -> Option<&PublicKey> {
        self.members.get(index.as_usize()).map(|validator| &validator.consensus_key)
    }

    /// The hash that headers name.
    pub fn hash(&self) -> Digest {
        digest("quorate/validators", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(n: u8) -> ValidatorSet {
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let member = |index| Validator { consensus_key: key(index), network_key: key(index + 100) };
        ValidatorSet::new((0..n).map(member).collect()).expect("a set")
    }

    #[test]
    fn two_quorums_share_a_correct_validator_and_the_correct_ones_make_a_quorum() {
        for n in 1..=VALIDATORS_LIMIT as u8 {
            let set = set(n);
            let (n, f, q) = (set.n(), set.f(), set.quorum());
            assert!(3 * f < n && 3 * (f + 1) >= n, "n = {n}");
            assert!(2 * q - n > f, "n = {n}: two quorums may share liars only");
            assert!(2 * (q - 1) <= n + f, "n = {n}: a smaller quorum would do");
            assert!(n - f >= q, "n = {n}: the correct ones cannot decide");
            assert_eq!(set.weak_quorum(), f + 1);
        }
        assert_eq!((set(4).f(), set(4).quorum()), (1, 3));
        assert_eq!((set(7).f(), set(7).quorum()), (2, 5));
        assert_eq!((set(31).f(), set(31).quorum()), (10, 21));
    }

    #[test]
    fn primaries_take_turns_and_no_number_overflows() {
        let set = set(4);
        assert_eq!(set.primary(Epoch(1), View(2)), NodeIndex(3));
        assert_eq!(set.primary(Epoch(1), View(3)), NodeIndex(0));
        assert_eq!(set.primary(Epoch(u64::MAX), View(u64::MAX)), NodeIndex(2));
    }

    #[test]
    fn empty_long_and_repeating_lists_are_refused() {
        assert_eq!(ValidatorSet::new(Vec::new()), Err(ValidatorsError::Count(0)));
        let mut members = set(31).members().to_vec();
        members.push(Validator {
            consensus_key: PublicKey::from_bytes([200; 32]),
            network_key: PublicKey::from_bytes([201; 32]),
        });
        assert_eq!(ValidatorSet::new(members), Err(ValidatorsError::Count(32)));
        let mut members = set(4).members().to_vec();
        members[3].network_key = members[0].consensus_key;
        let repeated = members[0].consensus_key;
        assert_eq!(ValidatorSet::new(members.clone()), Err(ValidatorsError::Repeated(repeated)));
        assert!(borsh::from_slice::<ValidatorSet>(&borsh::to_vec(&members).unwrap()).is_err());
        assert!(serde_json::from_str::<ValidatorSet>("[]").is_err());
    }
}
