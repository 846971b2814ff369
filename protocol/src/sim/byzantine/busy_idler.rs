//! Looks busy: it proposes empty batches, or once in 0.9 of a view timeout one with a single transaction of its own, while
//! the transactions of others wait. Tries to stay in office without serving anybody.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::Batch;
use crate::id::{NodeIndex, Sequence, View};
use crate::pbft::message::Content;
use crate::replica::{PeerMessage, SyncMessage};
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// See the file.
#[derive(Debug)]
pub struct BusyIdler {
    /// The time from one batch to the next.
    every: Duration,
    /// Whether each batch holds a transaction of a client who helps.
    drips: bool,
    last: Option<(View, Sequence, Instant)>,
}

impl BusyIdler {
    /// Empty batches, one in this time.
    #[must_use]
    pub fn idler(every: Duration) -> Self {
        BusyIdler { every, drips: false, last: None }
    }

    /// One transaction in 0.9 of this view timeout.
    #[must_use]
    pub fn drip(view_timeout: Duration) -> Self {
        BusyIdler { every: view_timeout * 9 / 10, drips: true, last: None }
    }
}

impl Behaviour for BusyIdler {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        if !liar.is_own_proposal(message) {
            liar.send(to, message.clone());
        }
    }

    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        let (view, sequence, now) = (liar.view(), liar.next_sequence(), liar.now.monotonic);
        let is_too_soon = self.last.is_some_and(|(in_view, at, since)| {
            (in_view == view && at >= sequence) || now.saturating_since(since) < self.every
        });
        if !liar.is_primary() || is_too_soon {
            return;
        }
        self.last = Some((view, sequence, now));
        let mut batch = Batch { time: liar.now.wall, ..Batch::default() };
        if self.drips {
            let valid_until = liar.valid_until();
            let payment = liar.forge.payment(valid_until);
            batch.ids.push(payment.id()).expect("one transaction is within the bound");
            let bodies = vec![Arc::new(payment)].try_into().expect("one body is within the bound");
            liar.broadcast(&PeerMessage::Sync(SyncMessage::Bodies(bodies)));
        }
        let proposal = liar.forge.pre_prepare(liar.me, view, sequence, Content::Batch(batch));
        liar.broadcast(&proposal);
    }
}
