//! Votes and answers as it should, and never proposes. Tries to break progress without looking dead: only its proposals
//! are missing.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct MutePrimary;

impl Behaviour for MutePrimary {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        if !liar.is_own_proposal(message) {
            liar.send(to, message.clone());
        }
    }
}
