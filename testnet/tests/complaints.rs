//! What users of other ledgers complain of most. Each of it is impossible here, and each has its test: where it takes real
//! processes below, else where the test of that name says.

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Net, PATIENCE, Run, program, run};
use quorate_cli::manifest::Manifest;
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
    // A port that somebody else has taken meanwhile is said, or avoided; nothing is shared silently.
    on_second(&["down"]).ok();
    let taken = TcpListener::bind(two.nodes[0].api.trim_start_matches("http://")).unwrap();
    let again = on_second(&["up", "--detach"]);
    let moved = again.code == Some(0) && Manifest::load(&second).unwrap().nodes[0].api != two.nodes[0].api;
    assert!(moved || (again.code != Some(0) && again.err.contains("hint: ")), "{again:?}");
    drop(taken);
    on_second(&["down"]);
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
    fs::write(at("home").join("node.toml"), "api = \"127.0.0.1:0\"\np2p_port = 7\n").unwrap();
    fs::write(at("home").join("genesis.json"), "{}").unwrap();
    let run_home = [Path::new("run"), Path::new("--home"), &at("home")];
    says(&told("quorate-node", &run_home), &["node.toml", "p2p_port", "line 2"]);
    fs::write(at("home").join("node.toml"), "api = \"127.0.0.1:0\"\n").unwrap();
    says(&told("quorate-node", &run_home), &["genesis.json"]);

    let testnet = [Path::new("--testnet"), folder.path(), Path::new("status")];
    says(&told("quorate", &testnet), &["testnet.json", "hint: ", "quorate-testnet up --dir"]);
    fs::write(at("genesis.json"), "{\"version\": 1, \"tiem\": 3}").unwrap();
    let verify = [Path::new("verify"), Path::new("none.json"), Path::new("--genesis"), &at("genesis.json")];
    says(&told("quorate", &verify), &["genesis.json", "tiem", "hint: "]);
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

/// (g) "The node diverged; delete its data directory." With real nodes that is node/tests/faults.rs and program.rs.
#[test]
fn a_diverged_node_mends_itself() {
    let faults = include_str!("../../node/tests/faults.rs");
    assert!(faults.contains("fn a_node_that_diverged_fetches_the_chain_again_and_stops_the_second_time()"));
    let program = include_str!("../../node/tests/program.rs");
    assert!(program.contains("fn a_program_that_diverged_goes_on_in_the_same_process_and_exits_the_second_time()"));
}

/// A process that ends with the test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    // One key in two nodes: a copy of v3, its vote log included, runs beside it.
    net.testnet(&["kill", "v3"]).ok();
    let twin = net.path().join("twin");
    copy(&home, &twin);
    let config = fs::read_to_string(twin.join("node.toml")).unwrap();
    let anywhere = |line: &str| match line.split_once(" = ") {
        Some((key @ ("api" | "p2p"), _)) => format!("{key} = \"127.0.0.1:0\"\n"),
        _ => format!("{line}\n"),
    };
    fs::write(twin.join("node.toml"), config.lines().map(anywhere).collect::<String>()).unwrap();
    let _twin = Guard(
        Command::new(program("quorate-node"))
            .args(["run", "--home"])
            .arg(&twin)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    net.testnet(&["start", "v3"]);
    for _ in 0..5 {
        assert_eq!(net.transfer("1").ok().json()["data"]["status"], "applied");
    }
    net.wait_equal(1, &["v3"]);
}

/// (i) "Events were lost, and under load the node no longer answered." What a client does when a stream breaks is
/// cli/tests/commands/events.rs.
#[test]
fn under_load_every_node_answers() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    let mut load = Command::new(program("quorate-testnet"));
    load.args(["bench", "--duration", "3", "--clients", "50", "--output", "json", "--dir"]).arg(net.path());
    let mut load = load.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut slowest = Duration::ZERO;
    let mut looks = 0;
    while load.try_wait().unwrap().is_none() {
        let began = Instant::now();
        let told = net.quorate(&["status", "--output", "json"]).ok().json();
        let silent = |node: &&Value| node["status"].is_null();
        assert_eq!(told["data"]["nodes"].as_array().unwrap().iter().filter(silent).count(), 0, "{told}");
        slowest = slowest.max(began.elapsed());
        looks += 1;
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(load.wait().unwrap().code(), Some(0));
    assert!(looks > 5 && slowest < Duration::from_secs(5), "{looks} looks, the slowest took {slowest:?}");
    let cli = include_str!("../../cli/tests/commands/events.rs");
    assert!(cli.contains("fn when_a_node_dies_the_next_one_goes_on_without_a_gap_or_a_repetition()"));
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
