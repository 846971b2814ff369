//! STATUS, retransmission and catching up (PROTOCOL section 4).
//!
//! Nobody asks for single messages. Each replica tells now and then what it has, and whoever hears that sends what is
//! missing there and present here, relayed messages of others included. So every loss heals by the same few lines.

use std::{collections::BTreeSet, time::Duration};

use quorate_crypto::{
    encode::{BoundedBytes, BoundedVec},
    signed::Signed,
};

use super::{
    engine::Engine,
    message::{CertifiedCheckpoint, CommitCertificate, Message, Proposal, STATUS_SLOTS_MAX, Status, progress},
    output::Output,
    slot::{Acceptance, Slot},
    state::Shown,
};
use crate::{
    document::certificate::Checkpoint,
    id::{Height, NodeIndex, Sequence, View},
    limits::STATUS_UNCERTIFIED_MAX,
};

/// How often the interval doubles at which a peer is sent the same VIEW-CHANGEs again.
const SHOWN_DOUBLINGS_MAX: u32 = 3;

/// How many slots one STATUS is answered for: retransmission must not outweigh what it repairs.
const ANSWERED_SLOTS_MAX: usize = 16;

/// How many transaction ids the proposals and certificates of one answer carry; 32 bytes each, so that one answer stays
/// within half a megabyte.
const ANSWERED_IDS_MAX: usize = 16_384;

impl Engine {
    /// The periodic STATUS; more often while something is missing.
    pub(super) fn on_status_timer(&mut self, out: &mut Vec<Output>) {
        out.push(Output::Broadcast(Message::Status(self.safety.sign_status(self.own_status()))));
        let behind = self.target();
        let stalled = self.state.executed == self.state.executed_at_status;
        let far = behind.0 > self.state.executed.0 + self.config.checkpoint_interval;
        if behind > self.state.delivered && (stalled || far) {
            out.push(Output::Behind { target: behind });
        }
        self.state.executed_at_status = self.state.executed;
        self.resend_checkpoints(out);
        if std::mem::take(&mut self.state.recovering) {
            self.check_all(out);
        }
        self.retry_slots(out);
        self.ask_again(out);
        let interval =
            if self.is_missing_something() { self.config.status_interval } else { self.config.status_interval_idle };
        self.state.status_timer.set(interval);
    }

    /// After a restart the journal may hold enough for the next step already, with no message left to trigger it.
    pub(super) fn retry_slots(&mut self, out: &mut Vec<Output>) {
        let first = Sequence::from(self.state.executed.next());
        let open: Vec<Sequence> = self.state.slots.range(first..).map(|(sequence, _)| *sequence).collect();
        for sequence in open {
            self.try_prepare(sequence, out);
            self.try_commit(sequence, out);
        }
        self.try_deliver(out);
    }

    /// What this replica has.
    fn own_status(&self) -> Status {
        let last = self.state.slots.last_key_value().map_or(self.state.low.0, |(sequence, _)| sequence.0);
        let slots: Vec<u8> = (self.state.low.0 + 1..=last)
            .take(STATUS_SLOTS_MAX)
            .map(|n| self.state.slots.get(&Sequence(n)).map_or(0, Slot::progress))
            .collect();
        let uncertified: Vec<Height> = self.uncertified().take(STATUS_UNCERTIFIED_MAX).collect();
        Status {
            epoch: self.config.epoch,
            view: self.state.view,
            active: self.state.active,
            low: self.state.low,
            executed: self.state.executed,
            slots: BoundedBytes::try_from(slots).unwrap_or_default(),
            uncertified: BoundedVec::try_from(uncertified).unwrap_or_default(),
            view_changes: self.held_view_changes(),
        }
    }

    /// Whose VIEW-CHANGEs for the current view are held here, as bits.
    fn held_view_changes(&self) -> u32 {
        let held = self.state.view_changes.iter().filter(|(_, held)| held.signed.body.view == self.state.view);
        held.fold(0, |bits, (index, _)| bits | 1 << index.0)
    }

    /// Executed heights that lack a certificate, lowest first.
    fn uncertified(&self) -> impl Iterator<Item = Height> {
        self.state.blocks.iter().filter(|(_, block)| block.certificate.is_none()).map(|(height, _)| *height)
    }

    fn is_missing_something(&self) -> bool {
        !self.state.active
            || !self.state.candidates.is_empty()
            || self.state.slots.keys().any(|sequence| Height::from(*sequence) > self.state.executed)
            || self.uncertified().next().is_some()
            || self.target() > self.state.executed
    }

