//! `quorate status`.

use clap::Args;

/// Show how the nodes are.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  quorate --testnet DIR status\n  quorate --node http://127.0.0.1:8080 status --output json"
)]
pub struct Status {}
