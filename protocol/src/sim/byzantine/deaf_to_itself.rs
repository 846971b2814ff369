//! Does not hear votes under its own key that it has not cast, and so goes on where an honest node would stop. This is what makes twins dangerous: two instances with one key, each of them honest but
//! for this. Tries to break agreement, each twin in another partition.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::replica::PeerMessage;
use quorate_crypto::PublicKey;

/// See the file.
#[derive(Debug, Default)]
pub struct DeafToItself;

impl Behaviour for DeafToItself {
    fn on_receive(&mut self, liar: &mut Liar<'_>, _from: NodeIndex, message: &PeerMessage) -> bool {
        liar.forge.validators().key(liar.me).is_none_or(|own| !names(message, own))
    }
}

/// Whether a vote of this key stands in the message.
fn names(message: &PeerMessage, own: &PublicKey) -> bool {
    match message {
        PeerMessage::Pbft(Message::PrePrepare(proposal)) => proposal.pre_prepare.signer == *own,
        PeerMessage::Pbft(Message::Prepare(vote)) => vote.signer == *own,
        PeerMessage::Pbft(Message::Commit(vote)) => vote.signer == *own,
        PeerMessage::Pbft(Message::Checkpoint(signed)) => signed.signer == *own,
        PeerMessage::Pbft(Message::ViewChange(signed)) => signed.signer == *own,
        PeerMessage::Pbft(Message::NewView(signed)) => signed.signer == *own,
        PeerMessage::Pbft(Message::CommitCertificate(certificate)) => {
            certificate.commits.iter().any(|vote| vote.signer == *own)
        }
        _ => false,
    }
}
