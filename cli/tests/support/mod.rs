//! A chain that exists only as keys and signatures, and HTTP servers that answer as its nodes do - or lie.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use quorate_cli::key_file;
use quorate_cli::manifest::{MANIFEST_VERSION, Manifest, ManifestAccount, ManifestNode};
use quorate_crypto::encode::{BoundedVec, decode, encode};
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::key::SecretKey;
use quorate_crypto::merkle;
use quorate_crypto::signed::Signed;
use quorate_protocol::api::code::Code;
use quorate_protocol::api::http::{
    AccountResponse, BalanceView, BatchView, BlockResponse, ConsensusResponse, NodeState, PoolStatus, PositionView,
    StatusResponse, SubmitRequest, TransactionResponse, TransactionStatus, ValidatorView, ValidatorsResponse,
};
use quorate_protocol::api::problem::Problem;
use quorate_protocol::document::block::{receipts_root, transactions_root};
use quorate_protocol::document::genesis::{GENESIS_VERSION, GenesisAsset, GenesisBalance, GenesisMember};
use quorate_protocol::document::{
    AssetCode, Batch, Certificate, Genesis, Header, Outcome, Parameters, Position, Receipt, Role, Roles, Scale,
    SignedTransaction, Validator, ValidatorSet,
};
use quorate_protocol::id::{Epoch, Height, NodeIndex, Sequence, TransactionId, View};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde::Serialize;
use serde_json::Value;

/// The time of every block, Unix milliseconds.
pub const BLOCK_TIME: u64 = 1_772_357_400_123;

/// A chain of four validators in a testnet's directory.
pub struct Chain {
    pub dir: tempfile::TempDir,
    pub genesis: Genesis,
    validators: Vec<SecretKey>,
}

