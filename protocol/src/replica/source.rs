//! Which blocks are missing, who is asked for them, and what becomes of the answers (PROTOCOL 4.3).
//!
//! Each source has one question at a time, for a range of its own, so that all of them work at once. Who fails rests; who is
//! much slower than another rests too; and a source that finds no range of its own takes over one that another has kept for
//! [`TAKE_OVER_AFTER`]. From that follows the bound on what liars can do: while anything within reach is missing, a source
//! that gives what it is asked for stands idle at most [`TAKE_OVER_AFTER`] for each range that a liar was trusted with, and a
//! liar is trusted again only after its rest. A liar that never gives anything costs that time at growing intervals of 0.5 to
//! 64 s, one that gives a little now and then every 4 s. When all of them rest, one more is asked every `TAKE_OVER_AFTER`,
//! so the one that answers is found within that time multiplied by the number of sources (and a deadline, 5.2 s at most, if
//! its last question was lost), and is trusted from then on.

use std::{collections::BTreeMap, time::Duration};

use super::{
    allowance::cost,
    held::{HEIGHTS_MAX, Held, PARKED_BYTES_MAX, size},
    message::SyncMessage,
    score::Source,
};
use crate::{
    document::CertifiedBlock,
    id::{Height, NodeIndex},
    limits::{SYNC_ANSWER_BYTES, SYNC_BLOCKS_MAX},
    time::Instant,
};

/// How long a range belongs to the source that was asked first.
const TAKE_OVER_AFTER: Duration = Duration::from_millis(250);

/// When even those that rest are asked again, since no other has answered: longer than any first deadline.
const ASK_MORE_AFTER: Duration = Duration::from_millis(1_500);

/// How often time is looked at while blocks are missing.
const TICK: Duration = Duration::from_millis(50);

/// Blocks of one question. A source that dies keeps few from the others, and a full window has work for eight.
const RANGE_MAX: u64 = 32;

const _: () = assert!(RANGE_MAX as usize <= SYNC_BLOCKS_MAX && 8 * RANGE_MAX <= HEIGHTS_MAX);

/// What blocks are taken to have before any came.
const BLOCK_BYTES: usize = SYNC_ANSWER_BYTES / RANGE_MAX as usize;

/// Where this replica stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub executed: Height,
    pub delivered: Height,
}

/// A question for blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RangeQuestion {
    pub to: NodeIndex,
    pub from: Height,
    pub count: u64,
}

/// The state of catching up.
#[derive(Clone, Debug, Default)]
pub(super) struct Sync {
    /// A height that at least one correct replica has reached; 0 while there is nothing to fetch.
    target: Height,
    pub held: Held,
    sources: BTreeMap<NodeIndex, Source>,
    /// Mean bytes of the last blocks, 0 before the first.
    mean: usize,
    /// When to look again.
    due: Option<Instant>,
    /// An answer came since the last look.
    has_news: bool,
}

impl Sync {
    /// There is something to fetch.
    pub fn start(&mut self, target: Height) {
        self.has_news |= target > self.target;
        self.target = self.target.max(target);
    }

    pub fn is_active(&self) -> bool {
        self.target > Height::ZERO
    }

