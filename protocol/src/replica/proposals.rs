//! Proposals in flight, as plain values: what waits for its verdict, which ids stand where, when to look again.

use std::collections::BTreeMap;

use quorate_crypto::hash::Digest;

use super::bodies::Key;
use crate::{
    document::Batch,
    id::{Sequence, TransactionId},
    pbft::output::Purpose,
    time::{Instant, UnixMillis},
};

/// A batch that was proposed to this replica and is not judged yet.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub batch: Batch,
    pub purpose: Purpose,
}

/// Proposals in flight, made here or judged here.
#[derive(Clone, Debug)]
pub(super) struct Proposals {
    pub waiting: BTreeMap<Key, Waiting>,
    /// Ids in live slots of this view; an id belongs to one of them only.
    pub placed: BTreeMap<TransactionId, Sequence>,
    pub ids: BTreeMap<Sequence, Vec<TransactionId>>,
    /// The latest time that any batch proposed here had.
    pub last_time: UnixMillis,
    /// Since when something waits in the pool to be proposed.
    pub ready_since: Option<Instant>,
    /// Before this, no further empty batch is proposed for the sake of expired transactions.
    pub expiry_at: Instant,
    pub due: Option<Instant>,
    /// Something was completed since the last judging.
    pub completed: bool,
}

impl Proposals {
    pub fn new(now: Instant) -> Proposals {
        Proposals {
            waiting: BTreeMap::new(),
            placed: BTreeMap::new(),
            ids: BTreeMap::new(),
            last_time: 0,
            ready_since: None,
            expiry_at: now,
            due: None,
            completed: false,
        }
    }

    /// No batch that is proposed here has a time before this.
    pub fn set_last_time(&mut self, time: UnixMillis) {
        self.last_time = self.last_time.max(time);
    }

    /// A batch occupies a live slot, whatever stood there before: a commit certificate or another view may have brought
    /// another one.
    pub fn place(&mut self, sequence: Sequence, batch: &Batch) {
        self.clear(sequence);
        for id in batch.ids.iter() {
            self.placed.entry(*id).or_insert(sequence);
        }
        self.ids.insert(sequence, batch.ids.to_vec());
    }

    fn clear(&mut self, sequence: Sequence) {
        for id in self.ids.remove(&sequence).unwrap_or_default() {
            if self.placed.get(&id) == Some(&sequence) {
                self.placed.remove(&id);
            }
        }
    }

    /// The pool has this many transactions that could be proposed.
    pub fn note_ready(&mut self, now: Instant, count: usize) {
        if count == 0 {
            self.ready_since = None;
        } else {
            self.ready_since.get_or_insert(now);
        }
    }

    /// Some batch has all its bodies now.
    pub fn note_completed(&mut self) {
        self.completed = true;
    }

    /// The block of this sequence is executed: its slot is live no longer, and nothing below is.
    pub fn executed(&mut self, sequence: Sequence) {
        self.waiting = self.waiting.split_off(&(sequence.next(), Digest::ZERO));
        let live = self.ids.split_off(&sequence.next());
        for (sequence, ids) in std::mem::replace(&mut self.ids, live) {
            for id in ids {
                if self.placed.get(&id) == Some(&sequence) {
                    self.placed.remove(&id);
                }
            }
        }
    }

    /// Another view: only what is committed stands where it stood. Returns the sequences whose proposals are dead.
    pub fn enter_view(&mut self, committed: &[Sequence]) -> Vec<Sequence> {
        self.waiting.clear();
        self.ready_since = None;
        let dead: Vec<Sequence> = self.ids.keys().copied().filter(|n| !committed.contains(n)).collect();
        dead.iter().for_each(|sequence| self.clear(*sequence));
        dead
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due
    }

    pub fn hasten(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::sha256;

    fn batch(name: u8) -> Batch {
        Batch { time: 0, ids: vec![TransactionId(sha256(&[name]))].try_into().unwrap() }
    }

    /// Simulation, seed 612: a twin's proposal stood where another batch was committed, the next view proposed that one
    /// again, and the first one's transactions were refused everywhere else for ever.
    #[test]
    fn what_another_batch_displaces_stands_nowhere_any_more() {
        let mut proposals = Proposals::new(Instant::ORIGIN);
        proposals.place(Sequence(9), &batch(1));
        proposals.enter_view(&[Sequence(9)]);
        proposals.place(Sequence(9), &batch(2));
        assert_eq!(proposals.placed.keys().copied().collect::<Vec<_>>(), batch(2).ids.to_vec());
        proposals.executed(Sequence(9));
        assert!(proposals.placed.is_empty() && proposals.ids.is_empty());
    }
}
