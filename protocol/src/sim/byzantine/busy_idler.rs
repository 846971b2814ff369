//! Looks busy while the transactions of others wait: it proposes empty batches, or once in 0.6 of a view timeout as little
//! as each rule of fairness but one asks for (PROTOCOL 5.6). Tries to stay in office without serving anybody.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::{Batch, Body};
use crate::id::{NodeIndex, Sequence, TransactionId, View};
use crate::pbft::message::Content;
use crate::replica::{PeerMessage, SyncMessage};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What the batches hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    /// Nothing.
    Nothing,
    /// So many transactions of a client who helps.
    Friend(usize),
    /// Each sender's oldest transaction, as far as it is known here, and every claim of another validator.
    Claims,
}

/// See the file.
#[derive(Debug)]
pub struct BusyIdler {
    /// The time from one batch to the next.
    every: Duration,
    service: Service,
    last: Option<(View, Sequence, Instant)>,
    /// What others claimed, and what was proposed.
    claimed: BTreeSet<TransactionId>,
    proposed: BTreeSet<TransactionId>,
    /// What the friend signed for the last batch: only the liar has it, and gives it to whoever asks.
    friends: BTreeMap<TransactionId, Body>,
}

impl BusyIdler {
    fn new(every: Duration, service: Service) -> Self {
        let (claimed, proposed) = Default::default();
        BusyIdler { every, service, last: None, claimed, proposed, friends: BTreeMap::new() }
    }

    /// Empty batches, one in this time.
    #[must_use]
    pub fn idler(every: Duration) -> Self {
        BusyIdler::new(every, Service::Nothing)
    }

    /// One transaction in 0.6 of this view timeout: so often that its honest part, which learns of these blocks by STATUS only,
    /// sees progress as well.
    #[must_use]
    pub fn drip(view_timeout: Duration) -> Self {
        BusyIdler::new(view_timeout * 6 / 10, Service::Friend(1))
    }

    /// A batch of `count` transactions in 0.6 of this view timeout. Where no more than that fit into a batch, it has no room
    /// for a claim, and nobody can ask for a faster pace: only that it serves one sender over and over tells.
    #[must_use]
    pub fn crowd(view_timeout: Duration, count: usize) -> Self {
        BusyIdler::new(view_timeout * 6 / 10, Service::Friend(count))
    }

    /// All claims in 0.6 of this view timeout, and nothing else: no claim is left out or overtaken, and only the pace tells.
    #[must_use]
    pub fn claims_only(view_timeout: Duration) -> Self {
        BusyIdler::new(view_timeout * 6 / 10, Service::Claims)
    }

    fn ids(&mut self, liar: &mut Liar<'_>) -> Vec<TransactionId> {
        match self.service {
            Service::Nothing => Vec::new(),
            Service::Friend(count) => {
                let valid_until = liar.valid_until();
                let payments: Vec<Body> = (0..count).map(|_| Arc::new(liar.forge.payment(valid_until))).collect();
                self.friends = payments.iter().map(|body| (body.id(), Arc::clone(body))).collect();
                payments.iter().map(|body| body.id()).collect()
            }
            Service::Claims => {
                let pool = liar.replica.pool();
                let known = self.claimed.iter().copied().filter(|id| pool.get(id).is_some());
                let ids: BTreeSet<TransactionId> = known.chain(pool.claims().map(|claim| claim.id)).collect();
                ids.into_iter().filter(|id| self.proposed.insert(*id)).collect()
            }
        }
    }
}

impl Behaviour for BusyIdler {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        if !liar.is_own_proposal(message) {
            liar.send(to, message.clone());
        }
    }

    fn on_receive(&mut self, liar: &mut Liar<'_>, from: NodeIndex, message: &PeerMessage) -> bool {
        match message {
            PeerMessage::Sync(SyncMessage::Claims(bodies)) if self.service == Service::Claims => {
                self.claimed.extend(bodies.iter().map(|body| body.id()));
            }
            PeerMessage::Sync(SyncMessage::FetchBodies(ids)) => {
                let wanted: Vec<Body> = ids.iter().filter_map(|id| self.friends.get(id).cloned()).collect();
                if let (false, Ok(bodies)) = (wanted.is_empty(), wanted.try_into()) {
                    liar.send(from, PeerMessage::Sync(SyncMessage::Bodies(bodies)));
                    return false;
                }
            }
            _ => {}
        }
        true
    }

    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        let (view, now) = (liar.view(), liar.now.monotonic);
        let is_too_soon = self.last.is_some_and(|(_, _, since)| now.saturating_since(since) < self.every);
        if !liar.is_primary() || is_too_soon {
            return;
        }
        let time = liar.now.wall;
        let ids = self.ids(liar);
        if ids.is_empty() && self.service == Service::Claims {
            return;
        }
        // Its honest part never hears these proposals, and executes them late; the pace does not wait for that.
        let last = self.last.filter(|(in_view, ..)| *in_view == view).map(|(_, sequence, _)| sequence.next());
        let sequence = liar.next_sequence().max(last.unwrap_or_default());
        self.last = Some((view, sequence, now));
        let ids = ids.try_into().expect("a few transactions are within the bound");
        let proposal = liar.forge.pre_prepare(liar.me, view, sequence, Content::Batch(Batch { time, ids }));
        liar.broadcast(&proposal);
    }
}
