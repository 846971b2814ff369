//! The bodies of proposals and of final batches: held, missing, asked for (PROTOCOL 3.3).
//!
//! They are pinned here outside of the pool's bounds, from the proposal until the block executes. What bounds them is the
//! engine: it asks for one proposal per slot of its window, and executes no further ahead than that.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use quorate_crypto::hash::Digest;

use crate::{
    document::{Batch, Body},
    id::{NodeIndex, Sequence, TransactionId},
    pool::Pool,
    time::Instant,
};

/// Gossip usually brings a body while its proposal is under way; only what is still missing then is asked for.
const FIRST_ASK_AFTER: Duration = Duration::from_millis(10);

/// How long an answer may take before somebody else is asked; twice as long each time that all were asked in vain.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How often that doubles: bodies that nobody has must not use up what peers allow for other questions.
const DOUBLINGS_MAX: u32 = 4;

/// One batch at one place.
pub(super) type Key = (Sequence, Digest);

#[derive(Clone, Debug)]
struct Wanted {
    bodies: Vec<Option<Body>>,
    places: BTreeMap<TransactionId, Vec<usize>>,
    missing: BTreeSet<TransactionId>,
    proposer: NodeIndex,
    asked: u32,
    ask_at: Instant,
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
    /// Who waits for an id.
    waiting: BTreeMap<TransactionId, BTreeSet<Key>>,
}

impl Bodies {
    /// Pins a batch; what the pool or another pinned batch holds is taken from there.
    pub fn want(&mut self, key: Key, batch: &Batch, proposer: NodeIndex, pool: &Pool, now: Instant) {
        if self.wanted.contains_key(&key) {
            return;
        }
        let bodies: Vec<Option<Body>> = batch.ids.iter().map(|id| pool.get(id)).collect();
        let mut places: BTreeMap<TransactionId, Vec<usize>> = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for (place, (id, body)) in batch.ids.iter().zip(&bodies).enumerate() {
            if body.is_none() {
                places.entry(*id).or_default().push(place);
                missing.insert(*id);
                self.waiting.entry(*id).or_default().insert(key);
            }
        }
        let ask_at = now + FIRST_ASK_AFTER;
        self.wanted.insert(key, Wanted { bodies, places, missing, proposer, asked: 0, ask_at });
    }

    /// A verified body came; tells whether it completed a batch.
    pub fn supply(&mut self, body: &Body) -> bool {
        let id = body.id();
        let mut completed = false;
        for key in self.waiting.remove(&id).unwrap_or_default() {
            let Some(wanted) = self.wanted.get_mut(&key) else { continue };
            for place in wanted.places.remove(&id).unwrap_or_default() {
                wanted.bodies[place] = Some(body.clone());
            }
            wanted.missing.remove(&id);
            completed |= wanted.missing.is_empty();
        }
        completed
    }

    /// All bodies of a batch in its order, once none is missing.
    pub fn complete(&self, key: &Key) -> Option<Vec<Body>> {
        self.wanted.get(key)?.bodies.iter().cloned().collect()
    }

    /// Those of the ids that are pinned here. One walk over everything pinned, however many are asked for.
    pub fn pinned(&self, ids: &BTreeSet<TransactionId>) -> Vec<Body> {
        let held = self.wanted.values().flat_map(|wanted| wanted.bodies.iter().flatten());
        let mut found: BTreeMap<TransactionId, Body> = BTreeMap::new();
        for body in held.filter(|body| ids.contains(&body.id())) {
            found.insert(body.id(), body.clone());
        }
        found.into_values().collect()
    }

    /// The block of `sequence` is executed: it and everything below is in the store.
    pub fn release(&mut self, sequence: Sequence) {
        let kept = self.wanted.split_off(&(sequence.next(), Digest::ZERO));
        for (key, wanted) in std::mem::replace(&mut self.wanted, kept) {
            for id in wanted.missing {
                if let Some(keys) = self.waiting.get_mut(&id) {
                    keys.remove(&key);
                    if keys.is_empty() {
                        self.waiting.remove(&id);
                    }
                }
            }
        }
    }

    /// Lets go of every batch but the kept ones.
    pub fn retain(&mut self, keep: impl Fn(&Key) -> bool) {
        let dropped: Vec<Key> = self.wanted.keys().filter(|key| !keep(key)).copied().collect();
        for key in dropped {
            self.drop_batch(&key);
        }
    }

    fn drop_batch(&mut self, key: &Key) {
        for id in self.wanted.remove(key).map(|wanted| wanted.missing).unwrap_or_default() {
            if let Some(keys) = self.waiting.get_mut(&id) {
                keys.remove(key);
                if keys.is_empty() {
                    self.waiting.remove(&id);
                }
            }
        }
    }

    /// What to ask now, and whom: the proposer first, then every other connected validator in turn.
    pub fn due(&mut self, now: Instant, connected: &BTreeSet<NodeIndex>) -> Vec<Question> {
        let mut questions = Vec::new();
        for (key, wanted) in &mut self.wanted {
            if wanted.missing.is_empty() || wanted.ask_at > now || connected.is_empty() {
                continue;
            }
            let order: Vec<NodeIndex> = connected.iter().copied().collect();
            let start = order.iter().position(|index| *index == wanted.proposer).unwrap_or(0);
            let to = order[(start + wanted.asked as usize) % order.len()];
            let rounds = u32::try_from(wanted.asked as usize / order.len()).unwrap_or(u32::MAX);
            let is_repeated = rounds > 0;
            wanted.asked = wanted.asked.saturating_add(1);
            wanted.ask_at = now + ASK_AGAIN_AFTER * (1 << rounds.min(DOUBLINGS_MAX));
            questions.push(Question { key: *key, to, ids: wanted.missing.iter().copied().collect(), is_repeated });
        }
        questions
    }

    /// A link came up: who is there now may have what nobody had, the proposer most of all.
    pub fn ask_anew(&mut self, now: Instant) {
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.asked > 0) {
            wanted.asked = 0;
            wanted.ask_at = wanted.ask_at.min(now);
        }
    }

    /// When [`Bodies::due`] has something, if somebody is connected.
    pub fn next_due(&self) -> Option<Instant> {
        self.wanted.values().filter(|wanted| !wanted.missing.is_empty()).map(|wanted| wanted.ask_at).min()
    }
}
