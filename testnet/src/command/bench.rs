//! `quorate-testnet bench`: how fast the running testnet is, beside what the machine's reference costs.
//!
//! Everything shares the machine: the nodes, and the load. Every signature is verified by every replica, every block is
//! durable, and what counts is the certified outcome that the client gets.

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, SeekFrom, Write};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey, verify_batch};
use quorate_cli::client::http::Node;
use quorate_cli::exit::{Exit, Failure};
use quorate_cli::key_file;
use quorate_cli::manifest::Manifest;
use quorate_cli::output::table::{Facts, Style};
use quorate_cli::output::{Printer, Readable};
use quorate_protocol::document::AssetCode;
use serde::Serialize;

use crate::arguments::Bench;
use crate::control::{self, NodeProcess, Request};
use crate::directory::Directory;
use crate::load::{Burst, Load, Steady};
use crate::usage::Usage;

/// Signatures in one batch of the reference.
const REFERENCE_BATCH: usize = 1_024;
/// How often the reference is measured; the median counts.
const REFERENCE_RUNS: usize = 9;
/// How often a sync is measured; the median counts.
const SYNC_RUNS: usize = 51;
/// Transfers that are signed for each second of full load: more than two cores can commit.
const SIGNED_PER_SECOND: usize = 25_000;

/// What was measured, in one run.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Replicas.
    pub nodes: usize,
    /// Clients, with a key each.
    pub clients: u32,
    /// Processor cores of the machine.
    pub cores: usize,
    /// Bytes of one transfer with its signature.
    pub transaction_bytes: usize,
    /// Microseconds per signature of ed25519-dalek's batch of 1,024 with decoded distinct keys, measured just before.
    pub reference_micros: f64,
    /// Milliseconds that syncing 4 KiB takes on the testnet's disk, measured just before; a vote waits for two, a block for
    /// one, and they follow each other nine times before a receipt.
    pub sync_millis: f64,
    /// Certified transactions per second at full load.
    pub committed_per_second: f64,
    /// committed rate x nodes x reference cost / cores: the part of the machine that signatures alone would take.
    pub efficiency: f64,
    /// Transactions of full load that were not certified as applied.
    pub not_applied: usize,
    /// Microseconds of processor time for each transaction and replica.
    pub micros_per_transaction: f64,
    /// The same by thread of a node, the largest first.
    pub micros_by_thread: Vec<(String, f64)>,
    /// Bytes that one replica wrote to its disk for each transaction.
    pub written_bytes_per_transaction: f64,
    /// Most memory that a node ever had, in bytes.
    pub resident_bytes_max: u64,
    /// Transactions per second of the steady part.
    pub steady_rate: u64,
    /// Milliseconds from when a transaction was due to its certified receipt.
    pub latency_millis: Latency,
    /// Transactions of the steady part that were not certified as applied.
    pub steady_not_applied: usize,
}

/// Quantiles, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half are faster.
    pub p50: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// 999 of 1,000 are faster.
    pub p999: f64,
}

/// Measures.
///
/// # Errors
/// When the testnet does not run or does not commit.
pub fn run(bench: &Bench, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    let manifest = Manifest::load(directory.path())?;
    let processes = control::ask(directory, &Request::Processes {})?;
    printer.say("measuring the reference");
    let reference_micros = reference();
    let sync_millis = sync_millis(directory);
    printer.say("preparing the clients");
    let load = prepare(bench, &manifest)?;
    let transfers = SIGNED_PER_SECOND * usize::try_from(bench.duration).unwrap_or(usize::MAX);
    printer.say(&format!("signing {transfers} transfers"));
    let signed = load.sign_transfers(1, transfers);
    let before = usage(&processes);
    printer.say("full load");
    let burst = load.burst(&signed, Duration::from_secs(bench.duration));
    let used: Vec<Usage> = usage(&processes).iter().zip(&before).map(|(now, before)| now.since(before)).collect();
    printer.say("steady rate");
    let steady_count = usize::try_from(bench.rate * bench.duration).unwrap_or(usize::MAX);
    let steady = load.steady(&load.sign_transfers(1 << 40, steady_count), bench.rate);
    let measured =
        Figures { bench, reference_micros, sync_millis, burst, steady: &steady, used: &used }.measured(signed.first());
    printer.print(&measured)?;
    Ok(Exit::Success)
}

fn prepare(bench: &Bench, manifest: &Manifest) -> Result<Load, Failure> {
    let nodes: Result<Vec<Node>, Failure> =
        manifest.nodes.iter().map(|node| Node::new(&node.name, &node.api)).collect();
    let missing = || Failure::config("no_admin", "testnet.json has no account `admin`", "make a new testnet");
    let admin = key_file::read(&manifest.account("admin").ok_or_else(missing)?.key_file)?;
    let asset: AssetCode = "USD".parse().map_err(|error| Failure::internal(format!("{error}"), "report this"))?;
    Load::prepare(nodes?, manifest.chain_id, &admin, asset, usize::try_from(bench.clients).unwrap_or(usize::MAX))
}

fn usage(processes: &[NodeProcess]) -> Vec<Usage> {
    processes.iter().map(|process| process.pid.map_or_else(Usage::default, Usage::of)).collect()
}

