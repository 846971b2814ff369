//! The user's own keys: a private folder with one encrypted file for each, named by the user.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate_crypto::key::PublicKey;
use quorate_crypto::keystore::{self, SEALED_BYTES};

use crate::exit::{Exit, Failure};
use crate::files;

/// How the name of a key's file ends.
const SUFFIX: &str = ".key";
/// The longest name of a key in characters.
const NAME_LIMIT: usize = 32;
/// How many keys a folder may hold.
const KEYS_MAX: usize = 10_000;

/// A key of the folder, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its public key.
    pub address: PublicKey,
    /// Its file.
    pub path: PathBuf,
}

/// The folder, which need not exist yet.
#[derive(Clone, Debug)]
pub struct Keystore {
    dir: PathBuf,
}

impl Keystore {
    /// The keystore in this folder.
    pub fn new(dir: PathBuf) -> Keystore {
        Keystore { dir }
    }

    /// The user's own one: `$XDG_DATA_HOME/quorate/keys`, or the same below `~/.local/share`. `None` when neither variable
    /// is set.
    pub fn of_user() -> Option<Keystore> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
        data.map(|data| Keystore::new(data.join("quorate/keys")))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of this name.
    ///
    /// # Errors
    /// Exit code 2 for a name that no key may have.
    pub fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        if is_name(name) {
            return Ok(self.dir.join(format!("{name}{SUFFIX}")));
        }
        Err(Failure::usage(
            format!("`{name}` cannot be the name of a key"),
            format!("use 1 to {NAME_LIMIT} characters out of a-z, 0-9, - and _, a letter or digit first"),
        ))
    }

    /// Keeps a sealed key under a new name.
    ///
    /// # Errors
    /// Exit code 2 when the name is taken or is none, 10 when the folder is open to others, 1 when it cannot be written.
    pub fn create(&self, name: &str, sealed: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.path(name)?;
        self.make_private_dir()?;
        match files::create(&path, sealed) {
            Ok(()) => Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(name, &path)),
            Err(error) => Err(cannot_write(&path, &error)),
        }
    }

    /// Refuses a name that is taken, before a passphrase is asked for in vain.
    ///
    /// # Errors
    /// Exit code 2 when the name is taken or is none.
    pub fn check_free(&self, name: &str) -> Result<(), Failure> {
        let path = self.path(name)?;
        if path.exists() { Err(taken(name, &path)) } else { Ok(()) }
    }

    /// The key of this name, where there is one.
    ///
    /// # Errors
    /// Exit code 10 when its file is damaged or the folder is open to others.
    pub fn find(&self, name: &str) -> Result<Option<Entry>, Failure> {
        if !is_name(name) {
            return Ok(None);
        }
        let path = self.path(name)?;
        if !path.exists() {
            return Ok(None);
        }
        self.check_private()?;
        read_entry(name, path).map(Some)
    }

    /// The sealed bytes of a key.
    ///
    /// # Errors
    /// Exit code 10 when they cannot be read.
    pub fn sealed(&self, entry: &Entry) -> Result<Vec<u8>, Failure> {
        files::read(&entry.path, SEALED_BYTES as u64).map_err(|error| bad(&entry.path, &error.to_string()))
    }

    /// All keys by name, and the files that are none, with the reason.
    ///
    /// # Errors
    /// Exit code 10 when the folder is open to others or cannot be read.
    pub fn list(&self) -> Result<(Vec<Entry>, Vec<Failure>), Failure> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            Err(error) => return Err(bad(&self.dir, &error.to_string())),
        };
        self.check_private()?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(SUFFIX)?.to_owned()))
            .filter(|name| is_name(name))
            .take(KEYS_MAX)
            .collect();
        names.sort_unstable();
        let (mut keys, mut damaged) = (Vec::new(), Vec::new());
        for name in names {
            let path = self.path(&name)?;
            match read_entry(&name, path) {
                Ok(entry) => keys.push(entry),
                Err(failure) => damaged.push(failure),
            }
        }
        Ok((keys, damaged))
    }

    fn make_private_dir(&self) -> Result<(), Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| cannot_write(&self.dir, &error))?;
        self.check_private()
    }

    fn check_private(&self) -> Result<(), Failure> {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(&self.dir).map_err(|error| bad(&self.dir, &error.to_string()))?;
        if metadata.permissions().mode() & 0o077 == 0 {
            return Ok(());
        }
        Err(Failure::config(
            "keystore_exposed",
            format!("the folder of your keys, {}, is open to other users", self.dir.display()),
            format!("chmod 700 {}", self.dir.display()),
        ))
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(allowed) && name.as_bytes()[0].is_ascii_alphanumeric()
}

