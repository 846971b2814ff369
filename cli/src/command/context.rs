//! What the commands share: the nodes, the genesis, the keys and the names that the global flags stand for.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_protocol::document::{AssetCode, Genesis, Scale};
use quorate_protocol::id::{ChainId, Height};

use crate::arguments::Global;
use crate::client::access::Access;
use crate::client::heights::Heights;
use crate::client::http::{CallError, Node};
use crate::client::outbox::Outbox;
use crate::exit::{Exit, Failure};
use crate::key_file;
use crate::keystore::{Entry, Keystore};
use crate::manifest::{Manifest, ManifestAccount};
use crate::output::Printer;
use crate::passphrase::Passphrases;

/// How long nodes are waited for that are behind what the user has seen.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(3);
/// The pause between two looks at them.
const PAUSE: Duration = Duration::from_millis(100);

/// What the global flags mean.
#[derive(Debug)]
pub struct Context {
    /// Prints results.
    pub printer: Printer,
    /// When waiting ends.
    pub deadline: Instant,
    /// How long one wait may take.
    pub patience: Duration,
    testnet: Option<(PathBuf, Manifest)>,
    nodes: Vec<Node>,
    /// How many of the nodes, the first ones, the user named with `--node`.
    named: usize,
    genesis: Option<PathBuf>,
    key: Option<PathBuf>,
    keystore: Option<Keystore>,
    passphrases: Passphrases,
    /// What was read or asked for already.
    loaded: OnceCell<Arc<Genesis>>,
    own_keys: OnceCell<Vec<Entry>>,
    scales: RefCell<BTreeMap<AssetCode, Scale>>,
    warned: Cell<bool>,
}

impl Context {
    /// Resolves the global flags. Reads nothing but the testnet's manifest.
    ///
    /// # Errors
    /// Exit code 2 or 10 when they do not fit together.
    pub fn new(global: &Global, printer: Printer) -> Result<Context, Failure> {
        let testnet = match &global.testnet {
            Some(dir) => Some((dir.clone(), Manifest::load(dir)?)),
            None => None,
        };
        let manifest = testnet.as_ref().map(|(_, manifest)| manifest);
        let access = Access::load(global.token_file.as_deref(), global.ca_file.as_deref())?;
        let mut nodes: Vec<Node> = Vec::new();
        for wanted in &global.node {
            let node = named_node(wanted, manifest, &access)?;
            // One node at one address is one voice, however often it is named.
            if !nodes.iter().any(|known| known.url() == node.url()) {
                nodes.push(node);
            }
        }
        let named = nodes.len();
        for node in manifest.map_or(&[][..], |manifest| &manifest.nodes) {
            let node = Node::with_access(&node.name, &node.api, &access)?;
            if !nodes[..named].iter().any(|known| known.url() == node.url()) {
                nodes.push(node);
            }
        }
        let genesis = global.genesis.clone().or_else(|| manifest.map(|manifest| manifest.genesis.clone()));
        let deadline = Instant::now() + global.timeout;
        Ok(Context {
            printer,
            deadline,
            patience: global.timeout,
            testnet,
            nodes,
            named,
            genesis,
            key: global.key.clone(),
            keystore: global.keystore.clone().map(Keystore::new).or_else(Keystore::of_user),
            passphrases: Passphrases::new(global.passphrase_file.clone()),
            loaded: OnceCell::new(),
            own_keys: OnceCell::new(),
            scales: RefCell::default(),
            warned: Cell::new(false),
        })
    }

    /// All known nodes, those that the user named first.
    ///
    /// # Errors
    /// Exit code 2 when none is known.
    pub fn nodes(&self) -> Result<&[Node], Failure> {
        if self.nodes.is_empty() {
            return Err(Failure::usage("no node is known", "give --testnet DIR, or --node URL"));
        }
        Ok(&self.nodes)
    }

    /// The nodes that a question goes to, one after the other: those that the user named, else all.
    ///
    /// # Errors
    /// Exit code 2 when none is known.
    pub fn asked_nodes(&self) -> Result<&[Node], Failure> {
        let nodes = self.nodes()?;
        Ok(if self.named > 0 { &nodes[..self.named] } else { nodes })
    }

    /// Asks the nodes one after the other until one has an answer. A node that does not have the thing may be behind:
    /// the next one is asked.
    ///
    /// # Errors
    /// What the first node said that had a reason, else why the first node could not be asked.
    pub fn ask<T>(&self, question: impl Fn(&Node) -> Result<T, CallError>) -> Result<(T, &Node), Failure> {
        self.round(Height::ZERO, &question)?.map_err(|unanswered| unanswered.failure(Height::ZERO))
    }

