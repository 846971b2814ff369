//! The command line of `quorate-node`. stdout is data (one JSON object per line), stderr is talk.

mod init;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::home::HomeError;
use crate::node::StartError;

/// Exit code of a bad configuration, genesis or key file.
const EXIT_CONFIG: u8 = 10;
/// Exit code of everything else.
const EXIT_INTERNAL: u8 = 1;

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

/// An error with the exit code that it leads to.
#[derive(Debug)]
struct Failure {
    message: String,
    exit: u8,
}

impl Failure {
    fn internal(message: impl ToString) -> Failure {
        Failure { message: message.to_string(), exit: EXIT_INTERNAL }
    }

    fn config(message: impl ToString) -> Failure {
        Failure { message: message.to_string(), exit: EXIT_CONFIG }
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Failure {
        match error {
            HomeError::Config(_) | HomeError::Genesis { .. } | HomeError::NoValidator { .. } => Failure::config(error),
            HomeError::Data(_) | HomeError::Journal(_) | HomeError::Store(_) => Failure::internal(error),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match error {
            StartError::Home(error) => error.into(),
            StartError::Network(_) | StartError::Api { .. } => Failure::config(error),
            StartError::Threads(_) => Failure::internal(error),
        }
    }
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
            eprintln!("quorate-node: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}
