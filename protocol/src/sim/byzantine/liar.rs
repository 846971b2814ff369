//! What a behaviour sees and what it can do.

use super::forge::Forge;
use crate::document::Body;
use crate::id::{NodeIndex, Sequence, View};
use crate::pbft::Message;
use crate::replica::{PeerMessage, Replica};
use crate::time::{Now, UnixMillis};
use std::time::Duration;

/// Something that a lying node says.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Message { to: NodeIndex, message: PeerMessage },
    Gossip { to: NodeIndex, transactions: Vec<Body> },
}

/// A lying node at one moment.
pub struct Liar<'a> {
    /// Which validator it is.
    pub me: NodeIndex,
    /// What its clocks show.
    pub now: Now,
    /// Its honest part.
    pub replica: &'a Replica,
    /// Keys, and what can be made with them.
    pub forge: &'a mut Forge,
    said: Vec<Said>,
}

impl<'a> Liar<'a> {
    /// How often [`super::Behaviour::on_tick`] comes.
    pub const TICK: Duration = Duration::from_millis(10);

    pub(crate) fn new(me: NodeIndex, now: Now, replica: &'a Replica, forge: &'a mut Forge) -> Self {
        Liar { me, now, replica, forge, said: Vec::new() }
    }

    pub(crate) fn into_said(self) -> Vec<Said> {
        self.said
    }

    pub(crate) fn has_said_nothing(&self) -> bool {
        self.said.is_empty()
    }

    /// What an honest node does that wants to say this.
    pub(crate) fn has_said_only(&self, to: NodeIndex, message: &PeerMessage) -> bool {
        matches!(&self.said[..], [Said::Message { to: told, message: said }] if *told == to && said == message)
    }

    pub(crate) fn has_gossiped_only(&self, to: NodeIndex, bodies: &[Body]) -> bool {
        matches!(&self.said[..], [Said::Gossip { to: told, transactions }] if *told == to && transactions == bodies)
    }

    /// Says something to one validator. Receivers verify it as they verify everything.
    pub fn send(&mut self, to: NodeIndex, message: PeerMessage) {
        self.said.push(Said::Message { to, message });
    }

    /// Says something to every other validator.
    pub fn broadcast(&mut self, message: &PeerMessage) {
        for to in self.others() {
            self.send(to, message.clone());
        }
    }

    /// Spreads transactions to one validator.
    pub fn gossip(&mut self, to: NodeIndex, transactions: Vec<Body>) {
        self.said.push(Said::Gossip { to, transactions });
    }

    /// Every other validator.
    #[must_use]
    pub fn others(&self) -> Vec<NodeIndex> {
        self.forge.validators().indices().filter(|node| *node != self.me).collect()
    }

    /// Whether a validator is among the first half of the others: for saying one thing here and another there.
    #[must_use]
    pub fn is_in_first_half(&self, node: NodeIndex) -> bool {
        let others = self.others();
        others.iter().position(|other| *other == node).is_some_and(|place| place < others.len() / 2)
    }

    /// The validator that hears everything where a behaviour chooses one: the next one in order.
    #[must_use]
    pub fn chosen(&self) -> NodeIndex {
        let n = self.forge.validators().n() as u8;
        NodeIndex((self.me.0 + 1) % n)
    }

    /// The view that its honest part is in.
    #[must_use]
    pub fn view(&self) -> View {
        self.replica.engine().status().view
    }

    /// Whether it is the primary.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.replica.engine().is_primary()
    }

    /// The lowest sequence that is not executed here.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        Sequence::from(self.replica.engine().executed().next())
    }

    /// Half a minute from now, in Unix milliseconds: as honest clients choose it.
    #[must_use]
    pub fn valid_until(&self) -> UnixMillis {
        self.now.wall + 30_000
    }

    /// Whether a message is a proposal of this node's own honest part.
    #[must_use]
    pub fn is_own_proposal(&self, message: &PeerMessage) -> bool {
        let own = self.forge.validators().key(self.me);
        matches!(message, PeerMessage::Pbft(Message::PrePrepare(proposal)) if Some(&proposal.pre_prepare.signer) == own)
    }
}
