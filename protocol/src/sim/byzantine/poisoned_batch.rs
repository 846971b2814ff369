//! Puts into its batches, by turns, a transaction with a forged signature, one transaction twice, an expired one, one that
//! is valid too far ahead, far more than a batch may hold, or a time from the far future. Tries to have something
//! executed that no member signed in time, or to have honest validators disagree about a batch: it is refused whole.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::{Batch, SignedTransaction};
use crate::id::{NodeIndex, TransactionId};
use crate::pbft::Message;
use crate::pbft::message::{Content, Proposal};
use crate::replica::{PeerMessage, SyncMessage};
use std::sync::Arc;

/// See the file.
#[derive(Debug, Default)]
pub struct PoisonedBatch {
    made: Option<(Proposal, Batch, Vec<SignedTransaction>)>,
}

impl Behaviour for PoisonedBatch {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Pbft(Message::PrePrepare(proposal)) = message else {
            return liar.send(to, message.clone());
        };
        let (Content::Batch(batch), true) = (&proposal.content, liar.is_own_proposal(message)) else {
            return liar.send(to, message.clone());
        };
        if self.made.as_ref().is_none_or(|(of, ..)| of != proposal) {
            let (poisoned, bodies) = poison(liar, proposal, batch);
            self.made = Some((proposal.clone(), poisoned, bodies));
        }
        let Some((_, batch, bodies)) = &self.made else { return };
        let ballot = proposal.ballot();
        let content = Content::Batch(batch.clone());
        let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
        liar.send(to, lie);
        let bodies = bodies.iter().cloned().map(Arc::new).collect::<Vec<_>>().try_into();
        liar.send(to, PeerMessage::Sync(SyncMessage::Bodies(bodies.unwrap_or_default())));
    }
}

/// The batch with one thing wrong in it, and the bodies that go with it.
fn poison(liar: &mut Liar<'_>, proposal: &Proposal, batch: &Batch) -> (Batch, Vec<SignedTransaction>) {
    let (wall, valid_until) = (liar.now.wall, liar.valid_until());
    let mut time = batch.time;
    let bodies: Vec<SignedTransaction> = match proposal.ballot().sequence.0 % 6 {
        0 => vec![liar.forge.forged_payment(valid_until)],
        1 => {
            let payment = liar.forge.payment(valid_until);
            vec![payment.clone(), payment]
        }
        2 => vec![liar.forge.payment(wall.saturating_sub(1_000))],
        3 => vec![liar.forge.payment(wall + 1_000_000_000)],
        4 => {
            let nonsense = (0..3_000).map(|_| TransactionId(liar.forge.nonsense())).collect::<Vec<_>>();
            return (Batch { time, ids: nonsense.try_into().unwrap_or_default() }, Vec::new());
        }
        _ => {
            time = wall + 1_000_000;
            Vec::new()
        }
    };
    let ids = batch.ids.iter().copied().chain(bodies.iter().map(SignedTransaction::id)).collect::<Vec<_>>();
    (Batch { time, ids: ids.try_into().unwrap_or_default() }, bodies)
}
