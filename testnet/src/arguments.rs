//! What can be typed after `quorate-testnet`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use quorate_cli::arguments::Format;
use quorate_cli::exit::Failure;

use crate::directory::Directory;
use crate::units;

/// Many Quorate nodes on one machine, to use and to break.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "quorate-testnet",
    version,
    about,
    after_help = "Examples:\n  quorate-testnet up\n  quorate-testnet status\n\nExit codes are those of quorate, see quorate --help."
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
    #[command(after_help = "Examples:\n  quorate-testnet up\n  quorate-testnet up --nodes 7 --faults --detach")]
    Up(Up),
    /// Show how the nodes are, and which faults are in force
    #[command(after_help = "Examples:\n  quorate-testnet status --output json")]
    Status,
    /// Kill a node at once, as a power cut would
    #[command(after_help = "Examples:\n  quorate-testnet kill v1\nUndo it with: quorate-testnet start v1")]
    Kill(Node),
    /// Start a node that is down
    #[command(after_help = "Examples:\n  quorate-testnet start v1")]
    Start(Node),
    /// Stop a node's process where it is (SIGSTOP): its connections stand, and it says nothing
    #[command(after_help = "Examples:\n  quorate-testnet pause v1\nUndo it with: quorate-testnet resume v1")]
    Pause(Node),
    /// Let a paused node go on
    #[command(after_help = "Examples:\n  quorate-testnet resume v1")]
    Resume(Node),
    /// Stop a node as an operator would, and start it again
    #[command(after_help = "Examples:\n  quorate-testnet restart v1")]
    Restart(Node),
    /// Remove a node's chain and vote log and start it again: it follows, serves and does not vote
    #[command(after_help = "Examples:\n  quorate-testnet wipe v1")]
    Wipe(Wipe),
    /// Cut links between nodes, both ways or one way; cuts add up until `heal` (needs `up --faults`)
    #[command(after_help = PARTITION_HELP)]
    Partition(Partition),
    /// End all network faults: partitions and delays
    #[command(after_help = "Examples:\n  quorate-testnet heal")]
    Heal,
    /// Make the links of a node, or one link, slow, both ways (needs `up --faults`)
    #[command(after_help = DELAY_HELP)]
    Delay(Delay),
    /// Make a node's clock wrong, by a restart of the node
    #[command(after_help = "Examples:\n  quorate-testnet clock v2 +500ms\n  quorate-testnet clock v2 -3s\n  \
                            quorate-testnet clock v2 0     (right again)")]
    Clock(Clock),
    /// Make a node's disk full or slow, or let it work again
    #[command(after_help = DISK_HELP)]
    Disk(Disk),
    /// Stop all nodes; a later `up` goes on with the same chain
    #[command(after_help = "Examples:\n  quorate-testnet down")]
    Down,
    /// Measure the running testnet: committed transactions per second, latency, and where the time goes
    #[command(after_help = "Examples:\n  quorate-testnet bench --duration 20 --clients 1000")]
    Bench(Bench),
    /// Run the deterministic simulator: a seed is a run, with loss, delay and crashes
    #[command(after_help = SIMULATE_HELP)]
    Simulate(Simulate),
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(Completions),
}

const COMPLETIONS_HELP: &str = "Examples:
  quorate-testnet completions bash > ~/.local/share/bash-completion/completions/quorate-testnet
  quorate-testnet completions zsh > ~/.zfunc/_quorate-testnet
  quorate-testnet completions fish > ~/.config/fish/completions/quorate-testnet.fish";

const PARTITION_HELP: &str = "Examples:
  quorate-testnet partition \"v0,v1|v2,v3\"    two halves that do not hear each other
  quorate-testnet partition \"v0|v1|v2,v3\"    more than two sides
  quorate-testnet partition \"v0>v1,v2\"       what v0 sends does not arrive at v1 and v2; what they send does
Links of nodes that are not named stay as they are.
Undo it with: quorate-testnet heal";

