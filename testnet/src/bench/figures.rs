//! What was measured, in one run.

use quorate_cli::output::Readable;
use quorate_cli::output::table::{Facts, Style};
use serde::{Deserialize, Serialize};

use crate::load::{Latency, Moment, Samples};

/// What was measured on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// When the run began, Unix milliseconds.
    pub started: u64,
    /// Version of the program.
    pub version: String,
    /// Replicas.
    pub nodes: usize,
    /// Processor cores of the machine, which load and replicas share.
    pub cores: usize,
    /// Clients, with a key each.
    pub clients: usize,
    /// Accounts that receive.
    pub accounts: usize,
    /// Bytes of one transfer with its signature.
    pub transaction_bytes: usize,
    /// Microseconds per signature of ed25519-dalek's batch of 1,024 with decoded distinct keys, measured just before.
    pub reference_micros: f64,
    /// Milliseconds that syncing 4 KiB takes on the testnet's disk, measured just before.
    pub sync_millis: f64,
    /// Microseconds until a thread that another one wakes runs, measured just before; 0 in results from before it was.
    #[serde(default)]
    pub wake_micros: f64,
}

/// Full load: as fast as it is committed.
#[derive(Clone, Debug, Serialize)]
pub struct Full {
    /// Certified transactions per second.
    pub committed_per_second: f64,
    /// committed rate x nodes x reference cost / cores: the part of the machine that signatures alone would take.
    pub efficiency: f64,
    /// Transactions that were not certified as applied.
    pub not_applied: usize,
    /// From the request to its answer, in milliseconds.
    pub latency_millis: Latency,
    /// Second by second.
    pub moments: Vec<Moment>,
}

/// What each transaction cost.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Microseconds of processor time for each transaction and replica.
    pub replica_micros: f64,
    /// The same by thread of a node, the largest first.
    pub replica_micros_by_thread: Vec<(String, f64)>,
    /// Microseconds of processor time of the load itself for each transaction.
    pub load_micros: f64,
    /// Bytes that one replica wrote for each transaction, to files and to clients.
    pub written_bytes: f64,
    /// Bytes over the loopback for each transaction, with all headers: votes, gossip, and the clients' HTTP.
    pub wire_bytes: f64,
    /// Most memory that a node ever had, in bytes.
    pub resident_bytes_max: u64,
}

/// A load at one rate, open loop.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Transactions per second that were due.
    pub offered_per_second: u64,
    /// Certified transactions per second.
    pub committed_per_second: f64,
    /// Transactions that were not certified as applied.
    pub not_applied: usize,
    /// Milliseconds from when a transaction was due to its certified outcome.
    pub latency_millis: Latency,
    /// What it cost: small requests and batches cost more for each transaction.
    pub cost: Cost,
}

impl Step {
    /// What a load at `offered` transactions per second gave.
    pub fn new(offered: u64, samples: &Samples, cost: Cost) -> Step {
        Step {
            cost,
            offered_per_second: offered,
            committed_per_second: samples.rate(),
            not_applied: samples.other(),
            latency_millis: samples.latency(),
        }
    }
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// On what.
    pub subject: Subject,
    /// Full load.
    pub full: Full,
    /// What it cost.
    pub cost: Cost,
    /// At the rate that was asked for, and at half of the full one.
    pub steady: Vec<Step>,
    /// At rising rates, where that was asked for.
    pub sweep: Vec<Step>,
    /// The last result of the same subject in the file of results: rate and efficiency as multiples of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_last: Option<Since>,
}

/// This result beside an earlier one.
#[derive(Clone, Debug, Serialize)]
pub struct Since {
    /// When that was, Unix milliseconds.
    pub started: u64,
    /// This rate / that one.
    pub rate: f64,
    /// This efficiency / that one: what is left of it when the machine is faster or slower.
    pub efficiency: f64,
}

impl Readable for Figures {
    fn text(&self, style: Style) -> String {
        let Figures { subject, full, cost, .. } = self;
        let mut facts = Facts::default();
        facts
            .add("committed", style.strong(&format!("{:.0} transactions per second", full.committed_per_second)))
            .add(
                "efficiency",
                format!(
                    "{:.3}  (rate x {} nodes x reference / {} cores)",
                    full.efficiency, subject.nodes, subject.cores
                ),
            )
            .add(
                "reference",
                format!("{:.2} us per signature, ed25519-dalek, batch of 1,024", subject.reference_micros),
            )
            .add("disk sync", format!("{:.2} ms, 4 KiB in place", subject.sync_millis))
            .add("wake-up", format!("{:.0} us from one thread to another", subject.wake_micros))
            .add(
                "load",
                format!(
                    "{} clients to {} accounts, {} bytes each, {} not applied",
                    subject.clients, subject.accounts, subject.transaction_bytes, full.not_applied
                ),
            )
            .add(
                "processor",
                format!(
                    "{:.1} us per transaction and replica, {:.1} us the load",
                    cost.replica_micros, cost.load_micros
                ),
            );
        for (name, micros) in cost.replica_micros_by_thread.iter().take(8) {
            facts.add("", format!("{micros:>6.1} us  {name}"));
        }
        facts
            .add("written", format!("{:.0} bytes per transaction and replica", cost.written_bytes))
            .add("network", format!("{:.0} bytes per transaction, all links and clients", cost.wire_bytes))
            .add("memory", format!("{} MB at most", cost.resident_bytes_max / 1_000_000));
        for step in self.steady.iter().chain(&self.sweep) {
            facts.add(&format!("at {}/s", step.offered_per_second), told(step));
        }
        if let Some(since) = &self.since_last {
            facts.add("since last", format!("rate x {:.2}, efficiency x {:.2}", since.rate, since.efficiency));
        }
        facts.render(style)
    }
}

fn told(step: &Step) -> String {
    let Latency { p50, p99, p999, .. } = step.latency_millis;
    let mut text = format!(
        "p50 {p50:.1} ms, p99 {p99:.1} ms, p99.9 {p999:.1} ms; {:.0} us per transaction and replica",
        step.cost.replica_micros
    );
    if step.committed_per_second < 0.95 * step.offered_per_second as f64 {
        text += &format!(", {:.0}/s committed", step.committed_per_second);
    }
    if step.not_applied > 0 {
        text += &format!(", {} not applied", step.not_applied);
    }
    text
}
