//! Opening a view (OSDI'99, section 4.4; PROTOCOL 5.4): what its primary proposes again, and how everybody checks it.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    engine::Engine,
    evidence::Evidence,
    message::{Ballot, Content, Message, NewView, PrePrepare, ViewChange, view_change_name},
    output::{Note, Output, Purpose},
    record::Record,
    safety::Refusal,
    slot::{Acceptance, Stage},
    state::{Candidate, Opening, Pending},
};
use crate::id::{Height, NodeIndex, Sequence, View};

/// What follows from a quorum of VIEW-CHANGEs.
pub(super) struct Plan {
    /// min-s: the highest watermark that they prove.
    pub min: Sequence,
    /// max-s: the highest sequence that any of them had prepared; min-s if none had any.
    pub max: Sequence,
    /// For each sequence between them the digest that was prepared in the highest view, else null.
    pub digests: Vec<(Sequence, Digest)>,
}

/// O, as everybody computes it from the VIEW-CHANGEs that a NEW-VIEW names (5.4). The view of a prepared certificate
/// decides: what committed in some view was prepared there by a quorum, of which one correct replica speaks here, and in
/// every later view only the same digest can have been prepared.
pub(super) fn plan_of(view_changes: &[Signed<ViewChange>], base: Height) -> Plan {
    let min = view_changes.iter().map(|signed| signed.body.low(base)).max().unwrap_or(base);
    let min = Sequence::from(min);
    let mut highest: BTreeMap<Sequence, (View, Digest)> = BTreeMap::new();
    for certificate in view_changes.iter().flat_map(|signed| signed.body.prepared.iter()) {
        let ballot = certificate.pre_prepare.body.0;
        if ballot.sequence > min {
            let entry = highest.entry(ballot.sequence).or_insert((ballot.view, ballot.digest));
            *entry = (*entry).max((ballot.view, ballot.digest));
        }
    }
    let max = highest.last_key_value().map_or(min, |(sequence, _)| *sequence);
    let null = Content::Null.digest();
    let digests = (min.0 + 1..=max.0)
        .map(Sequence)
        .map(|sequence| (sequence, highest.get(&sequence).map_or(null, |(_, digest)| *digest)))
        .collect();
    Plan { min, max, digests }
}

impl Engine {
    /// The last sequence that the current view proposes again; fresh proposals are above it.
    pub(super) fn view_max(&self) -> Sequence {
        self.state.opening.as_ref().map_or(Sequence::from(self.config.base), |opening| opening.max)
    }

    /// The watermark from which the current view began.
    pub(super) fn view_min(&self) -> Height {
        self.state.opening.as_ref().map_or(self.config.base, |opening| Height::from(opening.min))
    }

    /// The primary of a view that is not active opens it, once it has q VIEW-CHANGEs whose batches it holds with their
    /// bodies.
    pub(super) fn try_open_view(&mut self, out: &mut Vec<Output>) {
        if self.state.active || !self.is_primary() || !self.safety.is_voting() {
            return;
        }
        let quorum = self.config.validators.quorum();
        let view = self.state.view;
        let held = self.state.view_changes.iter().filter(|(_, held)| held.signed.body.view == view);
        let candidates: Vec<NodeIndex> = held.map(|(index, _)| *index).collect();
        let Some(me) = self.config.me.filter(|me| candidates.contains(me)) else { return };
        if candidates.len() < quorum {
            return;
        }
        let mut ready: Vec<NodeIndex> =
            candidates.into_iter().filter(|index| self.holds_prepared_of(*index, out)).collect();
        ready.sort_by_key(|index| *index != me);
        ready.truncate(quorum);
        if ready.len() == quorum {
            let held = ready.iter().filter_map(|index| self.state.view_changes.get(index));
            let view_changes = held.map(|held| held.signed.clone()).collect();
            self.open_own_view(view_changes, out);
        }
    }

    /// Whether everything that a VIEW-CHANGE had prepared is here with its bodies; what is not is asked for.
    fn holds_prepared_of(&mut self, index: NodeIndex, out: &mut Vec<Output>) -> bool {
        let Some(held) = self.state.view_changes.get(&index) else { return false };
        let prepared = held.signed.body.prepared.iter().map(|certificate| certificate.pre_prepare.body.0);
        let mut all = true;
        for Ballot { sequence, digest, .. } in prepared.collect::<Vec<_>>() {
            let is_executed = Height::from(sequence) <= self.state.executed;
            let looked_at = self.state.held.get(&(sequence, digest)).copied();
            if is_executed || digest == Content::Null.digest() || looked_at == Some(true) {
                continue;
            }
            all = false;
            if looked_at.is_some() {
                continue;
            }
            match self.content(sequence, &digest) {
                Some(content) => {
                    self.state.held.insert((sequence, digest), false);
                    self.state.contents.insert((sequence, digest), content.clone());
                    out.push(Output::Check { sequence, content, purpose: Purpose::Candidate });
                }
                None => self.want_content(sequence, digest),
            }
        }
        all
    }

