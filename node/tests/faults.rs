//! Running nodes whose disk fails, whose store is damaged, or that compute something else than the others.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::{Chain, PATIENCE, addresses, chain_folder, cluster, commit, fork, get, request, status, submit, wait_for};
use quorate_crypto::encode::encode;
use quorate_crypto::hash::sha256;
use quorate_crypto::signed::Signed;
use quorate_node::fault::{Fault, RepairError};
use quorate_node::home::HomeError;
use quorate_node::node::Node;
use quorate_node::open::{Start, StartError};
use quorate_protocol::id::{Epoch, Height, Sequence, View};
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::pbft::message::{Ballot, Commit, Prepare};
use quorate_protocol::store::Store;
use quorate_storage::faulty::{self, FaultyFiles, FaultyStore, Plan};
use quorate_storage::rocks::{RocksStore, StoreOptions};
use serde_json::Value;

/// A single node with faults by plan before its chain store and before its journal.
fn faulty_single() -> (Chain, Node, Plan, Plan) {
    let chain = Chain::new(1);
    let home = chain.create(0, Vec::new());
    let (store, files) = (Plan::new(), Plan::new());
    let (for_store, for_files) = (store.clone(), files.clone());
    let start = Start {
        store_door: Some(Arc::new(move |inner| Arc::new(FaultyStore::new(inner, for_store.clone())))),
        files_door: Some(Arc::new(move |inner| Arc::new(FaultyFiles::new(inner, for_files.clone())))),
        ..Start::default()
    };
    let node = Node::start_with(&home, start).expect("a node");
    (chain, node, store, files)
}

fn is_halted(node: &Node, words: &str) -> bool {
    let status = status(node);
    let reason = status["reason"].as_str().unwrap_or_default();
    status["state"] == "halted" && status["voting"] == false && reason.contains(words)
}

/// The node has committed something, its disk fails, it says so and commits nothing more; a restart on a disk that works
/// has everything that was acknowledged, and goes on.
fn stops_and_resumes(strike: impl FnOnce(&Plan, &Plan), words: &str) {
    let (chain, node, store, files) = faulty_single();
    let first = chain.transfer(1, 1);
    let before = commit(&node, &first);
    strike(&store, &files);
    let lost = chain.transfer(2, 2);
    let reply = submit(node.api_address(), "?wait=committed&timeout=1000", &lost);
    assert_ne!(reply.status, 200, "nothing is acknowledged that is not durable: {reply:?}");
    wait_for("word of it", || is_halted(&node, words));
    store.heal();
    files.heal();
    let reply = submit(node.api_address(), "?wait=committed&timeout=1000", &chain.transfer(3, 3));
    assert_ne!(reply.status, 200, "a disk that works again is not trusted before a restart: {reply:?}");
    assert_eq!(status(&node)["height"], before);
    assert_ne!(get(node.api_address(), "/readyz").status, 200);
    node.stop().expect("a clean stop");

    let node = Node::start(&chain.home(0)).expect("a node");
    let found = get(node.api_address(), &format!("/v1/transactions/{}/receipt", first.id()));
    assert_eq!(found.status, 200, "{found:?}");
    wait_for("vote", || status(&node)["voting"] == true);
    assert!(commit(&node, &chain.transfer(4, 4)) > before);
    node.stop().expect("a clean stop");
}

#[test]
fn a_failed_journal_write_stops_signing_and_a_restart_resumes() {
    for fault in [faulty::Fault::Write, faulty::Fault::Torn(100)] {
        stops_and_resumes(|_, files| files.strike_after(0, fault), "vote journal");
    }
    stops_and_resumes(|_, files| files.strike_after(1, faulty::Fault::Full), "the disk is full");
}

#[test]
fn a_failed_block_write_stops_signing_and_a_restart_resumes() {
    stops_and_resumes(|store, _| store.strike_after(0, faulty::Fault::Write), "the chain store failed");
    stops_and_resumes(|store, _| store.strike_after(0, faulty::Fault::Full), "no space left");
}

