//! `quorate validators`.

use clap::Args;

/// Show who votes.
#[derive(Clone, Debug, Args)]
pub struct Validators {}
