//! Leaves places out, and jumps far beyond the window. Tries to exhaust the sequence numbers, or to have replicas keep
//! slots without end: what is outside of the window is nothing, and a gap is never executed past.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::{NodeIndex, Sequence};
use crate::pbft::Message;
use crate::replica::PeerMessage;

/// How far the jumps go.
const JUMPS: [u64; 4] = [2, 3, 10_000, u64::MAX / 2];

/// See the file.
#[derive(Debug, Default)]
pub struct SequenceGap;

impl Behaviour for SequenceGap {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        match message {
            PeerMessage::Pbft(Message::PrePrepare(proposal)) if liar.is_own_proposal(message) => {
                let (ballot, content) = (proposal.ballot(), proposal.content.clone());
                let jump = JUMPS[(ballot.sequence.0 % JUMPS.len() as u64) as usize];
                let sequence = Sequence(ballot.sequence.0.saturating_add(jump));
                let lie = liar.forge.pre_prepare(liar.me, ballot.view, sequence, content);
                liar.send(to, lie);
            }
            _ => liar.send(to, message.clone()),
        }
    }
}