#[test]
fn a_halted_node_refuses_transactions_with_its_reason_and_still_answers_reads() {
    let (chain, node, _, files) = faulty_single();
    let api = node.api_address();
    let first = chain.transfer(1, 1);
    commit(&node, &first);
    files.strike_after(0, faulty::Fault::Write);
    let lost = submit(api, "?wait=committed&timeout=500", &chain.transfer(2, 2));
    assert_ne!(lost.status, 200, "{lost:?}");
    wait_for("word of it", || is_halted(&node, "vote journal"));
    let next = chain.transfer(3, 3);
    let list = request(api, "POST", "/v1/transactions", "application/x-borsh", &encode(&vec![next.clone()]));
    for query in ["?wait=none", "?wait=accepted", "?wait=committed&timeout=15000"] {
        let reply = submit(api, query, &next);
        let problem = reply.json();
        assert_eq!((reply.status, &problem["code"]), (503, &"halted".into()), "{reply:?}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("vote journal")), "{problem}");
        assert_eq!((&problem["outcome"], &problem["retryable"]), (&"unknown".into(), &true.into()));
        assert!(reply.headers.contains("retry-after: 1"), "{}", reply.headers);
    }
    assert_eq!((list.status, &list.json()["code"]), (503, &"halted".into()), "{list:?}");
    assert_eq!(get(api, &format!("/v1/transactions/{}", next.id())).status, 404, "it was not taken");
    assert_eq!(get(api, &format!("/v1/transactions/{}/receipt", first.id())).status, 200);
    node.stop().expect("a clean stop");
}

#[test]
fn a_read_that_fails_is_a_fault_of_the_node_and_the_next_one_is_answered() {
    let (chain, node, store, _) = faulty_single();
    let api = node.api_address();
    let transfer = chain.transfer(1, 1);
    let height = commit(&node, &transfer);
    let paths = [
        format!("/v1/transactions/{}", transfer.id()),
        format!("/v1/blocks/{height}"),
        format!("/v1/accounts/{}", chain.alice.public_key()),
        "/v1/blocks".to_owned(),
        "/v1/evidence".to_owned(),
    ];
    store.strike_after(0, faulty::Fault::Read);
    for path in &paths {
        let reply = get(api, path);
        let problem = reply.json();
        assert_eq!((reply.status, &problem["code"]), (500, &"internal".into()), "{path}: {reply:?}");
        assert!(reply.headers.contains("application/problem+json"), "{}", reply.headers);
        assert_eq!((&problem["outcome"], &problem["retryable"]), (&"unknown".into(), &true.into()), "{path}");
    }
    let reply = submit(api, "?wait=accepted", &transfer);
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (500, &"internal".into()),
        "whether it is known, is not: {reply:?}"
    );
    store.heal();
    for path in &paths {
        assert_eq!(get(api, path).status, 200, "{path}");
    }
    node.stop().expect("a clean stop");
}

#[test]
fn a_thread_that_panics_stops_signing_with_its_name_and_the_stop_says_so() {
    let (chain, node, store, _) = faulty_single();
    store.strike_after(0, faulty::Fault::Panic);
    let reply = submit(node.api_address(), "?wait=committed&timeout=500", &chain.transfer(1, 1));
    assert_ne!(reply.status, 200, "{reply:?}");
    wait_for("word of it", || is_halted(&node, "the execute thread panicked"));
    let stopped = node.stop().expect_err("a thread panicked").to_string();
    assert!(stopped.contains("execute"), "{stopped}");
    // What the program does with it: `command::run` ends the process at the panic.
    let node = Node::start(&chain.home(0)).expect("a node");
    commit(&node, &chain.transfer(2, 2));
    node.stop().expect("a clean stop");
}

