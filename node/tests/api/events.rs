//! `GET /v1/events`: what a client hears, whatever it and the node do meanwhile.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use quorate_crypto::encode::encode;
use quorate_node::config::{Limits, NodeConfig};
use quorate_protocol::api::Code;
use quorate_protocol::api::event::Cursor;
use quorate_protocol::document::SignedTransaction;
use serde_json::Value;

use crate::COMMITTED;
use crate::common::{Chain, PATIENCE, cluster, get, request, request_with, single, single_with, submit, wait_for};

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    id: Cursor,
    event: String,
    data: Value,
}

/// A client of the stream.
struct Listener {
    lines: BufReader<TcpStream>,
}

impl Listener {
    fn open(api: SocketAddr, query: &str, last_event_id: Option<Cursor>) -> Listener {
        let mut stream = TcpStream::connect(api).expect("the API listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let resume = last_event_id.map_or(String::new(), |cursor| format!("last-event-id: {cursor}\r\n"));
        // By HTTP/1.0 the body comes as it is, without the marks of chunks.
        write!(stream, "GET /v1/events{query} HTTP/1.0\r\nhost: {api}\r\n{resume}\r\n").expect("the API reads");
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).expect("a head"), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.0 200") && head.contains("text/event-stream"), "{head}");
        Listener { lines }
    }

    /// The next event; `None` when the stream has ended.
    fn hear(&mut self) -> Option<Heard> {
        let (mut id, mut event, mut data) = (None, None, None);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("the stream stands") == 0 {
                return None;
            }
            let line = line.trim_end();
            if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.parse().expect("a cursor"));
            } else if let Some(value) = line.strip_prefix("event: ") {
                event = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(value).expect("JSON"));
            } else if line.is_empty()
                && let (Some(id), Some(event), Some(data)) = (id.take(), event.take(), data.take())
            {
                return Some(Heard { id, event, data });
            } else {
                assert!(line.is_empty() || line.starts_with(':'), "{line:?}");
            }
        }
    }

    /// Everything up to the event of block `height`.
    fn hear_through(&mut self, height: u64) -> Vec<Heard> {
        let mut heard = Vec::new();
        loop {
            let next = self.hear().expect("more");
            let is_last = next.event == "block" && next.id.height.0 >= height;
            heard.push(next);
            if is_last {
                return heard;
            }
        }
    }
}

/// Commits transfers in one submission; returns the height of the last.
fn commit_many(api: SocketAddr, transfers: &[SignedTransaction]) -> u64 {
    let path = format!("/v1/transactions{COMMITTED}");
    let reply = request(api, "POST", &path, "application/x-borsh", &encode(&transfers.to_vec()));
    let outcomes = reply.json()["outcomes"].as_array().expect("outcomes").clone();
    let height = |outcome: &Value| outcome["height"].as_u64().unwrap_or_else(|| panic!("{outcome}"));
    outcomes.iter().map(height).max().expect("some")
}

fn transfers(chain: &Chain, salts: std::ops::Range<u64>) -> Vec<SignedTransaction> {
    salts.map(|salt| chain.transfer(1, salt)).collect()
}

#[test]
fn a_stream_resumes_behind_any_event_in_the_middle_of_a_block_too() {
    let (chain, node) = single();
    let api = node.api_address();
    let sent = transfers(&chain, 0..60);
    let last = commit_many(api, &sent).max(commit_many(api, &[chain.transfer(super::FUNDS * 2, 99)]));
    let all = Listener::open(api, "?after=0-0", None).hear_through(last);
    let ids: Vec<&Value> =
        all.iter().filter(|heard| heard.event == "transaction").map(|heard| &heard.data["id"]).collect();
    assert_eq!(ids.len(), 61);
    assert!(sent.iter().all(|transfer| ids.contains(&&transfer.id().to_string().into())));
    assert!(all.is_sorted_by(|a, b| a.id < b.id), "in the order of the chain, each once");
    let middle = all.iter().position(|heard| heard.id.index == 5).expect("a block of more than five");
    for place in [0, middle, middle + 1, all.len() - 2] {
        let after = all[place].id;
        let rest = Listener::open(api, &format!("?after={after}"), None).hear_through(last);
        assert_eq!(rest, all[place + 1..], "after {after}");
        // What a browser sends when it connects again to the same address wins.
        assert_eq!(Listener::open(api, "?after=0-0", Some(after)).hear_through(last), rest);
    }
    let failed = all.iter().find(|heard| heard.data["status"] == "failed").expect("the overdraft");
    assert_eq!(failed.data["code"], "insufficient_balance");
    assert_eq!(failed.data["sender"], chain.alice.public_key().to_string());
    let block = get(api, &format!("/v1/blocks/{last}")).json();
    let told = &all.last().unwrap().data;
    assert_eq!((&told["hash"], &told["state_root"]), (&block["hash"], &block["header"]["state_root"]));
    node.stop().expect("a clean stop");
}

