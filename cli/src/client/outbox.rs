//! The outbox: signed transactions on disk before they are sent, until their outcome is certain.
//! So a time-out or a crash can always be followed by `quorate tx wait ID`, which sends the very same bytes again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

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
/// The most entries that an outbox holds.
const ENTRIES_MAX: usize = 10_000;

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

/// An entry without its bytes: a transaction that has no certain outcome yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Kept {
    /// The transaction.
    pub id: TransactionId,
    /// Until when it may be executed, Unix milliseconds of block time.
    pub valid_until: u64,
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

    /// A file of this name beside the outbox, for what else is to be remembered.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.with_file_name(name)
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
        self.make_room(body.valid_until)?;
        let path = self.path(&entry.id);
        let written = fs::create_dir_all(&self.dir)
            .and_then(|()| serde_json::to_vec_pretty(&entry).map_err(Into::into))
            .and_then(|bytes| files::write(&path, &bytes));
        written.map_err(|error| {
            Failure::internal(
                format!("nothing was sent: the signed transaction cannot be kept in {}: {error}", path.display()),
                "check the directory's permissions and the free space",
            )
        })
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

    /// What has no certain outcome yet, the first to expire first, and the entries that are damaged, with the reason.
    ///
    /// # Errors
    /// Exit code 1 when the directory cannot be read.
    pub fn list(&self) -> Result<(Vec<Kept>, Vec<Failure>), Failure> {
        let (mut kept, mut damaged) = (Vec::new(), Vec::new());
        for path in self.entries() {
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            match id.map(|id| self.find(&TransactionId(id))) {
                Some(Ok(Some(found))) => kept.push(Kept { id: found.id(), valid_until: found.valid_until() }),
                Some(Err(failure)) => damaged.push(failure),
                Some(Ok(None)) | None => {}
            }
        }
        kept.sort_unstable_by_key(|kept| (kept.valid_until, kept.id));
        Ok((kept, damaged))
    }

    /// The files that look like entries; none where there is no directory yet.
    fn entries(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .take(2 * ENTRIES_MAX)
            .collect()
    }

    /// Removes the entries whose `valid_until` lies more than [`KEPT_MS`] before `now`; what cannot be read stays.
    ///
    /// # Errors
    /// Exit code 10 when there are too many that are younger: none of them may be lost.
    fn make_room(&self, now: u64) -> Result<(), Failure> {
        let mut left = 0;
        for path in self.entries() {
            if is_old(&path, now) && fs::remove_file(&path).is_ok() {
                continue;
            }
            left += 1;
        }
        if left < ENTRIES_MAX {
            return Ok(());
        }
        Err(Failure::config(
            "outbox_full",
            format!("nothing was sent: {} holds {left} transactions without a certain outcome", self.dir.display()),
            "`quorate tx list` shows them; `quorate tx wait ID` brings one to its outcome and takes it away",
        ))
    }
}

fn is_old(path: &Path, now: u64) -> bool {
    // A file as young as that is not opened: a transaction is valid for minutes, so its entry is no older than its file.
    let written = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let age =
        written.and_then(|written| UNIX_EPOCH.checked_add(Duration::from_millis(now))?.duration_since(written).ok());
    if age.is_none_or(|age| age < Duration::from_millis(KEPT_MS)) {
        return false;
    }
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
        let now = crate::clock::now_ms();
        let (old, recent) = (signed(now), signed(now + KEPT_MS));
        outbox.keep(&old).unwrap();
        fs::write(outbox.dir.join("notes.txt"), "mine").unwrap();
        outbox.keep(&recent).unwrap();
        assert!(outbox.find(&old.id()).unwrap().is_some(), "30 days are not over");
        outbox.keep(&signed(now + KEPT_MS + 60_000)).unwrap();
        assert_eq!(outbox.find(&old.id()).unwrap(), None);
        assert!(outbox.find(&recent.id()).unwrap().is_some());
        assert!(outbox.dir.join("notes.txt").exists());
    }

    #[test]
    fn a_full_outbox_loses_none_and_takes_no_more() {
        let (_dir, outbox) = outbox();
        fs::create_dir_all(&outbox.dir).unwrap();
        for number in 0..ENTRIES_MAX {
            fs::write(outbox.dir.join(format!("{number}.json")), "").unwrap();
        }
        assert_eq!(outbox.keep(&signed(1_000)).unwrap_err().code, "outbox_full");
        fs::remove_file(outbox.dir.join("7.json")).unwrap();
        outbox.keep(&signed(1_000)).unwrap();
    }

    #[test]
    fn what_waits_is_listed_by_its_end() {
        let (_dir, outbox) = outbox();
        assert_eq!(outbox.list().unwrap().0, []);
        let (late, early) = (signed(2_000), signed(1_000));
        outbox.keep(&late).unwrap();
        outbox.keep(&early).unwrap();
        fs::write(outbox.path(&TransactionId(Digest::ZERO)), "{").unwrap();
        let (_, damaged) = outbox.list().unwrap();
        let kept =
            |transaction: &SignedTransaction| Kept { id: transaction.id(), valid_until: transaction.valid_until() };
        assert_eq!(outbox.list().unwrap().0, [kept(&early), kept(&late)]);
        assert_eq!((damaged.len(), kept(&early).valid_until), (1, 1_000));
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
