//! Key files: one secret key in a JSON file that nobody but its owner can read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use quorate_crypto::key::{PublicKey, SecretKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::error::ConfigError;

/// The version of the key file's form.
pub const KEY_FILE_VERSION: u32 = 1;
/// No key file is longer than this many bytes.
const KEY_FILE_BYTES_MAX: u64 = 4096;
/// Only the owner reads and writes.
const OWNER_ONLY: u32 = 0o600;

/// What a key is for; a key never serves two purposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// Signs a validator's votes.
    Consensus,
    /// Proves a node's identity to its peers.
    Network,
    /// Signs an account's transactions.
    Account,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyKind::Consensus => "consensus",
            KeyKind::Network => "network",
            KeyKind::Account => "account",
        })
    }
}

/// The contents of a key file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// What the key is for.
    pub kind: KeyKind,
    /// [`KEY_FILE_VERSION`].
    pub version: u32,
    /// A word to whoever opens the file.
    pub note: String,
    /// The public half.
    pub public_key: PublicKey,
    /// The 32-byte seed in lowercase hex.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    secret: Zeroizing<String>,
}

fn write_secret<S: Serializer>(secret: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret)
}

fn read_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("kind", &self.kind)
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

impl KeyFile {
    /// The file of `key`.
    pub fn new(kind: KeyKind, key: &SecretKey, note: &str) -> KeyFile {
        KeyFile {
            kind,
            version: KEY_FILE_VERSION,
            note: note.to_string(),
            public_key: key.public_key(),
            secret: Zeroizing::new(hex::encode(*key.seed())),
        }
    }

    /// Writes a new file that only its owner can read, durably.
    ///
    /// # Errors
    /// A file of that name exists (a key is never written over), or the disk's error.
    pub fn write_new(&self, file: &Path) -> Result<(), ConfigError> {
        let fail = |error: &dyn fmt::Display| {
            ConfigError::new(file, "the key file", error, "keys are never written over: choose another place")
        };
        let mut text = Zeroizing::new(serde_json::to_string_pretty(self).map_err(|error| fail(&error))?);
        text.push('\n');
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(OWNER_ONLY);
        let mut opened = options.open(file).map_err(|error| fail(&error))?;
        opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(|error| fail(&error))
    }

    /// Reads the key in `file`, which must be of `kind`.
    ///
    /// # Errors
    /// A file that others can read, another kind or version, or halves that do not belong together.
    pub fn load(file: &Path, kind: KeyKind) -> Result<SecretKey, ConfigError> {
        KeyFile::parse(file, &read_private(file)?, kind)
    }

    /// Reads the key in `text`, which must be of `kind`; `file` is named in errors.
    ///
    /// # Errors
    /// Another kind or version, or halves that do not belong together.
    pub fn parse(file: &Path, text: &str, kind: KeyKind) -> Result<SecretKey, ConfigError> {
        let fail = |what: &str, reason: String, remedy: &str| ConfigError::new(file, what, reason, remedy);
        let found: KeyFile = serde_json::from_str(text)
            .map_err(|error| fail("contents", place_of(&error), "restore this key file from its backup"))?;
        if found.version != KEY_FILE_VERSION {
            let reason = format!("version {}, this program knows {KEY_FILE_VERSION}", found.version);
            return Err(fail("version", reason, "use the program that wrote the file"));
        }
        if found.kind != kind {
            return Err(fail("kind", format!("{} where {kind} is needed", found.kind), "put the right key file here"));
        }
        found.secret_key().map_err(|reason| fail("secret", reason, "restore this key file from its backup"))
    }

    fn secret_key(&self) -> Result<SecretKey, String> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(self.secret.as_bytes(), seed.as_mut_slice())
            .map_err(|_| "it is not 64 hex digits".to_string())?;
        let key = SecretKey::from_seed(*seed);
        if key.public_key() != self.public_key {
            return Err("it is not the secret half of public_key".to_string());
        }
        Ok(key)
    }
}

/// The parser's own message may quote the file, and with it the secret: only the place is told.
fn place_of(error: &serde_json::Error) -> String {
    format!("not a key file (line {}, column {})", error.line(), error.column())
}

/// Reads a short file that nobody but its owner may be able to read.
fn read_private(file: &Path) -> Result<Zeroizing<String>, ConfigError> {
    let unreadable = |error: std::io::Error| {
        ConfigError::new(file, "the key file", error, "create the home with `quorate-node init`, or restore the key")
    };
    let opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let remedy = format!("take the rights away: chmod 600 {}", file.display());
        return Err(ConfigError::new(file, "mode", format!("{mode:o} lets others use the key"), &remedy));
    }
    // All room at once: a growing buffer would leave copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize + 1));
    opened.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Creates `folder` for its owner alone.
///
/// # Errors
/// The folder exists or cannot be made.
pub(crate) fn create_private_folder(folder: &Path) -> Result<(), ConfigError> {
    let fail = |error: std::io::Error| {
        ConfigError::new(folder, "the folder", error, "choose a home that does not exist yet, or is empty")
    };
    fs::create_dir(folder).map_err(fail)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed([7; 32])
    }

    #[test]
    fn key_comes_back_and_its_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        KeyFile::new(KeyKind::Consensus, &key(), "note").write_new(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(KeyFile::load(&file, KeyKind::Consensus).unwrap().public_key(), key().public_key());
    }

    #[test]
    fn key_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        KeyFile::new(KeyKind::Account, &key(), "first").write_new(&file).unwrap();
        let other = SecretKey::from_seed([8; 32]);
        assert!(KeyFile::new(KeyKind::Account, &other, "second").write_new(&file).is_err());
        assert_eq!(KeyFile::load(&file, KeyKind::Account).unwrap().public_key(), key().public_key());
    }

    #[test]
    fn key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        KeyFile::new(KeyKind::Network, &key(), "note").write_new(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = KeyFile::load(&file, KeyKind::Network).err().unwrap().to_string();
        assert!(error.contains("640 lets others use the key") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn wrong_kind_version_and_halves_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        KeyFile::new(KeyKind::Network, &key(), "note").write_new(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let refuse = |text: String, word: &str| {
            fs::write(&file, text).unwrap();
            let error = KeyFile::load(&file, KeyKind::Network).err().unwrap().to_string();
            assert!(error.contains(word), "{word} in {error}");
        };
        refuse(text.replace("network", "consensus"), "consensus where network is needed");
        refuse(text.replace("\"version\": 1", "\"version\": 2"), "version 2");
        refuse(text.replace(&hex::encode([7; 32]), &hex::encode([8; 32])), "not the secret half");
        refuse(text.replace("\"note\"", "\"nose\""), "contents");
        refuse(text[..text.len() / 2].to_string(), "contents");
    }
}
