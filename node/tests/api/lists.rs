//! Lists with cursors, and the list of peers.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::common::{cluster, commit, get, single, wait_for};

/// All pages from the first on.
fn pages(api: std::net::SocketAddr, query: &str) -> Vec<Vec<u64>> {
    let mut pages = Vec::new();
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let page = get(api, &format!("/v1/blocks?{query}{cursor}")).json();
        let items = page["items"].as_array().expect("items");
        pages.push(items.iter().map(|item| item["height"].as_u64().expect("a height")).collect());
        next = page["next"].as_str().map(|cursor| format!("&cursor={cursor}"));
    }
    pages
}

#[test]
fn blocks_come_in_pages_of_both_orders_and_agree_with_each_block() {
    let (chain, node) = single();
    let api = node.api_address();
    let head = (0..5).map(|salt| commit(&node, &chain.transfer(1, salt))).max().expect("some");
    let newest = pages(api, "limit=2").concat();
    assert!(newest.iter().copied().eq((0..=head).rev()), "{newest:?}");
    assert!(pages(api, "limit=2&order=oldest").concat().into_iter().eq(0..=head));
    let page = get(api, "/v1/blocks?limit=2").json();
    for item in page["items"].as_array().expect("items") {
        let block = get(api, &format!("/v1/blocks/{}", item["height"])).json();
        assert_eq!((&item["hash"], &item["certified"]), (&block["hash"], &block["certified"]));
        assert_eq!(item["state_root"], block["header"]["state_root"]);
        assert_eq!(item["transactions"].as_u64(), block["transactions"].as_array().map(|list| list.len() as u64));
    }
    // New blocks move no page that was begun.
    let next = page["next"].as_str().expect("more").to_owned();
    let second = || get(api, &format!("/v1/blocks?limit=2&cursor={next}")).json()["items"].clone();
    let before = second();
    commit(&node, &chain.transfer(1, 99));
    assert_eq!(second(), before);
    for bad in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "order=up",
        "cursor=",
        "cursor=17",
        &format!("cursor={next}&order=oldest"),
        &format!("cursor={}", next.replace('0', "1")),
        "page=2",
    ] {
        let reply = get(api, &format!("/v1/blocks?{bad}"));
        assert_eq!((reply.status, reply.json()["code"].clone()), (400, "bad_request".into()), "{bad}: {reply:?}");
    }
    node.stop().expect("a clean stop");
}

#[test]
fn peers_are_told_with_link_address_and_height() {
    let (chain, mut nodes) = cluster(4);
    wait_for("quorum", || nodes.iter().all(|node| get(node.api_address(), "/readyz").status == 200));
    let peers = |node: &quorate_node::node::Node| -> Vec<Value> {
        get(node.api_address(), "/v1/peers").json()["peers"].as_array().expect("peers").clone()
    };
    wait_for("all links", || peers(&nodes[0]).iter().all(|peer| peer["connected"] == true));
    let height = commit(&nodes[0], &chain.transfer(1, 1));
    wait_for("heights", || peers(&nodes[0]).iter().all(|peer| peer["height"] == height));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as u64;
    for (peer, node) in peers(&nodes[0]).iter().zip(&nodes[1..]) {
        assert_eq!(peer["name"], node.identity().index.to_string());
        assert_eq!(peer["address"], node.p2p_address().to_string());
        let since = peer["since"].as_u64().expect("a time");
        assert!((now - 60_000..=now).contains(&since), "{peer}");
        assert!(peer["silent_ms"].as_u64().expect("a duration") < 20_000, "{peer}");
    }
    assert_eq!(peers(&nodes[3])[0]["address"], Value::Null, "the lower index dials");
    nodes.pop().expect("v3").stop().expect("a clean stop");
    wait_for("lost link", || peers(&nodes[0])[2]["connected"] == false);
    assert_eq!(peers(&nodes[0])[2]["since"], Value::Null);
    for node in nodes.drain(1..) {
        node.stop().expect("a clean stop");
    }
    let api = nodes[0].api_address();
    wait_for("reason", || get(api, "/v1/consensus").json()["standing_still"].is_string());
    let consensus = get(api, "/v1/consensus").json();
    assert_eq!(consensus["reasons"][0]["kind"], "no_quorum");
    assert_eq!(consensus["reasons"][0]["detail"], consensus["standing_still"]);
    nodes.remove(0).stop().expect("a clean stop");
}
