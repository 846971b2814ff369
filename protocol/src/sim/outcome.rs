//! How a world ended.

use super::happened::Happened;
use super::invariants::{Promise, Violation};
use quorate_crypto::Digest;
use std::fmt;

/// How a world ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every promise held, and everything was settled in time.
    Pass,
    /// Every promise held, but something was not settled in time after everything had healed. What, for people.
    NoProgress(String),
    /// Two correct nodes have different blocks, or different results of one block.
    Diverged(Violation),
    /// Another promise was broken.
    Violated(Violation),
}

/// What two outcomes have in common whose details differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// See [`Outcome::Pass`].
    Pass,
    /// See [`Outcome::NoProgress`].
    NoProgress,
    /// See [`Outcome::Diverged`].
    Diverged,
    /// See [`Outcome::Violated`].
    Violated(Promise),
}

impl Outcome {
    /// What became of a world in which this promise was broken.
    #[must_use]
    pub fn of(violation: Violation) -> Self {
        match violation.promise {
            Promise::Agreement | Promise::Determinism => Outcome::Diverged(violation),
            _ => Outcome::Violated(violation),
        }
    }

    /// The kind, without the details.
    #[must_use]
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Outcome::Pass => OutcomeKind::Pass,
            Outcome::NoProgress(_) => OutcomeKind::NoProgress,
            Outcome::Diverged(_) => OutcomeKind::Diverged,
            Outcome::Violated(violation) => OutcomeKind::Violated(violation.promise),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Pass => f.write_str("pass"),
            Outcome::NoProgress(what) => write!(f, "no progress: {what}"),
            Outcome::Diverged(violation) => write!(f, "diverged: {violation}"),
            Outcome::Violated(violation) => write!(f, "{violation}"),
        }
    }
}

/// What became of a plan.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Transactions of honest clients that were executed.
    pub executed: usize,
    /// Blocks of the chain.
    pub height: u64,
    /// The highest view that a correct node entered.
    pub view: u64,
    /// Faults that happened, liars included.
    pub faults: usize,
    /// What happened in it, counted.
    pub happened: Happened,
    /// What liars sent that did not verify.
    pub dropped: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// A hash over the whole trace: equal seeds have equal ones.
    pub digest: Digest,
    /// The last lines of the trace; all of them where the world keeps it.
    pub tail: String,
}