    /// Asks every node once until one answers that has certified the height `wanted`.
    fn round<T>(
        &self,
        wanted: Height,
        question: &impl Fn(&Node) -> Result<T, CallError>,
    ) -> Result<Result<(T, &Node), Unanswered>, Failure> {
        let mut unanswered = Unanswered::default();
        for node in self.asked_nodes()? {
            // The height is read first: what is read afterwards is at least as new.
            let height =
                if wanted > Height::ZERO { node.status().map(|status| status.certified_height) } else { Ok(wanted) };
            match height {
                Ok(height) if height < wanted => unanswered.behind.push(format!("{} is at {height}", node.name())),
                Ok(_) => match question(node) {
                    Ok(answer) => return Ok(Ok((answer, node))),
                    Err(error) => unanswered.note(node, error),
                },
                Err(error) => unanswered.note(node, error),
            }
        }
        Ok(Err(unanswered))
    }

    /// As [`Context::ask`], but passes over nodes that have not certified the height `at_least`, or where that is `None`
    /// the height of the user's last receipt: what they show is from before it. Where none is there yet, they are waited
    /// for, briefly. A node is believed about its height, as it is about what it shows.
    ///
    /// # Errors
    /// As [`Context::ask`]; exit code 6, to be tried again, when the nodes that answer are behind.
    pub fn ask_at_least<T>(
        &self,
        at_least: Option<Height>,
        question: impl Fn(&Node) -> Result<T, CallError>,
    ) -> Result<(T, &Node), Failure> {
        let wanted = at_least.unwrap_or_else(|| self.seen());
        let end = self.deadline.min(Instant::now() + CATCHES_UP_WITHIN);
        loop {
            let unanswered = match self.round(wanted, &question)? {
                Ok(answer) => return Ok(answer),
                Err(unanswered) => unanswered,
            };
            // What a node says that is far enough is the last word.
            let waits = unanswered.said.is_none() && !unanswered.behind.is_empty();
            if !waits || Instant::now() + PAUSE >= end {
                return Err(unanswered.failure(wanted));
            }
            thread::sleep(PAUSE);
        }
    }

    /// The height of the highest receipt of this chain that was verified here; 0 where none was, and where the chain is
    /// not known.
    pub fn seen(&self) -> Height {
        let (Some(heights), Some(chain)) = (self.heights(), self.chain()) else { return Height::ZERO };
        heights.of(&chain).unwrap_or_else(|failure| {
            self.warn(&failure);
            Height::ZERO
        })
    }

    /// Remembers that a receipt of this height was verified. A failure is told, and keeps nobody from the receipt.
    pub fn remember(&self, height: Option<Height>) {
        let (Some(height), Some(heights), Some(chain)) = (height, self.heights(), self.chain()) else { return };
        if let Err(failure) = heights.remember(&chain, height) {
            self.warn(&failure);
        }
    }

    fn heights(&self) -> Option<Heights> {
        self.outbox().ok().map(|outbox| Heights::new(outbox.beside("heights.json")))
    }

    fn chain(&self) -> Option<ChainId> {
        let told = self.manifest().map(|manifest| manifest.chain_id);
        told.or_else(|| self.genesis.as_ref().and_then(|_| self.genesis().ok()).map(|genesis| genesis.chain_id()))
    }

    /// Once is enough.
    fn warn(&self, failure: &Failure) {
        if !self.warned.replace(true) {
            self.printer.say(&format!("warning: {}", failure.message));
        }
    }

    /// The genesis that proofs are checked against.
    ///
    /// # Errors
    /// Exit code 2 when none is named, 10 when it is bad or not the testnet's.
    pub fn genesis(&self) -> Result<Arc<Genesis>, Failure> {
        if let Some(genesis) = self.loaded.get() {
            return Ok(Arc::clone(genesis));
        }
        let genesis = self.load_genesis()?;
        Ok(Arc::clone(self.loaded.get_or_init(|| genesis)))
    }

    fn load_genesis(&self) -> Result<Arc<Genesis>, Failure> {
        let Some(path) = &self.genesis else {
            return Err(Failure::usage(
                "a receipt can only be checked against the chain's genesis file",
                "give --testnet DIR, or --genesis FILE",
            ));
        };
        let genesis = crate::genesis::load(path)?;
        match &self.testnet {
            Some((dir, manifest)) if manifest.chain_id != genesis.chain_id() => Err(Failure::config(
                "bad_genesis",
                format!("{} is not the genesis of the testnet in {}", path.display(), dir.display()),
                "restore the file; a node serves it at /v1/genesis",
            )),
            _ => Ok(Arc::new(genesis)),
        }
    }

