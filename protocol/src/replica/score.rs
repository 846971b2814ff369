//! What is known of one source of blocks: what it was asked, how fast it answers, how often it failed.
//!
//! Blocks are verified before they come here, and a quorum made them final: a source cannot give a wrong one. It can give
//! nothing, too little, too late, or something else than it was asked for, and so can an honest one in trouble. So nobody is
//! banned: whoever fails rests, twice as long each time, and is asked again.

use std::time::Duration;

use super::allowance::Allowance;
use crate::{id::Height, limits::SYNC_ANSWER_BYTES, time::Instant};

/// The part of a deadline that does not depend on what was asked.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);

/// A link slower than this is slow: one answer takes a second at most.
const BYTES_PER_SECOND: usize = SYNC_ANSWER_BYTES;

/// How long a source rests after its first failure; the rests and deadlines of the next ones double.
const REST: Duration = Duration::from_millis(500);
const REST_DOUBLINGS_MAX: u32 = 7;
/// Not many: an answer that comes late counts all the same, while its source rests.
const DEADLINE_DOUBLINGS_MAX: u32 = 2;

/// How long a source rests that is much slower than another.
const SLOW_REST: Duration = Duration::from_secs(4);

/// A source is slow if another is this many times as fast.
const SLOW_FACTOR: u64 = 8;

/// No source is asked more often than its allowance lets it be, so a faster answer is worth no more.
const ANSWER_LEAST: Duration = Duration::from_millis(40);

/// What a block is worth beside its bytes, so that small ones count.
const BLOCK_POINTS: u64 = 16 * 1024;

/// A range that a source was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub from: Height,
    pub count: u64,
    pub since: Instant,
    pub until: Instant,
    /// Its time is up: others are asked for the range, but the answer is still welcome.
    pub is_overdue: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub ask: Option<Ask>,
    /// Points a second, the mean of the last answers with the latest weighing most; 0 before the first.
    rate: u64,
    /// Failures that were not made good.
    strikes: u32,
    rests_until: Instant,
    /// Mirrors what the source allows, so that no question is lost to it.
    pub allowance: Allowance,
}

impl Source {
    pub fn new(now: Instant) -> Source {
        Source { ask: None, rate: 0, strikes: 0, rests_until: now, allowance: Allowance::full(now) }
    }

    /// The best come first.
    pub fn rank(&self) -> (u32, std::cmp::Reverse<u64>) {
        (self.strikes, std::cmp::Reverse(self.rate))
    }

    /// The rate that others are measured by; a source that fails says nothing of what is possible.
    pub fn standard(&self) -> u64 {
        if self.strikes == 0 { self.rate } else { 0 }
    }

    pub fn is_resting(&self, now: Instant, best: u64) -> bool {
        now < self.rests_until && (self.strikes > 0 || self.is_slow(best))
    }

    fn is_slow(&self, best: u64) -> bool {
        self.rate.saturating_mul(SLOW_FACTOR) < best
    }

    /// A question for a range of so many bytes goes out.
    pub fn begin(&mut self, now: Instant, from: Height, count: u64, bytes: usize) {
        let transfer = Duration::from_micros((bytes.min(SYNC_ANSWER_BYTES) * 1_000_000 / BYTES_PER_SECOND) as u64);
        let patience = (ANSWER_WITHIN + transfer) * (1 << self.strikes.min(DEADLINE_DOUBLINGS_MAX));
        self.ask = Some(Ask { from, count, since: now, until: now + patience, is_overdue: false });
    }

    /// Nothing came in time.
    pub fn expire(&mut self, now: Instant) {
        if let Some(ask) = self.ask.as_mut().filter(|ask| !ask.is_overdue && ask.until <= now) {
            ask.is_overdue = true;
            self.rate /= 2;
            self.fail(now);
        }
    }

    /// The link went down before the answer came.
    pub fn cut(&mut self, now: Instant) {
        if self.ask.take().is_some_and(|ask| !ask.is_overdue) {
            self.fail(now);
        }
    }

    /// The answer to `ask` was none, or holds something else than was asked.
    pub fn answered_badly(&mut self, now: Instant) {
        self.ask = None;
        self.fail(now);
    }

    /// The answer to `ask` came, with this many blocks of what was asked, and bytes in them. `best` is the rate of the
    /// fastest source.
    pub fn answered(&mut self, now: Instant, ask: &Ask, blocks: usize, bytes: usize, best: u64) {
        self.ask = None;
        let points = blocks as u64 * BLOCK_POINTS + bytes as u64;
        let took = now.saturating_since(ask.since).max(ANSWER_LEAST);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let sample = (points.saturating_mul(1_000_000) / micros).max(1);
        self.rate = if self.rate == 0 { sample } else { self.rate.midpoint(sample) };
        if self.is_slow(best) {
            self.rests_until = now + SLOW_REST;
        } else {
            self.strikes = self.strikes.saturating_sub(1);
            self.rests_until = now;
        }
    }

    fn fail(&mut self, now: Instant) {
        self.strikes = (self.strikes + 1).min(REST_DOUBLINGS_MAX + 1);
        self.rests_until = now + REST * (1 << (self.strikes - 1));
    }
}
