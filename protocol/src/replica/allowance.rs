//! How much each peer may ask, by what its questions may cost: an answer can take a megabyte of reading and sending, and a
//! question next to nothing.

use super::message::SyncMessage;
use crate::{
    limits::{CERTIFICATE_BYTES_LIMIT, SYNC_ANSWER_BYTES},
    time::Instant,
};

/// Bytes of answers that a peer may cause at once: 32 answers of the largest kind.
const BURST_BYTES: u64 = 32 * SYNC_ANSWER_BYTES as u64;

/// Bytes of answers per microsecond that a peer may cause for long: 32 MB a second. f liars of a large set leave the disk
/// and its one thread time for others.
const BYTES_PER_MICRO: u64 = 32;

/// What every question costs, however small its answer: a few look-ups on a disk.
const QUESTION_BYTES: u64 = 4 * 1024;

/// What an asked body is taken to cost, up to a whole answer: the largest transaction of a default genesis.
const BODY_BYTES: u64 = 16 * 1024;

/// What an asked batch is taken to cost: 2,000 ids.
const BATCH_BYTES: u64 = 64 * 1024;

/// What an asked VIEW-CHANGE is taken to cost: it comes from memory, and holds a prepared certificate per open slot.
const VIEW_CHANGE_BYTES: u64 = 64 * 1024;

/// What a certificate costs; the engine also sends them unasked, for a STATUS that tells which are missing.
pub(super) const CERTIFICATE_COST: u64 = QUESTION_BYTES + CERTIFICATE_BYTES_LIMIT as u64;

/// Bytes that answering may take. Judged by the question alone, since answers are read elsewhere and later.
pub(super) fn cost(question: &SyncMessage) -> u64 {
    let answer = match question {
        SyncMessage::FetchBodies(ids) => ids.len() as u64 * BODY_BYTES,
        SyncMessage::FetchBlocks { .. } => SYNC_ANSWER_BYTES as u64,
        SyncMessage::FetchCertificate { .. } => return CERTIFICATE_COST,
        SyncMessage::FetchBatches(places) => places.len() as u64 * BATCH_BYTES,
        SyncMessage::FetchViewChanges(names) => names.len() as u64 * VIEW_CHANGE_BYTES,
        // Pool repair has its own bounds: one answer for each telling.
        SyncMessage::Repair(_)
        | SyncMessage::Claims(_)
        | SyncMessage::Bodies(_)
        | SyncMessage::Blocks(_)
        | SyncMessage::Batch { .. } => 0,
    };
    answer.clamp(QUESTION_BYTES, SYNC_ANSWER_BYTES as u64)
}

/// What one peer may still ask, refilled with time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    left: u64,
    refilled: Instant,
}

impl Allowance {
    /// A full one.
    pub fn full(now: Instant) -> Allowance {
        Allowance { left: BURST_BYTES, refilled: now }
    }

    /// Takes so many bytes, if they are there.
    pub fn take(&mut self, now: Instant, bytes: u64) -> bool {
        let micros = u64::try_from(now.saturating_since(self.refilled).as_micros()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_add(micros.saturating_mul(BYTES_PER_MICRO)).min(BURST_BYTES);
        self.refilled = self.refilled.max(now);
        let granted = self.left >= bytes;
        if granted {
            self.left -= bytes;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use quorate_crypto::hash::Digest;

    use super::*;
    use crate::id::{Height, TransactionId};

    fn bodies(count: usize) -> SyncMessage {
        SyncMessage::FetchBodies(vec![TransactionId(Digest::ZERO); count].try_into().unwrap())
    }

    /// How often a question is granted in a row.
    fn granted(allowance: &mut Allowance, now: Instant, question: &SyncMessage) -> usize {
        (0..100_000).take_while(|_| allowance.take(now, cost(question))).count()
    }

    #[test]
    fn a_greedy_peer_gets_its_burst_and_then_its_rate() {
        let blocks = SyncMessage::FetchBlocks { from: Height(1), count: 64 };
        let mut allowance = Allowance::full(Instant::ORIGIN);
        assert_eq!(granted(&mut allowance, Instant::ORIGIN, &blocks), 32);
        let later = Instant::from_micros(2 * SYNC_ANSWER_BYTES as u64 / BYTES_PER_MICRO);
        assert_eq!(granted(&mut allowance, later, &blocks), 2);
        assert_eq!(granted(&mut allowance, Instant::ORIGIN, &blocks), 0, "a clock that goes back gives nothing");
        assert_eq!(granted(&mut allowance, Instant::from_micros(u64::MAX), &blocks), 32);
    }

    /// Many small pieces of time give as much as one large one.
    #[test]
    fn asking_often_takes_nothing_of_the_rate() {
        let certificate = SyncMessage::FetchCertificate { height: Height(1) };
        let mut allowance = Allowance::full(Instant::ORIGIN);
        granted(&mut allowance, Instant::ORIGIN, &certificate);
        let count = |step: usize, mut allowance: Allowance| -> usize {
            (0..=1_000_000).step_by(step).map(|t| granted(&mut allowance, Instant::from_micros(t), &certificate)).sum()
        };
        let (often, once) = (count(7, allowance), count(1_000, allowance));
        assert!(often.abs_diff(once) <= 1, "{often} and {once}");
    }

    #[test]
    fn small_questions_cost_little_and_none_costs_more_than_an_answer() {
        let mut allowance = Allowance::full(Instant::ORIGIN);
        assert!(granted(&mut allowance, Instant::ORIGIN, &bodies(1)) > 1_000);
        assert_eq!(cost(&bodies(16_384)), SYNC_ANSWER_BYTES as u64);
        assert_eq!(cost(&bodies(0)), QUESTION_BYTES);
    }
}
