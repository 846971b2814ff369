//! `quorate transfer`.

use std::time::Duration;

use clap::Args;

use super::duration::seconds;

/// Transfer an amount of an asset, and wait for the receipt.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: quorate --testnet DIR transfer --from alice --to bob --amount 12.50 --asset USD")]
pub struct Transfer {
    /// Who sends: a name of the testnet, or the address of the key given with --key
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub from: Option<String>,
    /// Who receives: a name of the testnet, or an address (64 hex digits)
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub to: String,
    /// How much, in the asset's decimals
    #[arg(long, value_name = "DECIMAL", allow_hyphen_values = true)]
    pub amount: String,
    /// The asset's code
    #[arg(long, value_name = "CODE")]
    pub asset: String,
    /// A text that is stored with the transaction
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub memo: String,
    /// For how many seconds the transaction may still be executed
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub valid_for: Duration,
}
