//! May I sign this? The only place where a protocol signature of this node is made.
//!
//! Promise PR: no correct key ever signs two digests for one (epoch, view, sequence, phase), nor two VIEW-CHANGEs or two
//! NEW-VIEWs for one (epoch, view), nor any vote below a view it has left, restarts included. So this file remembers every vote above the low watermark, is told on a restart what the
//! journal holds, and refuses everything else. Asking for the same vote again gives the same bytes again: Ed25519
//! signatures are deterministic (RFC 8032, section 5.1.6).

use std::collections::BTreeMap;

use borsh::BorshSerialize;
use quorate_crypto::{
    encode::BoundedVec,
    hash::Digest,
    key::{PublicKey, SecretKey},
    signed::{Signable, Signed},
};

use super::message::{Ballot, Commit, NewView, PrePrepare, Prepare, Status, ViewChange};
use crate::{
    document::certificate::Checkpoint,
    id::{Epoch, Height, Sequence, View},
    limits::VALIDATORS_LIMIT,
};

/// Which of the three votes of the normal case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub enum Phase {
    /// PRE-PREPARE.
    PrePrepare,
    /// PREPARE.
    Prepare,
    /// COMMIT.
    Commit,
}

/// Why a signature was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This node does not vote: it observes, or its vote log cannot be trusted.
    #[error("this node does not vote")]
    NotVoting,
    /// The store lost blocks whose CHECKPOINT this node had signed (PROTOCOL 7.2).
    #[error("blocks up to the floor are missing from the store; nothing is signed until they are back")]
    BelowFloor,
    /// The vote belongs to another epoch.
    #[error("the vote belongs to another epoch")]
    OtherEpoch,
    /// The vote belongs to a view that was left, or not entered yet.
    #[error("the vote belongs to a view that this replica is not in")]
    OtherView,
    /// The sequence is at or below the low watermark, where votes are forgotten.
    #[error("the sequence is at or below the low watermark")]
    BelowWatermark,
    /// Another digest was signed at this place before.
    #[error("another digest was signed for the same epoch, view, sequence and phase")]
    Conflict,
    /// A VIEW-CHANGE to a view that was entered already: one was signed for it, or none ever will be.
    #[error("the view was entered already; a view change leads to a higher one")]
    ViewEntered,
    /// A NEW-VIEW was signed for this view before.
    #[error("a new view was signed for the same epoch and view")]
    ViewOpened,
}

/// The key and the memory of what it signed.
#[derive(Clone)]
pub struct Safety {
    key: SecretKey,
    public_key: PublicKey,
    memory: Memory,
}

/// What the decision depends on.
#[derive(Clone, Debug, BorshSerialize)]
struct Memory {
    chain_id: Digest,
    epoch: Epoch,
    view: View,
    /// The highest view for which a NEW-VIEW was signed; 0 for none.
    opened: View,
    voting: bool,
    low: Height,
    executed: Height,
    floor: Height,
    votes: BTreeMap<(View, Sequence, Phase), Digest>,
}

impl Safety {
    /// A signer that has signed nothing yet. `voting` is false for observers and for a node without a trusted vote log.
    pub fn new(key: SecretKey, chain_id: Digest, epoch: Epoch, voting: bool) -> Safety {
        let public_key = key.public_key();
        let memory = Memory {
            chain_id,
            epoch,
            view: View(0),
            opened: View(0),
            voting,
            low: Height(0),
            executed: Height(0),
            floor: Height(0),
            votes: BTreeMap::new(),
        };
        Safety { key, public_key, memory }
    }

    /// The key that signs.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The highest height whose CHECKPOINT was signed.
    pub fn floor(&self) -> Height {
        self.memory.floor
    }

    /// Whether this node casts votes at all.
    pub fn is_voting(&self) -> bool {
        self.check_standing().is_ok()
    }

