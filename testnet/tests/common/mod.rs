//! A testnet of real processes in a directory of its own, and the programs that a user has.
//!
//! `quorate` and `quorate-node` have to be built beside `quorate-testnet`: `cargo build --release --workspace`.
//! Each test program uses the part that it needs.
#![allow(dead_code)]

pub mod clients;
pub mod judge;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::client::http::Node;
use quorate_cli::key_file;
use quorate_cli::manifest::Manifest;
use quorate_crypto::key::SecretKey;
use quorate_storage::rocks::{RocksStore, StoreOptions};
use rustix::process::Pid;
use serde_json::Value;

/// Testnets share the machine's cores: one at a time where time is measured, as many as there are test threads elsewhere.
static TURN: RwLock<()> = RwLock::new(());
/// How long something may take that is not measured here.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A testnet's directory, and whatever runs in it until this is dropped.
pub struct Net {
    dir: tempfile::TempDir,
    _turn: Turn,
}

/// The right to run.
enum Turn {
    Alone { _guard: RwLockWriteGuard<'static, ()> },
    Beside { _guard: RwLockReadGuard<'static, ()> },
}

#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn ok(self) -> Run {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_quorate-testnet")).with_file_name(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --release --workspace` first", path.display());
    path
}

pub fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: status.code(), out: text(stdout), err: text(stderr) }
}

impl Net {
    /// A testnet that has the machine for itself.
    pub fn new() -> Net {
        // A test that failed has left nothing behind that could harm the next.
        let turn = Turn::Alone { _guard: TURN.write().unwrap_or_else(PoisonError::into_inner) };
        Net { dir: tempfile::tempdir().unwrap(), _turn: turn }
    }

    /// A testnet beside which others may run.
    pub fn beside_others() -> Net {
        let turn = Turn::Beside { _guard: TURN.read().unwrap_or_else(PoisonError::into_inner) };
        Net { dir: tempfile::tempdir().unwrap(), _turn: turn }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn testnet(&self, arguments: &[&str]) -> Run {
        run(Command::new(program("quorate-testnet")).args(arguments).arg("--dir").arg(self.path()))
    }

    pub fn quorate(&self, arguments: &[&str]) -> Run {
        run(Command::new(program("quorate")).arg("--testnet").arg(self.path()).args(arguments))
    }

    pub fn transfer(&self, amount: &str) -> Run {
        self.quorate(&[
            "--output", "json", "transfer", "--from", "alice", "--to", "bob", "--amount", amount, "--asset", "USD",
        ])
    }

    pub fn verify(&self, receipt: &[u8]) -> Option<i32> {
        let (file, genesis) = (self.path().join("outbox/receipt.json"), self.path().join("genesis.json"));
        fs::write(&file, receipt).unwrap();
        run(Command::new(program("quorate")).arg("verify").arg(file).arg("--genesis").arg(genesis)).code
    }

    pub fn manifest(&self) -> Manifest {
        Manifest::load(self.path()).unwrap()
    }

    pub fn nodes(&self) -> Vec<Node> {
        self.manifest().nodes.iter().map(|node| Node::new(&node.name, &node.api).unwrap()).collect()
    }

    pub fn key(&self, name: &str) -> SecretKey {
        key_file::read(&self.manifest().account(name).unwrap().key_file).unwrap()
    }

    /// What `status` tells of the testnet.
    pub fn look(&self) -> Value {
        self.testnet(&["status", "--output", "json"]).ok().json()["data"].clone()
    }

    /// What `status` tells of its nodes.
    pub fn status(&self) -> Vec<Value> {
        self.look()["nodes"].as_array().unwrap().clone()
    }

    /// Waits until `comes_true` of what `status` tells of the nodes.
    pub fn wait_status(&self, what: &str, comes_true: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let end = Instant::now() + PATIENCE * 2;
        loop {
            let nodes = self.status();
            if comes_true(&nodes) {
                return nodes;
            }
            assert!(Instant::now() < end, "{what} does not come true: {nodes:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn height(&self) -> u64 {
        self.status().iter().filter_map(|node| node["height"].as_u64()).max().unwrap()
    }

    /// Waits until all nodes but those named have the same state root at this height or above.
    pub fn wait_equal(&self, height: u64, but: &[&str]) {
        let agree = |nodes: &[Value]| {
            let told: Vec<&Value> =
                nodes.iter().filter(|node| !but.contains(&node["name"].as_str().unwrap())).collect();
            told.iter()
                .all(|node| node["height"].as_u64() >= Some(height) && node["state_root"] == told[0]["state_root"])
        };
        let end = Instant::now() + PATIENCE;
        while !agree(&self.status()) {
            assert!(Instant::now() < end, "the nodes do not agree: {:#?}", self.status());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What an account holds, as each node tells it.
    pub fn balances(&self, account: &str) -> Vec<String> {
        let balance = |name: &str| {
            let told = self.quorate(&["--node", name, "account", account, "--output", "json"]).ok().json();
            assert_eq!(told["data"]["balances"][0]["asset"], "USD");
            told["data"]["balances"][0]["amount"].as_str().unwrap().to_owned()
        };
        self.manifest().nodes.iter().map(|node| balance(&node.name)).collect()
    }

    /// The processes that have this testnet's directory on their command line.
    pub fn processes(&self) -> Vec<String> {
        let dir = self.path().to_str().unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.contains(dir)).collect()
    }

    pub fn supervisor(&self) -> Pid {
        let record: Value = serde_json::from_slice(&fs::read(self.path().join("supervisor.json")).unwrap()).unwrap();
        Pid::from_raw(i32::try_from(record["supervisor"]["pid"].as_i64().unwrap()).unwrap()).unwrap()
    }
}

/// A process that ends with the test.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Flips a bit in the middle of every sorted file of a stopped node's store.
pub fn damage(home: &Path) {
    let chain = home.join("data/chain");
    // Opening once moves what is only in the log into sorted files.
    drop(RocksStore::open(&chain, StoreOptions::default()).expect("a store"));
    let files = fs::read_dir(chain.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let tables: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|found| found == "sst")).collect();
    assert!(!tables.is_empty());
    for table in tables {
        let mut bytes = fs::read(&table).unwrap();
        // The first block of data begins at the start.
        bytes[20] ^= 4;
        fs::write(&table, bytes).unwrap();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if self.path().join("testnet.json").exists() {
            let down = self.testnet(&["down"]);
            if !thread::panicking() {
                assert_eq!(down.code, Some(0), "{down:?}");
            }
        }
        if thread::panicking() {
            self.dir.disable_cleanup(true);
            eprintln!("the nodes' logs and disks are kept: {}", self.path().display());
        } else {
            assert_eq!(self.processes(), Vec::<String>::new(), "a process was left behind");
        }
    }
}