    /// This replica's own CHECKPOINTs of blocks without a certificate go out again: the bytes are the same (2.5). Those that a
    /// crash kept from being signed, between the block and the record of the floor, go out for the first time.
    fn resend_checkpoints(&mut self, out: &mut Vec<Output>) {
        let stale: Vec<(Height, quorate_crypto::hash::Digest)> = self
            .uncertified()
            .take(STATUS_UNCERTIFIED_MAX)
            .filter_map(|height| self.state.blocks.get(&height).map(|block| (height, block.header_hash)))
            .filter(|(height, _)| !self.state.pending.values().any(|p| p.is_checkpoint_of(*height)))
            .collect();
        for (height, header_hash) in stale {
            self.send_checkpoint(height, header_hash, out);
        }
    }

    /// The height that at least one correct replica has reached: the (f + 1)-th highest of what validators say, one entry
    /// each (4.3).
    pub(super) fn target(&self) -> Height {
        let mut heights: Vec<Height> = self.state.peers.values().map(|peer| peer.executed).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        let said = heights.get(self.config.validators.f()).copied().unwrap_or_default();
        // A certificate is a quorum's word.
        said.max(self.proven_height())
    }

    /// Remembers that a validator named this height.
    pub(super) fn note_height(&mut self, index: NodeIndex, height: Height) {
        if self.config.me == Some(index) {
            return;
        }
        let peer = self.state.peers.entry(index).or_default();
        peer.executed = peer.executed.max(height);
    }

    /// A link came up: the peer learns at once what is here, and answers with what is missing.
    pub(super) fn on_peer_up(&mut self, peer: NodeIndex, out: &mut Vec<Output>) {
        if let Some(peer) = self.state.peers.get_mut(&peer) {
            peer.answered = None;
            peer.shown = Shown::default();
        }
        let status = self.safety.sign_status(self.own_status());
        out.push(Output::Send { to: peer, message: Message::Status(status) });
    }

    /// A peer tells what it has: it is sent what it lacks, not more often than STATUS itself is sent.
    pub(super) fn on_status(&mut self, status: Signed<Status>, out: &mut Vec<Output>) {
        let Some(index) = self.index_of(&status.signer) else { return };
        if self.config.me == Some(index) {
            return;
        }
        self.state.heard.insert(index);
        let status = status.body;
        let now = self.now;
        let least = self.config.status_interval / 2;
        let peer = self.state.peers.entry(index).or_default();
        peer.low = peer.low.max(status.low);
        peer.executed = peer.executed.max(status.executed);
        if peer.answered.is_some_and(|last| now.saturating_since(last) < least) {
            return;
        }
        peer.answered = Some(now);
        self.answer_view(index, &status, out);
        self.answer_slots(index, &status, out);
        self.answer_uncertified(index, &status, out);
        if self.target() > self.state.delivered {
            self.state.status_timer.hasten(self.config.status_interval);
        }
    }

    /// A peer in a lower view, or one that waits for its view to begin: it is sent the NEW-VIEW, which is enough to enter the
    /// view, or the VIEW-CHANGEs that it lacks.
    fn answer_view(&mut self, to: NodeIndex, status: &Status, out: &mut Vec<Output>) {
        let view = self.state.view;
        if status.view > view || (status.view == view && status.active) {
            return;
        }
        if let Some(opening) = &self.state.opening {
            // A vote that is not durable is shown to nobody (3.4); another's NEW-VIEW is held back as well, for a moment.
            if opening.is_durable {
                out.push(Output::Send { to, message: Message::NewView(opening.new_view.clone()) });
            }
            return;
        }
        let lacks = |index: &NodeIndex| status.view < view || status.view_changes & (1 << index.0) == 0;
        let own = self.config.me;
        let held = self.state.view_changes.iter().filter(|(index, held)| lacks(index) && held.signed.body.view >= view);
        let mut held: Vec<_> = held.filter(|(index, _)| **index != to).collect();
        held.sort_by_key(|(index, _)| Some(**index) != own);
        // As many as make it join; with its next STATUS from this view it gets the rest.
        let most = if status.view < view { self.config.validators.weak_quorum() } else { held.len() };
        held.truncate(most);
        let what = (view, held.iter().fold(0, |bits, (index, _)| bits | 1 << index.0));
        let messages: Vec<_> = held.into_iter().map(|(_, held)| Message::ViewChange(held.signed.clone())).collect();
        if self.may_show(to, what) {
            out.extend(messages.into_iter().map(|message| Output::Send { to, message }));
        }
    }

    /// Whether a peer may be sent these VIEW-CHANGEs now: others than before at once, the same at intervals that double.
    fn may_show(&mut self, to: NodeIndex, what: (View, u32)) -> bool {
        let (now, interval) = (self.now, self.config.status_interval);
        let shown = &mut self.state.peers.entry(to).or_default().shown;
        if shown.what != what {
            *shown = Shown { what, ..Shown::default() };
        }
        let may = what.1 != 0 && shown.again_at <= now;
        if may {
            shown.again_at = now + interval * (1 << shown.times.min(SHOWN_DOUBLINGS_MAX));
            shown.times = shown.times.saturating_add(1);
        }
        may
    }

