//! What a testnet is made of on disk: keys, a genesis, and one home for each node.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use quorate_cli::exit::Failure;
use quorate_cli::manifest::{MANIFEST_VERSION, Manifest, ManifestAccount, ManifestNode};
use quorate_cli::{clock, files, key_file};
use quorate_crypto::encode::BoundedVec;
use quorate_crypto::key::SecretKey;
use quorate_node::config::{NodeConfig, Peer};
use quorate_node::home::{Home, NewHome};
use quorate_protocol::document::genesis::{GENESIS_VERSION, GenesisAsset, GenesisBalance, GenesisMember};
use quorate_protocol::document::{AssetCode, Genesis, Parameters, Role, Roles, Scale, Validator, ValidatorSet};

use crate::directory::Directory;
use crate::random;

/// The asset that the ready accounts hold.
pub const ASSET: &str = "USD";
/// Its decimals.
const SCALE: u8 = 2;
/// What each of them holds, in minor units: 1,000,000.00.
const FUNDS: u128 = 100_000_000;
/// The accounts with funds.
pub const FUNDED: [&str; 3] = ["alice", "bob", "carol"];
/// The account that registers members and issues the asset.
pub const ADMIN: &str = "admin";
/// What an account's key file says of itself.
const NOTE: &str = "a ready-made key of a testnet: never use it for anything of value";

/// The keys of one node.
struct NodeKeys {
    consensus: SecretKey,
    network: SecretKey,
}

/// Makes a testnet of `count` nodes. It exists from the moment that its manifest does.
///
/// # Errors
/// When something cannot be written.
pub fn create(directory: &Directory, count: usize) -> Result<Manifest, Failure> {
    let workshop = directory.workshop();
    let unwritable = |error: std::io::Error| directory.unwritable(&error);
    // What an earlier attempt left half made.
    if workshop.exists() {
        fs::remove_dir_all(&workshop).map_err(unwritable)?;
    }
    let made = Directory::new(&workshop);
    fs::create_dir_all(made.keys()).map_err(unwritable)?;
    let accounts = create_accounts(&made)?;
    let nodes = create_nodes(&made, &accounts, count)?;
    for entry in fs::read_dir(&workshop).map_err(unwritable)?.flatten() {
        fs::rename(entry.path(), directory.path().join(entry.file_name())).map_err(unwritable)?;
    }
    fs::remove_dir(&workshop).map_err(unwritable)?;
    let manifest = manifest(directory, &accounts, &nodes)?;
    manifest.save(directory.path())?;
    Ok(manifest)
}

/// A ready account's name and key.
type Account = (&'static str, SecretKey);

fn create_accounts(made: &Directory) -> Result<Vec<Account>, Failure> {
    let names = FUNDED.into_iter().chain([ADMIN]);
    let accounts: Vec<Account> = names.map(|name| (name, SecretKey::from_seed(random::seed()))).collect();
    for (name, key) in &accounts {
        key_file::write(&made.keys().join(format!("{name}.json")), key, NOTE)?;
    }
    Ok(accounts)
}

/// Writes the genesis and the nodes' homes. Returns the nodes' names.
fn create_nodes(made: &Directory, accounts: &[Account], count: usize) -> Result<Vec<String>, Failure> {
    let key = || SecretKey::from_seed(random::seed());
    let keys: Vec<NodeKeys> = (0..count).map(|_| NodeKeys { consensus: key(), network: key() }).collect();
    let genesis = genesis(accounts, &keys)?;
    files::write(&made.genesis(), genesis.to_json().as_bytes()).map_err(|error| made.unwritable(&error))?;
    let names: Vec<String> = (0..count).map(|index| format!("v{index}")).collect();
    // At the same time: each waits for the disk.
    thread::scope(|scope| {
        let homes = names.iter().zip(&keys);
        let made: Vec<_> =
            homes.map(|(name, keys)| scope.spawn(|| create_node(&made.home(name), &genesis, keys))).collect();
        made.into_iter().try_for_each(|made| made.join().unwrap_or_else(|_| Err("it broke off".to_owned())))
    })
    .map_err(|reason| {
        Failure::internal(format!("a node's home cannot be made: {reason}"), "check the disk and its free space")
    })?;
    Ok(names)
}

/// Keys, configuration, vote log and first state of one node.
fn create_node(home: &Path, genesis: &Genesis, keys: &NodeKeys) -> Result<(), String> {
    let config = NodeConfig::default();
    let new = NewHome { genesis, consensus: &keys.consensus, network: &keys.network, config: &config };
    quorate_node::home::create(&Home::at(home), &new).map(drop).map_err(|error| error.to_string())
}

fn genesis(accounts: &[Account], keys: &[NodeKeys]) -> Result<Genesis, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::internal(format!("the genesis is wrong: {error}"), "report this fault")
    };
    let validators = keys
        .iter()
        .map(|keys| Validator { consensus_key: keys.consensus.public_key(), network_key: keys.network.public_key() });
    let code = AssetCode::new(ASSET).map_err(|error| wrong(&error))?;
    let members = accounts.iter().map(|(name, key)| GenesisMember {
        key: key.public_key(),
        roles: if *name == ADMIN { Roles::of(&[Role::Admin, Role::Issuer]) } else { Roles::of(&[Role::Member]) },
    });
    let scale = Scale::new(SCALE).map_err(|error| wrong(&error))?;
    let admins = accounts.iter().filter(|(name, _)| *name == ADMIN);
    let assets = admins.map(|(_, key)| GenesisAsset { code, scale, issuer: key.public_key() });
    let funded = accounts.iter().filter(|(name, _)| FUNDED.contains(name));
    let balances = funded.map(|(_, key)| GenesisBalance { account: key.public_key(), code, amount: FUNDS });
    let genesis = Genesis {
        version: GENESIS_VERSION,
        time: clock::now_ms(),
        parameters: Parameters::default(),
        validators: ValidatorSet::new(validators.collect()).map_err(|error| wrong(&error))?,
        members: bounded(members.collect())?,
        assets: bounded(assets.collect())?,
        balances: bounded(balances.collect())?,
    };
    genesis.check().map_err(|error| wrong(&error))?;
    Ok(genesis)
}

