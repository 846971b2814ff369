//! Leaving a view (OSDI'99, section 4.4; PROTOCOL 5.1 to 5.3, 5.6, 5.7): when, with what message, and who is joined.

use std::{collections::BTreeSet, time::Duration};

use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    engine::Engine,
    evidence::Evidence,
    message::{CertifiedCheckpoint, Content, Message, ViewChange, view_change_name},
    output::{Note, Output},
    record::Record,
    slot::Stage,
    state::{HeldViewChange, Pending},
};
use crate::id::{Height, NodeIndex, Sequence, View};

impl Engine {
    /// How long the current view may go without progress, or its NEW-VIEW may take: doubled for each view that failed.
    pub fn view_timeout(&self) -> Duration {
        let doubled = self.config.view_timeout.saturating_mul(1 << self.state.failed_views.min(30));
        doubled.min(self.config.view_timeout_max)
    }

    /// Starts or stops the timer of the view, as what is pending and what others said want it.
    pub(super) fn update_view_timer(&mut self) {
        let runs = if !self.safety.is_voting() {
            false
        } else if self.state.active {
            // Whoever is far behind cannot tell whether the primary is slow (5.6), nor can one that has just started and
            // has not heard a quorum yet: it would leave alone, and stay out of the view until others leave as well.
            let has_heard_a_quorum = self.state.heard.len() + 1 >= self.config.validators.quorum();
            self.is_pending() && !self.is_far_behind() && has_heard_a_quorum
        } else {
            // Fewer than a quorum may be wrong to leave; those who stay make progress without this replica (5.7).
            self.view_changes_from(self.state.view) >= self.config.validators.quorum()
        };
        if !runs {
            self.state.view_timer.stop();
        } else if !self.state.view_timer.is_running() {
            self.state.view_timer.set(self.view_timeout());
        }
    }

    /// The view has failed, or its NEW-VIEW has not come.
    pub(super) fn on_view_timer(&mut self, out: &mut Vec<Output>) {
        let reason = if self.state.active {
            format!("no progress for one view timeout: {}", self.next_height_stands())
        } else {
            "no new view came in time".to_owned()
        };
        self.start_view_change(self.state.view.next(), reason, out);
    }

    /// How far the next height has come, in words: what an operator wants to know of a view that failed.
    fn next_height_stands(&self) -> String {
        let state = &self.state;
        let next = state.executed.next();
        let quorum = self.config.validators.quorum();
        if state.delivered >= next {
            return format!("height {next} is final, and not executed yet");
        }
        let slot = state.slots.get(&Sequence::from(next));
        let Some(acceptance) = slot.and_then(|slot| slot.acceptance.as_ref()) else {
            return format!("no proposal for height {next} has come here");
        };
        let digest = acceptance.ballot().digest;
        let [prepares, commits] =
            slot.map_or([0; 2], |slot| [slot.prepares.count(&digest), slot.commits.count(&digest)]);
        match acceptance.stage {
            Stage::Checking => format!("the proposal for height {next} waits for what it names, or for its time"),
            Stage::Refused => format!("the proposal for height {next} was refused"),
            Stage::Persisting | Stage::Durable => {
                // The primary's own PREPARE is its proposal.
                format!("height {next} has {} of {quorum} PREPAREs and {commits} of {quorum} COMMITs", prepares + 1)
            }
        }
    }

    /// The pool's word about the primary (5.6).
    pub(super) fn on_demand(&mut self, pending: bool, unfair: Option<String>, out: &mut Vec<Output>) {
        self.state.pool_pending = pending;
        if let Some(reason) = unfair
            && self.state.active
            && !self.is_far_behind()
        {
            self.start_view_change(self.state.view.next(), reason, out);
        }
    }

    /// A block was executed that counts as progress: the view has not failed, and the next block has its time anew.
    pub(super) fn note_progress(&mut self) {
        if self.state.active {
            self.state.progressed = true;
            self.state.failed_views = 0;
            self.state.view_timer.stop();
        }
    }

    /// Whether something waits to be ordered or executed.
    fn is_pending(&self) -> bool {
        let first = Sequence::from(self.state.executed.next());
        self.state.pool_pending
            || self.state.delivered > self.state.executed
            || self.view_max() >= first
            || self.state.slots.range(first..).any(|(_, slot)| slot.acceptance.is_some() || slot.committed.is_some())
    }

