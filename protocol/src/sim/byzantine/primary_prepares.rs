//! Sends a PREPARE for its own proposal. Tries to be counted twice for one batch: the PRE-PREPARE is the primary's vote.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct PrimaryPrepares;

impl Behaviour for PrimaryPrepares {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        liar.send(to, message.clone());
        if let PeerMessage::Pbft(Message::PrePrepare(proposal)) = message
            && liar.is_own_proposal(message)
        {
            let prepare = liar.forge.prepare(liar.me, proposal.ballot());
            liar.send(to, prepare);
        }
    }
}
