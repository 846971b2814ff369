//! `quorate block`.

use clap::Args;

use super::reading::Reading;

/// Show a block.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  quorate --testnet DIR block\n  quorate --testnet DIR block 1 --output json")]
pub struct Block {
    /// A height, a header's hash (64 hex digits), or `latest`
    #[arg(value_name = "HEIGHT|HASH|latest", default_value = "latest")]
    pub block: String,
    /// How far the node has to be.
    #[command(flatten)]
    pub reading: Reading,
}