    /// Why this node casts no votes.
    ///
    /// # Errors
    /// [`Refusal::NotVoting`] or [`Refusal::BelowFloor`].
    pub fn check_standing(&self) -> Result<(), Refusal> {
        if !self.memory.voting {
            return Err(Refusal::NotVoting);
        }
        if self.memory.executed < self.memory.floor {
            return Err(Refusal::BelowFloor);
        }
        Ok(())
    }

    /// Takes note that `view` was entered; nothing is signed for a lower one from here on.
    ///
    /// # Panics
    /// When a higher one was entered before: the caller's fault, never a peer's.
    pub fn enter_view(&mut self, view: View) {
        assert!(view >= self.memory.view, "a replica never returns to a view that it left");
        self.memory.view = view;
    }

    /// Takes back a NEW-VIEW of this key that the journal holds.
    pub fn remember_opened(&mut self, view: View) {
        self.memory.opened = self.memory.opened.max(view);
    }

    /// Whether a VIEW-CHANGE or NEW-VIEW of this key can be its own: nothing above the view that it entered is, nor a
    /// NEW-VIEW that it never signed. Verified ones that are not mean that another process signs with this key.
    pub fn knows_view(&self, view: View, is_new_view: bool) -> bool {
        view < self.memory.view || (view == self.memory.view && (!is_new_view || self.memory.opened == view))
    }

    /// The height up to which votes are forgotten.
    pub fn low(&self) -> Height {
        self.memory.low
    }

    /// Takes note of the highest block that is durable here.
    pub fn set_executed(&mut self, executed: Height) {
        self.memory.executed = self.memory.executed.max(executed);
    }

    /// Forgets votes at or below the low watermark; none is ever cast there again.
    pub fn set_low(&mut self, low: Height) {
        self.memory.low = self.memory.low.max(low);
        let low = self.memory.low;
        self.memory.votes.retain(|(_, sequence, _), _| Height::from(*sequence) > low);
    }

    /// Takes a vote back into memory that the journal holds; it may have left before the restart.
    pub fn remember(&mut self, ballot: Ballot, phase: Phase) {
        if Height::from(ballot.sequence) > self.memory.low && ballot.epoch == self.memory.epoch {
            self.memory.votes.insert((ballot.view, ballot.sequence, phase), ballot.digest);
        }
    }

    /// Takes back the floor that the journal holds.
    pub fn remember_floor(&mut self, floor: Height) {
        self.memory.floor = self.memory.floor.max(floor);
    }

    /// Whether this key is known to have cast this vote. A verified vote of its own that it does not know means that
    /// another process signs with the same key (PROTOCOL 6.4).
    pub fn knows(&self, ballot: &Ballot, phase: Phase) -> bool {
        self.memory.votes.get(&(ballot.view, ballot.sequence, phase)) == Some(&ballot.digest)
    }

    /// Signs a PRE-PREPARE.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing was signed then.
    pub fn sign_pre_prepare(&mut self, ballot: Ballot) -> Result<Signed<PrePrepare>, Refusal> {
        self.admit(ballot, Phase::PrePrepare)?;
        Ok(self.sign(PrePrepare(ballot)))
    }

    /// Signs a PREPARE.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing was signed then.
    pub fn sign_prepare(&mut self, ballot: Ballot) -> Result<Signed<Prepare>, Refusal> {
        self.admit(ballot, Phase::Prepare)?;
        Ok(self.sign(Prepare(ballot)))
    }

    /// Signs a COMMIT.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing was signed then.
    pub fn sign_commit(&mut self, ballot: Ballot) -> Result<Signed<Commit>, Refusal> {
        self.admit(ballot, Phase::Commit)?;
        Ok(self.sign(Commit(ballot)))
    }

