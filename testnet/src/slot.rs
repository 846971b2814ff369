//! One node of a running testnet: its process while it has one, why it has none else, and what is done to it on purpose.

use std::path::PathBuf;
use std::time::Duration;

use quorate_cli::exit::Failure;
use quorate_node::config::CLOCK_OFFSET_MAX;

use crate::directory::Directory;
use crate::fault::{Disk, FaultKind, Said};
use crate::faults::Faults;
use crate::home;
use crate::process::Process;
use crate::record::ProcessId;
use crate::slow_disk::SlowDisk;
use crate::units::show_ms;

/// One node.
#[derive(Debug)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Its home.
    pub home: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// Its process, while it runs.
    process: Option<Process>,
    /// Why it does not run.
    down: String,
    /// What its disk shall be like, also after a restart.
    disk: Disk,
    slow: Option<SlowDisk>,
}

impl Slot {
    /// A node that does not run.
    pub fn new(directory: &Directory, name: &str) -> Slot {
        Slot {
            name: name.to_owned(),
            home: directory.home(name),
            log: directory.log(name),
            process: None,
            down: "not started".to_owned(),
            disk: Disk::Ok,
            slow: None,
        }
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Why it does not run; `None` while it does.
    pub fn down(&self) -> Option<&str> {
        self.process.is_none().then_some(self.down.as_str())
    }

    /// It does not run, for this reason.
    pub fn set_down(&mut self, why: impl Into<String>) {
        self.down = why.into();
    }

    /// The program that makes its disk slow.
    pub fn helper(&self) -> Option<ProcessId> {
        self.slow.as_ref()?.id()
    }

    /// It runs. What was wrong with its disk before is wrong again.
    ///
    /// # Errors
    /// When that cannot be done; the node runs on with a disk that works.
    pub fn set_running(&mut self, process: Process, faults: &Faults) -> Result<(), Failure> {
        self.process = Some(process);
        let disk = std::mem::replace(&mut self.disk, Disk::Ok);
        if disk == Disk::Ok {
            return Ok(());
        }
        let again = self.apply_disk(disk);
        if again.is_err() {
            faults.end(FaultKind::Disk, &self.name, "it could not be done again after a start");
        }
        again
    }

    /// Ends its process at once, or in order with so much patience.
    ///
    /// # Errors
    /// When it does not run.
    pub fn end(&mut self, patience: Option<Duration>, faults: &Faults) -> Result<(), Failure> {
        let Some(process) = self.process.take() else {
            return Err(self.does_not_run());
        };
        match patience {
            Some(patience) => {
                process.stop(patience);
                self.down = "stopped".to_owned();
            }
            None => {
                process.kill();
                self.down = "killed".to_owned();
            }
        }
        self.forget_process(faults);
        Ok(())
    }

    /// Notices that the process ended by itself, and keeps its log within its bound.
    pub fn look_after(&mut self, faults: &Faults) {
        let Some(process) = &mut self.process else { return };
        process.keep_log_short();
        let Some(how) = process.ended() else { return };
        eprintln!("{} ended by itself: {how}; see {}", self.name, self.log.display());
        faults.note("ended by itself", &self.name, &how);
        self.down = format!("ended by itself: {how}");
        self.process = None;
        self.forget_process(faults);
    }

    /// A new process is not paused. Its disk will be as bad as this one's was.
    fn forget_process(&mut self, faults: &Faults) {
        self.slow = None;
        faults.end(FaultKind::Pause, &self.name, "its process ended");
    }

    /// Stops the process where it is.
    ///
    /// # Errors
    /// When it does not run, or is paused already.
    pub fn pause(&mut self, faults: &Faults) -> Result<Said, Failure> {
        let resume = format!("resume {}", self.name);
        let id = self.running()?.id();
        if faults.has(FaultKind::Pause, &self.name) {
            return Err(Failure::usage(format!("{} is paused already", self.name), faults.command(&resume)));
        }
        if !id.pause() {
            return Err(Failure::internal(format!("{} does not stand still", self.name), "try again"));
        }
        let what = format!("paused (process {} got SIGSTOP)", id.pid);
        Ok(faults.begin(FaultKind::Pause, &self.name, &what, &resume))
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// When it does not run, or is not paused.
    pub fn resume(&mut self, faults: &Faults) -> Result<Said, Failure> {
        let id = self.running()?.id();
        if !faults.end(FaultKind::Pause, &self.name, "resumed") {
            return Err(Failure::usage(format!("{} is not paused", self.name), "see `status`"));
        }
        if !id.resume() {
            return Err(Failure::internal(format!("{} does not go on", self.name), "try again, or restart it"));
        }
        Ok(Said::new(format!("{}: goes on (process {} got SIGCONT)", self.name, id.pid), None, Vec::new()))
    }

    /// Makes its clock wrong from its next start on.
    ///
    /// # Errors
    /// When its configuration cannot be changed.
    pub fn set_clock(&mut self, offset_ms: i64, faults: &Faults) -> Result<Said, Failure> {
        if offset_ms.unsigned_abs() > CLOCK_OFFSET_MAX.unsigned_abs() {
            return Err(Failure::usage(
                format!("a clock that is wrong by {offset_ms} ms is more than a node takes"),
                "at most a day either way",
            ));
        }
        home::set_clock_offset(&self.home, offset_ms)?;
        if offset_ms == 0 {
            faults.end(FaultKind::Clock, &self.name, "set right");
            return Ok(Said::new(format!("{}: its clock is right", self.name), None, Vec::new()));
        }
        let side = if offset_ms > 0 { "ahead" } else { "behind" };
        let what = format!("its clock is {} {side} (clock_offset in its node.toml)", show_ms(offset_ms.unsigned_abs()));
        Ok(faults.begin(FaultKind::Clock, &self.name, &what, &format!("clock {} 0", self.name)))
    }

    /// Makes its disk fail, or work again.
    ///
    /// # Errors
    /// When it does not run, or the system does not let it be done.
    pub fn set_disk(&mut self, disk: Disk, faults: &Faults) -> Result<Said, Failure> {
        let before = self.disk;
        self.apply_disk(disk)?;
        let undo = format!("disk {} ok", self.name);
        let what = match disk {
            Disk::Full => "its disk is full: every write to a file fails",
            Disk::Slow(delay_ms) => &format!("its disk is slow: every sync takes {} longer", show_ms(delay_ms)),
            Disk::Ok => {
                faults.end(FaultKind::Disk, &self.name, "the disk works again");
                return Ok(self.disk_works(before, faults));
            }
        };
        let mut said = faults.begin(FaultKind::Disk, &self.name, what, &undo);
        said.notes.push(match disk {
            Disk::Slow(_) => "strace holds up each sync; while it watches, every other system call of the node costs some \
                              tens of microseconds more."
                .to_owned(),
            _ => format!(
                "It is a limit on the size of files (RLIMIT_FSIZE): the system says \"file too large\" (EFBIG) where a full \
                 disk says ENOSPC, and the log takes nothing more either. A node stops signing at the first failed write and \
                 trusts its disk again only after: {}",
                faults.command(&format!("restart {}", self.name))
            ),
        });
        Ok(said)
    }

    fn disk_works(&self, before: Disk, faults: &Faults) -> Said {
        let notes = match before {
            Disk::Full => vec![format!(
                "If a write has failed, it signs nothing before: {}",
                faults.command(&format!("restart {}", self.name))
            )],
            _ => Vec::new(),
        };
        Said::new(format!("{}: its disk works", self.name), None, notes)
    }

    fn apply_disk(&mut self, disk: Disk) -> Result<(), Failure> {
        if disk == Disk::Ok && self.process.is_none() {
            self.disk = disk;
            return Ok(());
        }
        let (name, process) = (self.name.clone(), self.running()?);
        let limit = |full| {
            process.set_disk_full(full).map_err(|error| {
                Failure::internal(format!("the limits of {name} cannot be changed: {error}"), "see prlimit(2)")
            })
        };
        let (slow, full) = match disk {
            Disk::Slow(delay_ms) => (Some(delay_ms), false),
            Disk::Full => (None, true),
            Disk::Ok => (None, false),
        };
        let id = process.id();
        limit(full)?;
        // The old tracer first: a process has one at a time.
        self.slow = None;
        self.disk = Disk::Ok;
        if let Some(delay_ms) = slow {
            self.slow = Some(SlowDisk::start(&self.name, id, delay_ms)?);
        }
        self.disk = disk;
        Ok(())
    }

    fn running(&self) -> Result<&Process, Failure> {
        self.process.as_ref().ok_or_else(|| self.does_not_run())
    }

    fn does_not_run(&self) -> Failure {
        Failure::usage(format!("{} does not run: {}", self.name, self.down), "start it first")
    }
}
