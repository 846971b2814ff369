//! The promises of `POST /v1/transactions`.

use quorate_crypto::encode::encode;
use quorate_crypto::key::{SecretKey, Signature};
use quorate_node::config::{Limits, NodeConfig};
use quorate_node::node::Node;
use quorate_protocol::document::genesis::GenesisMember;
use quorate_protocol::document::{Roles, SignedTransaction, Transaction};
use quorate_protocol::limits::{
    MEMO_BYTES_LIMIT, OPERATIONS_LIMIT, POOL_BYTES_MAX, POOL_COUNT_MAX, POOL_SENDER_SHARE, SUBMIT_BYTES_MAX,
};
use serde_json::Value;

use crate::COMMITTED;
use crate::common::{Chain, commit, get, now, request, request_with, single, submit, wait_for, wiped};

const BORSH: &str = "application/x-borsh";

#[test]
fn none_answers_once_it_is_parsed_and_accepted_once_it_is_in_the_pool() {
    let (chain, node) = wiped(NodeConfig::default());
    let api = node.api_address();
    let mut forged = *chain.transfer(1, 1).signature().as_bytes();
    forged[0] ^= 1;
    let forged = SignedTransaction::new(chain.unsigned(1, 1), Signature::from_bytes(forged));
    let queued = submit(api, "?wait=none", &forged);
    assert_eq!((queued.status, &queued.json()["status"]), (202, &"queued".into()), "parsed, not verified");
    let refused = submit(api, "?wait=accepted", &forged);
    assert_eq!((refused.status, &refused.json()["code"]), (422, &"bad_signature".into()));
    let transfer = chain.transfer(1, 2);
    let accepted = submit(api, "?wait=accepted", &transfer);
    assert_eq!((accepted.status, &accepted.json()["status"]), (202, &"accepted".into()), "{accepted:?}");
    assert_eq!(get(api, "/v1/status").json()["pool"]["count"], 1);
    // The same bytes again: where they stand now.
    let again = submit(api, "?wait=accepted", &transfer);
    assert_eq!((again.status, again.json()), (202, accepted.json()));
    assert_eq!(get(api, "/v1/status").json()["pool"]["count"], 1);
    let late = submit(api, "?wait=committed&timeout=100", &transfer);
    let problem = late.json();
    assert_eq!((late.status, &problem["code"], &problem["outcome"]), (504, &"timeout".into(), &"unknown".into()));
    assert_eq!(problem["id"], transfer.id().to_string(), "to ask for it later");
    assert_eq!(get(api, &format!("/v1/transactions/{}", transfer.id())).json()["status"], "accepted");
    node.stop().expect("a clean stop");
}

#[test]
fn a_list_whose_wait_ends_says_of_each_where_it_stands() {
    let (chain, node) = wiped(NodeConfig::default());
    let api = node.api_address();
    let mut list: Vec<SignedTransaction> = (0..3).map(|salt| chain.transfer(1, salt)).collect();
    list.push(SignedTransaction::sign(chain.unsigned(1, 9), &chain.bob));
    let post = |query: &str| request(api, "POST", &format!("/v1/transactions{query}"), BORSH, &encode(&list));
    let statuses = |query: &str| -> Vec<Value> {
        let reply = post(query);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["outcomes"].as_array().expect("a list").iter().map(|outcome| outcome["status"].clone()).collect()
    };
    assert_eq!(statuses("?wait=none"), ["queued"; 4]);
    assert_eq!(statuses("?wait=accepted"), ["accepted", "accepted", "accepted", "rejected"]);
    assert_eq!(statuses("?wait=committed&timeout=100"), ["accepted", "accepted", "accepted", "rejected"]);
    node.stop().expect("a clean stop");
}

