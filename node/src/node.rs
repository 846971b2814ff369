//! One running node: everything is opened and started here, and stopped in the reverse order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, available_parallelism};

use axum::body::Bytes;
use quorate_crypto::key::SecretKey;
use quorate_protocol::document::Genesis;
use quorate_protocol::id::Epoch;
use quorate_protocol::ledger::Ledger;
use quorate_protocol::pbft::Config as EngineConfig;
use quorate_protocol::replica::{DurableState, Input, JournalEntry, Replica, ReplicaConfig};
use quorate_protocol::store::{Store, StoreError};
use quorate_storage::data::DataDirectory;
use quorate_storage::journal::{Journal, Options, Recovered};
use quorate_storage::rocks::{RocksStore, StoreOptions};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{ConfigError, NodeConfig};
use crate::execute::{Executor, Surroundings};
use crate::halt::Halt;
use crate::home::{Home, HomeError, Keys, index_in, journal_folder, journal_identity};
use crate::http::{Api, Identity, Load, Server, bind};
use crate::inbox::Inbox;
use crate::members::Members;
use crate::network::{
    Multiaddr, Network, NetworkConfig, NetworkError, NetworkEvent, NetworkEvents, NetworkHandle, PeerConfig, Timing,
};
use crate::persist::Persist;
use crate::pump::{self, Begin};
use crate::receipts::Receipts;
use crate::recent::RecentlyVerified;
use crate::send::Outbound;
use crate::serve;
use crate::telemetry::Counters;
use crate::verify::{Edge, VerifyQueue, spawn_workers};
use crate::waiters::Waiters;

/// Threads of the async runtime: one can carry the network while the other serves clients.
const RUNTIME_THREADS: usize = 2;
/// How long the runtime may take to end its tasks, once all were told to.
const RUNTIME_PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

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

/// Threads of a node that did not end as they should.
#[derive(Debug, Error)]
#[error("threads panicked: {0}")]
pub struct StopError(String);

/// A running node.
pub struct Node {
    identity: Identity,
    api: SocketAddr,
    p2p: Multiaddr,
    network: NetworkHandle,
    server: Server,
    inbox: Arc<Inbox>,
    verify: Arc<VerifyQueue>,
    waiters: Arc<Waiters>,
    counters: Arc<Counters>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    runtime: Runtime,
    /// Last: the lock goes when everything else is closed.
    _data: DataDirectory,
}

impl Node {
    /// Opens the home, recovers what is durable, and starts everything.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub fn start(home: &Home) -> Result<Node, StartError> {
        let opened = Opened::open(home)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("tokio")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let address = opened.config.api;
        let listener = runtime.block_on(bind(address)).map_err(|error| StartError::Api { address, error })?;
        let api = listener.local_addr().map_err(|error| StartError::Api { address, error })?;
        let (network, events, p2p) = runtime.block_on(Network::start(opened.network_config()?))?;
        let shared = Shared::new(&opened, network.clone());
        let identity = opened.identity.clone();
        let context = shared.api(&opened);
        let started = start_threads(opened, &shared).inspect_err(|_| {
            shared.verify.close();
            shared.inbox.close();
        })?;
        runtime.spawn(receive(events, Arc::clone(&shared.inbox), Arc::clone(&shared.verify)));
        let server = {
            let _inside = runtime.enter();
            Server::start(listener, Arc::new(context))
        };
        info!(node = %identity.index, chain = %identity.chain_id, %api, %p2p, "started");
        Ok(Node {
            identity,
            api,
            p2p,
            network,
            server,
            inbox: shared.inbox,
            verify: shared.verify,
            waiters: shared.waiters,
            counters: shared.counters,
            stopping: shared.stopping,
            threads: started.threads,
            runtime,
            _data: started.data,
        })
    }

    /// Where the API listens.
    pub fn api_address(&self) -> SocketAddr {
        self.api
    }

    /// Where peers connect.
    pub fn p2p_address(&self) -> &Multiaddr {
        &self.p2p
    }

    /// Who the node is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Waits for `future` on the node's own runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Stops: no new clients, waiting ones are answered, what waits for the journal is synced and sent, the store is closed.
    ///
    /// # Errors
    /// A thread had panicked.
    pub fn stop(self) -> Result<(), StopError> {
        self.waiters.stop();
        self.runtime.block_on(self.server.stop());
        self.stopping.store(true, Ordering::Relaxed);
        self.verify.close();
        self.inbox.close();
        let mut panicked = Vec::new();
        for thread in self.threads {
            let name = thread.thread().name().unwrap_or("unnamed").to_string();
            if thread.join().is_err() {
                panicked.push(name);
            }
        }
        self.runtime.block_on(self.network.stop());
        self.runtime.shutdown_timeout(RUNTIME_PATIENCE);
        info!(dropped = ?self.counters.all(), "stopped");
        if panicked.is_empty() { Ok(()) } else { Err(StopError(panicked.join(", "))) }
    }
}

/// A home, opened and read.
struct Opened {
    config: NodeConfig,
    config_file: std::path::PathBuf,
    genesis: Arc<Genesis>,
    consensus: SecretKey,
    network: SecretKey,
    identity: Identity,
    data: DataDirectory,
    store: Arc<dyn Store>,
    ledger: Ledger,
    durable: DurableState,
    journal: Option<Journal<JournalEntry>>,
}

