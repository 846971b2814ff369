//! `quorate-testnet kill|start|restart|wipe NODE`.

use quorate_cli::exit::{Exit, Failure};
use quorate_cli::genesis;
use quorate_cli::manifest::Manifest;
use quorate_cli::output::table::Style;
use quorate_cli::output::{Printer, Readable};
use serde::Serialize;

use crate::arguments::{Node, Wipe};
use crate::banner::quoted;
use crate::control::{self, NodeProcess, Request};
use crate::directory::Directory;
use crate::home;

/// What was done to one node.
#[derive(Serialize)]
#[serde(transparent)]
struct Done {
    node: NodeProcess,
    #[serde(skip)]
    what: &'static str,
}

/// Kills a node.
///
/// # Errors
/// When the testnet, or the node, does not run.
pub fn kill(which: &Node, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(&which.node, Request::Kill { node: which.node.clone() }, "is killed", directory, printer)?;
    let dir = quoted(directory.path());
    printer.say(&format!("Undo it with: quorate-testnet start {} --dir {dir}", which.node));
    Ok(Exit::Success)
}

/// Starts a node.
///
/// # Errors
/// When the testnet does not run, the node runs already, or does not come up.
pub fn start(which: &Node, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(&which.node, Request::Start { node: which.node.clone() }, "runs", directory, printer)
}

/// Restarts a node.
///
/// # Errors
/// When the testnet does not run, or the node does not come up.
pub fn restart(which: &Node, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(&which.node, Request::Restart { node: which.node.clone() }, "was stopped and runs again", directory, printer)
}

/// Wipes a node, after a warning; where too few voters would remain, only with `--yes`.
///
/// # Errors
/// When the testnet does not run, too few voters would remain, or the node does not come up.
pub fn wipe(which: &Wipe, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    warn_of_wipe(which, directory, printer)?;
    let what = "is wiped and runs again: it follows and serves, and does not vote";
    act(&which.node, Request::Wipe { node: which.node.clone() }, what, directory, printer)
}

fn warn_of_wipe(which: &Wipe, directory: &Directory, printer: Printer) -> Result<(), Failure> {
    let manifest = Manifest::load(directory.path())?;
    let validators = genesis::load(&manifest.genesis)?.validators;
    let remaining =
        manifest.nodes.iter().filter(|node| node.name != which.node && home::has_vote_log(&node.home)).count();
    if remaining < validators.quorum() && !which.yes {
        return Err(Failure::usage(
            format!(
                "without {} only {remaining} nodes can vote, and {} must: the chain would stand still for good",
                which.node,
                validators.quorum()
            ),
            "give --yes if that is what you want; nothing was removed",
        ));
    }
    printer.say(&format!(
        "{} loses its chain and its vote log. It never votes again on this chain; {remaining} of {} nodes still can, {} must.",
        which.node,
        validators.n(),
        validators.quorum()
    ));
    Ok(())
}

fn act(
    name: &str,
    request: Request,
    what: &'static str,
    directory: &Directory,
    printer: Printer,
) -> Result<Exit, Failure> {
    let processes = control::ask(directory, &request)?;
    let node = processes.into_iter().find(|process| process.name == name);
    let node =
        node.ok_or_else(|| Failure::internal(format!("the supervisor does not tell of {name}"), "see `status`"))?;
    printer.print(&Done { node, what })?;
    Ok(Exit::Success)
}

impl Readable for Done {
    fn text(&self, style: Style) -> String {
        let pid = self.node.pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
        format!("  {} {}{pid}\n", style.strong(&self.node.name), self.what)
    }
}