#[test]
fn nothing_is_missed_or_repeated_across_reconnects_to_all_nodes_while_load_runs() {
    let (chain, nodes) = cluster(4);
    wait_for("quorum", || nodes.iter().all(|node| get(node.api_address(), "/readyz").status == 200));
    let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.api_address()).collect();
    let batches: Vec<Vec<SignedTransaction>> =
        (0..25).map(|batch| transfers(&chain, batch * 40..(batch + 1) * 40)).collect();
    let mut expected: BTreeSet<String> = batches.iter().flatten().map(|transfer| transfer.id().to_string()).collect();
    let api = addresses[0];
    let load = std::thread::spawn(move || batches.iter().map(|batch| commit_many(api, batch)).max());
    let (mut heard, mut after) = (Vec::<Heard>::new(), "0-0".parse::<Cursor>().unwrap());
    let mut turn = 0;
    while !expected.is_empty() {
        // Each stream is left in the middle, with what is on its way unread; the next node may be behind or ahead.
        let mut stream = Listener::open(addresses[turn % 4], "", Some(after));
        turn += 1;
        for _ in 0..37 {
            let next = stream.hear().expect("more");
            expected.remove(next.data["id"].as_str().unwrap_or_default());
            after = next.id;
            heard.push(next);
            if expected.is_empty() {
                break;
            }
        }
    }
    load.join().expect("the load ends");
    assert!(heard.is_sorted_by(|a, b| a.id < b.id), "each once, in order");
    let transactions = heard.iter().filter(|heard| heard.event == "transaction").count();
    assert_eq!(transactions, 1_000);
    let heights: Vec<u64> =
        heard.iter().filter(|heard| heard.event == "block").map(|heard| heard.id.height.0).collect();
    assert!(heights.iter().copied().eq(1..=heights.len() as u64), "every block once: {heights:?}");
    assert!(turn > 10, "it did connect again: {turn}");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

#[test]
fn without_a_cursor_only_what_is_new_comes_and_a_cursor_ahead_waits() {
    let (chain, node) = single();
    let api = node.api_address();
    let first = commit_many(api, &transfers(&chain, 0..3));
    let mut fresh = Listener::open(api, "", None);
    let mut ahead = Listener::open(api, &format!("?after={}-0", first + 2), None);
    let mut heights = Vec::new();
    while heights.last().is_none_or(|height| *height < first + 3) {
        heights.push(commit_many(
            api,
            &transfers(&chain, 100 * heights.len() as u64 + 10..100 * heights.len() as u64 + 12),
        ));
    }
    assert_eq!(fresh.hear().expect("an event").id.height.0, first + 1);
    let beyond = ahead.hear().expect("an event").id;
    assert!(beyond > format!("{}-0", first + 2).parse().unwrap() && beyond.height.0 <= first + 3, "{beyond}");
    node.stop().expect("a clean stop");
}

#[test]
fn account_and_kinds_leave_out_what_they_say() {
    let (chain, node) = single();
    let api = node.api_address();
    let mut by_bob = chain.unsigned(1, 7);
    by_bob.sender = chain.bob.public_key();
    let by_bob = SignedTransaction::sign(by_bob, &chain.bob);
    let last = commit_many(api, &[chain.transfer(1, 1), by_bob.clone(), chain.transfer(1, 2)]);
    let bob = chain.bob.public_key();
    let heard = Listener::open(api, &format!("?after=0-0&account={bob}"), None).hear_through(last);
    let ids: Vec<String> = heard.iter().filter_map(|heard| Some(heard.data["id"].as_str()?.to_owned())).collect();
    assert_eq!(ids, [by_bob.id().to_string()], "of transactions only his");
    assert!(heard.iter().any(|heard| heard.event == "block"));
    let blocks = Listener::open(api, "?after=0-0&kinds=block", None).hear_through(last);
    assert!(blocks.iter().all(|heard| heard.event == "block") && blocks.len() as u64 == last);
    let mut only = Listener::open(api, &format!("?after=0-0&kinds=transaction&account={bob}"), None);
    assert_eq!(only.hear().expect("one").data["id"], by_bob.id().to_string());
    node.stop().expect("a clean stop");
}

