//! Texts and lines: cursors, queries, streams of events, what goes over a testnet's socket and what is typed.
#![no_main]

use axum::extract::Query;
use axum::http::Uri;
use libfuzzer_sys::fuzz_target;
use quorate_cli::client::events::{Item, Parser};
use quorate_fuzz::json;
use quorate_node::http::cursor::{self, List};
use quorate_protocol::api::event::{Cursor, Event};
use quorate_protocol::api::http::{BlocksQuery, EventsQuery, SubmitQuery};
use quorate_testnet::control::{Reply, Request};
use quorate_testnet::partition;
use quorate_testnet::record::Record;
use quorate_testnet::settings::Settings;
use quorate_testnet::units::{bandwidth, milliseconds, permille, signed_milliseconds};

fuzz_target!(|bytes: &[u8]| {
    stream(bytes);
    json::<Request>(bytes);
    json::<Reply>(bytes);
    json::<Settings>(bytes);
    json::<Record>(bytes);
    if let Ok(uri) = Uri::try_from([b"/v1/anything?", bytes].concat()) {
        query(&uri);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        cursors(text);
        typed(text);
    }
});

/// Nothing that a stream brings is read otherwise when it is written again.
fn stream(bytes: &[u8]) {
    let mut parser = Parser::default();
    for &byte in bytes {
        match parser.push(byte) {
            Ok(None) => {}
            Ok(Some(Item::Event(cursor, event))) => {
                assert_eq!(cursor.to_string().parse(), Ok(cursor));
                let written = serde_json::to_vec(&event).expect("an event has a JSON form");
                assert_eq!(serde_json::from_slice::<Event>(&written).ok(), Some(event));
            }
            Ok(Some(Item::Alive)) => panic!("a sign of life is not in the bytes"),
            Err(reason) => {
                assert!(!reason.is_empty());
                break;
            }
        }
    }
}

fn query(uri: &Uri) {
    let _ = Query::<SubmitQuery>::try_from_uri(uri);
    let _ = Query::<EventsQuery>::try_from_uri(uri);
    if let Ok(Query(BlocksQuery { cursor: Some(text), .. })) = Query::<BlocksQuery>::try_from_uri(uri) {
        cursors(&text);
    }
}

fn cursors(text: &str) {
    for list in [List::BlocksNewest, List::BlocksOldest] {
        let place = cursor::read(list, text);
        assert!(place.is_none_or(|place| cursor::write(list, place) == text), "two texts of one cursor");
    }
    assert!(text.parse::<Cursor>().map_or(true, |cursor| cursor.to_string() == text));
}

fn typed(text: &str) {
    assert!(milliseconds(text).map_or(true, |time| time <= 60_000));
    let _ = signed_milliseconds(text);
    assert!(bandwidth(text).map_or(true, |rate| rate >= 1_000));
    assert!(permille(text).map_or(true, |share| share <= 1_000));
    let names: Vec<String> = (0..4).map(|index| format!("v{index}")).collect();
    if let Ok(cut) = partition::parse(text, &names) {
        assert!(cut.pairs.iter().all(|(from, to)| from != to && *from < 4 && *to < 4));
    }
}
