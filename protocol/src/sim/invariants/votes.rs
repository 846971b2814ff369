//! PR: no key signs two digests for one (epoch, view, sequence, phase), restarts included.

use super::promise::{Invariant, Observation, Promise, Violation};
use crate::id::{Epoch, Sequence, View};
use crate::pbft::Message;
use crate::pbft::message::Ballot;
use crate::replica::PeerMessage;
use borsh::BorshSerialize;
use quorate_crypto::{Digest, PublicKey, encode, sha256};
use std::collections::BTreeMap;

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
}

impl Votes {
    fn see_ballot(&mut self, signer: PublicKey, ballot: Ballot, phase: Phase) -> Result<(), Violation> {
        self.see((signer, ballot.epoch, ballot.view, ballot.sequence, phase), ballot.digest)
    }

    fn see_view<T: BorshSerialize>(
        &mut self,
        signer: PublicKey,
        body: &T,
        view: View,
        phase: Phase,
    ) -> Result<(), Violation> {
        self.see((signer, Epoch::ZERO, view, Sequence(0), phase), sha256(&encode(body)))
    }

    fn see(&mut self, place: (PublicKey, Epoch, View, Sequence, Phase), digest: Digest) -> Result<(), Violation> {
        let first = *self.cast.entry(place).or_insert(digest);
        if first == digest {
            return Ok(());
        }
        let (signer, epoch, view, sequence, phase) = place;
        let detail = format!(
            "key {signer} signed {phase:?} for {first} and for {digest} at epoch {epoch}, view {view}, sequence {sequence}"
        );
        Err(Violation { promise: Promise::Votes, detail })
    }
}

impl Invariant for Votes {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        let Observation::Released { message: PeerMessage::Pbft(message), .. } = observation else { return Ok(()) };
        match message {
            Message::PrePrepare(proposal) => {
                self.see_ballot(proposal.pre_prepare.signer, proposal.ballot(), Phase::PrePrepare)
            }
            Message::Prepare(vote) => self.see_ballot(vote.signer, vote.body.0, Phase::Prepare),
            Message::Commit(vote) => self.see_ballot(vote.signer, vote.body.0, Phase::Commit),
            Message::CommitCertificate(certificate) => {
                certificate.commits.iter().try_for_each(|vote| self.see_ballot(vote.signer, vote.body.0, Phase::Commit))
            }
            Message::Checkpoint(signed) => {
                let body = signed.body;
                let place = (signed.signer, body.epoch, View::ZERO, Sequence::from(body.height), Phase::Checkpoint);
                self.see(place, body.header_hash)
            }
            Message::ViewChange(signed) => {
                self.see_view(signed.signer, &signed.body, signed.body.view, Phase::ViewChange)
            }
            Message::NewView(signed) => {
                let proposals = signed.body.pre_prepares.iter();
                let mut each = proposals.map(|p| self.see_ballot(p.signer, p.body.0, Phase::PrePrepare));
                each.try_for_each(|seen| seen)?;
                self.see_view(signed.signer, &signed.body, signed.body.view, Phase::NewView)
            }
            // Its signers are indices; their CHECKPOINTs have been seen one by one.
            Message::CertifiedCheckpoint(_) | Message::Status(_) => Ok(()),
        }
    }
}
