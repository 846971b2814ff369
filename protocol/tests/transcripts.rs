//! Every transcript in `tests/transcripts` shows what really happens.
//!
//! `QUORATE_BLESS=1` writes what happens into the files instead of comparing.
#![cfg(feature = "sim")]

use quorate_protocol::sim::transcript;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let entries = std::fs::read_dir(&folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

#[test]
fn every_transcript_shows_what_happens() {
    let files = files();
    assert!(!files.is_empty());
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let written = std::fs::read_to_string(&file).expect("a transcript is text");
        let played = transcript::run(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
        if std::env::var_os("QUORATE_BLESS").is_some() {
            std::fs::write(&file, played).expect("the file can be written");
            continue;
        }
        let differing = written.lines().zip(played.lines()).position(|(written, played)| written != played);
        let line = differing.unwrap_or_else(|| written.lines().count().min(played.lines().count())) + 1;
        let shown = |text: &str| text.lines().nth(line - 1).unwrap_or("(the end)").to_owned();
        assert!(
            written == played,
            "{name} differs in line {line}\n  written: {}\n  happens: {}\nQUORATE_BLESS=1 writes what happens",
            shown(&written),
            shown(&played),
        );
    }
}
