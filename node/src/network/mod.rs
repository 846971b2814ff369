//! Links between validators, and gossip.
//!
//! One tokio task owns a libp2p swarm: TCP, Noise and Yamux, with the validator set as the list of peers that are allowed.
//! Nothing learns an address that the configuration does not have.
//!
//! - Messages travel as [`Frame`]s on two long-lived streams per direction and peer, votes apart from bulk, each with
//!   priority queues inside. [`NetworkHandle::send`] puts a frame into a queue from any thread; the task of the connection
//!   takes it out. A full queue drops and counts; nothing ever waits for a slow peer.
//! - A peer is connected once the signed hello on its vote stream was accepted; the newest connection wins.
//! - Of two validators the lower index dials, and dials again when the connection is lost.
//! - Transactions travel by gossipsub, many in a message.
//! - What comes in is bounded per peer: see [`NetworkEvents`].
//!
//! What the payloads mean is not known here; signatures inside them are checked by who receives the events.

mod dialer;
mod events;
pub mod frame;
mod gossip;
mod handle;
mod handler;
pub mod hello;
mod outbox;
mod peer;
mod task;
#[cfg(test)]
mod tests;
mod transport;
mod votes;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::PeerId;
use libp2p::StreamProtocol;
use libp2p::gossipsub::IdentTopic;
use libp2p::identity::{Keypair, ed25519};
use libp2p::swarm::{Config as SwarmConfig, Swarm, SwarmEvent};
use quorate_crypto::key::random_seed;
use quorate_crypto::{Digest, PublicKey, SecretKey, Verifier};
use quorate_protocol::id::{Epoch, NodeIndex};
use quorate_protocol::limits::VALIDATORS_LIMIT;
use thiserror::Error;
use tokio::sync::watch;

pub use events::{GossipId, NetworkEvent, NetworkEvents, ReceivedFrame, ReceivedGossip, Verdict};
pub use frame::{Class, FRAME_VERSION, Frame, FrameError, PAYLOAD_BYTES_MAX};
pub use handle::NetworkHandle;
pub use libp2p::Multiaddr;
pub use peer::{LinkStatus, NetworkCounts};
pub(crate) use transport::port as tcp_port;

use dialer::{Backoff, Dial, Dialer};
use events::EventSender;
use handle::Shared;
use handler::{Patience, Protocols};
use peer::{Counters, Directory, Peer};
use task::{Behaviour, Task};
use votes::{Identity, Votes};

/// Inbound streams of one connection that may be negotiating at a time: two of ours and gossip's, with room.
const NEGOTIATING_STREAMS_MAX: usize = 8;

/// What a network needs to start.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Hash of the genesis; part of every protocol name.
    pub chain_id: Digest,
    /// The epoch that this node is in, for its hellos.
    pub epoch: Epoch,
    /// This node's place in the validator set.
    pub me: NodeIndex,
    /// Signs hellos.
    pub consensus_key: SecretKey,
    /// Signs nothing but Noise handshakes: the libp2p identity.
    pub network_key: SecretKey,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The validator set; an entry for this node itself is checked against its keys and otherwise ignored.
    pub peers: Vec<PeerConfig>,
    /// Delays and time-outs.
    pub timing: Timing,
}

/// One validator.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Its place in the validator set.
    pub index: NodeIndex,
    /// Signs its hellos and votes.
    pub consensus_key: PublicKey,
    /// Its libp2p identity.
    pub network_key: PublicKey,
    /// Where it listens. Only needed for peers with a higher index than this node's: those it dials.
    pub address: Option<Multiaddr>,
}

/// Delays and time-outs of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A stream that had nothing to say for so long carries a ping.
    pub ping_interval: Duration,
    /// A peer of which nothing was heard for so long is taken for dead; counted in whole ping intervals.
    pub silence_max: Duration,
    /// How long a new connection may take to prove who it is; counted in whole ping intervals.
    pub hello_max: Duration,
    /// First delay before a lost connection is dialled again; doubles with each failure.
    pub dial_delay_min: Duration,
    /// Largest delay between dials.
    pub dial_delay_max: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            ping_interval: Duration::from_secs(2),
            silence_max: Duration::from_secs(16),
            hello_max: Duration::from_secs(8),
            dial_delay_min: Duration::from_millis(50),
            dial_delay_max: Duration::from_secs(1),
        }
    }
}

