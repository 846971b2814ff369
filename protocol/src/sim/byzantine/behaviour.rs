//! What a lying node does with what its honest part hears and says.

use super::liar::Liar;
use crate::document::Body;
use crate::id::NodeIndex;
use crate::replica::PeerMessage;

/// A way of lying. Every method begins as honesty, so a behaviour writes only what it does otherwise.
pub trait Behaviour: Send {
    /// The honest part says something to one peer (a broadcast is said to each in turn). What is not sent on by
    /// [`Liar::send`] has never been said; anything may be sent in its place, to anybody.
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        liar.send(to, message.clone());
    }

    /// The honest part spreads transactions of its clients to one peer.
    fn on_gossip(&mut self, liar: &mut Liar<'_>, to: NodeIndex, transactions: &[Body]) {
        liar.gossip(to, transactions.to_vec());
    }

    /// A peer's message arrives. Whether the honest part hears it.
    fn on_receive(&mut self, _liar: &mut Liar<'_>, _from: NodeIndex, _message: &PeerMessage) -> bool {
        true
    }

    /// Some milliseconds have passed ([`Liar::TICK`]).
    fn on_tick(&mut self, _liar: &mut Liar<'_>) {}
}
