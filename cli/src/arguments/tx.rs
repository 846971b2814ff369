//! `quorate tx show|wait|receipt`.

use clap::{Args, Subcommand};
use quorate_crypto::hash::Digest;

/// Look at, wait for, or prove a transaction.
#[derive(Clone, Debug, Subcommand)]
pub enum Tx {
    /// Show what the nodes know of a transaction now
    Show(Id),
    /// Wait until a transaction has a certified outcome; sends it again where the outbox holds it
    Wait(Id),
    /// Fetch a transaction's receipt, verify it, and print it for `quorate verify`
    #[command(after_help = "Example: quorate --testnet DIR tx receipt ID --output json > receipt.json\n         \
                            quorate verify receipt.json --genesis DIR/genesis.json")]
    Receipt(Id),
}

/// Which transaction.
#[derive(Clone, Debug, Args)]
pub struct Id {
    /// The transaction's id (64 hex digits)
    #[arg(value_name = "ID")]
    pub id: Digest,
}
