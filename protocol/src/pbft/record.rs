//! What must be durable before a vote leaves (PROTOCOL 3.4), and what a restart finds again.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{hash::Digest, signed::Signed};

use super::message::{
    CertifiedCheckpoint, Commit, CommitCertificate, Content, NewView, PrePrepare, Prepare, PreparedCertificate,
    ViewChange,
};
use crate::{
    document::certificate::Certificate,
    id::{Height, Sequence},
};

/// One entry of the vote log. Bodies of transactions stand beside it (`replica::JournalEntry`), the engine never sees them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Record {
    /// A view was entered that is not active yet: before this replica's VIEW-CHANGE leaves. A restart returns to it, and
    /// sends the same bytes (PROTOCOL 5.2).
    ViewChange(Signed<ViewChange>),
    /// A view became active: before anything is signed in it, and where this replica is its primary, before the NEW-VIEW
    /// leaves.
    NewView {
        /// What opened the view.
        new_view: Signed<NewView>,
        /// The VIEW-CHANGEs that it names, for those who have to check it; none in a copy that is kept only so that this
        /// replica knows what it proposed.
        view_changes: Vec<Signed<ViewChange>>,
    },
    /// A proposal was accepted: before a backup's PREPARE and before the primary's PRE-PREPARE.
    Accepted {
        /// What the primary signed.
        pre_prepare: Signed<PrePrepare>,
        /// What its digest stands for; none where the block is in the chain store already.
        content: Option<Content>,
        /// The PREPARE that leaves once this is durable; none where this replica proposed it.
        prepare: Option<Signed<Prepare>>,
    },
    /// A batch prepared: before the COMMIT.
    Prepared {
        /// The whole certificate.
        certificate: PreparedCertificate,
        /// The COMMIT that leaves once this is durable.
        commit: Signed<Commit>,
    },
    /// The highest height whose CHECKPOINT this node signed (PROTOCOL 7.2): before that CHECKPOINT.
    Floor(Height),
    /// A watermark and its proof: what was prepared up to it may be gone from the log, even if the chain store loses it.
    Proven(CertifiedCheckpoint),
}

impl Record {
    /// The sequence that this record is about; `None` for one that outlives every sequence.
    pub fn sequence(&self) -> Option<Sequence> {
        match self {
            Record::ViewChange(_) | Record::NewView { .. } | Record::Floor(_) | Record::Proven(_) => None,
            Record::Accepted { pre_prepare, .. } => Some(pre_prepare.body.0.sequence),
            Record::Prepared { certificate, .. } => Some(certificate.pre_prepare.body.0.sequence),
        }
    }

    /// Up to which low watermark the record stays in the log. A NEW-VIEW stays as long as what it proposes: its primary signed
    /// that, and knows it by this record alone where a crash kept it from accepting its own proposals.
    pub fn kept_until(&self) -> Sequence {
        let proposed = match self {
            Record::NewView { new_view, .. } => new_view.body.pre_prepares.last().map(|last| last.body.0.sequence),
            _ => None,
        };
        proposed.or(self.sequence()).unwrap_or_default()
    }
}

/// A block above the low watermark, as a restart finds it in the chain store.
#[derive(Clone, Debug)]
pub struct DurableBlock {
    /// Its height.
    pub height: Height,
    /// Digest of its batch.
    pub digest: Digest,
    /// Hash of its header.
    pub header_hash: Digest,
    /// q COMMITs with the batch where it was committed here; none where it came by synchronisation.
    pub commits: Option<CommitCertificate>,
    /// q CHECKPOINTs, where they were stored.
    pub certificate: Option<Certificate>,
}

/// Everything durable that a restart starts from.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// The vote log in the order in which it was written. `None`: there is no log to be trusted, so this node never
    /// votes in this epoch (PROTOCOL 6.4).
    pub records: Option<Vec<Record>>,
    /// The low watermark: the highest multiple of K (or 0) whose certificate is stored.
    pub low: Height,
    /// The proof of `low`; none at 0.
    pub proven: Option<CertifiedCheckpoint>,
    /// The highest block in the store.
    pub executed: Height,
    /// Every block in the store that is above the low watermark or lacks its certificate, by height.
    pub blocks: Vec<DurableBlock>,
}
