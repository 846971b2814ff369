//! One node as a process: started, waited for, ended, and its log kept short.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::exit::Failure;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde::Deserialize;

use crate::interrupt::{INTERRUPT_CHECK, Interrupt};
use crate::record::ProcessId;

/// The node's program.
const NODE_PROGRAM: &str = "quorate-node";
/// Names another node program, for whoever tests one.
const NODE_VARIABLE: &str = "QUORATE_NODE";
/// The longest line that a node prints on stdout, in bytes.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// A log longer than this, in bytes, loses its older part.
const LOG_BYTES_MAX: u64 = 8 << 20;
/// What of a log is kept then, in bytes.
const LOG_BYTES_KEPT: u64 = 1 << 20;
/// How many of a log's last lines are shown, and from how many bytes.
const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 16 << 10;
/// The pause between two looks at an ending process.
const PAUSE: Duration = Duration::from_millis(10);

/// Where a node listens, as its first line on stdout says.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Listening {
    event: String,
    /// The address of its HTTP interface.
    pub api: String,
    /// Its address for peers.
    pub p2p: String,
}

/// A child that does not outlive this value.
#[derive(Debug)]
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // One that has ended already is not killed again: its status is known, and its id is not used.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node's process that has been started and may not be ready yet. It is killed when this is dropped.
#[derive(Debug)]
pub struct Starting {
    name: String,
    child: Guarded,
    lines: Receiver<String>,
    log: PathBuf,
    /// How long the log was before this start, in bytes.
    log_before: u64,
}

/// A node's process that is ready. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Guarded,
    id: ProcessId,
    log: PathBuf,
    /// Where it listens.
    pub listening: Listening,
}

/// The program of the nodes: what `QUORATE_NODE` names, else the one beside this program, else the one in `PATH`.
///
/// # Errors
/// Exit code 10 when there is none.
pub fn find_program(name: &str) -> Result<PathBuf, Failure> {
    if let Some(named) = std::env::var_os(NODE_VARIABLE).filter(|value| name == NODE_PROGRAM && !value.is_empty()) {
        return Ok(named.into());
    }
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(name));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&in_path).map(|dir| dir.join(name));
    beside.into_iter().chain(in_path).find(|path| path.is_file()).ok_or_else(|| {
        Failure::config(
            "program_missing",
            format!("the program {name} is neither beside this one nor in PATH"),
            format!("build all of it (cargo build --release), or name it with {NODE_VARIABLE}=FILE"),
        )
    })
}

/// The node's program.
///
/// # Errors
/// As [`find_program`].
pub fn node_program() -> Result<PathBuf, Failure> {
    find_program(NODE_PROGRAM)
}

/// Starts the node of this home, its log going to `log`. Keys pressed in a terminal do not reach it: it has a process
/// group of its own.
///
/// # Errors
/// When the program or the log cannot be opened.
pub fn spawn(program: &Path, name: &str, home: &Path, log: &Path) -> Result<Starting, Failure> {
    let cannot = |what: &str, path: &Path, error: &io::Error| {
        Failure::internal(
            format!("node {name} cannot be started: {what} {}: {error}", path.display()),
            "check that the file is there and may be used",
        )
    };
    // Appending, so that the log can be cut short while the node writes to it.
    let log_file = File::options().append(true).create(true).open(log).map_err(|error| cannot("log", log, &error))?;
    let log_before = log_file.metadata().map_or(0, |metadata| metadata.len());
    let mut child = Command::new(program)
        .args(["run", "--home"])
        .arg(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .process_group(0)
        .spawn()
        .map_err(|error| cannot("program", program, &error))?;
    let (sender, lines) = channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || read_lines(stdout, |line| drop(sender.send(line))));
    }
    Ok(Starting { name: name.to_owned(), child: Guarded(child), lines, log: log.to_owned(), log_before })
}

/// Reads to the end, so that a node never waits for its stdout to be read.
fn read_lines(stdout: ChildStdout, mut each: impl FnMut(String)) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => each(String::from_utf8_lossy(&line).into_owned()),
        }
    }
}

impl Starting {
    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Waits until the node says where it listens.
    ///
    /// # Errors
    /// When it ends before, or says nothing until `deadline`; then it is killed, and the failure shows the end of its
    /// log.
    pub fn ready(mut self, deadline: Instant, interrupt: &Interrupt) -> Result<Process, Failure> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left.min(INTERRUPT_CHECK)) {
                Err(RecvTimeoutError::Timeout) if interrupt.count() > 0 => return Err(interrupt.failure()),
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Ok(line) => match serde_json::from_str::<Listening>(&line) {
                    Ok(listening) if listening.event == "listening" => return self.into_process(listening),
                    _ => {}
                },
                Err(RecvTimeoutError::Timeout) => return Err(self.give_up("did not become ready in time")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.give_up("ended before it was ready")),
            }
        }
    }

    fn into_process(mut self, listening: Listening) -> Result<Process, Failure> {
        let Some(id) = ProcessId::of(self.child.0.id()) else {
            return Err(self.give_up("ended as soon as it was ready"));
        };
        Ok(Process { child: self.child, id, log: self.log, listening })
    }

    fn give_up(&mut self, what: &str) -> Failure {
        // It may still be ending by itself, with a reason in its exit code.
        let ended = wait(&mut self.child.0, Duration::from_millis(500));
        let how = ended.map_or_else(String::new, |status| format!(" ({})", describe(status)));
        let tail = tail(&self.log, self.log_before);
        let last_words = if tail.is_empty() { String::new() } else { format!("; the end of its log:\n{tail}") };
        Failure::internal(
            format!("node {} {what}{how}{last_words}", self.name),
            format!("the whole log is in {}", self.log.display()),
        )
    }
}

