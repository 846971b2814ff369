//! Results kept as lines of JSON in a file, and the comparison with the last one of the same subject.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::figures::{Figures, Since, Step, Subject};

/// The longest file of results that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One line: what a later run is compared with. Latencies are p50 and p99 in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// On what.
    #[serde(flatten)]
    pub subject: Subject,
    /// Certified transactions per second at full load.
    pub committed_per_second: f64,
    /// committed rate x nodes x reference cost / cores.
    pub efficiency: f64,
    /// Microseconds of processor time for each transaction and replica.
    pub replica_micros: f64,
    /// Bytes written for each transaction and replica, to files and to clients.
    pub written_bytes: f64,
    /// Bytes over the loopback for each transaction.
    pub wire_bytes: f64,
    /// Most memory of a node, in bytes.
    pub resident_bytes_max: u64,
    /// Rate, p50 and p99 of each open-loop step.
    pub latency: Vec<(u64, Option<f64>, Option<f64>)>,
}

impl Kept {
    /// What is kept of a run.
    pub fn of(figures: &Figures) -> Kept {
        let Figures { subject, full, cost, steady, sweep, .. } = figures;
        let finite = |millis: f64| millis.is_finite().then(|| round(millis));
        let step = |step: &Step| {
            let latency = step.latency_millis;
            (step.offered_per_second, finite(latency.p50), finite(latency.p99))
        };
        Kept {
            subject: Subject {
                reference_micros: round(subject.reference_micros),
                sync_millis: round(subject.sync_millis),
                wake_micros: round(subject.wake_micros),
                ..subject.clone()
            },
            committed_per_second: full.committed_per_second.round(),
            efficiency: round(full.efficiency),
            replica_micros: round(cost.replica_micros),
            written_bytes: cost.written_bytes.round(),
            wire_bytes: cost.wire_bytes.round(),
            resident_bytes_max: cost.resident_bytes_max,
            latency: steady.iter().chain(sweep).map(step).collect(),
        }
    }

    fn is_like(&self, other: &Kept) -> bool {
        let of = |Kept { subject, .. }: &Kept| {
            (subject.nodes, subject.cores, subject.clients, subject.accounts, subject.transaction_bytes)
        };
        of(self) == of(other)
    }

    /// This run beside an earlier one.
    pub fn since(&self, earlier: &Kept) -> Since {
        Since {
            started: earlier.subject.started,
            rate: self.committed_per_second / earlier.committed_per_second,
            efficiency: self.efficiency / earlier.efficiency,
        }
    }
}

/// To three decimal places, as far as such a figure can be trusted.
fn round(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

/// The last line in `file` with the same subject; `None` where there is none, or no file.
///
/// # Errors
/// A file that cannot be read, is too long, or has a line that is none of ours.
pub fn last_like(file: &Path, kept: &Kept) -> io::Result<Option<Kept>> {
    let length = match fs::metadata(file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    let mut last = None;
    for (number, line) in fs::read_to_string(file)?.lines().enumerate() {
        let read: Kept = serde_json::from_str(line)
            .map_err(|error| io::Error::other(format!("line {} is no result of a bench: {error}", number + 1)))?;
        if read.is_like(kept) {
            last = Some(read);
        }
    }
    Ok(last)
}

/// Adds a line to `file`, which is made when it is not there.
///
/// # Errors
/// A file that cannot be written.
pub fn append(file: &Path, kept: &Kept) -> io::Result<()> {
    let line = serde_json::to_string(kept)? + "\n";
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(started: u64, nodes: usize, rate: f64) -> Kept {
        Kept {
            subject: Subject {
                started,
                version: "0.1.0".to_owned(),
                nodes,
                cores: 2,
                clients: 1_000,
                accounts: 1_000,
                transaction_bytes: 205,
                reference_micros: 9.5,
                sync_millis: 0.1,
                wake_micros: 10.0,
            },
            committed_per_second: rate,
            efficiency: rate * nodes as f64 * 9.5e-6 / 2.0,
            replica_micros: 30.0,
            written_bytes: 2_400.0,
            wire_bytes: 3_000.0,
            resident_bytes_max: 200_000_000,
            latency: vec![(100, Some(9.0), None)],
        }
    }

    #[test]
    fn a_result_is_compared_with_the_last_one_of_the_same_subject() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.jsonl");
        let now = kept(4, 4, 20_000.0);
        assert_eq!(last_like(&file, &now).unwrap(), None, "no file, no result");
        let earlier = [kept(1, 4, 5_000.0), kept(2, 4, 10_000.0), kept(3, 7, 4_000.0)];
        earlier.iter().for_each(|kept| append(&file, kept).unwrap());
        let last = last_like(&file, &now).unwrap().unwrap();
        assert_eq!(last, earlier[1]);
        let since = now.since(&last);
        assert_eq!((since.started, since.rate, since.efficiency), (2, 2.0, 2.0));
    }

    #[test]
    fn a_line_that_is_none_of_ours_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.jsonl");
        append(&file, &kept(1, 4, 5_000.0)).unwrap();
        fs::write(&file, fs::read_to_string(&file).unwrap() + "{}\n").unwrap();
        assert!(last_like(&file, &kept(2, 4, 1.0)).unwrap_err().to_string().starts_with("line 2 is no result"));
    }
}
