//! Two signed messages of one key that exclude each other (PROTOCOL 9.3, promise AC).
//!
//! A new kind of evidence is: a variant of [`Evidence`] and of [`Kind`], an [`Accusable`] for what is signed, and the
//! arms that the compiler asks for in this file. Store, API and command line take it as it is.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    encode::{DecodeError, decode, encode},
    hash::{Digest, sha256},
    key::{PublicKey, Signature},
    signature::Claim,
    signed::{Signable, Signed},
};
use serde::{Deserialize, Serialize};

use super::message::{Ballot, Commit, NewView, PrePrepare, Prepare, ViewChange};
use crate::{
    document::certificate::Checkpoint,
    id::{Epoch, Height, Sequence, View},
};

/// A pair that no correct key ever signs. On disk by its variant's place: new ones come last.
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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
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
    /// A PREPARE of the primary: harmless, and said once. There is no [`Evidence`] of it.
    PrimaryPrepared,
}

impl Kind {
    /// Its number in the keys of the chain store; never given to another kind.
    pub const fn code(self) -> u8 {
        match self {
            Kind::PrePrepare => 1,
            Kind::Prepare => 2,
            Kind::Commit => 3,
            Kind::Checkpoint => 4,
            Kind::PrimaryPrepared => 5,
            Kind::ViewChange => 6,
            Kind::NewView => 7,
        }
    }

    /// Its name, as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::PrePrepare => "pre_prepare",
            Kind::Prepare => "prepare",
            Kind::Commit => "commit",
            Kind::Checkpoint => "checkpoint",
            Kind::PrimaryPrepared => "primary_prepared",
            Kind::ViewChange => "view_change",
            Kind::NewView => "new_view",
        }
    }
}

/// Where a key may speak once only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The validator set.
    pub epoch: Epoch,
    /// The view, of votes.
    pub view: Option<View>,
    /// The place in the order, of votes that have one.
    pub sequence: Option<Sequence>,
    /// The block, of CHECKPOINTs.
    pub height: Option<Height>,
}

/// What a correct key signs for one digest only at one place.
trait Accusable: Signable {
    fn place(&self) -> Place;
    fn digest(&self) -> Digest;
}

impl Ballot {
    fn place(&self) -> Place {
        Place { epoch: self.epoch, view: Some(self.view), sequence: Some(self.sequence), height: None }
    }
}

impl Accusable for PrePrepare {
    fn place(&self) -> Place {
        self.0.place()
    }

    fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl Accusable for Prepare {
    fn place(&self) -> Place {
        self.0.place()
    }

    fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl Accusable for Commit {
    fn place(&self) -> Place {
        self.0.place()
    }

    fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl Accusable for Checkpoint {
    fn place(&self) -> Place {
        Place { epoch: self.epoch, view: None, sequence: None, height: Some(self.height) }
    }

    fn digest(&self) -> Digest {
        self.header_hash
    }
}

impl Accusable for ViewChange {
    fn place(&self) -> Place {
        Place { epoch: self.epoch, view: Some(self.view), sequence: None, height: None }
    }

    fn digest(&self) -> Digest {
        sha256(&encode(self))
    }
}

impl Accusable for NewView {
    fn place(&self) -> Place {
        Place { epoch: self.epoch, view: Some(self.view), sequence: None, height: None }
    }

    fn digest(&self) -> Digest {
        sha256(&encode(self))
    }
}

/// One of the two messages, whatever its kind.
trait Message {
    fn signer(&self) -> PublicKey;
    fn signature(&self) -> Signature;
    fn place(&self) -> Place;
    fn digest(&self) -> Digest;
    fn domain(&self) -> &'static str;
    fn claim(&self, chain_id: &Digest) -> Claim;
    fn to_bytes(&self) -> Vec<u8>;
}

impl<T: Accusable> Message for Signed<T> {
    fn signer(&self) -> PublicKey {
        self.signer
    }

    fn signature(&self) -> Signature {
        self.signature
    }

    fn place(&self) -> Place {
        self.body.place()
    }

    fn digest(&self) -> Digest {
        self.body.digest()
    }

    fn domain(&self) -> &'static str {
        T::DOMAIN
    }

    fn claim(&self, chain_id: &Digest) -> Claim {
        Signed::claim(self, chain_id)
    }

    fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

/// One of the two messages, as a stranger looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What the key signed: a digest of a batch, of a header, or of the whole message.
    pub digest: Digest,
    /// The signature.
    pub signature: Signature,
    /// Canonical bytes of the message: body, key, signature.
    pub bytes: Vec<u8>,
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

    fn messages(&self) -> [&dyn Message; 2] {
        match self {
            Evidence::PrePrepare(first, second) => [first, second],
            Evidence::Prepare(first, second) => [first, second],
            Evidence::Commit(first, second) => [first, second],
            Evidence::Checkpoint(first, second) => [first, second],
            Evidence::ViewChange(first, second) => [first, second],
            Evidence::NewView(first, second) => [first, second],
        }
    }

    /// Puts two messages together again; whether they are evidence is still to be checked. `None` for a kind that there
    /// is no evidence of.
    ///
    /// # Errors
    ///
    /// When the bytes are not canonical bytes of such messages.
    pub fn from_messages(kind: Kind, [first, second]: [&[u8]; 2]) -> Result<Option<Evidence>, DecodeError> {
        Ok(Some(match kind {
            Kind::PrePrepare => Evidence::PrePrepare(decode(first)?, decode(second)?),
            Kind::Prepare => Evidence::Prepare(decode(first)?, decode(second)?),
            Kind::Commit => Evidence::Commit(decode(first)?, decode(second)?),
            Kind::Checkpoint => Evidence::Checkpoint(decode(first)?, decode(second)?),
            Kind::ViewChange => Evidence::ViewChange(decode(first)?, decode(second)?),
            Kind::NewView => Evidence::NewView(decode(first)?, decode(second)?),
            Kind::PrimaryPrepared => return Ok(None),
        }))
    }

    /// The key that both parts accuse.
    pub fn accused(&self) -> PublicKey {
        self.messages()[0].signer()
    }

    /// Where the key spoke twice.
    pub fn place(&self) -> Place {
        self.messages()[0].place()
    }

    /// The domain that both signatures stand under.
    pub fn domain(&self) -> &'static str {
        self.messages()[0].domain()
    }

    /// The two messages.
    pub fn statements(&self) -> [Statement; 2] {
        self.messages().map(|message| Statement {
            digest: message.digest(),
            signature: message.signature(),
            bytes: message.to_bytes(),
        })
    }

    /// The two signatures, to be checked for the chain.
    pub fn claims(&self, chain_id: &Digest) -> [Claim; 2] {
        self.messages().map(|message| message.claim(chain_id))
    }

    /// Whether the two parts really exclude each other: one signer, one place, two digests. Signatures are checked apart.
    pub fn is_conflict(&self) -> bool {
        let [first, second] = self.messages();
        first.signer() == second.signer() && first.place() == second.place() && first.digest() != second.digest()
    }
}
