//! How far a user has seen each chain: the height of the highest receipt that was verified here. A node below it does not
//! have yet what the user has done, so reads pass it over (PROTOCOL 8.1, `at_least`).
//!
//! One small file beside the outbox. Losing it loses no more than that reads may show an older state, as nodes have it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use quorate_protocol::id::{ChainId, Height};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::files::{self, SMALL_FILE_BYTES_MAX};

/// The version of the file's form.
const VERSION: u32 = 1;
/// The most chains that are remembered; a user has a few, and one whose testnets come and go has their last ones.
const CHAINS_MAX: usize = 64;
/// How often, and with which pause, another process is waited for that writes the file at the moment.
const LOCK_TRIES: (usize, Duration) = (100, Duration::from_millis(10));

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    /// The last one written to comes last.
    chains: Vec<Seen>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    chain_id: ChainId,
    height: Height,
}

/// The file.
#[derive(Clone, Debug)]
pub struct Heights {
    path: PathBuf,
}

impl Heights {
    /// Kept in this file, which need not exist yet.
    pub fn new(path: PathBuf) -> Heights {
        Heights { path }
    }

    /// The height of the highest receipt of this chain that was verified here; 0 where there was none.
    ///
    /// # Errors
    /// Exit code 10 when the file is damaged.
    pub fn of(&self, chain: &ChainId) -> Result<Height, Failure> {
        let seen = self.read()?;
        Ok(seen.chains.iter().find(|seen| seen.chain_id == *chain).map_or(Height::ZERO, |seen| seen.height))
    }

    /// Remembers that a receipt of this height was verified; a lower one than before changes nothing. A damaged file is
    /// written anew.
    ///
    /// # Errors
    /// Exit code 1 when the file cannot be written.
    pub fn remember(&self, chain: &ChainId, height: Height) -> Result<(), Failure> {
        if self.of(chain).is_ok_and(|known| known >= height) {
            return Ok(());
        }
        self.raise(chain, height).map_err(|error| {
            Failure::internal(
                format!("the height {height} cannot be remembered in {}: {error}", self.path.display()),
                "check the folder's permissions and the free space; until then reads may show a state before it",
            )
        })
    }

    fn raise(&self, chain: &ChainId, height: Height) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Several processes may have a receipt at once: none may write over the higher one of another.
        let _lock = lock(&self.path.with_extension("lock"))?;
        let mut contents = self.read().unwrap_or_default();
        contents.version = VERSION;
        let at = contents.chains.iter().position(|seen| seen.chain_id == *chain);
        let before = at.map_or(Height::ZERO, |at| contents.chains.remove(at).height);
        contents.chains.push(Seen { chain_id: *chain, height: before.max(height) });
        let too_many = contents.chains.len().saturating_sub(CHAINS_MAX);
        contents.chains.drain(..too_many);
        files::write(&self.path, &serde_json::to_vec_pretty(&contents)?)
    }

    fn read(&self) -> Result<Contents, Failure> {
        let bad = |reason: String| {
            Failure::config(
                "bad_heights_file",
                format!(
                    "{} cannot be used: {reason}; reads may show a state before your last receipt",
                    self.path.display()
                ),
                "nothing need be done: the next receipt writes it anew",
            )
        };
        let bytes = match files::read(&self.path, SMALL_FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(bad(error.to_string())),
        };
        let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if contents.version != VERSION {
            return Err(bad(format!("it has version {}, this program reads version {VERSION}", contents.version)));
        }
        Ok(contents)
    }
}

/// Holds the lock file; a process that has it for long does not keep others from their results.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    for _ in 0..LOCK_TRIES.0 {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => thread::sleep(LOCK_TRIES.1),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quorate_crypto::hash::sha256;

    use super::*;
    use crate::exit::Exit;

    fn heights() -> (tempfile::TempDir, Heights) {
        let dir = tempfile::tempdir().unwrap();
        let heights = Heights::new(dir.path().join("state/heights.json"));
        (dir, heights)
    }

    #[test]
    fn each_chain_has_its_highest_height_and_a_lower_one_changes_nothing() {
        let (_dir, heights) = heights();
        let (one, other) = (sha256(b"one"), sha256(b"other"));
        assert_eq!(heights.of(&one).unwrap(), Height::ZERO);
        for (chain, height) in [(one, 7), (other, 3), (one, 5), (other, 4)] {
            heights.remember(&chain, Height(height)).unwrap();
        }
        assert_eq!((heights.of(&one).unwrap(), heights.of(&other).unwrap()), (Height(7), Height(4)));
    }

    #[test]
    fn the_file_is_bounded_and_keeps_the_chains_that_were_used_last() {
        let (_dir, heights) = heights();
        let chain = |number: usize| sha256(&number.to_le_bytes());
        for number in 0..=CHAINS_MAX {
            heights.remember(&chain(number), Height(1 + number as u64)).unwrap();
        }
        assert_eq!(heights.read().unwrap().chains.len(), CHAINS_MAX);
        assert_eq!(heights.of(&chain(0)).unwrap(), Height::ZERO);
        assert_eq!(heights.of(&chain(CHAINS_MAX)).unwrap(), Height(1 + CHAINS_MAX as u64));
    }

    #[test]
    fn of_many_at_once_the_highest_stays() {
        let (_dir, heights) = heights();
        let chain = sha256(b"one");
        thread::scope(|scope| {
            for height in 1..=20 {
                let heights = &heights;
                scope.spawn(move || heights.remember(&chain, Height(height)).unwrap());
            }
        });
        assert_eq!(heights.of(&chain).unwrap(), Height(20));
    }

    #[test]
    fn a_damaged_file_is_told_of_and_written_anew_by_the_next_receipt() {
        let (_dir, heights) = heights();
        let chain = sha256(b"one");
        heights.remember(&chain, Height(7)).unwrap();
        let good = fs::read_to_string(&heights.path).unwrap();
        for bad in ["", "{", &good.replace("\"version\": 1", "\"version\": 2"), &good.replace("height", "depth")] {
            fs::write(&heights.path, bad).unwrap();
            let failure = heights.of(&chain).unwrap_err();
            assert!(failure.exit == Exit::Config && failure.message.contains("heights.json"), "{failure:?}");
        }
        heights.remember(&chain, Height(3)).unwrap();
        assert_eq!(heights.of(&chain).unwrap(), Height(3));
    }
}
