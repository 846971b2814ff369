//! What signatures are verified against.

use quorate_crypto::{
    hash::Digest,
    key::PublicKey,
    signature::Claim,
    signed::{Signable, Signed, Unverifiable},
};

use crate::{
    document::validators::ValidatorSet,
    id::{Epoch, Height},
};

/// What signatures of this epoch are verified against.
#[derive(Clone, Debug)]
pub struct VerifyContext {
    /// The chain whose signatures count.
    pub chain_id: Digest,
    /// The epoch of that set.
    pub epoch: Epoch,
    /// The validators whose keys count.
    pub validators: ValidatorSet,
    /// The boundary that opened the epoch; 0 for the first.
    pub base: Height,
    /// K: watermarks are multiples of it.
    pub checkpoint_interval: u64,
    /// L: how far above a watermark votes are cast.
    pub window: u64,
}

impl VerifyContext {
    pub(super) fn check_member(&self, key: &PublicKey) -> Result<(), Unverifiable> {
        match self.validators.index_of(key) {
            Some(_) => Ok(()),
            None => Err(Unverifiable("the signer is not a validator of this epoch")),
        }
    }

    pub(super) fn check_epoch(&self, epoch: Epoch) -> Result<(), Unverifiable> {
        if epoch == self.epoch { Ok(()) } else { Err(Unverifiable("the message belongs to another epoch")) }
    }

    pub(super) fn claim<T: Signable>(&self, signed: &Signed<T>, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        self.check_member(&signed.signer)?;
        out.push(signed.claim(&self.chain_id));
        Ok(())
    }
}