    fn open_own_view(&mut self, view_changes: Vec<Signed<ViewChange>>, out: &mut Vec<Output>) {
        let (epoch, view) = (self.config.epoch, self.state.view);
        let plan = plan_of(&view_changes, self.config.base);
        let ballots: Vec<Ballot> = plan
            .digests
            .iter()
            .map(|(sequence, digest)| Ballot { epoch, view, sequence: *sequence, digest: *digest })
            .collect();
        let mut names: Vec<Digest> = view_changes.iter().map(view_change_name).collect();
        names.sort_unstable();
        let Ok(names) = names.try_into() else { return };
        match self.safety.sign_new_view(view, names, &ballots) {
            Ok(new_view) => self.open_view(new_view, view_changes, plan, out),
            Err(refusal) => Self::note_not_signed("NEW-VIEW", refusal, out),
        }
    }

    /// A NEW-VIEW of the primary of its view. Its own signatures are good; what it says is not believed but computed again.
    pub(super) fn on_new_view(&mut self, new_view: Signed<NewView>, out: &mut Vec<Output>) {
        let view = new_view.body.view;
        if let Some(opening) = &self.state.opening
            && opening.new_view.body.view == view
            && opening.new_view.body != new_view.body
        {
            let first = opening.new_view.clone();
            return self.accuse(Evidence::NewView(first, new_view), out);
        }
        let Some(primary) = self.index_of(&new_view.signer) else { return };
        if view < self.state.view || (view == self.state.view && self.state.active) || self.config.me == Some(primary) {
            return;
        }
        if let Some(held) = self.state.candidates.get(&primary)
            && held.new_view.body.view == view
        {
            if held.new_view.body == new_view.body {
                return;
            }
            let first = held.new_view.clone();
            self.accuse(Evidence::NewView(first, new_view.clone()), out);
        }
        let view_changes = new_view.body.view_changes.iter().map(|name| (*name, self.view_change(name))).collect();
        let candidate = Candidate { new_view, view_changes, asked: 0 };
        if candidate.is_complete() {
            return self.judge(primary, candidate, out);
        }
        // One that waits has its turn until everybody was asked for what it names. After that it masks no other: a liar can name
        // what nobody has, and then open its view with the others.
        let turn = u32::try_from(self.config.validators.n()).unwrap_or(u32::MAX);
        if self.state.candidates.get(&primary).is_some_and(|held| held.asked < turn) {
            return;
        }
        self.state.candidates.insert(primary, candidate);
        self.state.status_timer.hasten(self.config.status_interval);
        self.ask_for_view_changes(primary, out);
    }

    /// A VIEW-CHANGE came: whichever NEW-VIEW names it has it from here on.
    pub(super) fn offer_to_candidates(&mut self, name: Digest, signed: &Signed<ViewChange>) -> bool {
        let mut is_named = false;
        for candidate in self.state.candidates.values_mut() {
            if let Some(place) = candidate.view_changes.get_mut(&name) {
                place.get_or_insert_with(|| signed.clone());
                is_named = true;
            }
        }
        is_named
    }

    /// Judges every NEW-VIEW whose VIEW-CHANGEs are all here, the highest view first.
    pub(super) fn try_candidates(&mut self, out: &mut Vec<Output>) {
        let complete = self.state.candidates.iter().filter(|(_, candidate)| candidate.is_complete());
        let mut complete: Vec<(View, NodeIndex)> =
            complete.map(|(primary, candidate)| (candidate.new_view.body.view, *primary)).collect();
        complete.sort_unstable();
        while let Some((_, primary)) = complete.pop() {
            if let Some(candidate) = self.state.candidates.remove(&primary) {
                self.judge(primary, candidate, out);
            }
        }
    }

    /// A NEW-VIEW with all the VIEW-CHANGEs that it names opens its view or is refused.
    fn judge(&mut self, primary: NodeIndex, candidate: Candidate, out: &mut Vec<Output>) {
        let view = candidate.new_view.body.view;
        if view < self.state.view || (view == self.state.view && self.state.active) {
            return;
        }
        let view_changes: Vec<_> = candidate.view_changes.into_values().flatten().collect();
        match check_new_view(&candidate.new_view, &view_changes, self.config.base) {
            Ok(plan) => self.open_view(candidate.new_view, view_changes, plan, out),
            Err(reason) if self.state.refused_new_views.insert(primary) => {
                out.push(Output::Note(Note::RefusedNewView { view, reason }));
            }
            Err(_) => {}
        }
    }

