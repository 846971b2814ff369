//! `quorate-node init`

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use quorate_crypto::key::SecretKey;
use quorate_protocol::document::ValidatorSet;
use quorate_protocol::id::NodeIndex;
use serde_json::json;

use super::failure::Failure;
use crate::config::{NodeConfig, Peer};
use crate::home::{Home, NewHome, create, create_keys, found, read_genesis};

/// A seed file holds 64 hex digits and perhaps the end of a line.
const SEED_FILE_BYTES_MAX: u64 = 256;

pub(super) const EXAMPLES: &str = "Examples:
  quorate-node init --home HOME
  quorate-node init --home HOME --genesis genesis.json --api 127.0.0.1:8080 --p2p 192.0.2.10:7000 --peer 1=/ip4/192.0.2.11/tcp/7000";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The home to make
    #[arg(long, value_name = "HOME")]
    home: PathBuf,
    /// The genesis that names this node's keys; without it only the keys are made, to be put into a genesis
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// The node's place in the genesis; checked against the keys
    #[arg(long, requires = "genesis", value_name = "INDEX")]
    index: Option<u8>,
    /// A file with the seed (64 hex digits) of a consensus key that has never signed a vote, instead of a new key
    #[arg(long, requires = "network_seed_file", value_name = "FILE")]
    consensus_seed_file: Option<PathBuf>,
    /// A file with the seed (64 hex digits) of the network key, instead of a new key
    #[arg(long, requires = "consensus_seed_file", value_name = "FILE")]
    network_seed_file: Option<PathBuf>,
    /// Where the HTTP API listens
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    api: SocketAddr,
    /// Where other validators connect
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    p2p: SocketAddr,
    /// Where another validator is, for example 1=/ip4/192.0.2.7/tcp/7000; once for each
    #[arg(long = "peer", value_name = "INDEX=MULTIADDRESS")]
    peers: Vec<PeerArgument>,
}

#[derive(Debug, Clone)]
struct PeerArgument(Peer);

impl FromStr for PeerArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<PeerArgument, String> {
        let (index, address) = text.split_once('=').ok_or("write INDEX=ADDRESS")?;
        let index = index.parse().map_err(|error| format!("index {index:?}: {error}"))?;
        Ok(PeerArgument(Peer { index, address: address.to_string() }))
    }
}

pub(super) fn init(arguments: &Arguments) -> Result<(), Failure> {
    let home = Home::at(&arguments.home);
    match (&arguments.genesis, home.consensus_key_file().exists()) {
        (None, _) => init_keys(&home, arguments),
        (Some(genesis), false) => init_whole(&home, genesis, arguments),
        (Some(genesis), true) => init_rest(&home, genesis, arguments),
    }
}

/// Keys only; prints what a genesis needs of them.
fn init_keys(home: &Home, arguments: &Arguments) -> Result<(), Failure> {
    let (consensus, network) = keys(arguments)?;
    create_keys(home, &consensus, &network)?;
    let (consensus, network) = (consensus.public_key(), network.public_key());
    println!("{}", json!({ "event": "keys", "consensus_key": consensus, "network_key": network }));
    eprintln!(
        "put these keys into the genesis, then run: quorate-node init --home {} --genesis FILE",
        home.path().display()
    );
    Ok(())
}

/// Everything at once, with keys that were given.
fn init_whole(home: &Home, genesis: &Path, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.consensus_seed_file.is_none() {
        let home = home.path().display();
        return Err(Failure::config(format!(
            "{home}: there are no keys yet, and no genesis can name keys that do not exist; run `quorate-node init --home \
             {home}` first, or give the keys that the genesis names with --consensus-seed-file and --network-seed-file"
        )));
    }
    let genesis = read_genesis(genesis)?;
    let (consensus, network) = keys(arguments)?;
    let config = config(arguments);
    let new = NewHome { genesis: &genesis, consensus: &consensus, network: &network, config: &config };
    let index = create(home, &new)?;
    finish(home, index, &genesis.validators, arguments)
}

/// The second half, for keys that were made before.
fn init_rest(home: &Home, genesis: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let genesis = read_genesis(genesis)?;
    let index = found(home, &genesis, &config(arguments))?;
    finish(home, index, &genesis.validators, arguments)
}

fn finish(home: &Home, index: NodeIndex, validators: &ValidatorSet, arguments: &Arguments) -> Result<(), Failure> {
    if let Some(asked) = arguments.index
        && asked != index.0
    {
        return Err(Failure::config(format!(
            "the keys in {} are those of {index}, not of v{asked}; nothing is wrong with the home, run it as {index}",
            home.path().display()
        )));
    }
    if let Some(warning) = warning(validators.n()) {
        eprintln!("quorate-node: {warning}");
    }
    println!("{}", json!({ "event": "initialized", "node": index.to_string(), "home": home.path() }));
    Ok(())
}

/// What a chain of so few validators cannot promise (PROTOCOL 1.1).
fn warning(n: usize) -> Option<String> {
    let risk = match n {
        1 | 2 => "one lost vote journal stops the chain for good",
        3 => "one lying validator can fork the chain",
        _ => return None,
    };
    Some(format!("warning: {n} validators bear no fault at all: {risk}; four bear one"))
}

fn config(arguments: &Arguments) -> NodeConfig {
    NodeConfig {
        api: arguments.api,
        p2p: arguments.p2p,
        peers: arguments.peers.iter().map(|peer| peer.0.clone()).collect(),
        ..NodeConfig::default()
    }
}

fn keys(arguments: &Arguments) -> Result<(SecretKey, SecretKey), Failure> {
    let key = |file: &Option<PathBuf>| match file {
        Some(file) => read_seed(file),
        None => SecretKey::generate().map_err(Failure::internal),
    };
    Ok((key(&arguments.consensus_seed_file)?, key(&arguments.network_seed_file)?))
}

fn read_seed(file: &Path) -> Result<SecretKey, Failure> {
    let fail = |reason: &dyn std::fmt::Display| {
        Failure::config(format!("{}: {reason}; a seed file holds 64 hex digits", file.display()))
    };
    let mut text = zeroize::Zeroizing::new(String::with_capacity(SEED_FILE_BYTES_MAX as usize + 1));
    let opened = File::open(file).map_err(|error| fail(&error))?;
    opened.take(SEED_FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| fail(&error))?;
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), seed.as_mut_slice()).map_err(|error| fail(&error))?;
    Ok(SecretKey::from_seed(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sets_are_warned_of() {
        assert!(warning(1).unwrap().contains("for good"));
        assert!(warning(2).unwrap().contains("for good"));
        assert!(warning(3).unwrap().contains("fork"));
        assert_eq!(warning(4), None);
    }
}