#[test]
fn malformed_queries_are_refused() {
    let (_chain, node) = single();
    let api = node.api_address();
    for query in ["after=17", "after=1-01", "after=-1-0", "after=", "kinds=blocks", "kinds=", "account=xyz", "from=0-0"]
    {
        let reply = get(api, &format!("/v1/events?{query}"));
        assert_eq!((reply.status, reply.json()["code"].clone()), (400, "bad_request".into()), "{query}: {reply:?}");
    }
    let reply = request_with(api, "GET", "/v1/events?after=0-0", &[("last-event-id", "soon")], b"");
    assert_eq!((reply.status, reply.json()["code"].clone()), (400, "bad_request".into()), "{reply:?}");
    node.stop().expect("a clean stop");
}

#[test]
fn streams_are_bounded_leave_requests_alone_and_give_their_place_back() {
    // Requests are bounded to one: a stream that held its place would leave none.
    let limits = Limits { event_streams_max: 2, requests_max: 1, ..Limits::default() };
    let (chain, node) = single_with(NodeConfig { limits, ..NodeConfig::default() });
    let api = node.api_address();
    let open = [Listener::open(api, "", None), Listener::open(api, "", None)];
    let refused = get(api, "/v1/events");
    assert_eq!((refused.status, &refused.json()["code"]), (503, &Code::Overloaded.as_str().into()));
    assert!(refused.headers.contains("retry-after: 1"), "{}", refused.headers);
    assert_eq!(submit(api, COMMITTED, &chain.transfer(1, 1)).status, 200);
    for mut stream in open {
        assert_eq!(stream.hear().expect("an event").event, "transaction");
        drop(stream);
    }
    // The node notices that a client has gone when it has something to tell it.
    let mut salt = 10;
    wait_for("place for a stream", || {
        salt += 1;
        submit(api, COMMITTED, &chain.transfer(1, salt));
        let text = String::from_utf8(get(api, "/metrics").body).expect("text");
        text.contains("\nquorate_event_streams 0\n")
    });
    let mut again = Listener::open(api, "?after=0-0", None);
    assert_eq!(again.hear().expect("an event").id.height.0, 1);
    node.stop().expect("a clean stop");
}

#[test]
fn a_stopping_node_ends_its_streams() {
    let (chain, node) = single();
    let api = node.api_address();
    let mut stream = Listener::open(api, "", None);
    let last = commit_many(api, &transfers(&chain, 0..3));
    stream.hear_through(last);
    let start = Instant::now();
    node.stop().expect("a clean stop");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(stream.hear(), None, "ended, not broken");
}

/// Resident memory of this process, in which the node runs.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("kilobytes") * 1024
}

#[test]
fn slow_readers_cost_little_memory_and_lose_nothing() {
    const STREAMS: usize = 100;
    let (chain, node) = single();
    let api = node.api_address();
    let batches = 12;
    let last = (0..batches).map(|batch| commit_many(api, &transfers(&chain, batch * 1_000..(batch + 1) * 1_000))).max();
    let last = last.expect("some");
    let events = batches as usize * 1_000;
    let before = resident();
    // Some four megabytes for each, of which it takes nothing but the first event.
    let mut slow: Vec<Listener> = (0..STREAMS).map(|_| Listener::open(api, "?after=0-0", None)).collect();
    let firsts: Vec<Heard> = slow.iter_mut().map(|stream| stream.hear().expect("the first")).collect();
    let last = last.max(commit_many(api, &[chain.transfer(1, 1_000_000)]));
    let grown = resident().saturating_sub(before);
    assert!(grown < 100 * 1024 * 1024, "{grown} bytes for {STREAMS} readers of {events} events");
    let rest = slow.pop().expect("one").hear_through(last);
    assert!(firsts.iter().all(|first| *first == firsts[0]));
    let heard = 1 + rest.iter().filter(|heard| heard.event == "transaction").count();
    assert_eq!(heard, events + 1);
    assert!(firsts[0].id < rest[0].id && rest.is_sorted_by(|a, b| a.id < b.id));
    node.stop().expect("a clean stop");
}
