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

#[cfg(test)]
mod tests {
    use quorate_crypto::encode::{BoundedString, BoundedVec};
    use quorate_crypto::key::SecretKey;
    use quorate_protocol::document::Transaction;

    use super::*;
    use crate::exit::Exit;

    fn signed(valid_until: u64) -> SignedTransaction {
        let key = SecretKey::from_seed([7; 32]);
        let transaction = Transaction {
            chain_id: Digest::ZERO,
            sender: key.public_key(),
            valid_until,
            salt: 1,
            operations: BoundedVec::new(),
            memo: BoundedString::new(),
        };
        SignedTransaction::sign(transaction, &key)
    }

    fn outbox() -> (tempfile::TempDir, Outbox) {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(dir.path().join("state/outbox"));
        (dir, outbox)
    }

    #[test]
    fn what_is_kept_is_found_byte_for_byte_until_it_is_forgotten() {
        let (_dir, outbox) = outbox();
        let transaction = signed(1_000);
        assert_eq!(outbox.find(&transaction.id()).unwrap(), None);
        outbox.keep(&transaction).unwrap();
        outbox.keep(&transaction).unwrap();
        let found = outbox.find(&transaction.id()).unwrap().unwrap();
        assert_eq!(encode::encode(&found), encode::encode(&transaction));
        outbox.forget(&transaction.id());
        assert_eq!(outbox.find(&transaction.id()).unwrap(), None);
    }

    #[test]
    fn entries_long_past_their_time_go_and_foreign_files_stay() {
        let (_dir, outbox) = outbox();
        let (old, recent) = (signed(1_000), signed(KEPT_MS));
        outbox.keep(&old).unwrap();
        fs::write(outbox.dir.join("notes.txt"), "mine").unwrap();
        outbox.keep(&recent).unwrap();
        assert!(outbox.find(&old.id()).unwrap().is_some(), "30 days are not over");
        outbox.keep(&signed(1_001 + KEPT_MS)).unwrap();
        assert_eq!(outbox.find(&old.id()).unwrap(), None);
        assert!(outbox.find(&recent.id()).unwrap().is_some());
        assert!(outbox.dir.join("notes.txt").exists());
    }

    #[test]
    fn a_damaged_entry_is_refused_and_never_sent() {
        let (_dir, outbox) = outbox();
        let (transaction, other) = (signed(1_000), signed(2_000));
        outbox.keep(&transaction).unwrap();
        let path = outbox.path(&transaction.id());
        let good = fs::read_to_string(&path).unwrap();
        let hex = good.find("\"transaction\"").unwrap() + 40;
        let mut flipped = good.clone().into_bytes();
        flipped[hex] = if flipped[hex] == b'0' { b'1' } else { b'0' };
        let newer = good.replace("\"version\": 1", "\"version\": 2");
        for bad in [flipped, newer.into_bytes(), b"{".to_vec(), Vec::new()] {
            fs::write(&path, bad).unwrap();
            assert_eq!(outbox.find(&transaction.id()).unwrap_err().exit, Exit::Config);
        }
        outbox.keep(&other).unwrap();
        fs::copy(outbox.path(&other.id()), &path).unwrap();
        assert!(outbox.find(&transaction.id()).unwrap_err().message.contains("another transaction"));
    }
}
