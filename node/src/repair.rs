//! Making the chain store anew when it is at fault (PROTOCOL 4.5).
//!
//! The first time the store is moved aside, never deleted, and the node fetches the chain again from the genesis on, each
//! block with its certificate. The vote journal stays: its floor forbids signing until the blocks are back (PROTOCOL 7.2).
//! A machine that computes or stores wrongly does so again, so the second time the node stops for good. A file in its home
//! remembers.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use quorate_crypto::hash::Digest;
use quorate_protocol::document::Header;
use quorate_protocol::id::Height;
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::store::Store;
use quorate_storage::data::{DataDirectory, DataError};
use quorate_storage::rocks::{RocksStore, StoreOptions};
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::config::ConfigError;
use crate::fault::{Fault, RepairError};
use crate::home::{Home, HomeError};

/// What the record says of itself.
const MAGIC: &str = "quorate store faults";
/// The version of the record.
const VERSION: u32 = 1;
/// The record of two faults takes some 3 KiB.
const RECORD_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of evidence that are taken over into the new store.
const EVIDENCE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The file that remembers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    magic: String,
    version: u32,
    /// The first fault, and the second, which ends the node.
    faults: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Unix milliseconds.
    time: u64,
    /// `diverged` or `damaged`.
    what: String,
    /// In words.
    reason: String,
    height: Option<Height>,
    own_header_hash: Option<Digest>,
    certified_header_hash: Option<Digest>,
    /// The header that this node computed.
    own_header: Option<Header>,
    /// Whether the store is moved aside already.
    set_aside: bool,
}

/// Before a node starts: refuses after a second fault, and finishes a move that was interrupted.
///
/// # Errors
/// See [`RepairError`]; or the record cannot be read.
pub fn check(home: &Home) -> Result<(), HomeError> {
    let Some(record) = load(home)? else { return Ok(()) };
    match &record.faults[..] {
        [first, second, ..] => Err(again(home, first, second).into()),
        [only] if !only.set_aside && home.data().exists() => finish(home, record, Vec::new()),
        _ => Ok(()),
    }
}

/// Moves the chain store aside and makes an empty one, which keeps the evidence. The node must be stopped.
///
/// # Errors
/// [`RepairError::Again`] the second time; or the disk's error.
pub fn set_aside(home: &Home, fault: &Fault) -> Result<(), HomeError> {
    let data = DataDirectory::open(home.data())?;
    let mut record = load(home)?.unwrap_or(Record { magic: MAGIC.to_owned(), version: VERSION, faults: Vec::new() });
    let alone = home.genesis()?.validators.n() == 1;
    if alone {
        return Err(RepairError::Alone { fault: fault.to_string(), chain: data.chain() }.into());
    }
    if record.faults.is_empty() && data.chain_aside().exists() {
        return Err(DataError::Aside { path: data.chain_aside() }.into());
    }
    let (header, evidence) = salvage(&data.chain(), fault);
    record.faults.push(Entry::new(fault, header));
    // Durable before anything moves: from here on this counts.
    save(home, &record)?;
    if let [first, second, ..] = &record.faults[..] {
        return Err(again(home, first, second).into());
    }
    error!(what = fault.name(), %fault, "the chain store is moved aside; the chain is fetched again from the peers");
    drop(data);
    finish(home, record, evidence)
}

/// Moves the store, unless a crash came after that, and notes it.
fn finish(home: &Home, mut record: Record, evidence: Vec<Evidence>) -> Result<(), HomeError> {
    let data = DataDirectory::open(home.data())?;
    if !data.chain_aside().exists() {
        data.set_chain_aside()?;
        let store = RocksStore::open(&data.chain(), StoreOptions::default())?;
        for piece in &evidence {
            store.put_evidence(piece)?;
        }
    }
    record.faults.iter_mut().for_each(|entry| entry.set_aside = true);
    save(home, &record)
}

