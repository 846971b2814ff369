//! The command line of `quorate-node`. stdout is data (one JSON object per line), stderr is talk: every error ends with a
//! line that begins with `hint:`.

mod failure;
mod init;
mod run;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use self::failure::Failure;

/// Exit code of a command line that is not understood.
const EXIT_USAGE: u8 = 2;

/// Makes and runs one node of a Quorate chain.
#[derive(Debug, Parser)]
#[command(
    name = "quorate-node",
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
                  quorate-node init --home HOME\n  \
                  quorate-node run --home HOME\n\n\
                  Exit codes: 0 ok, 1 internal, 2 usage, 10 bad config, genesis or key file."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a home: first the keys, then, with the genesis that names them, everything else
    #[command(after_help = init::EXAMPLES)]
    Init(init::Arguments),
    /// Run the node of a home until it is told to stop (SIGTERM or SIGINT)
    #[command(after_help = run::EXAMPLES)]
    Run(run::Arguments),
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: Shell,
    },
}

const COMPLETIONS_EXAMPLES: &str = "Examples:
  quorate-node completions bash > ~/.local/share/bash-completion/completions/quorate-node
  quorate-node completions zsh > ~/.zfunc/_quorate-node
  quorate-node completions fish > ~/.config/fish/completions/quorate-node.fish";

/// The command line as a value, for whoever describes it or tries one.
pub fn command_line() -> clap::Command {
    Arguments::command()
}

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misunderstood(&error),
    };
    let result = match arguments.command {
        Command::Init(arguments) => init::init(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Completions { shell } => completions(shell),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // On a full disk nobody can be told; the exit code still tells.
            let Failure { message, hint, exit } = failure;
            let _ = write!(std::io::stderr(), "quorate-node: {message}\nhint: {hint}\n");
            ExitCode::from(exit)
        }
    }
}

/// Help and version are no errors.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(std::io::stderr(), "hint: quorate-node help COMMAND shows what a command takes, with examples");
    ExitCode::from(EXIT_USAGE)
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "quorate-node", &mut script);
    let written = std::io::stdout().lock().write_all(&script);
    written.map_err(|error| {
        Failure::internal(format!("the completions cannot be written: {error}; check where stdout goes"))
    })
}
