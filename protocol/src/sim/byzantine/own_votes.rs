//! Votes of one key inside of a message, whoever sends it.

use crate::pbft::Message;
use crate::pbft::message::{Ballot, PreparedCertificate};
use crate::replica::PeerMessage;
use quorate_crypto::PublicKey;

/// Whether anything that this key signed stands in the message.
#[must_use]
pub fn names(message: &PeerMessage, key: &PublicKey) -> bool {
    let PeerMessage::Pbft(message) = message else { return false };
    let signer = match message {
        Message::Checkpoint(signed) => signed.signer,
        Message::ViewChange(signed) => signed.signer,
        Message::NewView(signed) => signed.signer,
        _ => return !ballots(message, key).is_empty(),
    };
    signer == *key || !ballots(message, key).is_empty()
}

/// The ballots for which a vote of this key stands in the message.
pub(crate) fn ballots(message: &Message, key: &PublicKey) -> Vec<Ballot> {
    match message {
        Message::PrePrepare(proposal) if proposal.pre_prepare.signer == *key => vec![proposal.ballot()],
        Message::Prepare(vote) if vote.signer == *key => vec![vote.body.0],
        Message::Commit(vote) if vote.signer == *key => vec![vote.body.0],
        Message::CommitCertificate(certificate) => {
            certificate.commits.iter().filter(|vote| vote.signer == *key).map(|vote| vote.body.0).collect()
        }
        Message::ViewChange(signed) => {
            signed.body.prepared.iter().flat_map(|prepared| prepared_by(prepared, key)).collect()
        }
        Message::NewView(signed) if signed.signer == *key => {
            signed.body.pre_prepares.iter().map(|pre_prepare| pre_prepare.body.0).collect()
        }
        _ => Vec::new(),
    }
}

fn prepared_by(certificate: &PreparedCertificate, key: &PublicKey) -> Vec<Ballot> {
    let proposal = (certificate.pre_prepare.signer == *key).then_some(certificate.pre_prepare.body.0);
    let prepares = certificate.prepares.iter().filter(|vote| vote.signer == *key).map(|vote| vote.body.0);
    proposal.into_iter().chain(prepares).collect()
}