impl Chain {
    pub fn new() -> Chain {
        let key = |seed: u8| SecretKey::from_seed([seed; 32]);
        let validators: Vec<SecretKey> = (10..14).map(key).collect();
        let accounts = [("alice", key(1)), ("bob", key(2)), ("admin", key(3))];
        let address = |index: usize| accounts[index].1.public_key();
        let code = AssetCode::new("USD").unwrap();
        let member = |index, role| GenesisMember { key: address(index), roles: Roles::of(&[role]) };
        let issuer = GenesisMember { key: address(2), roles: Roles::of(&[Role::Admin, Role::Issuer]) };
        let genesis = Genesis {
            version: GENESIS_VERSION,
            time: BLOCK_TIME - 1000,
            parameters: Parameters::default(),
            validators: ValidatorSet::new(
                validators
                    .iter()
                    .zip(20..)
                    .map(|(consensus, network)| Validator {
                        consensus_key: consensus.public_key(),
                        network_key: key(network).public_key(),
                    })
                    .collect(),
            )
            .unwrap(),
            members: BoundedVec::try_from(vec![member(0, Role::Member), member(1, Role::Member), issuer]).unwrap(),
            assets: BoundedVec::try_from(vec![GenesisAsset {
                code,
                scale: Scale::new(2).unwrap(),
                issuer: address(2),
            }])
            .unwrap(),
            balances: BoundedVec::try_from(vec![GenesisBalance { account: address(0), code, amount: 100_000_000 }])
                .unwrap(),
        };
        genesis.check().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("genesis.json"), genesis.to_json()).unwrap();
        for (name, key) in &accounts {
            key_file::write(&dir.path().join(format!("{name}.json")), key, "a test").unwrap();
        }
        let chain = Chain { dir, genesis, validators };
        let account = |(name, key): &(&str, SecretKey)| ManifestAccount {
            name: (*name).to_owned(),
            address: key.public_key(),
            key_file: format!("{name}.json").into(),
        };
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            chain_id: chain.genesis.chain_id(),
            genesis: "genesis.json".into(),
            page: None,
            nodes: Vec::new(),
            accounts: accounts.iter().map(account).collect(),
        };
        manifest.save(chain.dir.path()).unwrap();
        chain
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts these servers into the manifest as v0, v1, ...
    pub fn with_nodes(&self, urls: &[String]) {
        let mut manifest = Manifest::load(self.dir.path()).unwrap();
        let nodes = urls.iter().enumerate().map(|(index, url)| ManifestNode {
            name: format!("v{index}"),
            api: url.clone(),
            p2p: String::new(),
            home: format!("v{index}").into(),
        });
        manifest.nodes = nodes.collect();
        manifest.save(self.dir.path()).unwrap();
    }

    /// A receipt of `id` as the second of three positions at height 7, signed by v0, v1 and v3.
    pub fn receipt(&self, id: TransactionId, outcome: Outcome) -> Receipt {
        let other = |byte| Position { id: TransactionId(sha256(&[byte])), outcome: Outcome::Applied };
        let positions = [other(1), Position { id, outcome }, other(2)];
        let ids: Vec<TransactionId> = positions.iter().map(|position| position.id).collect();
        let leaves: Vec<Vec<u8>> = positions.iter().map(encode).collect();
        let batch = Batch { time: BLOCK_TIME, ids: BoundedVec::try_from(ids.clone()).unwrap() };
        let header = Header {
            version: self.genesis.parameters.protocol_version,
            chain_id: self.genesis.chain_id(),
            epoch: Epoch(0),
            height: Height(7),
            parent: sha256(b"the block before"),
            batch_digest: batch.digest(),
            transactions_root: transactions_root(&ids),
            receipts_root: receipts_root(&positions),
            state_root: sha256(b"the state"),
            validators_hash: self.genesis.validators.hash(),
            next_validators_hash: self.genesis.validators.hash(),
            parameters_hash: self.genesis.parameters.hash(),
            time: BLOCK_TIME,
        };
        let sign = |index: u8| {
            let key = &self.validators[usize::from(index)];
            (NodeIndex(index), Signed::sign(header.checkpoint(), &header.chain_id, key).signature)
        };
        let signatures = BoundedVec::try_from(vec![sign(0), sign(1), sign(3)]).unwrap();
        let path = BoundedVec::try_from(merkle::path(&leaves, 1)).unwrap();
        let certificate = Certificate { signatures };
        Receipt { index: 1, count: 3, position: positions[1], path, header, certificate, boundaries: BoundedVec::new() }
    }

    /// Runs `quorate --testnet DIR` with these arguments.
    pub fn quorate(&self, arguments: &[&str]) -> Run {
        let mut all = vec!["--testnet", self.dir.path().to_str().unwrap()];
        all.extend_from_slice(arguments);
        run(&all)
    }

    /// Runs a transfer of 12.50 USD from alice to bob with JSON output and a time-out of 1 s.
    pub fn transfer(&self) -> Run {
        self.quorate(&[
            "--timeout",
            "1",
            "--output",
            "json",
            "transfer",
            "--from",
            "alice",
            "--to",
            "bob",
            "--amount",
            "12.50",
            "--asset",
            "USD",
        ])
    }

    /// The files of the outbox.
    pub fn outbox(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.path("outbox")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// What a run of the program printed, and how it ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The transaction that the program announced on stderr.
    pub fn announced(&self) -> String {
        self.err.lines().find_map(|line| line.strip_prefix("transaction ")).expect("an announced id").to_owned()
    }
}

/// Runs `quorate` with these arguments.
pub fn run(arguments: &[&str]) -> Run {
    finish(command(arguments).stdin(Stdio::null()))
}

/// `quorate` with these arguments, in an environment that knows nothing of the user.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    for name in [
        "XDG_STATE_HOME",
        "XDG_DATA_HOME",
        "QUORATE_KEYSTORE",
        "QUORATE_PASSPHRASE_FILE",
        "QUORATE_TOKEN_FILE",
        "QUORATE_CA_FILE",
    ] {
        command.env_remove(name);
    }
    command.args(arguments).env("HOME", "/nonexistent");
    command
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// A terminal: what its user types and sees, and what a program has of it.
pub fn terminal() -> (File, impl Fn() -> File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = move || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (File::from(master), slave)
}

