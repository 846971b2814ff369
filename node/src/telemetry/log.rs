//! The log: one line per event on stderr, so that stdout stays data.

use std::io::{IsTerminal, stderr};

use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// What is logged when neither the command line nor `RUST_LOG` says anything.
const DEFAULT_FILTER: &str = "info,libp2p=warn";

/// The log could not be started.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is no list of levels and targets.
    #[error(
        "log filter `{filter}`: {reason}; write a level (error, warn, info, debug, trace) or target=level, separated by commas"
    )]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A log is running in this process already.
    #[error("the log of this process is already started: {0}")]
    Started(String),
}

/// Starts the log of this process. `filter` wins over the environment's `RUST_LOG`.
///
/// # Errors
/// A filter that cannot be read, or a second start.
pub fn start_log(filter: Option<&str>) -> Result<(), LogError> {
    let from_environment = std::env::var("RUST_LOG").ok();
    let filter = filter.or(from_environment.as_deref()).unwrap_or(DEFAULT_FILTER);
    let parsed = EnvFilter::try_new(filter)
        .map_err(|error| LogError::Filter { filter: filter.to_string(), reason: error.to_string() })?;
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter(parsed)
        .with_ansi(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(stderr)
        // Where stderr is a file on a full disk, telling of it on stderr would panic, and end the process.
        .log_internal_errors(false)
        .try_init()
        .map_err(|error| LogError::Started(error.to_string()))
}
