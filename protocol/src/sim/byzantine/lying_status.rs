//! Says in its STATUS that it has everything, or nothing, or far more than there is, in other views, and asks for
//! certificates of heights that do not exist. Tries to be sent the whole log for ever, and to have others chase a height
//! that nobody has.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::{Height, NodeIndex};
use crate::pbft::Message;
use crate::pbft::message::Status;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct LyingStatus {
    turn: u32,
}

impl Behaviour for LyingStatus {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Pbft(Message::Status(signed)) = message else {
            return liar.send(to, message.clone());
        };
        self.turn = self.turn.wrapping_add(1);
        let lie = liar.forge.status(liar.me, lie(signed.body.clone(), self.turn));
        liar.send(to, lie);
    }
}

fn lie(mut status: Status, turn: u32) -> Status {
    match turn % 4 {
        0 => {
            status.low = Height::ZERO;
            status.executed = Height::ZERO;
            status.slots = Default::default();
        }
        1 => {
            status.low = Height(u64::MAX);
            status.executed = Height(u64::MAX);
        }
        2 => {
            status.executed = Height(status.executed.0 + 1_000);
            status.view = status.view.next().next();
            status.active = !status.active;
        }
        _ => {
            status.slots = vec![0; 512].try_into().unwrap_or_default();
            let heights: Vec<Height> = (0..32).map(|step| Height(step * 1_000_003)).collect();
            status.uncertified = heights.try_into().unwrap_or_default();
        }
    }
    status
}