/// Nobody looks a fresh id up; what was executed is answered all the same, at once, whatever is wrong with it by now.
#[test]
fn what_was_executed_before_is_told_again_even_when_it_has_expired_or_the_copy_is_forged() {
    let (chain, node) = single();
    let api = node.api_address();
    let short = Transaction { valid_until: now() + 2_000, ..chain.unsigned(1, 1) };
    let expired = SignedTransaction::sign(short, &chain.alice);
    let good = chain.transfer(1, 2);
    commit(&node, &expired);
    commit(&node, &good);
    let mut signature = *good.signature().as_bytes();
    signature[0] ^= 1;
    let forged = SignedTransaction::new(good.transaction().clone(), Signature::from_bytes(signature));
    let after_it = expired.valid_until() + 1;
    wait_for("the first one expires", || now() > after_it);
    let never = SignedTransaction::sign(Transaction { valid_until: after_it, ..chain.unsigned(1, 3) }, &chain.alice);
    let list = [expired.clone(), good.clone(), forged.clone(), good.clone(), never.clone()].to_vec();
    for query in ["?wait=none", "?wait=accepted", "?wait=committed&timeout=10000"] {
        let reply = request(api, "POST", &format!("/v1/transactions{query}"), BORSH, &encode(&list)).json();
        let outcomes = reply["outcomes"].as_array().expect("a list");
        let statuses: Vec<&str> = outcomes.iter().filter_map(|outcome| outcome["status"].as_str()).collect();
        let of_never = if query == "?wait=none" { "queued" } else { "rejected" };
        assert_eq!(statuses, ["applied", "applied", "applied", "applied", of_never], "{query}: {reply}");
        assert!(outcomes[0]["height"].is_u64() && outcomes[0]["index"].is_u64(), "{reply}");
    }
    for transaction in [&expired, &good, &forged] {
        let reply = submit(api, "?wait=committed&timeout=10000", transaction);
        assert_eq!((reply.status, &reply.json()["status"]), (200, &"applied".into()), "{reply:?}");
        assert!(reply.json()["receipt"].is_object(), "{reply:?}");
    }
    let refused = submit(api, "?wait=committed", &never);
    assert_eq!((refused.status, &refused.json()["code"]), (422, &"expired".into()), "{refused:?}");
    node.stop().expect("a clean stop");
}

#[test]
fn a_sender_with_too_many_waiting_is_told_to_come_again() {
    let (chain, node) = wiped(NodeConfig::default());
    let api = node.api_address();
    let quota = POOL_COUNT_MAX / POOL_SENDER_SHARE;
    let all: Vec<SignedTransaction> = (0..quota as u64).map(|salt| chain.transfer(1, salt)).collect();
    for list in all.chunks(1_000) {
        let reply = request(api, "POST", "/v1/transactions?wait=accepted", BORSH, &encode(&list.to_vec())).json();
        let outcomes = reply["outcomes"].as_array().expect("a list");
        assert!(outcomes.iter().all(|outcome| outcome["status"] == "accepted"), "{reply}");
    }
    let one_more = chain.transfer(1, quota as u64);
    let refused = submit(api, "?wait=accepted", &one_more);
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (429, &"sender_quota".into()), "{refused:?}");
    assert!(refused.headers.contains("retry-after: 1"), "{}", refused.headers);
    assert_eq!((&problem["retryable"], &problem["outcome"]), (&true.into(), &"not_applied".into()));
    assert_eq!(problem["id"], one_more.id().to_string());
    node.stop().expect("a clean stop");
}

/// The largest transaction that an operation of this kind makes.
fn large(chain: &Chain, sender: &SecretKey, salt: u64) -> SignedTransaction {
    let operation = chain.unsigned(1, 0).operations[0].clone();
    let transaction = Transaction {
        sender: sender.public_key(),
        // Longer than this test takes, and no longer than may be.
        valid_until: now() + 110_000,
        operations: vec![operation; OPERATIONS_LIMIT].try_into().expect("as many as there may be"),
        memo: "x".repeat(MEMO_BYTES_LIMIT).as_str().try_into().expect("as long as it may be"),
        ..chain.unsigned(1, salt)
    };
    SignedTransaction::sign(transaction, sender)
}

/// One sender for each share of the pool, and one more.
fn crowded() -> (Chain, Node, Vec<SecretKey>) {
    let mut chain = Chain::new(1);
    let senders: Vec<SecretKey> = (0..=POOL_SENDER_SHARE as u8).map(|n| SecretKey::from_seed([100 + n; 32])).collect();
    let members = senders.iter().map(|key| GenesisMember { key: key.public_key(), roles: Roles::NONE });
    let members: Vec<GenesisMember> = chain.genesis.members.iter().cloned().chain(members).collect();
    chain.genesis.members = members.try_into().expect("a few members");
    let home = chain.create(0, Vec::new());
    std::fs::remove_dir_all(home.data()).expect("wiped");
    let node = Node::start(&home).expect("a wiped node starts");
    (chain, node, senders)
}

