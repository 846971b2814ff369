//! Repeats its own votes as if others had cast them: their key beside its own signature. Tries to be a quorum by itself.
//! None of it verifies, so none of it passes the edge of an honest node.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::replica::PeerMessage;
use quorate_crypto::{PublicKey, Signed};

/// See the file.
#[derive(Debug, Default)]
pub struct Impersonation;

impl Behaviour for Impersonation {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        liar.send(to, message.clone());
        let PeerMessage::Pbft(message) = message else { return };
        for victim in liar.others() {
            let Some(key) = liar.forge.validators().key(victim).copied() else { continue };
            if let Some(lie) = under_the_name_of(message, key) {
                liar.send(to, PeerMessage::Pbft(lie));
            }
        }
    }
}

fn under_the_name_of(message: &Message, victim: PublicKey) -> Option<Message> {
    match message {
        Message::Prepare(vote) => Some(Message::Prepare(Signed { signer: victim, ..vote.clone() })),
        Message::Commit(vote) => Some(Message::Commit(Signed { signer: victim, ..vote.clone() })),
        Message::Checkpoint(signed) => Some(Message::Checkpoint(Signed { signer: victim, ..signed.clone() })),
        Message::PrePrepare(proposal) => {
            let mut proposal = proposal.clone();
            proposal.pre_prepare.signer = victim;
            Some(Message::PrePrepare(proposal))
        }
        _ => None,
    }
}
