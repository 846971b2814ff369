//! The journal of a batch: what was signed and sent, and what became of it, on disk before the first byte is sent. So
//! running a batch again goes on where it ended and sends nothing twice.
//!
//! One JSON object a line. A last line that was cut was never synced, so what it speaks of never left; it is dropped.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use quorate_crypto::encode;
use quorate_crypto::hash::Digest;
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::SignedTransaction;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::files;

/// The version of the form that is read and written.
const VERSION: u32 = 1;
/// The longest journal that is read, in bytes.
const JOURNAL_BYTES_MAX: u64 = 512 << 20;

#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case", deny_unknown_fields)]
enum Record {
    /// The first line.
    Batch { version: u32, chain_id: Digest },
    /// These bytes may be sent from now on.
    Signed { item: Digest, transaction: String },
    /// What became of them, for certain.
    Settled { item: Digest, outcome: Box<TransactionResponse> },
}

/// How far an item of the batch is.
#[derive(Clone, Debug)]
pub enum Standing {
    /// These bytes were signed, and may have been sent.
    Signed(Box<SignedTransaction>),
    /// It was applied or failed, for certain; without its receipt.
    Settled(Box<TransactionResponse>),
}

/// The journal of one batch, locked as long as this lives.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    standings: BTreeMap<Digest, Standing>,
    /// Why nothing more is written: after a failed write nobody knows how much of a line the file has, and a line behind a half one
    /// would make both unreadable. The next run cuts it off.
    stopped: Option<Failure>,
}

impl Journal {
    /// Opens or starts the journal of a batch on this chain.
    ///
    /// # Errors
    /// Exit code 2 when another run has it, 10 when it is damaged or of another chain, 1 when it cannot be written.
    pub fn open(path: &Path, chain_id: Digest) -> Result<Journal, Failure> {
        use std::os::unix::fs::OpenOptionsExt;
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = opened.map_err(|error| cannot(path, &error.to_string()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(
                    Exit::Usage,
                    "journal_in_use",
                    format!("another run of this batch is at work: it has {}", path.display()),
                    "wait until it has ended",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(path, &error.to_string())),
        }
        let mut journal = Journal { path: path.to_owned(), file, standings: BTreeMap::new(), stopped: None };
        let lines = journal.read()?;
        journal.replay(&lines, chain_id)?;
        if lines.is_empty() {
            journal.append(&Record::Batch { version: VERSION, chain_id })?;
            journal.sync()?;
            files::sync_folder_of(path).map_err(|error| cannot(path, &error.to_string()))?;
        }
        Ok(journal)
    }

    /// How far this item is, where it was begun.
    pub fn standing(&self, item: &Digest) -> Option<&Standing> {
        self.standings.get(item)
    }

    /// Notes, durably, that these bytes may be sent from now on.
    ///
    /// # Errors
    /// When it cannot be written; then they must not be sent.
    pub fn sign(&mut self, item: Digest, signed: &SignedTransaction) -> Result<(), Failure> {
        self.append(&Record::Signed { item, transaction: hex::encode(encode::encode(signed)) })?;
        self.sync()?;
        self.standings.insert(item, Standing::Signed(Box::new(signed.clone())));
        Ok(())
    }

    /// Notes a certain outcome. One that a crash takes away is found out again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn settle(&mut self, item: Digest, outcome: &TransactionResponse) -> Result<(), Failure> {
        let outcome = Box::new(TransactionResponse { receipt: None, ..outcome.clone() });
        self.append(&Record::Settled { item, outcome })
    }

    /// The whole lines; what follows them is cut off.
    fn read(&mut self) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut self.file).take(JOURNAL_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| cannot(&self.path, &error.to_string()))?;
        if bytes.len() as u64 > JOURNAL_BYTES_MAX {
            return Err(self.damaged(0, "it is longer than any that this program writes"));
        }
        bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
        let end = bytes.len() as u64;
        let cut = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end)));
        cut.map_err(|error| cannot(&self.path, &error.to_string()))?;
        String::from_utf8(bytes).map_err(|_| self.damaged(0, "it is no text"))
    }

    fn replay(&mut self, lines: &str, chain: Digest) -> Result<(), Failure> {
        for (index, line) in lines.lines().enumerate() {
            let record: Record =
                serde_json::from_str(line).map_err(|error| self.damaged(index + 1, &error.to_string()))?;
            match record {
                Record::Batch { version: VERSION, chain_id } if index == 0 && chain_id == chain => {}
                Record::Batch { version: VERSION, .. } if index == 0 => {
                    return Err(self.damaged(1, "it is about another chain"));
                }
                Record::Signed { item, transaction } if index > 0 => {
                    let bytes =
                        hex::decode(transaction).map_err(|error| self.damaged(index + 1, &error.to_string()))?;
                    let signed = encode::decode(&bytes).map_err(|error| self.damaged(index + 1, &error.to_string()))?;
                    self.standings.insert(item, Standing::Signed(Box::new(signed)));
                }
                Record::Settled { item, outcome } if index > 0 => self.note(item, *outcome),
                _ => return Err(self.damaged(index + 1, "this line does not belong here, or is of another version")),
            }
        }
        Ok(())
    }

    fn note(&mut self, item: Digest, outcome: TransactionResponse) {
        match outcome.status {
            TransactionStatus::Applied | TransactionStatus::Failed => {
                self.standings.insert(item, Standing::Settled(Box::new(outcome)));
            }
            // It never applies, so it may be signed anew.
            _ => drop(self.standings.remove(&item)),
        }
    }

    fn append(&mut self, record: &Record) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(record).map_err(|error| cannot(&self.path, &error.to_string()))?;
        line.push(b'\n');
        if let Some(failure) = &self.stopped {
            return Err(failure.clone());
        }
        let written = self.file.write_all(&line);
        self.stop_on_failure(written)
    }

    fn sync(&mut self) -> Result<(), Failure> {
        let synced = self.file.sync_data();
        self.stop_on_failure(synced)
    }

    fn stop_on_failure(&mut self, result: std::io::Result<()>) -> Result<(), Failure> {
        result.map_err(|error| self.stopped.insert(cannot(&self.path, &error.to_string())).clone())
    }

    fn damaged(&self, line: usize, reason: &str) -> Failure {
        let place = if line == 0 { String::new() } else { format!(", line {line}") };
        Failure::config(
            "bad_journal",
            format!("the journal {}{place} cannot be used: {reason}", self.path.display()),
            "restore it: without it, it is not known which transactions of the batch were sent",
        )
    }
}

