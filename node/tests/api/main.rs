//! The HTTP API on a chain of one validator, whole: RocksDB, journal, network, pump.

mod access;
#[path = "../common/mod.rs"]
mod common;
mod events;
mod lists;
mod load;
mod metrics;
mod submit;

use std::fs;

use common::{Chain, FUNDS, get, now, request, single, submit};
use quorate_crypto::encode::{BoundedVec, encode};
use quorate_crypto::key::{SecretKey, Signature};
use quorate_node::node::Node;
use quorate_protocol::api::Code;
use quorate_protocol::document::{Receipt, SignedTransaction, Transaction};
use quorate_protocol::limits::SUBMIT_COUNT_MAX;
use quorate_protocol::proof::verify_receipt;
use serde_json::Value;

const COMMITTED: &str = "?wait=committed&timeout=15000";

fn balance(node: &Node, account: &SecretKey) -> String {
    let account = get(node.api_address(), &format!("/v1/accounts/{}", account.public_key())).json();
    account["balances"][0]["minor"].as_str().expect("a balance").to_string()
}

#[test]
fn submitted_transaction_gets_a_receipt_that_verifies_and_the_reads_agree() {
    let (chain, node) = single();
    let api = node.api_address();
    let transfer = chain.transfer(1_250, 1);
    let reply = submit(api, COMMITTED, &transfer);
    assert_eq!(reply.status, 200, "{reply:?}");
    let outcome = reply.json();
    assert_eq!(outcome["status"], "applied");
    assert_eq!(outcome["id"], transfer.id().to_string());
    let receipt: Receipt = serde_json::from_value(outcome["receipt"].clone()).expect("a receipt");
    verify_receipt(&receipt, &chain.genesis).expect("it proves");
    assert_eq!(balance(&node, &chain.alice), (FUNDS - 1_250).to_string());
    assert_eq!(balance(&node, &chain.bob), (FUNDS + 1_250).to_string());

    let path = format!("/v1/transactions/{}", transfer.id());
    assert_eq!(get(api, &path).json(), outcome);
    assert_eq!(get(api, &format!("{path}/receipt")).json(), outcome["receipt"]);
    let again = submit(api, "?wait=accepted", &transfer);
    assert_eq!((again.status, again.json()), (200, outcome.clone()), "known bytes answer with their state");

    let by_height = get(api, &format!("/v1/blocks/{}", outcome["height"])).json();
    assert_eq!(by_height["certified"], true);
    assert_eq!(by_height["transactions"][0]["id"], outcome["id"]);
    assert_eq!(get(api, &format!("/v1/blocks/{}", by_height["hash"].as_str().unwrap())).json(), by_height);
    assert_eq!(get(api, "/v1/blocks/latest").json()["height"], outcome["height"]);
    let status = get(api, "/v1/status").json();
    assert_eq!(
        (&status["state"], &status["height"], &status["voting"]),
        (&"active".into(), &outcome["height"], &true.into())
    );
    assert_eq!(status["state_root"], by_height["header"]["state_root"]);
    node.stop().expect("a clean stop");
}

#[test]
fn accepted_and_none_answer_before_the_block() {
    let (chain, node) = single();
    let api = node.api_address();
    let accepted = submit(api, "", &chain.transfer(1, 1));
    assert!(matches!(accepted.status, 200 | 202), "{accepted:?}");
    let transfer = chain.transfer(1, 2);
    let queued = submit(api, "?wait=none", &transfer);
    assert_eq!((queued.status, queued.json()["status"].clone()), (202, "queued".into()));
    let path = format!("/v1/transactions/{}/receipt", transfer.id());
    common::wait_for("receipt", || get(api, &path).status == 200);
    node.stop().expect("a clean stop");
}

/// Everything that a door refuses, with what makes it so.
fn refused(chain: &Chain) -> Vec<(Code, SignedTransaction)> {
    let unsigned = |change: &dyn Fn(&mut Transaction)| {
        let mut transaction = chain.unsigned(1, 99);
        change(&mut transaction);
        transaction
    };
    let signed = |change: &dyn Fn(&mut Transaction)| SignedTransaction::sign(unsigned(change), &chain.alice);
    let stranger = SecretKey::from_seed([9; 32]);
    let mut forged = *chain.transfer(1, 98).signature().as_bytes();
    forged[0] ^= 1;
    vec![
        (Code::UnknownSender, SignedTransaction::sign(unsigned(&|t| t.sender = stranger.public_key()), &stranger)),
        (Code::WrongChain, signed(&|t| t.chain_id = quorate_crypto::sha256(b"another chain"))),
        (Code::Expired, signed(&|t| t.valid_until = now() - 1)),
        (Code::ValidUntilTooFar, signed(&|t| t.valid_until = now() + 119_500)),
        (Code::NoOperations, signed(&|t| t.operations = BoundedVec::default())),
        (Code::BadSignature, SignedTransaction::new(unsigned(&|_| ()), Signature::from_bytes(forged))),
        (Code::BadSignature, SignedTransaction::sign(unsigned(&|_| ()), &chain.bob)),
    ]
}

