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
pub mod reading;
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
use crate::exit::Exit;

/// Submit transactions to a Quorate ledger, wait for their receipts, read, and verify offline.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "quorate",
    version,
    about,
    after_help = after_help()
)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Examples, and how the program ends.
fn after_help() -> String {
    let exits: Vec<String> = Exit::ALL.iter().map(|exit| format!("{} {}", *exit as u8, exit.brief())).collect();
    let (mut lines, mut line) = (String::new(), "Exit codes:".to_owned());
    for (index, exit) in exits.iter().enumerate() {
        let end = if index + 1 == exits.len() { '.' } else { ',' };
        if line.len() + exit.len() > HELP_WIDTH {
            lines += &std::mem::take(&mut line);
            lines.push('\n');
        } else {
            line.push(' ');
        }
        line += exit;
        line.push(end);
    }
    format!("{EXAMPLES}\n{lines}{line}")
}

/// The longest line of exit codes, in characters.
const HELP_WIDTH: usize = 110;

const EXAMPLES: &str = "\
Examples:
  quorate testnet up --dir DIR --detach
  quorate --testnet DIR transfer --from alice --to bob --amount 12.50 --asset USD
  quorate --testnet DIR status
";

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
