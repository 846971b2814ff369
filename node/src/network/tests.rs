//! Networks over the loopback, without proxies; the testnet's `links` test has those.

use std::time::Duration;

use quorate_crypto::{Digest, SecretKey};
use quorate_protocol::id::{Epoch, NodeIndex};
use tokio::time::timeout;

use super::*;

/// Long enough for any machine; reached only when a test fails.
const SOON: Duration = Duration::from_secs(30);

fn consensus_key(index: u8) -> SecretKey {
    SecretKey::from_seed([100 + index; 32])
}

fn network_key(index: u8) -> SecretKey {
    SecretKey::from_seed([200 + index; 32])
}

/// A node's configuration without addresses: it knows everybody and dials nobody.
fn config(me: u8, nodes: u8) -> NetworkConfig {
    let peers = (0..nodes).map(|index| PeerConfig {
        index: NodeIndex(index),
        consensus_key: consensus_key(index).public_key(),
        network_key: network_key(index).public_key(),
        address: None,
    });
    NetworkConfig {
        chain_id: Digest::from_bytes([7; 32]),
        epoch: Epoch(0),
        me: NodeIndex(me),
        consensus_key: consensus_key(me),
        network_key: network_key(me),
        listen: "127.0.0.1:0".parse().expect("an address"),
        peers: peers.collect(),
        timing: Timing { ping_interval: Duration::from_millis(200), ..Timing::default() },
    }
}

struct Node {
    handle: NetworkHandle,
    events: NetworkEvents,
    address: Multiaddr,
}

async fn start(config: NetworkConfig) -> Node {
    let (handle, events, address) = Network::start(config).await.expect("the network starts");
    Node { handle, events, address }
}

impl Node {
    async fn next(&mut self) -> NetworkEvent {
        timeout(SOON, self.events.recv()).await.expect("an event in time").expect("the network runs")
    }

    async fn wait_connected(&mut self, index: u8) {
        while !matches!(self.next().await, NetworkEvent::Connected(peer) if peer == NodeIndex(index)) {}
    }

    async fn next_frame(&mut self) -> ReceivedFrame {
        loop {
            if let NetworkEvent::Frame(frame) = self.next().await {
                return frame;
            }
        }
    }

    async fn next_gossip(&mut self) -> ReceivedGossip {
        loop {
            if let NetworkEvent::Gossip(gossip) = self.next().await {
                return gossip;
            }
        }
    }

