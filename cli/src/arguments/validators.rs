//! `quorate validators`.

use clap::Args;

/// Show who votes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  quorate --testnet DIR validators")]
pub struct Validators {}
