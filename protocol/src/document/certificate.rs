//! The proof that a quorum of validators holds a block durably.

use crate::document::validators::ValidatorSet;
use crate::id::{ChainId, Epoch, Height, NodeIndex};
use crate::limits::VALIDATORS_LIMIT;
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::encode::BoundedVec;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::Signature;
use quorate_crypto::signature::{Claim, Verifier};
use quorate_crypto::signed::{Signable, Unverifiable, signing_bytes};
use serde::{Deserialize, Serialize};

/// A validator's statement that it holds a block durably (PROTOCOL 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Epoch of the block.
    pub epoch: Epoch,
    /// Height of the block.
    pub height: Height,
    /// Hash of the block's header.
    pub header_hash: Digest,
}

impl Signable for Checkpoint {
    const DOMAIN: &'static str = "quorate/checkpoint";
}

/// A quorum's signatures of one [`Checkpoint`]: exactly q, in index order.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Who signed, and the signature.
    pub signatures: BoundedVec<(NodeIndex, Signature), VALIDATORS_LIMIT>,
}

impl Certificate {
    /// Judges everything but the signatures themselves: exactly a quorum, in index order, each a validator.
    ///
    /// # Errors
    ///
    /// Says which of these does not hold.
    pub fn check_form(&self, validators: &ValidatorSet) -> Result<(), Unverifiable> {
        if self.signatures.len() != validators.quorum() {
            return Err(Unverifiable("a certificate has exactly a quorum of signatures"));
        }
        if !self.signatures.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            return Err(Unverifiable("the signatures of a certificate are in index order, one each"));
        }
        if self.signatures.iter().any(|(index, _)| validators.key(*index).is_none()) {
            return Err(Unverifiable("a certificate names a validator that the set does not have"));
        }
        Ok(())
    }

    /// Appends what has to be verified for this certificate to hold.
    ///
    /// # Errors
    ///
    /// When its form is wrong, see [`Certificate::check_form`].
    pub fn claims(
        &self,
        checkpoint: &Checkpoint,
        validators: &ValidatorSet,
        chain_id: &ChainId,
        out: &mut Vec<Claim>,
    ) -> Result<(), Unverifiable> {
        self.check_form(validators)?;
        let message = signing_bytes(chain_id, checkpoint);
        for (index, signature) in &self.signatures {
            let key = *validators.key(*index).ok_or(Unverifiable("no such validator"))?;
            out.push(Claim { key, signature: *signature, message: message.clone() });
        }
        Ok(())
    }

    /// Judges the whole certificate.
    ///
    /// # Errors
    ///
    /// When its form is wrong or a signature does not verify.
    pub fn verify(
        &self,
        checkpoint: &Checkpoint,
        validators: &ValidatorSet,
        chain_id: &ChainId,
        verifier: &mut Verifier,
    ) -> Result<(), Unverifiable> {
        let mut claims = Vec::new();
        self.claims(checkpoint, validators, chain_id, &mut claims)?;
        if verifier.verify_batch(&claims).into_iter().all(|valid| valid) {
            Ok(())
        } else {
            Err(Unverifiable("a signature of the certificate is not its validator's"))
        }
    }
}
