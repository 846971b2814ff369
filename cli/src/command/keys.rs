//! `quorate keys new|list|show|import|export`.

use std::io::Read;
use std::path::{Path, PathBuf};

use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_crypto::keystore::{Cost, is_sealed, seal};
use serde::Serialize;
use zeroize::Zeroizing;

use super::context::Context;
use crate::arguments::keys::{Export, Import, Keys};
use crate::exit::{Exit, Failure};
use crate::files::{self, SMALL_FILE_BYTES_MAX};
use crate::key_file;
use crate::keystore::{Entry, Keystore};
use crate::output::Readable;
use crate::output::table::{Facts, Style, Table};

/// What a file with a secret in clear says about itself.
const PLAIN_NOTE: &str = "exported in clear: whoever reads this file owns the account";
/// Longer than 64 hex digits and their line's end.
const HEX_BYTES_MAX: u64 = 128;

/// Runs one of the five.
///
/// # Errors
/// Exit code 2 for a name that is taken or unknown, 10 for bad files, 130 for Ctrl-C at the prompt.
pub fn run(arguments: &Keys, context: &Context) -> Result<Exit, Failure> {
    let keystore = context.keystore()?;
    match arguments {
        Keys::New(which) => {
            keystore.check_free(&which.name)?;
            let key = SecretKey::generate()
                .map_err(|error| Failure::internal(error.to_string(), "check the system's random device"))?;
            keep(&which.name, &key, context)
        }
        Keys::List => list(keystore, context),
        Keys::Show(which) => print(existing(keystore, &which.name)?, false, context),
        Keys::Import(import) => bring(import, context),
        Keys::Export(export) => copy(export, context),
    }
}

fn keep(name: &str, key: &SecretKey, context: &Context) -> Result<Exit, Failure> {
    let passphrase = context.passphrases().new_for(name)?;
    let sealed = seal(key, &passphrase, Cost::DEFAULT)
        .map_err(|error| Failure::usage(error.to_string(), "choose another passphrase"))?;
    let path = context.keystore()?.create(name, &sealed)?;
    print(Entry { name: name.to_owned(), address: key.public_key(), path }, true, context)
}

fn existing(keystore: &Keystore, name: &str) -> Result<Entry, Failure> {
    keystore.find(name)?.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            "unknown_key",
            format!("there is no key called `{name}` in {}", keystore.dir().display()),
            "`quorate keys list` shows the keys that there are; `quorate keys new NAME` makes one",
        )
    })
}

fn bring(import: &Import, context: &Context) -> Result<Exit, Failure> {
    context.keystore()?.check_free(&import.name)?;
    match (&import.hex_file, &import.key_file) {
        (Some(path), _) => keep(&import.name, &read_hex(path)?, context),
        (None, Some(path)) => {
            let bytes = Zeroizing::new(
                files::read(path, SMALL_FILE_BYTES_MAX).map_err(|error| unreadable(path, &error.to_string()))?,
            );
            if !is_sealed(&bytes) {
                return keep(&import.name, &key_file::read(path)?, context);
            }
            // It stays under the passphrase that it has.
            let key = key_file::unseal(path, &bytes, context.passphrases())?;
            let path = context.keystore()?.create(&import.name, &bytes)?;
            print(Entry { name: import.name.clone(), address: key.public_key(), path }, true, context)
        }
        (None, None) => Err(Failure::usage("there is nothing to import", "give --hex-file FILE or --key-file FILE")),
    }
}

fn read_hex(path: &Path) -> Result<SecretKey, Failure> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = std::io::stdin().lock().take(HEX_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map(|_| bytes)
    } else {
        files::read_private(path, HEX_BYTES_MAX)
    };
    let bytes = bytes.map_err(|error| unreadable(path, &error.to_string()))?;
    let mut seed = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(bytes.trim_ascii(), seed.as_mut_slice())
        .map_err(|_| unreadable(path, "it does not hold 64 hex digits"))?;
    Ok(SecretKey::from_seed(*seed))
}

fn unreadable(path: &Path, reason: &str) -> Failure {
    Failure::config(
        "bad_key_file",
        format!("no key can be read from {}: {reason}", path.display()),
        "give a private file with the seed as 64 hex digits (--hex-file), or a key file (--key-file)",
    )
}

fn copy(export: &Export, context: &Context) -> Result<Exit, Failure> {
    let keystore = context.keystore()?;
    let entry = existing(keystore, &export.name)?;
    let sealed = keystore.sealed(&entry)?;
    if export.plain {
        let key = key_file::unseal(&entry.path, &sealed, context.passphrases())?;
        key_file::create(&export.file, &key, PLAIN_NOTE)?;
        context.printer.say(&format!("warning: whoever reads {} owns the account", export.file.display()));
    } else {
        files::create(&export.file, &sealed).map_err(|error| key_file::cannot_write(&export.file, &error))?;
    }
    print(Entry { path: export.file.clone(), ..entry }, false, context)
}

fn list(keystore: &Keystore, context: &Context) -> Result<Exit, Failure> {
    let (keys, damaged) = keystore.list()?;
    for failure in &damaged {
        context.printer.say(&format!("warning: {}", failure.message));
    }
    let keys = keys.into_iter().map(Shown::from).collect();
    context.printer.print(&Listed { keys })?;
    Ok(Exit::Success)
}

fn print(entry: Entry, made: bool, context: &Context) -> Result<Exit, Failure> {
    let shown = Shown { made, ..Shown::from(entry) };
    context.printer.print(&shown)?;
    Ok(Exit::Success)
}

#[derive(Serialize)]
struct Shown {
    name: String,
    address: PublicKey,
    file: PathBuf,
    #[serde(skip)]
    made: bool,
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Shown {
        Shown { name: entry.name, address: entry.address, file: entry.path, made: false }
    }
}

impl Readable for Shown {
    fn text(&self, style: Style) -> String {
        let mut facts = Facts::default();
        facts
            .add("name", style.strong(&self.name))
            .add("address", self.address.to_string())
            .add("file", self.file.display().to_string());
        if self.made {
            facts.add("keep", "a copy of the file, and the passphrase: without both the key is lost");
        }
        facts.render(style)
    }
}

#[derive(Serialize)]
struct Listed {
    keys: Vec<Shown>,
}

impl Readable for Listed {
    fn text(&self, style: Style) -> String {
        let mut table = Table::new(&["name", "address"]);
        for key in &self.keys {
            table.row([key.name.clone(), key.address.to_string()]);
        }
        table.render(style)
    }
}
