//! Votes twice: with every PREPARE and COMMIT goes a second one for another digest, before or after the first. Tries to
//! be counted twice, or to make tallies of two digests reach a quorum; the pair is evidence.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::pbft::message::Ballot;
use crate::replica::PeerMessage;
use quorate_crypto::{Digest, sha256};

/// See the file.
#[derive(Debug, Default)]
pub struct DoubleVotes;

impl Behaviour for DoubleVotes {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let own = liar.forge.validators().key(liar.me).copied();
        let second = match message {
            PeerMessage::Pbft(Message::Prepare(vote)) if Some(vote.signer) == own => {
                Some(liar.forge.prepare(liar.me, another(vote.body.0)))
            }
            PeerMessage::Pbft(Message::Commit(vote)) if Some(vote.signer) == own => {
                Some(liar.forge.commit(liar.me, another(vote.body.0)))
            }
            _ => None,
        };
        let mut said = vec![message.clone()];
        said.extend(second);
        if liar.is_in_first_half(to) {
            said.reverse();
        }
        said.into_iter().for_each(|message| liar.send(to, message));
    }
}

/// The same place with another digest, the same one each time.
fn another(ballot: Ballot) -> Ballot {
    let digest: Digest = sha256(ballot.digest.as_bytes());
    Ballot { digest, ..ballot }
}
