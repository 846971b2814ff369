//! Where a passphrase comes from: a file, or a terminal without echo. Never a flag's value, an environment variable's
//! value, or a prompt that a script would hang at.

use std::io::{IsTerminal, Read, Write, stderr, stdin};
use std::path::PathBuf;

use quorate_crypto::keystore::PASSPHRASE_BYTES_MAX;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::files;

/// The bytes of a passphrase, wiped when dropped.
pub type Passphrase = Zeroizing<Vec<u8>>;

/// Where passphrases come from.
#[derive(Clone, Default, Debug)]
pub struct Passphrases {
    file: Option<PathBuf>,
}

impl Passphrases {
    /// From this file where one is given, else from the terminal.
    pub fn new(file: Option<PathBuf>) -> Passphrases {
        Passphrases { file }
    }

    /// The passphrase of a key that exists.
    ///
    /// # Errors
    /// Exit code 10 for a bad file, 2 when there is neither file nor terminal, 130 for Ctrl-C.
    pub fn existing(&self, of: &str) -> Result<Passphrase, Failure> {
        match &self.file {
            Some(path) => from_file(path),
            None => prompt(&format!("passphrase of {of}: ")),
        }
    }

    /// A new passphrase; a terminal is asked twice.
    ///
    /// # Errors
    /// As [`Passphrases::existing`]; exit code 2 when the two differ.
    pub fn new_for(&self, of: &str) -> Result<Passphrase, Failure> {
        if let Some(path) = &self.file {
            return from_file(path);
        }
        let first = prompt(&format!("new passphrase for {of}: "))?;
        if first.is_empty() {
            return Err(Failure::usage("an empty passphrase protects nothing", "choose one of several words"));
        }
        if prompt("the same again: ")? != first {
            return Err(Failure::usage("the two passphrases differ; nothing was written", "try again"));
        }
        Ok(first)
    }
}

fn from_file(path: &std::path::Path) -> Result<Passphrase, Failure> {
    let bad = |reason: &str| {
        Failure::config(
            "bad_passphrase_file",
            format!("the passphrase file {} cannot be used: {reason}", path.display()),
            "put the passphrase into the file, alone on its first line, and chmod 600 it",
        )
    };
    let limit = PASSPHRASE_BYTES_MAX as u64 + 2;
    let mut bytes = files::read_private(path, limit).map_err(|error| bad(&error.to_string()))?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    if bytes.ends_with(b"\r") {
        bytes.pop();
    }
    if bytes.is_empty() || bytes.contains(&b'\n') {
        return Err(bad("it does not hold exactly one line"));
    }
    Ok(bytes)
}

fn prompt(text: &str) -> Result<Passphrase, Failure> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(Failure::usage(
            "a passphrase is needed, and there is no terminal to ask at",
            "give a file that holds it with --passphrase-file FILE, or QUORATE_PASSPHRASE_FILE",
        ));
    }
    let _silent = Silent::start()?;
    eprint!("{text}");
    let _ = stderr().flush();
    let line = read_line();
    eprintln!();
    line
}

/// A terminal that shows nothing of what is typed and gives every key at once, Ctrl-C included, so that no signal can
/// leave it like that. It is as before when this is dropped.
struct Silent {
    before: Termios,
}

impl Silent {
    fn start() -> Result<Silent, Failure> {
        let cannot = |error: rustix::io::Errno| {
            Failure::internal(
                format!("the terminal cannot be kept from showing the passphrase: {error}"),
                "give a file that holds it with --passphrase-file FILE",
            )
        };
        let before = tcgetattr(stdin()).map_err(cannot)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Flush, &silent).map_err(cannot)?;
        Ok(Silent { before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Reads a line key by key, with backspace, Ctrl-U, Ctrl-C and Ctrl-D.
fn read_line() -> Result<Passphrase, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX));
    let mut key = Zeroizing::new([0u8; 1]);
    loop {
        let read = stdin().lock().read(key.as_mut_slice());
        if !read.is_ok_and(|count| count == 1) {
            return Err(Failure::usage("the terminal was closed before a passphrase was typed", "try again"));
        }
        match key[0] {
            b'\r' | b'\n' => return Ok(line),
            3 | 4 => {
                return Err(Failure::new(
                    Exit::Interrupted,
                    "interrupted",
                    "interrupted: nothing was done",
                    "try again",
                ));
            }
            8 | 127 => erase(&mut line),
            21 => line.clear(),
            byte if line.len() < PASSPHRASE_BYTES_MAX => line.push(byte),
            _ => {
                return Err(Failure::usage(
                    format!("a passphrase has at most {PASSPHRASE_BYTES_MAX} bytes"),
                    "try again",
                ));
            }
        }
    }
}

/// Takes the last character away, all of its bytes.
fn erase(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_passphrase_is_the_one_line_of_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        let read = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Passphrases::new(Some(path.clone())).existing("alice").map(|passphrase| passphrase.to_vec())
        };
        assert_eq!(read("correct horse\n", 0o600).unwrap(), b"correct horse");
        assert_eq!(read(" spaces stay \r\n", 0o600).unwrap(), b" spaces stay ");
        for (text, mode) in [("", 0o600), ("\n", 0o600), ("two\nlines\n", 0o600), ("open", 0o604)] {
            assert_eq!(read(text, mode).unwrap_err().exit, Exit::Config, "{text:?}");
        }
        assert_eq!(read(&"x".repeat(PASSPHRASE_BYTES_MAX + 3), 0o600).unwrap_err().exit, Exit::Config);
    }

    #[test]
    fn backspace_takes_a_whole_character() {
        let mut line = "a\u{e9}".as_bytes().to_vec();
        erase(&mut line);
        assert_eq!(line, b"a");
        erase(&mut line);
        erase(&mut line);
        assert!(line.is_empty());
    }
}
