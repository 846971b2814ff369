//! The outbox: signed transactions on disk before they are sent, until their outcome is certain.
//! So a time-out or a crash can always be followed by `quorate tx wait ID`, which sends the very same bytes again.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_crypto::encode;
use quorate_crypto::hash::Digest;
use quorate_protocol::document::transaction::SignedTransaction;
use quorate_protocol::id::TransactionId;
use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::files::{self, SMALL_FILE_BYTES_MAX};

/// The version of an entry's form.
const VERSION: u32 = 1;
/// How long after its `valid_until` an entry is kept, in milliseconds: 30 days.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: u32,
    id: TransactionId,
    chain_id: Digest,
    /// Unix milliseconds of block time.
    valid_until: u64,
    /// The canonical bytes of the signed transaction as hex.
    transaction: String,
}

#[derive(Deserialize)]
struct EntryTime {
    valid_until: u64,
}

/// A directory of entries, one file for each transaction.
#[derive(Clone, Debug)]
pub struct Outbox {
    dir: PathBuf,
}

impl Outbox {
    /// The outbox in this directory, which need not exist yet.
    pub fn new(dir: PathBuf) -> Self {
        Outbox { dir }
    }

    /// The user's own outbox: `$XDG_STATE_HOME/quorate/outbox`, or the same below `~/.local/state`.
    ///
    /// # Errors
    /// Exit code 10 when neither variable is set.
    pub fn of_user() -> Result<Self, Failure> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
        state.map(|state| Outbox::new(state.join("quorate/outbox"))).ok_or_else(|| {
            Failure::config(
                "no_state_directory",
                "there is no place to keep the signed transaction: neither XDG_STATE_HOME nor HOME is set",
                "set XDG_STATE_HOME to a directory of yours, or use --testnet DIR",
            )
        })
    }

    /// The file of this transaction.
    pub fn path(&self, id: &TransactionId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// Keeps the signed transaction, durably, and forgets entries whose time is long past.
    ///
    /// # Errors
    /// When it cannot be written; then it must not be sent.
    pub fn keep(&self, transaction: &SignedTransaction) -> Result<(), Failure> {
        let body = transaction.transaction();
        let entry = Entry {
            version: VERSION,
            id: transaction.id(),
            chain_id: body.chain_id,
            valid_until: body.valid_until,
            transaction: hex::encode(encode::encode(transaction)),
        };
        let path = self.path(&entry.id);
        let written = fs::create_dir_all(&self.dir)
            .and_then(|()| serde_json::to_vec_pretty(&entry).map_err(Into::into))
            .and_then(|bytes| files::write(&path, &bytes));
        written.map_err(|error| {
            Failure::internal(
                format!("nothing was sent: the signed transaction cannot be kept in {}: {error}", path.display()),
                "check the directory's permissions and the free space",
            )
        })?;
        self.forget_old(body.valid_until);
        Ok(())
    }

    /// The kept transaction of this id, where there is one.
    ///
    /// # Errors
    /// Exit code 10 when the entry is damaged.
    pub fn find(&self, id: &TransactionId) -> Result<Option<SignedTransaction>, Failure> {
        let path = self.path(id);
        let bad = |reason: String| {
            Failure::config(
                "bad_outbox_entry",
                format!("{} cannot be used: {reason}", path.display()),
                "remove the file; the transaction can still be looked up, but not be sent again",
            )
        };
        let bytes = match files::read(&path, SMALL_FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(bad(error.to_string())),
        };
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if entry.version != VERSION {
            return Err(bad(format!("it has version {}, this program reads version {VERSION}", entry.version)));
        }
        let bytes = hex::decode(&entry.transaction).map_err(|error| bad(error.to_string()))?;
        let transaction: SignedTransaction = encode::decode(&bytes).map_err(|error| bad(error.to_string()))?;
        if transaction.id() != *id {
            return Err(bad("it holds another transaction".to_owned()));
        }
        Ok(Some(transaction))
    }

    /// Forgets a transaction whose outcome is certain. A file that stays does no harm.
    pub fn forget(&self, id: &TransactionId) {
        let _ = fs::remove_file(self.path(id));
    }

    /// Removes the entries whose `valid_until` lies more than [`KEPT_MS`] before `now`; what cannot be read stays.
    fn forget_old(&self, now: u64) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if is_old(&path, now) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn is_old(path: &Path, now: u64) -> bool {
    let read = files::read(path, SMALL_FILE_BYTES_MAX).ok();
    let entry = read.and_then(|bytes| serde_json::from_slice::<EntryTime>(&bytes).ok());
    entry.is_some_and(|entry| entry.valid_until.saturating_add(KEPT_MS) < now)
}
