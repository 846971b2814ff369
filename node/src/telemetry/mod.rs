//! What an operator sees of a running node besides its API: the log, and counts of what it did and dropped.

mod counters;
mod json_lines;
mod log;
mod metrics;
mod process;

pub use counters::{Counters, Drop};
pub use log::{LogConfig, LogError, LogFormat, start_log};
pub use metrics::{Labels, Metrics};
pub use process::ProcessStatus;
