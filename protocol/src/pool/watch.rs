//! What the pool remembers of the primary's conduct in a view.

use super::load::Load;
use crate::id::{Epoch, Sequence, View};
use crate::time::{Instant, UnixMillis};
use quorate_crypto::fast::FastMap;
use quorate_crypto::key::PublicKey;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A view as fairness sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewStart {
    /// Which one.
    pub view: (Epoch, View),
    /// The current view timeout.
    pub view_timeout: Duration,
    /// n: the validators of the epoch.
    pub validators: usize,
    /// Whether this node judges the primary: it has a vote and is not the primary itself.
    pub judges: bool,
}

/// A fresh batch that was accepted in this view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    pub(super) accepted: Instant,
    pub(super) view_timeout: Duration,
    pub(super) time: UnixMillis,
}

/// One window of (b).
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) until: Instant,
    pub(super) length: Duration,
    /// How many positions it owes, at most one full batch.
    pub(super) expected: usize,
    /// What is counted in `expected` arrived before this number and is valid until a time in between.
    pub(super) arrived_before: u64,
    pub(super) valid: (UnixMillis, UnixMillis),
    /// How many of these left without being executed.
    pub(super) gone: usize,
    pub(super) settled: Load,
}

/// What is remembered of the primary's conduct in this view.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) start: ViewStart,
    pub(super) fresh: BTreeMap<Sequence, Fresh>,
    pub(super) window: Window,
    /// Whether the window before fell short.
    pub(super) short: bool,
    /// Arrivals of the claims that the present count of (d) is about.
    pub(super) overtaken: BTreeSet<u64>,
    pub(super) served: FastMap<PublicKey, usize>,
}
