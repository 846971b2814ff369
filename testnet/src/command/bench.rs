//! `quorate-testnet bench`: how fast the running testnet is, beside what the machine's reference costs.
//!
//! Everything shares the machine: the nodes, and the load. Every signature is verified by every replica, every block is
//! durable, and what counts is the certified outcome that the client gets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Duration;

use quorate_cli::client::http::Node;
use quorate_cli::clock::now_ms;
use quorate_cli::exit::{Exit, Failure};
use quorate_cli::key_file;
use quorate_cli::manifest::Manifest;
use quorate_cli::output::Printer;
use quorate_protocol::document::AssetCode;

use crate::arguments::Bench;
use crate::bench::{
    Cost, Figures, Full, Kept, Step, Subject, append, last_like, page, reference_micros, sync_millis, wake_micros,
};
use crate::control::{self, NodeProcess, Request};
use crate::directory::Directory;
use crate::load::{Clients, Samples, Shape};
use crate::usage::{Usage, loopback_bytes};

/// Transfers that are signed for each second of full load: more than two cores can commit.
const SIGNED_PER_SECOND: usize = 30_000;
/// Parts of the full rate that a sweep offers.
const SWEEP: [f64; 8] = [0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0];
/// Where the salts of each stretch of the load begin: far enough apart.
const STRETCH: u64 = 1 << 40;

/// Measures.
///
/// # Errors
/// When the testnet does not run or does not commit, or a file cannot be written.
pub fn run(bench: &Bench, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    let manifest = Manifest::load(directory.path())?;
    let processes = control::ask(directory, &Request::Processes {})?;
    let started = now_ms();
    printer.say("measuring the reference");
    let (reference_micros, sync_millis, wake_micros) = (reference_micros(), sync_millis(directory), wake_micros());
    printer.say("preparing the clients");
    let clients = prepare(bench, &manifest)?;
    let subject = Subject {
        started,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes: processes.len(),
        cores: available_parallelism().map_or(1, usize::from),
        clients: bench.clients as usize,
        accounts: bench.accounts().max(bench.clients) as usize,
        transaction_bytes: clients.sign_transfers(0, 1)[0].len(),
        reference_micros,
        sync_millis,
        wake_micros,
    };
    let (full, cost) = at_full_load(bench, &clients, &subject, &processes, printer);
    let top = full.committed_per_second;
    let steady = [bench.rate, (top / 2.0) as u64];
    let mut pace = Pace { clients: &clients, processes: &processes, stretch: 0, printer };
    let steady = steady.map(|rate| pace.at(rate, bench.duration)).to_vec();
    let parts = SWEEP.iter().filter(|_| bench.sweep);
    let sweep = parts.map(|part| pace.at((top * part) as u64, bench.duration.div_ceil(2))).collect();
    let mut figures = Figures { subject, full, cost, steady, sweep, since_last: None };
    keep(bench, &mut figures)?;
    printer.print(&figures)?;
    Ok(Exit::Success)
}

fn prepare(bench: &Bench, manifest: &Manifest) -> Result<Clients, Failure> {
    let nodes: Result<Vec<Node>, Failure> =
        manifest.nodes.iter().map(|node| Node::new(&node.name, &node.api)).collect();
    let missing = || Failure::config("no_admin", "testnet.json has no account `admin`", "make a new testnet");
    let admin = key_file::read(&manifest.account("admin").ok_or_else(missing)?.key_file)?;
    let asset: AssetCode = "USD".parse().map_err(|error| Failure::internal(format!("{error}"), "report this"))?;
    let shape =
        Shape { clients: bench.clients as usize, accounts: bench.accounts() as usize, bytes: usize::from(bench.bytes) };
    Clients::prepare(nodes?, manifest.chain_id, &admin, asset, shape)
}

