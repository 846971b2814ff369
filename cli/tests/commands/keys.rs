//! The user's own keys.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use quorate_crypto::key::SecretKey;
use quorate_protocol::document::{Operation, Outcome};

use crate::support::{Chain, Run, command, finish, terminal};

const PASSPHRASE: &str = "correct horse battery";

/// A chain, and a keystore of its own.
struct User {
    chain: Arc<Chain>,
}

impl User {
    fn new() -> User {
        let user = User { chain: Arc::new(Chain::new()) };
        user.write("pass", PASSPHRASE);
        user
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.chain.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let dir = self.chain.dir.path().to_str().unwrap();
        let mut command = command(&["--testnet", dir]);
        command.env("QUORATE_KEYSTORE", self.chain.path("keys")).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command that finds the passphrase in a file.
    fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments).env("QUORATE_PASSPHRASE_FILE", self.chain.path("pass")))
    }

    /// Runs a command that finds no passphrase.
    fn run_without(&self, arguments: &[&str]) -> Run {
        finish(&mut self.command(arguments))
    }

    fn path(&self, name: &str) -> String {
        self.chain.path(name).display().to_string()
    }
}

#[test]
fn a_new_key_is_encrypted_listed_and_never_overwritten() {
    let user = User::new();
    let made = user.run(&["keys", "new", "work", "--output", "json"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let (file, address) = (made.json()["data"]["file"].clone(), made.json()["data"]["address"].clone());
    let before = fs::read(file.as_str().unwrap()).unwrap();
    let again = user.run(&["keys", "new", "work"]);
    assert_eq!((again.code, again.out.as_str()), (Some(2), ""), "{again:?}");
    assert_eq!(fs::read(file.as_str().unwrap()).unwrap(), before);
    // The public part needs no passphrase.
    let listed = user.run_without(&["keys", "list", "--output", "json"]).json();
    assert_eq!((&listed["data"]["keys"][0]["name"], &listed["data"]["keys"][0]["address"]), (&"work".into(), &address));
    assert!(user.run_without(&["keys", "show", "work"]).out.contains(address.as_str().unwrap()));
    assert_eq!(user.run(&["keys", "show", "home"]).code, Some(3));
    assert_eq!(user.run(&["keys", "new", "../up"]).code, Some(2));
}

#[test]
fn a_key_of_the_keystore_signs_and_receives_by_its_name() {
    let user = User::new();
    let made = user.run(&["keys", "new", "work", "--output", "json"]).json();
    let node = crate::commits(&user.chain, Outcome::Applied);
    crate::with(&user.chain, &[&node]);
    let give = ["transfer", "--from", "alice", "--to", "work", "--amount", "1", "--asset", "USD"];
    assert_eq!(user.run_without(&give).code, Some(0), "receiving needs no passphrase");
    let spend = ["transfer", "--from", "work", "--to", "bob", "--amount", "1", "--asset", "USD"];
    let done = user.run(&spend);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("1.00 USD from work to bob"), "{done:?}");
    let sent = node.transactions();
    assert_eq!(sent[1].sender().to_string(), made["data"]["address"].as_str().unwrap());
    let Operation::Transfer { to, .. } = &sent[0].transaction().operations[0] else { panic!("{sent:?}") };
    assert_eq!(to, sent[1].sender());
    let address = made["data"]["address"].as_str().unwrap();
    let by_address = ["transfer", "--from", address, "--to", "bob", "--amount", "1", "--asset", "USD"];
    assert_eq!(user.run(&by_address).code, Some(0));
    let by_file =
        ["--key", made["data"]["file"].as_str().unwrap(), "transfer", "--to", "bob", "--amount", "1", "--asset", "USD"];
    assert_eq!(user.run(&by_file).code, Some(0));
}

#[test]
fn without_the_right_passphrase_nothing_is_sent_and_no_script_is_asked() {
    let user = User::new();
    assert_eq!(user.run(&["keys", "new", "work"]).code, Some(0));
    let node = crate::commits(&user.chain, Outcome::Applied);
    crate::with(&user.chain, &[&node]);
    let spend = ["--output", "json", "transfer", "--from", "work", "--to", "bob", "--amount", "1", "--asset", "USD"];
    let asked = user.run_without(&spend);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.json()["errors"][0]["hint"].as_str().unwrap().contains("--passphrase-file"), "{asked:?}");
    assert_eq!(asked.err, "", "no prompt");
    user.write("pass", "another one");
    let wrong = user.run(&spend);
    assert_eq!((wrong.code, &wrong.json()["errors"][0]["code"]), (Some(10), &"wrong_passphrase".into()), "{wrong:?}");
    assert!(node.submissions().is_empty());
}

