//! Ed25519 keys and signatures.

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signer, SigningKey};
use zeroize::{Zeroize, Zeroizing};

use crate::fixed::fixed_bytes;

fixed_bytes! {
    /// An Ed25519 public key: the address of an account, the identity of a validator. As text 64 lowercase hex digits.
    ///
    /// Any 32 bytes can stand here; a key that is to be registered must pass [`PublicKey::check_registrable`].
    PublicKey, 32, "a public key"
}

fixed_bytes! {
    /// An Ed25519 signature, not yet checked. As text 128 lowercase hex digits.
    Signature, 64, "a signature"
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes decode to no point.
    #[error("the public key is not a point of the curve; check that it was copied whole")]
    NotOnCurve,
    /// Another byte string names the same point.
    #[error("the public key is not in its canonical encoding; generate a new key pair")]
    NotCanonical,
    /// The point generates a group of at most eight elements, so that anybody can sign for it.
    #[error("the public key has small order and protects nothing; generate a new key pair")]
    SmallOrder,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes, so no key can be made; try again later")]
    NoRandomness,
}

impl PublicKey {
    /// Whether the key may be registered: a canonical encoding of a point that is not of small order.
    ///
    /// Verification accepts more (that is what ZIP-215 asks for); membership is where weak keys are kept out.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotOnCurve`], [`KeyError::SmallOrder`] or [`KeyError::NotCanonical`], in this order.
    pub fn check_registrable(&self) -> Result<(), KeyError> {
        let point = CompressedEdwardsY(self.0).decompress().ok_or(KeyError::NotOnCurve)?;
        if point.is_small_order() {
            return Err(KeyError::SmallOrder);
        }
        if point.compress().as_bytes() != &self.0 {
            return Err(KeyError::NotCanonical);
        }
        Ok(())
    }
}

/// An Ed25519 secret key. Its memory is wiped when it is dropped, and it never shows in logs.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032's private key).
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = Self(SigningKey::from_bytes(&seed));
        seed.zeroize();
        key
    }

    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        random_seed().map(|seed| Self(SigningKey::from_bytes(&seed)))
    }

    /// The seed, to be written to a key file.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs bytes as they are; documents are signed by [`crate::signed::Signed::sign`], which adds domain and chain.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {})", self.public_key())
    }
}

/// 32 random bytes of the operating system, for a new key or a [`crate::signature::Verifier`].
///
/// # Errors
///
/// [`KeyError::NoRandomness`].
pub fn random_seed() -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| KeyError::NoRandomness)?;
    Ok(seed)
}
