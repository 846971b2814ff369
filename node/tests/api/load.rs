//! What clients can do to each other: nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use quorate_crypto::encode::encode;
use quorate_crypto::key::Signature;
use quorate_node::config::{Limits, NodeConfig};
use quorate_protocol::document::SignedTransaction;
use quorate_protocol::limits::SUBMIT_BYTES_MAX;
use tokio::net::TcpSocket;

use crate::COMMITTED;
use crate::common::{Chain, PATIENCE, Reply, get, reply, request_head, single, single_with, submit, wait_for, wiped};

/// The pause between two bytes of a client that dallies.
const DALLY: Duration = Duration::from_millis(20);

fn limits(limits: Limits) -> NodeConfig {
    NodeConfig { limits, ..NodeConfig::default() }
}

/// A connection from one of the loopback's addresses.
fn connect_from(address: u8, api: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((IpAddr::from([127, 0, 0, address]), 0).into()).expect("an address of the loopback");
        socket.connect(api).await.expect("the API listens").into_std().expect("a stream")
    });
    stream.set_nonblocking(false).expect("a blocking stream");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

/// One request on a connection of its own from one of the loopback's addresses.
fn request_from(
    address: u8,
    api: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut stream = connect_from(address, api);
    stream.write_all(request_head(method, path, headers, body.len()).as_bytes()).expect("the API reads");
    stream.write_all(body).expect("the API reads");
    rest(&mut stream)
}

/// What comes until the connection ends.
fn rest(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    reply(bytes)
}

/// Sends a byte now and then until the other side ends the connection; returns what it said.
fn dally(mut stream: TcpStream) -> Vec<u8> {
    let start = Instant::now();
    let mut said = Vec::new();
    stream.set_read_timeout(Some(DALLY)).expect("a time-out");
    loop {
        assert!(start.elapsed() < PATIENCE, "it may dally for ever: {}", String::from_utf8_lossy(&said));
        let _ = stream.write_all(b"x");
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => return said,
            Ok(length) => said.extend_from_slice(&piece[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return said,
        }
    }
}

#[test]
fn a_head_or_a_body_that_comes_slowly_has_an_end() {
    let (_chain, node) = single_with(limits(Limits { request_timeout_ms: 1_000, ..Limits::default() }));
    let api = node.api_address();
    let dallying = |head: String| {
        let mut stream = TcpStream::connect(api).expect("the API listens");
        stream.write_all(head.as_bytes()).expect("the API reads");
        thread::spawn(move || dally(stream))
    };
    let head = dallying("GET /livez HTTP/1.1\r\nhost: x\r\nx-long: ".to_owned());
    let body = dallying(request_head("POST", "/v1/transactions", &[], SUBMIT_BYTES_MAX));
    let whole = dallying(request_head("GET", "/livez", &[], 0).replace("connection: close\r\n", ""));
    assert!(!head.join().expect("it ends").starts_with(b"HTTP/1.1 2"), "no answer to half a question");
    let refused = reply(body.join().expect("it ends"));
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (400, &"bad_request".into()), "{refused:?}");
    assert!(problem["detail"].as_str().expect("words").contains("1000 milliseconds"), "{problem}");
    assert!(whole.join().expect("it ends").starts_with(b"HTTP/1.1 200"), "only what comes after it is slow");
    node.stop().expect("a clean stop");
}

#[test]
fn bodies_that_are_announced_and_do_not_come_keep_nobody_out() {
    let (chain, node) = single();
    let api = node.api_address();
    // Together they announce a hundred mebibytes, and send a byte each.
    let announced: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(api).expect("the API listens");
            let head = request_head("POST", "/v1/transactions", &[], SUBMIT_BYTES_MAX);
            stream.write_all(format!("{head} ").as_bytes()).expect("the API reads");
            stream
        })
        .collect();
    assert_eq!(submit(api, COMMITTED, &chain.transfer(1, 1)).status, 200);
    // And nearly all of what they announced: the oldest give way.
    let rest = vec![b' '; SUBMIT_BYTES_MAX - 2];
    for (mut stream, salt) in announced.iter().zip(2..) {
        // Those that gave way are closed.
        let _ = stream.write_all(&rest);
        if salt % 10 == 0 {
            assert_eq!(submit(api, COMMITTED, &chain.transfer(1, salt)).status, 200, "{salt}");
        }
    }
    let refused = rest_of(announced.into_iter().next().expect("one"));
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"overloaded".into()), "{refused:?}");
    assert!(refused.headers.contains("retry-after: 1"), "{}", refused.headers);
    node.stop().expect("a clean stop");
}

fn rest_of(mut stream: TcpStream) -> Reply {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    rest(&mut stream)
}

