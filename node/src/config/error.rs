//! Errors that tell an operator which file, what in it, why, and what to do.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Something that a node reads from its home is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {what}: {reason}; {remedy}", file.display())]
pub struct ConfigError {
    /// The file that was read or written.
    pub file: PathBuf,
    /// The key or part of the file.
    pub what: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl ConfigError {
    /// An error about `what` in `file`.
    pub fn new(file: &Path, what: &str, reason: impl ToString, remedy: &str) -> ConfigError {
        ConfigError {
            file: file.to_path_buf(),
            what: what.to_string(),
            reason: reason.to_string(),
            remedy: remedy.to_string(),
        }
    }
}
