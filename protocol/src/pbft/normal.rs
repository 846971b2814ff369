//! The normal case: PRE-PREPARE, PREPARE, COMMIT (OSDI'99, section 4.2; PROTOCOL section 3).

use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    engine::Engine,
    evidence::{Evidence, Kind},
    input::Verdict,
    message::{
        Ballot, Commit, CommitCertificate, Content, Message, PrePrepare, Prepare, PreparedCertificate, Proposal,
    },
    output::{Note, Output, Purpose},
    record::Record,
    slot::{Acceptance, Stage},
    state::Pending,
    tally::Counted,
};
use crate::{
    document::batch::Batch,
    id::{Height, Sequence, View},
};

impl Engine {
    /// The primary proposes (3.1). It accepts its own proposal; the PRE-PREPARE leaves when the batch is durable.
    pub(super) fn on_propose(&mut self, batch: Batch, out: &mut Vec<Output>) {
        let Some(sequence) = self.room() else { return };
        let content = Content::Batch(batch);
        let ballot = self.ballot(sequence, content.digest());
        match self.safety.sign_pre_prepare(ballot) {
            Ok(pre_prepare) => {
                self.state.next_sequence = sequence.next();
                self.accept(pre_prepare, Some(content), out);
            }
            Err(refusal) => Self::note_not_signed("PRE-PREPARE", refusal, out),
        }
    }

    /// A backup hears the primary (3.2). What is checked here comes before anything is logged or asked.
    pub(super) fn on_pre_prepare(&mut self, proposal: Proposal, out: &mut Vec<Output>) {
        let ballot = proposal.ballot();
        let from_primary = self.index_of(&proposal.pre_prepare.signer) == Some(self.primary());
        if !from_primary || ballot.view != self.state.view || !self.state.active || !self.in_window(ballot.sequence) {
            return;
        }
        if let Some(first) = &self.slot(ballot.sequence).acceptance {
            if first.ballot().digest != ballot.digest {
                let first = first.pre_prepare.clone();
                self.accuse(Evidence::PrePrepare(first, proposal.pre_prepare), out);
            }
            return;
        }
        if ballot.sequence <= self.view_max() {
            // What a view proposes again is valid only inside its NEW-VIEW (5.4).
            return;
        }
        if self.is_primary() {
            // Its own proposal, relayed back from before a crash that lost it: the twin check has stopped any other.
            return;
        }
        let Proposal { pre_prepare, content } = proposal;
        let is_null = content == Content::Null;
        self.slot(ballot.sequence).acceptance =
            Some(Acceptance { pre_prepare, content: Some(content), stage: Stage::Checking });
        if is_null {
            let verdict = Verdict::Refused("null is legal only where a new view fills a gap".to_owned());
            return self.on_checked(ballot.sequence, ballot.digest, verdict, out);
        }
        self.check_again(ballot.sequence, out);
        self.try_commit(ballot.sequence, out);
    }

    /// This replica votes again: everything that was proposed meanwhile is looked at.
    pub(super) fn check_all(&mut self, out: &mut Vec<Output>) {
        let open: Vec<Sequence> = self.state.slots.keys().copied().collect();
        for sequence in open {
            self.check_again(sequence, out);
        }
    }

    /// Asks whether a proposal that waits may be voted for. Where a block is executed already, its digest is the answer
    /// (3.6); null needs nothing; what is not known yet is fetched.
    pub(super) fn check_again(&mut self, sequence: Sequence, out: &mut Vec<Output>) {
        let acceptance = self.state.slots.get(&sequence).and_then(|slot| slot.acceptance.as_ref());
        let Some(acceptance) = acceptance.filter(|acceptance| acceptance.stage == Stage::Checking) else { return };
        let (ballot, content) = (acceptance.ballot(), acceptance.content.clone());
        let executed = self.state.blocks.get(&Height::from(sequence)).map(|block| block.digest);
        if !self.safety.is_voting() && content.is_some() {
            return;
        }
        let is_again = sequence <= self.view_max();
        let verdict = match (executed, content) {
            (Some(digest), _) if digest == ballot.digest => Verdict::Held,
            (Some(_), _) => Verdict::Refused("another batch was executed at this sequence".to_owned()),
            (None, Some(Content::Null)) if is_again => Verdict::Held,
            (None, Some(content)) => {
                let purpose = if is_again { Purpose::Again } else { Purpose::Fresh };
                return out.push(Output::Check { sequence, content, purpose });
            }
            (None, None) => return self.want_content(sequence, ballot.digest),
        };
        self.on_checked(sequence, ballot.digest, verdict, out);
    }

