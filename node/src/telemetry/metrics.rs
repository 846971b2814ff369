//! What the node did since it started, for `GET /metrics`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use quorate_protocol::document::{Outcome, Position};
use quorate_protocol::pbft::Note;
use quorate_protocol::replica::TIME_TOO_OLD;

/// Labels of a metric: names and values.
pub type Labels = Vec<(&'static str, String)>;

/// Makes histograms of seconds.
#[derive(Debug, Clone, Copy)]
pub struct Seconds {
    first: f64,
    count: u16,
}

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(self.first, 2.0, self.count))
    }
}

/// A sync of a disk: 50 microseconds to 1.6 seconds.
const SYNC: Seconds = Seconds { first: 50e-6, count: 16 };
/// What a client waits for: 0.25 milliseconds to 65 seconds, above the longest wait that it can ask for.
const REQUEST: Seconds = Seconds { first: 250e-6, count: 19 };

/// Counters and histograms that are kept as things happen. Gauges are read when somebody asks.
#[derive(Debug)]
pub struct Metrics {
    /// Blocks executed.
    pub blocks: Counter,
    /// Positions of blocks: applied, failed, skipped.
    positions: [Counter; 3],
    /// Views left.
    view_changes: Counter,
    /// Views opened.
    views_opened: Counter,
    /// Proposals not voted for.
    proposals_refused: Counter,
    /// When one was refused for its time.
    clock_refused: Mutex<Option<Instant>>,
    /// Signatures that did not verify.
    pub bad_signatures: Counter,
    /// Appends to the vote journal, both its syncs included.
    pub journal_sync: Histogram,
    /// Synced writes of a block.
    store_sync: Histogram,
    /// From the submission to the certified receipt, of clients that waited for it here.
    pub commit: Histogram,
    /// Requests by method, path as routed, and status.
    pub requests: Family<Labels, Histogram, Seconds>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            blocks: Counter::default(),
            positions: Default::default(),
            view_changes: Counter::default(),
            views_opened: Counter::default(),
            proposals_refused: Counter::default(),
            clock_refused: Mutex::default(),
            bad_signatures: Counter::default(),
            journal_sync: SYNC.new_metric(),
            store_sync: SYNC.new_metric(),
            commit: REQUEST.new_metric(),
            requests: Family::new_with_constructor(REQUEST),
        }
    }
}

impl Metrics {
    /// A block was executed and synced.
    pub fn executed(&self, positions: &[Position], sync: Duration) {
        self.blocks.inc();
        self.store_sync.observe(sync.as_secs_f64());
        let [applied, failed, skipped] = &self.positions;
        for position in positions {
            match position.outcome {
                Outcome::Applied => applied.inc(),
                Outcome::Failed(_) => failed.inc(),
                Outcome::Skipped(_) => skipped.inc(),
            };
        }
    }

    /// The replica said something.
    pub fn note(&self, note: &Note) {
        match note {
            Note::LeftView { .. } => self.view_changes.inc(),
            Note::OpenedView { .. } => self.views_opened.inc(),
            Note::Refused { reason, .. } => {
                if reason == TIME_TOO_OLD {
                    *self.clock_refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                }
                self.proposals_refused.inc()
            }
            _ => 0,
        };
    }

    /// How long ago a proposal was refused because its time was too old by the local clock.
    pub fn clock_refusal(&self) -> Option<Duration> {
        self.clock_refused.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// Puts everything into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("blocks", "Blocks executed", self.blocks.clone());
        let outcomes = Family::<Labels, Counter>::default();
        for (outcome, counter) in ["applied", "failed", "skipped"].iter().zip(&self.positions) {
            outcomes.get_or_create(&vec![("outcome", (*outcome).to_owned())]).inc_by(counter.get());
        }
        registry.register("transactions", "Positions of executed blocks by what became of them", outcomes);
        registry.register("view_changes", "Views that this node has left", self.view_changes.clone());
        registry.register("views_opened", "Views that became active here", self.views_opened.clone());
        let help = "Proposals of a primary that this node did not vote for";
        registry.register("proposals_refused", help, self.proposals_refused.clone());
        let help = "Signatures of messages and transactions that did not verify";
        registry.register("signature_failures", help, self.bad_signatures.clone());
        let mut seconds = |name: &str, help: &str, metric: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        };
        seconds("journal_sync", "Synced appends to the vote journal", &self.journal_sync);
        seconds("store_sync", "Synced writes of a block to the chain store", &self.store_sync);
        let help = "From a submission that waits for it to its certified receipt";
        seconds("commit_latency", help, &self.commit);
        let help = "Answers of the API by method, path as routed and status; a stream ends with its head";
        registry.register_with_unit("http_request", help, Unit::Seconds, self.requests.clone());
    }
}