    /// The account of a name of the testnet or of the keystore, or of an address.
    ///
    /// # Errors
    /// Exit code 2 when it is none of them, 10 when the keystore's file is bad.
    pub fn address(&self, text: &str) -> Result<PublicKey, Failure> {
        if let Some(account) = self.manifest().and_then(|manifest| manifest.account(text)) {
            return Ok(account.address);
        }
        if let Some(entry) = self.keystore.as_ref().map(|keystore| keystore.find(text)).transpose()?.flatten() {
            return Ok(entry.address);
        }
        text.parse().map_err(|_| {
            let names = self.manifest().map_or_else(String::new, |manifest| {
                let names: Vec<&str> = manifest.accounts.iter().map(|account| account.name.as_str()).collect();
                format!("the testnet's accounts are {}; ", names.join(", "))
            });
            Failure::usage(
                format!("`{text}` is no account"),
                format!("{names}`quorate keys list` shows your own keys; an address has 64 lowercase hex digits"),
            )
        })
    }

    /// The name that the testnet, or else the keystore, has for an address; else its hex digits.
    pub fn name_of(&self, address: &PublicKey) -> String {
        if let Some(name) = self.manifest().and_then(|manifest| manifest.name_of(address)) {
            return name.to_owned();
        }
        self.own_key(address).map_or_else(|| address.to_string(), |entry| entry.name)
    }

    /// The testnet's ready accounts by name.
    pub fn ready_accounts(&self) -> &[ManifestAccount] {
        self.manifest().map_or(&[], |manifest| &manifest.accounts)
    }

    /// Whose key [`Context::sender_key`] gives, found without a passphrase.
    ///
    /// # Errors
    /// As [`Context::sender_key`], but for a wrong passphrase.
    pub fn sender(&self, from: Option<&str>) -> Result<PublicKey, Failure> {
        match (from, &self.key) {
            (Some(from), _) => self.address(from),
            (None, Some(path)) => key_file::public_key(path),
            (None, None) => self.sender_key(None).map(|key| key.public_key()),
        }
    }

    /// The secret key of whoever sends: from `--key`, of a ready account of the testnet, or of the keystore.
    ///
    /// # Errors
    /// Exit code 2 when there is no key for `from`, 10 when its file is bad or its passphrase wrong.
    pub fn sender_key(&self, from: Option<&str>) -> Result<SecretKey, Failure> {
        let address = from.map(|from| self.address(from)).transpose()?;
        let no_key = |message: String| {
            Failure::usage(
                message,
                "give --from with a name of the testnet or of your keystore, or the sender's key file with --key FILE",
            )
        };
        let path = match (&self.key, &address) {
            (Some(path), _) => path.clone(),
            (None, None) => return Err(no_key("there is no key to sign with".to_owned())),
            (None, Some(address)) => {
                self.key_path(address).ok_or_else(|| no_key(format!("there is no key of {address} here")))?
            }
        };
        let key = key_file::read_either(&path, &self.passphrases)?;
        match address {
            Some(address) if address != key.public_key() => Err(Failure::usage(
                format!("the key file {} is that of {}, not of the sender {address}", path.display(), key.public_key()),
                "leave --from out, or give the sender's own key file",
            )),
            _ => Ok(key),
        }
    }

    fn key_path(&self, address: &PublicKey) -> Option<PathBuf> {
        let ready = self.ready_accounts().iter().find(|account| account.address == *address);
        ready.map(|account| account.key_file.clone()).or_else(|| self.own_key(address).map(|entry| entry.path))
    }

    fn own_key(&self, address: &PublicKey) -> Option<Entry> {
        self.own_keys().iter().find(|entry| entry.address == *address).cloned()
    }

    /// The keys of the keystore that can be read.
    pub fn own_keys(&self) -> &[Entry] {
        let list = || self.keystore.as_ref().and_then(|keystore| keystore.list().ok()).map(|(keys, _)| keys);
        self.own_keys.get_or_init(|| list().unwrap_or_default())
    }

    /// The user's own keys.
    ///
    /// # Errors
    /// Exit code 10 when there is no place for them.
    pub fn keystore(&self) -> Result<&Keystore, Failure> {
        self.keystore.as_ref().ok_or_else(|| {
            Failure::config(
                "no_data_directory",
                "there is no place for your keys: neither XDG_DATA_HOME nor HOME is set",
                "name a folder with --keystore DIR, or QUORATE_KEYSTORE",
            )
        })
    }

