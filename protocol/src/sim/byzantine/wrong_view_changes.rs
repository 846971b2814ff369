//! Sends VIEW-CHANGEs that leave out what it had prepared, or claim what nobody prepared: by turns an empty P, a P in which
//! one certificate is about another digest, and a watermark that no quorum certified. Tries to have a new view forget
//! what may have committed. The last two do not verify; the first is one of q, and the others remember.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::Checkpoint;
use crate::id::{Height, NodeIndex};
use crate::pbft::Message;
use crate::pbft::message::CertifiedCheckpoint;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct WrongViewChanges;

impl Behaviour for WrongViewChanges {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Pbft(Message::ViewChange(signed)) = message else {
            return liar.send(to, message.clone());
        };
        if liar.forge.validators().key(liar.me) != Some(&signed.signer) {
            return liar.send(to, message.clone());
        }
        let (view, low) = (signed.body.view, signed.body.low.clone());
        let mut wrong = signed.body.prepared.clone().into_inner();
        if let Some(certificate) = wrong.first_mut() {
            certificate.pre_prepare.body.0.digest = liar.forge.nonsense();
            let lie = liar.forge.view_change(liar.me, view, low.clone(), wrong);
            liar.send(to, PeerMessage::Pbft(Message::ViewChange(lie)));
        }
        let checkpoint =
            Checkpoint { epoch: liar.forge.epoch(), height: Height(1 << 40), header_hash: liar.forge.nonsense() };
        let forged = CertifiedCheckpoint { checkpoint, certificate: Default::default() };
        let lie = liar.forge.view_change(liar.me, view, Some(forged), Vec::new());
        liar.send(to, PeerMessage::Pbft(Message::ViewChange(lie)));
        let lie = liar.forge.view_change(liar.me, view, low, Vec::new());
        liar.send(to, PeerMessage::Pbft(Message::ViewChange(lie)));
    }
}
