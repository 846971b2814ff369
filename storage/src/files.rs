//! The few file operations that the journal needs, behind a trait, so that tests can put a failing or a forgetful disk under it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How many zero bytes are written at once when a file is filled.
const FILL_BYTES: usize = 1 << 20;

/// A flat directory of files.
pub trait Files: Send + Sync {
    /// The names of all files, in no particular order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The content of a file, at most its first `max` bytes.
    ///
    /// # Errors
    /// When the file is missing or cannot be read.
    fn read(&self, name: &str, max: u64) -> io::Result<Vec<u8>>;

    /// Opens an existing file for writing.
    ///
    /// # Errors
    /// When the file is missing or cannot be opened.
    fn open(&self, name: &str) -> io::Result<Box<dyn Handle>>;

    /// Makes a file of `size` zero bytes, really written and synced, so that later writes inside it change no metadata.
    /// An existing file of that name is replaced.
    ///
    /// # Errors
    /// When the file cannot be made or the disk is full.
    fn create(&self, name: &str, size: u64) -> io::Result<()>;

    /// Gives a file another name, replacing what had it. Durable after [`Files::sync`].
    ///
    /// # Errors
    /// When the file is missing or the directory cannot be written.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after [`Files::sync`].
    ///
    /// # Errors
    /// When the file is missing or the directory cannot be written.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names (creations, renames, removals) durable.
    ///
    /// # Errors
    /// When the disk reports a failure.
    fn sync(&self) -> io::Result<()>;
}

/// One open file.
pub trait Handle: Send {
    /// The size of the file in bytes.
    ///
    /// # Errors
    /// When the disk reports a failure.
    fn size(&self) -> io::Result<u64>;

    /// Writes all of `bytes` at `offset` bytes from the start.
    ///
    /// # Errors
    /// When the disk is full or reports a failure; then any part may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything that was written durable (`fdatasync`).
    ///
    /// # Errors
    /// When the disk reports a failure; then nothing may be assumed about what was written since the last sync.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Names a directory; nothing is touched.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes the directory (its parent must exist) and its name durable. Fine when it is there already.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self) -> io::Result<()> {
        match std::fs::create_dir(&self.path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
            _ => sync_directory(Path::new(".")),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.file(name))?.take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(self.file(name))?))
    }

    fn create(&self, name: &str, size: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(self.file(name))?;
        let zeros = vec![0; FILL_BYTES];
        let mut left = size;
        while left > 0 {
            let part = left.min(FILL_BYTES as u64);
            file.write_all(&zeros[..part as usize])?;
            left -= part;
        }
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.file(from), self.file(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.file(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }
}

impl Handle for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
