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
    /// Local clock when it came, in Unix milliseconds.
    pub came: UnixMillis,
}

/// From so many transactions on, agreement on a batch costs less than what is in it.
const HEAVY_COUNT: u32 = 64;

/// From so many on, bodies are under way for longer than agreement takes: a proposal that goes sooner names what others have not got.
const FULL_COUNT: u32 = 2_048;

/// How fast batches that are not full follow each other: after small ones at once, after heavy ones with a pause of as long as they were
/// in flight, after full ones with twice that. So under load at most half of the time goes into agreement, and the next batch gathers
/// what comes meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    proposed: Instant,
    settled: Option<Instant>,
    count: u32,
}

impl Pace {
    fn new(now: Instant) -> Pace {
        Pace { proposed: now, settled: Some(now), count: 0 }
    }

    /// A batch of so many transactions was proposed.
    pub fn proposed(&mut self, now: Instant, count: usize) {
        *self = Pace { proposed: now, settled: None, count: count.try_into().unwrap_or(u32::MAX) };
    }

    /// Nothing is in flight.
    pub fn settled(&mut self, now: Instant) {
        self.settled.get_or_insert(now);
    }

    /// When the next may follow. None while one is in flight.
    pub fn next(&self) -> Option<Instant> {
        let settled = self.settled?;
        let in_flight = settled.saturating_since(self.proposed);
        let heavy = in_flight * self.count.min(HEAVY_COUNT) / HEAVY_COUNT;
        let full = in_flight * self.count.min(FULL_COUNT) / FULL_COUNT;
        Some(settled + heavy + full)
    }
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
    pub pace: Pace,
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
            pace: Pace::new(now),
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

    /// Another view: only what is committed stands, whether it was proposed here or something else was. Returns the sequences
    /// whose proposals are dead, and those of the committed batches that did not stand here.
    pub fn enter_view(&mut self, committed: &BTreeMap<Sequence, Batch>) -> (Vec<Sequence>, Vec<Sequence>) {
        self.waiting.clear();
        self.ready_since = None;
        let stands = |sequence: &Sequence, batch: &Batch| self.ids.get(sequence).is_some_and(|ids| **ids == *batch.ids);
        let new: Vec<Sequence> = committed.iter().filter(|(n, batch)| !stands(n, batch)).map(|(n, _)| *n).collect();
        let lives = |sequence: &Sequence| committed.get(sequence).is_some_and(|batch| stands(sequence, batch));
        let dead: Vec<Sequence> = self.ids.keys().copied().filter(|sequence| !lives(sequence)).collect();
        dead.iter().for_each(|sequence| self.clear(*sequence));
        new.iter().for_each(|sequence| self.place(*sequence, &committed[sequence]));
        (dead, new)
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

    #[test]
    fn small_batches_follow_each_other_at_once_and_heavy_ones_after_a_pause() {
        let at = |millis: u64| Instant::from_micros(1_000 * millis);
        let mut pace = Pace::new(at(100));
        assert_eq!(pace.next(), Some(at(100)), "the first waits for nothing");
        for (count, next) in [(0, 110), (16, 112), (32, 115), (64, 120), (512, 122), (2_048, 130)] {
            pace.proposed(at(100), count);
            assert_eq!(pace.next(), None, "one is in flight");
            pace.settled(at(110));
            pace.settled(at(500));
            let found = pace.next().map(|next| at(next.as_micros() / 1_000));
            assert_eq!(found, Some(at(next)), "{count} transactions");
        }
    }

    /// Simulation, seed 612: a twin's proposal stood where another batch was committed, the next view proposed that one
    /// again, and the first one's transactions were refused everywhere else for ever.
    #[test]
    fn what_another_batch_displaces_stands_nowhere_any_more() {
        let mut proposals = Proposals::new(Instant::ORIGIN);
        proposals.place(Sequence(9), &batch(1));
        proposals.enter_view(&BTreeMap::from([(Sequence(9), batch(1))]));
        proposals.place(Sequence(9), &batch(2));
        assert_eq!(proposals.placed.keys().copied().collect::<Vec<_>>(), batch(2).ids.to_vec());
        proposals.executed(Sequence(9));
        assert!(proposals.placed.is_empty() && proposals.ids.is_empty());
    }

    /// A liar proposed one batch here, and another one committed there, which a certificate told: in the next view what the lie
    /// named may stand in any batch, and what is committed in no other.
    #[test]
    fn after_a_view_only_what_is_committed_stands_in_its_slot() {
        let mut proposals = Proposals::new(Instant::ORIGIN);
        (1..=3).for_each(|name| proposals.place(Sequence(name.into()), &batch(name)));
        let committed = BTreeMap::from([(Sequence(1), batch(1)), (Sequence(2), batch(9)), (Sequence(7), batch(7))]);
        let (dead, new) = proposals.enter_view(&committed);
        assert_eq!((dead, new), (vec![Sequence(2), Sequence(3)], vec![Sequence(2), Sequence(7)]));
        let placed: BTreeMap<_, _> = committed.iter().map(|(sequence, batch)| (batch.ids[0], *sequence)).collect();
        assert_eq!(proposals.placed, placed);
    }
}
