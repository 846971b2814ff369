//! Puts the transactions of its last batch into the next one again. Tries to have a transaction executed twice.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::Batch;
use crate::id::{NodeIndex, Sequence, TransactionId};
use crate::pbft::Message;
use crate::pbft::message::Content;
use crate::replica::PeerMessage;
use std::collections::BTreeMap;

/// See the file.
#[derive(Debug, Default)]
pub struct SameTransaction {
    proposed: BTreeMap<Sequence, Vec<TransactionId>>,
}

impl Behaviour for SameTransaction {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Pbft(Message::PrePrepare(proposal)) = message else {
            return liar.send(to, message.clone());
        };
        let (Content::Batch(batch), true) = (&proposal.content, liar.is_own_proposal(message)) else {
            return liar.send(to, message.clone());
        };
        let ballot = proposal.ballot();
        self.proposed.insert(ballot.sequence, batch.ids.to_vec());
        let before = self.proposed.range(..ballot.sequence).next_back();
        let again = before.map(|(_, ids)| ids.clone()).unwrap_or_default();
        let ids = again.into_iter().chain(batch.ids.iter().copied()).collect::<Vec<_>>().try_into();
        let content = Content::Batch(Batch { time: batch.time, ids: ids.unwrap_or_default() });
        let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
        liar.send(to, lie);
    }
}
