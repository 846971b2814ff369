//! What a command ends with when it cannot do what it was asked.

use crate::config::ConfigError;
use crate::home::HomeError;
use crate::open::StartError;

/// Exit code of a bad configuration, genesis or key file.
const EXIT_CONFIG: u8 = 10;
/// Exit code of everything else.
const EXIT_INTERNAL: u8 = 1;
/// Where the text of an error has what to do about it, behind what is wrong.
const REMEDY: &str = "; ";

/// An error with the exit code that it leads to.
#[derive(Debug)]
pub(super) struct Failure {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The exit code.
    pub exit: u8,
}

impl Failure {
    pub fn internal(error: impl ToString) -> Failure {
        Failure::new(EXIT_INTERNAL, error, "see the log above; if nothing there helps, report this fault with it")
    }

    pub fn config(error: impl ToString) -> Failure {
        Failure::new(EXIT_CONFIG, error, "correct the file that is named, or restore it")
    }

    /// Errors end with their remedy; `otherwise` is for one that has none.
    fn new(exit: u8, error: impl ToString, otherwise: &str) -> Failure {
        let text = error.to_string();
        let (message, hint) = text.rsplit_once(REMEDY).unwrap_or((&text, otherwise));
        Failure { message: message.to_owned(), hint: hint.to_owned(), exit }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        let ConfigError { file, what, reason, remedy } = error;
        Failure { message: format!("{}: {what}: {reason}", file.display()), hint: remedy, exit: EXIT_CONFIG }
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Failure {
        match error {
            HomeError::Config(error) => error.into(),
            HomeError::Genesis { .. } => Failure::new(
                EXIT_CONFIG,
                error,
                "take the file from whoever runs the chain; everybody holds the same bytes",
            ),
            HomeError::NoValidator { .. } => Failure::config(error),
            HomeError::Repair(_) => Failure {
                message: error.to_string(),
                hint: "keep what is named for analysis, outside of the home, then run the node again".to_owned(),
                exit: EXIT_INTERNAL,
            },
            HomeError::Store(_) => {
                Failure::new(EXIT_INTERNAL, error, "check the genesis file, the data directory and its disk")
            }
            HomeError::Data(_) | HomeError::Journal(_) => Failure::internal(error),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match error {
            StartError::Home(error) => error.into(),
            StartError::Network(_) => Failure::new(
                EXIT_CONFIG,
                error,
                "check `p2p` and `peers` in node.toml, and the validators of the genesis",
            ),
            StartError::Api { .. } => Failure::config(error),
            StartError::Threads(_) => {
                Failure::new(EXIT_INTERNAL, error, "raise the limit of processes and threads of this user (ulimit -u)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_told_apart_from_what_is_wrong() {
        let failure = Failure::internal("the disk is full; it has no room; make room");
        assert_eq!(
            (failure.message.as_str(), failure.hint.as_str()),
            ("the disk is full; it has no room", "make room")
        );
        assert!(Failure::internal("no remedy").hint.contains("report"));
        let remedy = "remove it; or write 0";
        let failure = Failure::from(ConfigError::new(std::path::Path::new("node.toml"), "api", "wrong", remedy));
        assert_eq!((failure.message.as_str(), failure.hint.as_str()), ("node.toml: api: wrong", remedy));
    }
}
