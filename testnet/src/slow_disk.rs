//! A slow disk for one running process, by `strace`: each of its syncs returns later. Needs no root where the system lets
//! a user trace the processes of his own.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::exit::{Exit, Failure};
use rustix::process::Signal;

use crate::record::ProcessId;

/// The tracer.
const TRACER: &str = "strace";
/// The system calls that wait for a disk.
const SYNCS: &str = "fsync,fdatasync,sync_file_range,syncfs";
/// How long the tracer may take to have hold of every thread, or to let go.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(5);

/// A tracer that delays the syncs of a process until it is dropped.
#[derive(Debug)]
pub struct SlowDisk {
    child: Child,
}

impl SlowDisk {
    /// Makes each sync of the process take so many milliseconds longer.
    ///
    /// # Errors
    /// With the code `slow_disk_unavailable` where there is no strace, or the system does not let it trace.
    pub fn start(node: &str, process: ProcessId, delay_ms: u64) -> Result<SlowDisk, Failure> {
        let inject = format!("inject={SYNCS}:delay_exit={}", delay_ms.saturating_mul(1000));
        let mut command = Command::new(TRACER);
        command.args(["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={SYNCS}"), "-e", &inject]);
        command.args(["-p", &process.pid.to_string()]);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let child = spawned.map_err(|error| unavailable(node, &format!("{TRACER} cannot be started: {error}")))?;
        let mut slow = SlowDisk { child };
        let end = Instant::now() + PATIENCE;
        while !slow.has_hold_of(process) {
            let ended = slow.child.try_wait().ok().flatten().is_some();
            if ended || Instant::now() >= end {
                return Err(unavailable(node, &slow.last_words()));
            }
            thread::sleep(PAUSE);
        }
        Ok(slow)
    }

    /// The tracer's own process.
    pub fn id(&self) -> Option<ProcessId> {
        ProcessId::of(self.child.id())
    }

    fn has_hold_of(&self, process: ProcessId) -> bool {
        let tracer = format!("TracerPid:\t{}", self.child.id());
        let mut tasks = fs::read_dir(format!("/proc/{}/task", process.pid)).into_iter().flatten().flatten().peekable();
        let is_traced = |status: String| status.lines().any(|line| line == tracer);
        tasks.peek().is_some() && tasks.all(|task| fs::read_to_string(task.path().join("status")).is_ok_and(is_traced))
    }

    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let mut words = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            // A few lines at most; what is not text is left out.
            let _ = stderr.take(4096).read_to_string(&mut words);
        }
        let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if words.is_empty() { format!("{TRACER} did not get hold of it in time") } else { words.join("; ") }
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // Asked to end, it lets go of the process in order; killed, the system does it.
        if let Some(id) = self.id() {
            id.signal(Signal::TERM);
        }
        let end = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unavailable(node: &str, reason: &str) -> Failure {
    Failure::new(
        Exit::Internal,
        "slow_disk_unavailable",
        format!("the disk of {node} cannot be made slow on this system: {reason}"),
        "without root only strace can delay another program's syncs: install it, and let users trace their own processes \
         (sysctl kernel.yama.ptrace_scope=0)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_is_not_traced_and_the_reason_is_told() {
        let mut gone = Command::new("true").spawn().unwrap();
        let pid = gone.id();
        gone.wait().unwrap();
        let failure = SlowDisk::start("v1", ProcessId { pid, start_time: 1 }, 10).unwrap_err();
        assert_eq!(failure.code, "slow_disk_unavailable");
        assert!(failure.message.contains("v1") && failure.message.contains("strace"), "{}", failure.message);
    }
}
