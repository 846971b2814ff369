//! AC: evidence can be checked by anybody who knows the genesis, and convicts nobody but liars.

use super::promise::{Invariant, Observation, Promise, Violation};
use crate::document::{Genesis, ValidatorSet};
use crate::id::ChainId;
use crate::pbft::evidence::Evidence;
use quorate_crypto::{Claim, PublicKey, Signable, Signed, Verifier};
use std::collections::BTreeSet;

/// Checks each piece of evidence as a stranger would.
pub struct Accountability {
    chain_id: ChainId,
    validators: ValidatorSet,
    verifier: Verifier,
    liars: BTreeSet<PublicKey>,
}

impl Accountability {
    /// A stranger with a genesis file.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        Accountability {
            chain_id: genesis.chain_id(),
            validators: genesis.validators.clone(),
            verifier: Verifier::new([0; 32], 64),
            liars: BTreeSet::new(),
        }
    }

    fn check(&mut self, evidence: &Evidence) -> Result<(), String> {
        let accused = evidence.accused();
        if !evidence.is_conflict() {
            return Err("its two parts do not exclude each other".to_owned());
        }
        if self.validators.index_of(&accused).is_none() {
            return Err(format!("{accused} is no validator"));
        }
        let claims = claims(evidence, &self.chain_id);
        if !self.verifier.verify_batch(&claims).into_iter().all(|holds| holds) {
            return Err("a signature in it is not its signer's".to_owned());
        }
        if !self.liars.contains(&accused) {
            return Err(format!("{accused} is honest"));
        }
        Ok(())
    }
}

fn claims(evidence: &Evidence, chain_id: &ChainId) -> Vec<Claim> {
    fn both<T: Signable>(first: &Signed<T>, second: &Signed<T>, chain_id: &ChainId) -> Vec<Claim> {
        vec![first.claim(chain_id), second.claim(chain_id)]
    }
    match evidence {
        Evidence::PrePrepare(first, second) => both(first, second, chain_id),
        Evidence::Prepare(first, second) => both(first, second, chain_id),
        Evidence::Commit(first, second) => both(first, second, chain_id),
        Evidence::Checkpoint(first, second) => both(first, second, chain_id),
        Evidence::ViewChange(first, second) => both(first, second, chain_id),
        Evidence::NewView(first, second) => both(first, second, chain_id),
    }
}

impl Invariant for Accountability {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        match observation {
            Observation::Lies { key, .. } => {
                self.liars.insert(key);
                Ok(())
            }
            Observation::Accused { node, evidence } => self.check(evidence).map_err(|wrong| {
                let detail = format!("{node} holds evidence of {:?}, and {wrong}", evidence.kind());
                Violation { promise: Promise::Accountability, detail }
            }),
            _ => Ok(()),
        }
    }
}
