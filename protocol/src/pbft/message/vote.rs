//! The three votes of the normal case, and what they are about.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    hash::Digest,
    signature::Claim,
    signed::{Signable, Signed, Unverifiable, Verifiable},
};

use super::context::VerifyContext;
use crate::{
    document::batch::Batch,
    id::{Epoch, Sequence, View},
};

/// What one vote is about: a digest at a place in the order, in one view of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Ballot {
    /// The validator set that votes.
    pub epoch: Epoch,
    /// The view within the epoch.
    pub view: View,
    /// The place in the order.
    pub sequence: Sequence,
    /// Digest of a batch, or of null.
    pub digest: Digest,
}

/// The primary's proposal of a digest for a sequence (OSDI'99, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PrePrepare(pub Ballot);

/// A backup's word that it accepted the proposal and holds its bodies durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Prepare(pub Ballot);

/// A replica's word that it holds the whole prepared certificate durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Commit(pub Ballot);

impl Signable for PrePrepare {
    const DOMAIN: &'static str = "quorate/pre-prepare";
}
impl Signable for Prepare {
    const DOMAIN: &'static str = "quorate/prepare";
}
impl Signable for Commit {
    const DOMAIN: &'static str = "quorate/commit";
}

/// What a digest stands for: an ordered list of transactions, or nothing at all.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Content {
    /// Nothing: legal only where a new view fills a gap (PROTOCOL 1.2).
    Null,
    /// An ordered list of transaction ids with a time.
    Batch(Batch),
}

impl Content {
    /// The digest that votes carry.
    pub fn digest(&self) -> Digest {
        match self {
            Content::Null => Batch::null_digest(),
            Content::Batch(batch) => batch.digest(),
        }
    }

    /// The batch, unless this is null.
    pub fn batch(&self) -> Option<&Batch> {
        match self {
            Content::Null => None,
            Content::Batch(batch) => Some(batch),
        }
    }
}

/// A PRE-PREPARE and, beside it, what its digest stands for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// The signed part.
    pub pre_prepare: Signed<PrePrepare>,
    /// Hashes to the digest in the signed part; checked before the proposal counts as verified.
    pub content: Content,
}

impl Proposal {
    /// What is proposed, and where.
    pub fn ballot(&self) -> Ballot {
        self.pre_prepare.body.0
    }
}

impl Verifiable for Proposal {
    type Context = VerifyContext;

    fn claims(&self, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        let ballot = self.ballot();
        context.check_epoch(ballot.epoch)?;
        if self.content.digest() != ballot.digest {
            return Err(Unverifiable("the batch does not hash to the digest proposed"));
        }
        context.claim(&self.pre_prepare, out)
    }
}
