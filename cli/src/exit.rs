//! How the command ends: exit codes that scripts may rely on, and the failure that carries one.

use std::fmt;
use std::process::ExitCode;

use quorate_protocol::api::code::{Asked, Code, KnownOutcome};
use quorate_protocol::api::http::TransactionResponse;

/// The exit codes of `quorate` and `quorate-testnet`. They are part of the interface and never change their meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Success = 0,
    /// A fault of this program or of this machine.
    Internal = 1,
    /// The command line was not understood.
    Usage = 2,
    /// What was asked for does not exist.
    NotFound = 3,
    /// The transaction is not applied, for certain: refused, failed with a receipt, or certified expired.
    NotApplied = 4,
    /// It was sent, and no certified outcome is known yet.
    Unknown = 5,
    /// Nothing was sent, because no quorum can be reached; or no node answers that knows enough for a read.
    NotSent = 6,
    /// A proof does not hold.
    Unverified = 7,
    /// The nodes have no room at the moment.
    Overloaded = 8,
    /// The node wants credentials.
    Auth = 9,
    /// A configuration, genesis or key file is bad.
    Config = 10,
    /// Stopped by the user (what a shell reports for a process ended by Ctrl-C).
    Interrupted = 130,
}

impl Exit {
    /// Every exit code, in order.
    pub const ALL: [Exit; 12] = [
        Exit::Success,
        Exit::Internal,
        Exit::Usage,
        Exit::NotFound,
        Exit::NotApplied,
        Exit::Unknown,
        Exit::NotSent,
        Exit::Unverified,
        Exit::Overloaded,
        Exit::Auth,
        Exit::Config,
        Exit::Interrupted,
    ];

    /// The meaning of an exit code; what has none is an internal fault.
    pub fn from_code(code: u8) -> Exit {
        Exit::ALL.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Exit::Internal)
    }

    /// How a command ends when a node's code is the last word.
    pub fn of(code: Code, asked: Asked) -> Exit {
        Exit::from_code(code.exit_code(asked))
    }

    /// In few words, for help.
    pub fn brief(self) -> &'static str {
        match self {
            Exit::Success => "ok",
            Exit::Internal => "internal",
            Exit::Usage => "usage",
            Exit::NotFound => "not found",
            Exit::NotApplied => "not applied for certain",
            Exit::Unknown => "sent and no certified outcome known",
            Exit::NotSent => "nothing was sent because no quorum is reachable",
            Exit::Unverified => "verification failed",
            Exit::Overloaded => "overloaded",
            Exit::Auth => "auth",
            Exit::Config => "bad config, genesis or key file",
            Exit::Interrupted => "interrupted",
        }
    }

    /// What it means and what to do, for the reference.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "it was done",
            Exit::Internal => "a fault of this program, of this machine, or of the node that was asked",
            Exit::Usage => "the command line was not understood",
            Exit::NotFound => "what was asked for does not exist",
            Exit::NotApplied => {
                "not applied for certain: failed with a receipt, certified expired, refused by f + 1 validators for its \
                 bytes alone, or not sent because they do not know its sender"
            }
            Exit::Unknown => {
                "sent, and no certified outcome is known yet: `quorate tx wait ID`, never a new transaction"
            }
            Exit::NotSent => {
                "nothing was sent, because no quorum can be reached; for a read: no node answers, or none has the height \
                 that is wanted yet; try again"
            }
            Exit::Unverified => "a proof does not hold",
            Exit::Overloaded => "the nodes have no room at the moment; `quorate tx wait ID` sends the same bytes again",
            Exit::Auth => "the node wants credentials",
            Exit::Config => "a configuration, genesis or key file is bad",
            Exit::Interrupted => "interrupted; the last line says whether something was sent",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for, and what to do about it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// A stable snake_case code for programs.
    pub code: String,
    /// What is wrong, naming the thing and the reason.
    pub message: String,
    /// What the user can do now.
    pub hint: String,
    /// What is known about the transaction that was to be sent, where one was.
    pub outcome: Option<KnownOutcome>,
    /// The transaction's state as far as it is known, where the failure is about one.
    pub data: Option<Box<TransactionResponse>>,
}

impl Failure {
    /// A failure without transaction data.
    pub fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let outcome = match exit {
            Exit::NotApplied => Some(KnownOutcome::NotApplied),
            Exit::Unknown => Some(KnownOutcome::Unknown),
            _ => None,
        };
        Failure { exit, code: code.into(), message: message.into(), hint: hint.into(), outcome, data: None }
    }

    /// The command line cannot be carried out as written.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, "usage", message, hint)
    }

    /// A file that this program depends on is bad.
    pub fn config(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::new(Exit::Config, code, message, hint)
    }

    /// A fault of this machine or program.
    pub fn internal(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::new(Exit::Internal, "internal", message, hint)
    }

    /// A proof that does not hold.
    pub fn unverified(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::new(Exit::Unverified, "verification_failed", message, hint)
    }

    /// The same failure of a command that sends, with what is known about the transaction.
    pub fn with_outcome(mut self, outcome: KnownOutcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// The same failure with the transaction's state beside it.
    pub fn with_data(mut self, data: TransactionResponse) -> Self {
        self.data = Some(Box::new(data));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_listed_once_and_every_code_of_a_node_has_one() {
        assert!(Exit::ALL.windows(2).all(|two| (two[0] as u8) < two[1] as u8));
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit as u8), exit);
        }
        assert_eq!(Exit::from_code(77), Exit::Internal);
        for &code in Code::ALL {
            for asked in [Asked::Read, Asked::Submission] {
                assert_eq!(Exit::of(code, asked) as u8, code.exit_code(asked), "{code}");
            }
        }
    }
}
