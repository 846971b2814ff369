//! Whatever stands in a testnet's files, comes over its socket or is typed: it is read as what it says, or refused.

#[path = "../../crypto/tests/decoding/mod.rs"]
mod decoding;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::LazyLock;

use decoding::{
    Decoder, assert_whole_samples_only, changed, document, edits, endless, json, read_by_all, refused, write_seeds,
};
use proptest::prelude::*;
use quorate_testnet::bench::{self, Kept, Subject};
use quorate_testnet::control::{Delay, NodeProcess, Reply, Request, State, Waiting, listen};
use quorate_testnet::directory::Directory;
use quorate_testnet::fault::{Disk, Fault, FaultKind, LinkShown, Said};
use quorate_testnet::partition;
use quorate_testnet::record::{NodeProcessId, ProcessId, Record};
use quorate_testnet::settings::Settings;
use quorate_testnet::timeline::Timeline;
use quorate_testnet::units::{bandwidth, milliseconds, permille, signed_milliseconds};
use serde_json::Value;

/// The longest answer to a line that is none, in bytes.
const REPLY_BYTES_MAX: usize = 4_000;

fn requests() -> Vec<Request> {
    let node = || "v0".to_owned();
    let delay = Delay { target: node(), latency_ms: 50, jitter_ms: 1, stall_permille: 1000, bandwidth: Some(9) };
    vec![
        Request::Processes {},
        Request::Kill { node: node() },
        Request::Start { node: node() },
        Request::Restart { node: node() },
        Request::Wipe { node: node() },
        Request::Pause { node: node() },
        Request::Resume { node: node() },
        Request::Partition { spec: "v0,v1|v2,v3".to_owned() },
        Request::Delay(delay),
        Request::Heal {},
        Request::Clock { node: node(), offset_ms: -500 },
        Request::Disk { node: node(), disk: Disk::Slow(20) },
        Request::Disk { node: node(), disk: Disk::Full },
        Request::Down {},
    ]
}

fn replies() -> Vec<Reply> {
    let (from, to, api) = ("v0".to_owned(), "v1".to_owned(), "http://127.0.0.1:1".to_owned());
    let node =
        NodeProcess { name: from.clone(), pid: Some(7), down: Some("it was killed".to_owned()), paused: true, api };
    let fault = Fault {
        kind: FaultKind::Delay,
        target: from.clone(),
        what: "latency 50 ms".to_owned(),
        undo: "delay v0 --latency 0ms".to_owned(),
        since: 7,
    };
    let link =
        LinkShown { from, to, held: true, latency_ms: 50, jitter_ms: 0, stall_permille: 0, bandwidth: Some(1_000) };
    let (what, notes) = ("it is slow".to_owned(), vec!["a note".to_owned()]);
    let said = Said { what, undo: None, notes, at: 1_795_000_000_000, took_ms: 0.25 };
    let state = State { nodes: vec![node], proxied: true, faults: vec![fault], links: vec![link], said: Some(said) };
    let refused = Reply::Refused {
        exit: 3,
        code: "unknown_node".to_owned(),
        message: "there is no v9".to_owned(),
        hint: "see status".to_owned(),
    };
    vec![Reply::Done(Box::default()), Reply::Done(Box::new(state)), refused]
}

fn record() -> Record {
    let process = |pid| ProcessId { pid, start_time: 1 << 40 };
    let node = |name: &str, pid| NodeProcessId { name: name.to_owned(), process: process(pid) };
    Record { supervisor: Some(process(1)), nodes: vec![node("v0", 2), node("v1", 3)], helpers: vec![process(4)] }
}

