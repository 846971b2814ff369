//! What can be wrong with a chain store so that the node has to make it anew.

use std::fmt;
use std::path::PathBuf;

use quorate_protocol::document::Header;
use quorate_protocol::pbft::output::Divergence;
use thiserror::Error;

/// Something that no operator's hand but a new copy of the chain mends.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This node's block is not the certified one (PROTOCOL 4.5).
    Diverged {
        /// Where, and both hashes.
        divergence: Divergence,
        /// The header computed here, where it never came into the store.
        header: Option<Box<Header>>,
    },
    /// What was read is not what was written.
    Damaged(String),
}

impl Fault {
    /// One word for the record and the log.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Diverged { .. } => "diverged",
            Fault::Damaged(_) => "damaged",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Diverged { divergence, .. } => divergence.fmt(f),
            Fault::Damaged(reason) => f.write_str(reason),
        }
    }
}

/// Why the chain store is not made anew.
#[derive(Debug, Error)]
pub enum RepairError {
    /// It was done before.
    #[error(
        "the chain store was at fault twice: first {first}; then {second}. Nothing is signed any more. A machine that \
         does this again computes or stores wrongly: check its memory and its disk. Keep {} and {} (and {} from the first \
         time) for analysis: move them out of the home. Then the node starts, fetches the chain again and votes",
        record.display(), chain.display(), aside.display()
    )]
    Again {
        /// The first fault.
        first: String,
        /// The second.
        second: String,
        /// The file that remembers.
        record: PathBuf,
        /// The store of the second fault.
        chain: PathBuf,
        /// The store of the first.
        aside: PathBuf,
    },
    /// There is nobody to fetch the chain from.
    #[error(
        "{fault}. This chain has no other validator to fetch it from: put a copy of {} back that was made before, or make a \
         new chain",
        chain.display()
    )]
    Alone {
        /// What is wrong.
        fault: String,
        /// The store.
        chain: PathBuf,
    },
}