impl Timing {
    fn patience(&self) -> Patience {
        let tick = self.ping_interval.max(Duration::from_millis(1));
        let ticks = |time: Duration| (time.as_millis() / tick.as_millis().max(1)).clamp(2, 1 << 20) as u32;
        Patience { tick, silent_ticks_max: ticks(self.silence_max), hello_ticks_max: ticks(self.hello_max) }
    }
}

/// Why the network does not start.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// Another process listens on the port, or the address is not this machine's.
    #[error(
        "cannot listen on {address}: {error}; stop the process that uses the port, or choose another one in node.toml"
    )]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the operating system says.
        error: String,
    },
    /// The genesis has another network key for this node.
    #[error(
        "the network key of this node is {actual}, but the genesis has {expected} for {index}: use the key file that was \
         made for this validator"
    )]
    OwnKey {
        /// This node's index.
        index: NodeIndex,
        /// Key in the genesis.
        expected: PublicKey,
        /// Key in the key file.
        actual: PublicKey,
    },
    /// A validator's network key is no Ed25519 key.
    #[error("the network key of {0} in the genesis is no Ed25519 public key")]
    PeerKey(NodeIndex),
    /// Two validators share an index or a network key.
    #[error("{0} appears twice among the validators, by index or by network key")]
    Twice(NodeIndex),
    /// Too many validators.
    #[error("{0} validators, at most {VALIDATORS_LIMIT} are possible")]
    TooMany(usize),
    /// A part of libp2p refused to start.
    #[error("the network could not be set up: {0}")]
    Setup(String),
}

/// Starts networks.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Listens, starts to dial, and returns a handle, the events, and the address that is listened on. Must be called
    /// inside a tokio runtime. The network runs until [`NetworkHandle::stop`], or until the events are dropped.
    ///
    /// # Errors
    /// When the port is taken or the configuration contradicts itself.
    pub async fn start(config: NetworkConfig) -> Result<(NetworkHandle, NetworkEvents, Multiaddr), NetworkError> {
        let keypair = keypair(&config.network_key)?;
        let directory = Arc::new(directory(&config)?);
        let counters = Arc::new(Counters::default());
        let (sender, events) = events::channel();
        let topic = IdentTopic::new(protocol_name(&config.chain_id, "tx"));
        let votes = votes(&config, &directory, &sender, &counters)?;
        let mut swarm = swarm(&keypair, &directory, votes, &topic)?;
        let address = listen(&mut swarm, config.listen).await?;
        let shared = Arc::new(Shared::new(directory, counters));
        let (running, watching) = watch::channel(());
        let dialer = dialer(&config, &shared.directory);
        tokio::spawn(Task { swarm, shared: Arc::clone(&shared), events: sender, dialer, topic, running }.run());
        Ok((NetworkHandle::new(shared, watching), events, address))
    }
}

/// `/quorate/1/<first 16 hex digits of the chain id>/<name>`: nodes of different chains have no protocol in common.
fn protocol_name(chain_id: &Digest, name: &str) -> String {
    format!("/quorate/1/{:.16}/{name}", chain_id.to_string())
}

fn setup(error: impl ToString) -> NetworkError {
    NetworkError::Setup(error.to_string())
}

fn keypair(key: &SecretKey) -> Result<Keypair, NetworkError> {
    let mut seed = key.seed();
    let secret = ed25519::SecretKey::try_from_bytes(seed.as_mut_slice()).map_err(setup)?;
    Ok(Keypair::from(ed25519::Keypair::from(secret)))
}

fn peer_id(index: NodeIndex, key: &PublicKey) -> Result<PeerId, NetworkError> {
    let key = ed25519::PublicKey::try_from_bytes(key.as_bytes()).map_err(|_| NetworkError::PeerKey(index))?;
    Ok(PeerId::from_public_key(&key.into()))
}

