//! What each command does: one file per command, one for what they share, and here the way from a command line to them.

pub mod account;
pub mod asset;
pub mod batch;
mod batch_file;
pub mod block;
pub mod completions;
pub mod context;
pub mod events;
pub mod evidence;
pub mod external;
pub mod keys;
pub mod member;
pub mod send;
pub mod status;
pub mod transfer;
pub mod tx;
pub mod validators;
pub mod verify;
pub mod wish;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

pub use self::context::Context;
use crate::arguments::evidence::{Evidence, EvidenceCommand};
use crate::arguments::{Arguments, Command, Format};
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::output::Printer;

/// Runs `quorate` with these arguments, the program's name first, and says how it ended.
pub fn main(arguments: Vec<OsString>) -> Exit {
    if let Some(program) = external::program(&arguments) {
        let failure = external::replace_with(program, &arguments[2..]);
        return Printer::new(Format::Table).fail(&failure);
    }
    match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => {
            let printer = Printer::new(parsed.global.output);
            let watched = interrupt::watch(printer, context::invocation(parsed.global.testnet.as_deref()));
            watched.and_then(|()| run(&parsed, printer)).unwrap_or_else(|failure| printer.fail(&failure))
        }
        Err(error) => usage(&error, &arguments),
    }
}

fn run(arguments: &Arguments, printer: Printer) -> Result<Exit, Failure> {
    let global = &arguments.global;
    // Verifying is offline: nothing but its two files may be needed.
    if let Command::Verify(verify) = &arguments.command {
        return verify::run(verify, global, printer);
    }
    if let Command::Evidence(Evidence { command: Some(EvidenceCommand::Verify(file)) }) = &arguments.command {
        return evidence::verify(file, global, printer);
    }
    if let Command::Completions(completions) = &arguments.command {
        return completions::run(completions);
    }
    let context = Context::new(global, printer)?;
    match &arguments.command {
        Command::Transfer(transfer) => transfer::run(transfer, &context),
        Command::Account(account) => account::run(account, &context),
        Command::Tx(tx) => tx::run(tx, &context),
        Command::Block(block) => block::run(block, &context),
        Command::Validators(_) => validators::run(&context),
        Command::Status(_) => status::run(&context),
        Command::Evidence(_) => evidence::list(&context),
        Command::Batch(batch) => batch::run(batch, &context),
        Command::Events(events) => events::run(events, &context),
        Command::Asset(asset) => asset::run(asset, &context),
        Command::Member(member) => member::run(member, &context),
        Command::Keys(keys) => keys::run(keys, &context),
        Command::Verify(_) | Command::Completions(_) | Command::Node(_) | Command::Testnet(_) => Ok(Exit::Success),
    }
}

/// Prints what is wrong with a command line: by clap for people, as an envelope for programs. Help and version are no
/// failures.
pub fn usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return Exit::Success;
    }
    match format_wanted(arguments) {
        Format::Table => {
            let _ = error.print();
            Exit::Usage
        }
        format => {
            let text = error.to_string();
            let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let message = lines.join(" ").trim_start_matches("error: ").to_owned();
            Printer::new(format).fail(&Failure::usage(message, "see --help"))
        }
    }
}

/// The output format that a command line asks for, though it is not understood as a whole.
fn format_wanted(arguments: &[OsString]) -> Format {
    let value = |argument: &OsString, next: Option<&OsString>| match argument.to_str()? {
        "--output" => next?.to_str().map(str::to_owned),
        other => other.strip_prefix("--output=").map(str::to_owned),
    };
    let wanted = arguments.iter().enumerate().find_map(|(index, argument)| value(argument, arguments.get(index + 1)));
    match wanted.as_deref() {
        Some("json") => Format::Json,
        Some("jsonl") => Format::Jsonl,
        _ => Format::Table,
    }
}
