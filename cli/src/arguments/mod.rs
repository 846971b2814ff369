//! What can be typed after `quorate`: one file per command, and here what holds for all of them.

pub mod account;
pub mod block;
mod duration;
pub mod evidence;
pub mod external;
pub mod status;
pub mod transfer;
pub mod tx;
pub mod validators;
pub mod verify;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::duration::seconds;

/// Submit transactions to a Quorate ledger, wait for their receipts, read, and verify offline.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "quorate",
    version,
    about,
    after_help = "Exit codes: 0 ok, 1 internal, 2 usage, 3 not found, 4 not applied for certain, 5 sent and no certified outcome known,\n\
                  6 nothing was sent because no quorum is reachable, 7 verification failed, 8 overloaded, 9 auth,\n\
                  10 bad config, genesis or key file, 130 interrupted."
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
    /// The directory of a testnet: its testnet.json names the nodes, the genesis and the ready accounts
    #[arg(long, global = true, value_name = "DIR")]
    pub testnet: Option<PathBuf>,
    /// Ask this node: its name in the testnet, or a URL; may be given several times
    #[arg(long, global = true, value_name = "NAME|URL")]
    pub node: Vec<String>,
    /// The genesis file that proofs are checked against
    #[arg(long, global = true, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// The key file of the sender
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// How the result is printed on stdout
    #[arg(long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// How long to wait for a certified outcome, in seconds
    #[arg(long, global = true, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub timeout: Duration,
}

/// How a result is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One indented JSON envelope.
    Json,
    /// One JSON envelope on one line.
    Jsonl,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Transfer an amount of an asset, and wait for the receipt
    Transfer(transfer::Transfer),
    /// Show an account's balances and roles
    Account(account::Account),
    /// Look at, wait for, or prove a transaction
    #[command(subcommand)]
    Tx(tx::Tx),
    /// Show a block
    Block(block::Block),
    /// Show who votes
    Validators(validators::Validators),
    /// Show how the nodes are
    Status(status::Status),
    /// List evidence against validators that signed two things that exclude each other, or verify it offline
    Evidence(evidence::Evidence),
    /// Verify a receipt offline, against a genesis file only
    Verify(verify::Verify),
    /// Run quorate-node with these arguments
    Node(external::External),
    /// Run quorate-testnet with these arguments
    Testnet(external::External),
}