    async fn wait_counts(&self, reached: impl Fn(&NetworkCounts) -> bool) {
        let waiting = async {
            while !reached(&self.handle.counts()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, waiting).await.expect("the counts in time");
    }
}

/// Nodes that dial each other as validators do, all connected. Node i does not know the address of the nodes in
/// `apart[i]`.
async fn connected(nodes: u8, apart: &[(u8, u8)]) -> Vec<Node> {
    let mut started: Vec<Node> = Vec::new();
    for me in (0..nodes).rev() {
        let mut config = config(me, nodes);
        for (node, index) in started.iter().rev().zip(me + 1..) {
            if !apart.contains(&(me, index)) {
                config.peers[usize::from(index)].address = Some(node.address.clone());
            }
        }
        started.push(start(config).await);
    }
    started.reverse();
    let pairs = |me: u8| apart.iter().filter(move |(low, high)| *low == me || *high == me).count();
    for me in 0..nodes {
        let node = &mut started[usize::from(me)];
        for _ in 0..usize::from(nodes) - 1 - pairs(me) {
            let event = node.next().await;
            assert!(matches!(event, NetworkEvent::Connected(_)), "{event:?}");
        }
    }
    started
}

fn numbered(class: Class, number: u64) -> Frame {
    Frame::of(class, &number).expect("fits")
}

fn number(frame: &ReceivedFrame) -> u64 {
    quorate_crypto::decode(&frame.payload).expect("a number")
}

#[tokio::test]
async fn frames_of_every_class_arrive_at_everybody() {
    let mut nodes = connected(4, &[]).await;
    assert_eq!(nodes[2].handle.connected(), [NodeIndex(0), NodeIndex(1), NodeIndex(3)]);
    for class in Class::ALL {
        assert_eq!(nodes[2].handle.broadcast(&numbered(class, class as u64)), 3);
    }
    let large = Frame::from_payload(Class::Sync, &vec![5; PAYLOAD_BYTES_MAX]).expect("fits");
    assert!(nodes[2].handle.send(NodeIndex(0), &large));
    assert!(!nodes[2].handle.send(NodeIndex(9), &large), "nobody has that index");
    let mut large_came = false;
    for index in [0, 1, 3] {
        let mut classes = Vec::new();
        while classes.len() < Class::ALL.len() {
            let frame = nodes[index].next_frame().await;
            if frame.payload.len() == PAYLOAD_BYTES_MAX {
                large_came = frame.payload.iter().all(|byte| *byte == 5);
                continue;
            }
            assert_eq!((frame.from, number(&frame)), (NodeIndex(2), frame.class as u64));
            classes.push(frame.class);
        }
        classes.sort();
        assert_eq!(classes, Class::ALL);
    }
    assert!(large_came || nodes[0].next_frame().await.payload.len() == PAYLOAD_BYTES_MAX);
    assert_eq!(nodes[2].handle.counts().frames_sent, 25);
}

#[tokio::test]
async fn a_node_with_another_consensus_key_is_refused() {
    let liar = start(NetworkConfig { consensus_key: SecretKey::from_seed([1; 32]), ..config(1, 2) }).await;
    let mut config = config(0, 2);
    config.peers[1].address = Some(liar.address.clone());
    let mut honest = start(config).await;
    honest.wait_counts(|counts| counts.hellos_refused >= 2).await;
    assert!(honest.handle.connected().is_empty());
    assert!(honest.events.try_recv().is_none(), "it was never connected");
}

#[tokio::test]
async fn a_node_of_another_chain_finds_no_common_protocol() {
    let other = start(NetworkConfig { chain_id: Digest::from_bytes([8; 32]), ..config(1, 2) }).await;
    let mut config = config(0, 2);
    config.peers[1].address = Some(other.address.clone());
    let mut node = start(config).await;
    // Either end may be the first to give up.
    node.wait_counts(|counts| counts.links_broken + other.handle.counts().links_broken >= 2).await;
    assert!(node.handle.connected().is_empty() && node.events.try_recv().is_none());
}

#[tokio::test]
async fn a_stranger_is_not_let_in_and_does_not_disturb() {
    let mut nodes = connected(2, &[]).await;
    let mut config = config(0, 2);
    config.network_key = SecretKey::from_seed([1; 32]);
    config.peers.remove(0);
    config.peers[0].address = Some(nodes[1].address.clone());
    let mut stranger = start(config).await;
    nodes[0].handle.send(NodeIndex(1), &numbered(Class::Commit, 1));
    assert_eq!(number(&nodes[1].next_frame().await), 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(stranger.handle.connected().is_empty() && stranger.events.try_recv().is_none());
    assert!(nodes[1].events.try_recv().is_none(), "the validator's connection stands");
}

#[tokio::test]
async fn a_second_process_on_a_taken_port_is_refused() {
    let first = start(config(1, 2)).await;
    let port = transport::port(&first.address).expect("a TCP address");
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let taken = Network::start(NetworkConfig { listen, ..config(0, 2) }).await;
    assert!(matches!(taken, Err(NetworkError::Listen { address, .. }) if address == listen));
    first.handle.stop().await;
    let again = start(NetworkConfig { listen, ..config(1, 2) }).await;
    assert_eq!(again.address, first.address);
}

#[tokio::test]
async fn a_configuration_that_contradicts_itself_is_refused() {
    let mut other_key = config(0, 4);
    other_key.network_key = network_key(9);
    assert!(matches!(Network::start(other_key).await, Err(NetworkError::OwnKey { .. })));
    let mut twice = config(0, 4);
    twice.peers[2].network_key = twice.peers[1].network_key;
    assert!(matches!(Network::start(twice).await, Err(NetworkError::Twice(NodeIndex(2)))));
    let mut no_key = config(0, 4);
    no_key.peers[3].network_key = PublicKey::from_bytes([2; 32]);
    assert!(matches!(Network::start(no_key).await, Err(NetworkError::PeerKey(NodeIndex(3)))));
}

#[tokio::test]
async fn a_node_that_stops_is_reported_and_found_again() {
    let mut nodes = connected(2, &[]).await;
    let second = nodes.pop().expect("two nodes");
    second.handle.stop().await;
    assert!(matches!(nodes[0].next().await, NetworkEvent::Disconnected(NodeIndex(1))));
    assert!(!nodes[0].handle.send(NodeIndex(1), &numbered(Class::Commit, 1)), "nobody is there");
    assert_eq!(nodes[0].handle.counts().frames_dropped[Class::Commit as usize - 1], 1);
    let port = transport::port(&second.address).expect("a TCP address");
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let mut again = start(NetworkConfig { listen, ..config(1, 2) }).await;
    again.wait_connected(0).await;
    nodes[0].wait_connected(1).await;
    assert!(nodes[0].handle.send(NodeIndex(1), &numbered(Class::Commit, 2)));
    assert_eq!(number(&again.next_frame().await), 2);
}

#[tokio::test]
async fn a_peer_that_is_not_read_is_held_back_alone_and_in_order() {
    let mut nodes = connected(3, &[]).await;
    let mut last = 0;
    let mut kept = Vec::new();
    // Node 1 keeps what node 0 sends, until node 0's budget there is used up and its queue here is full.
    while nodes[0].handle.counts().frames_dropped[Class::Commit as usize - 1] == 0 {
        for _ in 0..256 {
            last += 1;
            nodes[0].handle.send(NodeIndex(1), &numbered(Class::Commit, last));
        }
        while let Some(event) = nodes[1].events.try_recv() {
            kept.extend(matches!(event, NetworkEvent::Frame(_)).then_some(event));
        }
        tokio::task::yield_now().await;
    }
    nodes[2].handle.send(NodeIndex(1), &numbered(Class::Commit, 7));
    loop {
        let frame = nodes[1].next_frame().await;
        if frame.from == NodeIndex(2) {
            break;
        }
        kept.push(NetworkEvent::Frame(frame));
    }
    assert!(kept.len() <= 4096, "{} frames of one peer were let in", kept.len());
    let mut numbers: Vec<u64> = Vec::new();
    for event in kept {
        if let NetworkEvent::Frame(frame) = event {
            numbers.push(number(&frame));
        }
    }
    // Released, the rest comes; a later one shows that the link works on.
    while numbers.last() != Some(&u64::MAX) {
        nodes[0].handle.send(NodeIndex(1), &numbered(Class::Commit, u64::MAX));
        numbers.push(number(&nodes[1].next_frame().await));
    }
    assert!(numbers.is_sorted(), "in order");
    assert!(numbers.len() > 4096, "what waited in queues was delivered");
}

/// Gossips numbered probes from one node until another has one, which shows that the mesh between them stands.
async fn gossip_reaches(nodes: &mut [Node], from: usize, to: usize) {
    for probe in 0u32.. {
        let data = format!("probe {from} {to} {probe}");
        nodes[from].handle.gossip([&data]);
        if let Ok(Some(NetworkEvent::Gossip(_))) = timeout(Duration::from_millis(100), nodes[to].events.recv()).await {
            return;
        }
        assert!(probe < 300, "gossip from {from} never reaches {to}");
    }
}

/// The transactions of a message, which these tests end with a dot each.
fn texts(gossip: &ReceivedGossip) -> Vec<String> {
    let text = String::from_utf8_lossy(&gossip.data[4..]).into_owned();
    text.split_terminator('.').map(str::to_owned).collect()
}

#[tokio::test]
async fn the_same_gossip_from_two_nodes_arrives_once() {
    let mut nodes = connected(3, &[]).await;
    gossip_reaches(&mut nodes, 0, 2).await;
    gossip_reaches(&mut nodes, 1, 2).await;
    for node in &nodes[..2] {
        node.handle.gossip(["same."]);
    }
    // Later messages of both senders show when the second copy would have come.
    let mut seen = Vec::new();
    for (from, mark) in [(0, "mark 0."), (1, "mark 1.")] {
        tokio::time::sleep(Duration::from_millis(20)).await;
        nodes[from].handle.gossip([mark]);
    }
    while !(seen.contains(&"mark 0".to_owned()) && seen.contains(&"mark 1".to_owned())) {
        seen.extend(texts(&nodes[2].next_gossip().await));
    }
    assert_eq!(seen.iter().filter(|text| *text == "same").count(), 1, "{seen:?}");
}

#[tokio::test]
async fn only_accepted_gossip_is_passed_on() {
    // 0 - 1 - 2: what 2 gets from 0, it gets by way of 1.
    let mut nodes = connected(3, &[(0, 2)]).await;
    gossip_reaches(&mut nodes, 0, 1).await;
    gossip_reaches(&mut nodes, 1, 2).await;
    let verdict_of = |text: &str| match text.split(' ').next() {
        Some("good") => Verdict::Accept,
        Some("bad") => Verdict::Reject,
        _ => Verdict::Ignore,
    };
    for text in ["bad 1.", "odd 2.", "good 3.", "bad 4.", "good 5."] {
        nodes[0].handle.gossip([text]);
        loop {
            let gossip = nodes[1].next_gossip().await;
            assert_eq!(gossip.id.source, NodeIndex(0));
            assert_eq!(gossip.id.digest, quorate_crypto::sha256(&gossip.data));
            let got = texts(&gossip).join("");
            nodes[1].handle.validate(gossip.id, verdict_of(&got));
            if text.starts_with(&got) {
                break;
            }
        }
    }
    let mut seen = Vec::new();
    while seen.last().is_none_or(|text| text != "good 5") {
        let texts = texts(&nodes[2].next_gossip().await);
        seen.extend(texts.into_iter().filter(|text| !text.starts_with("probe")));
    }
    assert_eq!(seen, ["good 3", "good 5"]);
}

#[tokio::test]
async fn dropping_the_events_stops_the_network() {
    let mut nodes = connected(2, &[]).await;
    let Node { handle, events, .. } = nodes.pop().expect("two nodes");
    drop(events);
    assert!(matches!(nodes[0].next().await, NetworkEvent::Disconnected(NodeIndex(1))));
    timeout(SOON, handle.stop()).await.expect("it has ended already");
}
