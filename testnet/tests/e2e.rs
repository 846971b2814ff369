//! Real nodes, real disks, real commands: what a newcomer, a script and a saboteur do with a testnet.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::client::http::{CallError, Node};
use quorate_cli::clock;
use quorate_crypto::encode::{BoundedString, BoundedVec, encode};
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::key::SecretKey;
use quorate_protocol::api::code::Code;
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::{AssetCode, Operation, SignedTransaction, Transaction};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use common::{Net, PATIENCE, Run, program, run};

#[test]
fn one_node_commits_and_goes_on_after_down_and_up() {
    let net = Net::new();
    let up = net.testnet(&["up", "--detach", "--nodes", "1"]).ok();
    assert!(up.out.contains("The testnet is up: 1 node"), "{up:?}");
    net.transfer("12.50").ok();
    net.testnet(&["down"]).ok();
    assert_eq!(net.processes(), Vec::<String>::new());

    // Somebody else has taken the node's port meanwhile: it gets another one, and the manifest says so.
    let address = net.manifest().nodes[0].api.replace("http://", "");
    let taken = TcpListener::bind(&address).unwrap();
    net.testnet(&["up", "--detach"]).ok();
    assert_ne!(net.manifest().nodes[0].api, format!("http://{address}"));
    drop(taken);
    net.transfer("0.5").ok();
    assert_eq!(net.balances("bob"), ["1000013.00"]);
}

#[test]
fn four_nodes_agree_prove_lose_a_backup_and_go_on_after_down_and_up() {
    let net = Net::new();
    let began = Instant::now();
    let up = net.testnet(&["up", "--detach"]).ok();
    println!("from binaries to the banner: {:?}", began.elapsed());
    for word in ["4 nodes", "alice", "transfer --from alice --to bob --amount 10 --asset USD", "down --dir"] {
        assert!(up.out.contains(word), "{word}: {}", up.out);
    }

    let began = Instant::now();
    let applied = net.transfer("10").ok().json();
    println!("a transfer with its verified receipt: {:?}", began.elapsed());
    assert_eq!(applied["data"]["status"], "applied");
    net.wait_equal(applied["data"]["height"].as_u64().unwrap(), &[]);
    assert_eq!(net.balances("bob"), ["1000010.00"; 4]);

    let id = applied["data"]["id"].as_str().unwrap();
    let receipt = net.quorate(&["tx", "receipt", id, "--output", "json"]).ok().out.into_bytes();
    assert_eq!(net.verify(&receipt), Some(0));
    for place in (0..receipt.len()).step_by(receipt.len() / 64) {
        let mut changed = receipt.clone();
        changed[place] ^= 1;
        assert_eq!(net.verify(&changed), Some(7), "byte {place}");
    }

    net.testnet(&["kill", "v2"]).ok();
    assert_eq!(net.status()[2]["state"], "down");
    for _ in 0..5 {
        net.transfer("1").ok();
    }
    net.testnet(&["start", "v2"]).ok();
    net.wait_equal(net.height(), &[]);
    assert_eq!(net.balances("bob"), ["1000015.00"; 4]);
    net.testnet(&["restart", "v3"]).ok();

    let before = net.height();
    net.testnet(&["down"]).ok();
    assert_eq!(net.processes(), Vec::<String>::new());
    assert_eq!(net.testnet(&["status"]).ok().out.matches("down").count(), 4);
    net.testnet(&["up", "--detach"]).ok();
    net.transfer("5").ok();
    net.wait_equal(before + 2, &[]);
    assert_eq!(net.balances("bob"), ["1000020.00"; 4]);
    let old = net.quorate(&["--node", "v1", "tx", "receipt", id, "--output", "json"]).ok().out;
    assert_eq!(net.verify(old.as_bytes()), Some(0), "a receipt outlives a restart");
}

#[test]
fn a_transfer_right_after_the_primary_of_an_idle_net_died_is_applied_in_the_next_view() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    net.wait_equal(1, &[]);
    assert_eq!(net.status()[0]["is_primary"], true);
    net.testnet(&["kill", "v0"]).ok();
    net.transfer("2").ok();
    net.wait_equal(net.height(), &["v0"]);
    assert_eq!(net.status()[1]["is_primary"], true);
    net.testnet(&["start", "v0"]).ok();
    net.wait_equal(net.height(), &[]);
    assert_eq!(net.balances("bob"), ["1000002.00"; 4]);
}

