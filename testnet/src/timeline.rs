//! `faults.jsonl`: what was broken and mended, and when, one line each.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use quorate_cli::clock;
use serde::Serialize;

/// A file longer than this, in bytes, loses its older part.
const BYTES_MAX: u64 = 1 << 20;
/// What is kept then, in bytes, from the next whole line on.
const BYTES_KEPT: u64 = 256 << 10;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    /// Unix milliseconds.
    time: u64,
    event: &'a str,
    target: &'a str,
    what: &'a str,
}

/// The file.
#[derive(Debug)]
pub struct Timeline {
    path: PathBuf,
}

impl Timeline {
    /// The file at this path, which need not exist.
    pub fn new(path: &Path) -> Timeline {
        Timeline { path: path.to_owned() }
    }

    /// Writes down what happens now. Returns the time, in Unix milliseconds. A file that cannot be written is told of on
    /// stderr: a fault is no less real for it.
    pub fn note(&self, event: &str, target: &str, what: &str) -> u64 {
        let time = clock::now_ms();
        let line = serde_json::to_string(&Line { time, event, target, what }).unwrap_or_default();
        if let Err(error) = self.append(&line) {
            eprintln!("{} cannot be written: {error}; not noted: {line}", self.path.display());
        }
        time
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(&self.path)?;
        if file.metadata()?.len() > BYTES_MAX {
            drop(file);
            self.cut()?;
            file = File::options().append(true).open(&self.path)?;
        }
        writeln!(file, "{line}")
    }

    fn cut(&self) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::End(-(BYTES_KEPT as i64)))?;
        let mut kept = Vec::new();
        file.take(BYTES_KEPT).read_to_end(&mut kept)?;
        let start = kept.iter().position(|byte| *byte == b'\n').map_or(kept.len(), |place| place + 1);
        fs::write(&self.path, &kept[start..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_bounded_and_keeps_its_last_lines_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("faults.jsonl");
        let timeline = Timeline::new(&path);
        let long = "x".repeat(4000);
        for number in 0..1000 {
            timeline.note("partition", &format!("cut {number}"), &long);
            assert!(fs::metadata(&path).unwrap().len() <= BYTES_MAX + 8192);
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.last().unwrap()["target"], "cut 999");
        assert!(lines.len() > 50 && lines.windows(2).all(|two| two[0]["time"].as_u64() <= two[1]["time"].as_u64()));
    }
}
