//! The `quorate-testnet` command.

fn main() -> std::process::ExitCode {
    quorate_testnet::command::main(std::env::args_os().collect()).into()
}
