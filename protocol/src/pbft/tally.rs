//! Counting votes: one entry per verifying key, and the first one counts (PROTOCOL 1.5, 3.5).

use std::collections::BTreeMap;

use borsh::BorshSerialize;
use quorate_crypto::{hash::Digest, signed::Signed};

use super::message::{Commit, Prepare};
use crate::{document::certificate::Checkpoint, id::NodeIndex};

/// What a vote is for; votes for different subjects are never added up.
pub trait Subject {
    /// The digest voted for.
    fn subject(&self) -> Digest;
}

impl Subject for Prepare {
    fn subject(&self) -> Digest {
        self.0.digest
    }
}
impl Subject for Commit {
    fn subject(&self) -> Digest {
        self.0.digest
    }
}
impl Subject for Checkpoint {
    fn subject(&self) -> Digest {
        self.header_hash
    }
}

/// The votes of one kind at one place: (epoch, view, sequence) or (epoch, height). Holds at most one per validator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Tally<T> {
    votes: BTreeMap<NodeIndex, Signed<T>>,
}

/// What became of a vote.
#[derive(Debug, PartialEq, Eq)]
pub enum Counted<T> {
    /// It is the first of its key.
    New,
    /// It was here before.
    Known,
    /// Its key voted for something else before; that first vote stands, and the two are evidence.
    Conflict(Box<Signed<T>>),
}

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Tally { votes: BTreeMap::new() }
    }
}

impl<T: Subject + Clone> Tally<T> {
    /// Counts a verified vote of the validator `index`.
    pub fn insert(&mut self, index: NodeIndex, vote: Signed<T>) -> Counted<T> {
        match self.votes.get(&index) {
            None => {
                self.votes.insert(index, vote);
                Counted::New
            }
            Some(first) if first.body.subject() == vote.body.subject() => Counted::Known,
            Some(first) => Counted::Conflict(Box::new(first.clone())),
        }
    }

    /// How many keys voted for `subject`.
    pub fn count(&self, subject: &Digest) -> usize {
        self.votes.values().filter(|vote| vote.body.subject() == *subject).count()
    }

    /// The first `max` votes for `subject`, in index order.
    pub fn take(&self, subject: &Digest, max: usize) -> Vec<(NodeIndex, Signed<T>)> {
        self.iter().filter(|(_, vote)| vote.body.subject() == *subject).take(max).map(|(i, v)| (i, v.clone())).collect()
    }

    /// The vote of one validator.
    pub fn get(&self, index: NodeIndex) -> Option<&Signed<T>> {
        self.votes.get(&index)
    }

    /// Every vote, in index order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIndex, &Signed<T>)> {
        self.votes.iter().map(|(index, vote)| (*index, vote))
    }
}

#[cfg(test)]
mod tests {
    use quorate_crypto::key::SecretKey;

    use super::*;
    use crate::{
        id::{Epoch, Sequence, View},
        pbft::message::Ballot,
    };

    fn vote(key: u8, digest: u8) -> Signed<Prepare> {
        let digest = Digest::from_bytes([digest; 32]);
        let ballot = Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence(1), digest };
        Signed::sign(Prepare(ballot), &Digest::ZERO, &SecretKey::from_seed([key; 32]))
    }

    #[test]
    fn a_key_is_counted_once_and_its_first_vote_stands() {
        let mut tally = Tally::default();
        assert_eq!(tally.insert(NodeIndex(0), vote(0, 1)), Counted::New);
        assert_eq!(tally.insert(NodeIndex(0), vote(0, 1)), Counted::Known);
        assert_eq!(tally.insert(NodeIndex(0), vote(0, 2)), Counted::Conflict(Box::new(vote(0, 1))));
        assert_eq!(tally.count(&Digest::from_bytes([1; 32])), 1);
        assert_eq!(tally.count(&Digest::from_bytes([2; 32])), 0);
    }

    #[test]
    fn votes_for_different_digests_are_never_added_up() {
        let mut tally = Tally::default();
        for index in 0..4 {
            tally.insert(NodeIndex(index), vote(index, index % 2));
        }
        assert_eq!(tally.count(&Digest::from_bytes([0; 32])), 2);
        assert_eq!(tally.take(&Digest::from_bytes([1; 32]), 1).len(), 1);
    }
}
