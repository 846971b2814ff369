//! `quorate verify`.

use std::path::PathBuf;

use clap::Args;

/// Verify a receipt offline, against a genesis file only.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The file is what `quorate tx receipt ID --output json` prints. No network is used.\n\nExamples:\n  quorate verify receipt.json --genesis DIR/genesis.json"
)]
pub struct Verify {
    /// The file with the receipt
    #[arg(value_name = "RECEIPT")]
    pub receipt: PathBuf,
}
