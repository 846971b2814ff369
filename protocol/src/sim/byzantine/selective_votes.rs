//! Gives its PREPAREs, COMMITs and CHECKPOINTs to one validator only. Tries to have some commit and others not, with
//! nobody left to tell the others: laggards must finish by what the chosen one can show.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct SelectiveVotes;

impl Behaviour for SelectiveVotes {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let is_vote =
            matches!(message, PeerMessage::Pbft(Message::Prepare(_) | Message::Commit(_) | Message::Checkpoint(_)));
        if !is_vote || to == liar.chosen() {
            liar.send(to, message.clone());
        }
    }
}
