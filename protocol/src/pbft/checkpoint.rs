//! CHECKPOINTs, certificates and watermarks (OSDI'99, section 4.3; PROTOCOL 2.5, 2.6).
//!
//! Unlike the paper, every block has its CHECKPOINT: to clients it is the REPLY. The log is cut at every K-th.

use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    engine::Engine,
    evidence::Evidence,
    message::{CertifiedCheckpoint, Message},
    output::{Divergence, Note, Output},
    record::{DurableBlock, Record},
    state::{BlockState, Executing, Pending},
    tally::{Counted, Tally},
};
use crate::{
    document::certificate::{Certificate, Checkpoint},
    id::{Height, Sequence},
};

impl Engine {
    /// A block is executed and synced. Only now is its CHECKPOINT signed, and only when the floor is durable does it
    /// leave (2.5, 7.2).
    pub(super) fn on_executed(
        &mut self,
        height: Height,
        header_hash: Digest,
        is_progress: bool,
        out: &mut Vec<Output>,
    ) {
        let Some(Executing { digest, certified }) = self.state.executing.remove(&height) else {
            panic!("block {height} was executed, and nobody had asked for it");
        };
        assert!(height == self.state.executed.next(), "blocks are executed in the order in which they were delivered");
        if let Some((certified, _)) = &certified
            && *certified != header_hash
        {
            return self.halt_diverged(height, header_hash, *certified, out);
        }
        self.state.executed = height;
        // A null or re-proposed block counts while the view still has some of them to execute (5.6).
        if is_progress || Sequence::from(height) <= self.view_max() {
            self.note_progress();
        }
        let was_voting = self.safety.is_voting();
        self.safety.set_executed(height);
        let checkpoints = self.state.early.remove(&height).unwrap_or_default();
        self.state.blocks.insert(height, BlockState { digest, header_hash, checkpoints, certificate: None });
        if let Some((_, certificate)) = certified {
            self.set_certificate(height, certificate, out);
        }
        self.send_checkpoint(height, header_hash, out);
        self.try_certify(height, out);
        self.forget_old_blocks();
        if !was_voting && self.safety.is_voting() {
            // The blocks up to the floor are back (7.2).
            self.check_all(out);
        }
        self.check_again(Sequence::from(height), out);
        self.try_deliver(out);
        self.try_open_view(out);
    }

    /// A block that was durable before a restart. If it lacks a certificate its CHECKPOINT is sent again (2.5), with
    /// the first STATUS.
    pub(super) fn restore_block(&mut self, block: DurableBlock) {
        let DurableBlock { height, digest, header_hash, commits, certificate } = block;
        let state = BlockState { digest, header_hash, checkpoints: Tally::default(), certificate };
        self.state.blocks.insert(height, state);
        let sequence = Sequence::from(height);
        if commits.is_some() && self.in_window(sequence) {
            self.slot(sequence).committed = commits;
        }
    }

    /// Signs the CHECKPOINT of a durable block and lets it leave: at once if a durable floor covers it already. Of a block
    /// that its store had lost it has spoken before, perhaps of another header that it had computed wrongly, so it says
    /// nothing: the others certify that block without it.
    pub(super) fn send_checkpoint(&mut self, height: Height, header_hash: Digest, out: &mut Vec<Output>) {
        if height > self.state.lost.0 && height <= self.state.lost.1 {
            return;
        }
        let on_its_way = self.state.pending.values().any(|pending| pending.is_checkpoint_from(height));
        let covered = height <= self.safety.floor() && !on_its_way;
        let checkpoint = Checkpoint { epoch: self.config.epoch, height, header_hash };
        match self.safety.sign_checkpoint(checkpoint) {
            Ok(signed) if covered => {
                out.push(Output::Broadcast(Message::Checkpoint(signed.clone())));
                self.on_checkpoint(signed, out);
            }
            Ok(signed) => {
                let release = vec![Message::Checkpoint(signed.clone())];
                self.persist(Record::Floor(height), release, Pending::Checkpoint(signed), out);
            }
            // A node that does not vote says nothing of its blocks either: it has no floor to record.
            Err(_) => {}
        }
    }

    /// A CHECKPOINT of some validator, or this replica's own once its floor is durable.
    pub(super) fn on_checkpoint(&mut self, signed: Signed<Checkpoint>, out: &mut Vec<Output>) {
        let Some(index) = self.index_of(&signed.signer) else { return };
        let height = signed.body.height;
        self.note_height(index, height);
        let tally = if let Some(block) = self.state.blocks.get_mut(&height) {
            &mut block.checkpoints
        } else if height > self.state.executed && height.0 - self.state.low.0 <= 2 * self.config.window {
            self.state.early.entry(height).or_default()
        } else {
            return;
        };
        match tally.insert(index, signed.clone()) {
            Counted::New => {
                self.try_certify(height, out);
                self.note_diverged_state(height, out);
            }
            Counted::Known => {}
            Counted::Conflict(first) => self.accuse(Evidence::Checkpoint(*first, signed), out),
        }
    }

