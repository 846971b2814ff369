//! What users of other ledgers complain of most. Each of it is impossible here, and each has its test, with real processes.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::clients::Clients;
use common::judge::judge;
use common::{Guard, Net, PATIENCE, Run, damage, program, run};
use quorate_cli::client::http::Node;
use quorate_cli::manifest::Manifest;
use quorate_cli::{clock, genesis};
use quorate_crypto::signed::Signed;
use quorate_node::config::{KeyFile, KeyKind};
use quorate_protocol::document::{AssetCode, Batch, Body, Operation, Proof, SignedTransaction, Transaction};
use quorate_protocol::id::{Epoch, Sequence, View};
use quorate_protocol::ledger::Ledger;
use quorate_protocol::pbft::message::{Ballot, Commit};
use quorate_protocol::store::{BlockCommit, Store};
use quorate_storage::rocks::{RocksStore, StoreOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn pid(net: &Net, name: &str) -> Pid {
    let nodes = net.status();
    let node = nodes.iter().find(|node| node["name"] == name).expect("a node of this name");
    Pid::from_raw(i32::try_from(node["pid"].as_i64().unwrap()).unwrap()).unwrap()
}

fn balance(net: &Net, account: &str) -> String {
    let told = net.quorate(&["account", account, "--output", "json"]).ok().json();
    told["data"]["balances"][0]["amount"].as_str().unwrap().to_owned()
}

/// (a) "It timed out, so I sent it again, and paid twice."
#[test]
fn a_time_out_is_no_failure_and_waiting_for_it_pays_once() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    let stopped = [pid(&net, "v2"), pid(&net, "v3")];
    let signal = |signal| stopped.iter().for_each(|pid| kill_process(*pid, signal).unwrap());
    signal(Signal::STOP);
    let lost = net.quorate(&[
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
        "10",
        "--asset",
        "USD",
        "--valid-for",
        "100",
    ]);
    signal(Signal::CONT);
    assert_eq!(lost.code, Some(5), "sent, and nobody can know: {lost:?}");
    let error = &lost.json()["errors"][0];
    assert_eq!((&error["outcome"], &error["retryable"]), (&json!("unknown"), &json!(true)));
    let id = lost.json()["data"]["id"].as_str().unwrap().to_owned();
    assert!(lost.err.contains(&format!("transaction {id}")), "the id was printed before waiting: {lost:?}");
    assert!(error["hint"].as_str().unwrap().contains(&format!("tx wait {id}")), "{error}");
    for _ in 0..3 {
        let found = net.quorate(&["--output", "json", "tx", "wait", &id]).ok();
        assert_eq!(found.json()["data"]["status"], "applied");
    }
    assert_eq!((balance(&net, "alice"), balance(&net, "bob")), ("999990.00".to_owned(), "1000010.00".to_owned()));
}

/// (b) "Account sequence mismatch", when one account sends faster than blocks come.
#[test]
fn fifty_transfers_of_one_sender_at_once_all_apply() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    let file = net.path().join("payments.jsonl");
    fs::write(&file, "{\"type\":\"transfer\",\"to\":\"bob\",\"asset\":\"USD\",\"amount\":\"0.01\"}\n".repeat(50))
        .unwrap();
    let batch = ["--output", "jsonl", "batch", file.to_str().unwrap(), "--from", "alice", "--concurrency", "50"];
    let done = net.quorate(&batch).ok();
    let applied = |run: &Run| run.out.lines().filter(|line| line.contains("\"status\":\"applied\"")).count();
    assert_eq!(applied(&done), 50, "{done:?}");
    assert_eq!((balance(&net, "alice"), balance(&net, "bob")), ("999999.50".to_owned(), "1000000.50".to_owned()));
    assert_eq!(applied(&net.quorate(&batch).ok()), 50);
    assert_eq!(balance(&net, "alice"), "999999.50", "the same file again sends nothing");
    // Each with a process of its own, as scripts do.
    let transfer = || net.transfer("0.01").ok();
    thread::scope(|scope| (0..10).for_each(|_| drop(scope.spawn(transfer))));
    assert_eq!(balance(&net, "bob"), "1000000.60");
}

