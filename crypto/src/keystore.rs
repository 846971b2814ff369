//! A user's secret key under a passphrase, as bytes: argon2id makes a key of the passphrase, XChaCha20-Poly1305 seals the
//! secret with it. Everything that stands before the sealed part is authenticated with it, the public key among it.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `quorkey` and a zero |
//! | 1 | version, 1 |
//! | 4, 4 | argon2id: memory in KiB, passes (little-endian); one lane |
//! | 16 | salt |
//! | 24 | nonce |
//! | 32 | public key, readable without the passphrase |
//! | 48 | the seed, sealed |
//!
//! Whoever can write the file can put another public key into it, which shows only when the passphrase is used.

use argon2::{Algorithm, Argon2, Params};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::key::{KeyError, PublicKey, SecretKey, random_seed};

/// What every sealed key begins with.
pub const MAGIC: &[u8; 8] = b"quorkey\0";
/// The version of the form that is read and written.
pub const VERSION: u8 = 1;
/// Length of a sealed key in bytes.
pub const SEALED_BYTES: usize = CLEAR_BYTES + SEED_BYTES + TAG_BYTES;
/// The longest passphrase in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const SEED_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const SALT_AT: usize = 8 + 1 + 4 + 4;
const NONCE_AT: usize = SALT_AT + SALT_BYTES;
const PUBLIC_KEY_AT: usize = NONCE_AT + NONCE_BYTES;
const CLEAR_BYTES: usize = PUBLIC_KEY_AT + 32;

/// What guessing a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Cost {
    /// What new keys are sealed with: 64 MiB and 3 passes, the second choice of RFC 9106, about 0.1 s.
    pub const DEFAULT: Cost = Cost { memory_kib: 64 * 1024, passes: 3 };
    /// The most memory in KiB that opening takes, whatever the bytes ask for.
    pub const MEMORY_KIB_MAX: u32 = 256 * 1024;
    /// The most KiB, all passes together, that opening works through: some seconds.
    pub const WORK_KIB_MAX: u64 = 2 * 1024 * 1024;

    fn params(self) -> Result<Params, KeystoreError> {
        let work = u64::from(self.memory_kib) * u64::from(self.passes);
        if self.memory_kib > Cost::MEMORY_KIB_MAX || work > Cost::WORK_KIB_MAX {
            return Err(KeystoreError::Cost(self));
        }
        Params::new(self.memory_kib, self.passes, 1, Some(SEED_BYTES)).map_err(|_| KeystoreError::Cost(self))
    }
}

/// Why a key cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// The bytes are no sealed key.
    #[error("it is not an encrypted key file; it begins otherwise, or was cut")]
    NotAKey,
    /// Another version wrote them.
    #[error("it has version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// The bytes ask for more memory or time than a key of this program does, or for less than argon2id takes.
    #[error("it asks for {} KiB and {} passes of argon2id, which this program never does: the file was changed", .0.memory_kib, .0.passes)]
    Cost(Cost),
    /// The passphrase is not the one of the key, or a byte was changed; the two cannot be told apart.
    #[error("the passphrase is wrong, or the file was changed")]
    Wrong,
    /// No passphrase at all protects nothing; one beyond the bound is a slip.
    #[error("a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")]
    Passphrase,
    /// There is too little memory.
    #[error("there is too little memory for argon2id")]
    Memory,
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Randomness(#[from] KeyError),
}

/// Seals a key. Two sealings of one key differ in every byte from the salt on.
///
/// # Errors
///
/// [`KeystoreError::Passphrase`], [`KeystoreError::Cost`], [`KeystoreError::Memory`] or [`KeystoreError::Randomness`].
pub fn seal(key: &SecretKey, passphrase: &[u8], cost: Cost) -> Result<Vec<u8>, KeystoreError> {
    let (salt, nonce) = (random_seed()?, random_seed()?);
    let mut clear = Vec::with_capacity(SEALED_BYTES);
    clear.extend_from_slice(MAGIC);
    clear.push(VERSION);
    clear.extend_from_slice(&cost.memory_kib.to_le_bytes());
    clear.extend_from_slice(&cost.passes.to_le_bytes());
    clear.extend_from_slice(&salt[..SALT_BYTES]);
    clear.extend_from_slice(&nonce[..NONCE_BYTES]);
    clear.extend_from_slice(key.public_key().as_bytes());
    seal_after(clear, key, passphrase)
}