const DELAY_HELP: &str = "Examples:
  quorate-testnet delay v1 --latency 50ms --jitter 10ms
  quorate-testnet delay v0-v2 --stall 0.1 --bandwidth 1MB
It replaces an earlier delay of the same NODE or A-B. Where several cover a link, the latest counts.
Undo it with: quorate-testnet delay v1 --latency 0ms, or all at once with: quorate-testnet heal";

const DISK_HELP: &str = "Examples:
  quorate-testnet disk v1 full          every write to a file fails, as on a full disk
  quorate-testnet disk v1 slow 100ms    every sync takes so much longer (needs strace)
Undo it with: quorate-testnet disk v1 ok; after a write has failed, also: quorate-testnet restart v1";

const SIMULATE_HELP: &str = "Examples:
  quorate-testnet simulate --seeds 1000
  quorate-testnet simulate --seed 7 --trace trace.txt
  quorate-testnet simulate --scenario isolate_primary --seeds 50
  quorate-testnet simulate --scenario list";

/// `up`
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// How many nodes, 1 to 31 [default: 4, or as many as the testnet in DIR has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=31))]
    pub nodes: Option<u8>,
    /// Run in the background; return when the net has committed
    #[arg(long)]
    pub detach: bool,
    /// Run every link between two nodes through a proxy, so that `partition` and `delay` can break it; remembered in DIR
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true,
        value_name = "true|false"
    )]
    pub faults: Option<bool>,
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

/// `partition`
#[derive(Clone, Debug, Args)]
pub struct Partition {
    /// Groups of nodes: "v0,v1|v2,v3" both ways, "v0>v1,v2" one way
    #[arg(value_name = "SPEC")]
    pub spec: String,
}

/// `delay`
#[derive(Clone, Debug, Args)]
pub struct Delay {
    /// A node, such as v1 (all its links), or a link, such as v0-v1
    #[arg(value_name = "NODE|A-B")]
    pub target: String,
    /// Each byte arrives so much later, at most 60s
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub latency: Option<u64>,
    /// Up to so much is added at random; the order stays
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub jitter: Option<u64>,
    /// With this probability a chunk (at most 16 KiB) and all behind it wait 200 ms longer, as after a lost segment
    #[arg(long, value_name = "SHARE", value_parser = units::permille)]
    pub stall: Option<u16>,
    /// So many bytes per second pass at most, in each direction of each link
    #[arg(long, value_name = "BYTES", value_parser = units::bandwidth)]
    pub bandwidth: Option<u64>,
}

/// `clock`
#[derive(Clone, Debug, Args)]
pub struct Clock {
    /// Its name, such as v1
    #[arg(value_name = "NODE")]
    pub node: String,
    /// What is added to its clock, such as +500ms or -2s; at most a day; 0 sets it right
    #[arg(value_name = "OFFSET", value_parser = units::signed_milliseconds, allow_hyphen_values = true)]
    pub offset: i64,
}

/// `disk`
#[derive(Clone, Debug, Args)]
pub struct Disk {
    /// Its name, such as v1
    #[arg(value_name = "NODE")]
    pub node: String,
    /// What happens to its disk
    #[arg(value_name = "full|slow|ok", hide_possible_values = true)]
    pub state: DiskState,
    /// With slow: how much longer each sync takes [default: 100ms]
    #[arg(value_name = "TIME", value_parser = units::milliseconds)]
    pub time: Option<u64>,
}

/// What can happen to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum DiskState {
    /// Every write to a file fails
    Full,
    /// Every sync takes longer
    Slow,
    /// It works
    Ok,
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
    after_help = "Examples:\n  quorate-testnet bench --duration 20 --sweep --page bench.html --record results.jsonl"
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
    /// Let only this go wrong, in worlds of its own: a situation by its name; `list` names them
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// Write to this file the story of the first failing run, made as short as it can be (of the last run, where none
    /// fails: its plan and the end of its trace)
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// `completions`
#[derive(Clone, Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}