#[test]
fn a_longer_head_than_any_client_sends_is_refused() {
    let (_chain, node) = single();
    let mut stream = TcpStream::connect(node.api_address()).expect("the API listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let long = "x".repeat(64 * 1024);
    // Closed while it is still being sent, the answer may be lost.
    let _ = stream.write_all(request_head("GET", "/livez", &[("x-long", &long)], 0).as_bytes());
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(get(node.api_address(), "/livez").status, 200);
    node.stop().expect("a clean stop");
}

#[test]
fn connections_without_a_request_in_work_give_way_and_others_keep_their_place() {
    const CONNECTIONS: usize = 16;
    let (chain, node) = wiped(limits(Limits { connections_max: CONNECTIONS, ..Limits::default() }));
    let api = node.api_address();
    let mut stream = TcpStream::connect(api).expect("the API listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    write!(stream, "GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").expect("the API reads");
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).expect("a stream of events");
    assert_eq!(&begin, b"HTTP/1.1 200");
    let waiting = thread::spawn({
        let transfer = chain.transfer(1, 1);
        move || submit(api, "?wait=committed&timeout=5000", &transfer)
    });
    wait_for("client that waits", || metric(1, api, "quorate_waiters") == Some(1));
    // Silent ones, many times as many as there are places, and in between somebody who asks.
    let silent: Vec<TcpStream> = (0..5 * CONNECTIONS)
        .map(|number| {
            let silent = TcpStream::connect(api).expect("the API listens");
            if number % 8 == 0 {
                assert_eq!(get(api, "/v1/status").status, 200, "after {number}");
            }
            silent
        })
        .collect();
    // All but the latest were closed without a word.
    for mut silent in silent.into_iter().take(3 * CONNECTIONS) {
        silent.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    }
    let waited = waiting.join().expect("it is answered");
    assert_eq!(waited.status, 504, "it kept its place until its time was over: {waited:?}");
    let mut more = [0; 100];
    assert!(stream.read(&mut more).expect("the stream still stands") > 0);
    node.stop().expect("a clean stop");
}

/// A figure of the node.
fn metric(address: u8, api: SocketAddr, name: &str) -> Option<u64> {
    let text = request_from(address, api, "GET", "/metrics", &[], b"").body;
    let text = String::from_utf8(text).expect("text");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn an_address_has_half_of_the_requests_in_work_and_probes_are_always_answered() {
    let (chain, node) = wiped(limits(Limits { requests_max: 4, ..Limits::default() }));
    let api = node.api_address();
    let waiting: Vec<_> = [1, 2]
        .map(|salt| {
            let transfer = chain.transfer(1, salt);
            thread::spawn(move || submit(api, "?wait=committed&timeout=8000", &transfer))
        })
        .into();
    wait_for("clients that wait", || metric(2, api, "quorate_waiters") == Some(2));
    for refused in [get(api, "/v1/status"), submit(api, "?wait=none", &chain.transfer(1, 3))] {
        assert_eq!((refused.status, &refused.json()["code"]), (429, &"client_quota".into()), "{refused:?}");
        assert!(refused.headers.contains("retry-after: 1"), "{}", refused.headers);
    }
    for probe in ["/livez", "/version"] {
        assert_eq!(get(api, probe).status, 200, "{probe}");
    }
    // Another address is answered, with what the first ones sent.
    wait_for("both in the pool", || {
        let elsewhere = request_from(2, api, "GET", "/v1/status", &[], b"");
        assert_eq!(elsewhere.status, 200, "{elsewhere:?}");
        elsewhere.json()["pool"]["count"] == 2
    });
    for waiting in waiting {
        assert_eq!(waiting.join().expect("an answer").status, 504);
    }
    assert_eq!(get(api, "/v1/status").status, 200, "what has ended makes room");
    node.stop().expect("a clean stop");
}

/// A list of transfers with a signature that is not alice's.
fn forged(chain: &Chain, count: u64) -> Vec<u8> {
    let forge = |salt| {
        let mut bytes = *chain.transfer(1, salt).signature().as_bytes();
        bytes[0] ^= 1;
        SignedTransaction::new(chain.unsigned(1, salt), Signature::from_bytes(bytes))
    };
    encode(&(0..count).map(forge).collect::<Vec<_>>())
}

/// Posts the same list on one connection as fast as it is answered, until it is refused; returns the refusal.
fn flood(api: SocketAddr, list: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(api).expect("the API listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let headers = [("content-type", "application/x-borsh")];
    let head = request_head("POST", "/v1/transactions?wait=none", &headers, list.len());
    let head = head.replace("connection: close\r\n", "");
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < PATIENCE, "whatever is sent is taken");
        stream.write_all(head.as_bytes()).expect("the API reads");
        stream.write_all(list).expect("the API reads");
        let reply = one_answer(&mut stream);
        if reply.status != 200 {
            return reply;
        }
    }
}

/// One answer on a connection that goes on.
fn one_answer(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let length = stream.read(&mut piece).expect("an answer");
        assert!(length > 0, "the connection stands");
        bytes.extend_from_slice(&piece[..length]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if bytes.len() == end + 4 + announced.parse::<usize>().expect("a number") {
            return reply(bytes);
        }
    }
}

#[test]
fn a_client_that_floods_is_told_to_come_again_and_others_are_served() {
    let (chain, node) = single_with(limits(Limits { verify_threads: 1, ..Limits::default() }));
    let api = node.api_address();
    let list = forged(&chain, 1_000);
    for salt in 1..=3 {
        let refused = flood(api, &list);
        assert_eq!((refused.status, &refused.json()["code"]), (429, &"client_quota".into()), "{refused:?}");
        assert!(refused.headers.contains("retry-after: 1"), "{}", refused.headers);
        assert_eq!(refused.json()["outcome"], "not_applied");
        let served = submit(api, COMMITTED, &chain.transfer(1, salt));
        assert_eq!(served.status, 200, "{served:?}");
    }
    let text = String::from_utf8(get(api, "/metrics").body).expect("text");
    assert!(text.contains("quorate_dropped_total{reason=\"client_quota\"} 3\n"), "{text}");
    assert!(text.contains("quorate_dropped_total{reason=\"client_queue_full\"} 0\n"), "{text}");
    node.stop().expect("a clean stop");
}
