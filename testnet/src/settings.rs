//! `settings.json`: how a testnet was last started, so that a later `up` starts it in the same way.

use std::io;
use std::path::Path;

use quorate_cli::files;
use serde::{Deserialize, Serialize};

/// The longest file that is read, in bytes.
const BYTES_MAX: u64 = 4 << 10;

/// How a testnet is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Every link runs through a proxy.
    pub faults: bool,
}

impl Settings {
    /// Reads the file; an absent or damaged one is that of a testnet without anything special.
    pub fn load(path: &Path) -> Settings {
        let bytes = files::read(path, BYTES_MAX).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(self, path: &Path) -> io::Result<()> {
        files::write(path, &serde_json::to_vec(&self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_damage_is_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        assert_eq!(Settings::load(&path), Settings { faults: false });
        Settings { faults: true }.save(&path).unwrap();
        assert_eq!(Settings::load(&path), Settings { faults: true });
        std::fs::write(&path, "{\"faults\": ye").unwrap();
        assert_eq!(Settings::load(&path), Settings { faults: false });
    }
}
