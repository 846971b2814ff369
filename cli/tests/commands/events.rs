//! Events, told by scripted nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_protocol::api::event::{BlockEvent, Event};
use quorate_protocol::id::Height;

use crate::support::{Answer, Chain, FakeNode, Request, Run, zero};

fn block(height: u64) -> String {
    block_of(height, 0)
}

fn block_of(height: u64, transactions: u32) -> String {
    let (hash, state_root) = (zero(), zero());
    let event = Event::Block(BlockEvent { height: Height(height), hash, time: 5, state_root, transactions });
    format!("id: {height}-0\nevent: block\ndata: {}\n\n", serde_json::to_string(&event).unwrap())
}

/// What a stream of these blocks looks like.
pub fn stream(heights: impl IntoIterator<Item = u64>) -> Answer {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let body: String = heights.into_iter().map(block).collect();
    Answer::Raw(format!("{head}{body}").into_bytes())
}

/// A node that sends these blocks to whoever asks for events, and then ends the stream.
fn tells(chain: &Chain, heights: impl IntoIterator<Item = u64>) -> FakeNode {
    let body: String = heights.into_iter().map(block).collect();
    streams(chain, format!(": hello\n\n{body}"))
}

fn streams(chain: &Chain, body: String) -> FakeNode {
    FakeNode::start(chain, move |request: &Request| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        request.path.starts_with("/v1/events").then(|| Answer::Raw(format!("{head}{body}").into_bytes()))
    })
}

fn cursors(run: &Run) -> Vec<String> {
    let cursor = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["cursor"].as_str().unwrap().to_owned()
    };
    run.out.lines().map(cursor).collect()
}

fn asked(node: &FakeNode) -> Vec<String> {
    node.requests().iter().map(|request| request.path.clone()).filter(|path| path.starts_with("/v1/events")).collect()
}

#[test]
fn without_follow_it_ends_at_the_head() {
    let chain = Chain::new();
    let node = tells(&chain, 1..=9);
    crate::with(&chain, &[&node]);
    let done = chain.quorate(&["events", "--output", "jsonl"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(cursors(&done), ["1-0", "2-0", "3-0", "4-0", "5-0", "6-0", "7-0"], "the head is 7");
    assert_eq!(asked(&node), ["/v1/events?after=0-0"]);
    let json = chain.quorate(&["events", "--after", "5-0", "--output", "json"]);
    assert_eq!(json.json()["data"]["events"][1]["cursor"], "7-0", "{json:?}");
    assert!(chain.quorate(&["events", "--count", "1"]).out.contains("1-0  block"));
}

#[test]
fn people_are_told_of_one_transaction_and_of_two_transactions() {
    let chain = Chain::new();
    let body: String = (5..=7).map(|height| block_of(height, height as u32 - 5)).collect();
    let node = streams(&chain, body);
    crate::with(&chain, &[&node]);
    let shown = chain.quorate(&["events"]).out;
    let ends: Vec<&str> = shown.lines().map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(ends, ["0 transactions", "1 transaction", "2 transactions"], "{shown}");
}

#[test]
fn when_a_node_dies_the_next_one_goes_on_without_a_gap_or_a_repetition() {
    let chain = Arc::new(Chain::new());
    let (dies, goes_on) = (tells(&chain, [1, 2]), tells(&chain, [2, 3, 4]));
    crate::with(&chain, &[&dies, &goes_on]);
    let done = chain.quorate(&["events", "--follow", "--after", "0-0", "--count", "4", "--output", "jsonl"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(cursors(&done), ["1-0", "2-0", "3-0", "4-0"]);
    assert_eq!(asked(&goes_on), ["/v1/events?after=2-0"]);
    let headers = &goes_on.requests()[0].headers;
    assert_eq!(headers.get("last-event-id").map(String::as_str), Some("2-0"), "{headers:?}");
    assert!(done.err.contains("going on after 2-0"), "{done:?}");
}

#[test]
fn a_stream_of_nonsense_and_an_endless_line_lead_to_the_next_node() {
    for body in ["id: x\nevent: block\ndata: {}\n\n".to_owned(), "x".repeat(1 << 20), "\u{0}\u{1}\n\n".to_owned()] {
        let chain = Chain::new();
        let (bad, good) = (streams(&chain, body), tells(&chain, [8]));
        crate::with(&chain, &[&bad, &good]);
        let done = chain.quorate(&["events", "--follow", "--count", "1", "--output", "jsonl"]);
        assert_eq!((done.code, cursors(&done)), (Some(0), vec!["8-0".to_owned()]), "{done:?}");
    }
}

#[test]
fn filters_are_passed_on_and_where_nobody_listens_is_exit_6() {
    let chain = Chain::new();
    let node = tells(&chain, [8]);
    crate::with(&chain, &[&node]);
    let alice = chain.genesis.members[0].key;
    let follow = ["events", "--follow", "--after", "7-0", "--account", "alice", "--kinds", "block", "--count", "1"];
    assert_eq!(chain.quorate(&follow).code, Some(0));
    assert_eq!(asked(&node), [format!("/v1/events?after=7-0&account={alice}&kinds=block")]);
    assert_eq!(chain.quorate(&["events", "--follow", "--output", "json"]).code, Some(2));
    assert_eq!(chain.quorate(&["events", "--after", "7"]).code, Some(2));

    let began = Instant::now();
    let deaf =
        FakeNode::start(&chain, |request: &Request| request.path.starts_with("/v1/events").then_some(Answer::Silence));
    crate::with(&chain, &[&deaf]);
    let done =
        chain.quorate(&["--timeout", "1", "events", "--follow", "--after", "7-0", "--output", "json", "--count", "1"]);
    assert_eq!(done.code, Some(6), "{done:?}");
    assert!(done.json()["errors"][0]["hint"].as_str().unwrap().contains("--after 7-0"), "{done:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
}