    /// Asks for the VIEW-CHANGEs that a NEW-VIEW names and that are not here: its primary first, then everybody in turn.
    pub(super) fn ask_for_view_changes(&mut self, primary: NodeIndex, out: &mut Vec<Output>) {
        let Some(candidate) = self.state.candidates.get_mut(&primary) else { return };
        let names: Vec<Digest> =
            candidate.view_changes.iter().filter(|(_, held)| held.is_none()).map(|(name, _)| *name).collect();
        let attempt = candidate.asked;
        candidate.asked = candidate.asked.wrapping_add(1);
        if let Some(to) = self.peer_after(primary, attempt)
            && !names.is_empty()
        {
            out.push(Output::FetchViewChanges { to, names });
        }
    }

    /// The `attempt`-th peer to ask, counted from `first`; never this replica itself.
    pub(super) fn peer_after(&self, first: NodeIndex, attempt: u32) -> Option<NodeIndex> {
        let peers: Vec<NodeIndex> =
            self.config.validators.indices().filter(|index| self.config.me != Some(*index)).collect();
        let start = peers.iter().position(|index| *index >= first).unwrap_or(0);
        (!peers.is_empty()).then(|| peers[(start + attempt as usize) % peers.len()])
    }

    /// Enters a view by a NEW-VIEW that was checked, or made here. The record of it is in the journal before any vote of the
    /// view is.
    fn open_view(
        &mut self,
        new_view: Signed<NewView>,
        view_changes: Vec<Signed<ViewChange>>,
        plan: Plan,
        out: &mut Vec<Output>,
    ) {
        let view = new_view.body.view;
        if view > self.state.view {
            self.safety.enter_view(view);
            self.leave_view(view, out);
        }
        let record = Record::NewView { new_view: new_view.clone(), view_changes: view_changes.clone() };
        // Below its floor as well: it will vote again, and must not return to a view that it had left by this.
        let keeps_a_log = self.safety.check_standing() != Err(Refusal::NotVoting);
        if keeps_a_log {
            let own = new_view.signer == self.safety.public_key();
            let release = if own { vec![Message::NewView(new_view.clone())] } else { Vec::new() };
            self.persist(record, release, Pending::NewView(view), out);
        }
        if new_view.signer == self.safety.public_key() {
            self.state.own_new_view = Some(new_view.clone());
        }
        let is_durable = !keeps_a_log;
        let view_changes = view_changes.into_iter().map(|signed| (view_change_name(&signed), signed)).collect();
        self.activate(Opening { new_view, view_changes, min: plan.min, max: plan.max, is_durable });
        let Some(opening) = &self.state.opening else { return };
        let again: Vec<Signed<PrePrepare>> = opening.new_view.body.pre_prepares.to_vec();
        out.push(Output::Note(Note::OpenedView { view, proposed_again: again.len() }));
        out.push(Output::Entered { view, active: true, kept: Vec::new(), committed: Vec::new() });
        if let Some(contradiction) = again.iter().find_map(|pre_prepare| self.contradiction(pre_prepare)) {
            // Before anything of it is signed, what comes before the contradiction included.
            return self.halt(contradiction, out);
        }
        for pre_prepare in again {
            self.propose_again(pre_prepare, out);
        }
        self.retry_slots(out);
    }

    /// What opened the view is in the journal.
    pub(super) fn on_new_view_durable(&mut self, view: View) {
        if let Some(opening) = self.state.opening.as_mut().filter(|opening| opening.new_view.body.view == view) {
            opening.is_durable = true;
        }
    }

    /// The current view is active from here on.
    pub(super) fn activate(&mut self, opening: Opening) {
        for signed in opening.view_changes.values() {
            self.learn_watermark(signed.body.low.as_ref());
        }
        let state = &mut self.state;
        let view = opening.new_view.body.view;
        state.view_changes.retain(|_, held| held.signed.body.view > view);
        state.candidates.retain(|_, candidate| candidate.new_view.body.view > view);
        state.next_sequence = opening.max.next().max(Sequence::from(state.delivered).next());
        (state.active, state.opening, state.progressed) = (true, Some(opening), false);
        state.view_timer.stop();
    }