fn bounded<T, const MAX: usize>(values: Vec<T>) -> Result<BoundedVec<T, MAX>, Failure> {
    BoundedVec::try_from(values).map_err(|error| Failure::internal(error.to_string(), "report this fault"))
}

fn manifest(directory: &Directory, accounts: &[Account], nodes: &[String]) -> Result<Manifest, Failure> {
    let genesis = quorate_cli::genesis::load(&directory.genesis())?;
    // The addresses come with the first start.
    let node = |name: &String| ManifestNode {
        name: name.clone(),
        api: "http://127.0.0.1:0".to_owned(),
        p2p: "/ip4/127.0.0.1/tcp/0".to_owned(),
        home: directory.home(name),
    };
    let account = |(name, key): &Account| ManifestAccount {
        name: (*name).to_owned(),
        address: key.public_key(),
        key_file: directory.keys().join(format!("{name}.json")),
    };
    Ok(Manifest {
        version: MANIFEST_VERSION,
        chain_id: genesis.chain_id(),
        genesis: directory.genesis(),
        page: None,
        nodes: nodes.iter().map(node).collect(),
        accounts: accounts.iter().map(account).collect(),
    })
}

/// Writes the addresses of this start into a node's configuration, `peers` being where it reaches each other node; its clock
/// is right again. The rest stays as it is.
///
/// # Errors
/// Exit code 10 when the configuration is damaged, 1 when it cannot be written.
pub fn configure(
    home: &Path,
    (api, p2p): (SocketAddr, SocketAddr),
    peers: impl Iterator<Item = (usize, SocketAddr)>,
) -> Result<(), Failure> {
    let peer = |(index, address): (usize, SocketAddr)| Peer {
        // At most 31 validators.
        index: index as u8,
        address: format!("/ip4/{}/tcp/{}", address.ip(), address.port()),
    };
    let peers = peers.map(peer).collect();
    change(home, |old| NodeConfig { api, p2p, peers, clock_offset: 0, ..old })
}

/// Makes a node's clock wrong by so many milliseconds, from its next start on.
///
/// # Errors
/// As [`configure`].
pub fn set_clock_offset(home: &Path, clock_offset: i64) -> Result<(), Failure> {
    change(home, |old| NodeConfig { clock_offset, ..old })
}

fn change(home: &Path, change: impl FnOnce(NodeConfig) -> NodeConfig) -> Result<(), Failure> {
    let path = Home::at(home).config_file();
    let old = NodeConfig::load(&path).map_err(|error| {
        Failure::config("bad_node_config", error.to_string(), "mend the file, or remove its changes")
    })?;
    files::write(&path, change(old).to_toml().as_bytes()).map_err(|error| {
        Failure::internal(
            format!("{} cannot be written: {error}", path.display()),
            "check the directory's permissions, that its disk is not read-only, and the free space",
        )
    })
}

/// Removes a node's chain and vote log; its keys and its configuration stay. The node must not run. A vote log is born
/// with its key and never made anew, so that this node follows and does not vote from now on.
///
/// # Errors
/// When something cannot be removed.
pub fn wipe(home: &Path) -> Result<(), Failure> {
    let data = Home::at(home).data();
    for part in ["chain", "journal"] {
        let path = data.join(part);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::internal(
                    format!("{} cannot be removed: {error}", path.display()),
                    "check the directory's permissions",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the home holds a vote log, without which its node never votes.
pub fn has_vote_log(home: &Path) -> bool {
    fs::read_dir(Home::at(home).data().join("journal")).is_ok_and(|mut entries| entries.next().is_some())
}
