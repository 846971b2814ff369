//! `quorate-testnet completions`.

use std::io::Write;

use clap::CommandFactory;
use quorate_cli::exit::{Exit, Failure};

use crate::arguments::{Arguments, Completions};

/// Prints the completions.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(arguments: &Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "quorate-testnet", &mut script);
    std::io::stdout().lock().write_all(&script).map_err(|error| {
        Failure::internal(format!("the completions cannot be written to stdout: {error}"), "check where stdout goes")
    })?;
    Ok(Exit::Success)
}
