//! As the primary of a new view it says, by turns: null in place of what was prepared, a NEW-VIEW that names one VIEW-CHANGE
//! twice, one that names VIEW-CHANGEs that nobody has, two different NEW-VIEWs, or a true one to a single validator. Tries
//! to have something forgotten that committed, or to have some in the new view and others not.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::{NodeIndex, Sequence};
use crate::pbft::Message;
use crate::pbft::message::{Content, NewView};
use crate::replica::PeerMessage;
use quorate_crypto::Digest;

/// See the file.
#[derive(Debug, Default)]
pub struct WrongNewView;

impl Behaviour for WrongNewView {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Pbft(Message::NewView(signed)) = message else {
            return liar.send(to, message.clone());
        };
        if liar.forge.validators().key(liar.me) != Some(&signed.signer) {
            return liar.send(to, message.clone());
        }
        let body = signed.body.clone();
        match body.view.0 % 4 {
            0 => {
                let lie = retold(liar, &body, body.view_changes.to_vec(), true);
                liar.send(to, lie);
            }
            1 => {
                let twice = vec![body.view_changes[0]; body.view_changes.len()];
                let lie = retold(liar, &body, twice, false);
                liar.send(to, lie);
            }
            2 if liar.is_in_first_half(to) => {
                let nonsense: Vec<Digest> = body.view_changes.iter().map(|_| liar.forge.nonsense()).collect();
                let lie = retold(liar, &body, nonsense, false);
                liar.send(to, lie);
                liar.send(to, message.clone());
            }
            _ if to == liar.chosen() => liar.send(to, message.clone()),
            _ => {}
        }
    }
}

/// The same NEW-VIEW with other names, or with null at every place.
fn retold(liar: &mut Liar<'_>, body: &NewView, names: Vec<Digest>, forgets: bool) -> PeerMessage {
    let first = body.pre_prepares.first().map_or(Sequence(1), |pre_prepare| pre_prepare.body.0.sequence);
    let null = Content::Null.digest();
    let again = |ballot: Digest| if forgets { null } else { ballot };
    let digests: Vec<Digest> = body.pre_prepares.iter().map(|pre_prepare| again(pre_prepare.body.0.digest)).collect();
    liar.forge.new_view(liar.me, body.view, &names, first, &digests)
}