/// Microseconds per signature on one core: the median of some runs of ed25519-dalek's own batch verification.
fn reference() -> f64 {
    let keys: Vec<SigningKey> = (0..REFERENCE_BATCH)
        .map(|index| {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
            SigningKey::from_bytes(&seed)
        })
        .collect();
    let messages: Vec<Vec<u8>> = (0..REFERENCE_BATCH).map(|index| vec![index as u8; 200]).collect();
    let signatures: Vec<Signature> = keys.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
    let public: Vec<VerifyingKey> = keys.iter().map(SigningKey::verifying_key).collect();
    let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut runs: Vec<f64> = (0..REFERENCE_RUNS)
        .map(|_| {
            let begin = Instant::now();
            black_box(verify_batch(&slices, &signatures, &public).is_ok());
            begin.elapsed().as_secs_f64() * 1e6 / REFERENCE_BATCH as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[REFERENCE_RUNS / 2]
}

/// Milliseconds of one sync of 4 KiB in place, the median of some; NaN where the directory cannot be written.
fn sync_millis(directory: &Directory) -> f64 {
    let path = directory.path().join("sync.probe");
    let measure = || -> std::io::Result<f64> {
        let mut file = File::create(&path)?;
        file.write_all(&[0; 4096])?;
        file.sync_all()?;
        let mut runs = Vec::new();
        for _ in 0..SYNC_RUNS {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&[1; 4096])?;
            let begin = Instant::now();
            file.sync_data()?;
            runs.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        runs.sort_by(f64::total_cmp);
        Ok(runs[SYNC_RUNS / 2])
    };
    let millis = measure().unwrap_or(f64::NAN);
    // A probe that cannot be removed does no harm.
    drop(std::fs::remove_file(&path));
    millis
}

/// Raw figures, on their way to the result.
struct Figures<'a> {
    bench: &'a Bench,
    reference_micros: f64,
    sync_millis: f64,
    burst: Burst,
    steady: &'a Steady,
    used: &'a [Usage],
}

impl Figures<'_> {
    fn measured(&self, transaction: Option<&Vec<u8>>) -> Measured {
        let nodes = self.used.len();
        let cores = available_parallelism().map_or(1, usize::from);
        let committed_per_second = self.burst.applied as f64 / self.burst.elapsed.as_secs_f64();
        let each = 1.0 / (self.burst.applied.max(1) as f64 * nodes as f64);
        let written: u64 = self.used.iter().map(|used| used.written_bytes).sum();
        Measured {
            nodes,
            clients: self.bench.clients,
            cores,
            transaction_bytes: transaction.map_or(0, Vec::len),
            reference_micros: self.reference_micros,
            sync_millis: self.sync_millis,
            committed_per_second,
            efficiency: committed_per_second * nodes as f64 * self.reference_micros * 1e-6 / cores as f64,
            not_applied: self.burst.other,
            micros_per_transaction: self.used.iter().map(Usage::seconds).sum::<f64>() * 1e6 * each,
            micros_by_thread: self.by_thread(each),
            written_bytes_per_transaction: written as f64 * each,
            resident_bytes_max: self.used.iter().map(|used| used.resident_bytes_max).max().unwrap_or(0),
            steady_rate: self.bench.rate,
            latency_millis: Latency { p50: self.quantile(0.5), p99: self.quantile(0.99), p999: self.quantile(0.999) },
            steady_not_applied: self.steady.other,
        }
    }

    fn by_thread(&self, each: f64) -> Vec<(String, f64)> {
        let mut sums = std::collections::BTreeMap::<String, f64>::new();
        for (name, seconds) in self.used.iter().flat_map(|used| &used.seconds_by_thread) {
            *sums.entry(name.clone()).or_default() += seconds * 1e6 * each;
        }
        let mut sums: Vec<_> = sums.into_iter().filter(|(_, micros)| *micros >= 0.01).collect();
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        sums
    }

    fn quantile(&self, part: f64) -> f64 {
        let latencies = &self.steady.latencies;
        let place = ((latencies.len() as f64 * part) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

impl Readable for Measured {
    fn text(&self, style: Style) -> String {
        let mut facts = Facts::default();
        let latency = self.latency_millis;
        facts
            .add("committed", style.strong(&format!("{:.0} transactions per second", self.committed_per_second)))
            .add(
                "efficiency",
                format!("{:.3}  (rate x {} nodes x reference / {} cores)", self.efficiency, self.nodes, self.cores),
            )
            .add("reference", format!("{:.2} us per signature, ed25519-dalek, batch of 1,024", self.reference_micros))
            .add("disk sync", format!("{:.2} ms, 4 KiB in place", self.sync_millis))
            .add(
                "load",
                format!(
                    "{} clients, {} bytes each, {} not applied",
                    self.clients, self.transaction_bytes, self.not_applied
                ),
            )
            .add("processor", format!("{:.1} us per transaction and replica", self.micros_per_transaction));
        for (name, micros) in self.micros_by_thread.iter().take(8) {
            facts.add("", format!("{micros:>6.1} us  {name}"));
        }
        facts
            .add("disk", format!("{:.0} bytes per transaction and replica", self.written_bytes_per_transaction))
            .add("memory", format!("{} MB at most", self.resident_bytes_max / 1_000_000))
            .add(
                "latency",
                format!(
                    "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms at {} per second, {} not applied",
                    latency.p50, latency.p99, latency.p999, self.steady_rate, self.steady_not_applied
                ),
            );
        facts.render(style)
    }
}
