//! `quorate-node run`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::failure::Failure;
use crate::config::NodeConfig;
use crate::fault::Fault;
use crate::home::Home;
use crate::node::Node;
use crate::telemetry::{LogFormat, start_log};

pub(super) const EXAMPLES: &str = "Examples:
  quorate-node run --home HOME
  quorate-node run --home HOME --log info,quorate_node=debug --log-format json";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The node's home
    #[arg(long, value_name = "HOME")]
    home: PathBuf,
    /// What to log: a level, or target=level, separated by commas; wins over RUST_LOG and node.toml
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How to log: `json` is one object per line; wins over node.toml
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let home = Home::at(&arguments.home);
    // A file that cannot be read is told by the start below, in a log by default.
    let mut log = NodeConfig::load(&home.config_file()).map(|config| config.log).unwrap_or_default();
    log.format = arguments.log_format.unwrap_or(log.format);
    start_log(arguments.log.as_deref(), &log).map_err(Failure::config)?;
    end_on_panic();
    raise_file_limit();
    let mut node = Node::start(&home)?;
    // A runtime of its own: signals are heard while the node is between two starts, too.
    let waiting = Builder::new_current_thread().enable_all().build().map_err(Failure::internal)?;
    let mut signals = waiting.block_on(async { Signals::listen() }).map_err(Failure::internal)?;
    // Only now: whoever reads the line may stop the node at once.
    let announced = announce(&node);
    let mut looked_through = false;
    while announced.is_ok() {
        let fault = match waiting.block_on(signals.or_fault(&node, looked_through)) {
            Event::Signal(name) => {
                info!(signal = name, "stopping");
                break;
            }
            Event::Fault(fault) => fault,
        };
        looked_through |= matches!(fault, Fault::Damaged(_));
        warn!(%fault, "starting again");
        node = node.restart(&home, &fault)?;
    }
    node.stop().map_err(Failure::internal)?;
    announced.map_err(Failure::internal)
}

/// What a running node waits for.
enum Event {
    Signal(&'static str),
    Fault(Fault),
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// A file that reaches the limit of its size is a failed write, which stops signing and is told. Without this it would
    /// end the process.
    _too_large: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Damage that is told of again after the whole store was read is a fault of the program: the node stays halted, and
    /// says why.
    async fn or_fault(&mut self, node: &Node, looked_through: bool) -> Event {
        let fault = async {
            match node.fault().await {
                Fault::Damaged(_) if looked_through => std::future::pending().await,
                fault => fault,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Event::Signal("SIGTERM"),
            _ = self.interrupt.recv() => Event::Signal("SIGINT"),
            fault = fault => Event::Fault(fault),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Says to the test that it runs as the process that is to end.
    const CHILD: &str = "QUORATE_TEST_PANICS";

    #[test]
    fn a_panic_of_any_thread_ends_the_process_with_its_message() {
        if std::env::var_os(CHILD).is_some() {
            end_on_panic();
            let _ = std::thread::spawn(|| panic!("on purpose")).join();
            return;
        }
        let program = std::env::current_exe().expect("a path");
        let name = "command::run::tests::a_panic_of_any_thread_ends_the_process_with_its_message";
        let output =
            Command::new(program).args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().expect("it runs");
        assert!(!output.status.success() && output.status.code().is_none(), "ended by a signal: {:?}", output.status);
        assert!(String::from_utf8_lossy(&output.stderr).contains("on purpose"));
    }
}
