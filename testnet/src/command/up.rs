//! `quorate-testnet up`.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use quorate_cli::arguments::Format;
use quorate_cli::exit::{Exit, Failure};
use quorate_cli::manifest::Manifest;
use quorate_cli::output::Printer;

use crate::arguments::Up;
use crate::banner::Banner;
use crate::control::{self, Reply, State, Waiting};
use crate::directory::{Directory, already_running};
use crate::faults::Faults;
use crate::interrupt::Interrupt;
use crate::life;
use crate::live::Live;
use crate::settings::Settings;
use crate::supervisor::{Event, MORE_PER_NODE, Supervisor};
use crate::{home, process};

/// How many nodes a testnet has unless it is told otherwise.
const NODES: usize = 4;
/// How long the chain may take to commit its first transaction everywhere.
const LIVES_WITHIN: Duration = Duration::from_secs(20);

/// Starts a testnet, in the foreground until Ctrl-C, or in the background.
///
/// # Errors
/// When DIR cannot be one, another supervisor runs, or the net does not come to commit.
pub fn run(arguments: &Up, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    let began = Instant::now();
    if arguments.supervise {
        return Ok(supervise(arguments, directory));
    }
    directory.prepare()?;
    if !arguments.detach {
        return foreground(arguments, directory, printer, began);
    }
    let manifest = detach(arguments, directory)?;
    greet(directory, manifest, began, true, printer)?;
    Ok(Exit::Success)
}

fn greet(
    directory: &Directory,
    manifest: Manifest,
    began: Instant,
    detached: bool,
    printer: Printer,
) -> Result<(), Failure> {
    let wiped = manifest.nodes.iter().filter(|node| !home::has_vote_log(&node.home));
    let without_vote = wiped.map(|node| node.name.clone()).collect();
    let faults = Settings::load(&directory.settings()).faults;
    let (dir, took) = (directory.path().to_owned(), began.elapsed());
    printer.print(&Banner { manifest, dir, took, detached, faults, without_vote })
}

fn foreground(arguments: &Up, directory: &Directory, printer: Printer, began: Instant) -> Result<Exit, Failure> {
    let (mut supervisor, events) = bring_up(arguments, directory)?;
    greet(directory, supervisor.manifest().clone(), began, false, printer)?;
    let live = Live::start(supervisor.manifest(), printer.talk_style());
    supervisor.run(&events);
    drop(live);
    if printer.format() == Format::Table && std::io::stderr().is_terminal() {
        printer.say("  stopped; the chain stays, the next `up` goes on with it");
    }
    Ok(Exit::Success)
}

/// From a directory to a net that has committed.
fn bring_up(arguments: &Up, directory: &Directory) -> Result<(Supervisor, Receiver<Event>), Failure> {
    directory.prepare()?;
    let Some(lock) = directory.try_lock()? else {
        return Err(already_running(directory));
    };
    let (sender, events) = channel();
    let interrupted = sender.clone();
    let interrupt = Interrupt::listen(move || drop(interrupted.send(Event::Interrupted)))?;
    // Before anything is made: without the node's program there is nothing to start.
    process::node_program()?;
    let manifest = manifest(arguments, directory)?;
    let settings = settings(arguments, directory)?;
    let mut supervisor = Supervisor::new(directory.clone(), (manifest, settings), lock, interrupt.clone())?;
    supervisor.start_all()?;
    let deadline = Instant::now() + LIVES_WITHIN + MORE_PER_NODE * supervisor.manifest().nodes.len() as u32;
    life::prove(directory, supervisor.manifest(), deadline, &interrupt)?;
    let faults = Arc::clone(supervisor.faults());
    control::listen(directory, move |waiting| answer(&faults, &sender, waiting))?;
    Ok((supervisor, events))
}

/// Network faults at once, everything else in its turn.
fn answer(faults: &Faults, sender: &Sender<Event>, waiting: Waiting) {
    let Some(done) = faults.answer(&waiting.request) else {
        // A supervisor that is gone answers nobody.
        return drop(sender.send(Event::Control(waiting)));
    };
    let reply = match done {
        Ok(said) => {
            let said = Some(said.asked_at(waiting.asked));
            Reply::Done(Box::new(State { said, ..faults.state() }))
        }
        Err(failure) => Reply::refused(failure),
    };
    // A client that is gone does not want its reply.
    let _ = waiting.reply.send(reply);
}