    fn is_far_behind(&self) -> bool {
        self.target().0 > self.state.executed.0.saturating_add(self.config.checkpoint_interval)
    }

    /// Leaves the current view: from the VIEW-CHANGE on nothing is signed for a lower one, ever (5.2).
    pub(super) fn start_view_change(&mut self, view: View, reason: String, out: &mut Vec<Output>) {
        let low = self.proven_height();
        let prepared: Vec<_> = self
            .state
            .prepared
            .range(Sequence::from(low.next())..)
            .map(|(_, certificate)| certificate.clone())
            .collect();
        let Ok(prepared) = prepared.try_into() else { return };
        let body = ViewChange { epoch: self.config.epoch, view, low: self.state.proven.clone(), prepared };
        match self.safety.sign_view_change(body) {
            Ok(signed) => {
                out.push(Output::Note(Note::LeftView { to: view, reason }));
                self.leave_view(view, out);
                self.state.own_view_change = Some(signed.clone());
                let release = vec![Message::ViewChange(signed.clone())];
                self.persist(Record::ViewChange(signed.clone()), release, Pending::ViewChange(signed), out);
                self.try_candidates(out);
                self.try_open_view(out);
            }
            Err(refusal) => Self::note_not_signed("VIEW-CHANGE", refusal, out),
        }
    }

    /// Everything of the view before ends here, but for what may have committed in it.
    pub(super) fn leave_view(&mut self, view: View, out: &mut Vec<Output>) {
        self.reset_view(view);
        self.state.status_timer.hasten(self.config.status_interval);
        let first = Sequence::from(self.state.executed.next());
        let kept = self.state.contents.range((first, Digest::ZERO)..).map(|(key, _)| *key);
        let committed: BTreeSet<(Sequence, Digest)> =
            self.state.slots.range(first..).filter_map(|(n, slot)| slot.committed_digest().map(|d| (*n, d))).collect();
        out.push(Output::Entered {
            view,
            active: false,
            kept: kept.chain(committed.iter().copied()).collect(),
            committed: committed.into_iter().collect(),
        });
    }

    /// The state of a view that was just entered: of the slots only what is final stays.
    pub(super) fn reset_view(&mut self, view: View) {
        let state = &mut self.state;
        state.failed_views = if state.progressed { 0 } else { state.failed_views.saturating_add(1) };
        state.progressed = false;
        (state.view, state.active, state.opening) = (view, false, None);
        state.view_timer.stop();
        state.wanted.clear();
        state.held.clear();
        state
            .contents
            .retain(|key, _| state.prepared.get(&key.0).is_some_and(|p| p.pre_prepare.body.0.digest == key.1));
        state.left.clear();
        for (sequence, slot) in &mut state.slots {
            slot.prepares = Default::default();
            slot.commits = Default::default();
            (slot.prepared, slot.prepared_durable) = (None, false);
            let Some(acceptance) = slot.acceptance.take() else { continue };
            if let Some(content) = acceptance.content
                && matches!(acceptance.stage, Stage::Persisting | Stage::Durable)
            {
                // Others may have prepared it where this replica has not.
                state.contents.insert((*sequence, acceptance.pre_prepare.body.0.digest), content);
            }
            state.left.insert(*sequence, acceptance.pre_prepare);
        }
        let high = state.low.0.saturating_add(self.config.window);
        state.slots.retain(|sequence, slot| slot.committed.is_some() && sequence.0 <= high);
        state.view_changes.retain(|_, held| held.signed.body.view >= view);
        state.candidates.retain(|_, candidate| candidate.new_view.body.view >= view);
    }

    /// This replica's VIEW-CHANGE is durable, and counts from here on.
    pub(super) fn on_view_change_durable(&mut self, signed: Signed<ViewChange>, out: &mut Vec<Output>) {
        let Some(me) = self.config.me else { return };
        if signed.body.view != self.state.view || self.state.active {
            return;
        }
        let name = view_change_name(&signed);
        self.offer_to_candidates(name, &signed);
        self.state.view_changes.insert(me, HeldViewChange { name, signed });
        self.try_candidates(out);
        self.try_open_view(out);
    }

