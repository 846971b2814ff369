//! The layout of a testnet's directory, and who may run it.
//!
//! | name | what it is |
//! |---|---|
//! | `testnet.json`, `genesis.json` | what users and scripts read |
//! | `keys/` | the key files of the ready accounts |
//! | `v0/`, `v1/`, ... | the nodes' homes, each with its `node.log` |
//! | `outbox/` | signed transactions of `quorate --testnet` whose outcome is not certain yet |
//! | `supervisor.lock` | locked by the one supervisor while it lives |
//! | `control.sock` | where it takes commands |
//! | `supervisor.json` | the process ids that it started, for whoever cleans up after it |
//! | `supervisor.log` | its talk when it runs in the background |
//! | `settings.json` | how it was last started: with `--faults` or without |
//! | `faults.jsonl` | what was broken on purpose and mended, and when |

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use quorate_cli::exit::{Exit, Failure};
use quorate_cli::manifest::MANIFEST_NAME;

/// A testnet's directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// The right to be the supervisor of a directory, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Directory {
    /// The directory at `path`, made absolute so that what is printed can be typed anywhere.
    pub fn new(path: &Path) -> Directory {
        Directory { path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) }
    }

    /// `$XDG_STATE_HOME/quorate/testnet`, or the same below `~/.local/state`.
    ///
    /// # Errors
    /// When neither variable is set.
    pub fn default_of_user() -> Result<Directory, Failure> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
        state.map(|state| Directory::new(&state.join("quorate/testnet"))).ok_or_else(|| {
            Failure::usage(
                "there is no place for the testnet: neither XDG_STATE_HOME nor HOME is set",
                "give one with --dir DIR",
            )
        })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The genesis file.
    pub fn genesis(&self) -> PathBuf {
        self.path.join("genesis.json")
    }

    /// The directory of the accounts' key files.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// The home of the node of this name.
    pub fn home(&self, node: &str) -> PathBuf {
        self.path.join(node)
    }

    /// The log of the node of this name.
    pub fn log(&self, node: &str) -> PathBuf {
        self.home(node).join("node.log")
    }

    /// The supervisor's socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The record of the processes.
    pub fn record(&self) -> PathBuf {
        self.path.join("supervisor.json")
    }

    /// The supervisor's talk when it runs in the background.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }

    /// How the testnet was last started.
    pub fn settings(&self) -> PathBuf {
        self.path.join("settings.json")
    }

    /// What was broken and mended, and when.
    pub fn timeline(&self) -> PathBuf {
        self.path.join("faults.jsonl")
    }

    /// Where the genesis, the keys and the homes are made before they are moved to their places.
    pub fn workshop(&self) -> PathBuf {
        self.path.join(".new")
    }

    /// Whether a testnet has been made here.
    pub fn is_testnet(&self) -> bool {
        self.path.join(MANIFEST_NAME).is_file()
    }

    /// Makes sure that this is a testnet's directory or can become one: absent or empty.
    ///
    /// # Errors
    /// Exit code 10 for a directory with other things in it, 1 when it cannot be made.
    pub fn prepare(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.path).map_err(|error| self.unwritable(&error))?;
        if self.is_testnet() {
            return Ok(());
        }
        // The lock and the log of a supervisor that never came as far as a testnet are no reason to refuse.
        let own = ["supervisor.lock", "supervisor.log", "control.sock", ".new"];
        let entries = fs::read_dir(&self.path).map_err(|error| self.unwritable(&error))?;
        let foreign = entries.flatten().map(|entry| entry.file_name()).find(|name| !own.iter().any(|own| name == own));
        match foreign {
            None => Ok(()),
            Some(name) => Err(Failure::config(
                "not_a_testnet",
                format!(
                    "{} is not a testnet's directory, and not empty: it has {}",
                    self.path.display(),
                    name.display()
                ),
                "give another directory with --dir; a new testnet wants an empty one",
            )),
        }
    }

    /// Becomes the one supervisor of this directory; `None` while another one lives.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn try_lock(&self) -> Result<Option<Lock>, Failure> {
        let path = self.path.join("supervisor.lock");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| self.unwritable(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.unwritable(&error)),
        }
    }

    /// The failure of not being able to write here.
    pub fn unwritable(&self, error: &io::Error) -> Failure {
        Failure::internal(
            format!("{} cannot be written: {error}", self.path.display()),
            "check the directory's permissions, that its disk is not read-only, and the free space; or give another one with --dir",
        )
    }
}

/// The failure of a command that needs the directory for itself.
pub fn already_running(directory: &Directory) -> Failure {
    let path = directory.path().display();
    Failure::new(
        Exit::Usage,
        "already_running",
        format!("the testnet in {path} is running already"),
        format!("see it with: quorate-testnet status --dir {path}; end it with: quorate-testnet down --dir {path}"),
    )
}

/// The failure of a command that needs a running testnet.
pub fn not_running(directory: &Directory) -> Failure {
    Failure::new(
        Exit::NotFound,
        "not_running",
        format!("the testnet in {} is not running", directory.path().display()),
        format!("start it with: quorate-testnet up --dir {}", directory.path().display()),
    )
}

/// The failure of a command that needs a running testnet, while `up` is not done.
pub fn starting(directory: &Directory) -> Failure {
    let path = directory.path().display();
    Failure::new(
        Exit::NotFound,
        "starting",
        format!("the testnet in {path} is starting: it has not committed yet"),
        format!("wait until `up` says that it is up, then try again; end it with: quorate-testnet down --dir {path}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_directory_or_a_testnet_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(&dir.path().join("new"));
        directory.prepare().unwrap();
        directory.prepare().unwrap();
        fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
        let failure = directory.prepare().unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.message.contains("thesis.txt"), "{}", failure.message);
        fs::write(directory.path().join(MANIFEST_NAME), "{}").unwrap();
        directory.prepare().unwrap();
    }

    #[test]
    fn there_is_one_supervisor_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(dir.path());
        let lock = directory.try_lock().unwrap().unwrap();
        assert!(directory.try_lock().unwrap().is_none());
        drop(lock);
        assert!(directory.try_lock().unwrap().is_some());
    }
}
