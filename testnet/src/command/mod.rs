//! What each command does.

pub mod bench;
pub mod completions;
pub mod down;
pub mod fault;
pub mod node;
pub mod simulate;
pub mod status;
pub mod up;

use std::ffi::OsString;

use clap::Parser;
use quorate_cli::exit::{Exit, Failure};
use quorate_cli::output::Printer;

use crate::arguments::{Arguments, Command};

/// Runs `quorate-testnet` with these arguments, the program's name first, and says how it ended.
pub fn main(arguments: Vec<OsString>) -> Exit {
    match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => {
            let printer = Printer::new(parsed.global.output);
            run(&parsed, printer).unwrap_or_else(|failure| printer.fail(&failure))
        }
        Err(error) => quorate_cli::command::usage(&error, &arguments),
    }
}

fn run(arguments: &Arguments, printer: Printer) -> Result<Exit, Failure> {
    if let Command::Simulate(simulate) = &arguments.command {
        return simulate::run(simulate, printer);
    }
    if let Command::Completions(completions) = &arguments.command {
        return completions::run(completions);
    }
    let directory = arguments.global.directory()?;
    match &arguments.command {
        Command::Up(up) => up::run(up, &directory, printer),
        Command::Status => status::run(&directory, printer),
        Command::Kill(which) => node::kill(which, &directory, printer),
        Command::Start(which) => node::start(which, &directory, printer),
        Command::Restart(which) => node::restart(which, &directory, printer),
        Command::Pause(which) => fault::pause(which, &directory, printer),
        Command::Resume(which) => fault::resume(which, &directory, printer),
        Command::Partition(partition) => fault::partition(partition, &directory, printer),
        Command::Heal => fault::heal(&directory, printer),
        Command::Delay(delay) => fault::delay(delay, &directory, printer),
        Command::Clock(clock) => fault::clock(clock, &directory, printer),
        Command::Disk(disk) => fault::disk(disk, &directory, printer),
        Command::Wipe(which) => node::wipe(which, &directory, printer),
        Command::Bench(bench) => bench::run(bench, &directory, printer),
        Command::Down => down::run(&directory, printer),
        Command::Simulate(_) | Command::Completions(_) => Ok(Exit::Success),
    }
}
