//! What an operator sees of a running node besides its API: the log, and counts of what was dropped.

mod counters;
mod log;

pub use counters::{Counters, Drop};
pub use log::{LogError, start_log};
