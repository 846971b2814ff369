//! `quorate-testnet status`.

use std::collections::BTreeSet;
use std::path::Path;

use quorate_cli::client::http::Node;
use quorate_cli::clock;
use quorate_cli::command::status::ask_all;
use quorate_cli::exit::{Exit, Failure};
use quorate_cli::manifest::Manifest;
use quorate_cli::output::table::{Style, Table};
use quorate_cli::output::{Printer, Readable, word};
use quorate_protocol::api::http::StatusResponse;
use serde::Serialize;

use crate::banner::short;
use crate::control::{self, NodeProcess, Request, State};
use crate::directory::Directory;
use crate::fault::{Fault, LinkShown};
use crate::record::Record;
use crate::settings::Settings;

/// How many directions of links are named.
const LINKS_NAMED: usize = 12;

/// One node: its process as the supervisor knows it, and what it says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NodeShown {
    /// Its name.
    pub name: String,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// `active`, `following`, `catching_up` or `halted` as it says; `unreachable` when it does not; `paused`; `down`.
    pub state: String,
    /// The URL of its HTTP interface.
    pub api: String,
    /// Its last block.
    pub height: Option<u64>,
    /// Its view.
    pub view: Option<u64>,
    /// Whether it has entered the view.
    pub active: bool,
    /// Whether it is the primary of its view.
    pub is_primary: bool,
    /// The state root after its last block.
    pub state_root: Option<String>,
    /// Whether it signs votes.
    pub voting: bool,
    /// Why it is down, or does not take part.
    pub reason: Option<String>,
}

/// A testnet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TestnetShown {
    /// Its directory.
    pub dir: String,
    /// The chain.
    pub chain_id: String,
    /// Whether a supervisor runs and takes commands.
    pub running: bool,
    /// Whether one is starting the nodes, and takes none yet.
    pub starting: bool,
    /// The nodes, by index.
    pub nodes: Vec<NodeShown>,
    /// Whether the links between the nodes can be broken: it was started with `--faults`.
    pub proxied: bool,
    /// The faults in force, the oldest first.
    pub faults: Vec<Fault>,
    /// The directions of links that are not as they should be.
    pub links: Vec<LinkShown>,
}

/// Shows how the nodes are. A testnet that does not run is no failure.
///
/// # Errors
/// When DIR is no testnet.
pub fn run(directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    printer.print(&look(directory)?)?;
    Ok(Exit::Success)
}

/// Asks the supervisor and every node.
///
/// # Errors
/// When DIR is no testnet, or its supervisor does not answer.
pub fn look(directory: &Directory) -> Result<TestnetShown, Failure> {
    let manifest = Manifest::load(directory.path())?;
    let mut starting = false;
    let (running, state) = match control::ask_state(directory, &Request::Processes {}) {
        Ok(state) => (true, state),
        Err(failure) if matches!(failure.code.as_str(), "not_running" | "starting") => {
            starting = failure.code == "starting";
            (false, left_behind(directory, &manifest))
        }
        Err(failure) => return Err(failure),
    };
    let State { nodes: processes, proxied, faults, links, .. } = state;
    let nodes: Vec<Node> = processes.iter().flat_map(|node| Node::new(&node.name, &node.api)).collect();
    // Only nodes that run are asked: another program may listen where one did before.
    let up: Vec<Node> = nodes.into_iter().filter(|node| is_up(&processes, node.name())).collect();
    let told = ask_all(&up);
    let shown = processes.into_iter().map(|process| {
        let said = told.iter().find(|told| told.name == process.name);
        show(process, said.and_then(|said| said.status.as_ref()), said.and_then(|said| said.error.as_deref()))
    });
    Ok(TestnetShown {
        dir: directory.path().display().to_string(),
        chain_id: manifest.chain_id.to_string(),
        running,
        starting,
        nodes: shown.collect(),
        proxied,
        faults,
        links,
    })
}

fn is_up(processes: &[NodeProcess], name: &str) -> bool {
    processes.iter().any(|process| process.name == name && process.pid.is_some() && !process.paused)
}

/// The nodes of a testnet without a supervisor: down, or left behind by one that died.
fn left_behind(directory: &Directory, manifest: &Manifest) -> State {
    let record = Record::load(&directory.record());
    let pid = |name: &str| {
        let known = record.nodes.iter().find(|node| node.name == name && node.process.is_alive());
        known.map(|node| node.process.pid)
    };
    let nodes = manifest.nodes.iter().map(|node| NodeProcess {
        name: node.name.clone(),
        pid: pid(&node.name),
        down: pid(&node.name).is_none().then(|| "the testnet is not running".to_owned()),
        paused: false,
        api: node.api.clone(),
    });
    State { nodes: nodes.collect(), ..State::default() }
}

