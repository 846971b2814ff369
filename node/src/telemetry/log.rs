//! The log: one line per event on stderr, so that stdout stays data.

use std::io::{IsTerminal, stderr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use super::json_lines::JsonLines;

/// What is logged when neither the command line nor `RUST_LOG` nor `node.toml` says anything.
const DEFAULT_FILTER: &str = "info,libp2p=warn";

/// How a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: an object with `time`, `level`, `target`, `event` and `fields`.
    Json,
}

/// The part of `node.toml` that is about the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// How lines are written.
    pub format: LogFormat,
    /// What to log: a level, or target=level, separated by commas. `RUST_LOG` and the command line win.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

impl LogConfig {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == LogConfig::default()
    }
}

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

/// Starts the log of this process. `filter` wins over the environment's `RUST_LOG`, and that over `config`.
///
/// # Errors
/// A filter that cannot be read, or a second start.
pub fn start_log(filter: Option<&str>, config: &LogConfig) -> Result<(), LogError> {
    let from_environment = std::env::var("RUST_LOG").ok();
    let filter = filter.or(from_environment.as_deref()).or(config.level.as_deref()).unwrap_or(DEFAULT_FILTER);
    let parsed = EnvFilter::try_new(filter)
        .map_err(|error| LogError::Filter { filter: filter.to_string(), reason: error.to_string() })?;
    // Where stderr is a file on a full disk, telling of it on stderr would panic, and end the process.
    let lines = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(stderr).log_internal_errors(false);
    let started = match config.format {
        LogFormat::Json => lines.with_ansi(false).event_format(JsonLines).try_init(),
        LogFormat::Text => {
            let is_colored = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.compact().with_ansi(is_colored).try_init()
        }
    };
    started.map_err(|error| LogError::Started(error.to_string()))
}
