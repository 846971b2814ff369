//! What a user does with the faults of a testnet: begins them, sees them, undoes them, and gets them wrong.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::clock::now_ms;
use quorate_node::config::NodeConfig;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use common::{Net, PATIENCE, program, run};

fn with_proxies() -> Net {
    let net = Net::beside_others();
    net.testnet(&["up", "--faults", "--detach"]).ok();
    net
}

fn kinds(look: &Value) -> Vec<String> {
    let kinds = look["faults"].as_array().unwrap().iter();
    kinds.map(|fault| format!("{} {}", fault["kind"].as_str().unwrap(), fault["target"].as_str().unwrap())).collect()
}

/// The addresses under which a node reaches its peers.
fn peers(net: &Net, node: &str) -> Vec<String> {
    let config = NodeConfig::load(&net.path().join(node).join("node.toml")).unwrap();
    config.peers.into_iter().map(|peer| peer.address).collect()
}

#[test]
fn the_links_run_through_proxies_until_it_is_told_otherwise() {
    let net = with_proxies();
    let listen = |net: &Net| -> Vec<String> { net.manifest().nodes.iter().map(|node| node.p2p.clone()).collect() };
    let dialled_directly = |net: &Net| peers(net, "v0").iter().filter(|peer| listen(net).contains(peer)).count();
    assert_eq!(dialled_directly(&net), 0, "v0 dials everybody");
    assert_eq!(net.look()["proxied"], true);
    net.testnet(&["restart", "v2"]).ok();
    net.transfer("1").ok();
    net.testnet(&["down"]).ok();
    net.testnet(&["up", "--detach"]).ok();
    assert_eq!(dialled_directly(&net), 0, "a later `up` keeps it");
    net.testnet(&["partition", "v0|v1,v2,v3"]).ok();
    net.testnet(&["down"]).ok();
    assert_eq!(net.processes(), Vec::<String>::new());
    net.testnet(&["up", "--faults=false", "--detach"]).ok();
    assert_eq!(dialled_directly(&net), 3);
    let look = net.look();
    assert_eq!((&look["proxied"], kinds(&look)), (&Value::from(false), vec![]), "`down` ended the partition");
    let refused = net.testnet(&["partition", "v0|v1"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.err.contains("without proxies") && refused.err.contains("up --faults --detach --dir"),
        "{refused:?}"
    );
    net.transfer("1").ok();
}

#[test]
fn faults_are_shown_with_their_undo_survive_a_restart_and_end_by_their_inverse() {
    let net = with_proxies();
    assert_eq!(kinds(&net.look()), Vec::<String>::new());
    let said = net.testnet(&["partition", "v0>v3"]).ok();
    for word in
        ["one way", "256 KiB", "Not named, so their links stay: v1, v2", "Undo it with: quorate-testnet heal --dir"]
    {
        assert!(said.out.contains(word), "{word}: {}", said.out);
    }
    net.testnet(&["delay", "v1-v2", "--latency", "20ms", "--bandwidth", "1MB"]).ok();
    let pid = |net: &Net| net.status()[3]["pid"].clone();
    let before = pid(&net);
    let said = net.testnet(&["clock", "v3", "-500ms"]).ok();
    assert!(said.out.contains("500 ms behind") && said.out.contains("was restarted"), "{said:?}");
    assert_ne!(pid(&net), before);
    net.testnet(&["restart", "v2"]).ok();
    net.testnet(&["pause", "v1"]).ok();
    // What is done to a node says how it is undone and since when, as faults do.
    for (arguments, undo) in [(&["kill", "v2"][..], Some("start v2")), (&["start", "v2"], Some("kill v2"))] {
        assert_says_undo_and_time(&net, arguments, undo);
    }

    let look = net.look();
    assert_eq!(kinds(&look), ["partition v0>v3", "delay v1-v2", "clock v3", "pause v1"]);
    let links: Vec<String> = look["links"]
        .as_array()
        .unwrap()
        .iter()
        .map(|link| format!("{}>{} {} {}", link["from"], link["to"], link["held"], link["latency_ms"]).replace('"', ""))
        .collect();
    assert_eq!(links, ["v0>v3 true 0", "v1>v2 false 20", "v2>v1 false 20"]);
    assert_eq!((&look["nodes"][1]["state"], &look["nodes"][1]["height"]), (&Value::from("paused"), &Value::Null));
    assert_eq!(net.nodes()[3].status().unwrap().clock_offset, -500);
    let text = net.testnet(&["status"]).ok().out;
    for word in ["carry nothing: v0>v3", "delayed: v1>v2 v2>v1", "undo: quorate-testnet resume v1 --dir", "paused"] {
        assert!(text.contains(word), "{word}: {text}");
    }

    for (undo, left) in [
        (&["resume", "v1"][..], &["partition v0>v3", "delay v1-v2", "clock v3"][..]),
        (&["delay", "v1-v2", "--latency", "0ms"], &["partition v0>v3", "clock v3"]),
        (&["heal"], &["clock v3"]),
        (&["clock", "v3", "0"], &[]),
    ] {
        net.testnet(undo).ok();
        assert_eq!(kinds(&net.look()), left, "{undo:?}");
    }
    assert_says_undo_and_time(&net, &["disk", "v2", "full"], Some("disk v2 ok"));
    assert_says_undo_and_time(&net, &["disk", "v2", "ok"], None);
    assert_says_undo_and_time(&net, &["restart", "v2"], None);
    let wiped = assert_says_undo_and_time(&net, &["wipe", "v2"], None);
    assert!(wiped["notes"][0].as_str().unwrap().contains("Nothing undoes it"), "{wiped}");
    net.transfer("1").ok();
    net.wait_equal(net.height(), &[]);
    let lines = fs::read_to_string(net.path().join("faults.jsonl")).unwrap();
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |event: &str| events.iter().any(|line| line["event"] == event && line["time"].as_u64() > Some(0));
    for event in [
        "partition",
        "delay",
        "clock",
        "pause",
        "pause ended",
        "delay ended",
        "heal",
        "clock ended",
        "restart",
        "kill",
        "start",
        "disk",
        "disk ended",
        "wipe",
    ] {
        assert!(named(event), "{event}: {lines}");
    }
}

/// In JSON, and for people. Returns what it says.
fn assert_says_undo_and_time(net: &Net, arguments: &[&str], undo: Option<&str>) -> Value {
    let before = now_ms();
    let done = net.testnet(&[arguments, &["--output", "json"]].concat()).ok();
    let said = done.json()["data"].clone();
    let dir = net.path().display();
    let command = undo.map_or(Value::Null, |undo| format!("quorate-testnet {undo} --dir {dir}").into());
    assert_eq!(said["undo"], command, "{arguments:?}: {said}");
    let (at, took) = (said["at"].as_u64().unwrap(), said["took_ms"].as_f64().unwrap());
    assert!(before <= at && at <= now_ms() && took >= 0.0, "{arguments:?}: {said}");
    println!("{}: {took} ms", arguments.join(" "));
    said
}

/// The soft limit on the size of a file, as the system has it for a process.
fn file_size_limit(pid: u64) -> String {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file size")).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// The letter that the system has for what a process does: T is stopped by a signal.
fn process_state(pid: u64) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().next().unwrap().to_owned()
}

/// How a stranger is greeted who connects as v0 does to v1: a libp2p node answers this first line with the same.
const GREETING: &[u8] = b"\x13/multistream/1.0.0\n";

/// Connects over the link from v0 to v1 and greets.
fn greet_v1(net: &Net) -> TcpStream {
    let config = NodeConfig::load(&net.path().join("v0").join("node.toml")).unwrap();
    let peer = config.peers.into_iter().find(|peer| peer.index == 1).unwrap();
    let mut parts = peer.address.split('/').skip(2).step_by(2);
    let (host, port) = (parts.next().unwrap(), parts.next().unwrap());
    let mut stream = TcpStream::connect((host, port.parse::<u16>().unwrap())).unwrap();
    stream.write_all(GREETING).unwrap();
    stream
}

/// Waits for the answer; false where none came in this time.
fn is_greeted(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut answer = [0; GREETING.len()];
    match stream.read_exact(&mut answer) {
        Ok(()) => answer == GREETING,
        Err(_) => false,
    }
}

fn pid(net: &Net, name: &str) -> u64 {
    let node = net.status().into_iter().find(|node| node["name"] == name).unwrap();
    node["pid"].as_u64().unwrap()
}

#[test]
fn a_pause_is_in_force_when_its_command_returns() {
    let net = with_proxies();
    let v3 = pid(&net, "v3");
    assert_says_undo_and_time(&net, &["pause", "v3"], Some("resume v3"));
    assert_eq!(process_state(v3), "T");
    assert_says_undo_and_time(&net, &["resume", "v3"], None);
    assert_ne!(process_state(v3), "T");
}

#[test]
fn a_full_disk_is_in_force_when_its_command_returns() {
    let net = with_proxies();
    let v1 = pid(&net, "v1");
    let unlimited = file_size_limit(v1);
    assert_says_undo_and_time(&net, &["disk", "v1", "full"], Some("disk v1 ok"));
    assert_eq!(file_size_limit(v1), "0");
    assert_says_undo_and_time(&net, &["disk", "v1", "ok"], None);
    assert_eq!(file_size_limit(v1), unlimited);
}

#[test]
fn a_partition_its_end_and_a_delay_are_in_force_when_their_commands_return() {
    let net = with_proxies();
    assert!(is_greeted(&mut greet_v1(&net), PATIENCE), "the link works");
    assert_says_undo_and_time(&net, &["partition", "v0|v1"], Some("heal"));
    let mut held = greet_v1(&net);
    assert!(!is_greeted(&mut held, Duration::from_millis(300)), "a cut link carries nothing");
    assert_says_undo_and_time(&net, &["heal"], None);
    assert!(is_greeted(&mut greet_v1(&net), PATIENCE), "a healed link carries");

    let latency = Duration::from_millis(400);
    assert_says_undo_and_time(&net, &["delay", "v0-v1", "--latency", "400ms"], Some("delay v0-v1 --latency 0ms"));
    let began = Instant::now();
    assert!(is_greeted(&mut greet_v1(&net), PATIENCE));
    assert!(began.elapsed() >= 2 * latency, "there and back: {:?}", began.elapsed());
    net.testnet(&["heal"]).ok();
}

#[test]
fn a_partition_begins_while_the_supervisor_is_busy_with_a_node() {
    let net = with_proxies();
    thread::scope(|scope| {
        let restart = scope.spawn(|| net.testnet(&["restart", "v3"]).ok());
        let end = Instant::now() + PATIENCE;
        let mut answered_meanwhile = 0;
        while !restart.is_finished() {
            assert!(Instant::now() < end);
            net.testnet(&["partition", "v0|v1"]).ok();
            net.testnet(&["heal"]).ok();
            answered_meanwhile += usize::from(!restart.is_finished());
        }
        assert!(answered_meanwhile > 0, "a restart takes longer than two commands that need not wait for it");
    });
    net.transfer("1").ok();
}

#[test]
fn a_paused_node_is_killed_restarted_and_taken_down_like_any_other() {
    let net = with_proxies();
    net.testnet(&["pause", "v2"]).ok();
    let again = net.testnet(&["pause", "v2"]);
    assert!(again.code == Some(2) && again.err.contains("paused already"), "{again:?}");
    let began = Instant::now();
    net.testnet(&["restart", "v2"]).ok();
    assert!(began.elapsed() < Duration::from_secs(9), "it ends by itself when asked: {:?}", began.elapsed());
    assert_eq!(kinds(&net.look()), Vec::<String>::new(), "a new process is not paused");
    let refused = net.testnet(&["resume", "v2"]);
    assert!(refused.code == Some(2) && refused.err.contains("not paused"), "{refused:?}");
    net.testnet(&["pause", "v2"]).ok();
    net.testnet(&["kill", "v2"]).ok();
    let refused = net.testnet(&["pause", "v2"]);
    assert!(refused.code == Some(2) && refused.err.contains("does not run"), "{refused:?}");
    net.testnet(&["start", "v2"]).ok();
    net.testnet(&["pause", "v3"]).ok();
    // Whoever comes after the supervisor's death ends a paused node as well.
    kill_process(net.supervisor(), Signal::KILL).unwrap();
    net.testnet(&["down"]).ok();
    assert_eq!(net.processes(), Vec::<String>::new());
    net.testnet(&["up", "--detach"]).ok();
    net.transfer("1").ok();
}

#[test]
fn strange_faults_get_a_reason_and_a_remedy() {
    let net = with_proxies();
    for (arguments, exit, words) in [
        (&["partition", "v0,v1"][..], 2, &["one group", "v0,v1|v2,v3"][..]),
        (&["partition", "v0|v7"], 2, &["no node v7", "v0, v1, v2, v3"]),
        (&["delay", "v0"], 2, &["--latency"]),
        (&["delay", "v0", "--latency", "50"], 2, &["50ms"]),
        (&["delay", "v0", "--stall", "2"], 2, &["0.1"]),
        (&["delay", "v0", "--bandwidth", "1"], 2, &["1MB"]),
        (&["delay", "v0-v9", "--latency", "5ms"], 2, &["no node v9"]),
        (&["delay", "v1-v1", "--latency", "5ms"], 2, &["no link"]),
        (&["clock", "v1", "+25h"], 2, &["at most a day"]),
        (&["clock", "v1", "soon"], 2, &["+500ms"]),
        (&["clock", "v9", "+1s"], 3, &["unknown_node"]),
        (&["disk", "v1", "full", "5ms"], 2, &["slow disk only"]),
        (&["disk", "v9", "full"], 3, &["unknown_node"]),
        (&["pause", "v9"], 3, &["unknown_node"]),
        (&["resume", "v1"], 2, &["not paused"]),
    ] {
        let failed = net.testnet(arguments);
        assert_eq!(failed.code, Some(exit), "{arguments:?}: {failed:?}");
        words.iter().for_each(|word| assert!(failed.err.contains(word), "{arguments:?} {word}: {failed:?}"));
        assert!(failed.err.contains("hint: ") || failed.err.contains("try '--help'"), "{failed:?}");
    }
    assert_eq!(kinds(&net.look()), Vec::<String>::new());
    net.transfer("1").ok();
}

#[test]
fn every_command_shows_an_example() {
    let help =
        |arguments: &[&str]| run(Command::new(program("quorate-testnet")).args(arguments).arg("--help")).ok().out;
    let all = help(&[]);
    let list = all.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 16, "{commands:?}");
    for command in commands {
        let text = help(&[command]);
        let shown = text.contains("Example") && text.contains(&format!("quorate-testnet {command}"));
        assert!(shown, "{command}: {text}");
    }
}

#[test]
fn many_nodes_have_a_proxy_for_every_link() {
    let net = Net::new();
    net.testnet(&["up", "--faults", "--detach", "--nodes", "7"]).ok();
    net.testnet(&["partition", "v0,v1|v2,v3,v4,v5,v6"]).ok();
    net.transfer("1").ok();
    assert_eq!(net.look()["links"].as_array().unwrap().len(), 20);
    net.testnet(&["heal"]).ok();
    net.wait_equal(net.height(), &[]);
}
