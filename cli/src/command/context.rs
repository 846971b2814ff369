//! What the commands share: the nodes, the genesis, the keys and the names that the global flags stand for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_protocol::document::Genesis;

use crate::arguments::Global;
use crate::client::http::{CallError, Node};
use crate::client::outbox::Outbox;
use crate::exit::Failure;
use crate::key_file;
use crate::manifest::Manifest;
use crate::output::Printer;

/// What the global flags mean.
#[derive(Debug)]
pub struct Context {
    /// Prints results.
    pub printer: Printer,
    /// When waiting ends.
    pub deadline: Instant,
    testnet: Option<(PathBuf, Manifest)>,
    nodes: Vec<Node>,
    /// How many of the nodes, the first ones, the user named with `--node`.
    named: usize,
    genesis: Option<PathBuf>,
    key: Option<PathBuf>,
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
        let mut nodes = Vec::new();
        for wanted in &global.node {
            nodes.push(named_node(wanted, manifest)?);
        }
        let named = nodes.len();
        for node in manifest.map_or(&[][..], |manifest| &manifest.nodes) {
            if !nodes.iter().any(|known: &Node| known.name() == node.name) {
                nodes.push(Node::new(&node.name, &node.api)?);
            }
        }
        let genesis = global.genesis.clone().or_else(|| manifest.map(|manifest| manifest.genesis.clone()));
        let deadline = Instant::now() + global.timeout;
        Ok(Context { printer, deadline, testnet, nodes, named, genesis, key: global.key.clone() })
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
        let (mut said, mut silent) = (None, None);
        for node in self.asked_nodes()? {
            match question(node) {
                Ok(answer) => return Ok((answer, node)),
                Err(error @ CallError::Problem { .. }) => said = said.or(Some(error.into_failure(node.name()))),
                Err(error) => silent = silent.or(Some(error.into_failure(node.name()))),
            }
        }
        Err(said.or(silent).unwrap_or_else(|| Failure::usage("no node is known", "give --testnet DIR, or --node URL")))
    }

    /// The genesis that proofs are checked against.
    ///
    /// # Errors
    /// Exit code 2 when none is named, 10 when it is bad or not the testnet's.
    pub fn genesis(&self) -> Result<Arc<Genesis>, Failure> {
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

    /// The account of a name of the testnet, or of an address.
    ///
    /// # Errors
    /// Exit code 2 when it is neither.
    pub fn address(&self, text: &str) -> Result<PublicKey, Failure> {
        if let Some(account) = self.manifest().and_then(|manifest| manifest.account(text)) {
            return Ok(account.address);
        }
        text.parse().map_err(|_| {
            let names = self.manifest().map_or_else(String::new, |manifest| {
                let names: Vec<&str> = manifest.accounts.iter().map(|account| account.name.as_str()).collect();
                format!("the testnet's accounts are {}; ", names.join(", "))
            });
            Failure::usage(format!("`{text}` is no account"), format!("{names}an address has 64 lowercase hex digits"))
        })
    }

    /// The name that the testnet has for an address, else its hex digits.
    pub fn name_of(&self, address: &PublicKey) -> String {
        let name = self.manifest().and_then(|manifest| manifest.name_of(address));
        name.map_or_else(|| address.to_string(), str::to_owned)
    }

    /// The secret key of whoever sends: from `--key`, or of a ready account of the testnet.
    ///
    /// # Errors
    /// Exit code 2 when there is no key for `from`, 10 when its file is bad.
    pub fn sender_key(&self, from: Option<&str>) -> Result<SecretKey, Failure> {
        let address = from.map(|from| self.address(from)).transpose()?;
        let ready = self.manifest().zip(address.as_ref());
        let ready =
            ready.and_then(|(manifest, address)| manifest.accounts.iter().find(|account| account.address == *address));
        let Some(path) = self.key.as_ref().or(ready.map(|account| &account.key_file)) else {
            return Err(Failure::usage("there is no key to sign with", "give the sender's key file with --key FILE"));
        };
        let key = key_file::read(path)?;
        match address {
            Some(address) if address != key.public_key() => Err(Failure::usage(
                format!("the key file {} is that of {}, not of the sender {address}", path.display(), key.public_key()),
                "leave --from out, or give the sender's own key file",
            )),
            _ => Ok(key),
        }
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
        let testnet =
            self.testnet.as_ref().map_or_else(String::new, |(dir, _)| format!(" --testnet {}", dir.display()));
        let program = std::env::args().next().unwrap_or_else(|| "quorate".to_owned());
        format!("{program}{testnet}")
    }

    fn manifest(&self) -> Option<&Manifest> {
        self.testnet.as_ref().map(|(_, manifest)| manifest)
    }
}

/// The node that `--node` names: a name of the testnet, or a URL.
fn named_node(wanted: &str, manifest: Option<&Manifest>) -> Result<Node, Failure> {
    if let Some(node) = manifest.and_then(|manifest| manifest.node(wanted)) {
        return Node::new(&node.name, &node.api);
    }
    if wanted.contains(':') {
        return Node::new(wanted, wanted);
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