fn kept() -> Kept {
    Kept {
        subject: Subject {
            started: 1,
            version: "0.1.0".to_owned(),
            nodes: 4,
            cores: 2,
            clients: 1_000,
            accounts: 1_000,
            transaction_bytes: 205,
            reference_micros: 9.5,
            sync_millis: 0.1,
            wake_micros: 10.0,
        },
        committed_per_second: 20_000.0,
        efficiency: 0.4,
        replica_micros: 30.0,
        written_bytes: 2_400.0,
        wire_bytes: 3_000.0,
        resident_bytes_max: 200_000_000,
        latency: vec![(100, Some(9.0), None)],
    }
}

/// A number with its unit, as it is typed; what is read is within the bounds of its quantity.
fn reads_units(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (time, difference) = (milliseconds(text), signed_milliseconds(text));
    assert!(time.as_ref().is_ok_and(|time| *time <= 60_000) || time.as_ref().is_err_and(|error| !refused(error)));
    assert!(difference.is_ok() || time.is_err(), "{text:?}");
    let (rate, share) = (bandwidth(text), permille(text));
    assert!(rate.as_ref().is_ok_and(|rate| *rate >= 1_000) || rate.as_ref().is_err_and(|error| !refused(error)));
    assert!(share.as_ref().is_ok_and(|share| *share <= 1_000) || share.as_ref().is_err_and(|error| !refused(error)));
    difference.is_ok() || rate.is_ok() || share.is_ok()
}

fn reads_partition(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let names: Vec<String> = (0..4).map(|index| format!("v{index}")).collect();
    match partition::parse(text, &names) {
        Ok(cut) => {
            assert!(cut.pairs.iter().all(|(from, to)| from != to && *from < 4 && *to < 4), "{text}");
            assert!(!cut.pairs.is_empty() && cut.unnamed.len() <= 2, "{text}");
            true
        }
        Err(failure) => {
            assert!(!failure.message.is_empty() && !failure.hint.is_empty());
            false
        }
    }
}

fn lines() -> Vec<Decoder> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    vec![
        json::<Request>(requests()),
        json::<Reply>(replies()),
        json::<Settings>(vec![Settings { faults: true }]),
        json::<Record>(vec![record()]),
        json::<Kept>(vec![kept()]),
        document("a quantity", reads_units, texts(&["50ms", "+1.5s", "-2h", "0", "64KiB", "1MB/s", "5%", "0.1"]))
            .open_ended(),
        document("a partition", reads_partition, texts(&["v0,v1|v2,v3", "v0>v1,v2", "v0|v1|v2"])).open_ended(),
    ]
}

fn table() -> &'static [Decoder] {
    static TABLE: LazyLock<Vec<Decoder>> = LazyLock::new(lines);
    &TABLE
}

#[test]
fn whole_values_are_read_and_nothing_shorter_or_longer() {
    assert_whole_samples_only(table());
}

#[test]
fn brackets_without_end_are_refused() {
    endless().iter().for_each(|bytes| read_by_all(table(), bytes));
}

/// What stands in `fuzz/` begins with these, and finds its way from there.
#[test]
#[ignore = "writes files; run it before fuzzing"]
fn every_sample_becomes_a_seed_of_its_fuzz_target() {
    write_seeds("text", table().iter().flat_map(|decoder| &decoder.samples));
}

/// What a supervisor that does nothing answers to these bytes; empty where it hangs up.
fn answer(directory: &Directory, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(directory.socket()).unwrap();
    // It may answer and hang up before it has heard everything.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut line = Vec::new();
    let _ = BufReader::new(stream.take(1 << 20)).read_until(b'\n', &mut line);
    line
}

/// A supervisor that does nothing.
fn supervisor(directory: &Directory) {
    let done = |waiting: Waiting| drop(waiting.reply.send(Reply::Done(Box::default())));
    listen(directory, done).unwrap();
}

#[test]
fn a_line_without_end_is_refused_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::new(dir.path());
    supervisor(&directory);
    let answered = answer(&directory, &b"[".repeat(3 << 20));
    assert!(answered.is_empty() || String::from_utf8_lossy(&answered).contains("bad_request"), "{answered:?}");
    assert_eq!(
        serde_json::from_slice::<Reply>(&answer(&directory, b"{\"command\":\"heal\"}\n")).unwrap(),
        replies()[0]
    );
}