    /// The replica's answer: its bodies are held, or it must not be voted for.
    pub(super) fn on_checked(&mut self, sequence: Sequence, digest: Digest, verdict: Verdict, out: &mut Vec<Output>) {
        if let Some(held) = self.state.held.get_mut(&(sequence, digest))
            && verdict == Verdict::Held
        {
            *held = true;
            self.try_open_view(out);
        }
        let Some(slot) = self.state.slots.get_mut(&sequence) else { return };
        let Some(acceptance) = &mut slot.acceptance else { return };
        if acceptance.stage != Stage::Checking || acceptance.ballot().digest != digest {
            return;
        }
        match verdict {
            Verdict::Held => {
                let Acceptance { pre_prepare, content, .. } = acceptance.clone();
                self.accept(pre_prepare, content, out);
            }
            Verdict::Refused(reason) => {
                acceptance.stage = Stage::Refused;
                out.push(refused(sequence, &reason));
            }
        }
    }

    /// Accepts a proposal: it goes to the journal with its bodies, and the vote for it leaves from there (3.4). The
    /// primary's vote is the PRE-PREPARE itself, by itself or inside its NEW-VIEW; a backup's is the PREPARE.
    fn accept(&mut self, pre_prepare: Signed<PrePrepare>, content: Option<Content>, out: &mut Vec<Output>) {
        let ballot = pre_prepare.body.0;
        let is_again = ballot.sequence <= self.view_max();
        let (prepare, release) = match &content {
            _ if !self.is_primary() => match self.safety.sign_prepare(ballot) {
                Ok(prepare) => (Some(prepare.clone()), vec![Message::Prepare(prepare)]),
                Err(refusal) => return Self::note_not_signed("PREPARE", refusal, out),
            },
            Some(content) if !is_again => {
                let proposal = Proposal { pre_prepare: pre_prepare.clone(), content: content.clone() };
                (None, vec![Message::PrePrepare(proposal)])
            }
            _ => (None, Vec::new()),
        };
        let acceptance =
            Acceptance { pre_prepare: pre_prepare.clone(), content: content.clone(), stage: Stage::Persisting };
        self.slot(ballot.sequence).acceptance = Some(acceptance);
        let pending = Pending::Accepted { view: ballot.view, sequence: ballot.sequence, prepare: prepare.clone() };
        self.persist(Record::Accepted { pre_prepare, content, prepare }, release, pending, out);
    }

    /// The accepted proposal and its bodies are durable, and this replica's own vote counts from here on.
    pub(super) fn on_accepted_durable(
        &mut self,
        view: View,
        sequence: Sequence,
        prepare: Option<Signed<Prepare>>,
        out: &mut Vec<Output>,
    ) {
        if view != self.state.view {
            return;
        }
        let Some(slot) = self.state.slots.get_mut(&sequence) else { return };
        let Some(acceptance) = &mut slot.acceptance else { return };
        acceptance.stage = Stage::Durable;
        if let (Some(me), Some(own)) = (self.config.me, prepare) {
            slot.prepares.insert(me, own);
        }
        self.try_prepare(sequence, out);
        self.try_commit(sequence, out);
    }

