//! What clients can do to a testnet of real processes: keep it busy, each within its share. One account floods, somebody
//! posts forged signatures, somebody else sends bodies that never end, all as fast as they can, and five honest clients
//! have everything committed that they send. Rules and bounds are asserted; how fast it was is printed.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::client::http::{CallError, Node};
use quorate_cli::clock;
use quorate_crypto::encode::encode;
use quorate_crypto::key::{PublicKey, SecretKey, Signature};
use quorate_protocol::api::http::TransactionStatus;
use quorate_protocol::document::{AssetCode, Operation, SignedTransaction, Transaction};
use quorate_protocol::id::ChainId;
use quorate_protocol::limits::{
    CLAIMS_MAX, OPERATION_BYTES_LIMIT, OPERATIONS_LIMIT, POOL_BYTES_MAX, POOL_SENDER_SHARE, SUBMIT_BYTES_MAX,
};
use quorate_testnet::load::{Clients as LoadClients, Shape};
use quorate_testnet::usage::Usage;
use serde_json::Value;

use common::Net;

/// Clients that behave.
const HONEST: usize = 5;
/// What each of them sends, one after the other.
const TRANSFERS: usize = 8;
/// How long a client pauses before it sends the next one, or the same one again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long all are at it, if the honest ones are not done before, and everything was heard that must be.
const ATTACK: Duration = Duration::from_secs(10);
/// Nothing may take longer than this.
const STUCK: Duration = Duration::from_secs(60);
/// Transactions of a forged list.
const LIST: usize = 1_000;
/// Transactions of a flooding list: as many as fit.
const FLOOD_LIST: usize = 200;
/// Transfers in each of them: all that fit, so that they come by one signature and are executed one by one. A pool is full of them sooner
/// than anybody can execute them, and the account's share of its bytes is a thousand.
const FLOOD_TRANSFERS: usize = OPERATIONS_LIMIT;
/// What the flooding account signs beforehand: a thousand for each node.
const FLOOD: u64 = 4_000;
/// Bodies that trickle into a node: more than it could hold if they counted as announced.
const TRICKLES: usize = 80;
/// Connections that floods and honest clients have to each node, together with those that watch.
const CLIENTS: usize = 40;
/// Files that a node has open beside its connections to clients: the store's, the journal's, links to peers.
const FILES: usize = 128;
/// Resident memory of a node at most, in bytes.
const RESIDENT: u64 = 300 << 20;
/// Votes that wait to be verified at most: fewer than one worker takes in one turn.
const VOTES: u64 = 256;
/// Where others take more than this part of the processors, a view that is left proves nothing.
const OTHERS: f64 = 0.25;

/// Who sends single ones of the flooding account.
const BY_ONE: &str = "flood by one";
/// One account has its share of a pool.
const SENDER_QUOTA: &str = "429 sender_quota";

/// How often each answer came, by whom: a status, or what went wrong, with its code.
#[derive(Default)]
struct Answers(Mutex<BTreeMap<(&'static str, String), usize>>);

impl Answers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, String), usize>> {
        self.0.lock().unwrap()
    }

    /// Counts an answer. What has no room says when to come again, and nothing is answered by a broken connection.
    fn count<T>(&self, who: &'static str, answer: &Result<T, CallError>) {
        let what = match answer {
            Ok(_) => "200".to_owned(),
            Err(CallError::Problem { status, problem, retry_after }) => {
                assert!(!matches!(status, 429 | 503) || retry_after.is_some(), "{status} without Retry-After");
                format!("{status} {}", problem.code)
            }
            Err(CallError::Unreachable(_)) => "unreachable".to_owned(),
            Err(CallError::Lost(_)) => "lost".to_owned(),
            Err(other) => panic!("{who}: {other}"),
        };
        self.add(who, &what);
    }

    fn add(&self, who: &'static str, what: &str) {
        *self.lock().entry((who, what.to_owned())).or_default() += 1;
    }

    fn of(&self, who: &'static str, what: &str) -> usize {
        self.lock().get(&(who, what.to_owned())).copied().unwrap_or(0)
    }
}

/// What one account sends.
struct Account {
    key: SecretKey,
    to: PublicKey,
    chain_id: ChainId,
}

