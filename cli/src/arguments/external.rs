//! `quorate node …` and `quorate testnet …`, the two programs beside this one.

use std::ffi::OsString;

use clap::Args;

/// The arguments for the other program, untouched.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct External {
    /// Passed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
}
