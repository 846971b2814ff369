//! The one process that starts and ends a testnet's nodes. It does nothing else: what the nodes say of themselves,
//! every command asks the nodes.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use quorate_cli::exit::{Exit, Failure};
use quorate_cli::manifest::Manifest;

use crate::control::{NodeProcess, Reply, Request, State, Waiting};
use crate::directory::{Directory, Lock};
use crate::fault::{FaultKind, Said};
use crate::faults::Faults;
use crate::home;
use crate::interrupt::Interrupt;
use crate::ports::HeldPort;
use crate::process::{self, Process, Starting};
use crate::record::{NodeProcessId, ProcessId, Record};
use crate::settings::Settings;
use crate::slot::Slot;

/// How long a node may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// So much more for each of the nodes that start at the same time: they share the machine.
pub const MORE_PER_NODE: Duration = Duration::from_secs(2);
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

/// The nodes of one directory, and the right to run them.
#[derive(Debug)]
pub struct Supervisor {
    directory: Directory,
    manifest: Manifest,
    settings: Settings,
    program: PathBuf,
    slots: Vec<Slot>,
    faults: Arc<Faults>,
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
        (manifest, settings): (Manifest, Settings),
        lock: Lock,
        interrupt: Interrupt,
    ) -> Result<Supervisor, Failure> {
        Record::load(&directory.record()).stop_all(END_WITHIN);
        let slots = manifest.nodes.iter().map(|node| Slot::new(&directory, &node.name)).collect();
        let names = manifest.nodes.iter().map(|node| node.name.clone()).collect();
        let faults = Arc::new(Faults::new(&directory, names));
        let program = process::node_program()?;
        let supervisor = Supervisor { directory, manifest, settings, program, slots, faults, interrupt, _lock: lock };
        supervisor.record(&[]);
        Ok(supervisor)
    }

    /// The manifest, with the addresses of the last start.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The faults, for whoever answers for them without waiting for this.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
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
        if self.settings.faults {
            let p2p: Vec<SocketAddr> = addresses.iter().map(|(_, p2p)| *p2p).collect();
            self.faults.open_links(&p2p)?;
        }
        for (index, slot) in self.slots.iter().enumerate() {
            let others = addresses.iter().enumerate().filter(|(other, _)| *other != index);
            // The lower index dials, and finds a proxy where there is one.
            let proxy = |other| self.faults.links().and_then(|links| links.address(index, other));
            let peers = others.map(|(other, (_, p2p))| (other, proxy(other).unwrap_or(*p2p)));
            home::configure(&slot.home, addresses[index], peers)?;
        }
        let mut starting = Vec::new();
        for (slot, (api, p2p)) in self.slots.iter().zip(ports) {
            api.release();
            p2p.release();
            starting.push(process::spawn(&self.program, &slot.name, &slot.home, &slot.log)?);
            // At once: if this process is killed before all are started, those that are must be found.
            self.record(&starting);
        }
        let deadline = Instant::now() + READY_WITHIN + MORE_PER_NODE * self.slots.len() as u32;
        let mut failure = None;
        for (index, starting) in starting.into_iter().enumerate() {
            // After a failure the others are still taken over, so that they are stopped in order.
            match starting.ready(deadline, &self.interrupt).and_then(|process| self.set_running(index, process)) {
                Ok(()) => {}
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

    fn set_running(&mut self, index: usize, process: Process) -> Result<(), Failure> {
        let node = &mut self.manifest.nodes[index];
        node.api = format!("http://{}", process.listening.api);
        node.p2p.clone_from(&process.listening.p2p);
        if let (Some(links), Some(address)) = (self.faults.links(), socket_address(&node.p2p)) {
            links.set_target(index, address);
        }
        self.slots[index].set_running(process, &self.faults)
    }

    /// Takes commands until one of them, or an interrupt, ends the testnet. All nodes are stopped then.
    pub fn run(&mut self, events: &Receiver<Event>) {
        let mut waiting = None;
        loop {
            match events.recv_timeout(LOOK_EVERY) {
                Ok(Event::Control(Waiting { request: Request::Down {}, reply, .. })) => {
                    waiting = Some(reply);
                    break;
                }
                // A client that is gone does not want its reply.
                Ok(Event::Control(Waiting { request, asked, reply })) => {
                    drop(reply.send(self.answer(&request, asked)));
                }
                Ok(Event::Interrupted) => break,
                Err(RecvTimeoutError::Timeout) => self.look_after(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.stop_all();
        // No socket means no supervisor, for whoever looks.
        let _ = fs::remove_file(self.directory.socket());
        if let Some(reply) = waiting {
            let _ = reply.send(Reply::Done(Box::new(self.state(None))));
        }
    }

    /// Stops all nodes at the same time; at a second interrupt, at once.
    pub fn stop_all(&mut self) {
        for process in self.slots.iter().filter_map(Slot::process) {
            process.ask_to_end();
        }
        for slot in &mut self.slots {
            let patience = if self.interrupt.count() > 1 { Duration::ZERO } else { END_WITHIN };
            // One that does not run need not end.
            let _ = slot.end(Some(patience), &self.faults);
        }
        self.faults.end_all();
        self.record(&[]);
    }

    fn answer(&mut self, request: &Request, asked: Instant) -> Reply {
        self.look_after();
        let done = self.act(request).map(|said| said.map(|said| said.asked_at(asked)));
        self.record(&[]);
        match done {
            Ok(said) => Reply::Done(Box::new(self.state(said))),
            Err(failure) => Reply::refused(failure),
        }
    }

    fn act(&mut self, request: &Request) -> Result<Option<Said>, Failure> {
        let faults = Arc::clone(&self.faults);
        let said = match request {
            Request::Kill { node } => self.kill(node)?,
            Request::Start { node } => self.start_by_name(node)?,
            Request::Restart { node } => self.restart(node)?,
            Request::Wipe { node } => self.wipe(node)?,
            Request::Pause { node } => self.slot(node)?.pause(&faults)?,
            Request::Resume { node } => self.slot(node)?.resume(&faults)?,
            Request::Clock { node, offset_ms } => self.clock(node, *offset_ms)?,
            Request::Disk { node, disk } => self.slot(node)?.set_disk(*disk, &faults)?,
            Request::Partition { .. } | Request::Delay(_) | Request::Heal {} => {
                return self.faults.answer(request).transpose();
            }
            Request::Processes {} | Request::Down {} => return Ok(None),
        };
        Ok(Some(said))
    }

    fn slot(&mut self, name: &str) -> Result<&mut Slot, Failure> {
        let index = self.index(name)?;
        Ok(&mut self.slots[index])
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

    fn kill(&mut self, name: &str) -> Result<Said, Failure> {
        let index = self.index(name)?;
        self.slots[index].end(None, &self.faults)?;
        self.faults.note("kill", name, "killed");
        Ok(Said::new(format!("{name} is killed"), Some(self.faults.command(&format!("start {name}"))), Vec::new()))
    }

    fn start_by_name(&mut self, name: &str) -> Result<Said, Failure> {
        let index = self.index(name)?;
        self.start(index)?;
        self.faults.note("start", name, "started");
        let undo = self.faults.command(&format!("kill {name}"));
        Ok(Said::new(format!("{name} runs{}", self.process_of(index)), Some(undo), Vec::new()))
    }

    fn restart(&mut self, name: &str) -> Result<Said, Failure> {
        let index = self.index(name)?;
        self.stop(index);
        self.start(index)?;
        self.faults.note("restart", name, "stopped in order and started");
        let what = format!("{name} was stopped and runs again{}", self.process_of(index));
        Ok(Said::new(what, None, vec!["There is nothing to undo.".to_owned()]))
    }

    fn wipe(&mut self, name: &str) -> Result<Said, Failure> {
        let index = self.index(name)?;
        self.stop(index);
        home::wipe(&self.slots[index].home)?;
        self.faults.note("wipe", name, "lost its chain and its vote log");
        self.start(index)?;
        let process = self.process_of(index);
        let what = format!("{name} is wiped and runs again{process}: it follows and serves, and does not vote");
        Ok(Said::new(what, None, vec!["Nothing undoes it: it never votes again on this chain.".to_owned()]))
    }

    fn process_of(&self, index: usize) -> String {
        let pid = self.slots[index].process().map(|process| process.id().pid);
        pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
    }

    fn clock(&mut self, name: &str, offset_ms: i64) -> Result<Said, Failure> {
        let index = self.index(name)?;
        let runs = self.slots[index].process().is_some();
        let mut said = self.slots[index].set_clock(offset_ms, &self.faults)?;
        if runs {
            self.stop(index);
            self.start(index)?;
            said.notes.push(format!("{name} was restarted: a clock is set at the start."));
        }
        Ok(said)
    }

    fn stop(&mut self, index: usize) {
        // One that does not run need not be stopped.
        let _ = self.slots[index].end(Some(END_WITHIN), &self.faults);
    }

    fn start(&mut self, index: usize) -> Result<(), Failure> {
        let slot = &self.slots[index];
        if slot.process().is_some() {
            return Err(Failure::usage(format!("{} runs already", slot.name), "kill or restart it"));
        }
        let starting = process::spawn(&self.program, &slot.name, &slot.home, &slot.log)?;
        let deadline = Instant::now() + READY_WITHIN;
        self.record(std::slice::from_ref(&starting));
        match starting.ready(deadline, &self.interrupt) {
            Ok(process) => {
                self.set_running(index, process)?;
                self.manifest.save(self.directory.path())
            }
            Err(failure) => {
                let slot = &mut self.slots[index];
                slot.set_down(format!("did not start: see {}", slot.log.display()));
                Err(failure)
            }
        }
    }

    /// Notices nodes that ended by themselves, and keeps logs within their bound.
    fn look_after(&mut self) {
        for slot in &mut self.slots {
            slot.look_after(&self.faults);
        }
    }

    fn state(&self, said: Option<Said>) -> State {
        let nodes = self.slots.iter().zip(&self.manifest.nodes).map(|(slot, node)| NodeProcess {
            name: slot.name.clone(),
            pid: slot.process().map(|process| process.id().pid),
            down: slot.down().map(str::to_owned),
            paused: self.faults.has(FaultKind::Pause, &slot.name),
            api: node.api.clone(),
        });
        State { nodes: nodes.collect(), said, ..self.faults.state() }
    }

    /// Writes down what runs, including what is just starting, for whoever cleans up after this process.
    fn record(&self, starting: &[Starting]) {
        let running = self.slots.iter().filter_map(|slot| Some((slot.name.clone(), slot.process()?.id())));
        let starting = starting.iter().filter_map(|node| Some((node.name().to_owned(), ProcessId::of(node.pid())?)));
        let nodes = running.chain(starting).map(|(name, process)| NodeProcessId { name, process }).collect();
        let helpers = self.slots.iter().filter_map(Slot::helper).collect();
        let record = Record { supervisor: ProcessId::of(std::process::id()), nodes, helpers };
        if let Err(error) = record.save(&self.directory.record()) {
            // The nodes run all the same; only a cleanup after the death of this process would miss them.
            eprintln!("{}", self.directory.unwritable(&error));
        }
    }
}

/// The socket's address in a TCP multiaddress of the Internet Protocol, such as `/ip4/127.0.0.1/tcp/7000`.
fn socket_address(multiaddress: &str) -> Option<SocketAddr> {
    let mut parts = multiaddress.split('/').skip(1);
    let (_, host, transport, port) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (transport == "tcp").then_some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?))
}

/// However it ends, no node is left behind.
impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop_all();
    }
}