#[test]
fn a_full_pool_answers_503_to_a_sender_who_has_nothing_in_it() {
    let (chain, node, mut senders) = crowded();
    let api = node.api_address();
    let bytes = large(&chain, &senders[0], 0).size();
    let last = senders.pop().expect("one more");
    // Each fills its share up to less than one transaction.
    let share = (POOL_BYTES_MAX / POOL_SENDER_SHARE / bytes) as u64;
    for sender in &senders {
        let all: Vec<SignedTransaction> = (0..share).map(|salt| large(&chain, sender, salt)).collect();
        for list in all.chunks(SUBMIT_BYTES_MAX / bytes - 1) {
            let reply = request(api, "POST", "/v1/transactions?wait=accepted", BORSH, &encode(&list.to_vec())).json();
            let outcomes = reply["outcomes"].as_array().expect("a list");
            assert!(outcomes.iter().all(|outcome| outcome["status"] == "accepted"), "{}", outcomes[0]);
        }
    }
    // What they have left over are the last places.
    let mut replies =
        (0..=POOL_SENDER_SHARE as u64).map(|salt| submit(api, "?wait=accepted", &large(&chain, &last, salt)));
    let refused = replies.find(|reply| reply.status != 202).expect("a full pool");
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (503, &"pool_full".into()), "{refused:?}");
    assert!(refused.headers.contains("retry-after: 1"), "{}", refused.headers);
    assert_eq!((&problem["retryable"], &problem["outcome"]), (&true.into(), &"not_applied".into()));
    node.stop().expect("a clean stop");
}

#[test]
fn a_node_without_room_says_503_and_when_to_come_again() {
    let limits = Limits { waiters_max: 1, ..Limits::default() };
    let (chain, node) = wiped(NodeConfig { limits, ..NodeConfig::default() });
    let api = node.api_address();
    let two = vec![chain.transfer(1, 1), chain.transfer(1, 2)];
    let full = request(api, "POST", &format!("/v1/transactions{COMMITTED}"), BORSH, &encode(&two));
    assert_eq!((full.status, &full.json()["code"]), (503, &"overloaded".into()), "{full:?}");
    assert!(full.headers.contains("retry-after: 1"), "{}", full.headers);
    assert_eq!(get(api, "/v1/status").json()["pool"]["count"], 0, "none of a refused list is taken");
    assert_eq!(submit(api, "?wait=accepted", &two[0]).status, 202);
    node.stop().expect("a clean stop");
}

#[test]
fn a_list_above_a_mebibyte_is_too_large() {
    let (_chain, node) = single();
    let large = vec![0_u8; SUBMIT_BYTES_MAX + 1];
    let reply = request(node.api_address(), "POST", "/v1/transactions", BORSH, &large);
    assert_eq!((reply.status, &reply.json()["code"]), (413, &"too_large".into()), "{reply:?}");
    node.stop().expect("a clean stop");
}

/// As the reference lists it.
#[test]
fn of_several_codes_the_first_in_the_order_of_precedence_is_reported() {
    let (chain, node) = single();
    let api = node.api_address();
    let large = vec![b' '; SUBMIT_BYTES_MAX + 1];
    let post = |path: &str, media_type: &str, body: &[u8]| {
        request_with(api, "POST", path, &[("content-type", media_type)], body).json()["code"].clone()
    };
    assert_eq!(post("/v1/nothing?wait=x", "text/plain", b"{"), "not_found");
    assert_eq!(post("/v1/status?wait=x", "text/plain", b"{"), "method_not_allowed");
    assert_eq!(post("/v1/transactions?wait=x", "text/plain", &large), "bad_request");
    assert_eq!(post("/v1/transactions", "text/plain", &large), "too_large");
    assert_eq!(post("/v1/transactions", "text/plain", b"{"), "unsupported_media_type");
    assert_eq!(post("/v1/transactions", "application/json", b"{"), "malformed");
    // Form before signature, signature before sender, sender before time.
    let code = |change: &dyn Fn(&mut quorate_protocol::document::Transaction), good: bool| {
        let mut transaction = chain.unsigned(1, 5);
        transaction.sender = quorate_crypto::key::SecretKey::from_seed([9; 32]).public_key();
        transaction.valid_until = 1;
        change(&mut transaction);
        let signer = quorate_crypto::key::SecretKey::from_seed([if good { 9 } else { 8 }; 32]);
        submit(api, "?wait=accepted", &SignedTransaction::sign(transaction, &signer)).json()["code"].clone()
    };
    let other_chain = |t: &mut quorate_protocol::document::Transaction| t.chain_id = quorate_crypto::sha256(b"other");
    assert_eq!(code(&other_chain, false), "wrong_chain");
    assert_eq!(code(&|t| t.operations = Default::default(), false), "no_operations");
    assert_eq!(code(&|_| (), false), "bad_signature");
    assert_eq!(code(&|_| (), true), "unknown_sender");
    let mut transaction = chain.unsigned(1, 6);
    transaction.valid_until = 1;
    let told = submit(api, "?wait=accepted", &SignedTransaction::sign(transaction, &chain.alice)).json();
    assert_eq!(told["code"], "expired");
    node.stop().expect("a clean stop");
}