fn cannot(path: &Path, reason: &str) -> Failure {
    Failure::internal(
        format!("the journal {} cannot be kept: {reason}", path.display()),
        "check the folder's permissions and the free space, or name another file with --journal",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quorate_crypto::encode::{BoundedString, BoundedVec};
    use quorate_crypto::hash::sha256;
    use quorate_crypto::key::SecretKey;
    use quorate_protocol::api::code::Code;
    use quorate_protocol::document::Transaction;

    use super::*;

    fn signed(salt: u64) -> SignedTransaction {
        let key = SecretKey::from_seed([7; 32]);
        let (chain_id, operations, memo) = (Digest::ZERO, BoundedVec::new(), BoundedString::new());
        let transaction =
            Transaction { chain_id, sender: key.public_key(), valid_until: 1_000, salt, operations, memo };
        SignedTransaction::sign(transaction, &key)
    }

    fn outcome(salt: u64, status: TransactionStatus) -> TransactionResponse {
        TransactionResponse { code: Some(Code::Expired), ..TransactionResponse::new(signed(salt).id(), status) }
    }

    #[test]
    fn what_was_noted_is_known_again_and_what_expired_may_be_signed_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let item = |byte: u8| sha256(&[byte]);
        let mut journal = Journal::open(&path, Digest::ZERO).unwrap();
        for number in 0..3 {
            journal.sign(item(number), &signed(u64::from(number))).unwrap();
        }
        journal.settle(item(1), &outcome(1, TransactionStatus::Applied)).unwrap();
        journal.settle(item(2), &outcome(2, TransactionStatus::Expired)).unwrap();
        assert_eq!(Journal::open(&path, Digest::ZERO).unwrap_err().code, "journal_in_use");
        drop(journal);
        let journal = Journal::open(&path, Digest::ZERO).unwrap();
        assert!(matches!(journal.standing(&item(0)), Some(Standing::Signed(bytes)) if **bytes == signed(0)));
        assert!(matches!(journal.standing(&item(1)), Some(Standing::Settled(_))));
        assert!(journal.standing(&item(2)).is_none());
        drop(journal);
        assert!(Journal::open(&path, item(9)).unwrap_err().message.contains("another chain"));
    }

    #[test]
    fn a_cut_last_line_never_left_and_damage_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (first, second) = (sha256(b"1"), sha256(b"2"));
        let mut journal = Journal::open(&path, Digest::ZERO).unwrap();
        journal.sign(first, &signed(1)).unwrap();
        journal.sign(second, &signed(2)).unwrap();
        drop(journal);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        let mut journal = Journal::open(&path, Digest::ZERO).unwrap();
        assert!(journal.standing(&first).is_some() && journal.standing(&second).is_none());
        journal.sign(second, &signed(2)).unwrap();
        drop(journal);
        assert_eq!(fs::read(&path).unwrap(), good);
        let middle = good.iter().position(|&byte| byte == b'\n').unwrap() + 40;
        let mut bad = good;
        bad[middle] = b'"';
        fs::write(&path, bad).unwrap();
        let failure = Journal::open(&path, Digest::ZERO).unwrap_err();
        assert!(failure.exit == Exit::Config && failure.message.contains("line 2"), "{failure:?}");
    }

    /// A full disk takes half a line. When there is space again, a whole line behind it would make both unreadable, and with them
    /// the record of what was sent.
    #[test]
    fn after_a_failed_write_nothing_more_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let item = sha256(b"1");
        let mut journal = Journal::open(&path, Digest::ZERO).unwrap();
        let good = std::mem::replace(&mut journal.file, File::open(&path).unwrap());
        assert!(journal.sign(item, &signed(1)).is_err(), "that handle only reads");
        journal.file = good;
        assert!(journal.sign(item, &signed(1)).is_err(), "the next write might stand behind half a line");
        assert!(journal.standing(&item).is_none());
        drop(journal);
        Journal::open(&path, Digest::ZERO).unwrap().sign(item, &signed(1)).unwrap();
    }
}
