//! `GET /metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::common::{Chain, commit, get, single};

fn scrape(api: SocketAddr) -> String {
    let reply = get(api, "/metrics");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.headers.contains("application/openmetrics-text"), "{}", reply.headers);
    String::from_utf8(reply.body).expect("text")
}

/// Values by name and labels.
fn values(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
            (name, value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        })
        .collect()
}

#[test]
fn metrics_tell_what_happened_and_no_label_comes_from_a_client() {
    let (chain, node) = single();
    let api = node.api_address();
    let height = commit(&node, &chain.transfer(1, 1));
    let failed = commit_failed(&chain, api);
    get(api, "/v1/transactions/0000?x=attack");
    get(api, "/attack/path");
    let text = scrape(api);
    let values = values(&text);
    let value = |name: &str| *values.get(name).unwrap_or_else(|| panic!("no {name} in\n{text}"));
    assert_eq!(value("quorate_height"), failed as f64);
    assert!(failed > height);
    assert_eq!(value("quorate_transactions_total{outcome=\"applied\"}"), 1.0);
    assert_eq!(value("quorate_transactions_total{outcome=\"failed\"}"), 1.0);
    assert_eq!(value("quorate_blocks_total"), failed as f64);
    assert_eq!(value("quorate_commit_latency_seconds_count"), 2.0);
    assert!(value("quorate_journal_sync_seconds_count") > 0.0 && value("quorate_store_sync_seconds_count") > 0.0);
    let submitted = "method=\"POST\",path=\"/v1/transactions\",status=\"200\"";
    assert_eq!(value(&format!("quorate_http_request_seconds_count{{{submitted}}}")), 2.0);
    let route = "method=\"GET\",path=\"/v1/transactions/{id}\",status=\"400\"";
    assert_eq!(value(&format!("quorate_http_request_seconds_count{{{route}}}")), 1.0);
    assert_eq!(value("quorate_http_request_seconds_count{method=\"GET\",path=\"other\",status=\"404\"}"), 1.0);
    assert!(!text.contains("attack"), "{text}");
    assert!(value("quorate_process_resident_memory_bytes") > 1e6 && value("quorate_process_open_files") > 3.0);
    for name in [
        "quorate_certified_height",
        "quorate_view",
        "quorate_view_changes_total",
        "quorate_epoch",
        "quorate_is_active",
        "quorate_pool_transactions",
        "quorate_pool_bytes",
        "quorate_batches_in_flight",
        "quorate_peers_connected",
        "quorate_waiters",
        "quorate_event_streams",
        "quorate_verify_queue_depth{queue=\"transactions\"}",
        "quorate_signature_failures_total",
        "quorate_dropped_total{reason=\"gossip_queue_full\"}",
        "quorate_replica_answers",
        "quorate_halted",
        "quorate_uptime_seconds",
    ] {
        value(name);
    }
    assert!(text.contains("quorate_build_info{version=\"") && text.ends_with("# EOF\n"), "{text}");
    let metrics = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(text.lines().filter(|line| line.starts_with("# HELP quorate_")).count(), metrics, "each is explained");
    node.stop().expect("a clean stop");
}

fn commit_failed(chain: &Chain, api: SocketAddr) -> u64 {
    let reply = crate::common::submit(api, crate::COMMITTED, &chain.transfer(super::FUNDS * 2, 2)).json();
    assert_eq!(reply["status"], "failed");
    reply["height"].as_u64().expect("a height")
}