/// What a command prints on a terminal, and how it ends; its stderr is none.
pub fn on_terminal(mut command: Command) -> (Option<i32>, String) {
    let (mut terminal, slave) = terminal();
    let mut child = command.stdin(Stdio::null()).stdout(slave()).stderr(Stdio::null()).spawn().unwrap();
    // Only the program has it now.
    drop(command);
    let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
    // The terminal reports an error once the program is gone.
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        seen.extend_from_slice(&bytes[..count]);
    }
    (child.wait().unwrap().code(), String::from_utf8(seen).unwrap())
}

/// One HTTP request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// By lowercase name.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    /// The transaction that a submission carries.
    pub fn submitted(&self) -> Option<SignedTransaction> {
        let request: SubmitRequest = (self.method == "POST").then(|| serde_json::from_slice(&self.body).unwrap())?;
        let bytes: &[u8] = &request.transaction;
        Some(decode(bytes).unwrap())
    }

    /// The transaction that a look-up names.
    pub fn asked(&self) -> Option<TransactionId> {
        let rest = self.path.strip_prefix("/v1/transactions/")?;
        Some(TransactionId(rest.trim_end_matches("/receipt").parse().unwrap()))
    }
}

/// What a server answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// JSON with this HTTP status and these further headers.
    Json(u16, String, Vec<(&'static str, String)>),
    /// The connection ends without a word.
    Silence,
    /// Nothing comes for this long; then the connection ends.
    Hang(Duration),
    /// These very bytes.
    Raw(Vec<u8>),
}

impl Answer {
    pub fn ok(body: &impl Serialize) -> Answer {
        Answer::Json(200, serde_json::to_string(body).unwrap(), Vec::new())
    }

    pub fn problem(code: Code) -> Answer {
        Answer::Json(code.http_status(), serde_json::to_string(&Problem::new(code, code.as_str())).unwrap(), Vec::new())
    }
}

/// What a server makes of a request; `None` leaves it to the usual answers.
pub type Handler = dyn Fn(&Request) -> Option<Answer> + Send + Sync;

/// A server on a port of its own. It lives as long as the test's process.
pub struct FakeNode {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeNode {
    /// Starts a server that answers with `handler`, and otherwise as a healthy node of this chain.
    pub fn start(chain: &Chain, handler: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> FakeNode {
        FakeNode::start_as(chain, 0, handler)
    }

    /// As [`FakeNode::start`], as the node of the validator with this index.
    pub fn start_as(
        chain: &Chain,
        index: u8,
        handler: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> FakeNode {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let usual = usual_answers(chain, index);
        let handler: Arc<Handler> =
            Arc::new(move |request| handler(request).or_else(|| usual.get(request.path.as_str()).cloned()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, handler, seen) = (stream.unwrap(), Arc::clone(&handler), Arc::clone(&seen));
                thread::spawn(move || serve(stream, &*handler, &seen));
            }
        });
        FakeNode { url, requests }
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The transactions that were submitted so far, in order.
    pub fn transactions(&self) -> Vec<SignedTransaction> {
        self.requests().iter().filter_map(Request::submitted).collect()
    }

    /// The submissions so far, as bytes.
    pub fn submissions(&self) -> Vec<Vec<u8>> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.method == "POST").map(|request| request.body.clone()).collect()
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, seen: &Mutex<Vec<Request>>) {
    let Some(request) = read_request(&stream) else { return };
    seen.lock().unwrap().push(request.clone());
    let answer = handler(&request).unwrap_or_else(|| Answer::problem(Code::NotFound));
    let bytes = match answer {
        Answer::Silence => return,
        Answer::Hang(time) => return thread::sleep(time),
        Answer::Raw(bytes) => bytes,
        Answer::Json(status, body, headers) => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let length = body.len();
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}")
                .into_bytes()
        }
    };
    // The client may have gone; that is its affair.
    let _ = stream.write_all(&bytes);
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

pub fn status(chain: &Chain) -> StatusResponse {
    StatusResponse {
        node: "v0".to_owned(),
        index: Some(NodeIndex(0)),
        chain_id: chain.genesis.chain_id(),
        version: "0.1.0".to_owned(),
        state: NodeState::Active,
        reason: None,
        height: Height(7),
        certified_height: Height(7),
        header_hash: sha256(b"header"),
        state_root: sha256(b"the state"),
        time: BLOCK_TIME,
        view: View(0),
        active: true,
        primary: "v0".to_owned(),
        view_change: None,
        epoch: Epoch(0),
        is_primary: true,
        voting: true,
        peers_connected: 3,
        clock_offset: 0,
        pool: PoolStatus { count: 0, bytes: 0 },
    }
}

pub fn consensus(standing_still: Option<&str>) -> ConsensusResponse {
    ConsensusResponse {
        epoch: Epoch(0),
        view: View(0),
        active: true,
        primary: "v0".to_owned(),
        low: Sequence(0),
        high: Sequence(128),
        executed: Height(7),
        certified: Height(7),
        n: 4,
        f: 1,
        quorum: 3,
        connected: vec!["v0".to_owned()],
        missing: Vec::new(),
        standing_still: standing_still.map(str::to_owned),
        reasons: Vec::new(),
        peers: Vec::new(),
    }
}

/// What a healthy node answers, by path.
fn usual_answers(chain: &Chain, index: u8) -> BTreeMap<&'static str, Answer> {
    let own = StatusResponse { node: format!("v{index}"), index: Some(NodeIndex(index)), ..status(chain) };
    BTreeMap::from([
        ("/v1/status", Answer::ok(&own)),
        ("/v1/consensus", Answer::ok(&consensus(None))),
        ("/v1/validators", Answer::ok(&validators(chain))),
        ("/v1/blocks/7", Answer::ok(&block(chain))),
    ])
}