    /// Signs a VIEW-CHANGE, and with that enters its view: nothing is signed for a lower one from here on.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing was signed then.
    pub fn sign_view_change(&mut self, view_change: ViewChange) -> Result<Signed<ViewChange>, Refusal> {
        self.check_standing()?;
        if view_change.epoch != self.memory.epoch {
            return Err(Refusal::OtherEpoch);
        }
        if view_change.view <= self.memory.view {
            return Err(Refusal::ViewEntered);
        }
        self.memory.view = view_change.view;
        Ok(self.sign(view_change))
    }

    /// Signs a NEW-VIEW and every proposal in it, `ballots` in order of sequence: one act, once in a view, and before
    /// anything else is signed as its primary. So proposals at or below the low watermark can be in it as well: nothing
    /// was ever signed at those places.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing was signed then.
    pub fn sign_new_view(
        &mut self,
        view: View,
        view_changes: BoundedVec<Digest, VALIDATORS_LIMIT>,
        ballots: &[Ballot],
    ) -> Result<Signed<NewView>, Refusal> {
        self.check_standing()?;
        if view != self.memory.view || ballots.iter().any(|ballot| ballot.view != view) {
            return Err(Refusal::OtherView);
        }
        if ballots.iter().any(|ballot| ballot.epoch != self.memory.epoch) {
            return Err(Refusal::OtherEpoch);
        }
        if self.memory.opened >= view {
            return Err(Refusal::ViewOpened);
        }
        let proposed_before = self.memory.votes.keys().any(|(of, _, phase)| (*of, *phase) == (view, Phase::PrePrepare));
        if proposed_before || !ballots.is_sorted_by(|a, b| a.sequence < b.sequence) {
            return Err(Refusal::Conflict);
        }
        let pre_prepares: Vec<_> = ballots.iter().map(|ballot| self.sign(PrePrepare(*ballot))).collect();
        let Ok(pre_prepares) = pre_prepares.try_into() else { return Err(Refusal::Conflict) };
        self.memory.opened = view;
        for ballot in ballots {
            self.remember(*ballot, Phase::PrePrepare);
        }
        Ok(self.sign(NewView { epoch: self.memory.epoch, view, view_changes, pre_prepares }))
    }

    /// Signs a CHECKPOINT for a block that is durable here, and raises the floor. The caller records the floor before
    /// the CHECKPOINT leaves.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing was signed then.
    ///
    /// # Panics
    /// When the block is not durable here: the caller's fault, never a peer's.
    pub fn sign_checkpoint(&mut self, checkpoint: Checkpoint) -> Result<Signed<Checkpoint>, Refusal> {
        self.check_standing()?;
        assert!(checkpoint.height <= self.memory.executed, "a CHECKPOINT speaks of a durable block");
        if checkpoint.epoch != self.memory.epoch {
            return Err(Refusal::OtherEpoch);
        }
        self.memory.floor = self.memory.floor.max(checkpoint.height);
        Ok(self.sign(checkpoint))
    }

    /// Signs a STATUS. It is no vote, so every node may.
    pub fn sign_status(&self, status: Status) -> Signed<Status> {
        self.sign(status)
    }

    /// The one decision about votes.
    fn admit(&mut self, ballot: Ballot, phase: Phase) -> Result<(), Refusal> {
        self.check_standing()?;
        if ballot.epoch != self.memory.epoch {
            return Err(Refusal::OtherEpoch);
        }
        if ballot.view != self.memory.view {
            return Err(Refusal::OtherView);
        }
        if Height::from(ballot.sequence) <= self.memory.low {
            return Err(Refusal::BelowWatermark);
        }
        match self.memory.votes.insert((ballot.view, ballot.sequence, phase), ballot.digest) {
            Some(before) if before != ballot.digest => {
                // The first vote stands, whatever was asked for now.
                self.memory.votes.insert((ballot.view, ballot.sequence, phase), before);
                Err(Refusal::Conflict)
            }
            _ => Ok(()),
        }
    }

    fn sign<T: Signable>(&self, body: T) -> Signed<T> {
        Signed::sign(body, &self.memory.chain_id, &self.key)
    }

