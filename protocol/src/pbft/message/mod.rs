//! What replicas say to each other, and which signatures stand in it.
//!
//! Every message names its epoch; the chain is part of what is signed (PROTOCOL 1.5). The signer of a part is the key
//! that verified, never a field beside it.

mod context;
mod proof;
mod status;
mod view;
mod vote;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    signature::Claim,
    signed::{Signed, Unverifiable, Verifiable},
};

use self::view::{new_view_claims, view_change_claims};
pub use self::{
    context::VerifyContext,
    proof::{CertifiedCheckpoint, CommitCertificate, PreparedCertificate},
    status::{STATUS_SLOTS_MAX, Status, progress},
    view::{NewView, ViewChange, view_change_name},
    vote::{Ballot, Commit, Content, PrePrepare, Prepare, Proposal},
};
use crate::document::certificate::Checkpoint;

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
    /// A replica leaves a view, and says what it had prepared.
    ViewChange(Signed<ViewChange>),
    /// The primary of a view opens it.
    NewView(Signed<NewView>),
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
            Message::ViewChange(_) => "view-change",
            Message::NewView(_) => "new-view",
        }
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
            Message::ViewChange(view_change) => view_change_claims(view_change, context, out),
            Message::NewView(new_view) => new_view_claims(new_view, context, out),
        }
    }
}