impl Account {
    fn sign(&self, salt: u64, transfers: usize) -> SignedTransaction {
        let transfer = Operation::Transfer { to: self.to, code: usd(), amount: 1 };
        let transaction = Transaction {
            chain_id: self.chain_id,
            sender: self.key.public_key(),
            valid_until: clock::now_ms() + 100_000,
            salt,
            operations: vec![transfer; transfers].try_into().unwrap(),
            memo: Default::default(),
        };
        SignedTransaction::sign(transaction, &self.key)
    }

    fn forge(&self, salt: u64) -> Vec<u8> {
        let good = self.sign(salt, 1);
        let mut signature = *good.signature().as_bytes();
        signature[0] ^= 1;
        encode(&SignedTransaction::new(good.transaction().clone(), Signature::from_bytes(signature)))
    }
}

fn usd() -> AssetCode {
    AssetCode::new("USD").unwrap()
}

/// Canonical bytes of a list.
fn list(signed: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = (signed.len() as u32).to_le_bytes().to_vec();
    signed.iter().for_each(|transaction| bytes.extend_from_slice(transaction));
    bytes
}

/// Posts lists of one account as fast as the node takes them: what is signed beforehand, then new ones until somebody heard that it
/// is too much, then the same again.
fn flood(
    node: &Node,
    signed: &[Vec<u8>],
    account: &Account,
    mut salts: std::ops::RangeFrom<u64>,
    answers: &Answers,
    done: &AtomicBool,
) {
    let mut lists: Vec<Vec<u8>> = signed.chunks(FLOOD_LIST).map(list).collect();
    let mut next = 0;
    while !done.load(Ordering::SeqCst) {
        if next == lists.len() && answers.of(BY_ONE, SENDER_QUOTA) == 0 {
            let fresh = salts.by_ref().take(FLOOD_LIST).map(|salt| encode(&account.sign(salt, FLOOD_TRANSFERS)));
            let fresh: Vec<Vec<u8>> = fresh.collect();
            lists.push(list(&fresh));
        }
        answers.count("flood", &node.submit_many(&lists[next % lists.len()], "none", STUCK));
        next += 1;
    }
}

/// Posts single ones of the same account, each of which hears whether the pool takes it.
fn flood_by_one(node: &Node, account: &Account, answers: &Answers, done: &AtomicBool) {
    let salts = (1 << 32..).take_while(|_| !done.load(Ordering::SeqCst));
    for salt in salts {
        let body = format!("{{\"transaction\":\"{}\"}}", hex::encode(encode(&account.sign(salt, FLOOD_TRANSFERS))));
        let head = "POST /v1/transactions?wait=accepted HTTP/1.0\r\ncontent-type: application/json";
        let (status, text) = ask(node, &format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        assert!(!matches!(status, 429 | 503) || text.contains("\r\nretry-after: "), "{text}");
        let problem = text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str::<Value>(body).unwrap());
        let code = problem.as_ref().and_then(|problem| problem["code"].as_str()).unwrap_or_default();
        answers.add(BY_ONE, format!("{status} {code}").trim_end());
    }
}

/// Posts the same forged list as fast as the node takes it.
fn forge(node: &Node, forged: &[u8], answers: &Answers, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        answers.count("forged", &node.submit_many(forged, "none", STUCK));
    }
}