/// The only file of the journal whose name begins so.
fn journal_file(chain: &Chain, prefix: &str) -> PathBuf {
    let folder = chain.home(0).data().join("journal");
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> =
        names.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Changes the `nth` last part of a file that holds something, of parts of so many bytes.
fn spoil(path: &Path, part_bytes: usize, nth: usize) {
    let mut bytes = fs::read(path).expect("a file");
    let written: Vec<usize> = (0..bytes.len() / part_bytes)
        .filter(|part| bytes[part * part_bytes..][..part_bytes].iter().any(|b| *b != 0))
        .collect();
    let at = written[written.len() - 1 - nth] * part_bytes;
    bytes[at..at + 60].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(path, bytes).expect("written");
}

/// A chain of one validator that has committed a little and is stopped.
fn stopped() -> Chain {
    let (chain, node) = common::single();
    for salt in 0..3 {
        commit(&node, &chain.transfer(1, salt));
    }
    node.stop().expect("a clean stop");
    chain
}

fn is_amnesiac(chain: &Chain, words: &str) {
    let listing = |chain: &Chain| fs::read_dir(chain.home(0).data().join("journal")).map_or(0, Iterator::count);
    let before = listing(chain);
    let node = Node::start(&chain.home(0)).expect("it follows and serves");
    let status = status(&node);
    let reason = status["reason"].as_str().unwrap_or_default();
    assert!(status["state"] == "following" && status["voting"] == false && reason.contains(words), "{status}");
    assert_eq!(status["height"], 3, "what it has it serves");
    let reply = submit(node.api_address(), "?wait=committed&timeout=500", &chain.transfer(1, 9));
    assert_ne!(reply.status, 200, "it does not vote: {reply:?}");
    node.stop().expect("a clean stop");
    assert_eq!(listing(chain), before, "no journal is made for a key that had one");
}

#[test]
fn a_torn_end_of_the_journal_is_cut_and_the_node_votes() {
    let chain = stopped();
    // The last frame never left the node, as far as both files tell.
    spoil(&journal_file(&chain, "segment-"), 4096, 0);
    spoil(&journal_file(&chain, "copy-"), 128, 0);
    let node = Node::start(&chain.home(0)).expect("a node");
    wait_for("vote", || status(&node)["voting"] == true);
    assert_eq!(commit(&node, &chain.transfer(1, 9)), 4);
    node.stop().expect("a clean stop");
}

#[test]
fn a_journal_that_is_damaged_in_the_middle_or_missing_makes_an_amnesiac_that_says_so() {
    let chain = stopped();
    spoil(&journal_file(&chain, "segment-"), 4096, 2);
    is_amnesiac(&chain, "says that it was acknowledged");
    spoil(&journal_file(&chain, "copy-"), 128, 2);
    is_amnesiac(&chain, "valid ones follow");
    fs::remove_file(journal_file(&chain, "segment-")).expect("removed");
    is_amnesiac(&chain, "is missing");
    fs::remove_dir_all(chain.home(0).data().join("journal")).expect("removed");
    is_amnesiac(&chain, "there is no vote journal");
}

#[test]
fn a_journal_of_another_key_is_refused() {
    let (chain, other) = (stopped(), stopped());
    let (mine, theirs) = (chain.home(0).data().join("journal"), other.home(0).data().join("journal"));
    fs::remove_dir_all(&mine).expect("removed");
    fs::rename(theirs, mine).expect("moved");
    // The keys are the same in every test: the chain tells them apart.
    let refused = Node::start(&chain.home(0)).expect_err("refused").to_string();
    assert!(refused.contains("belongs to another key"), "{refused}");
}

fn ready(chain: u8) -> (Chain, Vec<Node>) {
    let (chain, nodes) = cluster(chain);
    wait_for("quorum", || nodes.iter().all(|node| get(node.api_address(), "/readyz").status == 200));
    (chain, nodes)
}

fn fault_of(node: &Node) -> Fault {
    node.block_on(async { tokio::time::timeout(PATIENCE, node.fault()).await }).expect("a fault in time")
}

/// The node has the others' chain, and they need its vote.
fn votes_again(chain: &Chain, nodes: &mut Vec<Node>, node: &Node, salt: u64) {
    wait_for("same state", || {
        let (mine, theirs) = (status(node), status(&nodes[0]));
        mine["voting"] == true && mine["header_hash"] == theirs["header_hash"]
    });
    nodes.pop().expect("v2").stop().expect("a clean stop");
    commit(node, &chain.transfer(1, salt));
}

fn record(chain: &Chain, index: usize) -> Value {
    let bytes = fs::read(chain.home(index).faults_file()).expect("a record");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// PROTOCOL 4.5, found by the engine: a quorum's CHECKPOINTs name another header than the node's own block.
#[test]
fn a_node_that_diverged_fetches_the_chain_again_and_stops_the_second_time() {
    let (chain, mut nodes) = ready(4);
    commit(&nodes[0], &chain.transfer(1, 1));
    let v3 = nodes.pop().expect("v3");
    wait_for("block", || status(&v3)["height"] == 1);
    let start = Start { listen: Some(addresses(&v3)), ..Start::default() };
    v3.stop().expect("a clean stop");
    let height = fork(&chain, 3, 77, false);
    let v3 = Node::start_with(&chain.home(3), start.clone()).expect("it cannot know yet");
    wait_for("link", || status(&v3)["peers_connected"] == 3);
    commit(&nodes[0], &chain.transfer(1, 2));
    let fault = fault_of(&v3);
    assert!(is_halted(&v3, "diverged"), "{}", status(&v3));
    let Fault::Diverged { divergence, .. } = &fault else { panic!("{fault:?}") };
    assert_eq!(divergence.height, Height(height));
    let v3 = v3.restart(&chain.home(3), &fault).expect("it starts with an empty store");
    assert_eq!(addresses(&v3), start.listen.expect("addresses"));
    assert_eq!(get(v3.api_address(), "/v1/evidence").status, 200);
    votes_again(&chain, &mut nodes, &v3, 3);
    let entry = &record(&chain, 3)["faults"][0];
    assert_eq!(
        (&entry["what"], &entry["height"], &entry["set_aside"]),
        (&"diverged".into(), &height.into(), &true.into())
    );
    assert_eq!(entry["own_header_hash"], divergence.own.to_string());
    assert_eq!(entry["certified_header_hash"], divergence.certified.to_string());
    assert_eq!(entry["own_header"]["height"], height);
    let kept = RocksStore::open(&chain.home(3).data().join("chain.aside"), StoreOptions::default()).expect("kept");
    assert_eq!(kept.head().expect("read").expect("a head").header_hash, divergence.own);
    drop(kept);

    let stopped = v3.restart(&chain.home(3), &fault).expect_err("once only");
    let is_final = |error: &StartError| matches!(error, StartError::Home(HomeError::Repair(RepairError::Again { .. })));
    assert!(is_final(&stopped), "{stopped}");
    let told = stopped.to_string();
    for words in ["twice", "store-faults.json", "chain.aside", "memory", "move them out"] {
        assert!(told.contains(words), "{words} in {told}");
    }
    assert!(chain_folder(&chain, 3).exists(), "nothing is moved the second time");
    let refused = Node::start(&chain.home(3)).expect_err("nor does it start again");
    assert!(is_final(&refused), "{refused}");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

/// Found by the executor: a block that came with its certificate gives another header.
#[test]
fn a_certified_block_that_executes_otherwise_is_not_written_and_is_a_divergence() {
    let (chain, mut nodes) = ready(4);
    commit(&nodes[0], &chain.transfer(1, 1));
    let v3 = nodes.pop().expect("v3");
    wait_for("block", || status(&v3)["height"] == 1);
    let start = Start { listen: Some(addresses(&v3)), ..Start::default() };
    v3.stop().expect("a clean stop");
    // It believes its own block to be certified, so it asks nobody about it.
    let height = fork(&chain, 3, 77, true);
    // Beyond the others' low watermark, so that blocks come with their certificates and not with COMMITs.
    let last = (2..=40).fold(0, |_, salt| commit(&nodes[0], &chain.transfer(1, salt)));
    assert!(last > height + chain.genesis.parameters.checkpoint_interval);
    let v3 = Node::start_with(&chain.home(3), start).expect("it cannot know yet");
    let fault = fault_of(&v3);
    assert!(matches!(fault, Fault::Diverged { header: Some(_), .. }), "{fault:?}");
    assert_eq!(status(&v3)["height"], height, "the block that contradicts a certificate is not written");
    let v3 = v3.restart(&chain.home(3), &fault).expect("it starts with an empty store");
    votes_again(&chain, &mut nodes, &v3, 99);
    assert_eq!(record(&chain, 3)["faults"][0]["own_header"]["height"], height + 1);
    v3.stop().expect("a clean stop");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

/// Flips bits in the middle of every sorted file of a stopped node's store.
fn damage(chain: &Chain, index: usize) {
    // Opening once moves what is only in the log into sorted files.
    drop(RocksStore::open(&chain_folder(chain, index), StoreOptions::default()).expect("a store"));
    let files = fs::read_dir(chain_folder(chain, index).join("db")).expect("a folder");
    let tables = files.map(|entry| entry.expect("an entry").path());
    let tables: Vec<PathBuf> = tables.filter(|path| path.extension().is_some_and(|found| found == "sst")).collect();
    assert!(!tables.is_empty());
    for table in tables {
        let mut bytes = fs::read(&table).expect("a table");
        // The first block of data begins at the start.
        bytes[20] ^= 4;
        fs::write(&table, bytes).expect("written");
    }
}

#[test]
fn a_damaged_chain_store_is_moved_aside_at_the_start_and_fetched_again_once() {
    let (chain, mut nodes) = ready(4);
    for salt in 0..3 {
        commit(&nodes[0], &chain.transfer(1, salt));
    }
    let v3 = nodes.pop().expect("v3");
    wait_for("block", || status(&v3)["height"] == 3);
    let start = Start { listen: Some(addresses(&v3)), ..Start::default() };
    v3.stop().expect("a clean stop");
    damage(&chain, 3);
    let v3 = Node::start_with(&chain.home(3), start.clone()).expect("it starts with an empty store");
    assert_eq!(record(&chain, 3)["faults"][0]["what"], "damaged");
    votes_again(&chain, &mut nodes, &v3, 9);
    v3.stop().expect("a clean stop");
    damage(&chain, 3);
    let told = Node::start_with(&chain.home(3), start).expect_err("the second time").to_string();
    assert!(told.contains("twice") && told.contains("disk"), "{told}");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

#[test]
fn damage_that_a_running_node_meets_is_looked_for_in_the_whole_store() {
    let (chain, mut nodes) = ready(4);
    commit(&nodes[0], &chain.transfer(1, 1));
    let v3 = nodes.pop().expect("v3");
    wait_for("block", || status(&v3)["height"] == 1);
    // A false alarm: the store is sound, and stays.
    let v3 = v3.restart(&chain.home(3), &Fault::Damaged("a test".to_owned())).expect("it starts again");
    assert!(!chain.home(3).faults_file().exists());
    votes_again(&chain, &mut nodes, &v3, 2);
    v3.stop().expect("a clean stop");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

#[test]
fn the_only_validator_of_a_chain_keeps_its_damaged_store_and_says_what_to_do() {
    let chain = stopped();
    damage(&chain, 0);
    let told = Node::start(&chain.home(0)).expect_err("nobody else has it").to_string();
    assert!(told.contains("no other validator") && told.contains("put a copy"), "{told}");
    assert!(chain_folder(&chain, 0).exists() && !chain.home(0).faults_file().exists());
}

#[test]
fn a_move_that_a_crash_interrupted_is_finished_at_the_next_start() {
    let (chain, mut nodes) = ready(4);
    commit(&nodes[0], &chain.transfer(1, 1));
    let v3 = nodes.pop().expect("v3");
    wait_for("block", || status(&v3)["height"] == 1);
    let start = Start { listen: Some(addresses(&v3)), ..Start::default() };
    v3.stop().expect("a clean stop");
    let text = r#"{"magic":"quorate store faults","version":1,"faults":[{"time":1,"what":"damaged","reason":"a test",
        "height":null,"own_header_hash":null,"certified_header_hash":null,"own_header":null,"set_aside":false}]}"#;
    fs::write(chain.home(3).faults_file(), text).expect("written");
    let v3 = Node::start_with(&chain.home(3), start.clone()).expect("a node");
    assert_eq!(record(&chain, 3)["faults"][0]["set_aside"], true);
    assert!(chain.home(3).data().join("chain.aside").exists());
    wait_for("block", || status(&v3)["height"] == 1);
    v3.stop().expect("a clean stop");
    let v3 = Node::start_with(&chain.home(3), start.clone()).expect("one fault is forgiven");
    v3.stop().expect("a clean stop");
    fs::write(chain.home(3).faults_file(), text.replace("\"version\":1", "\"version\":2")).expect("written");
    let told = Node::start_with(&chain.home(3), start).expect_err("another version").to_string();
    assert!(told.contains("store-faults.json") && told.contains("move the file away"), "{told}");
    nodes.into_iter().for_each(|node| node.stop().expect("a clean stop"));
}

/// The key of v3 in other hands: it signs two of everything.
mod liar {
    use super::*;
    use quorate_node::network::{Class, Frame, Multiaddr, Network, NetworkConfig, NetworkHandle, PeerConfig, Timing};
    use quorate_protocol::id::NodeIndex;
    use quorate_protocol::pbft::message::Message;
    use quorate_protocol::replica::PeerMessage;

    pub struct Liar {
        runtime: tokio::runtime::Runtime,
        network: NetworkHandle,
        pub address: Multiaddr,
    }

    impl Liar {
        pub fn start(chain: &Chain) -> Liar {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
            let members = chain.genesis.validators.indices().zip(chain.genesis.validators.members());
            let config = NetworkConfig {
                chain_id: chain.genesis.chain_id(),
                epoch: Epoch(0),
                me: NodeIndex(3),
                consensus_key: chain.consensus[3].clone(),
                network_key: chain.network[3].clone(),
                listen: ([127, 0, 0, 1], 0).into(),
                peers: members
                    .map(|(index, validator)| PeerConfig {
                        index,
                        consensus_key: validator.consensus_key,
                        network_key: validator.network_key,
                        address: None,
                    })
                    .collect(),
                timing: Timing::default(),
            };
            let (network, mut events, address) = runtime.block_on(Network::start(config)).expect("a network");
            runtime.spawn(async move { while events.recv().await.is_some() {} });
            Liar { runtime, network, address }
        }

        pub fn lie(&self, chain: &Chain) {
            let ballot = |digest: &[u8]| Ballot {
                epoch: Epoch(0),
                view: View(0),
                sequence: Sequence(5),
                digest: sha256(digest),
            };
            let (id, key) = (chain.genesis.chain_id(), &chain.consensus[3]);
            let mut messages = Vec::new();
            for digest in [b"one", b"two"] {
                messages.push((Class::Prepare, Message::Prepare(Signed::sign(Prepare(ballot(digest)), &id, key))));
                messages.push((Class::Commit, Message::Commit(Signed::sign(Commit(ballot(digest)), &id, key))));
            }
            for (class, message) in messages {
                self.network.broadcast(&Frame::of(class, &PeerMessage::Pbft(message)).expect("a frame"));
            }
        }

        pub fn stop(self) {
            self.runtime.block_on(self.network.stop());
            self.runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

#[test]
fn a_liar_is_convicted_once_by_evidence_that_survives_restarts_and_that_strangers_can_check() {
    use quorate_node::config::Peer;
    use quorate_protocol::proof::{read_evidence, verify_evidence_view};
    let chain = Chain::new(4);
    let liar = liar::Liar::start(&chain);
    let peers = vec![Peer { index: 3, address: liar.address.to_string() }];
    let v0 = Node::start(&chain.create(0, peers)).expect("a node");
    let pieces = |node: &Node| {
        let reply = get(node.api_address(), "/v1/evidence");
        assert_eq!(reply.status, 200, "{reply:?}");
        read_evidence(&reply.body).expect("evidence")
    };
    assert_eq!(pieces(&v0).len(), 0);
    wait_for("evidence", || {
        liar.lie(&chain);
        pieces(&v0).len() == 2
    });
    let found = pieces(&v0);
    for view in &found {
        let verified = verify_evidence_view(view, &chain.genesis).expect("it proves");
        assert_eq!(verified.key, chain.consensus[3].public_key());
        assert!(matches!(view.evidence(), Ok(Evidence::Prepare(..) | Evidence::Commit(..))));
    }
    let start = Start { listen: Some(addresses(&v0)), ..Start::default() };
    v0.stop().expect("a clean stop");
    let v0 = Node::start_with(&chain.home(0), start).expect("a node");
    assert_eq!(pieces(&v0), found, "it survives a restart");
    wait_for("link", || status(&v0)["peers_connected"] == 1);
    for _ in 0..5 {
        liar.lie(&chain);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(pieces(&v0), found, "the first piece of each kind stays");
    // A store that is made anew keeps it.
    v0.stop().expect("a clean stop");
    damage_nothing_but_set_aside(&chain);
    let v0 = Node::start(&chain.home(0)).expect("a node");
    assert_eq!(pieces(&v0), found);
    v0.stop().expect("a clean stop");
    liar.stop();
}

fn damage_nothing_but_set_aside(chain: &Chain) {
    let fault = Fault::Damaged("a test".to_owned());
    quorate_node::repair::set_aside(&chain.home(0), &fault).expect("set aside");
}
