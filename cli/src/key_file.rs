//! A user's key in a file of its own, readable by its owner only: in clear as JSON, or encrypted as the keystore keeps it.

use std::io;
use std::path::Path;

use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_crypto::keystore::{self, KeystoreError};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::exit::{Exit, Failure};
use crate::files::{self, SMALL_FILE_BYTES_MAX};
use crate::passphrase::Passphrases;

/// The version of the format that this program reads and writes.
const VERSION: u32 = 1;
/// What the file says that its key is for.
const KIND: &str = "account";

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    kind: String,
    version: u32,
    /// For the reader of the file: what this key is for.
    note: String,
    #[zeroize(skip)]
    public_key: PublicKey,
    /// The 32 bytes of the Ed25519 seed as hex.
    secret: String,
}

/// Writes `key` to `path`, readable by its owner only, with a note on what it is for.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, key: &SecretKey, note: &str) -> Result<(), Failure> {
    let bytes = form(path, key, note)?;
    files::write(path, &bytes).map_err(|error| cannot_write(path, &error))
}

/// As [`write`], never over another file.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn create(path: &Path, key: &SecretKey, note: &str) -> Result<(), Failure> {
    let bytes = form(path, key, note)?;
    files::create(path, &bytes).map_err(|error| cannot_write(path, &error))
}

/// That a key file cannot be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Failure::new(
            Exit::Usage,
            "file_exists",
            format!("{} exists already; it is left as it is", path.display()),
            "name another file; a key is never overwritten",
        );
    }
    Failure::internal(
        format!("the key file {} cannot be written: {error}", path.display()),
        "check the folder's permissions and the free space",
    )
}

fn form(path: &Path, key: &SecretKey, note: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let file = KeyFile {
        kind: KIND.to_owned(),
        version: VERSION,
        note: note.to_owned(),
        public_key: key.public_key(),
        secret: hex::encode(key.seed().as_slice()),
    };
    let mut bytes = Zeroizing::new(serde_json::to_vec_pretty(&file).map_err(|error| bad(path, &error.to_string()))?);
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a key file of either form; an encrypted one asks for its passphrase.
///
/// # Errors
/// As [`read`] and [`unseal`].
pub fn read_either(path: &Path, passphrases: &Passphrases) -> Result<SecretKey, Failure> {
    check_private(path)?;
    let bytes = Zeroizing::new(files::read(path, SMALL_FILE_BYTES_MAX).map_err(|error| bad(path, &error.to_string()))?);
    if keystore::is_sealed(&bytes) { unseal(path, &bytes, passphrases) } else { parse(path, &bytes) }
}

/// The public key of a key file of either form; needs no passphrase.
///
/// # Errors
/// Exit code 10 when the file is missing, damaged, of another version, or readable by others.
pub fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    check_private(path)?;
    let bytes = Zeroizing::new(files::read(path, SMALL_FILE_BYTES_MAX).map_err(|error| bad(path, &error.to_string()))?);
    if keystore::is_sealed(&bytes) {
        return keystore::public_key(&bytes).map_err(|error| bad(path, &error.to_string()));
    }
    parse(path, &bytes).map(|key| key.public_key())
}

/// Opens the encrypted key that `path` holds.
///
/// # Errors
/// Exit code 10 when the passphrase is wrong or the file was changed, and as [`Passphrases::existing`].
pub fn unseal(path: &Path, sealed: &[u8], passphrases: &Passphrases) -> Result<SecretKey, Failure> {
    // A file that is none at all is found out before anybody is asked.
    keystore::public_key(sealed).map_err(|error| bad(path, &error.to_string()))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let passphrase = passphrases.existing(&name)?;
    keystore::open(sealed, &passphrase).map_err(|error| match error {
        KeystoreError::Wrong => Failure::config(
            "wrong_passphrase",
            format!("the encrypted key {} does not open: {error}", path.display()),
            "try again with the right passphrase; without it, and without a copy in clear, the key is lost",
        ),
        other => bad(path, &other.to_string()),
    })
}

/// Reads a key file and checks that its public key belongs to its secret.
///
/// # Errors
/// Exit code 10 when the file is missing, damaged, of another version, or readable by others.
pub fn read(path: &Path) -> Result<SecretKey, Failure> {
    check_private(path)?;
    let bytes = Zeroizing::new(files::read(path, SMALL_FILE_BYTES_MAX).map_err(|error| bad(path, &error.to_string()))?);
    if keystore::is_sealed(&bytes) {
        return Err(bad(path, "it is encrypted, and here a key in clear is needed"));
    }
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<SecretKey, Failure> {
    // The parser's message may quote the file, and with it the secret: only the place is told.
    let file: KeyFile = serde_json::from_slice(bytes)
        .map_err(|error| bad(path, &format!("not a key file (line {}, column {})", error.line(), error.column())))?;
    if file.kind != KIND {
        return Err(bad(path, &format!("it holds a key of another kind: {}", file.kind)));
    }
    if file.version != VERSION {
        return Err(bad(path, &format!("it has version {}, this program reads version {VERSION}", file.version)));
    }
    let mut seed = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(file.secret.as_str(), seed.as_mut_slice())
        .map_err(|_| bad(path, "secret is not 64 hex digits"))?;
    let key = SecretKey::from_seed(*seed);
    if key.public_key() != file.public_key {
        return Err(bad(path, "its public_key does not belong to its secret"));
    }
    Ok(key)
}

fn check_private(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).map_err(|error| bad(path, &error.to_string()))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::config(
        "key_file_exposed",
        format!("the key file {} can be read by other users", path.display()),
        format!("chmod 600 {}", path.display()),
    ))
}

fn bad(path: &Path, reason: &str) -> Failure {
    Failure::config(
        "bad_key_file",
        format!("the key file {} cannot be used: {reason}", path.display()),
        "give the right file with --key, or restore it from your backup",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written() -> (tempfile::TempDir, std::path::PathBuf, SecretKey) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alice.json");
        let key = SecretKey::from_seed([7; 32]);
        write(&path, &key, "a test").unwrap();
        (dir, path, key)
    }

    #[test]
    fn a_key_file_reads_back() {
        let (_dir, path, key) = written();
        assert_eq!(read(&path).unwrap().public_key(), key.public_key());
    }

    #[test]
    fn any_changed_digit_of_a_key_file_is_refused() {
        let (_dir, path, _) = written();
        let good = fs::read_to_string(&path).unwrap();
        let seed = good.find("0707").unwrap();
        let public = good.find("public_key").unwrap() + 15;
        for place in [seed, seed + 40, public, public + 30] {
            let mut changed = good.clone().into_bytes();
            changed[place] = if changed[place] == b'1' { b'2' } else { b'1' };
            fs::write(&path, &changed).unwrap();
            let failure = read(&path).unwrap_err();
            assert_eq!(failure.exit, Exit::Config);
            assert!(!failure.message.contains("0707"), "no secret in a message");
        }
    }

    #[test]
    fn an_exposed_or_missing_key_file_is_refused_with_the_remedy() {
        let (_dir, path, _) = written();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).unwrap_err().hint.starts_with("chmod 600"));
        assert_eq!(read(&path.with_file_name("nobody.json")).unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn another_version_is_refused() {
        let (_dir, path, _) = written();
        let newer = fs::read_to_string(&path).unwrap().replace("\"version\": 1", "\"version\": 2");
        fs::write(&path, newer).unwrap();
        assert!(read(&path).unwrap_err().message.contains("version 2"));
    }
}
