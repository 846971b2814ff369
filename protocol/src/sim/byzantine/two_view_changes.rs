//! Sends its true VIEW-CHANGE to one half and one without anything prepared to the other half. Tries to have two primaries,
//! or a primary and its backups, compute different new views from what bears one name; the pair is evidence.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct TwoViewChanges;

impl Behaviour for TwoViewChanges {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        match message {
            PeerMessage::Pbft(Message::ViewChange(signed))
                if liar.forge.validators().key(liar.me) == Some(&signed.signer) && !liar.is_in_first_half(to) =>
            {
                let (view, low) = (signed.body.view, signed.body.low.clone());
                let lie = liar.forge.view_change(liar.me, view, low, Vec::new());
                liar.send(to, PeerMessage::Pbft(Message::ViewChange(lie)));
            }
            _ => liar.send(to, message.clone()),
        }
    }
}
