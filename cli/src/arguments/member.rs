//! `quorate member register|freeze|unfreeze|roles|show`.

use clap::{Args, Subcommand};

use super::account::Account;
use super::signing::Signing;

/// Register, freeze and show members, and set their roles.
#[derive(Clone, Debug, Subcommand)]
pub enum Member {
    /// Make a key a member; the sender is an admin
    #[command(after_help = "Examples:\n  quorate --testnet DIR member register my-key --roles member --from admin")]
    Register(WithRoles),
    /// Freeze a member: its transactions fail; the sender is another admin
    #[command(after_help = "Examples:\n  quorate --testnet DIR member freeze bob --from admin")]
    Freeze(Of),
    /// Unfreeze a member; the sender is another admin
    #[command(after_help = "Examples:\n  quorate --testnet DIR member unfreeze bob --from admin")]
    Unfreeze(Of),
    /// Replace a member's roles by these; the sender is another admin
    #[command(after_help = "Examples:\n  quorate --testnet DIR member roles bob --roles member,issuer --from admin")]
    Roles(WithRoles),
    /// Show a member's roles and balances, as `account` does
    #[command(after_help = "Examples:\n  quorate --testnet DIR member show bob")]
    Show(Account),
}

/// A member and its roles.
#[derive(Clone, Debug, Args)]
pub struct WithRoles {
    /// The member: a name of the testnet or of your keystore, or an address (64 hex digits)
    #[arg(value_name = "NAME|ADDRESS")]
    pub member: String,
    /// Its roles, with commas: admin, issuer, member, auditor
    #[arg(long, value_name = "ROLES", value_delimiter = ',', default_value = "member")]
    pub roles: Vec<String>,
    /// Who signs, and how.
    #[command(flatten)]
    pub signing: Signing,
}

/// A member.
#[derive(Clone, Debug, Args)]
pub struct Of {
    /// The member: a name of the testnet or of your keystore, or an address (64 hex digits)
    #[arg(value_name = "NAME|ADDRESS")]
    pub member: String,
    /// Who signs, and how.
    #[command(flatten)]
    pub signing: Signing,
}
