//! A bad source of synchronisation: by turns it answers with altered blocks, with old ones, with one block of many, with
//! nothing, and it sends blocks over and over to those who have not asked. Tries to keep laggards from catching up, and
//! to have them execute what never was.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::replica::{PeerMessage, SyncMessage};

/// See the file.
#[derive(Debug, Default)]
pub struct BadSource {
    turn: u32,
    last: Option<PeerMessage>,
}

impl Behaviour for BadSource {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Sync(SyncMessage::Blocks(blocks)) = message else {
            return liar.send(to, message.clone());
        };
        self.turn = self.turn.wrapping_add(1);
        let mut blocks = blocks.clone().into_inner();
        match self.turn % 4 {
            0 => blocks.iter_mut().for_each(|block| block.header.time += 1),
            1 => blocks.truncate(1),
            2 => blocks.clear(),
            _ => {
                if let Some(old) = self.last.clone() {
                    return liar.send(to, old);
                }
            }
        }
        let answer = PeerMessage::Sync(SyncMessage::Blocks(blocks.try_into().unwrap_or_default()));
        self.last.get_or_insert_with(|| message.clone());
        liar.send(to, answer);
    }

    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        if let Some(old) = self.last.clone() {
            liar.broadcast(&old);
        }
    }
}