    /// Why a proposal of O cannot be: another digest is final there (3.6). Below the low watermark nothing is remembered.
    fn contradiction(&self, pre_prepare: &Signed<PrePrepare>) -> Option<String> {
        let Ballot { sequence, digest, .. } = pre_prepare.body.0;
        let other = self.final_digest(sequence).filter(|other| self.in_window(sequence) && *other != digest)?;
        Some(format!(
            "the new view proposes {digest} at sequence {sequence}, and {other} is final there: more than f validators lie. \
             Nothing is signed from here on"
        ))
    }

    /// One proposal of O.
    pub(super) fn propose_again(&mut self, pre_prepare: Signed<PrePrepare>, out: &mut Vec<Output>) {
        let Ballot { sequence, digest, .. } = pre_prepare.body.0;
        if !self.in_window(sequence) {
            return;
        }
        let content = self.content(sequence, &digest);
        let slot = self.slot(sequence);
        slot.acceptance = Some(Acceptance { pre_prepare, content, stage: Stage::Checking });
        self.check_again(sequence, out);
        self.try_commit(sequence, out);
    }

    /// The digest that is executed or committed at a sequence, as far as this replica remembers.
    pub(super) fn final_digest(&self, sequence: Sequence) -> Option<Digest> {
        let height = Height::from(sequence);
        let executed = self.state.blocks.get(&height).map(|block| block.digest);
        let executing = self.state.executing.get(&height).map(|executing| executing.digest);
        let committed = self.state.slots.get(&sequence).and_then(super::slot::Slot::committed_digest);
        executed.or(executing).or(committed)
    }

    /// Some digest's content is wanted; it is asked for until it comes or nobody wants it any more.
    pub(super) fn want_content(&mut self, sequence: Sequence, digest: Digest) {
        self.state.wanted.entry((sequence, digest)).or_insert(0);
    }

    /// Asks for contents, each of the next peer: for those that nobody was asked for yet, or for all.
    pub(super) fn ask_for_contents(&mut self, all: bool, out: &mut Vec<Output>) {
        let primary = self.primary();
        let mut asks: BTreeMap<NodeIndex, Vec<(Sequence, Digest)>> = BTreeMap::new();
        let due: Vec<_> =
            self.state.wanted.iter().filter(|(_, asked)| all || **asked == 0).map(|(k, n)| (*k, *n)).collect();
        for (key, asked) in due {
            self.state.wanted.insert(key, asked.saturating_add(1));
            if let Some(to) = self.peer_after(primary, asked) {
                asks.entry(to).or_default().push(key);
            }
        }
        out.extend(asks.into_iter().map(|(to, wanted)| Output::FetchContents { to, wanted }));
    }

    /// With each STATUS: what is still missing is asked for again, of the next peer.
    pub(super) fn ask_again(&mut self, out: &mut Vec<Output>) {
        let primaries: Vec<NodeIndex> = self.state.candidates.keys().copied().collect();
        for primary in primaries {
            self.ask_for_view_changes(primary, out);
        }
        let executed = self.state.executed;
        self.state.wanted.retain(|(sequence, _), _| Height::from(*sequence) > executed);
        self.ask_for_contents(true, out);
    }

    /// The content of a digest came.
    pub(super) fn on_content(&mut self, sequence: Sequence, content: Content, out: &mut Vec<Output>) {
        let digest = content.digest();
        if self.state.wanted.remove(&(sequence, digest)).is_none() {
            return;
        }
        self.state.contents.insert((sequence, digest), content.clone());
        if let Some(acceptance) = self.state.slots.get_mut(&sequence).and_then(|slot| slot.acceptance.as_mut())
            && acceptance.ballot().digest == digest
        {
            acceptance.content = Some(content);
        }
        self.check_again(sequence, out);
        self.try_commit(sequence, out);
        self.try_open_view(out);
    }
}

/// Whether a NEW-VIEW follows from the VIEW-CHANGEs that it names.
fn check_new_view(
    new_view: &Signed<NewView>,
    view_changes: &[Signed<ViewChange>],
    base: Height,
) -> Result<Plan, &'static str> {
    let body = &new_view.body;
    let signers: BTreeSet<_> = view_changes.iter().map(|signed| signed.signer).collect();
    if signers.len() != body.view_changes.len() {
        return Err("a signer stands twice among its view changes");
    }
    if view_changes.iter().any(|signed| (signed.body.epoch, signed.body.view) != (body.epoch, body.view)) {
        return Err("it names a view change of another view");
    }
    let plan = plan_of(view_changes, base);
    let proposed = body.pre_prepares.iter().map(|pre_prepare| pre_prepare.body.0);
    if !proposed.map(|ballot| (ballot.sequence, ballot.digest)).eq(plan.digests.iter().copied()) {
        return Err("it does not propose what its view changes say");
    }
    Ok(plan)
}