#[test]
fn every_refused_transaction_has_its_code_and_changes_nothing() {
    let (chain, node) = single();
    let api = node.api_address();
    let before = get(api, "/v1/status").json();
    for (code, transaction) in refused(&chain) {
        let reply = submit(api, COMMITTED, &transaction);
        let problem = reply.json();
        assert_eq!((reply.status, &problem["code"]), (code.http_status(), &code.as_str().into()), "{problem}");
        assert!(reply.headers.contains("application/problem+json"), "{}", reply.headers);
        assert_eq!(problem["outcome"], "not_applied");
        assert_eq!(problem["id"], transaction.id().to_string());
        assert_eq!(get(api, &format!("/v1/transactions/{}", transaction.id())).status, 404);
    }
    let after = get(api, "/v1/status").json();
    assert_eq!((&after["height"], &after["state_root"]), (&before["height"], &before["state_root"]));
    node.stop().expect("a clean stop");
}

#[test]
fn overdraft_fails_with_a_receipt_and_moves_nothing() {
    let (chain, node) = single();
    let reply = submit(node.api_address(), COMMITTED, &chain.transfer(FUNDS + 1, 1));
    let outcome = reply.json();
    assert_eq!(
        (reply.status, &outcome["status"], &outcome["code"]),
        (200, &"failed".into(), &"insufficient_balance".into())
    );
    let receipt: Receipt = serde_json::from_value(outcome["receipt"].clone()).expect("a receipt");
    verify_receipt(&receipt, &chain.genesis).expect("it proves the failure");
    assert_eq!(balance(&node, &chain.alice), FUNDS.to_string());
    assert_eq!(balance(&node, &chain.bob), FUNDS.to_string());
    node.stop().expect("a clean stop");
}

#[test]
fn malformed_requests_are_problems() {
    let (chain, node) = single();
    let api = node.api_address();
    let json = "application/json";
    let path = "/v1/transactions";
    let large = vec![b' '; 1024 * 1024 + 1];
    let cut = &encode(&vec![chain.transfer(1, 1)])[..40];
    let requests: [(&str, &str, &str, &[u8], Code); 15] = [
        ("POST", path, json, b"{\"transaction\": ", Code::Malformed),
        ("POST", path, json, b"{\"transaction\": \"00ff\"}", Code::Malformed),
        ("POST", path, json, b"{\"transaction\": \"zz\"}", Code::Malformed),
        ("POST", path, json, b"{\"transaction\": \"00\", \"more\": 1}", Code::Malformed),
        ("POST", path, json, b"", Code::Malformed),
        ("POST", path, "application/x-borsh", cut, Code::Malformed),
        ("POST", path, "application/x-borsh", &[0xff; 4], Code::Malformed),
        ("POST", path, json, &large, Code::TooLarge),
        ("POST", path, "text/plain", b"{}", Code::UnsupportedMediaType),
        ("POST", "/v1/transactions?wait=forever", json, b"{}", Code::BadRequest),
        ("POST", "/v1/transactions?timeout=60001", json, b"{}", Code::BadRequest),
        ("GET", "/v1/transactions/xyz", json, b"", Code::BadRequest),
        ("GET", "/v1/accounts/%FF", json, b"", Code::BadRequest),
        ("GET", "/v1/nothing", json, b"", Code::NotFound),
        ("DELETE", "/v1/status", json, b"", Code::MethodNotAllowed),
    ];
    for (method, path, media_type, body, code) in requests {
        let reply = request(api, method, path, media_type, body);
        assert_eq!(reply.status, code.http_status(), "{method} {path}: {reply:?}");
        assert!(reply.headers.contains("application/problem+json"), "{}", reply.headers);
        let problem = reply.json();
        assert_eq!(problem["code"], code.as_str(), "{problem}");
        assert!(["title", "detail", "hint", "type"].iter().all(|field| problem[field].is_string()), "{problem}");
    }
    for unknown in ["/v1/blocks/999", "/v1/blocks/latest/1", &format!("/v1/blocks/{}", "0".repeat(64))] {
        assert_eq!(get(api, unknown).status, 404, "{unknown}");
    }
    node.stop().expect("a clean stop");
}

