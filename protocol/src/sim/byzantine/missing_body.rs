//! Adds to every batch a transaction that nobody has, or that it gives to one validator only. Tries to get votes for
//! what cannot be executed: nobody may prepare what it does not hold.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::{Batch, SignedTransaction};
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::pbft::message::{Content, Proposal};
use crate::replica::{PeerMessage, SyncMessage};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the file.
#[derive(Debug, Default)]
pub struct MissingBody {
    /// What was added to the proposal of each digest.
    added: BTreeMap<[u8; 32], SignedTransaction>,
}

impl Behaviour for MissingBody {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        match message {
            PeerMessage::Pbft(Message::PrePrepare(proposal)) if liar.is_own_proposal(message) => {
                self.propose(liar, to, proposal);
            }
            _ => liar.send(to, message.clone()),
        }
    }
}

impl MissingBody {
    fn propose(&mut self, liar: &mut Liar<'_>, to: NodeIndex, proposal: &Proposal) {
        let Content::Batch(batch) = &proposal.content else { return };
        let valid_until = liar.valid_until();
        let payment =
            self.added.entry(*proposal.ballot().digest.as_bytes()).or_insert_with(|| liar.forge.payment(valid_until));
        let mut ids = batch.ids.clone();
        if ids.push(payment.id()).is_err() {
            return;
        }
        let ballot = proposal.ballot();
        // Every other batch has a body that nobody gets.
        let is_given = to == liar.chosen() && ballot.sequence.0.is_multiple_of(2);
        let body = is_given.then(|| Arc::new(payment.clone()));
        let content = Content::Batch(Batch { time: batch.time, ids });
        let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
        liar.send(to, lie);
        if let Some(bodies) = body.and_then(|body| vec![body].try_into().ok()) {
            liar.send(to, PeerMessage::Sync(SyncMessage::Bodies(bodies)));
        }
    }
}
