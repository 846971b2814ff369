//! `quorate status`.

use clap::Args;

/// Show how the nodes are.
#[derive(Clone, Debug, Args)]
pub struct Status {}
