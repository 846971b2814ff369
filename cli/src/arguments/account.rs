//! `quorate account`.

use clap::Args;

/// Show an account's balances and roles.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: quorate --testnet DIR account alice")]
pub struct Account {
    /// A name of the testnet, or an address (64 hex digits)
    #[arg(value_name = "NAME|ADDRESS")]
    pub account: String,
}
