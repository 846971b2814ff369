//! Keeps every VIEW-CHANGE and NEW-VIEW that it hears and says them again and again, also long after their views. Tries to
//! reopen a view that is over, or to have old VIEW-CHANGEs counted for a new one.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::replica::PeerMessage;

/// Messages that are kept.
const KEPT_MAX: usize = 64;

/// See the file.
#[derive(Debug, Default)]
pub struct OldViewChanges {
    heard: Vec<PeerMessage>,
}

impl Behaviour for OldViewChanges {
    fn on_receive(&mut self, _liar: &mut Liar<'_>, _from: NodeIndex, message: &PeerMessage) -> bool {
        let is_about_views = matches!(message, PeerMessage::Pbft(Message::ViewChange(_) | Message::NewView(_)));
        if is_about_views && self.heard.len() < KEPT_MAX && !self.heard.contains(message) {
            self.heard.push(message.clone());
        }
        true
    }

    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        if let Some(message) = liar.forge.random.pick(&self.heard).cloned() {
            liar.broadcast(&message);
        }
    }
}
