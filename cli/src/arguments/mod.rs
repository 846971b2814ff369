//! What can be typed after `quorate`: one file per command, and here what holds for all of them.

pub mod account;
pub mod asset;
pub mod batch;
pub mod block;
pub mod completions;
mod duration;
pub mod events;
pub mod evidence;
pub mod external;
pub mod keys;
pub mod member;
pub mod signing;
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
    after_help = "Examples:\n  \
                  quorate testnet up --dir DIR --detach\n  \
                  quorate --testnet DIR transfer --from alice --to bob --amount 12.50 --asset USD\n  \
                  quorate --testnet DIR status\n\n\
                  Exit codes: 0 ok, 1 internal, 2 usage, 3 not found, 4 not applied for certain, 5 sent and no certified outcome known,\n\
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

/// Under which heading a command's help shows what holds for all of them.
const GLOBAL: &str = "Options of every command";

/// The flags of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The directory of a testnet: its testnet.json names the nodes, the genesis and the ready accounts
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub testnet: Option<PathBuf>,
    /// Ask this node: its name in the testnet, or a URL; may be given several times
    #[arg(long, global = true, value_name = "NAME|URL", help_heading = GLOBAL)]
    pub node: Vec<String>,
    /// The genesis file that proofs are checked against
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub genesis: Option<PathBuf>,
    /// The key file of the sender, encrypted or not
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub key: Option<PathBuf>,
    /// The folder of your encrypted keys [default: $XDG_DATA_HOME/quorate/keys, or ~/.local/share/quorate/keys]
    #[arg(long, global = true, value_name = "DIR", env = "QUORATE_KEYSTORE", hide_env_values = true, help_heading = GLOBAL)]
    pub keystore: Option<PathBuf>,
    /// A file with the passphrase on its one line; without, it is asked for on the terminal
    #[arg(long, global = true, value_name = "FILE", env = "QUORATE_PASSPHRASE_FILE", hide_env_values = true, help_heading = GLOBAL)]
    pub passphrase_file: Option<PathBuf>,
    /// A file with the bearer token that the nodes want
    #[arg(long, global = true, value_name = "FILE", env = "QUORATE_TOKEN_FILE", hide_env_values = true, help_heading = GLOBAL)]
    pub token_file: Option<PathBuf>,
    /// A PEM file with the authority that signed the certificates of https nodes; without, the public ones are trusted
    #[arg(long, global = true, value_name = "FILE", env = "QUORATE_CA_FILE", hide_env_values = true, help_heading = GLOBAL)]
    pub ca_file: Option<PathBuf>,
    /// How the result is printed on stdout
    #[arg(long, global = true, value_enum, default_value = "table", value_name = "FORMAT", help_heading = GLOBAL)]
    pub output: Format,
    /// How long to wait for a certified outcome, in seconds
    #[arg(long, global = true, default_value = "30", value_parser = seconds, value_name = "SECONDS", help_heading = GLOBAL)]
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
    /// Create, mint, burn and show assets
    #[command(subcommand)]
    Asset(asset::Asset),
    /// Register, freeze and show members, and set their roles
    #[command(subcommand)]
    Member(member::Member),
    /// Send the transactions of a file, each once however often it is run
    Batch(batch::Batch),
    /// Make, keep and show your own keys
    #[command(subcommand)]
    Keys(keys::Keys),
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
    /// Print what the chain executes, one event a line
    Events(events::Events),
    /// List evidence against validators that signed two things that exclude each other, or verify it offline
    Evidence(evidence::Evidence),
    /// Verify a receipt offline, against a genesis file only
    Verify(verify::Verify),
    /// Print the completions of a shell
    Completions(completions::Completions),
    /// Run quorate-node with these arguments
    Node(external::External),
    /// Run quorate-testnet with these arguments
    Testnet(external::External),
}