#[test]
fn keys_come_from_hex_and_key_files_and_go_out_encrypted_or_plain() {
    let user = User::new();
    let key = SecretKey::from_seed([9; 32]);
    let hex = user.write("seed", &format!("{}\n", "09".repeat(32)));
    let address = |run: Run| {
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(!run.out.contains("0909") && !run.err.contains("0909"), "no secret is shown: {run:?}");
        run.json()["data"]["address"].as_str().unwrap().to_owned()
    };
    let json = ["--output", "json", "keys"];
    let keys = |arguments: &[&str]| user.run(&[&json, arguments].concat());
    assert_eq!(address(keys(&["import", "one", "--hex-file", hex.to_str().unwrap()])), key.public_key().to_string());
    let mut piped = user.command(&[&json[..], &["import", "two", "--hex-file", "-"]].concat());
    piped.env("QUORATE_PASSPHRASE_FILE", user.chain.path("pass")).stdin(File::open(&hex).unwrap());
    assert_eq!(address(finish(&mut piped)), key.public_key().to_string());
    let alice = user.chain.genesis.members[0].key.to_string();
    assert_eq!(address(keys(&["import", "three", "--key-file", &user.path("alice.json")])), alice);

    let (backup, plain) = (user.path("one.backup"), user.path("one.plain"));
    address(user.run_without(&["--output", "json", "keys", "export", "one", "--file", &backup]));
    address(keys(&["export", "one", "--file", &plain, "--plain"]));
    assert_eq!(keys(&["export", "one", "--file", &backup]).code, Some(2), "never overwritten");
    for (name, file) in [("four", &backup), ("five", &plain)] {
        assert_eq!(address(keys(&["import", name, "--key-file", file])), key.public_key().to_string());
    }
    assert_eq!(fs::metadata(&plain).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&hex, "09").unwrap();
    assert_eq!(keys(&["import", "six", "--hex-file", hex.to_str().unwrap()]).code, Some(10));
    assert_eq!(keys(&["import", "six"]).code, Some(2));
}

/// What a user sees and how it ends, when every prompt is answered with the next line.
fn at_terminal(user: &User, arguments: &[&str], answers: &[&str]) -> (Option<i32>, String) {
    let (mut terminal, slave) = terminal();
    let mut command = user.command(arguments);
    let mut child = command.stdin(slave()).stderr(slave()).stdout(Stdio::null()).spawn().unwrap();
    drop(command);
    let (mut seen, mut answers) = (String::new(), answers.iter());
    let mut bytes = [0; 256];
    // The terminal reports an error once the program is gone.
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if seen.ends_with(": ")
            && let Some(answer) = answers.next()
        {
            terminal.write_all(answer.as_bytes()).unwrap();
        }
    }
    (child.wait().unwrap().code(), seen)
}

#[test]
fn a_terminal_is_asked_twice_without_echo() {
    let user = User::new();
    let (code, seen) = at_terminal(&user, &["keys", "new", "work"], &["secrex\x7ft\r", "secret\r"]);
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("new passphrase for work: ") && seen.contains("the same again: "), "{seen}");
    assert!(!seen.contains("secret"), "{seen}");
    user.write("pass", "secret");
    assert_eq!(user.run(&["keys", "export", "work", "--file", &user.path("plain"), "--plain"]).code, Some(0));
    let (code, seen) = at_terminal(&user, &["keys", "new", "home"], &["secret\r", "other\r"]);
    assert!(code == Some(2) && seen.contains("hint:"), "{seen}");
    let (code, seen) = at_terminal(&user, &["keys", "new", "home"], &["sec\x03"]);
    assert!(code == Some(130) && seen.contains("nothing was done"), "{seen}");
    assert_eq!(user.run(&["keys", "show", "home"]).code, Some(3));
}
