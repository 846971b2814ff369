//! A chain with known keys, homes for its nodes, and a small HTTP client.
//!
//! Each test program uses the part that it needs.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quorate_crypto::encode::{BoundedVec, encode};
use quorate_crypto::key::SecretKey;
use quorate_crypto::signed::Signed;
use quorate_node::config::{NodeConfig, Peer};
use quorate_node::home::{Home, NewHome, create};
use quorate_node::node::Node;
use quorate_protocol::document::genesis::{GENESIS_VERSION, GenesisAsset, GenesisBalance, GenesisMember};
use quorate_protocol::document::{
    AssetCode, Batch, Body, Certificate, Genesis, Operation, Parameters, Proof, Role, Roles, Scale, SignedTransaction,
    Transaction, Validator, ValidatorSet,
};
use quorate_protocol::id::{Epoch, Sequence, View};
use quorate_protocol::ledger::Ledger;
use quorate_protocol::pbft::message::{Ballot, Commit};
use quorate_protocol::store::{BlockCommit, Store};
use quorate_storage::rocks::{RocksStore, StoreOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Minor units that alice and bob start with.
pub const FUNDS: u128 = 100_000_000;

/// A chain of `n` validators with two funded members.
pub struct Chain {
    pub genesis: Genesis,
    pub consensus: Vec<SecretKey>,
    pub network: Vec<SecretKey>,
    pub alice: SecretKey,
    pub bob: SecretKey,
    pub folder: TempDir,
}

fn key(kind: u8, number: u8) -> SecretKey {
    let mut seed = [kind; 32];
    seed[1] = number;
    SecretKey::from_seed(seed)
}

/// The wall clock in Unix milliseconds.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    since.as_millis() as u64
}

pub fn usd() -> AssetCode {
    AssetCode::new("USD").expect("a code")
}

