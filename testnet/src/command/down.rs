//! `quorate-testnet down`.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::exit::{Exit, Failure};
use quorate_cli::manifest::Manifest;
use quorate_cli::output::table::Style;
use quorate_cli::output::{Printer, Readable};
use serde::Serialize;

use crate::control::{self, Request};
use crate::directory::Directory;
use crate::record::Record;
use crate::supervisor::END_WITHIN;

/// How long the supervisor may take to end after its nodes have.
const SUPERVISOR_ENDS_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);

/// What was stopped.
#[derive(Serialize)]
struct Stopped {
    dir: String,
    /// The nodes that ran.
    stopped: Vec<String>,
}

/// Stops a testnet. One that does not run is no failure; what a dead supervisor left behind is stopped as well.
///
/// # Errors
/// When DIR is no testnet, or something does not end.
pub fn run(directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    Manifest::load(directory.path())?;
    let supervisor = Record::load(&directory.record()).supervisor;
    let stopped = match ask_supervisor(directory) {
        Ok(names) => {
            wait_for_end(directory)?;
            // It lets go of the directory a moment before it ends; whoever looks for processes should find none.
            if supervisor.is_some_and(|supervisor| !supervisor.wait_gone(SUPERVISOR_ENDS_WITHIN)) {
                return Err(still_there());
            }
            names
        }
        // Dead, dying, or not listening: it is done without it.
        Err(_) => clean_up(directory)?,
    };
    printer.print(&Stopped { dir: directory.path().display().to_string(), stopped })?;
    Ok(Exit::Success)
}

/// Has a living supervisor stop its nodes. Returns those that ran.
fn ask_supervisor(directory: &Directory) -> Result<Vec<String>, Failure> {
    let processes = control::ask(directory, &Request::Processes {})?;
    control::ask(directory, &Request::Down {})?;
    Ok(processes.into_iter().filter(|node| node.pid.is_some()).map(|node| node.name).collect())
}

/// The directory is free once its lock is.
fn wait_for_end(directory: &Directory) -> Result<(), Failure> {
    let end = Instant::now() + SUPERVISOR_ENDS_WITHIN;
    while directory.try_lock()?.is_none() {
        if Instant::now() >= end {
            return Err(still_there());
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn still_there() -> Failure {
    Failure::internal("the nodes are stopped, but their supervisor does not end", "run `down` again")
}

/// Ends what a dead supervisor left behind, or a living one that does not listen (yet).
fn clean_up(directory: &Directory) -> Result<Vec<String>, Failure> {
    let record = Record::load(&directory.record());
    let mut ran: Vec<String> = record.alive().into_iter().map(|node| node.name.clone()).collect();
    if directory.try_lock()?.is_none() {
        // It holds the lock and takes no commands: it is just coming up, or stuck.
        if let Some(supervisor) = record.supervisor {
            supervisor.stop(END_WITHIN);
        }
        wait_for_end(directory)?;
    }
    // What it started meanwhile, and could not end.
    let left = Record::load(&directory.record()).stop_all(END_WITHIN);
    ran.extend(left.into_iter().filter(|name| !ran.contains(name)).collect::<Vec<_>>());
    let _ = fs::remove_file(directory.socket());
    Ok(ran)
}

impl Readable for Stopped {
    fn text(&self, style: Style) -> String {
        if self.stopped.is_empty() {
            return format!("  the testnet in {} was not running\n", self.dir);
        }
        let hint = style.faint("the chain stays; `up` goes on with it");
        format!("  stopped {} in {}; {hint}\n", self.stopped.join(" "), self.dir)
    }
}