    /// A PREPARE of some backup.
    pub(super) fn on_prepare(&mut self, vote: Signed<Prepare>, out: &mut Vec<Output>) {
        let ballot = vote.body.0;
        let Some(index) = self.index_of(&vote.signer) else { return };
        if ballot.view != self.state.view || !self.in_window(ballot.sequence) {
            return;
        }
        if index == self.primary() {
            // 3.5: the primary's PRE-PREPARE is its vote; counting a PREPARE as well would count it twice.
            if self.state.noted.insert((index, Kind::PrimaryPrepared)) {
                out.push(Output::Note(Note::PrimaryPrepared(Box::new(vote))));
            }
            return;
        }
        match self.slot(ballot.sequence).prepares.insert(index, vote.clone()) {
            Counted::New => self.try_prepare(ballot.sequence, out),
            Counted::Known => {}
            Counted::Conflict(first) => self.accuse(Evidence::Prepare(*first, vote), out),
        }
    }

    /// prepared = accepted + q - 1 PREPAREs of distinct backups + own durable body (1.3). Then, and not before the whole
    /// certificate is durable, the COMMIT leaves (3.4).
    pub(super) fn try_prepare(&mut self, sequence: Sequence, out: &mut Vec<Output>) {
        let needed = self.config.validators.quorum() - 1;
        let Some(slot) = self.state.slots.get(&sequence) else { return };
        let Some(digest) = slot.accepted_digest() else { return };
        if slot.prepared.is_some() || slot.prepares.count(&digest) < needed {
            return;
        }
        let Some(pre_prepare) = slot.acceptance.as_ref().map(|a| a.pre_prepare.clone()) else { return };
        let prepares: Vec<_> = slot.prepares.take(&digest, needed).into_iter().map(|(_, vote)| vote).collect();
        let Ok(prepares) = prepares.try_into() else { return };
        let certificate = PreparedCertificate { pre_prepare, prepares };
        match self.safety.sign_commit(self.ballot(sequence, digest)) {
            Ok(commit) => {
                self.slot(sequence).prepared = Some(certificate.clone());
                self.remember_prepared(&certificate);
                let release = vec![Message::Commit(commit.clone())];
                let pending = Pending::Prepared(commit.clone());
                self.persist(Record::Prepared { certificate, commit }, release, pending, out);
            }
            Err(refusal) => Self::note_not_signed("COMMIT", refusal, out),
        }
    }

    /// P holds for each sequence the certificate of the highest view that this replica ever held (5.1), with what its
    /// digest stands for.
    pub(super) fn remember_prepared(&mut self, certificate: &PreparedCertificate) {
        let Ballot { view, sequence, digest, .. } = certificate.pre_prepare.body.0;
        if Height::from(sequence) <= self.proven_height() {
            return;
        }
        if self.state.prepared.get(&sequence).is_none_or(|held| held.pre_prepare.body.0.view < view) {
            self.state.prepared.insert(sequence, certificate.clone());
        }
        if let Some(content) = self.content(sequence, &digest) {
            self.state.contents.insert((sequence, digest), content);
        }
    }

    /// The prepared certificate is durable, and this replica's own COMMIT counts from here on.
    pub(super) fn on_prepared_durable(&mut self, commit: Signed<Commit>, out: &mut Vec<Output>) {
        let ballot = commit.body.0;
        if ballot.view != self.state.view {
            return;
        }
        let Some(slot) = self.state.slots.get_mut(&ballot.sequence) else { return };
        slot.prepared_durable = true;
        if let Some(me) = self.config.me {
            slot.commits.insert(me, commit);
        }
        self.try_commit(ballot.sequence, out);
    }

    /// A COMMIT of some replica. Those of left views are ignored; a whole certificate of them is not (4.2).
    pub(super) fn on_commit(&mut self, vote: Signed<Commit>, out: &mut Vec<Output>) {
        let ballot = vote.body.0;
        let Some(index) = self.index_of(&vote.signer) else { return };
        if ballot.view != self.state.view || !self.in_window(ballot.sequence) {
            return;
        }
        let slot = self.slot(ballot.sequence);
        let elsewhere =
            slot.committed.iter().flat_map(|held| held.commits.iter()).find(|held| held.signer == vote.signer);
        if let Some(first) = elsewhere.filter(|held| excludes(&held.body.0, &ballot)).cloned() {
            return self.accuse(Evidence::Commit(first, vote), out);
        }
        match self.slot(ballot.sequence).commits.insert(index, vote.clone()) {
            Counted::New => self.try_commit(ballot.sequence, out),
            Counted::Known => {}
            Counted::Conflict(first) => self.accuse(Evidence::Commit(*first, vote), out),
        }
    }