#[test]
fn seven_nodes_go_on_without_any_two() {
    let net = Net::new();
    let up = net.testnet(&["up", "--detach", "--nodes", "7"]).ok();
    assert!(up.out.contains("any 2 of them"), "{up:?}");
    net.testnet(&["kill", "v3"]).ok();
    net.testnet(&["kill", "v6"]).ok();
    net.transfer("3").ok();
    net.testnet(&["start", "v3"]).ok();
    net.testnet(&["start", "v6"]).ok();
    net.wait_equal(net.height(), &[]);
    assert_eq!(net.balances("bob"), ["1000003.00"; 7]);
}

#[test]
fn a_wiped_node_follows_and_serves_and_does_not_vote() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    net.transfer("1").ok();
    let wiped = net.testnet(&["wipe", "v1"]).ok();
    assert!(wiped.err.contains("never votes again") && wiped.err.contains("3 of 4"), "{wiped:?}");
    net.transfer("1").ok();
    net.wait_equal(net.height(), &[]);
    let status = net.status();
    assert_eq!((&status[1]["state"], &status[1]["voting"]), (&Value::from("following"), &Value::from(false)));
    assert!(status[1]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    assert_eq!(net.balances("bob"), ["1000002.00"; 4]);

    let refused = net.testnet(&["wipe", "v3"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("stand still for good") && refused.err.contains("--yes"), "{refused:?}");
    net.transfer("1").ok();

    // One more down, and only two are left that vote: nothing may commit.
    net.testnet(&["kill", "v3"]).ok();
    let stuck = net.quorate(&[
        "--timeout",
        "2",
        "--output",
        "json",
        "transfer",
        "--from",
        "alice",
        "--to",
        "bob",
        "--amount",
        "1",
        "--asset",
        "USD",
    ]);
    assert!(matches!(stuck.code, Some(5 | 6)), "{stuck:?}");
    net.testnet(&["start", "v3"]).ok();
    net.transfer("1").ok();
    // Still without a vote after a restart of everything.
    net.testnet(&["down"]).ok();
    let up = net.testnet(&["up", "--detach"]).ok();
    assert!(up.out.contains("Without a vote, because wiped: v1"), "{up:?}");
    assert_eq!(net.status()[1]["voting"], false);
}

/// A transfer of alice's with everything right but what `spoil` changes.
fn transaction(net: &Net, spoil: impl FnOnce(&mut Transaction)) -> Transaction {
    let bob = net.manifest().account("bob").unwrap().address;
    let transfer = Operation::Transfer { to: bob, code: AssetCode::new("USD").unwrap(), amount: 100 };
    let mut transaction = Transaction {
        chain_id: net.manifest().chain_id,
        sender: net.key("alice").public_key(),
        valid_until: clock::now_ms() + 30_000,
        salt: 7,
        operations: BoundedVec::try_from(vec![transfer]).unwrap(),
        memo: BoundedString::new(),
    };
    spoil(&mut transaction);
    transaction
}

fn submit(node: &Node, bytes: &[u8]) -> Result<TransactionResponse, Code> {
    match node.submit(bytes, Duration::from_secs(10)) {
        Ok(response) => match (response.status, response.code) {
            (TransactionStatus::Rejected, Some(code)) => Err(code),
            _ => Ok(response),
        },
        Err(CallError::Problem { problem, .. }) => Err(problem.code),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_must_not_pass_is_refused_with_its_documented_code_and_changes_nothing() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    net.wait_equal(1, &[]);
    let root = net.status()[0]["state_root"].clone();
    let (alice, stranger) = (net.key("alice"), SecretKey::from_seed([99; 32]));
    let signed = |key: &SecretKey, transaction: Transaction| encode(&SignedTransaction::sign(transaction, key));
    let good = SignedTransaction::sign(transaction(&net, |_| ()), &alice);
    let mut forged = encode(&good);
    *forged.last_mut().unwrap() ^= 1;
    let cases = [
        ("forged signature", forged, Code::BadSignature),
        ("anothers signature", signed(&stranger, transaction(&net, |_| ())), Code::BadSignature),
        (
            "wrong chain",
            signed(&alice, transaction(&net, |it| it.chain_id = sha256(b"another chain"))),
            Code::WrongChain,
        ),
        ("expired", signed(&alice, transaction(&net, |it| it.valid_until = clock::now_ms() - 60_000)), Code::Expired),
        ("too far ahead", signed(&alice, transaction(&net, |it| it.valid_until += 3_600_000)), Code::ValidUntilTooFar),
        (
            "unknown sender",
            signed(&stranger, transaction(&net, |it| it.sender = stranger.public_key())),
            Code::UnknownSender,
        ),
        ("malformed", b"these are no canonical bytes".to_vec(), Code::Malformed),
        ("nothing at all", Vec::new(), Code::Malformed),
        ("trailing bytes", [encode(&good), vec![0]].concat(), Code::Malformed),
    ];
    for node in net.nodes() {
        for (what, bytes, code) in &cases {
            assert_eq!(submit(&node, bytes), Err(*code), "{what} at {}", node.name());
        }
    }

    let overdraft = net.transfer("99999999");
    assert_eq!(overdraft.code, Some(4), "{overdraft:?}");
    let json = overdraft.json();
    assert_eq!(json["errors"][0]["code"], "insufficient_balance");
    assert_eq!((&json["data"]["status"], &json["data"]["receipt"]["index"]), (&Value::from("failed"), &Value::from(0)));
    net.wait_equal(json["data"]["height"].as_u64().unwrap(), &[]);
    assert_eq!(net.status()[0]["state_root"], root, "nothing changed");
    assert_eq!(net.balances("bob"), ["1000000.00"; 4]);

    // A duplicate is no failure: every node tells of the one receipt, and the amount moves once.
    let first = submit(&net.nodes()[0], &encode(&good)).unwrap();
    assert_eq!(first.status, TransactionStatus::Applied);
    net.wait_equal(first.height.unwrap().get(), &[]);
    for node in net.nodes() {
        let again = submit(&node, &encode(&good)).unwrap();
        assert_eq!(
            (again.status, again.height, again.index),
            (first.status, first.height, first.index),
            "{}",
            node.name()
        );
    }
    assert_eq!(net.balances("bob"), ["1000001.00"; 4]);
    let unknown = net.quorate(&["tx", "show", &Digest::ZERO.to_string()]);
    assert_eq!(unknown.code, Some(3), "{unknown:?}");
}

#[test]
fn after_the_supervisors_death_up_takes_over_and_down_cleans_up() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    kill_process(net.supervisor(), Signal::KILL).unwrap();
    let end = Instant::now() + PATIENCE;
    while net.testnet(&["status", "--output", "json"]).json()["data"]["running"] != false {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(net.status().iter().all(|node| node["pid"].is_u64()), "the nodes outlive their supervisor");
    net.transfer("1").ok();
    net.testnet(&["up", "--detach"]).ok();
    net.transfer("1").ok();
    assert_eq!(net.processes().iter().filter(|line| line.contains("quorate-node")).count(), 4);
    kill_process(net.supervisor(), Signal::KILL).unwrap();
    net.testnet(&["down"]).ok();
    assert_eq!(net.processes(), Vec::<String>::new());
    let again = net.testnet(&["down"]).ok();
    assert!(again.out.contains("was not running"), "{again:?}");
}

#[test]
fn in_the_foreground_ctrl_c_stops_everything_cleanly() {
    let net = Net::new();
    let mut up = Command::new(program("quorate-testnet"))
        .args(["up", "--dir"])
        .arg(net.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("Stop it with Ctrl-C")));
    net.transfer("1").ok();
    kill_process(Pid::from_raw(i32::try_from(up.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(0));
    assert_eq!(net.processes(), Vec::<String>::new());
    net.testnet(&["up", "--detach"]).ok();
    assert_eq!(net.balances("bob"), ["1000001.00"; 4]);
}

/// `up` with two nodes that never say anything: a net that is coming up, and the process ids of its nodes.
fn coming_up(net: &Net) -> (Child, Vec<u64>) {
    let silent = net.path().with_extension("node");
    fs::write(&silent, "#!/bin/sh\nexec sleep 60\n").unwrap();
    fs::set_permissions(&silent, fs::Permissions::from_mode(0o755)).unwrap();
    let mut up = Command::new(program("quorate-testnet"));
    up.args(["up", "--nodes", "2", "--dir"]).arg(net.path()).env("QUORATE_NODE", &silent).stdin(Stdio::null());
    let up = up.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let recorded = || -> Vec<u64> {
        let record = fs::read(net.path().join("supervisor.json")).unwrap_or_default();
        let record: Value = serde_json::from_slice(&record).unwrap_or_default();
        record["nodes"].as_array().into_iter().flatten().filter_map(|node| node["pid"].as_u64()).collect()
    };
    let (mut pids, end) = (recorded(), Instant::now() + PATIENCE);
    while pids.len() < 2 {
        assert!(Instant::now() < end, "the nodes are not started");
        thread::sleep(Duration::from_millis(20));
        pids = recorded();
    }
    (up, pids)
}

fn are_gone(pids: &[u64]) -> bool {
    pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

#[test]
fn ctrl_c_before_the_net_is_up_leaves_nothing_running() {
    let net = Net::new();
    let (mut up, started) = coming_up(&net);
    // A net that is coming up is not one that does not run.
    let bench = net.testnet(&["bench", "--duration", "1"]);
    assert_eq!(bench.code, Some(3), "{bench:?}");
    assert!(bench.err.contains("starting") && bench.err.contains("hint: wait until `up`"), "{bench:?}");
    let look = net.look();
    assert_eq!((&look["running"], &look["starting"]), (&Value::from(false), &Value::from(true)), "{look}");
    kill_process(Pid::from_raw(i32::try_from(up.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(130));
    assert!(are_gone(&started), "{started:?}");
    fs::remove_file(net.path().with_extension("node")).unwrap();
}

#[test]
fn down_says_what_it_stopped_of_a_net_that_was_coming_up() {
    let net = Net::new();
    let (mut up, started) = coming_up(&net);
    let down = net.testnet(&["down"]).ok();
    assert!(down.out.contains("stopped v0 v1 in "), "{down:?}");
    up.wait().unwrap();
    assert!(are_gone(&started), "{started:?}");
    assert!(net.testnet(&["down"]).ok().out.contains("was not running"));
    fs::remove_file(net.path().with_extension("node")).unwrap();
}

#[test]
fn the_other_programs_are_reached_through_quorate() {
    let net = Net::new();
    net.testnet(&["up", "--detach", "--nodes", "1"]).ok();
    let quorate = |arguments: &[&str]| run(Command::new(program("quorate")).args(arguments));
    let status = quorate(&["testnet", "status", "--output", "json", "--dir", net.path().to_str().unwrap()]).ok();
    assert_eq!(status.json()["data"]["nodes"][0]["name"], "v0");
    assert!(quorate(&["node", "--version"]).ok().out.contains("quorate-node"));
}

#[test]
fn strange_situations_get_a_reason_and_a_remedy() {
    let net = Net::new();
    let fails = |run: Run, exit: i32, code: &str, word: &str| {
        assert_eq!(run.code, Some(exit), "{run:?}");
        assert!(run.err.contains(code) && run.err.contains(word), "{run:?}");
        assert!(run.err.lines().last().is_some_and(|line| line.starts_with("hint: ")), "{run:?}");
    };
    fs::write(net.path().join("thesis.txt"), "years of work").unwrap();
    fails(net.testnet(&["up", "--detach"]), 10, "not_a_testnet", "thesis.txt");
    fails(net.testnet(&["status"]), 10, "not_a_testnet", "testnet.json");
    fs::remove_file(net.path().join("thesis.txt")).unwrap();
    assert_eq!(net.testnet(&["up", "--nodes", "32"]).code, Some(2));

    let missing = run(Command::new(program("quorate-testnet"))
        .args(["up", "--detach", "--dir"])
        .arg(net.path())
        .env("QUORATE_NODE", "/nonexistent/quorate-node"));
    fails(missing, 1, "internal", "/nonexistent/quorate-node");

    net.testnet(&["up", "--detach"]).ok();
    fails(net.testnet(&["up", "--detach"]), 2, "already_running", "down --dir");
    fails(net.testnet(&["up"]), 2, "already_running", "down --dir");
    fails(net.testnet(&["kill", "v7"]), 3, "unknown_node", "v0, v1, v2, v3");
    fails(net.testnet(&["start", "v0"]), 2, "usage", "runs already");
    net.testnet(&["kill", "v0"]).ok();
    fails(net.testnet(&["kill", "v0"]), 2, "usage", "does not run");
    net.testnet(&["down"]).ok();
    fails(net.testnet(&["kill", "v0"]), 3, "not_running", "up --dir");
    fails(net.testnet(&["up", "--detach", "--nodes", "7"]), 2, "usage", "has 4 nodes");

    let path = net.path().join("testnet.json");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replace("\"version\": 1", "\"version\": 2")).unwrap();
    fails(net.testnet(&["up", "--detach"]), 10, "bad_testnet_manifest", "version 2");
    fs::write(&path, &good).unwrap();

    let config = net.path().join("v3/node.toml");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, "api = 7\n").unwrap();
    fails(net.testnet(&["up", "--detach"]), 10, "bad_node_config", "node.toml");
    fs::write(&config, good).unwrap();
    let key = net.path().join("v3/keys/network.json");
    fs::rename(&key, net.path().join("kept")).unwrap();
    fails(net.testnet(&["up", "--detach"]), 1, "v3 ended before it was ready", "network.json");
    assert_eq!(net.processes(), Vec::<String>::new(), "the others are stopped as well");
    fs::rename(net.path().join("kept"), &key).unwrap();
    net.testnet(&["up", "--detach"]).ok();
}
