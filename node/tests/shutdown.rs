//! Stopping, alone in its process so that threads can be counted.

mod common;

use std::time::{Duration, Instant};

use common::{cluster, get, submit, wait_for};

/// Threads of libraries that serve the whole process and outlive what started them: RocksDB's pools, and the timer of
/// libp2p.
const PROCESS_WIDE: [&str; 2] = ["rocksdb:", "futures-timer"];

/// The names of all threads that belong to somebody.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads");
    let name = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
    let mut names: Vec<String> = tasks.filter_map(name).collect();
    names.retain(|name| !PROCESS_WIDE.iter().any(|prefix| name.starts_with(prefix)));
    names.sort();
    names
}

#[test]
fn stopping_under_load_takes_two_seconds_at_most_answers_clients_and_leaves_no_thread() {
    let before = threads();
    let (chain, mut nodes) = cluster(4);
    wait_for("quorum", || nodes.iter().all(|node| get(node.api_address(), "/readyz").status == 200));
    // Two of four: nothing can commit, so that the client still waits when its node stops.
    for node in nodes.drain(2..) {
        node.stop().expect("a clean stop");
    }
    let api = nodes[0].api_address();
    let transfer = chain.transfer(1, 1);
    let client = std::thread::spawn(move || submit(api, "?wait=committed&timeout=15000", &transfer));
    wait_for("pending transaction", || get(api, "/v1/status").json()["pool"]["count"] == 1);
    for node in nodes {
        let start = Instant::now();
        node.stop().expect("a clean stop");
        assert!(start.elapsed() < Duration::from_secs(2), "stopping took {:?}", start.elapsed());
    }
    let reply = client.join().expect("the client is answered");
    assert_eq!((reply.status, reply.json()["code"].clone()), (504, "timeout".into()), "{reply:?}");
    assert_eq!(threads(), before, "threads are left");
}