    /// q COMMITs of this view for a digest whose content is known here are a commit certificate. Whether this replica
    /// prepared it too does not matter: a quorum did (4.2).
    pub(super) fn try_commit(&mut self, sequence: Sequence, out: &mut Vec<Output>) {
        let quorum = self.config.validators.quorum();
        let Some(slot) = self.state.slots.get_mut(&sequence) else { return };
        let Some(acceptance) = &slot.acceptance else { return };
        let digest = acceptance.ballot().digest;
        if slot.committed.is_some() || slot.commits.count(&digest) < quorum {
            return;
        }
        // Unknown content is on its way; a block that is executed needs none.
        let Some(content) = acceptance.content.clone() else { return };
        let commits: Vec<_> = slot.commits.take(&digest, quorum).into_iter().map(|(_, vote)| vote).collect();
        let Ok(commits) = commits.try_into() else { return };
        slot.committed = Some(CommitCertificate { commits, content });
        self.try_deliver(out);
    }

    /// The COMMITs of a certificate beside those that came one by one: who said something else in the same view is told of
    /// (9.3), executed or not.
    pub(super) fn compare_commits(&mut self, certificate: &CommitCertificate, out: &mut Vec<Output>) {
        let Some(ballot) = certificate.ballot() else { return };
        let mut conflicts = Vec::new();
        if let Some(slot) = self.state.slots.get(&ballot.sequence) {
            for second in certificate.commits.iter() {
                let held = self.index_of(&second.signer).and_then(|index| slot.commits.get(index));
                if let Some(first) = held.filter(|first| excludes(&first.body.0, &ballot)) {
                    conflicts.push(Evidence::Commit(first.clone(), second.clone()));
                }
            }
        }
        conflicts.into_iter().for_each(|evidence| self.accuse(evidence, out));
    }

    /// The proposals and PREPAREs inside a VIEW-CHANGE beside those that came by themselves (9.3).
    pub(super) fn compare_prepared(&mut self, certificate: &PreparedCertificate, out: &mut Vec<Output>) {
        let ballot = certificate.pre_prepare.body.0;
        let mut conflicts = Vec::new();
        let slot = self.state.slots.get(&ballot.sequence);
        let accepted = slot.and_then(|slot| slot.acceptance.as_ref()).map(|acceptance| &acceptance.pre_prepare);
        for first in accepted.into_iter().chain(self.state.left.get(&ballot.sequence)) {
            if excludes(&first.body.0, &ballot) {
                conflicts.push(Evidence::PrePrepare(first.clone(), certificate.pre_prepare.clone()));
            }
        }
        for second in certificate.prepares.iter() {
            let held = self.index_of(&second.signer).and_then(|index| slot?.prepares.get(index));
            if let Some(first) = held.filter(|first| excludes(&first.body.0, &ballot)) {
                conflicts.push(Evidence::Prepare(first.clone(), second.clone()));
            }
        }
        conflicts.into_iter().for_each(|evidence| self.accuse(evidence, out));
    }

    /// The ballot of the current view at this place.
    pub(super) fn ballot(&self, sequence: Sequence, digest: Digest) -> Ballot {
        Ballot { epoch: self.config.epoch, view: self.state.view, sequence, digest }
    }
}

/// Whether no correct key signs both in one phase.
fn excludes(first: &Ballot, second: &Ballot) -> bool {
    (first.view, first.sequence) == (second.view, second.sequence) && first.digest != second.digest
}

fn refused(sequence: Sequence, reason: &str) -> Output {
    Output::Note(Note::Refused { sequence, reason: reason.to_owned() })
}