fn validators(chain: &Chain) -> ValidatorsResponse {
    let set = &chain.genesis.validators;
    let view = |(index, validator): (usize, &Validator)| ValidatorView {
        name: format!("v{index}"),
        index: NodeIndex(index as u8),
        consensus_key: validator.consensus_key,
        network_key: validator.network_key,
        is_primary: index == 0,
        connected: index != 2,
    };
    let validators = set.members().iter().enumerate().map(view).collect();
    ValidatorsResponse { epoch: Epoch(0), n: set.n(), f: set.f(), quorum: set.quorum(), validators }
}

/// A block with a transaction that was applied and one that failed.
pub fn block(chain: &Chain) -> BlockResponse {
    let id = TransactionId(sha256(b"a transaction"));
    let header = chain.receipt(id, Outcome::Applied).header;
    let position = |index, outcome| PositionView { index, id, outcome };
    BlockResponse {
        height: header.height,
        hash: header.hash(),
        header,
        batch: BatchView { time: BLOCK_TIME, count: 2 },
        transactions: vec![position(0, Outcome::Applied), position(1, Outcome::Failed(Code::InsufficientBalance))],
        certified: true,
    }
}

pub fn account(chain: &Chain) -> AccountResponse {
    AccountResponse {
        account: chain.genesis.members[0].key,
        height: Height(7),
        time: BLOCK_TIME,
        member: true,
        frozen: false,
        roles: Roles::of(&[Role::Member]),
        balances: vec![BalanceView {
            asset: AssetCode::new("USD").unwrap(),
            amount: "999987.50".to_owned(),
            minor: 99_998_750,
            scale: Scale::new(2).unwrap(),
        }],
    }
}

/// Answers that a transaction stands so, without more.
pub fn stands(id: TransactionId, status: TransactionStatus) -> Answer {
    Answer::ok(&TransactionResponse::new(id, status))
}

/// A copy of a file with these bits of one byte changed.
pub fn with_byte_changed(good: &[u8], place: usize, change: u8) -> Vec<u8> {
    let mut bad = good.to_vec();
    bad[place] ^= change;
    bad
}

pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

pub fn zero() -> Digest {
    Digest::ZERO
}
