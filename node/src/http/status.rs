//! What this node is, does, and waits for.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::Code;
use quorate_protocol::api::http::{
    ConsensusResponse, LeftView, NodeState, PeerView, PoolStatus, StatusResponse, ValidatorView, ValidatorsResponse,
    VersionResponse, ViewChangeStatus,
};
use quorate_protocol::document::ValidatorSet;
use quorate_protocol::document::parameters::PROTOCOL_VERSION;
use quorate_protocol::id::{Height, NodeIndex, Sequence};
use quorate_protocol::pbft::status::EngineStatus;
use quorate_protocol::replica::ReplicaStatus;
use quorate_protocol::store::{Head, StoreError};

use super::context::Api;
use super::problem::Refusal;

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
        standing_still: standing_still(&api, &replica, &links),
        peers: peers.collect(),
    }))
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

/// `GET /readyz`: the node can take part in committing transactions.
pub async fn readyz(State(api): State<Arc<Api>>) -> Result<(StatusCode, &'static str), Refusal> {
    let replica = api.replica_status().await?;
    match standing_still(&api, &replica, &Links::of(&api)) {
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

fn names(indices: &[NodeIndex]) -> Vec<String> {
    indices.iter().map(ToString::to_string).collect()
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

/// Why signing stopped, if it did.
fn halted(api: &Api, replica: &ReplicaStatus) -> Option<String> {
    api.halt.reason().or_else(|| replica.engine.halted.clone())
}

fn is_voting(api: &Api, replica: &ReplicaStatus) -> bool {
    halted(api, replica).is_none() && replica.engine.standing.is_ok()
}

fn state_of(api: &Api, replica: &ReplicaStatus) -> (NodeState, Option<String>) {
    if let Some(reason) = halted(api, replica) {
        return (NodeState::Halted, Some(reason));
    }
    // An amnesiac says so even while it catches up: that it will not vote is what its operator must know.
    let not_voting =
        api.identity.amnesiac.clone().or_else(|| replica.engine.standing.as_ref().err().map(ToString::to_string));
    if replica.catching_up {
        return (NodeState::CatchingUp, not_voting.or_else(|| Some("fetching blocks".to_string())));
    }
    match not_voting {
        Some(reason) => (NodeState::Following, Some(reason)),
        None => (NodeState::Active, waits_for_view(&replica.engine, api.validators())),
    }
}

/// Who has left for which view, while this node is between two.
fn view_change(engine: &EngineStatus, validators: &ValidatorSet) -> Option<ViewChangeStatus> {
    let left = engine.view_changes.iter().map(|(index, view)| LeftView { name: index.to_string(), view: *view });
    (!engine.active).then(|| ViewChangeStatus {
        left: left.collect(),
        need: validators.quorum(),
        timeout: u64::try_from(engine.view_timeout.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The same in words.
fn waits_for_view(engine: &EngineStatus, validators: &ValidatorSet) -> Option<String> {
    let ViewChangeStatus { left, need, timeout } = view_change(engine, validators)?;
    let left: Vec<String> = left
        .into_iter()
        .map(|left| if left.view == engine.view { left.name } else { format!("{} for view {}", left.name, left.view) })
        .collect();
    let left = if left.is_empty() { "none yet".to_string() } else { left.join(", ") };
    let (view, primary) = (engine.view, engine.primary);
    Some(format!(
        "between two views: {need} have to leave for view {view} (so far: {left}), then {primary} has {timeout} ms to open it"
    ))
}

/// Why this node sees no way to commit, in words.
fn standing_still(api: &Api, replica: &ReplicaStatus, links: &Links) -> Option<String> {
    if let Some(reason) = halted(api, replica) {
        return Some(format!("this node has stopped signing: {reason}"));
    }
    // A missing primary is none: whoever waits for a transaction leaves its view.
    need_more(api.validators(), links)
}

fn need_more(validators: &ValidatorSet, links: &Links) -> Option<String> {
    let (need, connected) = (validators.quorum(), links.connected.len());
    (connected < need)
        .then(|| format!("need {need}, connected {connected}: missing {}", names(&links.missing).join(", ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use quorate_crypto::key::PublicKey;
    use quorate_protocol::document::Validator;
    use quorate_protocol::id::{Epoch, View};

    fn set() -> ValidatorSet {
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let members = (0..4).map(|n| Validator { consensus_key: key(n), network_key: key(n + 100) }).collect();
        ValidatorSet::new(members).unwrap()
    }

    fn links(set: &ValidatorSet, up: &[u8]) -> Links {
        let (connected, missing) = set.indices().partition(|index| up.contains(&index.0));
        Links { connected, missing }
    }

    #[test]
    fn missing_quorum_is_told_with_names() {
        let set = set();
        assert_eq!(need_more(&set, &links(&set, &[0, 2])).unwrap(), "need 3, connected 2: missing v1, v3");
        assert_eq!(need_more(&set, &links(&set, &[0, 1, 2])), None);
    }

    fn engine(active: bool, left: &[(u8, u64)]) -> EngineStatus {
        EngineStatus {
            epoch: Epoch(0),
            view: View(2),
            active,
            primary: NodeIndex(2),
            low: Height(0),
            high: Height(128),
            executed: Height(7),
            certified: Height(7),
            highest_slot: Sequence(9),
            view_changes: left.iter().map(|(index, view)| (NodeIndex(*index), View(*view))).collect(),
            view_timeout: Duration::from_secs(2),
            standing: Ok(()),
            peer_heights: Vec::new(),
            state_diverged: None,
            halted: None,
        }
    }

    #[test]
    fn a_node_between_two_views_says_who_has_left_and_how_long_it_waits() {
        let words = |left: &[(u8, u64)]| waits_for_view(&engine(false, left), &set()).unwrap();
        assert_eq!(
            words(&[(0, 2), (3, 5)]),
            "between two views: 3 have to leave for view 2 (so far: v0, v3 for view 5), then v2 has 2000 ms to open it"
        );
        assert!(words(&[]).contains("(so far: none yet)"));
        let told = view_change(&engine(false, &[(3, 5)]), &set()).unwrap();
        assert_eq!((told.need, told.timeout), (3, 2000));
        assert_eq!(told.left, [LeftView { name: "v3".to_string(), view: View(5) }]);
    }

    #[test]
    fn a_node_in_an_active_view_waits_for_none() {
        // The engine forgets who left for a view when it opens; whatever it still holds is of no view to come.
        let engine = engine(true, &[(1, 2)]);
        assert_eq!((view_change(&engine, &set()), waits_for_view(&engine, &set())), (None, None));
    }
}
