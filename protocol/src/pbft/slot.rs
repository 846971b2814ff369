//! One sequence number's life: proposed, accepted, prepared, committed (OSDI'99, section 4.2).

use borsh::BorshSerialize;
use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    message::{Ballot, Commit, CommitCertificate, Content, PrePrepare, Prepare, PreparedCertificate, progress},
    tally::Tally,
};
use crate::time::Instant;

/// How far the first proposal of the current view has come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize)]
pub enum Stage {
    /// Its content is being fetched, or the replica was asked whether it may be voted for; bodies may be missing.
    Checking,
    /// It was accepted, and the journal is writing it.
    Persisting,
    /// It is accepted and durable with its bodies.
    Durable,
    /// It must not be voted for. The proposal stands nevertheless: a second one at the same place is never accepted.
    Refused,
}

/// The first proposal of the current view at this sequence.
#[derive(Clone, Debug, BorshSerialize)]
pub struct Acceptance {
    /// What the primary signed, by itself or inside its NEW-VIEW.
    pub pre_prepare: Signed<PrePrepare>,
    /// What its digest stands for. None while a re-proposal's content is not known here; none is needed where the block is
    /// executed.
    pub content: Option<Content>,
    /// How far it has come.
    pub stage: Stage,
}

impl Acceptance {
    /// What is proposed, and where.
    pub fn ballot(&self) -> Ballot {
        self.pre_prepare.body.0
    }
}

/// Everything known of one sequence above the low watermark.
#[derive(Clone, Debug, Default, BorshSerialize)]
pub struct Slot {
    /// The first proposal of the current view.
    pub acceptance: Option<Acceptance>,
    /// PREPAREs of the current view; this replica's own once it is durable, the primary's never.
    pub prepares: Tally<Prepare>,
    /// COMMITs of the current view; this replica's own once it is durable.
    pub commits: Tally<Commit>,
    /// The prepared certificate of the current view, and whether it is durable.
    pub prepared: Option<PreparedCertificate>,
    /// Whether `prepared` and the COMMIT after it are durable.
    pub prepared_durable: bool,
    /// q COMMITs of one view, whichever; never replaced.
    pub committed: Option<CommitCertificate>,
    /// Since when this slot is known here; retransmission leaves young ones alone. Not part of the fingerprint.
    /// None for what a restart found: that is never young.
    #[borsh(skip)]
    pub since: Option<Instant>,
}

impl Slot {
    /// A slot that was first heard of at `since`.
    pub fn new(since: Instant) -> Slot {
        Slot { since: Some(since), ..Slot::default() }
    }

    /// The digest that was accepted in the current view, once its proposal is durable with its bodies.
    pub fn accepted_digest(&self) -> Option<Digest> {
        let acceptance = self.acceptance.as_ref()?;
        (acceptance.stage == Stage::Durable).then(|| acceptance.ballot().digest)
    }

    /// The digest that a quorum committed here.
    pub fn committed_digest(&self) -> Option<Digest> {
        self.committed.as_ref()?.ballot().map(|ballot| ballot.digest)
    }

    /// The [`progress`] bits that STATUS tells of this slot.
    pub fn progress(&self) -> u8 {
        let mut bits = 0;
        if self.accepted_digest().is_some() {
            bits |= progress::ACCEPTED;
        }
        if self.prepared.is_some() {
            bits |= progress::PREPARED;
        }
        if self.committed.is_some() {
            bits |= progress::COMMITTED;
        }
        bits
    }
}