#[test]
fn list_of_transactions_is_answered_one_by_one_in_order() {
    let (chain, node) = single();
    let api = node.api_address();
    let mut list: Vec<SignedTransaction> = (0..200).map(|salt| chain.transfer(1, salt)).collect();
    let (_, stranger) = refused(&chain).remove(0);
    list[7] = stranger;
    list[9] = chain.transfer(FUNDS * 2, 9);
    list[11] = list[10].clone();
    let path = format!("/v1/transactions{COMMITTED}");
    let reply = request(api, "POST", &path, "application/x-borsh", &encode(&list));
    assert_eq!(reply.status, 200, "{reply:?}");
    let outcomes = reply.json()["outcomes"].as_array().expect("a list").clone();
    assert_eq!(outcomes.len(), list.len());
    for (index, (outcome, transaction)) in outcomes.iter().zip(&list).enumerate() {
        let (status, code): (&str, Value) = match index {
            7 => ("rejected", "unknown_sender".into()),
            9 => ("failed", "insufficient_balance".into()),
            _ => ("applied", Value::Null),
        };
        assert_eq!((&outcome["status"], &outcome["code"]), (&status.into(), &code), "{index}: {outcome}");
        assert_eq!(outcome["id"], transaction.id().to_string());
    }
    assert_eq!(balance(&node, &chain.bob), (FUNDS + 197).to_string());
    let many = vec![chain.transfer(1, 1); SUBMIT_COUNT_MAX + 1];
    assert_eq!(request(api, "POST", &path, "application/x-borsh", &encode(&many)).json()["code"], "malformed");
    node.stop().expect("a clean stop");
}

#[test]
fn small_reads_say_who_the_node_is() {
    let (chain, node) = single();
    let api = node.api_address();
    assert_eq!(get(api, "/livez").status, 200);
    assert_eq!(get(api, "/readyz").status, 200);
    assert_eq!(get(api, "/version").json()["protocol_version"], 1);
    assert_eq!(get(api, "/v1/genesis").body, chain.genesis.to_json().into_bytes());
    let consensus = get(api, "/v1/consensus").json();
    assert_eq!((&consensus["quorum"], &consensus["standing_still"]), (&1.into(), &Value::Null));
    let validators = get(api, "/v1/validators").json();
    assert_eq!(validators["validators"][0]["consensus_key"], chain.consensus[0].public_key().to_string());
    let stranger = SecretKey::from_seed([9; 32]).public_key();
    assert_eq!(get(api, &format!("/v1/accounts/{stranger}")).json()["member"], false);
    node.stop().expect("a clean stop");
}

#[test]
fn restart_continues_the_same_chain() {
    let (chain, node) = single();
    let first = submit(node.api_address(), COMMITTED, &chain.transfer(5, 1)).json();
    let root = get(node.api_address(), "/v1/status").json()["state_root"].clone();
    node.stop().expect("a clean stop");
    let node = Node::start(&chain.home(0)).expect("the node starts again");
    let api = node.api_address();
    assert_eq!(get(api, "/v1/status").json()["state_root"], root);
    let path = format!("/v1/transactions/{}", first["id"].as_str().unwrap());
    common::wait_for("certificate", || get(api, &path).json() == first);
    let second = submit(api, COMMITTED, &chain.transfer(5, 2)).json();
    assert_eq!(second["status"], "applied");
    assert!(second["height"].as_u64() > first["height"].as_u64());
    assert_eq!(second["receipt"]["header"]["parent"].as_str().map(str::len), Some(64));
    assert_eq!(balance(&node, &chain.bob), (FUNDS + 10).to_string());
    node.stop().expect("a clean stop");
}

#[test]
fn wiped_node_follows_does_not_vote_and_says_so() {
    let (chain, node) = single();
    node.stop().expect("a clean stop");
    fs::remove_dir_all(chain.home(0).data()).expect("wiped");
    let node = Node::start(&chain.home(0)).expect("a wiped node starts");
    let api = node.api_address();
    let status = get(api, "/v1/status").json();
    assert_eq!((&status["state"], &status["voting"]), (&"following".into(), &false.into()));
    assert!(status["reason"].as_str().unwrap().contains("vote journal"), "{status}");
    let consensus = get(api, "/v1/consensus").json();
    let detail = consensus["reasons"][0]["detail"].as_str().expect("a reason");
    assert_eq!(consensus["reasons"][0]["kind"], "no_quorum");
    assert!(detail.starts_with("need 1, connected 1, of which v0 (this node) does not vote: "), "{detail}");
    assert_eq!((&consensus["standing_still"], get(api, "/readyz").status), (&detail.into(), 503));
    let reply = submit(api, "?wait=committed&timeout=500", &chain.transfer(1, 1));
    assert_eq!((reply.status, reply.json()["outcome"].clone()), (504, "unknown".into()), "{reply:?}");
    node.stop().expect("a clean stop");
}

#[test]
fn two_nodes_never_share_a_home_and_keys_get_no_second_journal() {
    let (chain, node) = single();
    let error = Node::start(&chain.home(0)).expect_err("the home is taken").to_string();
    assert!(error.contains("in use"), "{error}");
    node.stop().expect("a clean stop");
    fs::remove_dir_all(chain.home(0).data()).expect("wiped");
    let config = quorate_node::config::NodeConfig::default();
    let again = quorate_node::home::found(&chain.home(0), &chain.genesis, &config).expect_err("refused").to_string();
    assert!(again.contains("never gets a second one"), "{again}");
}
