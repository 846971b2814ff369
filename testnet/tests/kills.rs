//! Real processes on real disks are killed again and again under load, on one chain: no receipt is lost, nothing executes
//! twice, and the chain goes on.
//!
//! `QUORATE_KILLS=50` says how often (5 without it). The figures are printed:
//! `QUORATE_KILLS=50 cargo test --release --workspace --locked --test kills -- --nocapture`.

mod common;

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::client::http::Node;
use quorate_cli::{clock, receipt};
use quorate_protocol::document::Receipt;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use common::clients::{Clients, Held};
use common::judge::{Judged, judge};
use common::{Net, PATIENCE};

/// How long the load runs between a kill's end and the next one, and how long a node stays down, at least.
const UNDISTURBED: Duration = Duration::from_millis(500);
/// After this the chain is stuck. The figures that count are printed; a busy machine may be slow.
const STUCK: Duration = Duration::from_secs(30);
/// How many of four nodes decide.
const QUORUM: usize = 3;
/// How often something is looked at again.
const PAUSE: Duration = Duration::from_millis(20);

fn kills() -> usize {
    env::var("QUORATE_KILLS").map_or(5, |count| count.parse().expect("QUORATE_KILLS is a number"))
}

/// A testnet under load, and what is known of it.
struct Trial {
    net: Net,
    clients: Clients,
    /// So many of the receipts that clients hold have been found at every node.
    found: usize,
    /// What each kill cost.
    times: Vec<Duration>,
}

impl Trial {
    fn new() -> Trial {
        let net = Net::new();
        net.testnet(&["up", "--detach"]).ok();
        let clients = Clients::start(&net);
        Trial { net, clients, found: 0, times: Vec::new() }
    }

    /// Waits until all nodes answer and a quorum, its primary included, is in one view; returns them, the primary's place
    /// first. A node that has left a view alone follows and waits for the others to leave as well.
    fn settled(&self) -> (usize, Vec<Value>) {
        let end = Instant::now() + STUCK;
        loop {
            let nodes = self.net.status();
            let is_in_view = |node: &&Value, view: &Value| node["active"] == true && node["view"] == *view;
            let leads = |node: &Value| {
                node["is_primary"] == true
                    && nodes.iter().filter(|other| is_in_view(other, &node["view"])).count() >= QUORUM
            };
            match nodes.iter().position(|node| is_in_view(&node, &node["view"]) && leads(node)) {
                Some(primary) if nodes.iter().all(|node| node["state"] == "active") => return (primary, nodes),
                _ => assert!(Instant::now() < end, "the nodes do not come together: {nodes:#?}"),
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits for a receipt of a batch that was proposed at `time` (Unix milliseconds) or later; returns how many receipts
    /// the clients had then, that one included.
    fn wait_proposed_since(&self, time: u64, first: usize) -> usize {
        let end = Instant::now() + STUCK;
        loop {
            let new = self.clients.held()[first..].iter().position(|held| held.receipt.header.time >= time);
            if let Some(place) = new {
                return first + place + 1;
            }
            assert!(Instant::now() < end, "nothing commits any more: {:#?}", self.net.status());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Finds what the clients held at the kill at every node, with the same bytes.
    fn find(&mut self, held: usize) {
        let lost = self.clients.held()[self.found..held].to_vec();
        thread::scope(|scope| {
            for node in self.net.nodes() {
                let (lost, clients) = (&lost, &self.clients);
                scope.spawn(move || lost.iter().for_each(|held| find_one(&node, clients, held)));
            }
        });
        self.found = held;
    }

    fn kill_primary(&mut self) {
        thread::sleep(UNDISTURBED);
        let (primary, nodes) = self.settled();
        let name = nodes[primary]["name"].as_str().unwrap();
        let (before, held) = (Instant::now(), self.clients.held().len());
        self.net.testnet(&["kill", name]).ok();
        let dead = clock::now_ms();
        let resumed = self.wait_proposed_since(dead, held);
        let receipts: Vec<Instant> = self.clients.held()[held..resumed].iter().map(|held| held.at).collect();
        let pauses = std::iter::once(&before).chain(&receipts).zip(&receipts).map(|(from, to)| *to - *from);
        self.times.push(pauses.max().unwrap());
        thread::sleep(UNDISTURBED);
        self.net.testnet(&["start", name]).ok();
        self.settled();
        self.find(held);
    }

    fn kill_all(&mut self) {
        thread::sleep(UNDISTURBED);
        let (_, nodes) = self.settled();
        for node in &nodes {
            let pid = Pid::from_raw(i32::try_from(node["pid"].as_i64().unwrap()).unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
        }
        let end = Instant::now() + PATIENCE;
        while self.net.status().iter().any(|node| node["state"] != "down") {
            assert!(Instant::now() < end, "a killed process lives");
            thread::sleep(PAUSE);
        }
        let held = self.clients.held().len();
        let (started, time) = (Instant::now(), clock::now_ms());
        thread::scope(|scope| {
            for node in &nodes {
                scope.spawn(|| self.net.testnet(&["start", node["name"].as_str().unwrap()]).ok());
            }
        });
        let resumed = self.wait_proposed_since(time, held);
        self.times.push(self.clients.held()[resumed - 1].at - started);
        self.settled();
        self.find(held);
    }

    /// Ends the load and judges the chain as a whole. `what` names the figures.
    fn judge(mut self, what: &str, time: &str) {
        let Judged { head, receipts, skipped } = judge(&self.net, &mut self.clients, 0);
        self.times.sort_unstable();
        let (count, view) = (self.times.len(), self.net.status()[0]["view"].clone());
        let (median, worst) = (self.times[count / 2].as_millis(), self.times[count - 1].as_millis());
        println!("{what}: {count}, {time} median {median} ms, worst {worst} ms");
        println!("  {receipts} receipts in {head} blocks, {skipped} positions skipped as duplicates, view {view}");
    }
}

/// Finds a receipt at a node: another quorum may have signed, but all else is the same, and it verifies.
fn find_one(node: &Node, clients: &Clients, held: &Held) {
    let (id, end) = (held.receipt.position.id, Instant::now() + PATIENCE);
    let served = loop {
        match node.receipt(&id) {
            Ok(receipt) => break receipt,
            Err(error) => assert!(Instant::now() < end, "{} lost the receipt of {id}: {error}", node.name()),
        }
        thread::sleep(PAUSE);
    };
    receipt::check(&served, clients.genesis(), Some(id)).unwrap();
    let certificate = held.receipt.certificate.clone();
    assert_eq!(Receipt { certificate, ..served }, held.receipt, "{} changed its word", node.name());
}

#[test]
fn killing_the_primary_under_load_loses_no_receipt_executes_nothing_twice_and_stops_nothing_for_long() {
    let mut trial = Trial::new();
    (0..kills()).for_each(|_| trial.kill_primary());
    trial.judge("kills of the primary", "gap");
}

#[test]
fn killing_all_nodes_at_once_under_load_loses_no_receipt_and_executes_nothing_twice() {
    let mut trial = Trial::new();
    (0..kills()).for_each(|_| trial.kill_all());
    trial.judge("kills of all nodes", "start to first commit");
}
