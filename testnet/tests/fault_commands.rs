//! What a user does with the faults of a testnet: begins them, sees them, undoes them, and gets them wrong.

mod common;

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

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
    net.transfer("1").ok();
    net.wait_equal(net.height(), &[]);
    let lines = fs::read_to_string(net.path().join("faults.jsonl")).unwrap();
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |event: &str| events.iter().any(|line| line["event"] == event && line["time"].as_u64() > Some(0));
    for event in
        ["partition", "delay", "clock", "pause", "pause ended", "delay ended", "heal", "clock ended", "restart"]
    {
        assert!(named(event), "{event}: {lines}");
    }
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
