//! The program `quorate-node`, as an operator starts it.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Chain, commit, fork, get, submit, wait_for};
use quorate_crypto::key::PublicKey;
use quorate_node::config::{NodeConfig, Peer};
use quorate_node::node::Node;
use quorate_protocol::document::{Validator, ValidatorSet};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn node() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-node"));
    command.env_remove("RUST_LOG");
    command
}

fn init(arguments: &[&Path]) -> Output {
    node().arg("init").args(arguments).output().expect("the program runs")
}

fn run(home: &Path) -> (Child, SocketAddr) {
    let mut child =
        node().args(["run", "--home"]).arg(home).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).expect("a line");
    let event: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["event"], "listening");
    assert!(event["p2p"].as_str().unwrap().starts_with("/ip4/127.0.0.1/tcp/"), "{event}");
    (child, event["api"].as_str().unwrap().parse().expect("an address"))
}

fn stop(mut child: Child, signal: Signal) {
    let start = Instant::now();
    kill_process(Pid::from_child(&child), signal).expect("a signal");
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "stdout has one line only");
}

/// Keys first, then a genesis that names them, then the rest.
fn init_in_two_steps(chain: &Chain) -> std::path::PathBuf {
    let home = chain.folder.path().join("home");
    let keys = init(&[Path::new("--home"), &home]);
    assert!(keys.status.success(), "{keys:?}");
    let keys: Value = serde_json::from_slice(&keys.stdout).expect("JSON");
    let key = |name: &str| -> PublicKey { keys[name].as_str().unwrap().parse().expect("a key") };
    let mut genesis = chain.genesis.clone();
    let validator = Validator { consensus_key: key("consensus_key"), network_key: key("network_key") };
    genesis.validators = ValidatorSet::new(vec![validator]).expect("a set");
    let file = chain.folder.path().join("genesis.json");
    fs::write(&file, genesis.to_json()).expect("written");
    let rest = init(&[Path::new("--home"), &home, Path::new("--genesis"), &file]);
    assert!(rest.status.success(), "{rest:?}");
    let told = String::from_utf8_lossy(&rest.stderr);
    assert!(told.contains("one lost vote journal stops the chain for good"), "{told}");
    let again = init(&[Path::new("--home"), &home, Path::new("--genesis"), &file]);
    assert_eq!(again.status.code(), Some(10), "{again:?}");
    home
}

#[test]
fn operator_makes_a_home_runs_it_stops_it_and_runs_it_again() {
    let chain = Chain::new(1);
    let home = init_in_two_steps(&chain);
    let (child, api) = run(&home);
    let genesis = quorate_node::home::Home::at(&home).genesis().expect("a genesis");
    let mut transaction = chain.unsigned(5, 1);
    transaction.chain_id = genesis.chain_id();
    let transfer = quorate_protocol::document::SignedTransaction::sign(transaction, &chain.alice);
    let outcome = submit(api, "?wait=committed&timeout=15000", &transfer).json();
    assert_eq!(outcome["status"], "applied", "{outcome}");
    stop(child, Signal::TERM);
    let (child, api) = run(&home);
    assert_eq!(get(api, "/v1/status").json()["height"], outcome["height"]);
    stop(child, Signal::INT);
}

#[test]
fn bad_homes_are_told_with_exit_code_10() {
    let chain = Chain::new(1);
    let home = chain.create(0, Vec::new());
    let refused = |words: &[&str]| {
        let output = node().args(["run", "--home"]).arg(home.path()).output().expect("the program runs");
        let told = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(10), "{told}");
        assert_eq!(output.stdout, b"");
        assert!(words.iter().all(|word| told.contains(word)), "{words:?} in {told}");
    };
    let config = fs::read_to_string(home.config_file()).unwrap();
    fs::write(home.config_file(), config.replace("api", "apis")).unwrap();
    refused(&["node.toml", "line 1", "apis", "correct this line"]);
    fs::write(home.config_file(), &config).unwrap();
    let genesis = fs::read_to_string(home.genesis_file()).unwrap();
    fs::write(home.genesis_file(), &genesis[..genesis.len() / 2]).unwrap();
    refused(&["genesis.json", "cannot be read"]);
    fs::write(home.genesis_file(), Chain::new(1).genesis.to_json().replace("\"scale\": 2", "\"scale\": 3")).unwrap();
    let told = node().args(["run", "--home"]).arg(home.path()).output().unwrap();
    assert!(
        !told.status.success() && String::from_utf8_lossy(&told.stderr).contains("chain"),
        "another chain: {told:?}"
    );
    fs::write(home.genesis_file(), &genesis).unwrap();
    fs::remove_file(home.network_key_file()).unwrap();
    refused(&["network.json", "restore the key"]);
}

