//! What can go wrong with a journal.

use std::io;

use quorate_crypto::hash::Digest;

/// Why the journal could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk reported a failure.
    #[error("vote journal: {what}: {reason}; nothing more is signed until the node is restarted on a disk that works")]
    Io {
        /// The operation and the file.
        what: String,
        /// The system's word.
        reason: String,
    },
    /// The disk is full.
    #[error(
        "vote journal: {what}: the disk is full; nothing more is signed until the node is restarted with free space"
    )]
    Full {
        /// The operation and the file.
        what: String,
    },
    /// An earlier operation failed, and what is on the disk is not known until it is read again.
    #[error("vote journal: stopped after an earlier failure ({reason}); restart the node")]
    Stopped {
        /// The earlier failure.
        reason: String,
    },
    /// An entry is larger than a frame may be, or what is carried is larger than a segment. Nothing was written.
    #[error("vote journal: {bytes} bytes do not fit in {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The journal is of another version of this program.
    #[error(
        "vote journal: its format is version {found}, this program knows version {known}; run the program that wrote it, \
         never delete it"
    )]
    Version {
        /// The version on disk.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The journal belongs to another key.
    #[error(
        "vote journal: it belongs to another key ({found}); put the journal and the consensus key of one node together"
    )]
    Foreign {
        /// The identity on disk.
        found: Digest,
    },
    /// An entry is whole and yet not what this program writes.
    #[error(
        "vote journal: entry of frame {frame} cannot be read: {reason}; run the version of the program that wrote it"
    )]
    Undecodable {
        /// The number of the frame.
        frame: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// [`Journal::create`](super::Journal::create) where there is a journal already.
    #[error("vote journal: there is one already ({name}); a journal is made once, with its key")]
    Exists {
        /// A file of the existing journal.
        name: String,
    },
    /// The sizes asked for cannot work.
    #[error("vote journal: {0}")]
    Options(&'static str),
}

impl JournalError {
    /// The error for what the system said about an operation.
    pub(super) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        let what = what.into();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { what },
            _ => Self::Io { what, reason: error.to_string() },
        }
    }
}