fn show(process: NodeProcess, status: Option<&StatusResponse>, error: Option<&str>) -> NodeShown {
    let state = match (&process.pid, status) {
        (None, _) => "down".to_owned(),
        (Some(_), _) if process.paused => "paused".to_owned(),
        (Some(_), None) => "unreachable".to_owned(),
        (Some(_), Some(status)) => word(&status.state),
    };
    let reason = process.down.or_else(|| error.map(str::to_owned)).or_else(|| status?.reason.clone());
    NodeShown {
        name: process.name,
        pid: process.pid,
        state,
        api: process.api,
        height: status.map(|status| status.height.get()),
        view: status.map(|status| status.view.get()),
        active: status.is_some_and(|status| status.active),
        is_primary: status.is_some_and(|status| status.is_primary),
        state_root: status.map(|status| status.state_root.to_string()),
        voting: status.is_some_and(|status| status.voting),
        reason,
    }
}

impl Readable for TestnetShown {
    fn text(&self, style: Style) -> String {
        let left_behind = self.nodes.iter().any(|node| node.pid.is_some());
        let state = match (self.running, left_behind) {
            (true, _) => style.good("running"),
            (false, _) if self.starting => style.note("starting: it has not committed yet"),
            (false, true) if Settings::load(&Directory::new(Path::new(&self.dir)).settings()).faults => style.bad(
                "without its supervisor, which died and took the links between the nodes along: `up` takes over, `down` \
                 ends its nodes",
            ),
            (false, true) => style.bad("without its supervisor, which died: `up` takes over, `down` ends its nodes"),
            (false, false) => style.note("not running"),
        };
        let mut table = Table::new(&["node", "state", ">pid", ">height", ">view", "role", "state root", "HTTP"]);
        let mut reasons = String::new();
        for node in &self.nodes {
            table.row(row(node, style));
            if let Some(reason) = &node.reason {
                reasons.push_str(&format!("  {}: {reason}\n", node.name));
            }
        }
        let gap = if reasons.is_empty() { "" } else { "\n" };
        let faults = self.fault_text(style);
        format!("  {} {state}\n\n{}{gap}{reasons}{faults}", self.dir, table.render(style))
    }
}

impl TestnetShown {
    fn fault_text(&self, style: Style) -> String {
        if self.faults.is_empty() {
            return String::new();
        }
        let mut table = Table::new(&["fault", "of", ">for", "what"]);
        let now = clock::now_ms();
        for fault in &self.faults {
            let seconds = now.saturating_sub(fault.since) / 1000;
            let (kind, of) = (style.bad(&fault.kind.to_string()), fault.target.clone());
            table.row([kind, of, format!("{seconds} s"), fault.what.clone()]);
        }
        let names = |is_shown: fn(&LinkShown) -> bool| {
            let shown: Vec<String> = self
                .links
                .iter()
                .filter(|link| is_shown(link))
                .map(|link| format!("{}>{}", link.from, link.to))
                .collect();
            match shown.len().saturating_sub(LINKS_NAMED) {
                0 => shown.join(" "),
                more => format!("{} and {more} more", shown[..LINKS_NAMED].join(" ")),
            }
        };
        let mut text = format!("\n{}", table.render(style));
        let is_slow = |link: &LinkShown| {
            link.latency_ms + link.jitter_ms + u64::from(link.stall_permille) > 0 || link.bandwidth.is_some()
        };
        for (what, links) in [("carry nothing", names(|link| link.held)), ("delayed", names(is_slow))] {
            if !links.is_empty() {
                text.push_str(&format!("  {what}: {links}\n"));
            }
        }
        let undo: BTreeSet<&str> = self.faults.iter().map(|fault| fault.undo.as_str()).collect();
        undo.into_iter().for_each(|undo| text.push_str(&format!("  undo: {}\n", style.strong(undo))));
        text
    }
}

fn row(node: &NodeShown, style: Style) -> [String; 8] {
    let dash = || "-".to_owned();
    let state = if node.state == "active" { style.good(&node.state) } else { style.bad(&node.state) };
    let role = match (node.height, node.is_primary, node.voting) {
        (None, ..) => dash(),
        (_, _, true) if !node.active => style.note("between views"),
        (_, true, _) => style.strong("primary"),
        (_, false, true) => "backup".to_owned(),
        (_, false, false) => style.note("does not vote"),
    };
    let root = node.state_root.as_ref().and_then(|root| root.parse().ok());
    [
        node.name.clone(),
        state,
        node.pid.map_or_else(dash, |pid| pid.to_string()),
        node.height.map_or_else(dash, |height| height.to_string()),
        node.view.map_or_else(dash, |view| view.to_string()),
        role,
        root.map_or_else(dash, |root| short(&root)),
        node.api.clone(),
    ]
}
