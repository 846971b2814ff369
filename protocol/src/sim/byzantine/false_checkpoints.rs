//! Says CHECKPOINT for headers that do not exist: another one at each height, and some far ahead. Tries to certify a wrong
//! state, to have logs cut too early, to start a synchronisation with nowhere to go, and to fill memory.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::{Height, NodeIndex};
use crate::pbft::Message;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct FalseCheckpoints;

impl Behaviour for FalseCheckpoints {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Pbft(Message::Checkpoint(signed)) = message else {
            return liar.send(to, message.clone());
        };
        let height = signed.body.height;
        let nonsense = liar.forge.nonsense();
        let wrong = liar.forge.checkpoint(liar.me, height, nonsense);
        liar.send(to, wrong);
        // The true one afterwards, as evidence wants it.
        liar.send(to, message.clone());
    }

    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        let executed = liar.replica.engine().executed().0;
        let ahead = [1, 7, 1_000, u64::MAX - executed][liar.forge.random.below(4) as usize];
        let nonsense = liar.forge.nonsense();
        let lie = liar.forge.checkpoint(liar.me, Height(executed.saturating_add(ahead)), nonsense);
        liar.broadcast(&lie);
    }
}
