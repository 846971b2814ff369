//! What happened in a world, one readable line per event.

use crate::time::Instant;
use quorate_crypto::{Digest, sha256};
use std::collections::VecDeque;

/// How many of the latest lines are kept when not all are.
const TAIL_LINES: usize = 400;

/// The lines of a world. Their digest covers all of them, those no longer kept included.
#[derive(Clone, Debug)]
pub struct Trace {
    lines: VecDeque<String>,
    keep_all: bool,
    count: u64,
    digest: Digest,
}

impl Trace {
    /// An empty trace that keeps all its lines, or only the latest.
    #[must_use]
    pub fn new(keep_all: bool) -> Self {
        Trace { lines: VecDeque::new(), keep_all, count: 0, digest: Digest::ZERO }
    }

    pub(super) fn push(&mut self, time: Instant, what: std::fmt::Arguments<'_>) {
        let micros = time.as_micros();
        let line = format!("{:>5}.{:03} ms  {what}", micros / 1_000, micros % 1_000);
        let mut chained = self.digest.as_bytes().to_vec();
        chained.extend_from_slice(line.as_bytes());
        self.digest = sha256(&chained);
        self.count += 1;
        if !self.keep_all && self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The lines that are kept, oldest first.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// How many lines there have been.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A hash over all lines: equal traces have equal digests.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The last lines, at most `count`, as one text.
    #[must_use]
    pub fn tail(&self, count: usize) -> String {
        let skipped = self.lines.len().saturating_sub(count);
        self.lines().skip(skipped).fold(String::new(), |text, line| text + line + "\n")
    }

    /// Takes the lines that have come since the last call.
    pub(super) fn drain(&mut self) -> Vec<String> {
        self.lines.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_covers_lines_that_are_no_longer_kept() {
        let write = |first: &str| {
            let mut trace = Trace::new(false);
            trace.push(Instant::ORIGIN, format_args!("{first}"));
            for number in 0..TAIL_LINES {
                trace.push(Instant::from_micros(1_500), format_args!("line {number}"));
            }
            trace
        };
        let (a, b, c) = (write("a"), write("a"), write("c"));
        assert_eq!(a.digest(), b.digest());
        assert_ne!(a.digest(), c.digest());
        assert_eq!(a.count() as usize, TAIL_LINES + 1);
        assert_eq!(a.tail(1), format!("    1.500 ms  line {}\n", TAIL_LINES - 1));
    }
}