/// As it was started last, unless told otherwise; and remembered.
fn settings(arguments: &Up, directory: &Directory) -> Result<Settings, Failure> {
    let before = Settings::load(&directory.settings());
    let now = Settings { faults: arguments.faults.unwrap_or(before.faults) };
    if now != before {
        now.save(&directory.settings()).map_err(|error| directory.unwritable(&error))?;
    }
    Ok(now)
}

/// The testnet of this directory, made where there is none.
fn manifest(arguments: &Up, directory: &Directory) -> Result<Manifest, Failure> {
    let wanted = arguments.nodes.map(usize::from);
    if !directory.is_testnet() {
        return home::create(directory, wanted.unwrap_or(NODES));
    }
    let mut manifest = Manifest::load(directory.path())?;
    // The directory may have been moved since.
    manifest.genesis = directory.genesis();
    for node in &mut manifest.nodes {
        node.home = directory.home(&node.name);
    }
    for account in &mut manifest.accounts {
        account.key_file = directory.keys().join(format!("{}.json", account.name));
    }
    let genesis = quorate_cli::genesis::load(&manifest.genesis)?;
    if genesis.chain_id() != manifest.chain_id || genesis.validators.n() != manifest.nodes.len() {
        return Err(Failure::config(
            "bad_genesis",
            format!("{} is not the genesis that this testnet was made with", manifest.genesis.display()),
            "restore the file: each node's home has a copy",
        ));
    }
    match wanted {
        Some(wanted) if wanted != manifest.nodes.len() => Err(Failure::usage(
            format!("the testnet in {} has {} nodes, not {wanted}", directory.path().display(), manifest.nodes.len()),
            "leave --nodes out to go on with it, or start another testnet in an empty directory",
        )),
        _ => Ok(manifest),
    }
}

/// Starts the supervisor as a process of its own and waits until it says that the net is up, or why it is not.
fn detach(arguments: &Up, directory: &Directory) -> Result<Manifest, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::internal(format!("the background supervisor cannot be started: {error}"), "run `up` without --detach")
    };
    // Looked at here as well, so that the log of a running supervisor is not cut off under it.
    if directory.try_lock()?.is_none() {
        return Err(already_running(directory));
    }
    let log = File::create(directory.supervisor_log()).map_err(|error| directory.unwritable(&error))?;
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    command.args(["up", "--supervise", "--dir"]).arg(directory.path());
    if let Some(nodes) = arguments.nodes {
        command.args(["--nodes", &nodes.to_string()]);
    }
    if let Some(faults) = arguments.faults {
        command.arg(format!("--faults={faults}"));
    }
    let spawned = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
    let mut child = spawned.map_err(cannot)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(cannot)?;
    }
    match serde_json::from_str::<Reply>(&line) {
        Ok(reply) => reply.into_result().and_then(|_| Manifest::load(directory.path())),
        Err(_) => {
            Err(Failure::internal("the background supervisor ended without a word", see(&directory.supervisor_log())))
        }
    }
}

fn see(log: &Path) -> String {
    format!("see {}", log.display())
}

/// The other side of [`detach`]: tells its parent by one line on stdout, and stays.
fn supervise(arguments: &Up, directory: &Directory) -> Exit {
    // A session of its own, which no closing terminal ends. It fails only for one who leads a group already.
    let _ = rustix::process::setsid();
    let brought = bring_up(arguments, directory);
    let (reply, exit) = match &brought {
        Ok(_) => (Reply::Done(Box::default()), Exit::Success),
        Err(failure) => (Reply::refused(failure.clone()), failure.exit),
    };
    let line = serde_json::to_string(&reply).unwrap_or_default();
    // A parent that is gone cannot be told; the log can.
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        eprintln!("{line}");
    }
    if let Ok((mut supervisor, events)) = brought {
        supervisor.run(&events);
    }
    exit
}
