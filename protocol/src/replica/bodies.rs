//! The bodies of proposals and of final batches: held, missing, asked for (PROTOCOL 3.3).
//!
//! They are pinned here outside of the pool's bounds, from the proposal until the block executes. The engine asks for one
//! proposal per slot of its window and executes no further ahead than that, which bounds how many batches there are. What
//! each may take is bounded here: its bodies by the bytes that any batch can have, and the search for missing ones by
//! [`OPEN_IDS_MAX`]. A batch beyond that waits until others are complete or released, the lowest sequence last to wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use quorate_crypto::hash::Digest;

use crate::{
    document::{Batch, Body},
    id::{NodeIndex, Sequence, TransactionId},
    limits::BATCH_BYTES_LIMIT,
    pool::Pool,
    time::Instant,
};

/// Gossip usually brings a body while its proposal is under way; only what is still missing then is asked for.
const FIRST_ASK_AFTER: Duration = Duration::from_millis(10);

/// How long an answer may take before somebody else is asked; twice as long after every second question. Bodies that nobody has must not
/// use up what peers allow for other questions, and where answers wait because there are so many, more of the same help nobody.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How often that doubles while there is somebody who was not asked: f of them may keep silent on purpose.
const FIRST_DOUBLINGS_MAX: u32 = 1;

/// How often that doubles in all.
const DOUBLINGS_MAX: u32 = 4;

/// Ids of batches that are being completed: a window of 128 full batches of 2,000, whatever a lying primary proposes.
///
/// An id takes 32 bytes in its batch, 8 for its body's pointer and 40 in the index, which a B-tree fills to two thirds at
/// worst on the way (half in theory): about 100 bytes, so all of them 26 MB. One that waits takes the first 40 only.
const OPEN_IDS_MAX: usize = 262_144;

/// Bits for the place in a batch, beside the batch's number, in an entry of the index.
const PLACE_BITS: u32 = 16;

const _: () = assert!(crate::limits::BATCH_COUNT_LIMIT <= 1 << PLACE_BITS);

/// One batch at one place.
pub(super) type Key = (Sequence, Digest);

#[derive(Clone, Debug)]
struct Wanted {
    /// Names this batch in the index.
    number: u64,
    ids: Vec<TransactionId>,
    /// One for each id, in the same order.
    bodies: Vec<Option<Body>>,
    missing: usize,
    /// Canonical bytes of the bodies held.
    bytes: usize,
    /// Has its ids in the index, and asks for what is missing.
    is_indexed: bool,
    /// Its bodies are more than any batch may have. It is never complete, and collects nothing.
    is_oversized: bool,
    proposer: NodeIndex,
    asked: u32,
    ask_at: Instant,
    /// Its link came up after it was asked.
    proposer_returned: bool,
}

impl Wanted {
    fn is_open(&self) -> bool {
        self.is_indexed && self.missing > 0
    }

    /// Takes a body where it is missing; tells whether that was the last one.
    fn fill(&mut self, place: usize, body: &Body) -> bool {
        if self.is_oversized || !matches!(self.bodies.get(place), Some(None)) {
            return false;
        }
        self.bytes += body.size();
        if self.bytes > BATCH_BYTES_LIMIT {
            // Members can sign bodies for a batch that never completes: it must not collect them without end.
            self.is_oversized = true;
            self.bodies = Vec::new();
            self.bytes = 0;
            return false;
        }
        self.bodies[place] = Some(body.clone());
        self.missing -= 1;
        self.missing == 0
    }

    fn missing_ids(&self) -> Vec<TransactionId> {
        let places = self.ids.iter().zip(&self.bodies);
        let missing: BTreeSet<TransactionId> = places.filter(|(_, body)| body.is_none()).map(|(id, _)| *id).collect();
        missing.into_iter().collect()
    }
}

/// What to ask for a batch whose bodies are missing.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub key: Key,
    pub to: NodeIndex,
    pub ids: Vec<TransactionId>,
    /// Whether all who are connected were asked before.
    pub is_repeated: bool,
}

/// All pinned batches.
#[derive(Clone, Debug, Default)]
pub(super) struct Bodies {
    wanted: BTreeMap<Key, Wanted>,
    keys: BTreeMap<u64, Key>,
    next_number: u64,
    /// Where each id stands: the batch's number and the place in it, packed.
    index: BTreeSet<(TransactionId, u64)>,
    /// Ids of the batches that are indexed and not complete.
    open_ids: usize,
}

