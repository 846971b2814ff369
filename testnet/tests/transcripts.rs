//! Sessions at a terminal as readable files, each played against a testnet of its own: `$` a command, then what it prints
//! (stderr lines begin with `! `, an empty line is `~`), then `? ` its exit code where that is not 0. What differs from run to run is written as
//! HEX, TIME, MILLIS, ADDRESS and VALIDATORS. `QUORATE_BLESS=1` writes what was printed into the files.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Net, program, run};

fn started() -> Net {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    net
}

/// Where the user works and lives, with a passphrase in a file.
fn workplace() -> tempfile::TempDir {
    let work = tempfile::tempdir().unwrap();
    fs::write(work.path().join("pass.txt"), "correct horse battery\n").unwrap();
    run(Command::new("chmod").arg("600").arg(work.path().join("pass.txt"))).ok();
    work
}

fn transcript(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(name);
    let kept = fs::read_to_string(&path).unwrap();
    let (net, work) = (started(), workplace());
    let played: String = kept
        .lines()
        .filter(|line| line.is_empty() || line.starts_with(['#', '$']))
        .map(|line| match line.strip_prefix("$ ") {
            Some(command) => format!("{line}\n{}", play(command, net.path(), work.path())),
            None => format!("{line}\n"),
        })
        .collect();
    if std::env::var_os("QUORATE_BLESS").is_some() {
        fs::write(&path, &played).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (number, (kept, played)) in shown(&kept).iter().zip(shown(&played)).enumerate() {
        assert_eq!(kept, &played, "{name}, line {}", number + 1);
    }
    assert_eq!(kept.lines().count(), played.lines().count(), "{name}: {played}");
}

/// Runs one line as a shell would: words, quotes, `< FILE`, `> FILE`.
fn play(line: &str, dir: &Path, work: &Path) -> String {
    let line = line.replace("DIR", dir.to_str().unwrap());
    let mut words = words(&line);
    let mut redirect = |sign: &str| {
        let at = words.iter().position(|word| word == sign)?;
        words.remove(at);
        Some(work.join(words.remove(at)))
    };
    let (input, output): (Option<PathBuf>, Option<PathBuf>) = (redirect("<"), redirect(">"));
    if words[0] == "echo" {
        fs::write(output.expect("a file"), words[1..].join(" ") + "\n").unwrap();
        return String::new();
    }
    let mut command = Command::new(program(&words[0]));
    command
        .args(&words[1..])
        .current_dir(work)
        .env("HOME", work)
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_STATE_HOME");
    command.stdin(input.map_or_else(Stdio::null, |path| fs::File::open(path).unwrap().into()));
    let done = command.output().unwrap();
    let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    let mut text: String = err.lines().map(|line| format!("! {line}\n")).collect();
    match output {
        Some(path) => fs::write(path, out).unwrap(),
        None => text += &out,
    }
    let code = done.status.code().unwrap();
    if code != 0 {
        text += &format!("? {code}\n");
    }
    let beside = program("quorate").parent().unwrap().display().to_string() + "/";
    let text = text.replace(&beside, "").replace(work.to_str().unwrap(), "HOME").replace(dir.to_str().unwrap(), "DIR");
    let shown = |line: &str| if line.is_empty() { "~\n".to_owned() } else { normal(line) + "\n" };
    text.lines().map(shown).collect()
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in line.chars() {
        match character {
            '\'' | '"' if quote.is_none() => quote = Some(character),
            _ if quote == Some(character) => quote = None,
            ' ' if quote.is_none() => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Digits of a time in Unix milliseconds.
const MILLIS_DIGITS: usize = 13;

/// The line without what differs from run to run.
fn normal(line: &str) -> String {
    if let Some((label, _)) = line.split_once("v0 ").or_else(|| line.split_once("v1 "))
        && label.trim() == "signed by"
    {
        return format!("{label}VALIDATORS");
    }
    let mut normal = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let hex = rest.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
        if hex >= 64 {
            normal += "HEX";
            rest = &rest[hex..];
        } else if rest.bytes().take_while(u8::is_ascii_digit).count() == MILLIS_DIGITS {
            normal += "MILLIS";
            rest = &rest[MILLIS_DIGITS..];
        } else if let Some(after) = time(rest) {
            normal += "TIME";
            rest = after;
        } else if let Some(after) = rest.strip_prefix("127.0.0.1:") {
            normal += "ADDRESS";
            rest = after.trim_start_matches(|character: char| character.is_ascii_digit());
        } else {
            normal.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    normal.trim_end().to_owned()
}

/// What follows a time such as `2026-03-01 09:30:00.123 UTC`, where the text begins with one.
fn time(text: &str) -> Option<&str> {
    let form = "0000-00-00 00:00:00.000 UTC";
    let candidate = text.get(..form.len())?;
    let digit = |(shown, form): (char, char)| if form == '0' { shown.is_ascii_digit() } else { shown == form };
    candidate.chars().zip(form.chars()).all(digit).then(|| &text[form.len()..])
}

/// Every command of the guide, in its order, in one session that each time goes as it says.
#[test]
fn the_guide_of_the_command_line_does_what_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/command-line.md");
    let guide = fs::read_to_string(path).unwrap();
    let commands: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("    ")).map(str::trim).collect();
    assert!(commands.len() > 20, "{commands:?}");
    let (net, work) = (started(), workplace());
    for command in commands {
        let played = play(command, net.path(), work.path());
        assert!(!played.lines().any(|line| line.starts_with("? ")), "{command}\n{played}");
    }
}

#[test]
fn a_first_hour_with_the_ledger_reads_like_this() {
    transcript("first-hour.txt");
}

#[test]
fn own_keys_and_assets_read_like_this() {
    transcript("keys-and-assets.txt");
}
