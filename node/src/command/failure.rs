//! What a command ends with when it cannot do what it was asked.

use crate::home::HomeError;
use crate::open::StartError;

/// Exit code of a bad configuration, genesis or key file.
const EXIT_CONFIG: u8 = 10;
/// Exit code of everything else.
const EXIT_INTERNAL: u8 = 1;

/// An error with the exit code that it leads to.
#[derive(Debug)]
pub(super) struct Failure {
    /// What is wrong and what to do about it.
    pub message: String,
    /// The exit code.
    pub exit: u8,
}

impl Failure {
    pub fn internal(message: impl ToString) -> Failure {
        Failure { message: message.to_string(), exit: EXIT_INTERNAL }
    }

    pub fn config(message: impl ToString) -> Failure {
        Failure { message: message.to_string(), exit: EXIT_CONFIG }
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Failure {
        match error {
            HomeError::Config(_) | HomeError::Genesis { .. } | HomeError::NoValidator { .. } => Failure::config(error),
            HomeError::Data(_) | HomeError::Journal(_) | HomeError::Store(_) | HomeError::Repair(_) => {
                Failure::internal(error)
            }
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match error {
            StartError::Home(error) => error.into(),
            StartError::Network(_) | StartError::Api { .. } => Failure::config(error),
            StartError::Threads(_) => Failure::internal(error),
        }
    }
}