/// (c) "Address already in use", with a second node or a second testnet on one machine.
#[test]
fn two_testnets_on_one_machine_do_not_meet() {
    let net = Net::new();
    let second = net.path().join("second");
    let on_second =
        |arguments: &[&str]| run(Command::new(program("quorate-testnet")).args(arguments).arg("--dir").arg(&second));
    // In a folder of its own, since a testnet takes an empty one only.
    let first = net.path().join("first");
    let on_first =
        |arguments: &[&str]| run(Command::new(program("quorate-testnet")).args(arguments).arg("--dir").arg(&first));
    on_first(&["up", "--detach", "--nodes", "1"]).ok();
    on_second(&["up", "--detach", "--nodes", "1"]).ok();
    let (one, two) = (Manifest::load(&first).unwrap(), Manifest::load(&second).unwrap());
    assert_ne!((&one.nodes[0].api, &one.nodes[0].p2p), (&two.nodes[0].api, &two.nodes[0].p2p));
    assert_ne!(one.chain_id, two.chain_id);
    // A port that somebody else has taken meanwhile is avoided; nothing is shared silently.
    on_second(&["down"]).ok();
    let taken = TcpListener::bind(two.nodes[0].api.trim_start_matches("http://")).unwrap();
    on_second(&["up", "--detach"]).ok();
    assert_ne!(Manifest::load(&second).unwrap().nodes[0].api, two.nodes[0].api);
    drop(taken);
    on_second(&["down"]).ok();
    on_first(&["down"]).ok();
}

/// (d) "It just hangs."
#[test]
fn a_chain_that_stands_still_says_who_is_missing() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    net.testnet(&["kill", "v1"]).ok();
    net.testnet(&["kill", "v3"]).ok();
    let end = Instant::now() + PATIENCE;
    let refused = loop {
        let done = net.quorate(&[
            "--timeout",
            "3",
            "--output",
            "json",
            "transfer",
            "--from",
            "carol",
            "--to",
            "bob",
            "--amount",
            "1",
            "--asset",
            "USD",
        ]);
        if done.code == Some(6) {
            break done;
        }
        assert!(Instant::now() < end && done.code == Some(5), "{done:?}");
    };
    let message = refused.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    for words in ["nothing was sent", "need 3, connected 2", "missing v1, v3"] {
        assert!(message.contains(words), "{words} in {message}");
    }
}

/// (e) "Error: invalid config", and nothing more.
#[test]
fn errors_at_set_up_name_the_file_the_key_the_reason_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let told = |program_name: &str, arguments: &[&Path]| {
        let done = run(Command::new(program(program_name)).args(arguments));
        assert_eq!(done.code, Some(10), "{done:?}");
        assert_eq!(done.out, "", "stdout is data: {done:?}");
        done.err
    };
    let says =
        |text: &str, words: &[&str]| words.iter().for_each(|word| assert!(text.contains(word), "{word} in {text}"));

    run(Command::new(program("quorate-node")).arg("init").arg("--home").arg(at("home"))).ok();
    // The file, the key in it, the reason, the remedy.
    fs::write(at("home").join("node.toml"), "api = \"127.0.0.1:0\"\np2p_port = 7\n").unwrap();
    fs::write(at("home").join("genesis.json"), "{}").unwrap();
    let run_home = [Path::new("run"), Path::new("--home"), &at("home")];
    says(&told("quorate-node", &run_home), &["node.toml", "p2p_port", "line 2", "unknown field", "correct this line"]);
    fs::write(at("home").join("node.toml"), "api = \"127.0.0.1:0\"\n").unwrap();
    let genesis = ["home/genesis.json", "`version`", "missing field", "line 1", "take it from whoever runs"];
    says(&told("quorate-node", &run_home), &genesis);

    let testnet = [Path::new("--testnet"), folder.path(), Path::new("status")];
    says(&told("quorate", &testnet), &["testnet.json", "hint: ", "quorate-testnet up --dir"]);
    fs::write(at("genesis.json"), "{\"version\": 1, \"tiem\": 3}").unwrap();
    let verify = [Path::new("verify"), Path::new("none.json"), Path::new("--genesis"), &at("genesis.json")];
    says(&told("quorate", &verify), &["genesis.json", "tiem", "unknown field", "hint: "]);
}

