//! Ctrl-C: the program ends with exit code 130 and says whether anything was sent, and how to go on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use quorate_protocol::api::code::KnownOutcome;
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::id::TransactionId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::arguments::Format;
use crate::exit::{Exit, Failure};
use crate::output::Printer;

/// What the program has done so far, as far as the user has to know it.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Nothing was sent.
    NothingSent,
    /// The first byte of this transaction may have been sent.
    Sending(TransactionId),
    /// Many are on their way.
    Batch {
        /// How many have a certain outcome.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// Events are printed; this is the last one's cursor.
    Following(Option<String>),
}

static STAGE: Mutex<Stage> = Mutex::new(Stage::NothingSent);

fn stage() -> MutexGuard<'static, Stage> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes how far the program is. Nothing may be sent before this has returned.
pub fn enter(now: Stage) {
    *stage() = now;
}

/// From now on Ctrl-C and a request to terminate end the program as this module says. `invocation` is how it was called.
///
/// # Errors
/// Exit code 1 when the system does not let signals be watched.
pub fn watch(printer: Printer, invocation: String) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| {
        Failure::internal(format!("Ctrl-C cannot be watched for: {error}"), "try again, or report this fault")
    })?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            // The lock is kept to the end: nothing goes on behind what is said here.
            let stage = stage();
            let failure = failure(&stage, &invocation);
            // A stream of events stays one of events.
            let printer = if matches!(*stage, Stage::Following(_)) { Printer::new(Format::Table) } else { printer };
            printer.clear_line();
            std::process::exit(i32::from(printer.fail(&failure) as u8));
        }
    });
    Ok(())
}

fn failure(stage: &Stage, invocation: &str) -> Failure {
    let failure = |message: String, hint: String| Failure::new(Exit::Interrupted, "interrupted", message, hint);
    match stage {
        Stage::NothingSent => {
            failure("interrupted: nothing was sent".to_owned(), "run the same command again".to_owned())
        }
        Stage::Sending(id) => failure(
            format!("interrupted: {id} was sent, or may have been; its outcome is not known yet"),
            format!("{invocation} tx wait {id}"),
        )
        .with_outcome(KnownOutcome::Unknown)
        .with_data(TransactionResponse::new(*id, TransactionStatus::Unknown)),
        Stage::Batch { done, of } => failure(
            format!("interrupted: {done} of {of} have a certain outcome; some of the others may have been sent"),
            "run the same command again: nothing is sent twice".to_owned(),
        ),
        Stage::Following(last) => failure(
            format!("interrupted after event {}", last.as_deref().unwrap_or("none")),
            match last {
                Some(last) => format!("go on with --follow --after {last}"),
                None => "run the same command again".to_owned(),
            },
        ),
    }
}
