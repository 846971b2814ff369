//! What this node is, does, and waits for.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::Code;
use quorate_protocol::api::http::{
    ConsensusResponse, DropCount, NodeState, PeerDetails, PeerView, PeersResponse, PoolStatus, Standstill,
    StatusResponse, ValidatorView, ValidatorsResponse, VersionResponse,
};
use quorate_protocol::document::parameters::PROTOCOL_VERSION;
use quorate_protocol::id::{Height, NodeIndex, Sequence};
use quorate_protocol::replica::ReplicaStatus;
use quorate_protocol::store::{Head, StoreError};

use super::context::Api;
use super::problem::Refusal;
use super::standing::{Facts, lasting, names, not_ready, reasons, view_change, waits_for_view};
use crate::network::LinkStatus;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /v1/status`
pub async fn status(State(api): State<Arc<Api>>) -> Result<Json<StatusResponse>, Refusal> {
    let replica = api.replica_status().await?;
    let head = head(&api)?;
    let (state, reason) = state_of(&api, &replica);
    let me = api.identity.index;
    Ok(Json(StatusResponse {
        node: me.to_string(),
        index: Some(me),
        chain_id: api.identity.chain_id,
        version: VERSION.to_string(),
        state,
        reason,
        height: head.height,
        certified_height: replica.engine.certified,
        header_hash: head.header_hash,
        state_root: head.header.state_root,
        time: head.header.time,
        view: replica.engine.view,
        active: replica.engine.active,
        primary: replica.engine.primary.to_string(),
        view_change: view_change(&replica.engine, api.validators()),
        epoch: replica.engine.epoch,
        is_primary: replica.engine.primary == me,
        voting: is_voting(&api, &replica),
        peers_connected: api.network.connected().len(),
        clock_offset: api.clock_offset,
        pool: PoolStatus { count: replica.pool.count as u64, bytes: replica.pool.bytes as u64 },
    }))
}

/// `GET /v1/consensus`
pub async fn consensus(State(api): State<Arc<Api>>) -> Result<Json<ConsensusResponse>, Refusal> {
    let replica = api.replica_status().await?;
    let engine = &replica.engine;
    let validators = api.validators();
    let links = Links::of(&api);
    let reasons = standing(&api, &replica);
    let height_of = |index: NodeIndex| {
        let told = engine.peer_heights.iter().find(|(peer, _)| *peer == index);
        told.map_or(Height::ZERO, |(_, height)| *height)
    };
    let others = validators.indices().filter(|index| *index != api.identity.index);
    let peers = others.map(|index| PeerView {
        name: index.to_string(),
        connected: links.connected.contains(&index),
        height: height_of(index),
    });
    Ok(Json(ConsensusResponse {
        epoch: engine.epoch,
        view: engine.view,
        active: engine.active,
        primary: engine.primary.to_string(),
        low: Sequence::from(engine.low),
        high: Sequence::from(engine.high),
        executed: engine.executed,
        certified: engine.certified,
        n: validators.n(),
        f: validators.f(),
        quorum: validators.quorum(),
        connected: names(&links.connected),
        missing: names(&links.missing),
        standing_still: lasting(&reasons),
        peers: peers.collect(),
        reasons,
    }))
}

/// `GET /v1/peers`
pub async fn peers(State(api): State<Arc<Api>>) -> Result<Json<PeersResponse>, Refusal> {
    let engine = api.replica_status().await?.engine;
    let now = api.clock.now().wall;
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let details = |link: LinkStatus| {
        let told = engine.peer_heights.iter().find(|(peer, _)| *peer == link.index);
        let dropped = api.counters.of(link.index).into_iter();
        Some(PeerDetails {
            name: link.index.to_string(),
            index: link.index,
            network_key: api.validators().members().get(link.index.as_usize())?.network_key,
            address: api.addresses.get(&link.index).cloned(),
            connected: link.connected.is_some(),
            since: link.connected.map(|connected| now.saturating_sub(millis(connected))),
            silent_ms: link.silent.map(millis),
            height: told.map_or(Height::ZERO, |(_, height)| *height),
            dropped: dropped.map(|(reason, count)| DropCount { reason: reason.to_owned(), count }).collect(),
        })
    };
    Ok(Json(PeersResponse { peers: api.network.links().into_iter().filter_map(details).collect() }))
}

/// `GET /v1/validators`
pub async fn validators(State(api): State<Arc<Api>>) -> Result<Json<ValidatorsResponse>, Refusal> {
    let replica = api.replica_status().await?;
    let set = api.validators();
    let links = Links::of(&api);
    let view = |(index, validator): (NodeIndex, &quorate_protocol::document::Validator)| ValidatorView {
        name: index.to_string(),
        index,
        consensus_key: validator.consensus_key,
        network_key: validator.network_key,
        is_primary: replica.engine.primary == index,
        connected: links.connected.contains(&index),
    };
    Ok(Json(ValidatorsResponse {
        epoch: replica.engine.epoch,
        n: set.n(),
        f: set.f(),
        quorum: set.quorum(),
        validators: set.indices().zip(set.members()).map(view).collect(),
    }))
}

/// `GET /livez`: the process answers.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the node can take part in committing transactions at this moment.
pub async fn readyz(State(api): State<Arc<Api>>) -> Result<(StatusCode, &'static str), Refusal> {
    let replica = api.replica_status().await?;
    match not_ready(&standing(&api, &replica)) {
        None => Ok((StatusCode::OK, "ready\n")),
        Some(reason) => Err(Refusal::new(Code::NotReady, reason)),
    }
}

/// `GET /version`
pub async fn version() -> Json<VersionResponse> {
    Json(VersionResponse { version: VERSION.to_string(), protocol_version: PROTOCOL_VERSION })
}

/// The last block.
pub(super) fn head(api: &Api) -> Result<Head, StoreError> {
    api.store.head()?.ok_or(StoreError::NotInitialized)
}

/// Validators with and without a link, this node among the former.
struct Links {
    connected: Vec<NodeIndex>,
    missing: Vec<NodeIndex>,
}

impl Links {
    fn of(api: &Api) -> Links {
        let up = api.network.connected();
        let is_up = |index: &NodeIndex| *index == api.identity.index || up.contains(index);
        let (connected, missing) = api.validators().indices().partition(is_up);
        Links { connected, missing }
    }
}

/// Everything that is in the way, in words.
fn standing(api: &Api, replica: &ReplicaStatus) -> Vec<Standstill> {
    let Links { connected, missing } = Links::of(api);
    let primary = replica.engine.primary;
    let link = api.network.links().into_iter().find(|link| link.index == primary);
    reasons(&Facts {
        engine: &replica.engine,
        validators: api.validators(),
        me: api.identity.index,
        connected,
        missing,
        halted: halted(api, replica),
        not_voting: not_voting(api, replica),
        catching_up: replica.catching_up,
        pending: replica.pool.count,
        primary_silent: link.and_then(|link| link.silent),
        head_time: replica.head_time,
        wall: api.clock.now().wall,
        clock_skew_max_ms: api.genesis.parameters.clock_skew_max_ms,
        clock_refusal: api.counters.metrics.clock_refusal(),
    })
}

/// Why this node casts no votes although it has not stopped, if so.
fn not_voting(api: &Api, replica: &ReplicaStatus) -> Option<String> {
    let standing = || replica.engine.standing.as_ref().err().map(ToString::to_string);
    api.identity.amnesiac.clone().or_else(standing)
}

/// Why signing stopped, if it did.
fn halted(api: &Api, replica: &ReplicaStatus) -> Option<String> {
    api.halt.reason().or_else(|| replica.engine.halted.clone())
}

pub(super) fn is_voting(api: &Api, replica: &ReplicaStatus) -> bool {
    halted(api, replica).is_none() && replica.engine.standing.is_ok()
}

fn state_of(api: &Api, replica: &ReplicaStatus) -> (NodeState, Option<String>) {
    if let Some(reason) = halted(api, replica) {
        return (NodeState::Halted, Some(reason));
    }
    // An amnesiac says so even while it catches up: that it will not vote is what its operator must know.
    let not_voting = not_voting(api, replica);
    if replica.catching_up {
        return (NodeState::CatchingUp, not_voting.or_else(|| Some("fetching blocks".to_string())));
    }
    match not_voting {
        Some(reason) => (NodeState::Following, Some(reason)),
        None => (NodeState::Active, waits_for_view(&replica.engine, api.validators())),
    }
}
