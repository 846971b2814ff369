//! `quorate transfer`.

use clap::Args;

use super::signing::Signing;

/// Transfer an amount of an asset, and wait for the receipt.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
                        quorate --testnet DIR transfer --from alice --to bob --amount 12.50 --asset USD\n  \
                        quorate --node http://127.0.0.1:8080 --genesis genesis.json transfer --from my-key --to ADDRESS --amount 1 --asset USD")]
pub struct Transfer {
    /// Who receives: a name of the testnet or of your keystore, or an address (64 hex digits)
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub to: String,
    /// How much, in the asset's decimals
    #[arg(long, value_name = "DECIMAL", allow_hyphen_values = true)]
    pub amount: String,
    /// The asset's code
    #[arg(long, value_name = "CODE")]
    pub asset: String,
    /// Who signs, and how.
    #[command(flatten)]
    pub signing: Signing,
}