/// (f) "First install Docker."
#[test]
fn nothing_is_needed_but_the_three_programs() {
    let net = Net::new();
    let bare = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(program(name));
        run(command.env_clear().env("PATH", "/nonexistent").args(arguments).arg("--dir").arg(net.path()))
    };
    bare("quorate-testnet", &["up", "--detach"]).ok();
    let dir = net.path().to_str().unwrap();
    let transfer = ["--testnet", dir, "transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"];
    run(Command::new(program("quorate")).env_clear().args(transfer)).ok();
    bare("quorate-testnet", &["down"]).ok();
}

/// Gives a stopped node a next block that nobody ordered: sound in itself, and not the chain's.
fn fork(net: &Net, name: &str) -> u64 {
    let home = net.path().join(name);
    let store = RocksStore::open(&home.join("data/chain"), StoreOptions::default()).unwrap();
    let genesis = genesis::load(&net.manifest().genesis).unwrap();
    let mut ledger = Ledger::open(&genesis, &store).unwrap();
    let alice = net.key("alice");
    let transfer = Operation::Transfer { to: alice.public_key(), code: AssetCode::new("USD").unwrap(), amount: 1 };
    let transaction = Transaction {
        chain_id: genesis.chain_id(),
        sender: alice.public_key(),
        valid_until: clock::now_ms() + 30_000,
        salt: 77,
        operations: vec![transfer].try_into().unwrap(),
        memo: Default::default(),
    };
    let body: Body = Arc::new(SignedTransaction::sign(transaction, &alice));
    let batch = Batch { time: clock::now_ms(), ids: vec![body.id()].try_into().unwrap() };
    let executed = ledger.execute(&store, &batch, &[body], false).unwrap();
    let height = executed.block.header.height;
    let ballot = Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence::from(height), digest: batch.digest() };
    let key = KeyFile::load(&home.join("keys/consensus.json"), KeyKind::Consensus).unwrap();
    let vote = Signed::sign(Commit(ballot), &genesis.chain_id(), &key);
    let proof = Proof::Commits(vec![vote].try_into().unwrap());
    store.append(&BlockCommit { block: executed.block, proof, changes: executed.changes }).unwrap();
    height.get()
}

/// Waits until a node has moved its store aside, has the others' chain again, and votes.
fn wait_mended(net: &Net, name: &str, what: &str) {
    net.wait_status("a node that has mended itself", |nodes| {
        let node = nodes.iter().find(|node| node["name"] == name).unwrap();
        node["voting"] == true
            && nodes.iter().all(|other| other["state"] != "active" || other["state_root"] == node["state_root"])
    });
    let home = net.path().join(name);
    let record: Value = serde_json::from_slice(&fs::read(home.join("store-faults.json")).unwrap()).unwrap();
    assert_eq!((&record["faults"][0]["what"], &record["faults"][0]["set_aside"]), (&json!(what), &json!(true)));
    assert!(home.join("data/chain.aside").exists(), "what was wrong is kept for whoever looks at it");
}