    /// What the decisions depend on, for the engine's fingerprint.
    pub fn fingerprint_into(&self, out: &mut Vec<u8>) {
        out.extend(quorate_crypto::encode::encode(&self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safety() -> Safety {
        Safety::new(SecretKey::from_seed([7; 32]), Digest::ZERO, Epoch(0), true)
    }

    fn ballot(view: u64, sequence: u64, digest: u8) -> Ballot {
        Ballot {
            epoch: Epoch(0),
            view: View(view),
            sequence: Sequence(sequence),
            digest: Digest::from_bytes([digest; 32]),
        }
    }

    #[test]
    fn one_place_takes_one_digest_in_each_phase() {
        let mut safety = safety();
        let first = safety.sign_prepare(ballot(0, 1, 1)).unwrap();
        assert_eq!(safety.sign_prepare(ballot(0, 1, 2)), Err(Refusal::Conflict));
        assert_eq!(safety.sign_prepare(ballot(0, 1, 1)).unwrap(), first, "the same vote gives the same bytes");
        safety.sign_commit(ballot(0, 1, 2)).expect("another phase is another place");
        safety.sign_prepare(ballot(0, 2, 2)).expect("another sequence is another place");
    }

    #[test]
    fn a_vote_remembered_from_the_journal_binds_after_a_restart() {
        let mut safety = safety();
        safety.remember(ballot(0, 5, 1), Phase::Commit);
        assert_eq!(safety.sign_commit(ballot(0, 5, 2)), Err(Refusal::Conflict));
        assert!(safety.sign_commit(ballot(0, 5, 1)).is_ok());
    }

    #[test]
    fn nothing_is_signed_for_a_view_that_was_left_or_not_entered() {
        let mut safety = safety();
        safety.enter_view(View(3));
        assert_eq!(safety.sign_commit(ballot(2, 1, 1)), Err(Refusal::OtherView));
        assert_eq!(safety.sign_commit(ballot(4, 1, 1)), Err(Refusal::OtherView));
        assert!(safety.sign_commit(ballot(3, 1, 1)).is_ok());
    }

    #[test]
    fn nothing_is_signed_at_or_below_the_low_watermark() {
        let mut safety = safety();
        safety.sign_prepare(ballot(0, 32, 1)).unwrap();
        safety.set_low(Height(32));
        assert_eq!(safety.sign_prepare(ballot(0, 32, 2)), Err(Refusal::BelowWatermark));
        assert!(safety.sign_prepare(ballot(0, 33, 2)).is_ok());
    }

    #[test]
    fn nothing_is_signed_while_acknowledged_blocks_are_missing() {
        let mut safety = safety();
        safety.remember_floor(Height(9));
        safety.set_executed(Height(8));
        assert_eq!(safety.sign_prepare(ballot(0, 10, 1)), Err(Refusal::BelowFloor));
        safety.set_executed(Height(9));
        assert!(safety.sign_prepare(ballot(0, 10, 1)).is_ok());
    }

    #[test]
    fn a_node_without_a_trusted_vote_log_signs_no_vote() {
        let mut safety = Safety::new(SecretKey::from_seed([7; 32]), Digest::ZERO, Epoch(0), false);
        assert_eq!(safety.sign_pre_prepare(ballot(0, 1, 1)), Err(Refusal::NotVoting));
        assert_eq!(safety.sign_prepare(ballot(0, 1, 1)), Err(Refusal::NotVoting));
        assert_eq!(safety.sign_commit(ballot(0, 1, 1)), Err(Refusal::NotVoting));
    }

    #[test]
    fn a_vote_of_another_epoch_is_refused() {
        let mut other = ballot(0, 1, 1);
        other.epoch = Epoch(1);
        assert_eq!(safety().sign_commit(other), Err(Refusal::OtherEpoch));
    }
}
