//! The one process that starts and ends a testnet's nodes. It does nothing else: what the nodes say of themselves,
//! every command asks the nodes.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use quorate_cli::exit::{Exit, Failure};
use quorate_cli::manifest::Manifest;

use crate::control::{NodeProcess, Reply, Request, Waiting};
use crate::directory::{Directory, Lock};
use crate::home;
use crate::interrupt::Interrupt;
use crate::ports::HeldPort;
use crate::process::{self, Process, Starting};
use crate::record::{NodeProcessId, ProcessId, Record};

/// How long a node may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long a node may take to end by itself.
pub const END_WITHIN: Duration = Duration::from_secs(10);
/// How often the nodes are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What wakes the supervisor.
#[derive(Debug)]
pub enum Event {
    /// A command.
    Control(Waiting),
    /// Ctrl-C or a signal that means the same.
    Interrupted,
}

/// One node.
#[derive(Debug)]
struct Slot {
    name: String,
    home: PathBuf,
    log: PathBuf,
    process: Option<Process>,
    /// Why it does not run.
    down: String,
}

/// The nodes of one directory, and the right to run them.
#[derive(Debug)]
pub struct Supervisor {
    directory: Directory,
    manifest: Manifest,
    program: PathBuf,
    slots: Vec<Slot>,
    interrupt: Interrupt,
    _lock: Lock,
}

impl Supervisor {
    /// Takes over a directory whose lock is held: nodes that an earlier supervisor left behind are ended.
    ///
    /// # Errors
    /// When the node's program is missing.
    pub fn new(
        directory: Directory,
        manifest: Manifest,
        lock: Lock,
        interrupt: Interrupt,
    ) -> Result<Supervisor, Failure> {
        Record::load(&directory.record()).stop_all(END_WITHIN);
        let slot = |name: &String| Slot {
            name: name.clone(),
            home: directory.home(name),
            log: directory.log(name),
            process: None,
            down: "not started".to_owned(),
        };
        let slots = manifest.nodes.iter().map(|node| slot(&node.name)).collect();
        let program = process::node_program()?;
        let supervisor = Supervisor { directory, manifest, program, slots, interrupt, _lock: lock };
        supervisor.record(&[]);
        Ok(supervisor)
    }

    /// The manifest, with the addresses of the last start.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Starts all nodes on free ports - those of last time where they are free - and writes the manifest.
    ///
    /// # Errors
    /// When a node does not become ready; then all are stopped.
    pub fn start_all(&mut self) -> Result<(), Failure> {
        let started = self.try_start_all();
        if started.is_err() {
            self.stop_all();
        }
        started
    }