/// Announces many large bodies, and sends a byte of each now and then.
fn trickle(api: SocketAddr, done: &AtomicBool) {
    let head = format!("POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: {SUBMIT_BYTES_MAX}\r\n\r\n");
    let begin = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(api)?;
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    };
    let mut streams: Vec<std::io::Result<TcpStream>> = (0..TRICKLES).map(|_| begin()).collect();
    while !done.load(Ordering::SeqCst) {
        for stream in &mut streams {
            let sent = stream.as_mut().is_ok_and(|stream| stream.write_all(b" ").is_ok());
            if !sent {
                *stream = begin();
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Sends one transfer after the other until it is applied, to a node and then to the next; returns how long each took.
fn behave(nodes: &[Node], clients: &LoadClients, number: usize, answers: &Answers) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut nodes = nodes.iter().cycle().skip(number);
    for round in 0..TRANSFERS {
        let begin = Instant::now();
        // One of each client: the clients have their keys to themselves.
        let transfer = clients.sign_transfers((round * HONEST) as u64, HONEST).swap_remove(number);
        loop {
            let answer = nodes.next().unwrap().submit(&transfer, STUCK / 4);
            answers.count("honest", &answer);
            if let Ok(outcome) = answer {
                assert_eq!(outcome.status, TransactionStatus::Applied, "{outcome:?}");
                break;
            }
            assert!(begin.elapsed() < STUCK, "an honest client is kept out: {:?}", answers.lock());
            thread::sleep(PAUSE);
        }
        took.push(begin.elapsed());
        thread::sleep(PAUSE);
    }
    took
}

/// The most of everything that a node had.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    resident_bytes: u64,
    files: usize,
    votes_waiting: u64,
    pool_bytes: u64,
    view: u64,
}

/// Looks at every node until all is done.
fn watch(net: &Net, pids: &[u32], done: &AtomicBool) -> Vec<Most> {
    let nodes = net.nodes();
    let mut most = vec![Most::default(); nodes.len()];
    while !done.load(Ordering::SeqCst) {
        for ((node, pid), most) in nodes.iter().zip(pids).zip(&mut most) {
            most.resident_bytes = most.resident_bytes.max(Usage::of(*pid).resident_bytes);
            most.files = most.files.max(fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count());
            most.votes_waiting = most.votes_waiting.max(votes_waiting(node));
            if let Ok(status) = node.status() {
                most.pool_bytes = most.pool_bytes.max(status.pool.bytes);
                most.view = most.view.max(status.view.0);
            }
        }
        thread::sleep(PAUSE);
    }
    most
}

/// Seconds of processor time that everything on this machine has used, and what of it `pids` and this process have.
fn processor_seconds(pids: &[u32]) -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let ticks: Vec<f64> =
        stat.lines().next().unwrap().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // User, nice and system; then idle and waiting for disks; then interrupts, soft ones, and what other machines took.
    let used = ticks[..3].iter().chain(&ticks[5..8]).sum::<f64>() / 100.0;
    let ours = pids.iter().chain(&[std::process::id()]).map(|pid| Usage::of(*pid).seconds).sum();
    (used, ours)
}

