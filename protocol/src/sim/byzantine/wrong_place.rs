//! Casts its votes for other places as well: another chain, another epoch, views that are over or far ahead, places outside
//! of the window, a COMMIT's signature under a PREPARE. Tries to be counted where it was not asked, and to fill memory.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::{Epoch, NodeIndex, Sequence, View};
use crate::pbft::Message;
use crate::pbft::message::{Ballot, Prepare};
use crate::replica::PeerMessage;
use quorate_crypto::{Digest, Signed};

/// See the file.
#[derive(Debug, Default)]
pub struct WrongPlace;

impl Behaviour for WrongPlace {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        liar.send(to, message.clone());
        match message {
            PeerMessage::Pbft(Message::Prepare(vote)) => {
                let ballot = vote.body.0;
                let foreign = liar.forge.sign_for(liar.me, Prepare(ballot), &Digest::ZERO);
                liar.send(to, PeerMessage::Pbft(Message::Prepare(foreign)));
                for ballot in elsewhere(ballot) {
                    let lie = liar.forge.prepare(liar.me, ballot);
                    liar.send(to, lie);
                }
            }
            PeerMessage::Pbft(Message::Commit(vote)) => {
                let (signer, signature) = (vote.signer, vote.signature);
                let other_kind = Signed { body: Prepare(vote.body.0), signer, signature };
                liar.send(to, PeerMessage::Pbft(Message::Prepare(other_kind)));
                for ballot in elsewhere(vote.body.0) {
                    let lie = liar.forge.commit(liar.me, ballot);
                    liar.send(to, lie);
                }
            }
            _ => {}
        }
    }
}

fn elsewhere(ballot: Ballot) -> [Ballot; 5] {
    [
        Ballot { epoch: Epoch(7), ..ballot },
        Ballot { view: View(ballot.view.0.wrapping_sub(1)), ..ballot },
        Ballot { view: View(ballot.view.0 + 1_000_000), ..ballot },
        Ballot { sequence: Sequence(0), ..ballot },
        Ballot { sequence: Sequence(ballot.sequence.0.saturating_add(100_000)), ..ballot },
    ]
}
