//! Opening a home: everything that a node needs from its disk, read and checked, before anything runs.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use quorate_crypto::key::SecretKey;
use quorate_protocol::document::Genesis;
use quorate_protocol::id::Epoch;
use quorate_protocol::ledger::Ledger;
use quorate_protocol::pbft::Config as EngineConfig;
use quorate_protocol::replica::{DurableState, JournalEntry, ReplicaConfig};
use quorate_protocol::store::{Store, StoreError};
use quorate_storage::data::DataDirectory;
use quorate_storage::files::Files;
use quorate_storage::journal::{Journal, Options, Recovered};
use quorate_storage::rocks::{RocksStore, StoreOptions};
use thiserror::Error;
use tracing::{info, warn};

use crate::config::{ConfigError, NodeConfig};
use crate::fault::Fault;
use crate::home::{Home, HomeError, Keys, index_in, journal_folder, journal_identity};
use crate::http::Identity;
use crate::network::{Multiaddr, NetworkConfig, NetworkError, PeerConfig, Timing};
use crate::repair;

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Something in its home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The HTTP API.
    #[error(
        "cannot serve the API on {address}: {error}; stop the process that uses the port, or change `api` in node.toml"
    )]
    Api {
        /// The configured address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// Threads.
    #[error("the operating system gives no more threads: {0}")]
    Threads(io::Error),
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> StartError {
        StartError::Home(error.into())
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> StartError {
        StartError::Home(error.into())
    }
}

/// Puts something before the chain store.
pub type StoreDoor = Arc<dyn Fn(RocksStore) -> Arc<dyn Store> + Send + Sync>;
/// Puts something before the files of the vote journal.
pub type FilesDoor = Arc<dyn Fn(Arc<dyn Files>) -> Arc<dyn Files> + Send + Sync>;

/// How a node is started, where that is not all in its home.
#[derive(Clone, Default)]
pub struct Start {
    /// Where the API and the network listen, instead of where `node.toml` says: a node that starts again stays where it was.
    pub listen: Option<(SocketAddr, SocketAddr)>,
    /// Read the whole chain store first, and take damage anywhere for damage.
    pub thorough: bool,
    /// What stands before the chain store: in tests, a disk that fails.
    pub store_door: Option<StoreDoor>,
    /// What stands before the journal's files: in tests, a disk that fails.
    pub files_door: Option<FilesDoor>,
}

/// A home, opened and read.
pub(crate) struct Opened {
    pub config: NodeConfig,
    pub config_file: PathBuf,
    pub genesis: Arc<Genesis>,
    pub consensus: SecretKey,
    pub network: SecretKey,
    pub identity: Identity,
    pub data: DataDirectory,
    pub store: Arc<dyn Store>,
    pub ledger: Ledger,
    pub durable: DurableState,
    pub journal: Option<Journal<JournalEntry>>,
}

impl Opened {
    /// Opens a home. A chain store that is found damaged is moved aside, once, and the node begins with an empty one.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn open(home: &Home, start: &Start) -> Result<Opened, StartError> {
        repair::check(home)?;
        match Opened::read(home, start) {
            Err(StartError::Home(HomeError::Store(error @ StoreError::Corrupt { .. }))) => {
                repair::set_aside(home, &Fault::Damaged(error.to_string()))?;
                Opened::read(home, start)
            }
            other => other,
        }
    }

    fn read(home: &Home, start: &Start) -> Result<Opened, StartError> {
        let mut config = NodeConfig::load(&home.config_file())?;
        if let Some((api, p2p)) = start.listen {
            (config.api, config.p2p) = (api, p2p);
        }
        let genesis = home.genesis()?;
        let keys = Keys::load(home)?;
        let index = index_in(&genesis, &keys.consensus.public_key(), &keys.network.public_key())?;
        let data = open_data(home)?;
        let store = RocksStore::open(&data.chain(), StoreOptions::default())?;
        store.initialize(&genesis)?;
        if start.thorough {
            store.check_all()?;
        }
        let ledger = Ledger::open(&genesis, &store)?;
        let interval = genesis.parameters.checkpoint_interval;
        let mut durable = DurableState::read(&store, None, ledger.executed().clone(), interval)?;
        let chain_id = genesis.chain_id();
        let identity = journal_identity(&chain_id, &keys.consensus);
        let folder = journal_folder(&data)?;
        let folder = match &start.files_door {
            Some(door) => door(folder),
            None => folder,
        };
        let recovered =
            Journal::open(folder, identity, durable.low.get(), Options::default()).map_err(HomeError::from)?;
        let (journal, entries, amnesiac) = match recovered {
            Recovered::Whole { journal, entries } => (Some(journal), Some(entries), None),
            Recovered::Amnesiac { reason } => {
                (None, None, Some(format!("the vote journal cannot be trusted: {reason}")))
            }
        };
        if let Some(reason) = &amnesiac {
            warn!(reason, "this node follows and serves, and does not vote");
        }
        durable.entries = entries;
        info!(height = %durable.executed, low = %durable.low, "recovered");
        let store: Arc<dyn Store> = match &start.store_door {
            Some(door) => door(store),
            None => Arc::new(store),
        };
        Ok(Opened {
            config,
            config_file: home.config_file(),
            genesis: Arc::new(genesis),
            consensus: keys.consensus,
            network: keys.network,
            identity: Identity { index, chain_id, amnesiac },
            data,
            store,
            ledger,
            durable,
            journal,
        })
    }

    pub fn network_config(&self) -> Result<NetworkConfig, ConfigError> {
        let fail = |what: &str, reason: String, remedy: &str| ConfigError::new(&self.config_file, what, reason, remedy);
        let members = self.genesis.validators.members();
        let mut peers: Vec<PeerConfig> = self
            .genesis
            .validators
            .indices()
            .zip(members)
            .map(|(index, validator)| PeerConfig {
                index,
                consensus_key: validator.consensus_key,
                network_key: validator.network_key,
                address: None,
            })
            .collect();
        for peer in &self.config.peers {
            let what = format!("peers, index {}", peer.index);
            let Some(entry) = peers.get_mut(usize::from(peer.index)) else {
                let reason = format!("the genesis has validators 0 to {}", members.len() - 1);
                return Err(fail(&what, reason, "remove the entry, or use the right genesis file"));
            };
            let address = peer.address.parse::<Multiaddr>();
            let remedy = "write it as /ip4/192.0.2.7/tcp/7000";
            entry.address = Some(address.map_err(|error| fail(&what, format!("address: {error}"), remedy))?);
        }
        Ok(NetworkConfig {
            chain_id: self.identity.chain_id,
            epoch: Epoch(0),
            me: self.identity.index,
            consensus_key: self.consensus.clone(),
            network_key: self.network.clone(),
            listen: self.config.p2p,
            peers,
            timing: Timing::default(),
        })
    }

    pub fn replica_config(&self) -> ReplicaConfig {
        let parameters = &self.genesis.parameters;
        let validators = self.genesis.validators.clone();
        let engine = EngineConfig::new(self.identity.chain_id, validators, Some(self.identity.index), parameters);
        ReplicaConfig::new(engine, parameters.clone())
    }
}

/// Opens the data directory. Where there is none at all it was wiped: the chain comes back from the peers, the vote journal
/// does not.
fn open_data(home: &Home) -> Result<DataDirectory, HomeError> {
    let path = home.data();
    if path.exists() {
        return Ok(DataDirectory::open(path)?);
    }
    warn!(path = %path.display(), "the data directory is gone; the chain is fetched from the peers");
    Ok(DataDirectory::create(path)?)
}
