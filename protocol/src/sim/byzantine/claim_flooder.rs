//! As a backup it floods the primary with claims, good ones and forged ones; as the primary it is deaf to the claims of
//! others and to their gossip, and never proposes a transaction but its friend's. Tries to fill pools, and to starve everybody else.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::{Batch, Body};
use crate::id::NodeIndex;
use crate::pbft::Message;
use crate::pbft::message::Content;
use crate::replica::{PeerMessage, SyncMessage};
use std::sync::Arc;

/// Claims of one message.
const CLAIMS: usize = 4;

/// Transactions that it makes in all, so that a world stays small.
const MADE_MAX: usize = 64;

/// See the file.
#[derive(Debug, Default)]
pub struct ClaimFlooder {
    made: Vec<Body>,
}

impl Behaviour for ClaimFlooder {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        let PeerMessage::Pbft(Message::PrePrepare(proposal)) = message else {
            return liar.send(to, message.clone());
        };
        let (Content::Batch(batch), true) = (&proposal.content, liar.is_own_proposal(message)) else {
            return liar.send(to, message.clone());
        };
        let is_own = |id| self.made.iter().any(|body| body.id() == id);
        let ids: Vec<_> = batch.ids.iter().copied().filter(|id| is_own(*id)).collect();
        let content = Content::Batch(Batch { time: batch.time, ids: ids.try_into().unwrap_or_default() });
        let ballot = proposal.ballot();
        let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
        liar.send(to, lie);
    }

    fn on_receive(&mut self, liar: &mut Liar<'_>, _from: NodeIndex, message: &PeerMessage) -> bool {
        !(liar.is_primary() && matches!(message, PeerMessage::Sync(SyncMessage::Claims(_))))
    }

    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        let primary = liar.replica.engine().primary();
        let valid_until = liar.valid_until();
        if self.made.len() < MADE_MAX {
            let good = liar.forge.payment(valid_until);
            let forged = liar.forge.forged_payment(valid_until);
            self.made.extend([Arc::new(good), Arc::new(forged)]);
        }
        let place = liar.forge.random.below(self.made.len() as u64) as usize;
        let claims: Vec<Body> = self.made.iter().cycle().skip(place).take(CLAIMS).cloned().collect();
        if primary != liar.me {
            liar.send(primary, PeerMessage::Sync(SyncMessage::Claims(claims.try_into().unwrap_or_default())));
        }
    }
}
