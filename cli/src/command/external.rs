//! `quorate node …` and `quorate testnet …`: the programs beside this one take over.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::exit::Failure;

/// The program that takes over, where the first argument names one.
pub fn program(arguments: &[OsString]) -> Option<&'static str> {
    match arguments.get(1)?.to_str()? {
        "node" => Some("quorate-node"),
        "testnet" => Some("quorate-testnet"),
        _ => None,
    }
}

/// Becomes the other program: the one beside this program, else the one in `PATH`. Returns only when that fails.
pub fn replace_with(program: &str, arguments: &[OsString]) -> Failure {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(program)).filter(|path| path.is_file());
    let error = Command::new(beside.unwrap_or_else(|| program.into())).args(arguments).exec();
    Failure::config(
        "program_missing",
        format!("{program} cannot be run: {error}"),
        format!("install {program} beside quorate, or in PATH"),
    )
}
