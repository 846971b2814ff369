//! PR: no key signs two digests for one (epoch, view, sequence, phase), nor any vote below a view that it has left, restarts
//! included; and the key of a node without a journal signs nothing new.

use super::promise::{Invariant, Observation, Promise, Violation};
use crate::id::{Epoch, Sequence, View};
use crate::pbft::Message;
use crate::pbft::message::Ballot;
use crate::replica::PeerMessage;
use borsh::BorshSerialize;
use quorate_crypto::{Digest, PublicKey, encode, sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What a signature can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    PrePrepare,
    Prepare,
    Commit,
    Checkpoint,
    ViewChange,
    NewView,
}

/// Every vote that has ever left a node, whoever relayed it.
#[derive(Debug, Default)]
pub struct Votes {
    cast: BTreeMap<(PublicKey, Epoch, View, Sequence, Phase), Digest>,
    /// The highest view that each key has said it enters.
    entered: BTreeMap<PublicKey, View>,
    liars: BTreeSet<PublicKey>,
    amnesiacs: BTreeSet<PublicKey>,
}

impl Votes {
    fn see_ballot(&mut self, signer: PublicKey, ballot: Ballot, phase: Phase) -> Result<(), Violation> {
        self.see((signer, ballot.epoch, ballot.view, ballot.sequence, phase), ballot.digest)
    }

    /// A vote that leaves by itself, and so when it is cast or again; those in certificates may have been cast long ago.
    fn see_vote(&mut self, signer: PublicKey, ballot: Ballot, phase: Phase) -> Result<(), Violation> {
        let place = (signer, ballot.epoch, ballot.view, ballot.sequence, phase);
        match self.entered.get(&signer) {
            Some(entered)
                if *entered > ballot.view && !self.cast.contains_key(&place) && !self.liars.contains(&signer) =>
            {
                let detail = format!(
                    "key {signer} entered view {entered} and then signed {phase:?} at view {}, sequence {}",
                    ballot.view, ballot.sequence
                );
                Err(Violation { promise: Promise::Votes, detail })
            }
            _ => self.see_ballot(signer, ballot, phase),
        }
    }

    fn see_view<T: BorshSerialize>(
        &mut self,
        signer: PublicKey,
        body: &T,
        (epoch, view): (Epoch, View),
        phase: Phase,
    ) -> Result<(), Violation> {
        let entered = self.entered.entry(signer).or_default();
        *entered = view.max(*entered);
        self.see((signer, epoch, view, Sequence(0), phase), sha256(&encode(body)))
    }

    fn see(&mut self, place: (PublicKey, Epoch, View, Sequence, Phase), digest: Digest) -> Result<(), Violation> {
        let (signer, epoch, view, sequence, phase) = place;
        if self.liars.contains(&signer) {
            return Ok(());
        }
        if self.amnesiacs.contains(&signer) && phase != Phase::Checkpoint && !self.cast.contains_key(&place) {
            let detail = format!(
                "key {signer} has no journal and signed {phase:?} at epoch {epoch}, view {view}, sequence {sequence}"
            );
            return Err(Violation { promise: Promise::Votes, detail });
        }
        let first = *self.cast.entry(place).or_insert(digest);
        if first == digest {
            return Ok(());
        }
        let detail = format!(
            "key {signer} signed {phase:?} for {first} and for {digest} at epoch {epoch}, view {view}, sequence {sequence}"
        );
        Err(Violation { promise: Promise::Votes, detail })
    }
}

impl Invariant for Votes {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        let message = match observation {
            Observation::Released { message: PeerMessage::Pbft(message), .. } => message,
            Observation::Lies { key, .. } => {
                self.liars.insert(key);
                return Ok(());
            }
            Observation::Amnesiac { key, .. } => {
                self.amnesiacs.insert(key);
                return Ok(());
            }
            Observation::Remembers { key, .. } => {
                self.amnesiacs.remove(&key);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match message {
            Message::PrePrepare(proposal) => {
                self.see_vote(proposal.pre_prepare.signer, proposal.ballot(), Phase::PrePrepare)
            }
            Message::Prepare(vote) => self.see_vote(vote.signer, vote.body.0, Phase::Prepare),
            Message::Commit(vote) => self.see_vote(vote.signer, vote.body.0, Phase::Commit),
            Message::CommitCertificate(certificate) => {
                certificate.commits.iter().try_for_each(|vote| self.see_ballot(vote.signer, vote.body.0, Phase::Commit))
            }
            Message::Checkpoint(signed) => {
                let body = signed.body;
                let place = (signed.signer, body.epoch, View::ZERO, Sequence::from(body.height), Phase::Checkpoint);
                self.see(place, body.header_hash)
            }
            Message::ViewChange(signed) => {
                let of = (signed.body.epoch, signed.body.view);
                self.see_view(signed.signer, &signed.body, of, Phase::ViewChange)
            }
            Message::NewView(signed) => {
                let proposals = signed.body.pre_prepares.iter();
                let mut each = proposals.map(|p| self.see_ballot(p.signer, p.body.0, Phase::PrePrepare));
                each.try_for_each(|seen| seen)?;
                let of = (signed.body.epoch, signed.body.view);
                self.see_view(signed.signer, &signed.body, of, Phase::NewView)
            }
            // Its signers are indices; their CHECKPOINTs have been seen one by one.
            Message::CertifiedCheckpoint(_) | Message::Status(_) => Ok(()),
        }
    }
}
