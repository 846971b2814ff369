//! What every command takes that signs a transaction.

use std::time::Duration;

use clap::Args;

use super::duration::seconds;

/// Who signs, and how.
#[derive(Clone, Debug, Args)]
pub struct Signing {
    /// Who signs: a name of the testnet or of your keystore, or the address of one of their keys
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub from: Option<String>,
    /// A text that is stored with the transaction
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub memo: String,
    /// For how many seconds the transaction may still be executed
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub valid_for: Duration,
}
