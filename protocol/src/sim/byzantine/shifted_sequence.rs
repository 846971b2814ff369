//! Proposes every batch to one validator one place later than to the others. Tries to have one batch executed at two
//! heights.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct ShiftedSequence;

impl Behaviour for ShiftedSequence {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        match message {
            PeerMessage::Pbft(Message::PrePrepare(proposal))
                if liar.is_own_proposal(message) && to == liar.chosen() =>
            {
                let (ballot, content) = (proposal.ballot(), proposal.content.clone());
                let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence.next(), content);
                liar.send(to, lie);
            }
            _ => liar.send(to, message.clone()),
        }
    }
}
