//! The command line of `quorate-node`. stdout is data (one JSON object per line), stderr is talk.

mod failure;
mod init;
mod run;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes and runs one node of a Quorate chain.
#[derive(Debug, Parser)]
#[command(name = "quorate-node", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a home: first the keys, then, with the genesis that names them, everything else.
    Init(init::Arguments),
    /// Run the node of a home until it is told to stop (SIGTERM or SIGINT).
    Run(run::Arguments),
}

/// The whole program.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Init(arguments) => init::init(&arguments),
        Command::Run(arguments) => run::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // On a full disk nobody can be told; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "quorate-node: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}
