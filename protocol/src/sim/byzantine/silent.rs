//! Hears everything and says nothing. Tries to break progress: a quorum must do without it.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::Body;
use crate::id::NodeIndex;
use crate::replica::PeerMessage;

/// See the file.
#[derive(Debug, Default)]
pub struct Silent;

impl Behaviour for Silent {
    fn on_send(&mut self, _liar: &mut Liar<'_>, _to: NodeIndex, _message: &PeerMessage) {}

    fn on_gossip(&mut self, _liar: &mut Liar<'_>, _to: NodeIndex, _transactions: &[Body]) {}
}
