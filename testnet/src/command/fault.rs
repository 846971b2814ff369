//! `quorate-testnet pause|resume|partition|heal|delay|clock|disk`: what is broken on purpose, and how it is undone.

use quorate_cli::exit::{Exit, Failure};
use quorate_cli::output::table::Style;
use quorate_cli::output::{Printer, Readable};
use serde::Serialize;

use crate::arguments::{Clock, Delay, Disk, DiskState, Node, Partition};
use crate::control::{self, Request};
use crate::directory::Directory;
use crate::fault::{Disk as DiskFault, Fault, LinkShown, Said};

/// How much longer a sync takes on a slow disk, in milliseconds, unless it is told.
const SLOW_MS: u64 = 100;

/// What was done, and what is in force now.
#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    said: Said,
    /// The faults in force.
    faults: Vec<Fault>,
    /// The directions of links that are not as they should be.
    links: Vec<LinkShown>,
}

/// Pauses a node.
///
/// # Errors
/// When the testnet, or the node, does not run, or is paused already.
pub fn pause(which: &Node, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(Request::Pause { node: which.node.clone() }, directory, printer)
}

/// Lets a paused node go on.
///
/// # Errors
/// When the testnet, or the node, does not run, or is not paused.
pub fn resume(which: &Node, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(Request::Resume { node: which.node.clone() }, directory, printer)
}

/// Cuts links.
///
/// # Errors
/// When the testnet does not run, or runs without proxies, or what was typed is not understood.
pub fn partition(partition: &Partition, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(Request::Partition { spec: partition.spec.clone() }, directory, printer)
}

/// Ends all network faults.
///
/// # Errors
/// When the testnet does not run, or runs without proxies.
pub fn heal(directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(Request::Heal {}, directory, printer)
}

/// Makes links slow.
///
/// # Errors
/// When nothing is said of how slow, or the testnet does not run, or runs without proxies, or has no such node.
pub fn delay(delay: &Delay, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    if (delay.latency, delay.jitter, delay.stall, delay.bandwidth) == (None, None, None, None) {
        return Err(Failure::usage(
            format!("it is not said how {} shall be delayed", delay.target),
            format!(
                "give one or more of --latency, --jitter, --stall and --bandwidth, for example: delay {} --latency 50ms",
                delay.target
            ),
        ));
    }
    let delay = control::Delay {
        target: delay.target.clone(),
        latency_ms: delay.latency.unwrap_or(0),
        jitter_ms: delay.jitter.unwrap_or(0),
        stall_permille: delay.stall.unwrap_or(0),
        bandwidth: delay.bandwidth,
    };
    act(Request::Delay(delay), directory, printer)
}

/// Makes a node's clock wrong.
///
/// # Errors
/// When the testnet does not run, the clock would be wrong by more than a day, or the node does not come up again.
pub fn clock(clock: &Clock, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(Request::Clock { node: clock.node.clone(), offset_ms: clock.offset }, directory, printer)
}

/// Makes a node's disk fail, or work again.
///
/// # Errors
/// When the testnet, or the node, does not run, or the system does not let it be done.
pub fn disk(disk: &Disk, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    let state = match (disk.state, disk.time) {
        (DiskState::Slow, Some(0)) => DiskFault::Ok,
        (DiskState::Slow, time) => DiskFault::Slow(time.unwrap_or(SLOW_MS)),
        (_, Some(_)) => {
            return Err(Failure::usage(
                "a time is for a slow disk only",
                format!("for example: disk {} slow 100ms", disk.node),
            ));
        }
        (DiskState::Full, None) => DiskFault::Full,
        (DiskState::Ok, None) => DiskFault::Ok,
    };
    act(Request::Disk { node: disk.node.clone(), disk: state }, directory, printer)
}

fn act(request: Request, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    let mut state = control::ask_state(directory, &request)?;
    let said = state.take_said()?;
    printer.print(&Done { said, faults: state.faults, links: state.links })?;
    Ok(Exit::Success)
}

impl Readable for Done {
    fn text(&self, style: Style) -> String {
        self.said.text(style)
    }
}