/// PROTOCOL 7: a disk that takes no more. The limit on the size of a file stands for it, since it needs no rights: the write
/// fails with EFBIG where a full file system fails with ENOSPC.
#[test]
fn a_disk_that_takes_no_more_stops_signing_and_nothing_acknowledged_is_lost() {
    let chain = Chain::new(1);
    let home = chain.create(0, Vec::new());
    // In the shell's blocks of 512 bytes: 256 KiB.
    let script = "ulimit -f 512; exec \"$0\" run --home \"$1\"";
    let mut child = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_quorate-node")])
        .arg(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).expect("a line");
    let event: Value = serde_json::from_str(&line).expect("JSON");
    let api: SocketAddr = event["api"].as_str().unwrap().parse().expect("an address");
    let mut acknowledged = Vec::new();
    let reason = loop {
        let transfer = chain.transfer(1, acknowledged.len() as u64);
        let reply = submit(api, "?wait=committed&timeout=1000", &transfer);
        if reply.status == 200 {
            acknowledged.push(transfer.id());
            assert!(acknowledged.len() < 1_000, "the limit is never reached");
            continue;
        }
        let status = get(api, "/v1/status").json();
        assert_eq!((&status["state"], &status["voting"]), (&"halted".into(), &false.into()), "{status}");
        break status["reason"].as_str().expect("a reason").to_owned();
    };
    assert!(reason.contains("large") && reason.contains("restart"), "{reason}");
    assert!(!acknowledged.is_empty());
    stop(child, Signal::TERM);
    let (child, api) = run(home.path());
    for id in &acknowledged {
        let found = get(api, &format!("/v1/transactions/{id}/receipt"));
        assert_eq!(found.status, 200, "{found:?}");
    }
    let outcome = submit(api, "?wait=committed&timeout=15000", &chain.transfer(1, 5_000)).json();
    assert_eq!(outcome["status"], "applied", "{outcome}");
    stop(child, Signal::TERM);
}

/// PROTOCOL 4.5, as an operator meets it: the process goes on where it listens, and the second time it ends.
#[test]
fn a_program_that_diverged_goes_on_in_the_same_process_and_exits_the_second_time() {
    let chain = Chain::new(4);
    let home = chain.create(3, Vec::new());
    let (child, api) = run(home.path());
    assert_eq!(get(api, "/livez").status, 200);
    stop(child, Signal::TERM);
    // A port of its own, so that the others find it after each restart.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let config = NodeConfig { p2p: ([127, 0, 0, 1], port).into(), ..NodeConfig::default() };
    fs::write(home.config_file(), config.to_toml()).expect("written");
    let mut peers = vec![Peer { index: 3, address: format!("/ip4/127.0.0.1/tcp/{port}") }];
    let mut nodes = Vec::new();
    for index in [2, 1, 0] {
        let node = Node::start(&chain.create(index, peers.clone())).expect("a node");
        peers.push(Peer { index: index as u8, address: node.p2p_address().to_string() });
        nodes.push(node);
    }
    commit(&nodes[0], &chain.transfer(1, 1));
    fork(&chain, 3, 70, false);
    let (child, api) = run(home.path());
    commit(&nodes[0], &chain.transfer(1, 2));
    // While it starts again nobody answers.
    let status = || {
        std::net::TcpStream::connect(api).ok().and_then(|_| std::panic::catch_unwind(|| get(api, "/v1/status")).ok())
    };
    wait_for("same chain", || {
        home.faults_file().exists()
            && status().is_some_and(|reply| {
                reply.status == 200 && reply.json()["height"] == 2 && reply.json()["voting"] == true
            })
    });
    stop(child, Signal::TERM);
    fork(&chain, 3, 71, false);
    let mut child =
        node().args(["run", "--home"]).arg(home.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = |child: &mut Child| child.try_wait().expect("a child").is_some();
    let mut salt = 3;
    wait_for("end", || {
        commit(&nodes[0], &chain.transfer(1, salt));
        salt += 1;
        ended(&mut child)
    });
    let output = child.wait_with_output().expect("its last words");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("at fault twice") && told.contains("move them out of the home"), "{told}");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

#[test]
fn the_log_is_json_lines_on_request_of_file_or_flag() {
    let chain = Chain::new(1);
    let home = chain.create(0, Vec::new());
    let file = fs::read_to_string(home.config_file()).expect("node.toml");
    let log = |flags: &[&str]| {
        let mut command = node();
        command.args(["run", "--home"]).arg(home.path()).args(flags);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("stdout")).read_line(&mut line).expect("a line");
        kill_process(Pid::from_child(&child), Signal::TERM).expect("a signal");
        let mut text = String::new();
        child.stderr.take().expect("stderr").read_to_string(&mut text).expect("text");
        assert!(child.wait().expect("it ends").success(), "{text}");
        text
    };
    let check = |text: &str| {
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
        for line in &lines {
            let all = ["time", "level", "target", "event"].iter().all(|field| line[field].is_string());
            assert!(all && line["fields"].is_object() && line["event"] != "", "{line}");
        }
        let started = lines.iter().find(|line| line["event"] == "started").expect("it started");
        assert_eq!(started["fields"]["node"], "v0");
        assert!(lines.iter().any(|line| line["event"] == "stopping" && line["fields"]["signal"] == "SIGTERM"));
    };
    check(&log(&["--log-format", "json"]));
    fs::write(home.config_file(), format!("{file}\n[log]\nformat = \"json\"\n")).expect("written");
    check(&log(&[]));
    let text = log(&["--log-format", "text"]);
    assert!(text.contains("started") && !text.contains("{\"time\""), "the flag wins: {text}");
    fs::write(home.config_file(), format!("{file}\n[log]\nformat = \"json\"\nlevel = \"warn\"\n")).expect("written");
    assert_eq!(log(&[]), "", "only warnings are asked for");
}