/// Checks the validator set and makes a peer of everybody else.
fn directory(config: &NetworkConfig) -> Result<Directory, NetworkError> {
    if config.peers.len() > VALIDATORS_LIMIT {
        return Err(NetworkError::TooMany(config.peers.len()));
    }
    let own_key = config.network_key.public_key();
    let mut keys = HashSet::from([own_key]);
    let mut indices = HashSet::from([config.me]);
    let mut peers = Vec::new();
    for peer in &config.peers {
        if peer.index == config.me {
            if peer.network_key != own_key {
                return Err(NetworkError::OwnKey { index: config.me, expected: peer.network_key, actual: own_key });
            }
            continue;
        }
        if !keys.insert(peer.network_key) || !indices.insert(peer.index) {
            return Err(NetworkError::Twice(peer.index));
        }
        let id = peer_id(peer.index, &peer.network_key)?;
        peers.push(Peer::new(peer.index, id, peer.consensus_key, peer.network_key));
    }
    Ok(Directory::new(peers))
}

fn votes(
    config: &NetworkConfig,
    directory: &Arc<Directory>,
    events: &EventSender,
    counters: &Arc<Counters>,
) -> Result<Votes, NetworkError> {
    let name = |name| StreamProtocol::try_from_owned(protocol_name(&config.chain_id, name)).map_err(setup);
    let identity = Identity {
        chain_id: config.chain_id,
        epoch: config.epoch,
        me: config.me,
        consensus_key: config.consensus_key.clone(),
        network_key: config.network_key.public_key(),
    };
    Ok(Votes::new(
        identity,
        Protocols { vote: name("vote")?, sync: name("sync")? },
        config.timing.patience(),
        Arc::clone(directory),
        events.clone(),
        Arc::clone(counters),
        Verifier::new(*random_seed().map_err(setup)?, VALIDATORS_LIMIT),
    ))
}

fn swarm(
    keypair: &Keypair,
    directory: &Directory,
    votes: Votes,
    topic: &IdentTopic,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let peers: Vec<PeerId> = directory.iter().map(|peer| peer.id).collect();
    let gossip = gossip::behaviour(peers.len(), topic).map_err(setup)?;
    let transport = transport::transport(keypair).map_err(setup)?;
    let config = SwarmConfig::with_tokio_executor().with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS_MAX);
    let behaviour = Behaviour::new(&peers, votes, gossip);
    Ok(Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config))
}

/// Listens and waits for the port.
async fn listen(swarm: &mut Swarm<Behaviour>, address: SocketAddr) -> Result<Multiaddr, NetworkError> {
    let refused = |error: String| NetworkError::Listen { address, error };
    if address.port() != 0 {
        transport::probe(address).map_err(|error| refused(error.to_string()))?;
    }
    swarm.listen_on(transport::multiaddr(address)).map_err(|error| refused(error.to_string()))?;
    loop {
        match swarm.select_next_some().await {
            // With an address for all interfaces libp2p names one interface after the other; the port is the same.
            SwarmEvent::NewListenAddr { address: found, .. } => {
                let port = transport::port(&found).unwrap_or(address.port());
                return Ok(transport::multiaddr(SocketAddr::new(address.ip(), port)));
            }
            SwarmEvent::ListenerError { error, .. } => return Err(refused(error.to_string())),
            SwarmEvent::ListenerClosed { reason, .. } => return Err(refused(format!("{reason:?}"))),
            _ => {}
        }
    }
}

/// The peers with a higher index are ours to dial.
fn dialer(config: &NetworkConfig, directory: &Directory) -> Dialer {
    let mut targets = Vec::new();
    for peer in config.peers.iter().filter(|peer| peer.index > config.me) {
        match (&peer.address, directory.get(peer.index)) {
            (Some(address), Some(known)) => {
                targets.push(Dial { index: peer.index, id: known.id, address: address.clone() });
            }
            _ => tracing::warn!(peer = %peer.index, "no address configured: this node cannot connect to it"),
        }
    }
    let backoff = Backoff { min: config.timing.dial_delay_min, max: config.timing.dial_delay_max };
    Dialer::new(targets, backoff, Instant::now())
}
