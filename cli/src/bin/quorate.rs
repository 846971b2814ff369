//! The `quorate` command.

fn main() -> std::process::ExitCode {
    quorate_cli::command::main(std::env::args_os().collect()).into()
}
