//! Hashes, keys, signatures, canonical bytes and Merkle proofs.
//!
//! Everything above this crate speaks in its types: a value has one canonical encoding ([`mod@encode`]), one hash per
//! domain ([`hash::digest`]), one signature rule ([`signature::Verifier`]) and, once its signatures were checked, the type
//! [`signed::Verified`]. Nothing here reads a clock, a file or a socket; only [`key::random_seed`] asks the operating system
//! for randomness.
//!
//! - [`hash`]: SHA-256 digests
//! - [`mod@encode`]: canonical bytes and bounded collections
//! - [`key`]: Ed25519 keys and signatures as bytes
//! - [`keystore`]: a secret key under a passphrase
//! - [`signature`]: the one verification predicate, single and in batches
//! - [`signed`]: signed and verified values
//! - [`merkle`]: RFC 6962 trees over lists
//! - [`sparse`]: the state tree, with proofs of presence and absence

mod fixed;
mod key_cache;

pub mod encode;
pub mod fast;
pub mod hash;
pub mod key;
pub mod keystore;
pub mod memory;
pub mod merkle;
pub mod signature;
pub mod signed;
pub mod sparse;

pub use encode::{BoundedBytes, BoundedString, BoundedVec, DecodeError, LengthError, decode, encode};
pub use fixed::HexError;
pub use hash::{Digest, digest, sha256};
pub use key::{KeyError, PublicKey, SecretKey, Signature};
pub use memory::ClaimMemory;
pub use signature::{Claim, Verifier};
pub use signed::{Signable, Signed, Unverifiable, Verifiable, Verified, signing_bytes};
