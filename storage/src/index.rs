//! The index of executed transactions and of headers, by hash.
//!
//! Hashes have no order that a database could profit from: put one by one they would cost more than everything else that a block
//! writes. So the newest entries are held in memory, and when there are enough, a thread writes them as one sorted file and
//! gives that to the database. Blocks are durable before their entries come here, and after a start the entries above the
//! recorded height are collected from the blocks again; a file that was added twice, or not at all, does no harm.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use quorate_crypto::fast::FastMap;
use quorate_crypto::hash::Digest;
use quorate_protocol::document::Position;
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::store::StoreError;
use rocksdb::{DB, IngestExternalFileOptions, SstFileWriter};

use crate::database::{failed, family, family_options};
use crate::schema::{self, Family, Kind};

/// Entries of successive blocks.
#[derive(Default)]
struct Run {
    transactions: FastMap<TransactionId, (Height, u32)>,
    headers: FastMap<Digest, Height>,
    /// The height of the last of the blocks.
    last: Height,
}

impl Run {
    fn count(&self) -> usize {
        self.transactions.len() + self.headers.len()
    }

    /// Keys and values in the order of the keys.
    fn sorted(&self) -> Vec<([u8; 33], Vec<u8>)> {
        let headers = self
            .headers
            .iter()
            .map(|(hash, height)| (schema::header_hash_key(hash), schema::seal_header_height(hash, *height)));
        let transactions = self
            .transactions
            .iter()
            .map(|(id, (height, position))| (schema::transaction_key(id), schema::seal_place(id, *height, *position)));
        let mut entries: Vec<_> = headers.chain(transactions).collect();
        entries.sort_unstable_by_key(|entry| entry.0);
        entries
    }
}

#[derive(Default)]
struct State {
    /// What grows.
    growing: Run,
    /// What the thread is writing. It stays readable here until it is readable there.
    writing: Option<Arc<Run>>,
    failure: Option<StoreError>,
    closing: bool,
}

/// What store and thread share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest entries, and the thread that writes them.
pub(crate) struct Index {
    shared: Arc<Shared>,
    /// Entries in memory from which on they are written.
    run_max: usize,
    thread: Option<JoinHandle<()>>,
}

impl Index {
    /// Starts the thread. `directory` is for its files, on the file system of the database.
    pub fn start(db: Arc<DB>, directory: PathBuf, run_max: usize) -> Result<Self, StoreError> {
        remove_leftovers(&directory)?;
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("index".into())
            .spawn(move || write_runs(&db, &directory, &for_thread))
            .map_err(|error| StoreError::Io(format!("the thread of the index: {error}")))?;
        Ok(Self { shared, run_max, thread: Some(thread) })
    }

    /// Adds the entries of a block that is durable. Waits when the thread is a whole run behind.
    ///
    /// # Errors
    /// When an earlier run could not be written.
    pub fn add(&self, height: Height, hash: Digest, positions: &[Position]) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        while state.writing.is_some() && state.growing.count() >= self.run_max && state.failure.is_none() {
            state = self.shared.wait(state);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let run = &mut state.growing;
        run.headers.insert(hash, height);
        for (place, position) in (0..).zip(positions) {
            if position.outcome.is_executed() {
                run.transactions.insert(position.id, (height, place));
            }
        }
        run.last = height;
        if run.count() >= self.run_max && state.writing.is_none() {
            state.writing = Some(Arc::new(std::mem::take(&mut state.growing)));
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    /// Where a transaction is, when that is in memory.
    pub fn transaction(&self, id: &TransactionId) -> Option<(Height, u32)> {
        let state = self.shared.lock();
        let written = || state.writing.as_ref()?.transactions.get(id);
        state.growing.transactions.get(id).or_else(written).copied()
    }

    /// The height of a header, when that is in memory.
    pub fn height_of(&self, hash: &Digest) -> Option<Height> {
        let state = self.shared.lock();
        let written = || state.writing.as_ref()?.headers.get(hash);
        state.growing.headers.get(hash).or_else(written).copied()
    }

    /// Waits until the thread has nothing to do; what grows may stay in memory.
    #[cfg(test)]
    pub fn settle(&self) {
        let mut state = self.shared.lock();
        while state.writing.is_some() && state.failure.is_none() {
            state = self.shared.wait(state);
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; what it did not write is collected again at the next start.
            let _ = thread.join();
        }
    }
}

/// The thread: writes one run after the other until the store is closed or a run fails.
fn write_runs(db: &DB, directory: &Path, shared: &Shared) {
    let mut state = shared.lock();
    while !state.closing {
        let Some(run) = state.writing.clone() else {
            state = shared.wait(state);
            continue;
        };
        drop(state);
        let written = write_run(db, directory, &run);
        state = shared.lock();
        match written {
            Ok(()) => state.writing = None,
            Err(error) => {
                state.failure = Some(error);
                state.closing = true;
            }
        }
        shared.changed.notify_all();
    }
}

/// Writes a sorted file, gives it to the database, which makes it durable, and then records how far the index goes.
fn write_run(db: &DB, directory: &Path, run: &Run) -> Result<(), StoreError> {
    let file = directory.join(format!("index-{}.sst", run.last));
    let options = family_options(Family::Index, None);
    let mut writer = SstFileWriter::create(&options);
    writer.open(&file).map_err(|error| failed("index run", &error))?;
    for (key, value) in run.sorted() {
        writer.put(key, value).map_err(|error| failed("index run", &error))?;
    }
    writer.finish().map_err(|error| failed("index run", &error))?;
    let mut ingestion = IngestExternalFileOptions::default();
    ingestion.set_move_files(true);
    db.ingest_external_file_cf_opts(family(db, Family::Index), &ingestion, vec![&file])
        .map_err(|error| failed("index run", &error))?;
    let indexed = schema::seal(Kind::Indexed, run.last, &());
    db.put_cf(family(db, Family::Metadata), schema::INDEXED_KEY, indexed).map_err(|error| failed("metadata", &error))
}

/// Removes files that a crash left before the database had them.
fn remove_leftovers(directory: &Path) -> Result<(), StoreError> {
    let refused = |error: std::io::Error| StoreError::Io(format!("{}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(refused)?;
    for entry in std::fs::read_dir(directory).map_err(refused)? {
        std::fs::remove_file(entry.map_err(refused)?.path()).map_err(refused)?;
    }
    Ok(())
}