fn seal_after(mut clear: Vec<u8>, key: &SecretKey, passphrase: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let parts = Parts::read(&clear)?;
    let seed = key.seed();
    let payload = Payload { msg: seed.as_slice(), aad: &clear };
    let sealed = parts.cipher(passphrase)?.encrypt(&parts.nonce, payload).map_err(|_| KeystoreError::Wrong)?;
    clear.extend_from_slice(&sealed);
    Ok(clear)
}

/// Opens a sealed key.
///
/// # Errors
///
/// Every [`KeystoreError`] but `Randomness`. No bytes make it take more than [`Cost::MEMORY_KIB_MAX`] of memory.
pub fn open(bytes: &[u8], passphrase: &[u8]) -> Result<SecretKey, KeystoreError> {
    let (parts, clear, sealed) = read(bytes)?;
    let payload = Payload { msg: sealed, aad: clear };
    let seed = parts.cipher(passphrase)?.decrypt(&parts.nonce, payload).map_err(|_| KeystoreError::Wrong)?;
    let seed = Zeroizing::new(seed);
    let key = SecretKey::from_seed(seed.as_slice().try_into().map_err(|_| KeystoreError::NotAKey)?);
    if key.public_key() == parts.public_key { Ok(key) } else { Err(KeystoreError::Wrong) }
}

/// The public part of a sealed key, as its file says.
///
/// # Errors
///
/// [`KeystoreError::NotAKey`], [`KeystoreError::Version`] or [`KeystoreError::Cost`].
pub fn public_key(bytes: &[u8]) -> Result<PublicKey, KeystoreError> {
    read(bytes).map(|(parts, _, _)| parts.public_key)
}

/// Whether the bytes begin as a sealed key of any version does.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

fn read(bytes: &[u8]) -> Result<(Parts, &[u8], &[u8]), KeystoreError> {
    let (clear, sealed) = bytes.split_at_checked(CLEAR_BYTES).unwrap_or((bytes, &[]));
    let parts = Parts::read(clear)?;
    if sealed.len() == SEED_BYTES + TAG_BYTES { Ok((parts, clear, sealed)) } else { Err(KeystoreError::NotAKey) }
}

/// What stands in clear.
struct Parts {
    params: Params,
    salt: [u8; SALT_BYTES],
    nonce: XNonce,
    public_key: PublicKey,
}

impl Parts {
    fn read(clear: &[u8]) -> Result<Parts, KeystoreError> {
        let version = clear.strip_prefix(MAGIC).and_then(|rest| rest.first()).ok_or(KeystoreError::NotAKey)?;
        if *version != VERSION {
            return Err(KeystoreError::Version(*version));
        }
        let cost =
            Cost { memory_kib: u32::from_le_bytes(part(clear, 9)?), passes: u32::from_le_bytes(part(clear, 13)?) };
        Ok(Parts {
            params: cost.params()?,
            salt: part(clear, SALT_AT)?,
            nonce: XNonce::from(part::<NONCE_BYTES>(clear, NONCE_AT)?),
            public_key: PublicKey::from_bytes(part(clear, PUBLIC_KEY_AT)?),
        })
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<XChaCha20Poly1305, KeystoreError> {
        if passphrase.is_empty() || passphrase.len() > PASSPHRASE_BYTES_MAX {
            return Err(KeystoreError::Passphrase);
        }
        let argon2 = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, self.params.clone());
        let mut key = Zeroizing::new([0; 32]);
        let made = argon2.hash_password_into(passphrase, &self.salt, key.as_mut_slice());
        made.map_err(|_| KeystoreError::Memory)?;
        Ok(XChaCha20Poly1305::new(&Key::from(*key)))
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], KeystoreError> {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).ok_or(KeystoreError::NotAKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1 };