/// (g) "The node diverged; delete its data directory."
#[test]
fn a_node_that_diverged_or_is_damaged_mends_itself() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    net.transfer("1").ok();
    net.wait_equal(2, &[]);
    net.testnet(&["kill", "v3"]).ok();
    let height = fork(&net, "v3");
    net.testnet(&["start", "v3"]).ok();
    // It has another block than the others at this height, and cannot know before they have one.
    assert_eq!(net.transfer("1").ok().json()["data"]["height"], height);
    let home = net.path().join("v3");
    net.wait_status("a divergence that is noticed", |_| home.join("data/chain.aside").exists());
    wait_mended(&net, "v3", "diverged");

    net.testnet(&["kill", "v2"]).ok();
    damage(&net.path().join("v2"));
    net.testnet(&["start", "v2"]).ok();
    wait_mended(&net, "v2", "damaged");
    net.wait_equal(height, &[]);
    // Both vote: without v1 it takes their two votes.
    net.testnet(&["kill", "v1"]).ok();
    net.transfer("1").ok();
    net.wait_equal(height + 1, &["v1"]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// (h) "Someone started the backup with the same key, and the chain was dead."
#[test]
fn a_slip_with_keys_bricks_no_chain() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    // A key that exists is never made again.
    let home = net.path().join("v3");
    let keys = fs::read(home.join("keys/consensus.json")).unwrap();
    let again = run(Command::new(program("quorate-node")).arg("init").arg("--home").arg(&home));
    assert_eq!(again.code, Some(10), "{again:?}");
    assert_eq!(fs::read(home.join("keys/consensus.json")).unwrap(), keys);
    // A key that is not in the genesis does not run.
    let stranger = net.path().join("stranger");
    let init = |arguments: &[&str]| {
        run(Command::new(program("quorate-node")).arg("init").arg("--home").arg(&stranger).args(arguments))
    };
    init(&[]).ok();
    let genesis = net.path().join("genesis.json");
    let refused = init(&["--genesis", genesis.to_str().unwrap()]);
    assert_eq!(refused.code, Some(10), "{refused:?}");
    assert!(refused.err.contains("genesis"), "{refused:?}");
    // One key in two nodes: a copy of v0, its vote log included, takes its place, and then v0 runs beside it.
    net.testnet(&["kill", "v0"]).ok();
    net.testnet(&["kill", "v3"]).ok();
    let twin = net.path().join("twin");
    copy(&net.path().join("v0"), &twin);
    let config = fs::read_to_string(twin.join("node.toml")).unwrap();
    let anywhere = |line: &str| match line.split_once(" = ") {
        Some((key @ ("api" | "p2p"), _)) => format!("{key} = \"127.0.0.1:0\"\n"),
        _ => format!("{line}\n"),
    };
    fs::write(twin.join("node.toml"), config.lines().map(anywhere).collect::<String>()).unwrap();
    let mut command = Command::new(program("quorate-node"));
    command.args(["run", "--home"]).arg(&twin).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut twin = Guard(command.spawn().unwrap());
    // Its votes are needed: of three that are up, all have to vote.
    let before = net.height();
    net.transfer("1").ok();
    net.transfer("1").ok();
    assert!(twin.0.try_wait().unwrap().is_none(), "the twin runs");
    let mut listening = String::new();
    BufReader::new(twin.0.stdout.take().unwrap()).read_line(&mut listening).unwrap();
    let listening: Value = serde_json::from_str(&listening).unwrap();
    let told = Node::new("twin", listening["api"].as_str().unwrap()).unwrap().status().unwrap();
    assert_eq!((told.node.as_str(), told.voting), ("v0", true), "{told:?}");
    assert!(told.height.get() >= before + 2);
    // The double is noticed, by whoever sees a vote of its own that it never cast, and it says so and signs nothing more.
    net.testnet(&["start", "v0"]);
    let nodes = net.wait_status("a double that is noticed", |nodes| nodes[0]["state"] == "halted");
    let reason = nodes[0]["reason"].as_str().unwrap();
    assert!(reason.contains("two processes share the key") && reason.contains("stop one of them"), "{reason}");
    net.testnet(&["start", "v3"]).ok();
    for _ in 0..5 {
        assert_eq!(net.transfer("1").ok().json()["data"]["status"], "applied");
    }
    // The remedy is what it says: one of them goes, and the chain has its four again.
    drop(twin);
    net.wait_equal(net.height(), &["v0"]);
    net.transfer("1").ok();
}