impl Chain {
    pub fn new(n: u8) -> Chain {
        let (consensus, network): (Vec<_>, Vec<_>) = (0..n).map(|index| (key(1, index), key(2, index))).unzip();
        let (alice, bob, admin) = (key(3, 0), key(3, 1), key(3, 2));
        let validators = consensus.iter().zip(&network).map(|(consensus, network)| Validator {
            consensus_key: consensus.public_key(),
            network_key: network.public_key(),
        });
        let member = |key: &SecretKey, roles: &[Role]| GenesisMember { key: key.public_key(), roles: Roles::of(roles) };
        let balance = |key: &SecretKey| GenesisBalance { account: key.public_key(), code: usd(), amount: FUNDS };
        let genesis = Genesis {
            version: GENESIS_VERSION,
            time: now() - 1_000,
            parameters: Parameters::default(),
            validators: ValidatorSet::new(validators.collect()).expect("a set"),
            members: list(vec![
                member(&alice, &[Role::Member]),
                member(&bob, &[Role::Member]),
                member(&admin, &[Role::Admin, Role::Issuer]),
            ]),
            assets: list(vec![GenesisAsset {
                code: usd(),
                scale: Scale::new(2).expect("a scale"),
                issuer: admin.public_key(),
            }]),
            balances: list(vec![balance(&alice), balance(&bob)]),
        };
        genesis.check().expect("a genesis");
        Chain { genesis, consensus, network, alice, bob, folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn home(&self, index: usize) -> Home {
        Home::at(self.folder.path().join(format!("v{index}")))
    }

    /// Makes the home of one node.
    pub fn create(&self, index: usize, peers: Vec<Peer>) -> Home {
        self.create_with(index, NodeConfig { peers, ..NodeConfig::default() })
    }

    /// The same with a configuration of one's own.
    pub fn create_with(&self, index: usize, config: NodeConfig) -> Home {
        let home = self.home(index);
        let new = NewHome {
            genesis: &self.genesis,
            consensus: &self.consensus[index],
            network: &self.network[index],
            config: &config,
        };
        assert_eq!(usize::from(create(&home, &new).expect("a new home").0), index);
        home
    }

    /// A transfer of `amount` minor units from alice to bob that is valid for half a minute.
    pub fn transfer(&self, amount: u128, salt: u64) -> SignedTransaction {
        SignedTransaction::sign(self.unsigned(amount, salt), &self.alice)
    }

    pub fn unsigned(&self, amount: u128, salt: u64) -> Transaction {
        let operation = Operation::Transfer { to: self.bob.public_key(), code: usd(), amount };
        Transaction {
            chain_id: self.genesis.chain_id(),
            sender: self.alice.public_key(),
            valid_until: now() + 30_000,
            salt,
            operations: list(vec![operation]),
            memo: Default::default(),
        }
    }
}

fn list<T, const MAX: usize>(values: Vec<T>) -> BoundedVec<T, MAX> {
    BoundedVec::try_from(values).unwrap_or_else(|_| panic!("a short list"))
}

/// An answer of the API.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One request on a connection of its own.
pub fn request(api: SocketAddr, method: &str, path: &str, media_type: &str, body: &[u8]) -> Reply {
    request_with(api, method, path, &[("content-type", media_type)], body)
}

/// The same with headers of one's own.
pub fn request_with(api: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(api).expect("the API listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let head = request_head(method, path, headers, body.len());
    stream.write_all(head.as_bytes()).expect("the API reads");
    // A server that refuses a body may close before it has read all of it.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    reply(bytes)
}

pub fn request_head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
}

/// What a whole answer says.
pub fn reply(bytes: Vec<u8>) -> Reply {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole answer");
    let headers = String::from_utf8(bytes[..end].to_vec()).expect("text").to_lowercase();
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    Reply { status, headers, body: bytes[end + 4..].to_vec() }
}

pub fn get(api: SocketAddr, path: &str) -> Reply {
    request(api, "GET", path, "application/json", b"")
}

/// Submits one transaction as JSON.
pub fn submit(api: SocketAddr, query: &str, transaction: &SignedTransaction) -> Reply {
    let body = json!({ "transaction": hex::encode(encode(transaction)) }).to_string();
    request(api, "POST", &format!("/v1/transactions{query}"), "application/json", body.as_bytes())
}

/// Asks until the answer is as wished.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A single node that is a whole chain.
pub fn single() -> (Chain, Node) {
    let chain = Chain::new(1);
    let node = Node::start(&chain.create(0, Vec::new())).expect("a node");
    (chain, node)
}

/// A single node that is a whole chain, configured otherwise.
pub fn single_with(config: NodeConfig) -> (Chain, Node) {
    let chain = Chain::new(1);
    let node = Node::start(&chain.create_with(0, config)).expect("a node");
    (chain, node)
}

/// A single node that lost its vote journal: it takes transactions, and nothing is ever decided.
pub fn wiped(config: NodeConfig) -> (Chain, Node) {
    let chain = Chain::new(1);
    let home = chain.create_with(0, config);
    std::fs::remove_dir_all(home.data()).expect("wiped");
    let node = Node::start(&home).expect("a wiped node starts");
    (chain, node)
}

/// Starts `n` nodes in this process; of two the lower index dials, so the higher ones come first and their ports are
/// known when the lower ones are configured.
pub fn cluster(n: u8) -> (Chain, Vec<Node>) {
    let chain = Chain::new(n);
    let mut nodes: Vec<Node> = Vec::new();
    for index in (0..n).rev() {
        let above =
            nodes.iter().map(|node| Peer { index: node.identity().index.0, address: node.p2p_address().to_string() });
        let home = chain.create(usize::from(index), above.collect());
        nodes.push(Node::start(&home).expect("a node"));
    }
    nodes.reverse();
    (chain, nodes)
}

/// Where a node listens, to start it again in the same place.
pub fn addresses(node: &Node) -> (SocketAddr, SocketAddr) {
    let text = node.p2p_address().to_string();
    let port = text.rsplit('/').next().and_then(|port| port.parse().ok()).expect("a port");
    (node.api_address(), SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A transaction that is executed, with its receipt's height.
pub fn commit(node: &Node, transaction: &SignedTransaction) -> u64 {
    let reply = submit(node.api_address(), "?wait=committed&timeout=15000", transaction);
    assert_eq!((reply.status, &reply.json()["status"]), (200, &"applied".into()), "{reply:?}");
    reply.json()["height"].as_u64().expect("a height")
}

pub fn status(node: &Node) -> Value {
    get(node.api_address(), "/v1/status").json()
}

pub fn chain_folder(chain: &Chain, index: usize) -> PathBuf {
    chain.home(index).data().join("chain")
}

/// Gives a stopped node a next block that nobody ordered: sound in itself, and not the chain's.
pub fn fork(chain: &Chain, index: usize, salt: u64, certified: bool) -> u64 {
    let store = RocksStore::open(&chain_folder(chain, index), StoreOptions::default()).expect("a store");
    let mut ledger = Ledger::open(&chain.genesis, &store).expect("a ledger");
    let body: Body = Arc::new(chain.transfer(1_000, salt));
    let time = ledger.head().time + 1;
    let batch = Batch { time, ids: BoundedVec::try_from(vec![body.id()]).expect("one") };
    let executed = ledger.execute(&store, &batch, &[body], false).expect("a block");
    let height = executed.block.header.height;
    let ballot = Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence::from(height), digest: batch.digest() };
    let vote = Signed::sign(Commit(ballot), &chain.genesis.chain_id(), &chain.consensus[index]);
    let proof = match certified {
        true => Proof::Certificate(Certificate::default()),
        false => Proof::Commits(BoundedVec::try_from(vec![vote]).expect("one")),
    };
    store.append(&BlockCommit { block: executed.block, proof, changes: executed.changes }).expect("appended");
    height.get()
}
