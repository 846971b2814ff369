//! Four nodes in one process, over the loopback.

mod common;

use common::{cluster, get, submit, wait_for};
use quorate_node::node::Node;
use quorate_protocol::document::Receipt;
use quorate_protocol::proof::verify_receipt;
use serde_json::{Value, json};

fn state_root_at(node: &Node, height: u64) -> Option<String> {
    let reply = get(node.api_address(), &format!("/v1/blocks/{height}"));
    (reply.status == 200).then(|| reply.json()["header"]["state_root"].as_str().expect("a root").to_string())
}

#[test]
fn four_nodes_commit_through_any_of_them_and_agree() {
    let (chain, nodes) = cluster(4);
    wait_for("quorum", || nodes.iter().all(|node| get(node.api_address(), "/readyz").status == 200));
    let mut last = 0;
    for (salt, node) in nodes.iter().enumerate() {
        let reply = submit(node.api_address(), "?wait=committed&timeout=15000", &chain.transfer(7, salt as u64));
        assert_eq!(reply.status, 200, "{reply:?}");
        let outcome = reply.json();
        assert_eq!(outcome["status"], "applied");
        let receipt: Receipt = serde_json::from_value(outcome["receipt"].clone()).expect("a receipt");
        verify_receipt(&receipt, &chain.genesis).expect("it proves");
        assert_eq!(receipt.certificate.signatures.len(), 3);
        last = outcome["height"].as_u64().expect("a height");
    }
    wait_for("common height", || nodes.iter().all(|node| state_root_at(node, last).is_some()));
    let roots: Vec<_> = nodes.iter().map(|node| state_root_at(node, last)).collect();
    assert!(roots.windows(2).all(|pair| pair[0] == pair[1]), "{roots:?}");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

#[test]
fn three_nodes_commit_without_a_backup_and_two_say_why_they_stand_still() {
    let (chain, mut nodes) = cluster(4);
    wait_for("quorum", || nodes.iter().all(|node| get(node.api_address(), "/readyz").status == 200));
    nodes.pop().expect("v3").stop().expect("a clean stop");
    let reply = submit(nodes[1].api_address(), "?wait=committed&timeout=15000", &chain.transfer(7, 1));
    assert_eq!((reply.status, reply.json()["status"].clone()), (200, "applied".into()), "{reply:?}");
    nodes.pop().expect("v2").stop().expect("a clean stop");
    let standing = || get(nodes[0].api_address(), "/v1/consensus").json()["standing_still"].clone();
    wait_for("word", || standing() == "need 3, connected 2: missing v2, v3");
    let ready = get(nodes[0].api_address(), "/readyz");
    assert_eq!((ready.status, ready.json()["code"].clone()), (503, "not_ready".into()));
    assert!(ready.headers.contains("retry-after"), "{}", ready.headers);
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

#[test]
fn a_dead_primary_is_no_standing_still_and_a_transaction_has_another_one_take_over() {
    let (chain, mut nodes) = cluster(4);
    wait_for("quorum", || nodes.iter().all(|node| get(node.api_address(), "/readyz").status == 200));
    nodes.remove(0).stop().expect("a clean stop");
    let api = nodes[0].api_address();
    wait_for("loss", || get(api, "/v1/consensus").json()["missing"] == json!(["v0"]));
    assert_eq!(get(api, "/v1/consensus").json()["standing_still"], Value::Null);
    assert_eq!(get(api, "/readyz").status, 200);
    let reply = submit(api, "?wait=committed&timeout=15000", &chain.transfer(7, 1));
    assert_eq!((reply.status, reply.json()["status"].clone()), (200, "applied".into()), "{reply:?}");
    let status = get(api, "/v1/status").json();
    assert_eq!((&status["active"], &status["view_change"]), (&true.into(), &Value::Null), "{status}");
    assert_ne!(status["primary"], "v0", "{status}");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}