fn read_entry(name: &str, path: PathBuf) -> Result<Entry, Failure> {
    let bytes = files::read(&path, SEALED_BYTES as u64).map_err(|error| bad(&path, &error.to_string()))?;
    let address = keystore::public_key(&bytes).map_err(|error| bad(&path, &error.to_string()))?;
    Ok(Entry { name: name.to_owned(), address, path })
}

fn taken(name: &str, path: &Path) -> Failure {
    Failure::new(
        Exit::Usage,
        "key_exists",
        format!("there is a key called {name} already, {}; it is left as it is", path.display()),
        "choose another name; a key is never overwritten",
    )
}

fn bad(path: &Path, reason: &str) -> Failure {
    Failure::config(
        "bad_key_file",
        format!("the encrypted key {} cannot be used: {reason}", path.display()),
        "restore it from your backup (`quorate keys export` makes one)",
    )
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::internal(
        format!("{} cannot be written: {error}", path.display()),
        "check the folder's permissions and the free space, or name another folder with --keystore",
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use quorate_crypto::key::SecretKey;
    use quorate_crypto::keystore::{Cost, seal};

    use super::*;

    fn sealed(seed: u8) -> Vec<u8> {
        seal(&SecretKey::from_seed([seed; 32]), b"x", Cost { memory_kib: 8, passes: 1 }).unwrap()
    }

    fn folder() -> (tempfile::TempDir, Keystore) {
        let dir = tempfile::tempdir().unwrap();
        let keystore = Keystore::new(dir.path().join("data/quorate/keys"));
        (dir, keystore)
    }

    #[test]
    fn keys_are_private_listed_by_name_and_never_overwritten() {
        let (_dir, keystore) = folder();
        assert_eq!(keystore.list().unwrap().0, []);
        let path = keystore.create("work", &sealed(1)).unwrap();
        keystore.create("home", &sealed(2)).unwrap();
        assert_eq!(keystore.create("work", &sealed(3)).unwrap_err().code, "key_exists");
        assert_eq!(keystore.find("work").unwrap().unwrap().address, SecretKey::from_seed([1; 32]).public_key());
        let names: Vec<String> = keystore.list().unwrap().0.into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["home", "work"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(keystore.dir()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_is_open_to_others_is_refused_with_the_remedy() {
        let (_dir, keystore) = folder();
        keystore.create("work", &sealed(1)).unwrap();
        fs::set_permissions(keystore.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        for failure in [keystore.find("work").unwrap_err(), keystore.list().unwrap_err()] {
            assert!(failure.hint.starts_with("chmod 700"), "{failure:?}");
        }
        assert_eq!(keystore.create("home", &sealed(2)).unwrap_err().code, "keystore_exposed");
    }

    #[test]
    fn a_damaged_file_hides_no_other_key() {
        let (_dir, keystore) = folder();
        keystore.create("work", &sealed(1)).unwrap();
        let path = keystore.create("home", &sealed(2)).unwrap();
        fs::write(&path, "rubbish").unwrap();
        let (keys, damaged) = keystore.list().unwrap();
        assert_eq!((keys.len(), damaged.len()), (1, 1));
        assert!(damaged[0].message.contains("home.key"));
        assert_eq!(keystore.find("home").unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn names_that_leave_the_folder_or_hide_are_refused() {
        let (_dir, keystore) = folder();
        for name in ["", "../x", "a/b", ".hidden", "-x", "A", "a b", &"a".repeat(NAME_LIMIT + 1)] {
            assert_eq!(keystore.create(name, &sealed(1)).unwrap_err().exit, Exit::Usage, "{name:?}");
            assert_eq!(keystore.find(name).unwrap(), None, "{name:?}");
        }
    }
}
