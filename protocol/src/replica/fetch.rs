//! What a replica answers from memory when a peer asks; the rest is answered from the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use quorate_crypto::{encode::BoundedVec, hash::Digest};

use super::{
    bodies::Key,
    core::{Replica, send},
    message::{PeerMessage, RepairMessage, SyncMessage, frames_of},
    output::Output,
};
use crate::{
    document::Body,
    id::{NodeIndex, TransactionId},
    limits::{SYNC_ANSWER_BYTES, VOTE_BYTES_LIMIT},
    pbft,
    time::Now,
};

impl Replica {
    /// Bodies that are pinned or pending here; one frame, which takes those of a whole batch.
    pub(super) fn on_fetch_bodies(&self, from: NodeIndex, ids: &[TransactionId], out: &mut Vec<Output>) {
        let mut missing: BTreeSet<TransactionId> = ids.iter().copied().collect();
        let mut found: Vec<Body> = self.bodies.pinned(&missing);
        for body in &found {
            missing.remove(&body.id());
        }
        let pooled: BTreeMap<TransactionId, Body> =
            missing.iter().filter_map(|id| self.pool.get(id).map(|body| (*id, body))).collect();
        missing.retain(|id| !pooled.contains_key(id));
        found.extend(pooled.into_values());
        for part in frames_of(found).into_iter().take(1) {
            send(from, SyncMessage::Bodies(part), out);
        }
        let rest: Vec<TransactionId> = missing.into_iter().collect();
        if let (false, Ok(rest)) = (rest.is_empty(), BoundedVec::try_from(rest)) {
            out.push(Output::Serve { to: from, request: SyncMessage::FetchBodies(rest) });
        }
    }

    /// Batches that a new view proposes again, from memory or else from the store.
    /// VIEW-CHANGEs by their names, each once and as many as one answer may have: whoever lacks more asks again.
    pub(super) fn on_fetch_view_changes(&self, from: NodeIndex, names: &[Digest], out: &mut Vec<Output>) {
        let names: BTreeSet<&Digest> = names.iter().collect();
        let mut bytes = 0;
        for view_change in names.into_iter().filter_map(|name| self.engine.view_change(name)) {
            let votes: usize = view_change.body.prepared.iter().map(|certificate| 1 + certificate.prepares.len()).sum();
            bytes += (1 + votes) * VOTE_BYTES_LIMIT;
            let message = Arc::new(PeerMessage::Pbft(pbft::Message::ViewChange(view_change)));
            out.push(Output::Send { to: from, message });
            if bytes >= SYNC_ANSWER_BYTES {
                break;
            }
        }
    }

    pub(super) fn on_fetch_batches(&self, from: NodeIndex, wanted: &[Key], out: &mut Vec<Output>) {
        for (sequence, digest) in wanted {
            match self.engine.content(*sequence, digest) {
                Some(content) => send(from, SyncMessage::Batch { sequence: *sequence, content }, out),
                None => {
                    let request =
                        SyncMessage::FetchBatches(BoundedVec::try_from(vec![(*sequence, *digest)]).unwrap_or_default());
                    out.push(Output::Serve { to: from, request });
                }
            }
        }
    }

    /// A peer tells what waits there, or asks for some of what it was told.
    pub(super) fn on_repair(&mut self, now: Now, from: NodeIndex, message: &RepairMessage, out: &mut Vec<Output>) {
        let answer = match message {
            RepairMessage::Pending(told) => self.repair.on_pending(now, from, &self.pool, self.head_time, told),
            RepairMessage::FetchPending(ids) => self.repair.on_fetch(now, from, &self.pool, ids),
            RepairMessage::PendingBodies(_) => None,
        };
        if let Some(answer) = answer {
            send(from, SyncMessage::Repair(answer), out);
        }
    }

    /// Peers are told what has waited here for long (PROTOCOL 4.6).
    pub(super) fn tell_pending(&mut self, now: Now, out: &mut Vec<Output>) {
        for (to, message) in self.repair.due(now, &self.pool, self.engine.primary()) {
            send(to, SyncMessage::Repair(message), out);
        }
    }
}
