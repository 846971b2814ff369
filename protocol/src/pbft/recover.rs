//! What a restart takes back from the vote log: its votes may have left before the crash, so they count as cast.
//!
//! Records come in the order in which they were written, but for copies of what outlives its segment, which may stand behind
//! votes of the view that they tell of. So the views are taken back first, and then the votes, each in their order; and each
//! function here can be given the same again.

use std::collections::BTreeSet;

use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    engine::Engine,
    message::{
        Ballot, Commit, Content, NewView, PrePrepare, Prepare, PreparedCertificate, ViewChange, view_change_name,
    },
    new_view::plan_of,
    record::Record,
    safety::Phase,
    slot::{Acceptance, Stage},
    state::{HeldViewChange, Opening},
};
use crate::{
    document::Batch,
    id::{Height, Sequence},
};

impl Engine {
    /// Takes the whole log back.
    pub(super) fn restore(&mut self, records: Vec<Record>) {
        let (views, votes): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|record| record.sequence().is_none());
        views.into_iter().chain(votes).for_each(|record| self.restore_record(record));
    }

    /// The window moved: what the vote log holds of the slots that came in is taken back.
    pub(super) fn restore_late_records(&mut self) {
        for record in std::mem::take(&mut self.state.late) {
            self.restore_record(record);
        }
    }

    /// Takes one record of the vote log back, inside the window or not.
    pub(super) fn restore_record(&mut self, record: Record) {
        match record {
            Record::ViewChange(signed) => self.restore_view_change(signed),
            Record::NewView { new_view, view_changes } => self.restore_new_view(new_view, view_changes),
            Record::Floor(height) => self.safety.remember_floor(height),
            Record::Proven(certified) => {
                self.safety.set_low(certified.checkpoint.height);
                self.learn_watermark(Some(&certified));
            }
            Record::Accepted { pre_prepare, content, prepare } => self.restore_accepted(pre_prepare, content, prepare),
            Record::Prepared { certificate, commit } => self.restore_prepared(certificate, commit),
        }
    }

    fn restore_view_change(&mut self, signed: Signed<ViewChange>) {
        let body = &signed.body;
        if body.epoch != self.config.epoch || body.view <= self.state.view {
            return;
        }
        self.safety.enter_view(body.view);
        self.reset_view(body.view);
        self.learn_watermark(body.low.as_ref());
        self.state.own_view_change = Some(signed.clone());
        if let Some(me) = self.config.me {
            let held = HeldViewChange { name: view_change_name(&signed), signed };
            self.state.view_changes.insert(me, held);
        }
    }

    fn restore_new_view(&mut self, new_view: Signed<NewView>, view_changes: Vec<Signed<ViewChange>>) {
        let (epoch, view) = (new_view.body.epoch, new_view.body.view);
        if epoch == self.config.epoch && new_view.signer == self.safety.public_key() {
            self.safety.remember_opened(view);
            new_view.body.pre_prepares.iter().for_each(|p| self.safety.remember(p.body.0, Phase::PrePrepare));
            self.state.own_new_view = Some(new_view.clone());
        }
        let is_new = view > self.state.view || (view == self.state.view && !self.state.active);
        let is_whole = view_changes.len() == new_view.body.view_changes.len();
        if epoch != self.config.epoch || !is_new || !is_whole {
            return;
        }
        if view > self.state.view {
            self.safety.enter_view(view);
            self.reset_view(view);
        }
        let plan = plan_of(&view_changes, self.config.base);
        let again = new_view.body.pre_prepares.to_vec();
        let view_changes = view_changes.into_iter().map(|signed| (view_change_name(&signed), signed)).collect();
        self.activate(Opening { new_view, view_changes, min: plan.min, max: plan.max, is_durable: true });
        for pre_prepare in again {
            let Ballot { sequence, digest, .. } = pre_prepare.body.0;
            if self.in_window(sequence) {
                let content = self.content(sequence, &digest);
                self.slot(sequence).acceptance = Some(Acceptance { pre_prepare, content, stage: Stage::Checking });
            }
        }
    }

    fn restore_accepted(
        &mut self,
        pre_prepare: Signed<PrePrepare>,
        content: Option<Content>,
        prepare: Option<Signed<Prepare>>,
    ) {
        let ballot = pre_prepare.body.0;
        if Height::from(ballot.sequence) <= self.state.low || ballot.epoch != self.config.epoch {
            return;
        }
        self.safety.remember(ballot, if prepare.is_some() { Phase::Prepare } else { Phase::PrePrepare });
        if let Some(content) = &content {
            self.state.contents.insert((ballot.sequence, ballot.digest), content.clone());
        }
        if ballot.view != self.state.view {
            return;
        }
        if prepare.is_none() {
            self.state.next_sequence = self.state.next_sequence.max(ballot.sequence.next());
        }
        if !self.in_window(ballot.sequence) {
            return self.state.late.push(Record::Accepted { pre_prepare, content, prepare });
        }
        let me = self.config.me;
        let slot = self.slot(ballot.sequence);
        if let (Some(me), Some(prepare)) = (me, prepare) {
            slot.prepares.insert(me, prepare);
        }
        slot.acceptance = Some(Acceptance { pre_prepare, content, stage: Stage::Durable });
    }

    fn restore_prepared(&mut self, certificate: PreparedCertificate, commit: Signed<Commit>) {
        let ballot = commit.body.0;
        if Height::from(ballot.sequence) <= self.state.low || ballot.epoch != self.config.epoch {
            return;
        }
        self.safety.remember(ballot, Phase::Commit);
        self.remember_prepared(&certificate);
        if ballot.view != self.state.view {
            return;
        }
        if !self.in_window(ballot.sequence) {
            return self.state.late.push(Record::Prepared { certificate, commit });
        }
        let primary = self.primary();
        let members = self.config.validators.clone();
        let me = self.config.me;
        let slot = self.slot(ballot.sequence);
        for prepare in certificate.prepares.iter() {
            if let Some(index) = members.index_of(&prepare.signer).filter(|index| *index != primary) {
                slot.prepares.insert(index, prepare.clone());
            }
        }
        if let Some(me) = me {
            slot.commits.insert(me, commit);
        }
        slot.prepared = Some(certificate);
        slot.prepared_durable = true;
    }

    /// The whole log is read: of the contents in it only those are kept that a view change may ask for, or that the
    /// current view proposes.
    pub(super) fn forget_unneeded_contents(&mut self) {
        let prepared = self.state.prepared.values().map(|certificate| certificate.pre_prepare.body.0);
        let accepted = self.state.slots.values().filter_map(|slot| slot.acceptance.as_ref()).map(Acceptance::ballot);
        let needed: BTreeSet<(Sequence, Digest)> =
            prepared.chain(accepted).map(|ballot| (ballot.sequence, ballot.digest)).collect();
        self.state.contents.retain(|key, _| needed.contains(key));
        for (sequence, slot) in &mut self.state.slots {
            if let Some(acceptance) = slot.acceptance.as_mut().filter(|acceptance| acceptance.content.is_none()) {
                acceptance.content = self.state.contents.get(&(*sequence, acceptance.ballot().digest)).cloned();
            }
        }
    }

    /// The batches whose bodies may be wanted again, for a replica that starts.
    pub fn kept_contents(&self) -> BTreeSet<(Sequence, Digest)> {
        let first = (Sequence::from(self.state.executed.next()), Digest::ZERO);
        self.state.contents.range(first..).map(|(key, _)| *key).collect()
    }

    /// The batches that stand in the current view and are not executed, for a replica that starts.
    pub fn proposed(&self) -> impl Iterator<Item = (Sequence, &Batch)> {
        let open = self.state.slots.range(Sequence::from(self.state.executed.next())..);
        open.filter_map(|(n, slot)| Some((*n, slot.acceptance.as_ref()?.content.as_ref()?.batch()?)))
    }
}