/// What is worth keeping of a store at fault, as far as it can be read: the header that this node made, and evidence.
fn salvage(chain: &Path, fault: &Fault) -> (Option<Header>, Vec<Evidence>) {
    let computed = match fault {
        Fault::Diverged { header: Some(header), .. } => Some((**header).clone()),
        _ => None,
    };
    let store = match RocksStore::open(chain, StoreOptions::default()) {
        Ok(store) => store,
        Err(error) => {
            warn!(%error, "the store at fault cannot be opened; evidence in it stays in the copy that is kept");
            return (computed, Vec::new());
        }
    };
    let stored = match fault {
        Fault::Diverged { divergence, .. } => store.header(divergence.height).ok().flatten(),
        Fault::Damaged(_) => None,
    };
    let evidence = store.evidence(EVIDENCE_BYTES_MAX).map(|list| list.pieces).unwrap_or_else(|error| {
        warn!(%error, "evidence cannot be read; it stays in the copy that is kept");
        Vec::new()
    });
    (computed.or(stored), evidence)
}

fn again(home: &Home, first: &Entry, second: &Entry) -> RepairError {
    let data = home.data();
    RepairError::Again {
        first: first.reason.clone(),
        second: second.reason.clone(),
        record: home.faults_file(),
        chain: data.join("chain"),
        aside: data.join("chain.aside"),
    }
}

impl Entry {
    fn new(fault: &Fault, own_header: Option<Header>) -> Entry {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let divergence = match fault {
            Fault::Diverged { divergence, .. } => Some(divergence),
            Fault::Damaged(_) => None,
        };
        Entry {
            time: now,
            what: fault.name().to_owned(),
            reason: fault.to_string(),
            height: divergence.map(|divergence| divergence.height),
            own_header_hash: divergence.map(|divergence| divergence.own),
            certified_header_hash: divergence.map(|divergence| divergence.certified),
            own_header,
            set_aside: false,
        }
    }
}

fn load(home: &Home) -> Result<Option<Record>, ConfigError> {
    let path = home.faults_file();
    let remedy = "move the file away if the machine is known to be sound; the node then forgets what was wrong before";
    let bad = |reason: String| ConfigError::new(&path, "the record of faults", reason, remedy);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(error.to_string())),
    }
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    if record.magic != MAGIC || record.version != VERSION || record.faults.is_empty() {
        return Err(bad(format!("it is no such record of version {VERSION}")));
    }
    Ok(Some(record))
}

/// Replaces the record, durably.
fn save(home: &Home, record: &Record) -> Result<(), HomeError> {
    let path = home.faults_file();
    let draft = path.with_extension("new");
    let text = serde_json::to_string_pretty(record).map_err(std::io::Error::other);
    let written = text.and_then(|text| {
        let mut file = File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(home.path())?.sync_all()
    });
    written.map_err(|error| ConfigError::new(&path, "the record of faults", error, "check the disk").into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> String {
        let hash = Some(Digest::ZERO);
        let entry = |what: &str| Entry {
            time: 7,
            what: what.to_owned(),
            reason: "in words".to_owned(),
            height: Some(Height(9)),
            own_header_hash: hash,
            certified_header_hash: hash,
            own_header: None,
            set_aside: true,
        };
        let faults = vec![entry("diverged"), entry("damaged")];
        serde_json::to_string_pretty(&Record { magic: MAGIC.to_owned(), version: VERSION, faults }).unwrap()
    }

    /// What is read of these bytes, as it would be written.
    fn read(bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::write(home.faults_file(), bytes).unwrap();
        match load(&home) {
            Ok(record) => Some(serde_json::to_string_pretty(&record.expect("the file is there")).unwrap()),
            Err(error) => {
                assert!(error.file == home.faults_file() && !error.remedy.is_empty(), "{error}");
                None
            }
        }
    }

    #[test]
    fn a_record_is_read_whole_and_of_this_version_only() {
        assert_eq!(read(record().as_bytes()), Some(record()));
        let empty = "{\"magic\": \"quorate store faults\", \"version\": 1, \"faults\": []}";
        for bad in [&record().replace("\"version\": 1", "\"version\": 2"), &record().replace(MAGIC, "magic"), empty] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(read(&b" ".repeat(RECORD_BYTES_MAX as usize + 1)), None);
        assert_eq!(read(&b"[".repeat(60_000)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Which means that a node never starts on a record that it has not understood.
        #[test]
        fn a_damaged_record_is_refused_or_read_as_what_it_says(
            bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            read(&bytes);
            let mut changed = record().into_bytes();
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Some(again) = read(&changed) {
                prop_assert_eq!(read(again.as_bytes()), Some(again));
            }
            prop_assert_eq!(read(&changed[..at]), None);
        }
    }
}
