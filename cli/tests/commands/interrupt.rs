//! Ctrl-C.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Answer, Chain, FakeNode, Request, command};

/// Interrupts the program once the node was asked what `waits_for` recognises; returns its exit code and its words.
fn interrupted(chain: &Chain, node: &FakeNode, arguments: &[&str], waits_for: &str) -> (Option<i32>, Value) {
    let dir = chain.dir.path().to_str().unwrap();
    let mut command = command(&["--testnet", dir, "--output", "json"]);
    let piped = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child: Child = piped.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while !node.requests().iter().any(|request| request.path.starts_with(waits_for)) {
        assert!(Instant::now() < end, "the node is never asked");
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}")))
}

const TRANSFER: [&str; 9] = ["transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"];

#[test]
fn ctrl_c_while_waiting_says_what_was_sent_and_how_to_go_on() {
    let chain = Chain::new();
    let hangs = |request: &Request| (request.method == "POST").then(|| Answer::Hang(Duration::from_secs(30)));
    let node = FakeNode::start(&chain, hangs);
    crate::with(&chain, &[&node]);
    let (code, told) = interrupted(&chain, &node, &TRANSFER, "/v1/transactions");
    assert_eq!(code, Some(130), "{told}");
    let id = node.transactions()[0].id().to_string();
    assert_eq!((&told["data"]["id"], &told["data"]["status"]), (&id.as_str().into(), &"unknown".into()), "{told}");
    let error = &told["errors"][0];
    assert_eq!((&error["code"], &error["outcome"]), (&"interrupted".into(), &"unknown".into()));
    assert!(error["hint"].as_str().unwrap().ends_with(&format!("tx wait {id}")), "{error}");
    assert_eq!(chain.outbox().len(), 1, "the bytes are kept");
}

#[test]
fn ctrl_c_before_anything_was_sent_says_so() {
    let chain = Chain::new();
    let node = FakeNode::start(&chain, |_: &Request| Some(Answer::Hang(Duration::from_secs(30))));
    crate::with(&chain, &[&node]);
    let (code, told) = interrupted(&chain, &node, &TRANSFER, "/v1/status");
    assert_eq!(code, Some(130), "{told}");
    assert!(told["errors"][0]["message"].as_str().unwrap().contains("nothing was sent"), "{told}");
    assert!(chain.outbox().is_empty() && node.submissions().is_empty());
}