fn at_full_load(
    bench: &Bench,
    clients: &Clients,
    subject: &Subject,
    processes: &[NodeProcess],
    printer: Printer,
) -> (Full, Cost) {
    let transfers = SIGNED_PER_SECOND * bench.duration as usize;
    printer.say(&format!("signing {transfers} transfers"));
    let signed = clients.sign_transfers(0, transfers);
    printer.say(&format!("full load for {} s", bench.duration));
    let (samples, cost) = with_cost(processes, || clients.full(&signed, Duration::from_secs(bench.duration)));
    let committed_per_second = samples.rate();
    let Subject { nodes, cores, reference_micros, .. } = *subject;
    let full = Full {
        committed_per_second,
        efficiency: committed_per_second * nodes as f64 * reference_micros * 1e-6 / cores as f64,
        not_applied: samples.other(),
        latency_millis: samples.latency(),
        moments: samples.moments(),
    };
    (full, cost)
}

/// Does something with the testnet, and tells what each transaction cost meanwhile.
fn with_cost(processes: &[NodeProcess], load: impl FnOnce() -> Samples) -> (Samples, Cost) {
    let (before, own, wire) = (usage(processes), Usage::of(std::process::id()), loopback_bytes());
    let samples = load();
    let used: Vec<Usage> = usage(processes).iter().zip(&before).map(|(now, before)| now.since(before)).collect();
    let own = Usage::of(std::process::id()).since(&own);
    let cost = cost(&samples, &used, &own, loopback_bytes().saturating_sub(wire));
    (samples, cost)
}

fn cost(samples: &Samples, used: &[Usage], own: &Usage, wire: u64) -> Cost {
    let transactions = samples.applied().max(1) as f64;
    let each = 1.0 / (transactions * used.len().max(1) as f64);
    let mut by_thread = BTreeMap::<String, f64>::new();
    for (name, seconds) in used.iter().flat_map(|used| &used.seconds_by_thread) {
        *by_thread.entry(name.clone()).or_default() += seconds * 1e6 * each;
    }
    let mut by_thread: Vec<_> = by_thread.into_iter().filter(|(_, micros)| *micros >= 0.01).collect();
    by_thread.sort_by(|a, b| b.1.total_cmp(&a.1));
    Cost {
        replica_micros: used.iter().map(|used| used.seconds).sum::<f64>() * 1e6 * each,
        replica_micros_by_thread: by_thread,
        load_micros: own.seconds * 1e6 / transactions,
        written_bytes: used.iter().map(|used| used.written_bytes).sum::<u64>() as f64 * each,
        wire_bytes: wire as f64 / transactions,
        resident_bytes_max: used.iter().map(|used| used.resident_bytes_max).max().unwrap_or(0),
    }
}

fn usage(processes: &[NodeProcess]) -> Vec<Usage> {
    processes.iter().map(|process| process.pid.map_or_else(Usage::default, Usage::of)).collect()
}

/// Open-loop stretches, one after another.
struct Pace<'a> {
    clients: &'a Clients,
    processes: &'a [NodeProcess],
    stretch: u64,
    printer: Printer,
}

impl Pace<'_> {
    fn at(&mut self, rate: u64, seconds: u64) -> Step {
        self.printer.say(&format!("{rate} per second for {seconds} s"));
        self.stretch += 1;
        let signed = self.clients.sign_transfers(self.stretch * STRETCH, (rate * seconds) as usize);
        let (samples, cost) = with_cost(self.processes, || self.clients.paced(&signed, rate));
        Step::new(rate, &samples, cost)
    }
}

/// Compares with the last result of the same subject, and writes what was asked for.
fn keep(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let failed = |file: &Path, error: std::io::Error| {
        Failure::internal(format!("{}: {error}", file.display()), "choose another file, or mend this one")
    };
    if let Some(file) = &bench.record {
        let kept = Kept::of(figures);
        let last = last_like(file, &kept).map_err(|error| failed(file, error))?;
        figures.since_last = last.map(|last| kept.since(&last));
        append(file, &kept).map_err(|error| failed(file, error))?;
    }
    if let Some(file) = &bench.page {
        fs::write(file, page(figures)).map_err(|error| failed(file, error))?;
    }
    Ok(())
}
