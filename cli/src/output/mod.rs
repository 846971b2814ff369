//! What the user sees: data on stdout, talk on stderr.

pub mod amount;
pub mod envelope;
pub mod progress;
pub mod table;
pub mod time;

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::arguments::Format;
use crate::exit::{Exit, Failure};
use table::{Style, printable, printable_lines};

/// Data that people can read, too.
pub trait Readable: Serialize {
    /// The text for people, its lines ended.
    fn text(&self, style: Style) -> String;
}

/// The name that a plain enum has in JSON, for tables.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Prints results and failures in the format that the user asked for.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    format: Format,
    out: Style,
    talk: Style,
}

impl Printer {
    /// A printer for this format; colours only on a terminal, and never with `NO_COLOR`.
    pub fn new(format: Format) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Printer {
            format,
            out: Style { colour: wanted && std::io::stdout().is_terminal() },
            talk: Style { colour: wanted && std::io::stderr().is_terminal() },
        }
    }

    /// The format that was asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How talk on stderr may be coloured.
    pub fn talk_style(&self) -> Style {
        self.talk
    }

    /// How a result on stdout may be coloured.
    pub fn style(&self) -> Style {
        self.out
    }

    /// Prints one line of a result that comes in lines, at once.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print_line(&self, line: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{}", printable(line)).and_then(|()| out.flush());
        written.map_err(|error| cannot_write(&error))
    }

    /// One line of talk on stderr.
    pub fn say(&self, text: &str) {
        eprintln!("{}", printable(text));
    }

    /// Wipes an unfinished line from the terminal, such as one that shows progress.
    pub fn clear_line(&self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }

    /// Prints a result on stdout.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print(&self, data: &impl Readable) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => data.text(self.out),
            Format::Json => envelope::success(data, true)?,
            Format::Jsonl => envelope::success(data, false)?,
        };
        self.write(&text)
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        std::io::stdout().lock().write_all(text.as_bytes()).map_err(|error| cannot_write(&error))
    }

    /// Prints a failure that has a result all the same: for programs both in one envelope, for people one after the
    /// other. Returns the failure's exit code.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print_failed(&self, data: &impl Readable, failure: &Failure) -> Result<Exit, Failure> {
        let text = match self.format {
            Format::Table => {
                self.print(data)?;
                return Ok(self.fail(failure));
            }
            Format::Json => envelope::failure_with(data, failure, true)?,
            Format::Jsonl => envelope::failure_with(data, failure, false)?,
        };
        self.write(&text)?;
        Ok(failure.exit)
    }

    /// Prints a failure: as an envelope on stdout for programs, as talk on stderr for people. Returns its exit code.
    pub fn fail(&self, failure: &Failure) -> Exit {
        let envelope = match self.format {
            Format::Table => None,
            Format::Json => envelope::failure(failure, true).ok(),
            Format::Jsonl => envelope::failure(failure, false).ok(),
        };
        match envelope {
            // Nothing is left to be done when stdout is gone as well; the exit code still tells.
            Some(text) => drop(std::io::stdout().lock().write_all(text.as_bytes())),
            None => eprintln!(
                "{} {} {}\n{} {}",
                self.talk.bad("error:"),
                printable_lines(&failure.message),
                self.talk.faint(&format!("({})", printable(&failure.code))),
                self.talk.note("hint:"),
                printable(&failure.hint)
            ),
        }
        failure.exit
    }
}

/// The code of a failure of which only the reader of stdout is the cause: it has had enough and is gone.
pub const READER_GONE: &str = "reader_gone";

fn cannot_write(error: &std::io::Error) -> Failure {
    let code = if error.kind() == std::io::ErrorKind::BrokenPipe { READER_GONE } else { "internal" };
    let message = format!("the result cannot be written to stdout: {error}");
    Failure::new(Exit::Internal, code, message, "check where stdout goes")
}
