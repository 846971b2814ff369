//! Two signed messages of one key that exclude each other (PROTOCOL 9.3, promise AC).

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{key::PublicKey, signed::Signed};

use super::message::{Commit, NewView, PrePrepare, Prepare, ViewChange};
use crate::document::certificate::Checkpoint;

/// A pair that no correct key ever signs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Evidence {
    /// Two digests proposed for one (epoch, view, sequence).
    PrePrepare(Signed<PrePrepare>, Signed<PrePrepare>),
    /// Two PREPAREs for one (epoch, view, sequence).
    Prepare(Signed<Prepare>, Signed<Prepare>),
    /// Two COMMITs for one (epoch, view, sequence).
    Commit(Signed<Commit>, Signed<Commit>),
    /// Two header hashes for one (epoch, height).
    Checkpoint(Signed<Checkpoint>, Signed<Checkpoint>),
    /// Two VIEW-CHANGEs for one (epoch, view).
    ViewChange(Signed<ViewChange>, Signed<ViewChange>),
    /// Two NEW-VIEWs for one (epoch, view).
    NewView(Signed<NewView>, Signed<NewView>),
}

/// What somebody is accused of; of each kind one piece is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Kind {
    /// Two proposals.
    PrePrepare,
    /// Two PREPAREs.
    Prepare,
    /// Two COMMITs.
    Commit,
    /// Two CHECKPOINTs.
    Checkpoint,
    /// Two VIEW-CHANGEs.
    ViewChange,
    /// Two NEW-VIEWs.
    NewView,
    /// A PREPARE of the primary: harmless, and said once.
    PrimaryPrepared,
}

impl Evidence {
    /// What it is evidence of.
    pub fn kind(&self) -> Kind {
        match self {
            Evidence::PrePrepare(..) => Kind::PrePrepare,
            Evidence::Prepare(..) => Kind::Prepare,
            Evidence::Commit(..) => Kind::Commit,
            Evidence::Checkpoint(..) => Kind::Checkpoint,
            Evidence::ViewChange(..) => Kind::ViewChange,
            Evidence::NewView(..) => Kind::NewView,
        }
    }

    /// The key that both parts accuse.
    pub fn accused(&self) -> PublicKey {
        match self {
            Evidence::PrePrepare(first, _) => first.signer,
            Evidence::Prepare(first, _) => first.signer,
            Evidence::Commit(first, _) => first.signer,
            Evidence::Checkpoint(first, _) => first.signer,
            Evidence::ViewChange(first, _) => first.signer,
            Evidence::NewView(first, _) => first.signer,
        }
    }

    /// Whether the two parts really exclude each other: one signer, one place, two digests. Signatures are checked apart.
    pub fn is_conflict(&self) -> bool {
        fn ballots(a: &super::message::Ballot, b: &super::message::Ballot) -> bool {
            (a.epoch, a.view, a.sequence) == (b.epoch, b.view, b.sequence) && a.digest != b.digest
        }
        match self {
            Evidence::PrePrepare(a, b) => a.signer == b.signer && ballots(&a.body.0, &b.body.0),
            Evidence::Prepare(a, b) => a.signer == b.signer && ballots(&a.body.0, &b.body.0),
            Evidence::Commit(a, b) => a.signer == b.signer && ballots(&a.body.0, &b.body.0),
            Evidence::Checkpoint(a, b) => {
                a.signer == b.signer
                    && (a.body.epoch, a.body.height) == (b.body.epoch, b.body.height)
                    && a.body.header_hash != b.body.header_hash
            }
            Evidence::ViewChange(a, b) => {
                a.signer == b.signer && (a.body.epoch, a.body.view) == (b.body.epoch, b.body.view) && a.body != b.body
            }
            Evidence::NewView(a, b) => {
                a.signer == b.signer && (a.body.epoch, a.body.view) == (b.body.epoch, b.body.view) && a.body != b.body
            }
        }
    }
}
