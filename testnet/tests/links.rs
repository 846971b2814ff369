//! Four networks whose links run through TCP proxies: what is broken heals, and what is held arrives.
//!
//! Each test waits for what must come; the time-out is far above what any machine needs and fails the test only when
//! something never comes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use quorate_crypto::{Digest, SecretKey, decode};
use quorate_node::network::{
    Class, Frame, Multiaddr, Network, NetworkConfig, NetworkEvent, NetworkEvents, NetworkHandle, PeerConfig, Timing,
};
use quorate_protocol::id::{Epoch, NodeIndex};
use quorate_testnet::proxy::{Direction, LinkProxy};
use tokio::time::timeout;

const NODES: u8 = 4;
const SOON: Duration = Duration::from_secs(60);

/// A link: the lower index dials the higher.
type Pair = (u8, u8);

struct Node {
    handle: NetworkHandle,
    events: NetworkEvents,
    address: SocketAddr,
}

/// Four nodes and the proxies between them.
struct Net {
    timing: Timing,
    nodes: HashMap<u8, Node>,
    links: HashMap<Pair, LinkProxy>,
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    format!("/ip4/{}/tcp/{}", address.ip(), address.port()).parse().expect("an address")
}

fn socket_address(address: &Multiaddr) -> SocketAddr {
    let text = address.to_string();
    let port = text.rsplit('/').next().expect("a port").parse().expect("a number");
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Net {
    /// Starts everything and waits until everybody is connected to everybody.
    async fn start(timing: Timing) -> Net {
        let mut net = Net { timing, nodes: HashMap::new(), links: HashMap::new() };
        for index in (0..NODES).rev() {
            net.start_node(index).await;
            let address = net.nodes[&index].address;
            for lower in 0..index {
                let proxy = LinkProxy::start(address).await.expect("a port");
                net.links.insert((lower, index), proxy);
            }
        }
        for index in 0..NODES {
            for peer in (0..NODES).filter(|peer| *peer != index) {
                net.wait_connected(index, peer).await;
            }
        }
        net
    }

    /// Starts a node on a free port, and leads its links there. Its keys are those of its index, so it may be a second life.
    async fn start_node(&mut self, me: u8) {
        let peers = (0..NODES).map(|index| PeerConfig {
            index: NodeIndex(index),
            consensus_key: SecretKey::from_seed([10 + index; 32]).public_key(),
            network_key: SecretKey::from_seed([20 + index; 32]).public_key(),
            address: self.links.get(&(me, index)).map(|proxy| multiaddr(proxy.address())),
        });
        let config = NetworkConfig {
            chain_id: Digest::from_bytes([7; 32]),
            epoch: Epoch(0),
            me: NodeIndex(me),
            consensus_key: SecretKey::from_seed([10 + me; 32]),
            network_key: SecretKey::from_seed([20 + me; 32]),
            listen: "127.0.0.1:0".parse().expect("an address"),
            peers: peers.collect(),
            timing: self.timing,
        };
        let (handle, events, address) = Network::start(config).await.expect("the network starts");
        let address = socket_address(&address);
        for (pair, proxy) in &self.links {
            if pair.1 == me {
                proxy.set_target(address);
            }
        }
        self.nodes.insert(me, Node { handle, events, address });
    }

    /// Ends a node: its port is closed and its connections are gone.
    async fn kill(&mut self, index: u8) {
        let node = self.nodes.remove(&index).expect("it runs");
        node.handle.stop().await;
    }

    fn link(&self, low: u8, high: u8) -> &LinkProxy {
        &self.links[&(low, high)]
    }

    async fn next(&mut self, at: u8) -> NetworkEvent {
        let events = &mut self.nodes.get_mut(&at).expect("it runs").events;
        timeout(SOON, events.recv()).await.expect("an event in time").expect("the network runs")
    }

    async fn wait_connected(&mut self, at: u8, peer: u8) {
        while !self.nodes[&at].handle.connected().contains(&NodeIndex(peer)) {
            self.next(at).await;
        }
    }

    async fn wait_disconnected(&mut self, at: u8, peer: u8) {
        while !matches!(self.next(at).await, NetworkEvent::Disconnected(lost) if lost == NodeIndex(peer)) {}
    }

    fn send(&self, from: u8, to: u8, number: u64) -> bool {
        let frame = Frame::of(Class::Commit, &number).expect("fits");
        self.nodes[&from].handle.send(NodeIndex(to), &frame)
    }

    /// The next number that arrives at one node from another. That the two stay connected meanwhile is part of it.
    async fn receive(&mut self, from: u8, at: u8) -> u64 {
        loop {
            match self.next(at).await {
                NetworkEvent::Frame(frame) if frame.from == NodeIndex(from) => {
                    return decode(&frame.payload).expect("a number");
                }
                NetworkEvent::Disconnected(lost) => assert_ne!(lost, NodeIndex(from), "the link broke"),
                _ => {}
            }
        }
    }

    async fn assert_link_works(&mut self, one: u8, other: u8, number: u64) {
        for (from, to) in [(one, other), (other, one)] {
            self.wait_connected(from, to).await;
            self.wait_connected(to, from).await;
            assert!(self.send(from, to, number), "{from} is connected to {to}");
            assert_eq!(self.receive(from, to).await, number, "{from} to {to}");
        }
    }
}

fn timing() -> Timing {
    Timing { ping_interval: Duration::from_millis(200), silence_max: Duration::from_secs(600), ..Timing::default() }
}

/// A timing under which a silent link is given up soon.
fn impatient() -> Timing {
    Timing { ping_interval: Duration::from_millis(100), silence_max: Duration::from_millis(600), ..Timing::default() }
}

#[tokio::test]
async fn everybody_hears_everybody_in_order() {
    let mut net = Net::start(timing()).await;
    for number in 0..500u64 {
        for node in net.nodes.values() {
            let frame = Frame::of(Class::Prepare, &number).expect("fits");
            assert_eq!(node.handle.broadcast(&frame), usize::from(NODES) - 1);
        }
        if number % 100 == 99 {
            tokio::task::yield_now().await;
        }
    }
    for at in 0..NODES {
        let mut next = HashMap::new();
        while next.len() < usize::from(NODES) - 1 || next.values().any(|next| *next < 500) {
            if let NetworkEvent::Frame(frame) = net.next(at).await {
                let next = next.entry(frame.from).or_insert(0u64);
                assert_eq!(decode::<u64>(&frame.payload), Ok(*next));
                *next += 1;
            }
        }
    }
    for proxy in net.links.values() {
        assert_eq!(proxy.counts().connections, 1, "one connection per pair");
    }
}

#[tokio::test]
async fn a_killed_node_leaves_the_others_connected_and_is_found_again() {
    let mut net = Net::start(timing()).await;
    // Node 2 dials node 3 and is dialled by nodes 0 and 1: both ways of being found again.
    for life in 0..3 {
        net.kill(2).await;
        for at in [0, 1, 3] {
            net.wait_disconnected(at, 2).await;
        }
        for (one, other) in [(0, 1), (0, 3), (1, 3)] {
            net.assert_link_works(one, other, 10 + life).await;
        }
        net.start_node(2).await;
        for other in [0, 1, 3] {
            net.assert_link_works(2, other, 100 + life).await;
        }
    }
}

#[tokio::test]
async fn a_hold_in_one_direction_stops_that_direction_only_and_loses_nothing() {
    let mut net = Net::start(timing()).await;
    for (held, from, to) in [(Direction::Forward, 0, 1), (Direction::Backward, 1, 0)] {
        net.link(0, 1).hold(held, true);
        for number in 0..200 {
            assert!(net.send(from, to, number), "there is room for {number}");
        }
        for number in 0..200 {
            assert!(net.send(to, from, number));
            assert_eq!(net.receive(to, from).await, number, "the open direction runs on");
        }
        // Other links do not notice, and what comes over them shows that nothing came over the held one.
        net.send(2, to, 7);
        loop {
            match net.next(to).await {
                NetworkEvent::Frame(frame) if frame.from == NodeIndex(2) => break,
                NetworkEvent::Frame(frame) => panic!("{:?} came through a held link", frame.from),
                _ => {}
            }
        }
        net.link(0, 1).heal();
        for number in 0..200 {
            assert_eq!(net.receive(from, to).await, number, "held bytes arrive in order");
        }
    }
    assert_eq!(net.link(0, 1).counts().connections, 1, "on the same connection");
}

#[tokio::test]
async fn a_hold_beyond_all_buffers_drops_and_counts_and_the_link_goes_on() {
    let mut net = Net::start(timing()).await;
    net.link(0, 1).hold(Direction::Forward, true);
    let payload = vec![9; 100_000];
    let frame = Frame::from_payload(Class::Bodies, &payload).expect("fits");
    let handle = net.nodes[&0].handle.clone();
    let mut sent = 0u64;
    // Queue, windows, proxy and sockets take some tens of megabytes; then the queue overflows, and nobody waits.
    while handle.counts().frames_dropped[Class::Bodies as usize - 1] == 0 {
        sent += u64::from(handle.send(NodeIndex(1), &frame));
        tokio::task::yield_now().await;
        assert!(sent < 5000, "nothing bounds what waits for a held link");
    }
    assert!(net.send(0, 1, 1), "votes still have room");
    net.assert_link_works(0, 2, 3).await;
    net.link(0, 1).heal();
    let (mut bodies, mut votes) = (0, 0);
    while bodies < sent || votes < 1 {
        if let NetworkEvent::Frame(frame) = net.next(1).await {
            match frame.class {
                Class::Bodies => bodies += u64::from(frame.payload == payload),
                _ => votes += 1,
            }
        }
    }
    net.assert_link_works(0, 1, 2).await;
    assert_eq!(net.link(0, 1).counts().connections, 1, "on the same connection");
}

#[tokio::test]
async fn a_cut_link_comes_back() {
    let mut net = Net::start(timing()).await;
    for number in 0..3 {
        net.link(1, 3).cut();
        net.wait_disconnected(1, 3).await;
        net.wait_disconnected(3, 1).await;
        net.assert_link_works(1, 3, number).await;
    }
}

#[tokio::test]
async fn a_partition_heals() {
    let mut net = Net::start(timing()).await;
    let across = [(0, 2), (0, 3), (1, 2), (1, 3)];
    for (low, high) in across {
        net.link(low, high).sever();
    }
    for (low, high) in across {
        let apart = |net: &Net, at: u8, peer: u8| !net.nodes[&at].handle.connected().contains(&NodeIndex(peer));
        while !(apart(&net, low, high) && apart(&net, high, low)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    net.assert_link_works(0, 1, 1).await;
    net.assert_link_works(2, 3, 1).await;
    assert!(!net.send(0, 2, 1), "there is no way across");
    for (low, high) in across {
        net.link(low, high).heal();
    }
    for (low, high) in across {
        net.assert_link_works(low, high, 2).await;
    }
}

#[tokio::test]
async fn a_silent_link_is_given_up_and_comes_back() {
    let mut net = Net::start(impatient()).await;
    net.link(0, 1).hold(Direction::Forward, true);
    net.link(0, 1).hold(Direction::Backward, true);
    net.wait_disconnected(0, 1).await;
    net.wait_disconnected(1, 0).await;
    net.assert_link_works(0, 2, 1).await;
    net.link(0, 1).heal();
    net.assert_link_works(0, 1, 2).await;
}

#[tokio::test]
async fn a_stale_connection_does_not_lock_out_a_restarted_node_and_the_newest_wins() {
    let mut net = Net::start(timing()).await;
    // Seen from node 1, the first life of node 0 vanishes without a word: its connection stands, and stays silent.
    net.link(0, 1).hold(Direction::Forward, true);
    net.link(0, 1).hold(Direction::Backward, true);
    net.kill(0).await;
    assert!(net.nodes[&1].handle.connected().contains(&NodeIndex(0)), "the stale connection counts");
    // The second life comes by another way.
    let bypass = LinkProxy::start(net.nodes[&1].address).await.expect("a port");
    let held = net.links.insert((0, 1), bypass).expect("the old link");
    net.start_node(0).await;
    net.wait_disconnected(1, 0).await;
    net.assert_link_works(0, 1, 5).await;
    // The stale one ends and changes nothing.
    held.cut();
    net.assert_link_works(0, 1, 6).await;
    assert_eq!(net.link(0, 1).counts().connections, 1, "the newest connection stayed");
}
