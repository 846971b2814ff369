//! A user reads what the user has written: nodes below the height of the last receipt are passed over.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_protocol::api::http::{AssetResponse, TransactionResponse};
use quorate_protocol::document::{AssetCode, Outcome, Scale};
use quorate_protocol::id::{Height, TransactionId};
use serde_json::json;

use super::events::stream;
use crate::support::{Answer, BLOCK_TIME, Chain, FakeNode, Request, Run, account, block, status, zero};
use crate::with;

/// A node that has certified what `height` says, and has everything that is asked for, as of then.
fn at(chain: &Arc<Chain>, height: impl Fn() -> u64 + Send + Sync + 'static) -> FakeNode {
    let own = Arc::clone(chain);
    FakeNode::start(chain, move |request: &Request| {
        let height = Height(height());
        if request.path == "/v1/status" {
            let mut status = status(&own);
            (status.certified_height, status.height) = (height, height);
            return Some(Answer::ok(&status));
        }
        if request.path.starts_with("/v1/accounts/") {
            let mut account = account(&own);
            account.height = height;
            return Some(Answer::ok(&account));
        }
        if request.path.starts_with("/v1/assets/") {
            let (asset, scale) = (AssetCode::new("USD").unwrap(), Scale::new(2).unwrap());
            let issuer = own.genesis.members[2].key;
            let supply = "1.00".to_owned();
            let asset = AssetResponse { asset, height, time: BLOCK_TIME, scale, issuer, supply, supply_minor: 100 };
            return Some(Answer::ok(&asset));
        }
        if request.path == "/v1/blocks/latest" {
            return Some(Answer::ok(&block(&own)));
        }
        if request.path.starts_with("/v1/events") {
            return Some(stream(1..=7));
        }
        let id = request.submitted().map(|transaction| transaction.id()).or_else(|| request.asked())?;
        let receipt = own.receipt(id, Outcome::Applied);
        if request.path.ends_with("/receipt") {
            return Some(Answer::ok(&receipt));
        }
        Some(Answer::ok(&TransactionResponse::certified(receipt)))
    })
}

fn read(chain: &Chain, arguments: &[&str]) -> Run {
    chain.quorate(&[&["--timeout", "1", "--output", "json"][..], arguments].concat())
}

#[test]
fn a_node_below_the_last_receipt_is_passed_over_for_one_that_has_it() {
    let chain = Arc::new(Chain::new());
    let (behind, current) = (at(&chain, || 6), at(&chain, || 7));
    with(&chain, &[&behind]);
    assert_eq!(read(&chain, &["account", "alice"]).json()["data"]["height"], 6, "nothing was seen yet");
    with(&chain, &[&current]);
    assert_eq!(chain.transfer().code, Some(0));
    with(&chain, &[&behind, &current]);
    let (before, id) = (behind.requests().len(), zero().to_string());
    for arguments in [
        &["account", "alice"][..],
        &["member", "show", "alice"],
        &["asset", "show", "USD"],
        &["asset", "list"],
        &["tx", "show", &id],
        &["tx", "receipt", &id],
        &["block"],
    ] {
        let done = read(&chain, arguments);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(!done.out.contains("\"height\": 6"), "{done:?}");
    }
    let events = read(&chain, &["events"]).json()["data"]["events"].as_array().unwrap().len();
    assert_eq!(events, 7, "the end is the head of a node that is there");
    let asked: Vec<String> = behind.requests().into_iter().skip(before).map(|request| request.path).collect();
    let heights = asked.iter().filter(|path| *path == "/v1/status" || path.starts_with("/v1/events")).count();
    assert!(heights == asked.len() && heights >= 8, "it was asked for more than its height: {asked:?}");
}

#[test]
fn where_no_node_is_there_yet_the_heights_are_named_and_a_script_may_try_again() {
    let chain = Arc::new(Chain::new());
    let (behind, current) = (at(&chain, || 6), at(&chain, || 7));
    with(&chain, &[&current]);
    assert_eq!(chain.transfer().code, Some(0));
    chain.with_nodes(&[behind.url.clone(), "http://127.0.0.1:1".to_owned()]);
    let refused = read(&chain, &["account", "alice"]);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    let error = &refused.json()["errors"][0];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("behind"), &json!(true)));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("height 7") && message.contains("v0 is at 6"), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("--at-least 0"), "{error}");
    assert_eq!(error.get("outcome"), None, "nothing was to be sent");
    for (height, code) in [("0", 0), ("6", 0), ("7", 6)] {
        assert_eq!(read(&chain, &["account", "alice", "--at-least", height]).code, Some(code), "{height}");
    }
    // A block that is named by its height is asked of whoever has it.
    assert_eq!(read(&chain, &["block", "5"]).json()["errors"][0]["code"], "not_found");
}

#[test]
fn a_node_that_is_about_to_be_there_is_waited_for() {
    let chain = Arc::new(Chain::new());
    let looks = AtomicU64::new(0);
    let comes = at(&chain, move || 3 + looks.fetch_add(1, Ordering::SeqCst));
    with(&chain, &[&comes]);
    let done = chain.quorate(&["--output", "json", "account", "alice", "--at-least", "6"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.json()["data"]["height"].as_u64() > Some(6));
}

#[test]
fn every_verified_receipt_is_remembered_and_a_lower_one_changes_nothing() {
    let chain = Arc::new(Chain::new());
    let current = at(&chain, || 7);
    with(&chain, &[&current]);
    let remembered = |chain: &Chain| fs::read_to_string(chain.path("heights.json")).unwrap_or_default();
    fs::write(chain.path("pay.jsonl"), r#"{"type":"transfer","to":"bob","asset":"USD","amount":"1"}"#).unwrap();
    let (file, id) = (chain.path("pay.jsonl").display().to_string(), zero().to_string());
    for arguments in [
        &["tx", "receipt", &id][..],
        &["tx", "show", &id],
        &["tx", "wait", &id],
        &["batch", &file, "--from", "alice"],
        &["transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"],
    ] {
        assert_eq!(chain.quorate(arguments).code, Some(0), "{arguments:?}");
        assert!(remembered(&chain).contains("\"height\": 7"), "{arguments:?}");
        fs::remove_file(chain.path("heights.json")).unwrap();
    }
    let higher = json!({"version": 1, "chains": [{"chain_id": chain.genesis.chain_id(), "height": 9}]}).to_string();
    fs::write(chain.path("heights.json"), &higher).unwrap();
    assert_eq!(chain.transfer().code, Some(0));
    assert_eq!(remembered(&chain), higher);
    let lie = chain.receipt(TransactionId(zero()), Outcome::Applied);
    let forged = crate::answers(&chain, move |_| {
        let mut receipt = lie.clone();
        receipt.header.height = Height(1_000);
        Answer::ok(&receipt)
    });
    with(&chain, &[&forged]);
    assert_eq!(chain.quorate(&["tx", "receipt", &id, "--at-least", "0"]).code, Some(7));
    assert_eq!(remembered(&chain), higher, "only what was verified counts");
}

#[test]
fn a_damaged_memory_is_told_of_and_keeps_nobody_from_reading() {
    let chain = Arc::new(Chain::new());
    let node = at(&chain, || 7);
    with(&chain, &[&node]);
    fs::write(chain.path("heights.json"), "{").unwrap();
    let done = chain.quorate(&["account", "alice"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.err.contains("warning: ") && done.err.contains("heights.json"), "{done:?}");
    assert_eq!(chain.transfer().code, Some(0));
    assert_eq!(chain.quorate(&["account", "alice"]).err, "", "the receipt has written it anew");
}
