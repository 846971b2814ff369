//! `quorate-testnet kill|start|restart|wipe NODE`.

use quorate_cli::exit::{Exit, Failure};
use quorate_cli::genesis;
use quorate_cli::manifest::Manifest;
use quorate_cli::output::table::Style;
use quorate_cli::output::{Printer, Readable};
use serde::Serialize;

use crate::arguments::{Node, Wipe};
use crate::control::{self, NodeProcess, Request};
use crate::directory::Directory;
use crate::fault::Said;
use crate::home;

/// What was done to one node.
#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    node: NodeProcess,
    #[serde(flatten)]
    said: Said,
}

/// Kills a node.
///
/// # Errors
/// When the testnet, or the node, does not run.
pub fn kill(which: &Node, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(&which.node, Request::Kill { node: which.node.clone() }, directory, printer)
}

/// Starts a node.
///
/// # Errors
/// When the testnet does not run, the node runs already, or does not come up.
pub fn start(which: &Node, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(&which.node, Request::Start { node: which.node.clone() }, directory, printer)
}

/// Restarts a node.
///
/// # Errors
/// When the testnet does not run, or the node does not come up.
pub fn restart(which: &Node, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    act(&which.node, Request::Restart { node: which.node.clone() }, directory, printer)
}

/// Wipes a node, after a warning; where too few voters would remain, only with `--yes`.
///
/// # Errors
/// When the testnet does not run, too few voters would remain, or the node does not come up.
pub fn wipe(which: &Wipe, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    warn_of_wipe(which, directory, printer)?;
    act(&which.node, Request::Wipe { node: which.node.clone() }, directory, printer)
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

fn act(name: &str, request: Request, directory: &Directory, printer: Printer) -> Result<Exit, Failure> {
    let mut state = control::ask_state(directory, &request)?;
    let said = state.take_said()?;
    let node = state.nodes.into_iter().find(|process| process.name == name);
    let node =
        node.ok_or_else(|| Failure::internal(format!("the supervisor does not tell of {name}"), "see `status`"))?;
    printer.print(&Done { node, said })?;
    Ok(Exit::Success)
}

impl Readable for Done {
    fn text(&self, style: Style) -> String {
        self.said.text(style)
    }
}
