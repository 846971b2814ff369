//! `supervisor.json`: which processes a supervisor started, so that whoever comes after its death can end exactly
//! those. A process is known by its id and its start time, since ids are used again.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::files;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// The longest record that is read, in bytes.
const RECORD_BYTES_MAX: u64 = 64 << 10;
/// The pause between two looks at a process that is ending.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a process may take to stop or go on.
const PATIENCE: Duration = Duration::from_secs(2);

/// One process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    pub start_time: u64,
}

impl ProcessId {
    /// The running process with this id.
    pub fn of(pid: u32) -> Option<ProcessId> {
        ProcessId::with_state(pid).map(|(id, _)| id)
    }

    /// The running process with this id, and the letter of its state.
    fn with_state(pid: u32) -> Option<(ProcessId, String)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain anything; what follows its end is state, parent, ... and the start
        // time.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
        let state = *fields.first()?;
        let start_time = fields.get(19)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then(|| (ProcessId { pid, start_time }, state.to_owned()))
    }

    /// Whether this very process is stopped where it is: by a signal, or under a tracer that was told of one.
    pub fn is_stopped(self) -> bool {
        ProcessId::with_state(self.pid).is_some_and(|(id, state)| id == self && matches!(state.as_str(), "T" | "t"))
    }

    /// Stops the process where it is, and waits until it stands.
    pub fn pause(self) -> bool {
        self.signal(Signal::STOP);
        self.wait_until(PATIENCE, ProcessId::is_stopped)
    }

    /// Lets a stopped process go on, and waits until it does.
    pub fn resume(self) -> bool {
        self.signal(Signal::CONT);
        self.wait_until(PATIENCE, |id| !id.is_stopped())
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        ProcessId::of(self.pid) == Some(self)
    }

    /// Sends a signal, if this very process still runs.
    pub fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), i32::try_from(self.pid).ok().and_then(Pid::from_raw)) {
            // It may have ended in between; that is what was wanted.
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks the process to end. One that is stopped where it is hears it too.
    pub fn ask_to_end(self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    /// Asks the process to end, and kills it where it has not within `patience`.
    pub fn stop(self, patience: Duration) {
        self.ask_to_end();
        if !self.wait_gone(patience) {
            self.signal(Signal::KILL);
            self.wait_gone(patience);
        }
    }

    /// Waits until the process is gone; says whether it is.
    pub fn wait_gone(self, patience: Duration) -> bool {
        self.wait_until(patience, |id| !id.is_alive())
    }

    fn wait_until(self, patience: Duration, comes_true: impl Fn(ProcessId) -> bool) -> bool {
        let end = Instant::now() + patience;
        while !comes_true(self) {
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(PAUSE);
        }
        true
    }
}

/// One node's process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeProcessId {
    /// The node.
    pub name: String,
    /// Its process.
    #[serde(flatten)]
    pub process: ProcessId,
}

/// What a supervisor has running.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The supervisor itself.
    pub supervisor: Option<ProcessId>,
    /// The nodes that run.
    pub nodes: Vec<NodeProcessId>,
    /// Other programs that work on the nodes.
    #[serde(default)]
    pub helpers: Vec<ProcessId>,
}

impl Record {
    /// Reads a record; an absent or damaged one names no processes.
    pub fn load(path: &Path) -> Record {
        let bytes = files::read(path, RECORD_BYTES_MAX).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Whether a supervisor lives that has nodes running. One that takes no commands is starting then: before it stops
    /// listening it has ended its nodes.
    pub fn is_starting(&self) -> bool {
        self.supervisor.is_some_and(ProcessId::is_alive) && self.nodes.iter().any(|node| node.process.is_alive())
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        files::write(path, &serde_json::to_vec_pretty(self)?)
    }

    /// The nodes that run.
    pub fn alive(&self) -> Vec<&NodeProcessId> {
        self.nodes.iter().filter(|node| node.process.is_alive()).collect()
    }

    /// Ends every process of the record that still runs. Returns their names.
    pub fn stop_all(&self, patience: Duration) -> Vec<String> {
        self.helpers.iter().for_each(|helper| helper.stop(patience));
        let alive = self.alive();
        for node in &alive {
            node.process.ask_to_end();
        }
        for node in &alive {
            node.process.stop(patience);
        }
        alive.into_iter().map(|node| node.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_known_by_id_and_start_time() {
        let own = ProcessId::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { start_time: own.start_time + 1, ..own }.is_alive());
        assert_eq!(ProcessId::of(u32::MAX), None);
    }

    #[test]
    fn only_the_recorded_processes_are_ended() {
        let mut recorded = Command::new("sleep").arg("60").spawn().unwrap();
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let real = ProcessId::of(recorded.id()).unwrap();
        let reused = ProcessId { start_time: 1, pid: other.id() };
        let node = |name: &str, process| NodeProcessId { name: name.to_owned(), process };
        let nodes = vec![node("v0", real), node("v1", reused)];
        let record = Record { nodes, ..Record::default() };

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("supervisor.json");
        record.save(&path).unwrap();
        let read = Record::load(&path);
        assert_eq!(read, record);
        assert_eq!(read.stop_all(Duration::from_secs(5)), ["v0"]);

        assert!(!recorded.wait().unwrap().success());
        assert_eq!(other.try_wait().unwrap(), None, "a process that reuses the id is left alone");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_paused_process_stands_goes_on_and_ends_when_asked() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(!id.is_stopped());
        assert!(id.pause() && id.is_stopped() && id.is_alive());
        assert!(id.resume() && !id.is_stopped());
        assert!(id.pause());
        id.ask_to_end();
        assert_eq!(child.wait().unwrap().code(), None, "ended by the signal");
    }

    #[test]
    fn a_damaged_record_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("supervisor.json");
        assert_eq!(Record::load(&path), Record::default());
        fs::write(&path, "{\"nodes\": [").unwrap();
        assert_eq!(Record::load(&path), Record::default());
    }
}
