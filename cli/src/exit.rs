//! How the command ends: exit codes that scripts may rely on, and the failure that carries one.

use std::fmt;
use std::process::ExitCode;

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
    /// Nothing was sent, because no quorum can be reached.
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
    /// The meaning of an exit code; what has none is an internal fault.
    pub fn from_code(code: u8) -> Exit {
        use Exit::*;
        let all =
            [Success, Usage, NotFound, NotApplied, Unknown, NotSent, Unverified, Overloaded, Auth, Config, Interrupted];
        all.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Internal)
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
    /// The transaction's state as far as it is known, where the failure is about one.
    pub data: Option<Box<TransactionResponse>>,
}

impl Failure {
    /// A failure without transaction data.
    pub fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure { exit, code: code.into(), message: message.into(), hint: hint.into(), data: None }
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