    /// Somebody relays a whole certificate.
    pub(super) fn on_certified_checkpoint(&mut self, certified: CertifiedCheckpoint, out: &mut Vec<Output>) {
        self.learn_watermark(Some(&certified));
        let CertifiedCheckpoint { checkpoint, certificate } = certified;
        let height = checkpoint.height;
        let Some(block) = self.state.blocks.get(&height) else { return };
        if block.header_hash != checkpoint.header_hash {
            return self.halt_diverged(height, block.header_hash, checkpoint.header_hash, out);
        }
        if block.certificate.is_none() {
            self.set_certificate(height, certificate, out);
        }
    }

    /// q CHECKPOINTs for one header are the block's certificate.
    fn try_certify(&mut self, height: Height, out: &mut Vec<Output>) {
        let quorum = self.config.validators.quorum();
        let Some(block) = self.state.blocks.get(&height) else { return };
        if block.certificate.is_some() {
            return;
        }
        let other = block
            .checkpoints
            .iter()
            .map(|(_, c)| c.body.header_hash)
            .find(|hash| *hash != block.header_hash && block.checkpoints.count(hash) >= quorum);
        if let Some(other) = other {
            return self.halt_diverged(height, block.header_hash, other, out);
        }
        if block.checkpoints.count(&block.header_hash) < quorum {
            return;
        }
        let signatures: Vec<_> = block
            .checkpoints
            .take(&block.header_hash, quorum)
            .into_iter()
            .map(|(index, signed)| (index, signed.signature))
            .collect();
        if let Ok(signatures) = signatures.try_into() {
            self.set_certificate(height, Certificate { signatures }, out);
        }
    }

    fn set_certificate(&mut self, height: Height, certificate: Certificate, out: &mut Vec<Output>) {
        let anchor = height > self.state.low && height.0.is_multiple_of(self.config.checkpoint_interval);
        if let Some(block) = self.state.blocks.get_mut(&height) {
            block.certificate = Some(certificate.clone());
            let checkpoint = Checkpoint { epoch: self.config.epoch, height, header_hash: block.header_hash };
            let certified = CertifiedCheckpoint { checkpoint, certificate: certificate.clone() };
            self.learn_watermark(Some(&certified));
        }
        out.push(Output::Certify { height, certificate, anchor });
    }

    /// The certificate of a K-th block is durable: the low watermark moves, and everything at or below it goes (2.6).
    pub(super) fn on_anchored(&mut self, height: Height, out: &mut Vec<Output>) {
        if height <= self.state.low || height > self.state.executed {
            return;
        }
        self.state.low = height;
        self.safety.set_low(height);
        self.state.slots = self.state.slots.split_off(&Sequence::from(height).next());
        self.state.early = self.state.early.split_off(&height.next());
        self.restore_late_records();
        self.forget_old_blocks();
        let prepared = self.state.prepared.split_off(&Sequence::from(height).next());
        self.state.prepared = prepared;
        self.state.contents = self.state.contents.split_off(&(Sequence::from(height).next(), Digest::ZERO));
        out.push(Output::Trim { low: height, carry: self.carry() });
        out.push(Output::Note(Note::LowWatermark(height)));
    }

    /// What outlives every segment of the vote log (7.1): the view entered and how, and the floor.
    fn carry(&self) -> Vec<Record> {
        let opening = self.state.opening.as_ref().map(|opening| Record::NewView {
            new_view: opening.new_view.clone(),
            view_changes: opening.view_changes.clone(),
        });
        let leaving = self.state.own_view_change.clone().filter(|_| !self.state.active).map(Record::ViewChange);
        opening.into_iter().chain(leaving).chain([Record::Floor(self.safety.floor())]).collect()
    }

    /// Keeps what is above low - L and what still lacks a certificate, 4 L blocks at most.
    fn forget_old_blocks(&mut self) {
        let (low, window) = (self.state.low.0, self.config.window);
        self.state.blocks.retain(|height, block| height.0 + window > low || block.certificate.is_none());
        while self.state.blocks.len() as u64 > 4 * window {
            self.state.blocks.pop_first();
        }
    }

    fn halt_diverged(&mut self, height: Height, own: Digest, certified: Digest, out: &mut Vec<Output>) {
        let divergence = Divergence { height, own, certified };
        let reason = format!("{divergence}; it signs nothing from here on");
        self.state.halted = Some(reason.clone());
        out.push(Output::Halt { reason, divergence: Some(divergence) });
    }

    /// No header of this height can reach a quorum any more, however those vote who have not: correct replicas computed
    /// different ones, or more than f lie (4.5).
    fn note_diverged_state(&mut self, height: Height, out: &mut Vec<Output>) {
        let Some(block) = self.state.blocks.get(&height).filter(|block| block.certificate.is_none()) else { return };
        let voters = block.checkpoints.iter().count();
        let most = block.checkpoints.iter().map(|(_, c)| block.checkpoints.count(&c.body.header_hash)).max();
        let possible = most.unwrap_or(0) + self.config.validators.n() - voters;
        if possible < self.config.validators.quorum() && self.state.state_diverged.is_none_or(|known| height < known) {
            self.state.state_diverged = Some(height);
            out.push(Output::Note(Note::StateDiverged { height }));
        }
    }
}
