//! One running node: everything is opened and started here, and stopped in the reverse order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, available_parallelism};

use axum::body::Bytes;
use quorate_protocol::id::NodeIndex;
use quorate_protocol::replica::{Input, Replica};
use quorate_storage::data::DataDirectory;
use rustix::process::{Resource, getrlimit};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::certified::Certified;
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::event_blocks::EventBlocks;
use crate::execute::{Executor, Surroundings};
use crate::fault::Fault;
use crate::halt::Halt;
use crate::home::Home;
use crate::http::{Access, Api, Identity, Load, PAGE_READERS_MAX, Server, Tls, bind};
use crate::inbox::Inbox;
use crate::members::Members;
use crate::network::{Multiaddr, Network, NetworkEvent, NetworkEvents, NetworkHandle, tcp_port};
use crate::open::{Opened, Start, StartError};
use crate::persist::Persist;
use crate::pump::{self, Begin};
use crate::receipts::Receipts;
use crate::recent::RecentlyVerified;
use crate::repair;
use crate::send::Outbound;
use crate::serve;
use crate::telemetry::Counters;
use crate::verify::{Edge, VerifyQueue, spawn_workers};
use crate::waiters::Waiters;

/// How long a runtime may take to end its tasks, once all were told to.
const RUNTIME_PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

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
    certified: Arc<Certified>,
    counters: Arc<Counters>,
    halt: Arc<Halt>,
    /// How it was started, and where it listens.
    start: Start,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    runtimes: Runtimes,
    /// Last: the lock goes when everything else is closed.
    _data: DataDirectory,
}

impl Node {
    /// Opens the home, recovers what is durable, and starts everything.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub fn start(home: &Home) -> Result<Node, StartError> {
        Node::start_with(home, Start::default())
    }

    /// Like [`Node::start`], with something otherwise than in the home.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub fn start_with(home: &Home, mut start: Start) -> Result<Node, StartError> {
        let opened = Opened::open(home, &start)?;
        let access = Access::load(&opened.config, &opened.config_file, home.path())?;
        let tls = Tls::load(&opened.config, home.path())?;
        let runtimes = Runtimes::new().map_err(StartError::Threads)?;
        let address = opened.config.api;
        let listener = runtimes.api.block_on(bind(address)).map_err(|error| StartError::Api { address, error })?;
        let api = listener.local_addr().map_err(|error| StartError::Api { address, error })?;
        let (network, events, p2p) = runtimes.network.block_on(Network::start(opened.network_config()?))?;
        let port = tcp_port(&p2p).unwrap_or(opened.config.p2p.port());
        start.listen = Some((api, SocketAddr::new(opened.config.p2p.ip(), port)));
        let shared = Shared::new(&opened, network.clone())?;
        let identity = opened.identity.clone();
        let context = shared.api(&opened, access);
        let clock_offset = opened.config.clock_offset;
        let started = start_threads(opened, &shared).inspect_err(|_| {
            shared.verify.close();
            shared.inbox.close();
        })?;
        runtimes.network.spawn(receive(events, Arc::clone(&shared.inbox), Arc::clone(&shared.verify)));
        let server = {
            let _inside = runtimes.api.enter();
            Server::start(listener, tls, Arc::new(context))
        };
        info!(node = %identity.index, chain = %identity.chain_id, %api, %p2p, "started");
        if clock_offset != 0 {
            warn!(clock_offset, "the clock is wrong by so many milliseconds, as node.toml demands");
        }
        Ok(Node {
            identity,
            api,
            p2p,
            network,
            server,
            inbox: shared.inbox,
            verify: shared.verify,
            waiters: shared.waiters,
            certified: shared.certified,
            counters: shared.counters,
            halt: shared.halt,
            start,
            stopping: shared.stopping,
            threads: started.threads,
            runtimes,
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

    /// Waits for `future` on the runtime that serves clients.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtimes.api.block_on(future)
    }

    /// Waits until the chain store is at fault. One may wait at a time.
    pub async fn fault(&self) -> Fault {
        self.halt.fault().await
    }

    /// Stops, and starts again where it listens, as the fault demands: after a divergence with an empty chain store, after
    /// damage with one that was read whole.
    ///
    /// # Errors
    /// See [`StartError`]; a second fault of the store is one of them.
    pub fn restart(self, home: &Home, fault: &Fault) -> Result<Node, StartError> {
        let start = Start { thorough: matches!(fault, Fault::Damaged(_)), ..self.start.clone() };
        if let Err(error) = self.stop() {
            warn!(%error, "stopped for a restart");
        }
        if matches!(fault, Fault::Diverged { .. }) {
            repair::set_aside(home, fault)?;
        }
        Node::start_with(home, start)
    }

    /// Stops: no new clients, waiting ones are answered, what waits for the journal is synced and sent, the store is closed.
    ///
    /// # Errors
    /// A thread had panicked.
    pub fn stop(self) -> Result<(), StopError> {
        self.waiters.stop();
        self.certified.stop();
        self.runtimes.api.block_on(self.server.stop());
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
        self.runtimes.network.block_on(self.network.stop());
        self.runtimes.api.shutdown_timeout(RUNTIME_PATIENCE);
        self.runtimes.network.shutdown_timeout(RUNTIME_PATIENCE);
        info!(dropped = ?self.counters.all(), "stopped");
        if panicked.is_empty() { Ok(()) } else { Err(StopError(panicked.join(", "))) }
    }
}

/// The async runtimes, of one thread each: clients, however many, never delay the network; and a task of the network that wakes
/// another wakes no thread for it, which costs more than the task.
struct Runtimes {
    network: Runtime,
    api: Runtime,
}

impl Runtimes {
    fn new() -> std::io::Result<Runtimes> {
        let start = |name: &str| Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build();
        Ok(Runtimes { network: start("network")?, api: start("api")? })
    }
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
    certified: Arc<Certified>,
    network: NetworkHandle,
    stopping: Arc<AtomicBool>,
}

impl Shared {
    fn new(opened: &Opened, network: NetworkHandle) -> Result<Shared, StartError> {
        Ok(Shared {
            clock: Clock::start(opened.config.clock_offset),
            halt: Arc::default(),
            counters: Arc::default(),
            inbox: Arc::default(),
            verify: Arc::default(),
            waiters: Waiters::new(opened.config.limits.waiters_max),
            members: Arc::new(Members::new(Arc::clone(&opened.store))),
            certified: Arc::new(Certified::of(Arc::clone(&opened.store))?),
            network,
            stopping: Arc::default(),
        })
    }

    fn api(&self, opened: &Opened, access: Access) -> Api {
        let limits = &opened.config.limits.within(files_max());
        let addresses = opened.config.peers.iter().map(|peer| (NodeIndex(peer.index), peer.address.clone()));
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
            load: Arc::new(Load::new(limits)),
            clock_offset: opened.config.clock_offset,
            certified: Arc::clone(&self.certified),
            event_blocks: EventBlocks::new(Arc::clone(&opened.store)),
            event_streams: Arc::new(Semaphore::new(limits.event_streams_max)),
            event_streams_max: limits.event_streams_max,
            page_readers: Arc::new(Semaphore::new(PAGE_READERS_MAX)),
            clock: self.clock,
            addresses: addresses.collect(),
            access,
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

/// How many files this process may open.
fn files_max() -> usize {
    let most = getrlimit(Resource::Nofile).current;
    most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
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
        certified: Arc::clone(&shared.certified),
        counters: Arc::clone(&shared.counters),
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