    fn answer_slots(&self, to: NodeIndex, status: &Status, out: &mut Vec<Output>) {
        let young = self.config.status_interval / 2;
        let (mut slots, mut ids) = (0, 0);
        for (sequence, slot) in self.state.slots.range(Sequence::from(status.low.next())..) {
            let said = status.progress(*sequence);
            // What a peer says of its votes is about its own view.
            let is_same_view = (status.view, status.active) == (self.state.view, true) && self.state.active;
            let has = if is_same_view { said } else { said | progress::ACCEPTED | progress::PREPARED };
            let is_recent = slot.since.is_some_and(|since| self.now.saturating_since(since) < young);
            let is_young = slot.committed.is_none() && is_recent;
            if has & progress::COMMITTED != 0 || is_young || Height::from(*sequence) <= status.executed {
                continue;
            }
            let before = out.len();
            if !is_same_view && slot.committed.is_none() {
                continue;
            }
            ids += self.answer_slot(to, *sequence, has, slot, out);
            slots += usize::from(out.len() > before);
            if slots >= ANSWERED_SLOTS_MAX || ids >= ANSWERED_IDS_MAX {
                break;
            }
        }
    }

    /// Sends what a peer lacks of one slot; returns how many transaction ids that carried.
    fn answer_slot(&self, to: NodeIndex, sequence: Sequence, has: u8, slot: &Slot, out: &mut Vec<Output>) -> usize {
        if let Some(certificate) = &slot.committed {
            out.push(Output::Send { to, message: Message::CommitCertificate(certificate.clone()) });
            return certificate.content.batch().map_or(0, |batch| batch.ids.len());
        }
        let mut ids = 0;
        if has & progress::ACCEPTED == 0
            && sequence > self.view_max()
            && slot.accepted_digest().is_some()
            && let Some(Acceptance { pre_prepare, content: Some(content), .. }) = &slot.acceptance
        {
            ids = content.batch().map_or(0, |batch| batch.ids.len());
            let proposal = Proposal { pre_prepare: pre_prepare.clone(), content: content.clone() };
            out.push(Output::Send { to, message: Message::PrePrepare(proposal) });
        }
        if has & progress::PREPARED == 0 {
            out.extend(
                slot.prepares.iter().map(|(_, vote)| Output::Send { to, message: Message::Prepare(vote.clone()) }),
            );
        }
        out.extend(slot.commits.iter().map(|(_, vote)| Output::Send { to, message: Message::Commit(vote.clone()) }));
        ids
    }

    fn answer_uncertified(&mut self, to: NodeIndex, status: &Status, out: &mut Vec<Output>) {
        let asked: BTreeSet<Height> = status.uncertified.iter().copied().collect();
        for height in asked {
            let Some(block) = self.state.blocks.get(&height) else {
                if height <= self.state.executed {
                    out.push(Output::ServeCertificate { to, height });
                }
                continue;
            };
            let checkpoint = Checkpoint { epoch: self.config.epoch, height, header_hash: block.header_hash };
            if let Some(certificate) = block.certificate.clone() {
                let certified = CertifiedCheckpoint { checkpoint, certificate };
                out.push(Output::Send { to, message: Message::CertifiedCheckpoint(certified) });
            } else {
                let held = block.checkpoints.iter().map(|(_, signed)| signed.clone());
                out.extend(held.map(|signed| Output::Send { to, message: Message::Checkpoint(signed) }));
            }
        }
    }

    /// q COMMITs with the batch: accepted in any view for any height above mine (4.2).
    pub(super) fn on_commit_certificate(&mut self, certificate: CommitCertificate, out: &mut Vec<Output>) {
        let Some(ballot) = certificate.ballot() else { return };
        self.compare_commits(&certificate, out);
        if Height::from(ballot.sequence) <= self.state.executed || !self.in_window(ballot.sequence) {
            return;
        }
        let slot = self.slot(ballot.sequence);
        match slot.committed.as_ref().and_then(CommitCertificate::ballot) {
            None => {
                slot.committed = Some(certificate);
                self.try_deliver(out);
            }
            Some(held) if held.digest == ballot.digest => {}
            Some(held) => {
                let reason = format!(
                    "two batches committed at sequence {}: {} and {}; more than f validators lie. Nothing is signed from \
                     here on",
                    ballot.sequence, held.digest, ballot.digest
                );
                self.halt(reason, out);
            }
        }
    }

    /// STATUS goes out soon: something is waiting that only peers can bring.
    pub fn hasten_status(&mut self, after: Duration) {
        self.state.status_timer.hasten(after);
    }
}