/// (i) "Events were lost, ..."
#[test]
fn under_load_and_when_its_node_dies_a_follower_misses_no_event_and_gets_none_twice() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    let (out, err) = (net.path().join("events.jsonl"), net.path().join("events.err"));
    let mut command = Command::new(program("quorate"));
    command.arg("--testnet").arg(net.path()).args(["--node", "v1", "--node", "v2", "--output", "jsonl", "events"]);
    command.args(["--follow", "--after", "0-0", "--kinds", "transaction"]).stdin(Stdio::null());
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let follower = Guard(command.spawn().unwrap());
    let cursors = || -> Vec<String> {
        let text = fs::read_to_string(&out).unwrap();
        // The last line may be half written.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let cursor = |line: &str| serde_json::from_str::<Value>(line).unwrap()["cursor"].as_str().unwrap().to_owned();
        lines.map(cursor).collect()
    };
    let wait_for = |count: usize| {
        let end = Instant::now() + PATIENCE * 2;
        while cursors().len() < count {
            assert!(Instant::now() < end, "{} events of {count}", cursors().len());
            thread::sleep(Duration::from_millis(20));
        }
    };
    let mut clients = Clients::start(&net);
    wait_for(100);
    net.testnet(&["kill", "v1"]).ok();
    wait_for(cursors().len() + 100);
    net.testnet(&["start", "v1"]).ok();
    let head = judge(&net, &mut clients, 0).head;
    let v0 = &net.nodes()[0];
    let mut expected = Vec::new();
    for height in 1..=head {
        let block = v0.block(&height.to_string()).unwrap();
        let executed = block.transactions.iter().filter(|position| position.outcome.is_executed());
        expected.extend(executed.map(|position| format!("{height}-{}", position.index)));
    }
    wait_for(expected.len());
    assert_eq!(cursors(), expected);
    let told = fs::read_to_string(&err).unwrap();
    assert!(told.contains("v1: ") && told.contains("with the next node"), "it went on with v2: {told}");
    drop(follower);
}

/// (i) "... and under load the node no longer answered."
#[test]
fn under_load_every_node_answers() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    let mut load = Command::new(program("quorate-testnet"));
    load.args(["bench", "--duration", "3", "--clients", "50", "--output", "json", "--dir"]).arg(net.path());
    let mut load = Guard(load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let mut looks = 0;
    let ended = loop {
        if let Some(ended) = load.0.try_wait().unwrap() {
            break ended;
        }
        // Each node has a few seconds for its answer; who takes longer is told of as silent.
        let told = net.quorate(&["status", "--output", "json"]).ok().json();
        let silent = |node: &&Value| node["status"].is_null();
        assert_eq!(told["data"]["nodes"].as_array().unwrap().iter().filter(silent).count(), 0, "{told}");
        looks += 1;
    };
    assert_eq!(ended.code(), Some(0));
    assert!(looks > 0);
}

/// (j) "It asked my script a question, and put a spinner into the JSON."
#[test]
fn scripts_get_data_only_and_are_asked_nothing() {
    let net = Net::new();
    net.testnet(&["up", "--detach", "--nodes", "1"]).ok();
    let done = net.transfer("1").ok();
    assert_eq!(done.json()["success"], true, "stdout is one document");
    for (arguments, code) in [
        (&["status"][..], 0),
        (&["account", "alice"], 0),
        (&["events", "--help"], 0),
        (&["transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"], 0),
        (&["transfer", "--from", "bob", "--to", "alice", "--amount", "9999999", "--asset", "USD"], 4),
        (&["keys", "new", "script", "--keystore", "/nonexistent/keys"], 2),
    ] {
        let began = Instant::now();
        let done = net.quorate(arguments);
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(
            !done.out.contains('\x1b') && !done.err.contains(['\x1b', '\r']),
            "no colours, no moving line: {done:?}"
        );
        assert!(began.elapsed() < PATIENCE);
    }
    let envelope = net.quorate(&["--output", "json", "transfer", "--from", "alice"]);
    assert_eq!((envelope.code, &envelope.json()["errors"][0]["code"]), (Some(2), &json!("usage")), "errors too");
}
