//! Does not hear votes under its own key, and so goes on where an honest node would see that somebody else has the key, and
//! stop. This is what makes twins dangerous: two instances with one key, each of them honest but for this. Tries to break agreement, each twin in another partition.

use super::behaviour::Behaviour;
use super::liar::Liar;
use super::own_votes::names;
use crate::id::NodeIndex;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct DeafToItself;

impl Behaviour for DeafToItself {
    fn on_receive(&mut self, liar: &mut Liar<'_>, _from: NodeIndex, message: &PeerMessage) -> bool {
        liar.forge.validators().key(liar.me).is_none_or(|own| !names(message, own))
    }
}