    fn key() -> SecretKey {
        SecretKey::from_seed([7; 32])
    }

    fn sealed() -> Vec<u8> {
        seal(&key(), b"correct horse", CHEAP).unwrap()
    }

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_and_no_other() {
        let bytes = seal(&key(), b"correct horse", Cost::DEFAULT).unwrap();
        assert_eq!(bytes.len(), SEALED_BYTES);
        assert_eq!(open(&bytes, b"correct horse").unwrap().seed(), key().seed());
        assert_eq!(open(&bytes, b"correct horsf").unwrap_err(), KeystoreError::Wrong);
        assert_eq!(public_key(&bytes), Ok(key().public_key()));
        assert!(!bytes.windows(8).any(|bytes| bytes == [7; 8]), "the seed does not stand in the file");
    }

    #[test]
    fn one_changed_bit_anywhere_is_refused() {
        let good = sealed();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            assert!(open(&bad, b"correct horse").is_err(), "byte {place}");
        }
        for cut in 0..good.len() {
            assert!(open(&good[..cut], b"correct horse").is_err(), "cut at {cut}");
        }
        assert_eq!(open(&[good, vec![0]].concat(), b"correct horse").unwrap_err(), KeystoreError::NotAKey);
    }

    #[test]
    fn another_key_cannot_be_put_in_front_of_a_sealed_one() {
        let mut bytes = sealed();
        let other = SecretKey::from_seed([8; 32]).public_key();
        bytes[PUBLIC_KEY_AT..CLEAR_BYTES].copy_from_slice(other.as_bytes());
        assert_eq!(open(&bytes, b"correct horse").unwrap_err(), KeystoreError::Wrong);
    }

    #[test]
    fn hostile_costs_are_refused_before_memory_or_time_is_spent() {
        for (memory_kib, passes) in [(u32::MAX, 1), (Cost::MEMORY_KIB_MAX + 1, 1), (1024, u32::MAX), (0, 1), (8, 0)] {
            let mut bytes = sealed();
            bytes[9..13].copy_from_slice(&memory_kib.to_le_bytes());
            bytes[13..17].copy_from_slice(&passes.to_le_bytes());
            let cost = Cost { memory_kib, passes };
            assert_eq!(open(&bytes, b"correct horse").unwrap_err(), KeystoreError::Cost(cost));
            assert_eq!(seal(&key(), b"x", cost).unwrap_err(), KeystoreError::Cost(cost));
        }
    }

    #[test]
    fn another_version_and_an_empty_passphrase_are_told_apart() {
        let mut bytes = sealed();
        bytes[8] = 2;
        assert_eq!(public_key(&bytes), Err(KeystoreError::Version(2)));
        assert_eq!(seal(&key(), b"", CHEAP).unwrap_err(), KeystoreError::Passphrase);
        assert_eq!(seal(&key(), &[b'x'; PASSPHRASE_BYTES_MAX + 1], CHEAP).unwrap_err(), KeystoreError::Passphrase);
    }

    #[test]
    fn the_form_is_frozen() {
        let mut clear = [MAGIC.as_slice(), &[VERSION], &8u32.to_le_bytes(), &1u32.to_le_bytes()].concat();
        clear.extend_from_slice(&[1; SALT_BYTES]);
        clear.extend_from_slice(&[2; NONCE_BYTES]);
        clear.extend_from_slice(key().public_key().as_bytes());
        let bytes = seal_after(clear, &key(), b"correct horse").unwrap();
        let golden = "d5a862921ebd104be850aea63f073c3ce9485e3ba348e3a2d87dd05cb7ca75d1f5fae2774fc6dacbbf61dded59dfe10f";
        assert_eq!(hex::encode(&bytes[CLEAR_BYTES..]), golden);
        assert_eq!(open(&bytes, b"correct horse").unwrap().seed(), key().seed());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(&bytes, b"x").is_err());
            let framed = [MAGIC.as_slice(), &[VERSION], &CHEAP.memory_kib.to_le_bytes(), &bytes].concat();
            prop_assert!(open(&framed, b"x").is_err());
        }
    }
}