    /// Where passphrases come from.
    pub fn passphrases(&self) -> &Passphrases {
        &self.passphrases
    }

    /// The decimals of an asset: from the genesis, which is certain, else as f+1 nodes have it.
    ///
    /// # Errors
    /// Exit code 3 when too few nodes know it or agree.
    pub fn scale_of(&self, code: AssetCode) -> Result<Scale, Failure> {
        let genesis = self.genesis()?;
        if let Some(asset) = genesis.assets.iter().find(|asset| asset.code == code) {
            return Ok(asset.scale);
        }
        if let Some(scale) = self.scales.borrow().get(&code) {
            return Ok(*scale);
        }
        let scale = self.told_scale(code, genesis.validators.weak_quorum())?;
        self.scales.borrow_mut().insert(code, scale);
        Ok(scale)
    }

    fn told_scale(&self, code: AssetCode, enough: usize) -> Result<Scale, Failure> {
        let mut told: Vec<Scale> = Vec::new();
        for node in self.nodes()? {
            told.extend(node.asset(code).ok().map(|asset| asset.scale));
            let agreed = told.iter().find(|scale| told.iter().filter(|other| other == scale).count() >= enough);
            if let Some(scale) = agreed {
                return Ok(*scale);
            }
        }
        Err(Failure::new(
            Exit::NotFound,
            "unknown_asset",
            format!(
                "the decimals of {code} are not known: it is not in the genesis, and fewer than {enough} nodes know it"
            ),
            "check the code; an issuer makes an asset with `quorate asset create`",
        ))
    }

    /// Where signed transactions are kept until their outcome is certain.
    ///
    /// # Errors
    /// Exit code 10 when there is no place.
    pub fn outbox(&self) -> Result<Outbox, Failure> {
        match &self.testnet {
            Some((dir, _)) => Ok(Outbox::new(dir.join("outbox"))),
            None => Outbox::of_user(),
        }
    }

    /// How this program was called, with the same testnet: for commands to copy.
    pub fn invocation(&self) -> String {
        invocation(self.testnet.as_ref().map(|(dir, _)| dir.as_path()))
    }

    fn manifest(&self) -> Option<&Manifest> {
        self.testnet.as_ref().map(|(_, manifest)| manifest)
    }
}

/// Why no node has answered.
#[derive(Default)]
struct Unanswered {
    /// A node's reason.
    said: Option<Failure>,
    /// Nodes that are not far enough.
    behind: Vec<String>,
    /// Why a node could not be asked.
    silent: Option<Failure>,
}

impl Unanswered {
    /// Notes an error; the first one of its kind is told.
    fn note(&mut self, node: &Node, error: CallError) {
        let place = if matches!(error, CallError::Problem { .. }) { &mut self.said } else { &mut self.silent };
        place.get_or_insert_with(|| error.into_failure(node.name()));
    }

    fn failure(self, wanted: Height) -> Failure {
        let behind = (!self.behind.is_empty()).then(|| {
            Failure::new(
                Exit::NotSent,
                "behind",
                format!("no node that answers has certified height {wanted} yet: {}", self.behind.join(", ")),
                "try again in a moment; --at-least 0 shows what the nodes have",
            )
        });
        self.said
            .or(behind)
            .or(self.silent)
            .unwrap_or_else(|| Failure::usage("no node is known", "give --testnet DIR, or --node URL"))
    }
}

/// How this program was called, with this testnet: for commands to copy.
pub fn invocation(testnet: Option<&Path>) -> String {
    let testnet = testnet.map_or_else(String::new, |dir| format!(" --testnet {}", dir.display()));
    let program = std::env::args().next().unwrap_or_else(|| "quorate".to_owned());
    format!("{program}{testnet}")
}

/// The node that `--node` names: a name of the testnet, or a URL.
fn named_node(wanted: &str, manifest: Option<&Manifest>, access: &Access) -> Result<Node, Failure> {
    if let Some(node) = manifest.and_then(|manifest| manifest.node(wanted)) {
        return Node::with_access(&node.name, &node.api, access);
    }
    if wanted.contains(':') {
        return Node::with_access(wanted, wanted, access);
    }
    let names = manifest.map_or_else(String::new, |manifest| {
        let names: Vec<&str> = manifest.nodes.iter().map(|node| node.name.as_str()).collect();
        format!("the testnet has {}; or ", names.join(", "))
    });
    Err(Failure::usage(
        format!("there is no node called `{wanted}`"),
        format!("{names}give a URL such as http://127.0.0.1:8080"),
    ))
}