impl Bodies {
    /// Pins a batch; what the pool or another pinned batch holds is taken from there. A batch that is pinned already gets
    /// the new proposer to ask.
    pub fn want(&mut self, key: Key, batch: &Batch, proposer: NodeIndex, pool: &Pool, now: Instant) {
        let ask_at = now + FIRST_ASK_AFTER;
        if let Some(wanted) = self.wanted.get_mut(&key) {
            if wanted.proposer != proposer {
                (wanted.proposer, wanted.asked, wanted.proposer_returned) = (proposer, 0, false);
                wanted.ask_at = wanted.ask_at.min(ask_at);
            }
            return;
        }
        let ids = batch.ids.to_vec();
        let mut wanted = Wanted {
            number: self.next_number,
            bodies: vec![None; ids.len()],
            missing: ids.len(),
            bytes: 0,
            is_indexed: false,
            is_oversized: false,
            proposer,
            asked: 0,
            ask_at,
            proposer_returned: false,
            ids,
        };
        for (place, id) in batch.ids.iter().enumerate() {
            if let Some(body) = pool.get(id).or_else(|| self.held(id)) {
                wanted.fill(place, &body);
            }
        }
        self.next_number += 1;
        self.keys.insert(wanted.number, key);
        let is_complete = wanted.missing == 0;
        self.wanted.insert(key, wanted);
        if is_complete {
            self.open(&key);
        } else {
            self.make_room();
        }
    }

    /// A verified body came; tells whether it completed a batch.
    pub fn supply(&mut self, body: &Body) -> bool {
        let mut completed = false;
        for (key, place) in self.places(&body.id()) {
            let Some(wanted) = self.wanted.get_mut(&key) else { continue };
            if wanted.fill(place, body) {
                self.open_ids -= wanted.ids.len();
                completed = true;
            }
            if wanted.is_oversized {
                self.close(&key);
            }
        }
        if completed {
            self.make_room();
        }
        completed
    }

    /// The bodies of a pinned batch came together, in its order; tells whether they completed it. They count even while the
    /// batch waits.
    pub fn supply_batch(&mut self, key: &Key, bodies: &[Body]) -> bool {
        let Some(wanted) = self.wanted.get_mut(key).filter(|wanted| wanted.missing > 0) else { return false };
        let (size, was_indexed) = (wanted.ids.len(), wanted.is_indexed);
        let fits = wanted.ids.len() == bodies.len() && wanted.ids.iter().zip(bodies).all(|(id, body)| *id == body.id());
        let completed =
            fits && bodies.iter().enumerate().fold(false, |done, (place, body)| wanted.fill(place, body) || done);
        if completed && was_indexed {
            self.open_ids -= size;
            self.make_room();
        } else if completed {
            self.open(key);
        }
        completed
    }

    /// All bodies of a batch in its order, once none is missing.
    pub fn complete(&self, key: &Key) -> Option<Vec<Body>> {
        let wanted = self.wanted.get(key).filter(|wanted| wanted.missing == 0)?;
        wanted.bodies.iter().cloned().collect()
    }

    /// In words, what is missing at a sequence, if something is.
    pub fn lacking(&self, sequence: Sequence) -> Option<String> {
        let at = self.wanted.range((sequence, Digest::ZERO)..).take_while(|((found, _), _)| *found == sequence);
        let (_, wanted) = at.into_iter().find(|(_, wanted)| wanted.missing > 0 && !wanted.is_oversized)?;
        let (missing, all, asked) = (wanted.missing, wanted.ids.len(), wanted.asked);
        Some(format!(
            "of a batch for height {} {missing} of {all} bodies are missing here, asked for {asked} times",
            sequence.0
        ))
    }

    /// Those of the ids that are pinned here.
    pub fn pinned(&self, ids: &BTreeSet<TransactionId>) -> Vec<Body> {
        ids.iter().filter_map(|id| self.held(id)).collect()
    }

    /// The block of `sequence` is executed: it and everything below is in the store.
    pub fn release(&mut self, sequence: Sequence) {
        self.retain(|(pinned, _)| *pinned > sequence);
    }

    /// Drops every batch but those that `keep` wants: a new view has other proposals.
    pub fn retain(&mut self, mut keep: impl FnMut(&Key) -> bool) {
        let dropped: Vec<Key> = self.wanted.keys().filter(|key| !keep(key)).copied().collect();
        for key in &dropped {
            self.close(key);
            if let Some(wanted) = self.wanted.remove(key) {
                self.keys.remove(&wanted.number);
            }
        }
        if !dropped.is_empty() {
            self.make_room();
        }
    }

