//! Signed values, and the type that says that signatures were checked.
//!
//! A signature covers a domain (`quorate/<kind>`), the chain id and the canonical bytes of the value, so a prepare can never
//! pass for a commit, nor one chain's vote for another's. [`Verified`] is made by checking or by signing, in no other way:
//! code that takes one need not ask again.

use std::ops::Deref;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::hash::{Digest, domain_length};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::signature::{Claim, Verifier};

/// A value that is signed under a domain of its own.
pub trait Signable: BorshSerialize {
    /// `quorate/<kind>`, at most 255 bytes and unique to the type.
    const DOMAIN: &'static str;
}

/// The bytes that a signature covers: the domain's length (one byte), the domain, the chain id, the canonical bytes.
///
/// # Panics
///
/// When the domain is longer than 255 bytes.
pub fn signing_bytes<T: Signable>(chain_id: &Digest, body: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(domain_length(T::DOMAIN));
    bytes.extend_from_slice(T::DOMAIN.as_bytes());
    bytes.extend_from_slice(chain_id.as_bytes());
    body.serialize(&mut bytes).expect("writing to memory does not fail and the value encodes");
    bytes
}

/// A value with the key that is said to have signed it; nothing is checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    /// What was signed.
    pub body: T,
    /// Who signed; the signature is checked against this key, so it cannot be somebody else's.
    pub signer: PublicKey,
    /// Over [`signing_bytes`].
    pub signature: Signature,
}

impl<T: Signable> Signed<T> {
    /// Signs a value for one chain.
    pub fn sign(body: T, chain_id: &Digest, key: &SecretKey) -> Self {
        let signature = key.sign(&signing_bytes(chain_id, &body));
        Self { body, signer: key.public_key(), signature }
    }

    /// What has to be checked for this value.
    pub fn claim(&self, chain_id: &Digest) -> Claim {
        Claim { key: self.signer, signature: self.signature, message: signing_bytes(chain_id, &self.body) }
    }
}

/// Why a value cannot be right, whatever its signatures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not verifiable: {0}")]
pub struct Unverifiable(pub &'static str);

/// A value whose signatures can all be listed.
pub trait Verifiable {
    /// What is needed to judge it: the chain id, often with the validator set.
    type Context: ?Sized;

    /// Appends a claim for every signature inside the value; only if all of them hold is the value verified.
    /// A value that needs no signature appends none.
    ///
    /// # Errors
    ///
    /// When the value cannot be right: an unknown signer, a wrong count, a wrong order. What was appended is ignored then.
    fn claims(&self, context: &Self::Context, out: &mut Vec<Claim>) -> Result<(), Unverifiable>;
}

/// Says that the signer signed the body for the chain; who the signer is, is for the caller to judge.
impl<T: Signable> Verifiable for Signed<T> {
    type Context = Digest;

    fn claims(&self, chain_id: &Digest, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        out.push(self.claim(chain_id));
        Ok(())
    }
}

/// A value all of whose signatures hold. There is no way to decode one: it is checked here, or signed here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A verified value that several may hold.
impl<T> From<Verified<T>> for Verified<Arc<T>> {
    fn from(Verified(value): Verified<T>) -> Verified<Arc<T>> {
        Verified(Arc::new(value))
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A value that has a part, all of whose claims are among its own: when the whole is verified, so is the part.
pub trait Contains<P>: Sized {
    /// Takes the part out.
    ///
    /// # Errors
    ///
    /// The value itself, when it holds no such part.
    fn into_part(self) -> Result<P, Self>;
}

impl<T> Verified<T> {
    /// The verified part of a verified whole.
    ///
    /// # Errors
    ///
    /// The whole, when it holds no such part.
    pub fn part<P>(self) -> Result<Verified<P>, Verified<T>>
    where
        T: Contains<P>,
    {
        self.0.into_part().map(Verified).map_err(Verified)
    }
}

impl<T: Verifiable> Verified<T> {
    /// Checks one value.
    ///
    /// # Errors
    ///
    /// The value itself, when its form or one of its signatures is wrong.
    pub fn check(value: T, context: &T::Context, verifier: &mut Verifier) -> Result<Self, T> {
        let mut claims = Vec::new();
        let well_formed = value.claims(context, &mut claims).is_ok();
        if well_formed && verifier.verify_batch(&claims).into_iter().all(|holds| holds) {
            Ok(Self(value))
        } else {
            Err(value)
        }
    }

    /// Checks many values, all their signatures in one batch. The results are in the order of the values; a bad value
    /// spoils no other.
    pub fn check_all(values: Vec<T>, context: &T::Context, verifier: &mut Verifier) -> Vec<Result<Self, T>> {
        let mut claims = Vec::with_capacity(values.len());
        let ranges: Vec<_> = values
            .iter()
            .map(|value| {
                let start = claims.len();
                match value.claims(context, &mut claims) {
                    Ok(()) => Some(start..claims.len()),
                    Err(_) => {
                        claims.truncate(start);
                        None
                    }
                }
            })
            .collect();
        let verdicts = verifier.verify_batch(&claims);
        let holds = |range: std::ops::Range<usize>| verdicts[range].iter().all(|holds| *holds);
        values
            .into_iter()
            .zip(ranges)
            .map(|(value, range)| if range.is_some_and(holds) { Ok(Self(value)) } else { Err(value) })
            .collect()
    }
}

impl<B: Signable> Verified<Signed<B>> {
    /// Signs a value of our own, which is the other proof that its signature holds.
    pub fn own(body: B, chain_id: &Digest, key: &SecretKey) -> Self {
        Self(Signed::sign(body, chain_id, key))
    }
}
