//! `quorate tx show|wait|list|receipt`.

use clap::{Args, Subcommand};
use quorate_crypto::hash::Digest;

use super::reading::Reading;

/// Look at, wait for, or prove a transaction.
#[derive(Clone, Debug, Subcommand)]
pub enum Tx {
    /// Show what the nodes know of a transaction now
    #[command(after_help = "Examples:\n  quorate --testnet DIR tx show ID")]
    Show(Lookup),
    /// Wait until a transaction has a certified outcome; sends it again where the outbox holds it
    #[command(
        after_help = "The same bytes are sent again, so it applies at most once.\n\nExamples:\n  quorate --testnet DIR tx wait ID\n  \
                            quorate --testnet DIR --timeout 120 tx wait ID --output json"
    )]
    Wait(Id),
    /// List the transactions that were signed here and have no certain outcome yet
    #[command(after_help = "Examples:\n  quorate --testnet DIR tx list")]
    List,
    /// Fetch a transaction's receipt, verify it, and print it for `quorate verify`
    #[command(after_help = "Examples:\n  quorate --testnet DIR tx receipt ID --output json > receipt.json\n  \
                            quorate verify receipt.json --genesis DIR/genesis.json")]
    Receipt(Lookup),
}

/// Which transaction, and of whom it is asked.
#[derive(Clone, Debug, Args)]
pub struct Lookup {
    /// Which transaction.
    #[command(flatten)]
    pub which: Id,
    /// How far the node has to be.
    #[command(flatten)]
    pub reading: Reading,
}

/// Which transaction.
#[derive(Clone, Debug, Args)]
pub struct Id {
    /// The transaction's id (64 hex digits)
    #[arg(value_name = "ID")]
    pub id: Digest,
}