    /// What to ask now, and whom: the proposer first, then every other connected validator in turn.
    pub fn due(&mut self, now: Instant, connected: &BTreeSet<NodeIndex>) -> Vec<Question> {
        let mut questions = Vec::new();
        for (key, wanted) in self.wanted.iter_mut().filter(|(_, wanted)| wanted.is_open()) {
            if wanted.ask_at > now || connected.is_empty() {
                continue;
            }
            let order: Vec<NodeIndex> = connected.iter().copied().collect();
            let start = order.iter().position(|index| *index == wanted.proposer).unwrap_or(0);
            let to = order[(start + wanted.asked as usize) % order.len()];
            let rounds = u32::try_from(wanted.asked as usize / order.len()).unwrap_or(u32::MAX);
            let is_repeated = rounds > 0;
            let doublings_max = if is_repeated { DOUBLINGS_MAX } else { FIRST_DOUBLINGS_MAX };
            wanted.ask_at = now + ASK_AGAIN_AFTER * (1 << (wanted.asked / 2).min(doublings_max));
            wanted.asked = wanted.asked.saturating_add(1);
            questions.push(Question { key: *key, to, ids: wanted.missing_ids(), is_repeated });
        }
        questions
    }

    /// A link came up: who is there now may have what nobody had, the proposer most of all. That one is asked out of turn once for each
    /// batch, or a link that comes and goes would keep all others from being asked.
    pub fn ask_anew(&mut self, now: Instant, peer: NodeIndex) {
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.asked > 0) {
            if wanted.proposer == peer && !wanted.proposer_returned {
                (wanted.asked, wanted.proposer_returned) = (0, true);
            }
            wanted.ask_at = wanted.ask_at.min(now);
        }
    }

    /// When [`Bodies::due`] has something, if somebody is connected.
    pub fn next_due(&self) -> Option<Instant> {
        self.wanted.values().filter(|wanted| wanted.is_open()).map(|wanted| wanted.ask_at).min()
    }

    /// A pinned body.
    fn held(&self, id: &TransactionId) -> Option<Body> {
        self.places(id).into_iter().find_map(|(key, place)| self.wanted.get(&key)?.bodies.get(place)?.clone())
    }

    /// Where an id stands, in the batches that are indexed.
    fn places(&self, id: &TransactionId) -> Vec<(Key, usize)> {
        let packed = self.index.range((*id, 0)..=(*id, u64::MAX)).map(|(_, packed)| *packed);
        let place = |packed: u64| (packed & ((1 << PLACE_BITS) - 1)) as usize;
        packed.filter_map(|packed| Some((*self.keys.get(&(packed >> PLACE_BITS))?, place(packed)))).collect()
    }

    /// Opens waiting batches, the lowest sequences first, as far as the bound allows; the lowest open one always has its
    /// place, since everything above waits for its execution. Higher ones make room for lower ones.
    fn make_room(&mut self) {
        let waiting = |wanted: &Wanted| !wanted.is_indexed && !wanted.is_oversized;
        loop {
            let Some((key, needed)) =
                self.wanted.iter().find(|(_, wanted)| waiting(wanted)).map(|(key, w)| (*key, open_size(w)))
            else {
                return;
            };
            while needed > 0 && self.open_ids > 0 && self.open_ids + needed > OPEN_IDS_MAX {
                let highest = self.wanted.iter().rev().find(|(_, wanted)| wanted.is_open()).map(|(key, _)| *key);
                match highest.filter(|highest| *highest > key) {
                    Some(highest) => self.close(&highest),
                    None => return,
                }
            }
            self.open(&key);
        }
    }

    fn open(&mut self, key: &Key) {
        let Some(wanted) = self.wanted.get_mut(key) else { return };
        wanted.is_indexed = true;
        self.open_ids += open_size(wanted);
        self.index.extend(wanted.ids.iter().enumerate().map(|(place, id)| (*id, pack(wanted.number, place))));
    }

    fn close(&mut self, key: &Key) {
        let Some(wanted) = self.wanted.get_mut(key).filter(|wanted| wanted.is_indexed) else { return };
        wanted.is_indexed = false;
        self.open_ids -= open_size(wanted);
        for (place, id) in wanted.ids.iter().enumerate() {
            self.index.remove(&(*id, pack(wanted.number, place)));
        }
    }
}

/// What a batch counts towards [`OPEN_IDS_MAX`] while it is indexed.
fn open_size(wanted: &Wanted) -> usize {
    if wanted.missing > 0 { wanted.ids.len() } else { 0 }
}

fn pack(number: u64, place: usize) -> u64 {
    number << PLACE_BITS | place as u64
}

#[cfg(test)]
mod tests;
