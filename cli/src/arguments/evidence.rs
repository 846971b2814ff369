//! `quorate evidence`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// List or verify evidence against validators.
#[derive(Clone, Debug, Args)]
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
#[command(after_help = "The file is what `quorate evidence --output json` prints. No network is used.")]
pub struct VerifyEvidence {
    /// The file with the evidence
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