impl Opened {
    fn open(home: &Home) -> Result<Opened, StartError> {
        let config = NodeConfig::load(&home.config_file())?;
        let genesis = home.genesis()?;
        let keys = Keys::load(home)?;
        let index = index_in(&genesis, &keys.consensus.public_key(), &keys.network.public_key())?;
        let data = open_data(home)?;
        let store = RocksStore::open(&data.chain(), StoreOptions::default())?;
        store.initialize(&genesis)?;
        let ledger = Ledger::open(&genesis, &store)?;
        let interval = genesis.parameters.checkpoint_interval;
        let mut durable = DurableState::read(&store, None, ledger.executed().clone(), interval)?;
        let chain_id = genesis.chain_id();
        let identity = journal_identity(&chain_id, &keys.consensus);
        let folder = journal_folder(&data)?;
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
        Ok(Opened {
            config,
            config_file: home.config_file(),
            genesis: Arc::new(genesis),
            consensus: keys.consensus,
            network: keys.network,
            identity: Identity { index, chain_id, amnesiac },
            data,
            store: Arc::new(store),
            ledger,
            durable,
            journal,
        })
    }

    fn network_config(&self) -> Result<NetworkConfig, ConfigError> {
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

    fn replica_config(&self) -> ReplicaConfig {
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

/// What several threads share.
struct Shared {
    clock: Clock,
    halt: Arc<Halt>,
    counters: Arc<Counters>,
    inbox: Arc<Inbox>,
    verify: Arc<VerifyQueue>,
    waiters: Arc<Waiters>,
    members: Arc<Members>,
    network: NetworkHandle,
    stopping: Arc<AtomicBool>,
}

impl Shared {
    fn new(opened: &Opened, network: NetworkHandle) -> Shared {
        Shared {
            clock: Clock::start(),
            halt: Arc::default(),
            counters: Arc::default(),
            inbox: Arc::default(),
            verify: Arc::default(),
            waiters: Waiters::new(opened.config.limits.waiters_max),
            members: Arc::new(Members::new(Arc::clone(&opened.store))),
            network,
            stopping: Arc::default(),
        }
    }

    fn api(&self, opened: &Opened) -> Api {
        Api {
            identity: opened.identity.clone(),
            genesis: Arc::clone(&opened.genesis),
            genesis_json: Bytes::from(opened.genesis.to_json()),
            store: Arc::clone(&opened.store),
            receipts: Receipts::new(Arc::clone(&opened.store)),
            inbox: Arc::clone(&self.inbox),
            verify: Arc::clone(&self.verify),
            waiters: Arc::clone(&self.waiters),
            halt: Arc::clone(&self.halt),
            network: self.network.clone(),
            counters: Arc::clone(&self.counters),
            load: Arc::new(Load::new(opened.config.limits.requests_max)),
        }
    }

    fn edge(&self, opened: &Opened) -> Edge {
        Edge {
            queue: Arc::clone(&self.verify),
            inbox: Arc::clone(&self.inbox),
            network: self.network.clone(),
            members: Arc::clone(&self.members),
            recent: RecentlyVerified::default(),
            context: opened.replica_config().engine.verify_context(),
            transaction_bytes_max: opened.genesis.parameters.transaction_bytes_max as usize,
            counters: Arc::clone(&self.counters),
        }
    }
}

struct Started {
    threads: Vec<JoinHandle<()>>,
    data: DataDirectory,
}

/// Starts all threads. Should one not start, those before it end as their queues are dropped or closed.
fn start_threads(opened: Opened, shared: &Shared) -> Result<Started, StartError> {
    let halt = &shared.halt;
    let outbound = Outbound::new(shared.network.clone(), Arc::clone(&shared.counters));
    let config = opened.replica_config();
    let workers = verify_threads(&opened.config);
    let mut threads = spawn_workers(Arc::new(shared.edge(&opened)), workers, halt).map_err(StartError::Threads)?;
    let Opened { consensus, data, store, ledger, durable, journal, .. } = opened;
    let (persist, thread) =
        Persist::start(journal, outbound.clone(), Arc::clone(&shared.inbox), halt).map_err(StartError::Threads)?;
    threads.push(thread);
    let around = Surroundings {
        store: Arc::clone(&store),
        inbox: Arc::clone(&shared.inbox),
        members: Arc::clone(&shared.members),
        waiters: Arc::clone(&shared.waiters),
        halt: Arc::clone(halt),
    };
    let (execute, thread) = Executor::start(ledger, around, &shared.stopping).map_err(StartError::Threads)?;
    threads.push(thread);
    let (serve, thread) = serve::start(store, outbound.clone(), halt).map_err(StartError::Threads)?;
    threads.push(thread);
    let begin = Begin {
        persist,
        execute,
        serve,
        outbound,
        waiters: Arc::clone(&shared.waiters),
        halt: Arc::clone(halt),
        counters: Arc::clone(&shared.counters),
    };
    let replica = Replica::recover(config, consensus, durable, shared.clock.now());
    // The pump first: when it ends it drops the queues that the others wait on.
    let pump = pump::start(replica, Arc::clone(&shared.inbox), shared.clock, begin).map_err(StartError::Threads)?;
    threads.insert(0, pump);
    Ok(Started { threads, data })
}

fn verify_threads(config: &NodeConfig) -> usize {
    match config.limits.verify_threads {
        0 => available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

/// Passes on what the network receives, until it stops.
async fn receive(mut events: NetworkEvents, inbox: Arc<Inbox>, verify: Arc<VerifyQueue>) {
    while let Some(event) = events.recv().await {
        match event {
            NetworkEvent::Connected(peer) => inbox.answer(Input::PeerUp(peer)),
            NetworkEvent::Disconnected(peer) => inbox.answer(Input::PeerDown(peer)),
            NetworkEvent::Frame(frame) => verify.push_frame(frame),
            NetworkEvent::Gossip(gossip) => verify.push_gossip(gossip),
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("identity", &self.identity).field("api", &self.api).finish_non_exhaustive()
    }
}