/// Votes that wait for their signature worker, as the node's metrics have it.
fn votes_waiting(node: &Node) -> u64 {
    let (_, text) = ask(node, "GET /metrics HTTP/1.0\r\n\r\n");
    let depth = text.lines().find_map(|line| line.strip_prefix("quorate_verify_queue_depth{queue=\"votes\"} "));
    depth.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

/// One request on a connection of its own: the status, and all that came.
fn ask(node: &Node, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address(node)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer to {request}: {text}")), text)
}

fn address(node: &Node) -> SocketAddr {
    node.url().strip_prefix("http://").unwrap().parse().unwrap()
}

/// Ends what runs beside a test, however that ends.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What was seen while all of them were at it.
struct Seen {
    /// How long each honest transfer took.
    took: Vec<Duration>,
    most: Vec<Most>,
    /// The part of the processors that others took meanwhile.
    others: f64,
}

/// Lets everybody loose, and waits until the honest ones have what they want.
fn run(net: &Net, honest: &LoadClients, pids: &[u32], answers: &Answers) -> Seen {
    let chain_id = net.manifest().chain_id;
    let flooder = Account { key: net.key("alice"), to: net.manifest().account("bob").unwrap().address, chain_id };
    let signed: Vec<Vec<u8>> = (0..FLOOD).map(|salt| encode(&flooder.sign(salt, FLOOD_TRANSFERS))).collect();
    let forged = list(&(0..LIST as u64).map(|salt| flooder.forge(1 << 60 | salt)).collect::<Vec<_>>());
    let nodes = net.nodes();
    let [by_one, forged_to, dallied] = [&nodes[1], &nodes[2], &nodes[3]].map(own);
    let (flooder, ended, over) = (&flooder, &AtomicBool::new(false), &AtomicBool::new(false));
    let (begin, before) = (Instant::now(), processor_seconds(pids));
    thread::scope(|scope| {
        let (attack, all) = (Done(ended), Done(over));
        let watching = scope.spawn(|| watch(net, pids, over));
        for (number, (node, part)) in nodes.iter().zip(signed.chunks(FLOOD as usize / 4)).enumerate() {
            let (node, salts) = (own(node), (number as u64 + 2) << 32..);
            scope.spawn(move || flood(&node, part, flooder, salts, answers, ended));
        }
        scope.spawn(|| flood_by_one(&by_one, flooder, answers, ended));
        scope.spawn(|| forge(&forged_to, &forged, answers, ended));
        scope.spawn(|| trickle(address(&dallied), ended));
        let start = |number: usize| {
            let nodes: Vec<Node> = nodes.iter().map(own).collect();
            scope.spawn(move || behave(&nodes, honest, number, answers))
        };
        let clients: Vec<_> = (0..HONEST).map(start).collect();
        let is_heard = || answers.of(BY_ONE, SENDER_QUOTA) > 0;
        let may_end = || begin.elapsed() > ATTACK || clients.iter().all(|client| client.is_finished());
        while !(is_heard() && may_end()) && begin.elapsed() < STUCK {
            thread::sleep(PAUSE);
        }
        drop(attack);
        let took = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        drop(all);
        let most = watching.join().unwrap();
        let after = processor_seconds(pids);
        let all = begin.elapsed().as_secs_f64() * thread::available_parallelism().unwrap().get() as f64;
        Seen { took, most, others: ((after.0 - before.0) - (after.1 - before.1)) / all }
    })
}

#[test]
fn clients_that_flood_forge_and_dally_are_told_to_come_again_and_honest_ones_are_served() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    let shape = Shape { clients: HONEST, accounts: HONEST, bytes: 0 };
    let admin = net.key("admin");
    let honest = LoadClients::prepare(net.nodes(), net.manifest().chain_id, &admin, usd(), shape).unwrap();
    let together =
        |nodes: &[Value]| nodes.iter().all(|node| node["active"] == true && node["view"] == nodes[0]["view"]);
    let before = net.wait_status("one view of all", together);
    let pids: Vec<u32> = before.iter().map(|node| node["pid"].as_u64().unwrap() as u32).collect();
    let answers = Answers::default();
    let begin = Instant::now();
    let Seen { mut took, most, others } = run(&net, &honest, &pids, &answers);

    took.sort();
    let (p50, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "overload: {:?}, honest p50 {p50:?}, worst {worst:?}; others took {others:.2} of the processors",
        begin.elapsed()
    );
    for ((who, what), count) in answers.lock().iter() {
        println!("overload: {who}: {count} times {what}");
    }
    for (node, most) in before.iter().zip(&most) {
        println!("overload: {}: at most {most:?}", node["name"]);
    }
    assert_eq!(took.len(), HONEST * TRANSFERS);
    assert!(answers.of(BY_ONE, SENDER_QUOTA) > 0, "one account has no share of a pool");
    // What others claim comes on top of the share.
    let pool_max =
        (POOL_BYTES_MAX / POOL_SENDER_SHARE + 4 * CLAIMS_MAX * OPERATIONS_LIMIT * OPERATION_BYTES_LIMIT) as u64;
    for most in &most {
        assert!(most.pool_bytes <= pool_max, "{most:?}");
        assert!(most.resident_bytes < RESIDENT && most.files < FILES + TRICKLES + CLIENTS, "{most:?}");
        assert!(most.votes_waiting < VOTES, "{most:?}");
    }
    let view = before[0]["view"].as_u64().unwrap();
    let same_view = most.iter().all(|most| most.view == view);
    assert!(same_view || others > OTHERS, "view {view} was left: {most:?}");
    let height = net.height();
    net.wait_status("what was committed at all nodes", |nodes| {
        nodes.iter().all(|node| node["height"].as_u64() >= Some(height))
    });
    let hashes: Vec<_> = net.nodes().iter().map(|node| node.block(&height.to_string()).unwrap().hash).collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

/// The same node, on connections of one's own.
fn own(node: &Node) -> Node {
    Node::new(node.name(), node.url()).unwrap()
}
