//! `quorate asset create|mint|burn|show|list`.

use clap::{Args, Subcommand};

use super::reading::Reading;
use super::signing::Signing;

/// Create, mint, burn and show assets.
#[derive(Clone, Debug, Subcommand)]
pub enum Asset {
    /// Start an asset with a supply of zero; the sender, an issuer, issues it from then on
    #[command(after_help = "Examples:\n  quorate --testnet DIR asset create EUR --scale 2 --from admin")]
    Create(Create),
    /// Make units of an asset that the sender issues
    #[command(
        after_help = "Examples:\n  quorate --testnet DIR asset mint USD --to alice --amount 1000.00 --from admin"
    )]
    Mint(Mint),
    /// Destroy units that the sender, their issuer, owns
    #[command(after_help = "Examples:\n  quorate --testnet DIR asset burn USD --amount 1000.00 --from admin")]
    Burn(Burn),
    /// Show an asset's issuer, decimals and supply
    #[command(after_help = "Examples:\n  quorate --testnet DIR asset show USD")]
    Show(Show),
    /// List the assets of the genesis and those that known accounts hold
    #[command(
        after_help = "Known accounts are those of the testnet and of your keystore.\n\nExamples:\n  quorate --testnet DIR asset list"
    )]
    List(List),
}

/// Start an asset.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// The new asset's code: 1 to 12 characters out of A-Z and 0-9
    #[arg(value_name = "CODE")]
    pub asset: String,
    /// Its decimal places, 0 to 18
    #[arg(long, value_name = "DECIMALS")]
    pub scale: u8,
    /// Who signs, and how.
    #[command(flatten)]
    pub signing: Signing,
}

/// Make units.
#[derive(Clone, Debug, Args)]
pub struct Mint {
    /// The asset's code
    #[arg(value_name = "CODE")]
    pub asset: String,
    /// Who gets them: a name of the testnet or of your keystore, or an address (64 hex digits)
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub to: String,
    /// How much, in the asset's decimals
    #[arg(long, value_name = "DECIMAL", allow_hyphen_values = true)]
    pub amount: String,
    /// Who signs, and how.
    #[command(flatten)]
    pub signing: Signing,
}

/// Destroy units.
#[derive(Clone, Debug, Args)]
pub struct Burn {
    /// The asset's code
    #[arg(value_name = "CODE")]
    pub asset: String,
    /// How much, in the asset's decimals
    #[arg(long, value_name = "DECIMAL", allow_hyphen_values = true)]
    pub amount: String,
    /// Who signs, and how.
    #[command(flatten)]
    pub signing: Signing,
}

/// Which asset.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// The asset's code
    #[arg(value_name = "CODE")]
    pub asset: String,
    /// How far the node has to be.
    #[command(flatten)]
    pub reading: Reading,
}

/// All that can be found.
#[derive(Clone, Debug, Args)]
pub struct List {
    /// How far the node has to be.
    #[command(flatten)]
    pub reading: Reading,
}
