//! Certificates: votes of a quorum, gathered so that anybody can check them.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    encode::BoundedVec,
    signature::Claim,
    signed::{Signed, Unverifiable, Verifiable},
};

use super::{
    context::VerifyContext,
    vote::{Ballot, Commit, Content, PrePrepare, Prepare},
};
use crate::{
    document::certificate::{Certificate, Checkpoint},
    limits::VALIDATORS_LIMIT,
};

/// Proof that a batch was prepared: its PRE-PREPARE and q - 1 PREPAREs of distinct backups.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PreparedCertificate {
    /// The primary's proposal.
    pub pre_prepare: Signed<PrePrepare>,
    /// q - 1 PREPAREs in index order, none of them the primary's.
    pub prepares: BoundedVec<Signed<Prepare>, VALIDATORS_LIMIT>,
}

/// Proof that a batch committed: q COMMITs of one view, with what they are about (PROTOCOL 4.2).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitCertificate {
    /// Exactly q COMMITs of one ballot, in index order.
    pub commits: BoundedVec<Signed<Commit>, VALIDATORS_LIMIT>,
    /// Hashes to the ballot's digest.
    pub content: Content,
}

impl CommitCertificate {
    /// The ballot that a quorum committed; `None` for a certificate with no COMMIT in it, which never verifies.
    pub fn ballot(&self) -> Option<Ballot> {
        self.commits.first().map(|commit| commit.body.0)
    }
}

/// A quorum's word about a block (PROTOCOL 2.5).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedCheckpoint {
    /// The block spoken of.
    pub checkpoint: Checkpoint,
    /// q signatures over it.
    pub certificate: Certificate,
}

impl Verifiable for PreparedCertificate {
    type Context = VerifyContext;

    fn claims(&self, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        let ballot = self.pre_prepare.body.0;
        context.check_epoch(ballot.epoch)?;
        let primary = context.validators.primary(ballot.epoch, ballot.view);
        if context.validators.index_of(&self.pre_prepare.signer) != Some(primary) {
            return Err(Unverifiable("a prepared certificate's proposal is not its primary's"));
        }
        if self.prepares.len() + 1 != context.validators.quorum() {
            return Err(Unverifiable("a prepared certificate holds exactly a quorum, the primary's proposal included"));
        }
        context.claim(&self.pre_prepare, out)?;
        let mut last = None;
        for prepare in self.prepares.iter() {
            let index = context.validators.index_of(&prepare.signer);
            if prepare.body.0 != ballot || index == Some(primary) || index <= last {
                return Err(Unverifiable(
                    "a prepared certificate's votes are not of distinct backups about one ballot",
                ));
            }
            last = index;
            context.claim(prepare, out)?;
        }
        Ok(())
    }
}

impl Verifiable for CommitCertificate {
    type Context = VerifyContext;

    fn claims(&self, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        let ballot = self.ballot().ok_or(Unverifiable("a commit certificate without commits"))?;
        context.check_epoch(ballot.epoch)?;
        if self.content.digest() != ballot.digest {
            return Err(Unverifiable("the batch does not hash to the digest committed"));
        }
        if self.commits.len() != context.validators.quorum() {
            return Err(Unverifiable("a commit certificate holds exactly a quorum of commits"));
        }
        let mut signers = BTreeSet::new();
        for commit in self.commits.iter() {
            if commit.body.0 != ballot {
                return Err(Unverifiable("the commits of a certificate are about different ballots"));
            }
            if !signers.insert(commit.signer) {
                return Err(Unverifiable("a signer stands twice in a commit certificate"));
            }
            context.claim(commit, out)?;
        }
        Ok(())
    }
}

impl Verifiable for CertifiedCheckpoint {
    type Context = VerifyContext;

    fn claims(&self, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        context.check_epoch(self.checkpoint.epoch)?;
        self.certificate.claims(&self.checkpoint, &context.validators, &context.chain_id, out)
    }
}