    pub fn target(&self) -> Height {
        self.target
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// There is nobody to ask: the next event of any kind is early enough.
    pub fn sleep(&mut self) {
        self.due = None;
    }

    /// Everything is there. What is known of the sources stays.
    pub fn finish(&mut self) {
        self.target = Height::ZERO;
        self.due = None;
        self.held.clear_parked();
        self.sources.values_mut().for_each(|source| source.ask = None);
    }

    /// Whether to look now for what to ask: at every tick, and after every answer.
    pub fn takes_turn(&mut self, now: Instant) -> bool {
        let turn = self.has_news || self.due.is_none_or(|due| due <= now);
        if turn {
            self.has_news = false;
            self.due = Some(now + TICK);
        }
        turn
    }

    /// What to ask now. `heights` are the connected sources, with the height that each has said to have.
    pub fn plan(&mut self, now: Instant, at: Progress, heights: &BTreeMap<NodeIndex, Height>) -> Vec<RangeQuestion> {
        for (index, source) in &mut self.sources {
            source.expire(now);
            if !heights.contains_key(index) {
                source.cut(now);
            }
        }
        for index in heights.keys() {
            self.sources.entry(*index).or_insert_with(|| Source::new(now));
        }
        let best = self.best();
        let mut order: Vec<NodeIndex> = heights.keys().copied().collect();
        order.sort_by_key(|index| self.sources[index].rank());
        let is_free = |source: &Source| source.ask.is_none_or(|ask| ask.is_overdue);
        let mut questions = Vec::new();
        for to in &order {
            let source = &self.sources[to];
            if is_free(source) && !source.is_resting(now, best) {
                questions.extend(self.ask(now, at, *to, heights[to]));
            }
        }
        // Somebody has to be asked: the one that failed least, and one more when nobody answers.
        order.retain(|to| heights[to] > at.delivered);
        let is_trusted = |to: &NodeIndex| !self.sources[to].is_resting(now, best);
        let patience = if order.iter().any(is_trusted) { ASK_MORE_AFTER } else { TAKE_OVER_AFTER };
        let waits = self.live_asks().any(|since| now.saturating_since(since) < patience);
        if !waits {
            order.retain(|to| is_free(&self.sources[to]));
            questions.extend(order.into_iter().find_map(|to| self.ask(now, at, to, heights[&to])));
        }
        questions
    }

    /// The blocks of an answer that were asked for, in order; none if nothing was. They are scored, whether they are still
    /// missing or not.
    pub fn on_answer(&mut self, now: Instant, from: NodeIndex, blocks: Vec<CertifiedBlock>) -> Vec<CertifiedBlock> {
        let best = self.best();
        let Some(source) = self.sources.get_mut(&from) else { return Vec::new() };
        let Some(ask) = source.ask else { return Vec::new() };
        if blocks.first().is_some_and(|block| block.header.height != ask.from) {
            // Late, stale or never asked for: the question stays open until its deadline.
            return Vec::new();
        }
        let given = blocks.len();
        let in_order = |(block, height): &(CertifiedBlock, u64)| block.header.height.0 == *height;
        let range = ask.from.0..ask.from.0.saturating_add(ask.count);
        let blocks: Vec<_> = blocks.into_iter().zip(range).take_while(in_order).map(|(block, _)| block).collect();
        let sizes: Vec<usize> = blocks.iter().map(size).collect();
        if blocks.is_empty() || blocks.len() < given {
            source.answered_badly(now);
        } else {
            source.answered(now, &ask, blocks.len(), sizes.iter().sum(), best);
        }
        for bytes in sizes {
            self.mean = if self.mean == 0 { bytes } else { (7 * self.mean + bytes) / 8 };
        }
        self.has_news = true;
        blocks
    }

    fn best(&self) -> u64 {
        self.sources.values().map(Source::standard).max().unwrap_or(0)
    }

    fn live_asks(&self) -> impl Iterator<Item = Instant> {
        self.sources.values().filter_map(|source| source.ask).filter(|ask| !ask.is_overdue).map(|ask| ask.since)
    }

    fn ask(&mut self, now: Instant, at: Progress, to: NodeIndex, has: Height) -> Option<RangeQuestion> {
        let mean = if self.mean == 0 { BLOCK_BYTES } else { self.mean };
        let count_max = (SYNC_ANSWER_BYTES / mean).clamp(1, RANGE_MAX as usize) as u64;
        let (from, count) = self.range(now, at, has, count_max)?;
        let source = self.sources.get_mut(&to)?;
        // A third more than the answer, so that the source has something left for other questions.
        let price = cost(&SyncMessage::FetchBlocks { from, count: 1 });
        if !source.allowance.take(now, price + price / 3) {
            return None;
        }
        let bytes = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(mean);
        source.begin(now, from, count, bytes);
        Some(RangeQuestion { to, from, count })
    }

    /// The lowest missing range that nobody was asked for, or else the lowest that somebody keeps too long.
    fn range(&self, now: Instant, at: Progress, has: Height, count_max: u64) -> Option<(Height, u64)> {
        let first = at.delivered.next();
        let last = self.target.min(has).min(at.executed.saturating_add(HEIGHTS_MAX));
        let reserved = (self.live_asks().count() + 1) * SYNC_ANSWER_BYTES;
        let has_room = self.held.parked_bytes + reserved <= PARKED_BYTES_MAX;
        let asked = self.asked(first, last);
        let is_missing = |height: u64| {
            let is_allowed = if height == first.0 { self.held.may_hand_on() } else { has_room };
            is_allowed && !self.held.contains(Height(height))
        };
        let is_new = |height: u64| asked[(height - first.0) as usize].is_none() && is_missing(height);
        let is_kept = |height: u64| {
            let since = asked[(height - first.0) as usize];
            since.is_some_and(|since| now.saturating_since(since) >= TAKE_OVER_AFTER) && is_missing(height)
        };
        let run = |is_wanted: &dyn Fn(u64) -> bool| {
            let from = (first.0..=last.0).find(|height| is_wanted(*height))?;
            let count = (from..=last.0).take_while(|height| is_wanted(*height)).take(count_max as usize).count();
            Some((Height(from), count as u64))
        };
        run(&is_new).or_else(|| run(&is_kept))
    }

    /// For each height: when the last of those was asked for it who have time left.
    fn asked(&self, first: Height, last: Height) -> Vec<Option<Instant>> {
        let mut asked = vec![None; (last.next().saturating_since(first)) as usize];
        let live = self.sources.values().filter_map(|source| source.ask).filter(|ask| !ask.is_overdue);
        for ask in live {
            let skipped = first.saturating_since(ask.from);
            let start = ask.from.saturating_since(first) as usize;
            let places = asked.iter_mut().skip(start).take(ask.count.saturating_sub(skipped) as usize);
            places.for_each(|place: &mut Option<Instant>| *place = (*place).max(Some(ask.since)));
        }
        asked
    }
}

#[cfg(test)]
mod tests;
