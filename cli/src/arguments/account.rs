//! `quorate account`.

use clap::Args;

use super::reading::Reading;

/// Show an account's balances and roles.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  quorate --testnet DIR account alice\n  quorate --testnet DIR --node v2 account alice --output json"
)]
pub struct Account {
    /// A name of the testnet or of your keystore, or an address (64 hex digits)
    #[arg(value_name = "NAME|ADDRESS")]
    pub account: String,
    /// How far the node has to be.
    #[command(flatten)]
    pub reading: Reading,
}
