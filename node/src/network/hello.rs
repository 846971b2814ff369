//! The signed hello that opens every vote stream.
//!
//! Noise proves that the peer holds the network key of a libp2p peer id. The hello proves that the holder of the consensus
//! key is on the other end of this very pair of ids, on this chain, and so joins the two identities.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{Digest, PublicKey, SecretKey, Signable, Signed, Verifier, decode, encode};
use quorate_protocol::id::{Epoch, NodeIndex};
use thiserror::Error;

/// What a node wants to be on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = false)]
pub enum Role {
    /// A member of the validator set.
    Validator,
    /// A node that only follows.
    Observer,
}

/// Body of a hello. The ends are named by their network keys; a libp2p peer id of an Ed25519 key is that key in a fixed
/// wrapping.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Hello {
    /// The chain that the sender is on.
    pub chain_id: Digest,
    /// The epoch that the sender was in when it started; for information.
    pub epoch: Epoch,
    /// What the sender wants to be.
    pub role: Role,
    /// The sender's place in the validator set.
    pub index: NodeIndex,
    /// Network key of the sender.
    pub from: PublicKey,
    /// Network key of the receiver.
    pub to: PublicKey,
}

impl Signable for Hello {
    const DOMAIN: &'static str = "quorate/hello";
}

/// Why a hello was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Its bytes are none.
    #[error("its hello cannot be decoded: {0}")]
    Encoding(String),
    /// It is of another chain.
    #[error("it is on chain {0}: start both nodes with the same genesis file")]
    OtherChain(Digest),
    /// It wants to be what is not allowed.
    #[error("it wants to be an observer, and none is allowed here")]
    Role,
    /// It claims the place of another.
    #[error("it claims index {0}, which has another network key")]
    OtherIndex(NodeIndex),
    /// It was made for two other ends.
    #[error("its hello was made for another connection")]
    OtherEnds,
    /// It is signed by somebody else.
    #[error("its hello is signed by {0}, which is not the consensus key of its index in the genesis")]
    OtherKey(PublicKey),
    /// Its signature is not over it.
    #[error("the signature of its hello is wrong")]
    Signature,
}

/// What a hello of one peer must say.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The chain.
    pub chain_id: Digest,
    /// The peer's place in the validator set.
    pub index: NodeIndex,
    /// The key that it votes with.
    pub consensus_key: PublicKey,
    /// Network key of the peer.
    pub from: PublicKey,
    /// Our own network key.
    pub to: PublicKey,
}

/// Signs and encodes a hello.
pub fn sign(hello: Hello, key: &SecretKey) -> Vec<u8> {
    let chain_id = hello.chain_id;
    encode(&Signed::sign(hello, &chain_id, key))
}

/// Checks a received hello against what this peer must say. The order makes the reason as telling as possible.
///
/// # Errors
/// See [`Refusal`].
pub fn check(bytes: &[u8], expected: &Expected, verifier: &mut Verifier) -> Result<(), Refusal> {
    let hello: Signed<Hello> = decode(bytes).map_err(|error| Refusal::Encoding(error.to_string()))?;
    if hello.body.chain_id != expected.chain_id {
        return Err(Refusal::OtherChain(hello.body.chain_id));
    }
    if hello.body.role != Role::Validator {
        return Err(Refusal::Role);
    }
    if hello.body.index != expected.index {
        return Err(Refusal::OtherIndex(hello.body.index));
    }
    if hello.body.from != expected.from || hello.body.to != expected.to {
        return Err(Refusal::OtherEnds);
    }
    if hello.signer != expected.consensus_key {
        return Err(Refusal::OtherKey(hello.signer));
    }
    if !verifier.verify(&hello.claim(&expected.chain_id)) {
        return Err(Refusal::Signature);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::frame::HELLO_BYTES_MAX;
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    /// Node 1 with keys 10 (consensus) and 11 (network) says hello to node 0 with network key 1.
    fn hello() -> Hello {
        Hello {
            chain_id: Digest::from_bytes([5; 32]),
            epoch: Epoch::default(),
            role: Role::Validator,
            index: NodeIndex(1),
            from: key(11).public_key(),
            to: key(1).public_key(),
        }
    }

    fn judge(hello: Hello, signer: &SecretKey) -> Result<(), Refusal> {
        judge_bytes(&sign(hello, signer))
    }

    fn judge_bytes(bytes: &[u8]) -> Result<(), Refusal> {
        let expected = Expected {
            chain_id: Digest::from_bytes([5; 32]),
            index: NodeIndex(1),
            consensus_key: key(10).public_key(),
            from: key(11).public_key(),
            to: key(1).public_key(),
        };
        check(bytes, &expected, &mut Verifier::new([9; 32], 4))
    }

    #[test]
    fn the_right_hello_passes_and_fits_its_frame() {
        assert_eq!(judge(hello(), &key(10)), Ok(()));
        assert!(sign(hello(), &key(10)).len() <= HELLO_BYTES_MAX);
    }

    #[test]
    fn a_hello_of_another_key_is_refused() {
        assert_eq!(judge(hello(), &key(12)), Err(Refusal::OtherKey(key(12).public_key())));
    }

    #[test]
    fn a_hello_that_only_names_the_right_key_is_refused() {
        let mut forged = Signed::sign(hello(), &hello().chain_id, &key(12));
        forged.signer = key(10).public_key();
        assert_eq!(judge_bytes(&encode(&forged)), Err(Refusal::Signature));
    }

    #[test]
    fn a_hello_of_another_chain_is_refused() {
        let chain_id = Digest::from_bytes([6; 32]);
        assert_eq!(judge(Hello { chain_id, ..hello() }, &key(10)), Err(Refusal::OtherChain(chain_id)));
        let signed_for_another = Signed::sign(hello(), &chain_id, &key(10));
        assert_eq!(judge_bytes(&encode(&signed_for_another)), Err(Refusal::Signature));
    }

    #[test]
    fn a_hello_with_the_index_of_another_is_refused() {
        let index = NodeIndex(2);
        assert_eq!(judge(Hello { index, ..hello() }, &key(10)), Err(Refusal::OtherIndex(index)));
    }

    #[test]
    fn a_hello_made_for_another_connection_is_refused() {
        let other = key(3).public_key();
        assert_eq!(judge(Hello { to: other, ..hello() }, &key(10)), Err(Refusal::OtherEnds));
        assert_eq!(judge(Hello { from: other, ..hello() }, &key(10)), Err(Refusal::OtherEnds));
    }

    #[test]
    fn an_observer_and_a_torn_hello_are_refused() {
        assert_eq!(judge(Hello { role: Role::Observer, ..hello() }, &key(10)), Err(Refusal::Role));
        let bytes = sign(hello(), &key(10));
        assert!(matches!(judge_bytes(&bytes[..bytes.len() - 1]), Err(Refusal::Encoding(_))));
    }
}
