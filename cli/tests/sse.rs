//! The stream of events as a node sends it, and as nobody should: server-sent events, cut anywhere, changed anyhow.

#[path = "../../crypto/tests/decoding/mod.rs"]
mod decoding;

use std::sync::LazyLock;

use decoding::{edited, edits, is_alone, peak_kib, write_seeds};
use proptest::prelude::*;
use quorate_cli::client::events::{Item, Parser};
use quorate_crypto::hash::sha256;
use quorate_crypto::key::SecretKey;
use quorate_protocol::api::code::Code;
use quorate_protocol::api::event::{BlockEvent, Cursor, Event, TransactionEvent};
use quorate_protocol::api::http::TransactionStatus;
use quorate_protocol::id::{Height, TransactionId};

/// Memory in KiB that a parser may take, whatever comes: a message has 64 KiB at most, and is copied a few times.
const MEMORY_KIB_MAX: usize = 2_048;

/// What a stream brings until it ends or is none, and the reason where it is none.
fn parse(bytes: &[u8]) -> (Vec<Item>, Option<String>) {
    let (mut parser, mut items) = (Parser::default(), Vec::new());
    for &byte in bytes {
        match parser.push(byte) {
            Ok(item) => items.extend(item),
            Err(reason) => return (items, Some(reason)),
        }
    }
    (items, None)
}

fn event(height: u64, index: u32) -> Event {
    let (id, hash) = (TransactionId(sha256(b"id")), sha256(b"hash"));
    let height = Height(height);
    if index % 2 == 1 {
        return Event::Block(BlockEvent { height, hash, time: 5, state_root: hash, transactions: index });
    }
    let (status, code) = (TransactionStatus::Failed, Some(Code::InsufficientBalance));
    let sender = SecretKey::from_seed([7; 32]).public_key();
    Event::Transaction(TransactionEvent { height, index, id, status, code, sender, time: 5 })
}

/// A message as the node writes it, with this end of its lines.
fn message(height: u64, index: u32, end: &str) -> String {
    let event = event(height, index);
    let kind = if matches!(event, Event::Block(_)) { "block" } else { "transaction" };
    let data = serde_json::to_string(&event).unwrap();
    [&format!("id: {height}-{index}"), &format!("event: {kind}"), &format!("data: {data}"), "", ""].join(end)
}

fn sample() -> &'static [u8] {
    static SAMPLE: LazyLock<String> = LazyLock::new(|| {
        let strange = "retry: 5\nevent: weather\ndata: sun\n\n: nothing new\n\n";
        [&message(1, 0, "\n"), strange, &message(1, 1, "\r\n"), &message(2, 0, "\r")].concat()
    });
    SAMPLE.as_bytes()
}

#[test]
fn a_stream_without_end_takes_no_more_memory_than_one_message() {
    if !is_alone("a_stream_without_end_takes_no_more_memory_than_one_message") {
        return;
    }
    let before = peak_kib();
    for piece in [&b"x"[..], b"data:0123456789\n", b"data:\n", b"id: 1-0\nevent: block\n", b": a comment\n", b"\n"] {
        let mut parser = Parser::default();
        let mut refused = false;
        for &byte in piece.iter().cycle().take(8 << 20) {
            if parser.push(byte).is_err() {
                refused = true;
                break;
            }
        }
        assert!(refused || !piece.starts_with(b"x") && !piece.starts_with(b"data:0"), "{piece:?}");
    }
    let taken = peak_kib() - before;
    assert!(taken <= MEMORY_KIB_MAX, "{taken} KiB");
}

/// What stands in `fuzz/` begins with this, and finds its way from there.
#[test]
#[ignore = "writes files; run it before fuzzing"]
fn the_sample_becomes_a_seed_of_its_fuzz_target() {
    write_seeds("text", [&sample().to_vec()]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_node_writes_is_read_whatever_its_lines_end_with(
        places in prop::collection::vec((any::<u64>(), any::<u32>()), 0..8), end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        comments in any::<bool>(),
    ) {
        let mut text = String::new();
        for (height, index) in &places {
            text += &message(*height, *index, end);
            if comments {
                text += &format!(": nothing new{end}{end}");
            }
        }
        let expected: Vec<Item> = places
            .iter()
            .map(|&(height, index)| Item::Event(Cursor { height: Height(height), index }, event(height, index)))
            .collect();
        prop_assert_eq!(parse(text.as_bytes()), (expected, None));
    }

    #[test]
    fn a_stream_that_is_cut_has_brought_a_first_part(cut in any::<prop::sample::Index>()) {
        let (whole, none) = parse(sample());
        prop_assert!(whole.len() == 3 && none.is_none());
        let (items, reason) = parse(&sample()[..cut.index(sample().len() + 1)]);
        prop_assert!(whole.starts_with(&items) && reason.is_none());
    }

    #[test]
    fn changed_streams_are_refused_in_short_words_or_bring_events_that_are_written_as_read(
        edits in edits(), bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        for stream in [&edited(sample(), b"\n\nid: 9-9\n", &edits), &bytes] {
            let (items, reason) = parse(stream);
            prop_assert!(reason.is_none_or(|reason| !reason.is_empty() && reason.len() <= 2_000));
            for item in items {
                let Item::Event(cursor, event) = item else { panic!("a sign of life is not in the bytes") };
                prop_assert!(cursor.to_string().parse() == Ok(cursor));
                let again = serde_json::from_slice::<Event>(&serde_json::to_vec(&event).unwrap()).unwrap();
                prop_assert_eq!(again, event);
            }
        }
    }
}
