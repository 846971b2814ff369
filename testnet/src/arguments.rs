//! What can be typed after `quorate-testnet`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use quorate_cli::arguments::Format;
use quorate_cli::exit::Failure;

use crate::directory::Directory;

/// Many Quorate nodes on one machine, to use and to break.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "quorate-testnet",
    version,
    about,
    after_help = "Start with: quorate-testnet up\nExit codes are those of quorate, see quorate --help."
)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The flags of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The testnet's directory [default: $XDG_STATE_HOME/quorate/testnet, or ~/.local/state/quorate/testnet]
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How the result is printed on stdout
    #[arg(long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
}

impl Global {
    /// The testnet's directory.
    ///
    /// # Errors
    /// When none is given and there is no place for the default one.
    pub fn directory(&self) -> Result<Directory, Failure> {
        match &self.dir {
            Some(dir) => Ok(Directory::new(dir)),
            None => Directory::default_of_user(),
        }
    }
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Start a testnet, or go on with the one in DIR; until Ctrl-C, or in the background
    Up(Up),
    /// Show how the nodes are
    Status,
    /// Kill a node at once, as a power cut would
    Kill(Node),
    /// Start a node that is down
    Start(Node),
    /// Stop a node as an operator would, and start it again
    Restart(Node),
    /// Remove a node's chain and vote log and start it again: it follows, serves and does not vote
    Wipe(Wipe),
    /// Stop all nodes; a later `up` goes on with the same chain
    Down,
    /// Measure the running testnet: committed transactions per second, latency, and where the time goes
    Bench(Bench),
    /// Run the deterministic simulator: a seed is a run, with loss, delay and crashes
    Simulate(Simulate),
}

/// `up`
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// How many nodes, 1 to 31 [default: 4, or as many as the testnet in DIR has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=31))]
    pub nodes: Option<u8>,
    /// Run in the background; return when the net has committed
    #[arg(long)]
    pub detach: bool,
    /// Be the background supervisor (used by --detach)
    #[arg(long, hide = true)]
    pub supervise: bool,
}

/// One node.
#[derive(Clone, Debug, Args)]
pub struct Node {
    /// Its name, such as v1
    #[arg(value_name = "NODE")]
    pub node: String,
}

/// `wipe`
#[derive(Clone, Debug, Args)]
pub struct Wipe {
    /// Its name, such as v1
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Do it even where too few voters would remain for the chain to go on
    #[arg(long)]
    pub yes: bool,
}

/// `bench`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  quorate-testnet bench --duration 20 --sweep --page bench.html --record results.jsonl"
)]
pub struct Bench {
    /// Seconds of full load, and again at each steady rate
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub duration: u64,
    /// Transactions per second of the first steady part; the second has half of the full rate
    #[arg(long, default_value_t = 100, value_name = "RATE", value_parser = clap::value_parser!(u64).range(1..=50_000))]
    pub rate: u64,
    /// How many clients send, with a key each
    #[arg(long, default_value_t = 1_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub clients: u32,
    /// How many accounts receive, registered and funded beforehand [default: as many as clients]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=2_000_000))]
    pub accounts: Option<u32>,
    /// Bytes of a transaction with its signature at least; a bare transfer has about 205, and the memo adds up to 256
    #[arg(long, default_value_t = 0, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(0..=460))]
    pub bytes: u16,
    /// Then offer rising rates up to the full one, half as long each
    #[arg(long)]
    pub sweep: bool,
    /// Write a page of plots to this file
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Add the result to this file as a line, and compare it with the last one of the same subject there
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

impl Bench {
    /// How many accounts receive.
    pub fn accounts(&self) -> u32 {
        self.accounts.unwrap_or(self.clients)
    }
}

/// `simulate`
#[derive(Clone, Debug, Args)]
pub struct Simulate {
    /// How many runs, of one seed each [default: 100, or 1 with --seed]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub seeds: Option<u64>,
    /// The seed of the first run: the same seed is the same run, event for event
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// How many nodes each world has, 1 to 31 [default: as the seed decides]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=31))]
    pub nodes: Option<u8>,
    /// Write to this file the story of the first failing run, made as short as it can be (of the last run, where none
    /// fails: its plan and the end of its trace)
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}