    fn try_start_all(&mut self) -> Result<(), Failure> {
        let ports = self.hold_ports()?;
        let addresses: Vec<(SocketAddr, SocketAddr)> =
            ports.iter().map(|(api, p2p)| (api.address(), p2p.address())).collect();
        for (index, slot) in self.slots.iter().enumerate() {
            home::configure(&slot.home, index, &addresses)?;
        }
        let mut starting = Vec::new();
        for (slot, (api, p2p)) in self.slots.iter().zip(ports) {
            api.release();
            p2p.release();
            starting.push(process::spawn(&self.program, &slot.name, &slot.home, &slot.log)?);
        }
        self.record(&starting);
        let deadline = Instant::now() + READY_WITHIN;
        let mut failure = None;
        for (index, starting) in starting.into_iter().enumerate() {
            // After a failure the others are still taken over, so that they are stopped in order.
            match starting.ready(deadline, &self.interrupt) {
                Ok(process) => self.set_running(index, process),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        self.record(&[]);
        match failure {
            Some(failure) => Err(failure),
            None => self.manifest.save(self.directory.path()),
        }
    }

    /// Two ports for each node: its HTTP interface and its peers.
    fn hold_ports(&self) -> Result<Vec<(HeldPort, HeldPort)>, Failure> {
        let last = |text: &str| {
            text.rsplit(['/', ':']).next().and_then(|port| port.parse().ok()).filter(|&port: &u16| port > 0)
        };
        let hold = |last: Option<u16>| match last.and_then(HeldPort::exactly) {
            Some(held) => Ok(held),
            None => HeldPort::any(),
        };
        let pairs = self.manifest.nodes.iter().map(|node| Ok((hold(last(&node.api))?, hold(last(&node.p2p))?)));
        pairs.collect::<std::io::Result<_>>().map_err(|error| {
            Failure::internal(
                format!("no free port on the loopback: {error}"),
                "end other programs that listen, then try again",
            )
        })
    }

    fn set_running(&mut self, index: usize, process: Process) {
        let node = &mut self.manifest.nodes[index];
        node.api = format!("http://{}", process.listening.api);
        node.p2p.clone_from(&process.listening.p2p);
        self.slots[index].process = Some(process);
    }

    /// Takes commands until one of them, or an interrupt, ends the testnet. All nodes are stopped then.
    pub fn run(&mut self, events: &Receiver<Event>) {
        let mut waiting = None;
        loop {
            match events.recv_timeout(LOOK_EVERY) {
                Ok(Event::Control(Waiting { request: Request::Down {}, reply })) => {
                    waiting = Some(reply);
                    break;
                }
                // A client that is gone does not want its reply.
                Ok(Event::Control(Waiting { request, reply })) => drop(reply.send(self.answer(&request))),
                Ok(Event::Interrupted) => break,
                Err(RecvTimeoutError::Timeout) => self.look_after(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.stop_all();
        // No socket means no supervisor, for whoever looks.
        let _ = fs::remove_file(self.directory.socket());
        if let Some(reply) = waiting {
            let _ = reply.send(Reply::Done(self.processes()));
        }
    }

    /// Stops all nodes at the same time; at a second interrupt, at once.
    pub fn stop_all(&mut self) {
        for slot in &self.slots {
            if let Some(process) = &slot.process {
                process.ask_to_end();
            }
        }
        for slot in &mut self.slots {
            if let Some(process) = slot.process.take() {
                let patience = if self.interrupt.count() > 1 { Duration::ZERO } else { END_WITHIN };
                process.stop(patience);
                slot.down = "stopped".to_owned();
            }
        }
        self.record(&[]);
    }

    fn answer(&mut self, request: &Request) -> Reply {
        self.look_after();
        let done = match request {
            Request::Processes {} | Request::Down {} => Ok(()),
            Request::Kill { node } => self.index(node).and_then(|index| self.kill(index)),
            Request::Start { node } => self.index(node).and_then(|index| self.start(index)),
            Request::Restart { node } => self.index(node).and_then(|index| {
                self.stop(index);
                self.start(index)
            }),
            Request::Wipe { node } => self.index(node).and_then(|index| {
                self.stop(index);
                home::wipe(&self.slots[index].home)?;
                self.start(index)
            }),
        };
        self.record(&[]);
        match done {
            Ok(()) => Reply::Done(self.processes()),
            Err(failure) => Reply::refused(failure),
        }
    }

    fn index(&self, name: &str) -> Result<usize, Failure> {
        self.slots.iter().position(|slot| slot.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.slots.iter().map(|slot| slot.name.as_str()).collect();
            Failure::new(
                Exit::NotFound,
                "unknown_node",
                format!("there is no node called {name}"),
                format!("the nodes are {}", names.join(", ")),
            )
        })
    }

    fn kill(&mut self, index: usize) -> Result<(), Failure> {
        let slot = &mut self.slots[index];
        let Some(process) = slot.process.take() else {
            return Err(Failure::usage(format!("{} does not run: {}", slot.name, slot.down), "start it first"));
        };
        process.kill();
        slot.down = "killed".to_owned();
        Ok(())
    }

    fn stop(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if let Some(process) = slot.process.take() {
            process.stop(END_WITHIN);
            slot.down = "stopped".to_owned();
        }
    }

    fn start(&mut self, index: usize) -> Result<(), Failure> {
        let slot = &mut self.slots[index];
        if slot.process.is_some() {
            return Err(Failure::usage(format!("{} runs already", slot.name), "kill or restart it"));
        }
        let starting = process::spawn(&self.program, &slot.name, &slot.home, &slot.log)?;
        let (name, deadline) = (slot.name.clone(), Instant::now() + READY_WITHIN);
        self.record(std::slice::from_ref(&starting));
        match starting.ready(deadline, &self.interrupt) {
            Ok(process) => {
                self.set_running(index, process);
                self.manifest.save(self.directory.path())
            }
            Err(failure) => {
                self.slots[index].down = format!("did not start: see {}", self.directory.log(&name).display());
                Err(failure)
            }
        }
    }

    /// Notices nodes that ended by themselves, and keeps logs within their bound.
    fn look_after(&mut self) {
        for slot in &mut self.slots {
            let Some(process) = &mut slot.process else { continue };
            process.keep_log_short();
            if let Some(how) = process.ended() {
                eprintln!("{} ended by itself: {how}; see {}", slot.name, slot.log.display());
                slot.down = format!("ended by itself: {how}");
                slot.process = None;
            }
        }
    }

    fn processes(&self) -> Vec<NodeProcess> {
        let nodes = self.slots.iter().zip(&self.manifest.nodes);
        let process = |(slot, node): (&Slot, &quorate_cli::manifest::ManifestNode)| NodeProcess {
            name: slot.name.clone(),
            pid: slot.process.as_ref().map(|process| process.id().pid),
            down: slot.process.is_none().then(|| slot.down.clone()),
            api: node.api.clone(),
        };
        nodes.map(process).collect()
    }

    /// Writes down what runs, including what is just starting, for whoever cleans up after this process.
    fn record(&self, starting: &[Starting]) {
        let running = self.slots.iter().filter_map(|slot| Some((slot.name.clone(), slot.process.as_ref()?.id())));
        let starting = starting.iter().filter_map(|node| Some((node.name().to_owned(), ProcessId::of(node.pid())?)));
        let nodes = running.chain(starting).map(|(name, process)| NodeProcessId { name, process }).collect();
        let record = Record { supervisor: ProcessId::of(std::process::id()), nodes };
        if let Err(error) = record.save(&self.directory.record()) {
            // The nodes run all the same; only a cleanup after the death of this process would miss them.
            eprintln!("{}", self.directory.unwritable(&error));
        }
    }
}

/// However it ends, no node is left behind.
impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop_all();
    }
}
