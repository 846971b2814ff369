//! `quorate-node run`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::failure::Failure;
use crate::home::Home;
use crate::node::Node;
use crate::telemetry::start_log;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The node's home.
    #[arg(long)]
    home: PathBuf,
    /// What to log: a level, or target=level, separated by commas. Wins over RUST_LOG.
    #[arg(long)]
    log: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    start_log(arguments.log.as_deref()).map_err(Failure::config)?;
    end_on_panic();
    raise_file_limit();
    let node = Node::start(&Home::at(&arguments.home))?;
    let stopped = node.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        // Only now: whoever reads the line may stop the node at once.
        announce(&node)?;
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "stopping");
        Ok::<(), std::io::Error>(())
    });
    node.stop().map_err(Failure::internal)?;
    stopped.map_err(Failure::internal)
}

/// The one line on stdout: the node serves, and where.
fn announce(node: &Node) -> std::io::Result<()> {
    let line = json!({
        "event": "listening",
        "api": node.api_address().to_string(),
        "p2p": node.p2p_address().to_string(),
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// A node of which one thread is gone is worse than none: a panic anywhere ends the process, after its message.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Connections and the store's files count against one limit, which shells set low.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        warn!(?current, "the limit of open files could not be raised");
    }
}