impl Process {
    /// The process id with its start time.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// How it ended, where it has ended by itself.
    pub fn ended(&mut self) -> Option<String> {
        self.child.0.try_wait().ok().flatten().map(describe)
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(self) {
        drop(self);
    }

    /// Asks it to end; kills it where it has not within `patience`. Returns how it ended.
    pub fn stop(mut self, patience: Duration) -> String {
        self.ask_to_end();
        if let Some(status) = wait(&mut self.child.0, patience) {
            return describe(status);
        }
        self.kill();
        format!("killed: it did not end within {} s", patience.as_secs())
    }

    /// Asks it to end, without waiting.
    pub fn ask_to_end(&self) {
        self.id.ask_to_end();
    }

    /// Has every write to a file fail from now on (a limit of nothing on a file's size), or lets them succeed again.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_disk_full(&self, full: bool) -> io::Result<()> {
        let pid = i32::try_from(self.id.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        // Only the soft limit, which its owner may raise again. The hard one is what this process passed on.
        let maximum = getrlimit(Resource::Fsize).maximum;
        let current = if full { Some(0) } else { maximum };
        prlimit(Some(pid), Resource::Fsize, Rlimit { current, maximum })?;
        Ok(())
    }

    /// Cuts the log where it has grown beyond its bound.
    pub fn keep_log_short(&self) {
        // A log that cannot be cut is no reason to stop a node.
        let _ = cut_log(&self.log, LOG_BYTES_MAX, LOG_BYTES_KEPT);
    }
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => thread::sleep(PAUSE),
            Ok(None) | Err(_) => return None,
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown status".to_owned(),
    }
}

/// The last lines of a log from `start` on, indented.
fn tail(log: &Path, start: u64) -> String {
    let new = fs::metadata(log).map_or(0, |metadata| metadata.len().saturating_sub(start));
    let text = last_bytes(log, new.min(TAIL_BYTES)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    shown.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn last_bytes(path: &Path, count: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(count)))?;
    let mut bytes = Vec::new();
    file.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Keeps the last `kept` bytes of a log that is longer than `max`. The node goes on appending to the same file; what it
/// writes during the cut may be lost.
fn cut_log(path: &Path, max: u64, kept: u64) -> io::Result<()> {
    if fs::metadata(path)?.len() <= max {
        return Ok(());
    }
    let last = last_bytes(path, kept)?;
    let mut file = File::options().append(true).open(path)?;
    file.set_len(0)?;
    file.write_all(&last)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(dir: &Path, script: &str) -> PathBuf {
        let path = dir.join("node.sh");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn start(dir: &Path, script: &str) -> Starting {
        spawn(&program(dir, script), "v0", dir, &dir.join("node.log")).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    const READY: &str = r#"echo '{"event":"listening","api":"127.0.0.1:1","p2p":"/ip4/127.0.0.1/tcp/2"}'"#;

    #[test]
    fn a_ready_node_says_where_it_listens_and_ends_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let mut process =
            start(dir.path(), &format!("{READY}\nexec sleep 60")).ready(soon(), &Interrupt::default()).unwrap();
        assert_eq!(process.listening.api, "127.0.0.1:1");
        assert_eq!(process.ended(), None);
        let id = process.id();
        assert_eq!(process.stop(Duration::from_secs(10)), "signal 15");
        assert!(!id.is_alive());
    }

    #[test]
    fn a_node_that_does_not_end_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let stubborn = format!("trap '' TERM\n{READY}\nwhile true; do sleep 0.1; done");
        let process = start(dir.path(), &stubborn).ready(soon(), &Interrupt::default()).unwrap();
        let id = process.id();
        assert!(process.stop(Duration::from_millis(200)).starts_with("killed"));
        assert!(!id.is_alive());
    }

    #[test]
    fn a_node_that_fails_shows_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("node.log"), "an earlier run was fine\n").unwrap();
        let failure = start(dir.path(), "echo 'the disk is on fire' >&2\nexit 10")
            .ready(soon(), &Interrupt::default())
            .unwrap_err();
        assert!(failure.message.contains("v0 ended before it was ready (exit code 10)"), "{}", failure.message);
        assert!(failure.message.ends_with("the end of its log:\n    the disk is on fire"), "{}", failure.message);
    }

    #[test]
    fn a_silent_node_is_given_up_and_leaves_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let starting = start(dir.path(), "exec sleep 60");
        let id = ProcessId::of(starting.pid()).unwrap();
        let failure = starting.ready(Instant::now() + Duration::from_millis(100), &Interrupt::default()).unwrap_err();
        assert!(failure.message.contains("in time"), "{}", failure.message);
        assert!(!id.is_alive());
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.log");
        fs::write(&path, "0123456789").unwrap();
        cut_log(&path, 10, 4).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "0123456789");
        cut_log(&path, 9, 4).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "6789");
    }
}
