//! The data directory of one node: a lock, the version of its format, and below it the chain store and the vote journal.
//!
//! Secrets are never in here, so that the directory can be copied for diagnosis (a copied journal is of no use to another key).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::files::sync_directory;

/// The version of the whole directory.
pub const VERSION: u32 = 1;

const MAGIC: &str = "quorate data directory, version ";
/// More is no magic file of ours.
const SMALL_FILE_BYTES_MAX: u64 = 256;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The system refused.
    #[error("{path}: {what}: {reason}; check that the directory exists and belongs to the user that runs the node")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operation.
        what: &'static str,
        /// The system's word.
        reason: String,
    },
    /// Another process uses the directory.
    #[error(
        "{path}: the data directory is in use by process {holder}; stop it first, or give this node a directory of its own"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Its process id, as far as known.
        holder: String,
    },
    /// The directory was never made by `init`, or its magic file is lost.
    #[error(
        "{path}: this is no data directory of a node (no readable file `magic`); run `quorate-node init`, or check --home"
    )]
    Unknown {
        /// The directory.
        path: PathBuf,
    },
    /// Made by another version.
    #[error(
        "{path}: the data directory has format version {found}, this program knows version {VERSION}; run the version of the \
         program that wrote it, or wipe the directory and let the node catch up"
    )]
    Version {
        /// The directory.
        path: PathBuf,
        /// The version that was found.
        found: String,
    },
    /// A chain store was moved aside before, and is still kept.
    #[error("{path}: a chain store at fault is kept there already; move it away, it is not needed to run the node")]
    Aside {
        /// The directory.
        path: PathBuf,
    },
    /// `init` where there is one.
    #[error("{path}: there is a data directory already; a node is made once")]
    Exists {
        /// The directory.
        path: PathBuf,
    },
}

/// A locked data directory. The lock goes with the value, or with the process.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Makes a new data directory (its parents too) and locks it.
    ///
    /// # Errors
    /// [`DataError::Exists`] when there is one, else when the system refuses.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, DataError> {
        let path = path.into();
        std::fs::create_dir_all(&path).map_err(|error| refused(&path, "create", &error))?;
        let lock = lock(&path)?;
        let magic = path.join("magic");
        if magic.exists() {
            return Err(DataError::Exists { path });
        }
        write_magic(&path).map_err(|error| refused(&magic, "write", &error))?;
        Ok(Self { path, _lock: lock })
    }

    /// Locks an existing data directory and checks its version.
    ///
    /// # Errors
    /// When it is in use, is none, or is of another version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DataError> {
        let path = path.into();
        // Checked first, so that nothing is written into a directory that is none of ours.
        check_magic(&path)?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory of the chain store.
    pub fn chain(&self) -> PathBuf {
        self.path.join("chain")
    }

    /// Where a chain store at fault is kept, at most one.
    pub fn chain_aside(&self) -> PathBuf {
        self.path.join("chain.aside")
    }

    /// Moves the chain store aside, durably. It must not be open.
    ///
    /// # Errors
    /// [`DataError::Aside`] when one is kept already, else when the system refuses.
    pub fn set_chain_aside(&self) -> Result<(), DataError> {
        let (chain, aside) = (self.chain(), self.chain_aside());
        if aside.exists() {
            return Err(DataError::Aside { path: aside });
        }
        std::fs::rename(&chain, &aside).map_err(|error| refused(&chain, "move aside", &error))?;
        sync_directory(&self.path).map_err(|error| refused(&self.path, "sync", &error))
    }

    /// The directory of the vote journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn refused(path: &Path, what: &'static str, error: &io::Error) -> DataError {
    DataError::Io { path: path.into(), what, reason: error.to_string() }
}

/// Takes the advisory lock and notes our process id for whoever comes second.
fn lock(directory: &Path) -> Result<File, DataError> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| refused(&path, "open", &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(DataError::Locked { path: directory.into(), holder: holder(&file) });
        }
        Err(TryLockError::Error(error)) => return Err(refused(&path, "lock", &error)),
    }
    let noted = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    noted.map_err(|error| refused(&path, "write", &error))?;
    Ok(file)
}

fn holder(lock: &File) -> String {
    let mut text = String::new();
    let read = lock.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(pid) if read.is_ok() => pid.to_string(),
        _ => "(unknown)".into(),
    }
}

fn write_magic(directory: &Path) -> io::Result<()> {
    let draft = directory.join("magic.new");
    let mut file = File::create(&draft)?;
    writeln!(file, "{MAGIC}{VERSION}")?;
    file.sync_all()?;
    std::fs::rename(&draft, directory.join("magic"))?;
    sync_directory(directory)
}

fn check_magic(directory: &Path) -> Result<(), DataError> {
    let path = directory.join("magic");
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            return Err(refused(&path, "read", &error));
        }
        Err(_) => return Err(DataError::Unknown { path: directory.into() }),
        Ok(_) => {}
    }
    let Some(found) = text.trim_end_matches('\n').strip_prefix(MAGIC) else {
        return Err(DataError::Unknown { path: directory.into() });
    };
    if found.parse() != Ok(VERSION) {
        return Err(DataError::Version { path: directory.into(), found: found.chars().take(20).collect() });
    }
    Ok(())
}
