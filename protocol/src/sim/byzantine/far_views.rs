//! Leaves for views that nobody is in, one after the other and far ahead, whatever happens. Tries to pull the others along
//! with it, or to have them keep a message for each view: the word of fewer than f + 1 moves nobody.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::View;
use crate::pbft::Message;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct FarViews {
    turn: u64,
}

impl Behaviour for FarViews {
    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        self.turn += 1;
        let ahead = [1, 2, self.turn, 1_000_000, u64::MAX / 2][(self.turn % 5) as usize];
        let view = View(liar.view().0.saturating_add(ahead));
        let lie = liar.forge.view_change(liar.me, view, None, Vec::new());
        liar.broadcast(&PeerMessage::Pbft(Message::ViewChange(lie)));
    }
}
