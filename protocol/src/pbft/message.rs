//! What replicas say to each other, and which signatures stand in it.
//!
//! Every message names its epoch; the chain is part of what is signed (PROTOCOL 1.5). The signer of a part is the key
//! that verified, never a field beside it.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    encode::{BoundedBytes, BoundedVec},
    hash::Digest,
    key::PublicKey,
    signature::Claim,
    signed::{Signable, Signed, Unverifiable, Verifiable},
};

use crate::{
    document::{
        batch::Batch,
        certificate::{Certificate, Checkpoint},
        validators::ValidatorSet,
    },
    id::{Epoch, Height, Sequence, View},
    limits::{LOG_WINDOW_LIMIT, STATUS_UNCERTIFIED_MAX, VALIDATORS_LIMIT},
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

/// How many slots a STATUS tells of: as many as the largest window has.
pub const STATUS_SLOTS_MAX: usize = LOG_WINDOW_LIMIT as usize;

/// How far a replica has come with one sequence; a bit set in a [`Status`].
pub mod progress {
    /// The slot's proposal is accepted in the current view.
    pub const ACCEPTED: u8 = 1;
    /// The slot holds a prepared certificate of the current view.
    pub const PREPARED: u8 = 2;
    /// The slot is known to have committed.
    pub const COMMITTED: u8 = 4;
}

/// What a replica has, so that others can send what it lacks (PROTOCOL 4.1). Not a vote.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Status {
    /// The epoch that the sender is in.
    pub epoch: Epoch,
    /// The view that it entered.
    pub view: View,
    /// Whether that view is active (false inside a view change).
    pub active: bool,
    /// Its low watermark h.
    pub low: Height,
    /// Its highest executed and durable block.
    pub executed: Height,
    /// One [`progress`] byte for each sequence from `low + 1` on.
    pub slots: BoundedBytes<STATUS_SLOTS_MAX>,
    /// The lowest executed heights for which it lacks a certificate.
    pub uncertified: BoundedVec<Height, STATUS_UNCERTIFIED_MAX>,
}

impl Signable for Status {
    const DOMAIN: &'static str = "quorate/status";
}

impl Status {
    /// The [`progress`] bits for `sequence`; 0 where the status says nothing of it.
    pub fn progress(&self, sequence: Sequence) -> u8 {
        let Some(offset) = sequence.0.checked_sub(self.low.next().0) else {
            // At or below the watermark: held durably with a certificate.
            return progress::ACCEPTED | progress::PREPARED | progress::COMMITTED;
        };
        usize::try_from(offset).ok().and_then(|offset| self.slots.get(offset).copied()).unwrap_or(0)
    }
}

/// A protocol message, as it travels between replicas; anybody may relay it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A proposal of the primary.
    PrePrepare(Proposal),
    /// A vote of a backup.
    Prepare(Signed<Prepare>),
    /// A vote of a replica that prepared.
    Commit(Signed<Commit>),
    /// A statement about a durable block.
    Checkpoint(Signed<Checkpoint>),
    /// q COMMITs with the batch: for those who missed the votes.
    CommitCertificate(CommitCertificate),
    /// q CHECKPOINTs of one block: for those who missed them.
    CertifiedCheckpoint(CertifiedCheckpoint),
    /// What the sender has.
    Status(Signed<Status>),
}

impl Message {
    /// A short word for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Message::PrePrepare(_) => "pre-prepare",
            Message::Prepare(_) => "prepare",
            Message::Commit(_) => "commit",
            Message::Checkpoint(_) => "checkpoint",
            Message::CommitCertificate(_) => "commit-certificate",
            Message::CertifiedCheckpoint(_) => "certified-checkpoint",
            Message::Status(_) => "status",
        }
    }
}

/// What signatures of this epoch are verified against.
#[derive(Clone, Debug)]
pub struct VerifyContext {
    /// The chain whose signatures count.
    pub chain_id: Digest,
    /// The epoch of that set.
    pub epoch: Epoch,
    /// The validators whose keys count.
    pub validators: ValidatorSet,
}

impl VerifyContext {
    fn check_member(&self, key: &PublicKey) -> Result<(), Unverifiable> {
        match self.validators.index_of(key) {
            Some(_) => Ok(()),
            None => Err(Unverifiable("the signer is not a validator of this epoch")),
        }
    }

    fn check_epoch(&self, epoch: Epoch) -> Result<(), Unverifiable> {
        if epoch == self.epoch { Ok(()) } else { Err(Unverifiable("the message belongs to another epoch")) }
    }

    fn claim<T: Signable>(&self, signed: &Signed<T>, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        self.check_member(&signed.signer)?;
        out.push(signed.claim(&self.chain_id));
        Ok(())
    }
}

impl Verifiable for Message {
    type Context = VerifyContext;

    fn claims(&self, context: &VerifyContext, out: &mut Vec<Claim>) -> Result<(), Unverifiable> {
        match self {
            Message::PrePrepare(proposal) => proposal.claims(context, out),
            Message::Prepare(vote) => {
                context.check_epoch(vote.body.0.epoch)?;
                context.claim(vote, out)
            }
            Message::Commit(vote) => {
                context.check_epoch(vote.body.0.epoch)?;
                context.claim(vote, out)
            }
            Message::Checkpoint(checkpoint) => {
                context.check_epoch(checkpoint.body.epoch)?;
                context.claim(checkpoint, out)
            }
            Message::CommitCertificate(certificate) => certificate.claims(context, out),
            Message::CertifiedCheckpoint(certified) => certified.claims(context, out),
            Message::Status(status) => {
                context.check_epoch(status.body.epoch)?;
                context.claim(status, out)
            }
        }
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
