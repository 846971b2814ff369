//! `quorate evidence`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// List or verify evidence against validators.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  quorate --testnet DIR evidence\n  quorate --testnet DIR evidence --output json > evidence.json"
)]
pub struct Evidence {
    /// What to do with it; without, list what a node holds.
    #[command(subcommand)]
    pub command: Option<EvidenceCommand>,
}

/// What else can be done with evidence.
#[derive(Clone, Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Verify an evidence file offline, against a genesis file only
    Verify(VerifyEvidence),
}

/// Verify an evidence file.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The file is what `quorate evidence --output json` prints. No network is used.\n\nExamples:\n  quorate evidence verify evidence.json --genesis DIR/genesis.json"
)]
pub struct VerifyEvidence {
    /// The file with the evidence
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