    /// Some validator left a view.
    pub(super) fn on_view_change(&mut self, signed: Signed<ViewChange>, out: &mut Vec<Output>) {
        let Some(index) = self.index_of(&signed.signer) else { return };
        signed.body.prepared.iter().for_each(|certificate| self.compare_prepared(certificate, out));
        let name = view_change_name(&signed);
        let is_named = self.offer_to_candidates(name, &signed);
        let view = signed.body.view;
        let is_current = view > self.state.view || (view == self.state.view && !self.state.active);
        if is_current && self.config.me != Some(index) {
            self.keep_view_change(index, HeldViewChange { name, signed }, out);
        }
        if is_named {
            self.try_candidates(out);
        }
        self.try_join(out);
        self.try_open_view(out);
    }

    /// One VIEW-CHANGE for each validator is kept, that of the highest view (5.7); of one view the first.
    fn keep_view_change(&mut self, index: NodeIndex, new: HeldViewChange, out: &mut Vec<Output>) {
        let before = self.state.view_changes.get(&index);
        match before.map(|held| (held.signed.body.view.cmp(&new.signed.body.view), held.name == new.name)) {
            Some((std::cmp::Ordering::Greater, _)) | Some((std::cmp::Ordering::Equal, true)) => {}
            Some((std::cmp::Ordering::Equal, false)) => {
                if let Some(first) = before.map(|held| held.signed.clone()) {
                    self.accuse(Evidence::ViewChange(first, new.signed), out);
                }
            }
            Some((std::cmp::Ordering::Less, _)) | None => {
                self.learn_watermark(new.signed.body.low.as_ref());
                self.state.view_changes.insert(index, new);
                self.state.status_timer.hasten(self.config.status_interval);
            }
        }
    }

    /// f + 1 replicas are in higher views than this one: at least one correct replica is, so this one follows to the view
    /// that f + 1 of them have reached (5.7). The word of fewer moves nobody.
    fn try_join(&mut self, out: &mut Vec<Output>) {
        let mut above: Vec<View> = self
            .state
            .view_changes
            .values()
            .map(|held| held.signed.body.view)
            .filter(|view| *view > self.state.view)
            .collect();
        above.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(view) = above.get(self.config.validators.weak_quorum() - 1) {
            self.start_view_change(*view, format!("{} replicas left for higher views", above.len()), out);
        }
    }

    /// How many replicas, this one included, have left for `view` or higher ones.
    pub(super) fn view_changes_from(&self, view: View) -> usize {
        self.state.view_changes.values().filter(|held| held.signed.body.view >= view).count()
    }

    /// The highest watermark h that this replica can prove.
    pub(super) fn proven_height(&self) -> Height {
        self.state.proven.as_ref().map_or(self.config.base, |certified| certified.checkpoint.height)
    }

    /// Somebody proved a watermark: nothing at or below it needs a prepared certificate any more (5.1).
    pub(super) fn learn_watermark(&mut self, certified: Option<&CertifiedCheckpoint>) {
        let Some(certified) = certified else { return };
        let height = certified.checkpoint.height;
        if height > self.proven_height() && height.0.is_multiple_of(self.config.checkpoint_interval) {
            self.state.proven = Some(certified.clone());
            self.state.prepared = self.state.prepared.split_off(&Sequence::from(height).next());
        }
    }

    /// What a digest at a sequence stands for, if it is known here.
    pub fn content(&self, sequence: Sequence, digest: &Digest) -> Option<Content> {
        if *digest == Content::Null.digest() {
            return Some(Content::Null);
        }
        let slot = self.state.slots.get(&sequence);
        let accepted = slot.and_then(|slot| slot.acceptance.as_ref()).filter(|a| a.ballot().digest == *digest);
        let committed = slot.filter(|slot| slot.committed_digest() == Some(*digest));
        let committed = committed.and_then(|slot| slot.committed.as_ref()).map(|held| &held.content);
        let kept = self.state.contents.get(&(sequence, *digest));
        kept.or(accepted.and_then(|a| a.content.as_ref())).or(committed).cloned()
    }

    /// A VIEW-CHANGE by its name, for a peer that asks.
    pub fn view_change(&self, name: &Digest) -> Option<Signed<ViewChange>> {
        let of_opening = self.state.opening.as_ref().and_then(|opening| opening.view_changes.get(name));
        let of_candidates =
            self.state.candidates.values().find_map(|candidate| candidate.view_changes.get(name)?.as_ref());
        let held = self.state.view_changes.values().find(|held| held.name == *name).map(|held| &held.signed);
        held.or(of_candidates).or(of_opening).cloned()
    }
}