/// Files of a testnet that nobody has to have written: read as what they say, or as if they were not there.
fn read_as_files(folder: &Path, bytes: &[u8]) {
    let path = folder.join("file");
    fs::write(&path, bytes).unwrap();
    let (settings, record) = (Settings::load(&path), Record::load(&path));
    settings.save(&path).unwrap();
    assert_eq!(Settings::load(&path), settings);
    record.save(&path).unwrap();
    assert_eq!(Record::load(&path), record);
    fs::write(&path, bytes).unwrap();
    if let Err(error) = bench::last_like(&path, &kept()) {
        assert!(!error.to_string().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused_or_are_read_as_the_same_value_again(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_by_all(table(), &bytes);
    }

    #[test]
    fn arbitrary_texts_are_refused_or_are_read_as_the_same_value_again(
        text in "[ +-]{0,2}[0-9]{0,20}[.e]?[0-9]{0,3} ?(ms|s|m|h|kB|KiB|GB|%|/s|inf|NaN)?|(v[0-9]{1,2}[,|> ]{0,2}){0,6}|\\PC{0,40}",
    ) {
        read_by_all(table(), text.as_bytes());
    }

    #[test]
    fn changed_values_are_refused_or_are_read_as_the_same_value_again(
        which in any::<[prop::sample::Index; 4]>(), edits in edits(),
    ) {
        read_by_all(table(), &changed(table(), &which, &edits));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_are_read_as_what_they_say_or_as_if_they_were_not_there(
        bytes in prop::collection::vec(any::<u8>(), 0..300), which in any::<[prop::sample::Index; 4]>(), edits in edits(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        read_as_files(folder.path(), &bytes);
        read_as_files(folder.path(), &changed(table(), &which, &edits));
    }

    #[test]
    fn whatever_is_noted_is_one_line_that_says_it(
        notes in prop::collection::vec(("\\PC{0,20}", "(\\PC|[\n\r\t\"\\\\\u{0}]){0,60}", "(\\PC|\n){0,60}"), 1..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.jsonl");
        let timeline = Timeline::new(&path);
        let times: Vec<u64> = notes.iter().map(|(event, target, what)| timeline.note(event, target, what)).collect();
        let text = fs::read_to_string(&path).unwrap();
        prop_assert!(text.ends_with('\n'));
        let lines: Vec<Value> = text.split_terminator('\n').map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(lines.len(), notes.len());
        for ((line, (event, target, what)), time) in lines.iter().zip(&notes).zip(times) {
            let said = [&line["event"], &line["target"], &line["what"]].map(|word| word.as_str().unwrap());
            prop_assert_eq!((said, &line["time"]), ([event.as_str(), target, what], &time.into()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_gets_an_answer_or_the_end_of_the_connection(
        bytes in prop::collection::vec(any::<u8>(), 0..300), which in any::<[prop::sample::Index; 4]>(), edits in edits(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(dir.path());
        supervisor(&directory);
        for line in [bytes, changed(table(), &which, &edits)] {
            let answered = answer(&directory, &line);
            prop_assert!(answered.len() <= REPLY_BYTES_MAX, "{} bytes", answered.len());
            let first = line.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
            match serde_json::from_slice::<Reply>(&answered) {
                Ok(Reply::Done(_)) => prop_assert!(serde_json::from_slice::<Request>(first).is_ok()),
                Ok(Reply::Refused { code, .. }) => {
                    prop_assert_eq!(code, "bad_request");
                    prop_assert!(serde_json::from_slice::<Request>(first).is_err());
                }
                Err(_) => prop_assert!(answered.is_empty() && line.is_empty(), "{:?}", answered),
            }
        }
    }
}
