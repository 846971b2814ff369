//! One whole value of every answer, made of the program's own types: a field that is added to a type has to be added here,
//! and then to its schema.

use quorate_crypto::encode::BoundedBytes;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::{PublicKey, Signature};
use quorate_protocol::api::Code;
use quorate_protocol::api::event::{BlockEvent, Event, TransactionEvent};
use quorate_protocol::api::evidence::{Checkable, EvidenceResponse, EvidenceView, MessageView};
use quorate_protocol::api::http::{
    AccountResponse, AssetResponse, BalanceView, BatchView, BlockResponse, BlockSummary, BlocksResponse,
    ConsensusResponse, DropCount, LeftView, NodeState, PeerDetails, PeerView, PeersResponse, PoolStatus, PositionView,
    Standstill, StandstillKind, StatusResponse, SubmitRequest, SubmitResponse, TransactionResponse, TransactionStatus,
    ValidatorView, ValidatorsResponse, VersionResponse, ViewChangeStatus,
};
use quorate_protocol::api::problem::Problem;
use quorate_protocol::document::parameters::PROTOCOL_VERSION;
use quorate_protocol::document::{
    AssetCode, Boundary, Certificate, Header, Outcome, Position, Receipt, Role, Roles, Scale, Validator, ValidatorSet,
};
use quorate_protocol::id::{Epoch, Height, NodeIndex, Sequence, TransactionId, View};
use quorate_protocol::pbft::evidence::{Kind, Place};
use quorate_protocol::time::UnixMillis;
use serde::Serialize;
use serde_json::Value;

use crate::http::status::VERSION;

/// The time of the examples.
const TIME: UnixMillis = 1_767_225_600_000;

/// The example of a type, if it has one.
pub(super) fn example(name: &str) -> Option<Value> {
    Some(match name {
        "SubmitRequest" => value(&SubmitRequest { transaction: bytes(40) }),
        "SubmitAnswer" | "TransactionResponse" => value(&TransactionResponse::certified(receipt())),
        "SubmitResponse" => {
            value(&SubmitResponse { outcomes: vec![TransactionResponse::rejected(id(), Code::Expired)] })
        }
        "Problem" => value(&Problem::new(Code::Timeout, "the wait ended before the outcome was known").about(id())),
        "Receipt" => value(&receipt()),
        "AccountResponse" => value(&account()),
        "AssetResponse" => value(&asset()),
        "BlockResponse" => value(&block()),
        "BlocksResponse" => value(&blocks()),
        "Event" => value(&transaction_event()),
        "BlockEvent" => value(&block_event()),
        "TransactionEvent" => value(&transaction_event()),
        "StatusResponse" => value(&status()),
        "ConsensusResponse" => value(&consensus()),
        "PeersResponse" => value(&peers()),
        "ValidatorsResponse" => value(&validators()),
        "VersionResponse" => {
            value(&VersionResponse { version: VERSION.to_owned(), protocol_version: PROTOCOL_VERSION })
        }
        "EvidenceResponse" => value(&evidence()),
        _ => return None,
    })
}

fn value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn hash(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

fn id() -> TransactionId {
    TransactionId(hash(0x1d))
}

fn bytes<const MAX: usize>(count: usize) -> BoundedBytes<MAX> {
    BoundedBytes::try_from(vec![0xab; count.min(MAX)]).unwrap_or_default()
}

fn header() -> Header {
    Header {
        version: 1,
        chain_id: hash(0xc1),
        epoch: Epoch(0),
        height: Height(17),
        parent: hash(0xa1),
        batch_digest: hash(0xa2),
        transactions_root: hash(0xa3),
        receipts_root: hash(0xa4),
        state_root: hash(0xa5),
        validators_hash: hash(0xa6),
        next_validators_hash: hash(0xa6),
        parameters_hash: hash(0xa7),
        time: TIME,
    }
}

fn certificate() -> Certificate {
    let signatures = vec![(NodeIndex(0), Signature::from_bytes([0x51; 64]))];
    Certificate { signatures: signatures.try_into().unwrap_or_default() }
}

fn receipt() -> Receipt {
    let validators = ValidatorSet::new(vec![Validator { consensus_key: key(1), network_key: key(2) }]);
    let boundary = validators.map(|validators| Boundary { header: header(), certificate: certificate(), validators });
    Receipt {
        index: 3,
        count: 4,
        position: Position { id: id(), outcome: Outcome::Failed(Code::InsufficientBalance) },
        path: vec![hash(0xb1), hash(0xb2)].try_into().unwrap_or_default(),
        header: header(),
        certificate: certificate(),
        boundaries: boundary.into_iter().collect::<Vec<_>>().try_into().unwrap_or_default(),
    }
}

fn asset() -> AssetResponse {
    AssetResponse {
        asset: AssetCode::new("USD").expect("a code"),
        height: Height(17),
        time: TIME,
        scale: Scale::new(2).expect("a scale"),
        issuer: key(0xad),
        supply: "3000000.00".to_owned(),
        supply_minor: 300_000_000,
    }
}

fn account() -> AccountResponse {
    let usd = AssetCode::new("USD").into_iter().zip(Scale::new(2));
    let balance = |(asset, scale)| BalanceView { asset, amount: "12.50".to_owned(), minor: 1_250, scale };
    AccountResponse {
        account: key(0xac),
        height: Height(17),
        time: TIME,
        member: true,
        frozen: false,
        roles: Roles::of(&[Role::Issuer, Role::Member]),
        balances: usd.map(balance).collect(),
    }
}

fn block() -> BlockResponse {
    let outcomes = [Outcome::Applied, Outcome::Failed(Code::InsufficientBalance)];
    let positions = (0..).zip(outcomes).map(|(index, outcome)| PositionView { index, id: id(), outcome });
    BlockResponse {
        height: Height(17),
        hash: header().hash(),
        header: header(),
        batch: BatchView { time: TIME, count: 2 },
        transactions: positions.collect(),
        certified: true,
    }
}

fn blocks() -> BlocksResponse {
    let summary = BlockSummary {
        height: Height(17),
        hash: header().hash(),
        time: TIME,
        state_root: hash(0xa5),
        positions: 2,
        transactions: 2,
        certified: true,
    };
    BlocksResponse { items: vec![summary], next: Some("01010000000000000010c0ffee00".to_owned()) }
}

fn transaction_event() -> Event {
    Event::Transaction(TransactionEvent {
        height: Height(17),
        index: 3,
        id: id(),
        status: TransactionStatus::Failed,
        code: Some(Code::InsufficientBalance),
        sender: key(0xac),
        time: TIME,
    })
}

fn block_event() -> Event {
    let (height, hash, state_root) = (Height(17), header().hash(), hash(0xa5));
    Event::Block(BlockEvent { height, hash, time: TIME, state_root, transactions: 4 })
}

fn status() -> StatusResponse {
    let left = LeftView { name: "v0".to_owned(), view: View(1) };
    StatusResponse {
        node: "v0".to_owned(),
        index: Some(NodeIndex(0)),
        chain_id: hash(0xc1),
        version: VERSION.to_owned(),
        state: NodeState::Active,
        reason: Some(
            "between two views: 3 have to leave for view 1 (so far: v0), then v1 has 1000 ms to open it".to_owned(),
        ),
        height: Height(17),
        certified_height: Height(17),
        header_hash: header().hash(),
        state_root: hash(0xa5),
        time: TIME,
        view: View(1),
        active: false,
        primary: "v1".to_owned(),
        view_change: Some(ViewChangeStatus { left: vec![left], need: 3, timeout: 1_000 }),
        epoch: Epoch(0),
        is_primary: false,
        voting: true,
        peers_connected: 3,
        pool: PoolStatus { count: 2, bytes: 524 },
        clock_offset: 0,
    }
}

fn consensus() -> ConsensusResponse {
    let detail = "need 3, connected 2: missing v1, v3".to_owned();
    ConsensusResponse {
        epoch: Epoch(0),
        view: View(0),
        active: true,
        primary: "v0".to_owned(),
        low: Sequence(0),
        high: Sequence(128),
        executed: Height(17),
        certified: Height(17),
        n: 4,
        f: 1,
        quorum: 3,
        connected: vec!["v0".to_owned(), "v2".to_owned()],
        missing: vec!["v1".to_owned(), "v3".to_owned()],
        standing_still: Some(detail.clone()),
        reasons: vec![Standstill { kind: StandstillKind::NoQuorum, detail }],
        peers: vec![PeerView { name: "v2".to_owned(), connected: true, height: Height(17) }],
    }
}

fn peers() -> PeersResponse {
    PeersResponse {
        peers: vec![PeerDetails {
            name: "v2".to_owned(),
            index: NodeIndex(2),
            network_key: key(0x22),
            address: Some("/ip4/192.0.2.7/tcp/7000".to_owned()),
            connected: true,
            since: Some(TIME),
            silent_ms: Some(120),
            height: Height(17),
            dropped: vec![DropCount { reason: "malformed".to_owned(), count: 1 }],
        }],
    }
}

fn validators() -> ValidatorsResponse {
    let validator = ValidatorView {
        name: "v0".to_owned(),
        index: NodeIndex(0),
        consensus_key: key(1),
        network_key: key(2),
        is_primary: true,
        connected: true,
    };
    ValidatorsResponse { epoch: Epoch(0), n: 4, f: 1, quorum: 3, validators: vec![validator] }
}

fn evidence() -> EvidenceResponse {
    let message =
        |byte| MessageView { digest: hash(byte), signature: Signature::from_bytes([byte; 64]), bytes: bytes(8) };
    let view = EvidenceView {
        validator: Some(NodeIndex(3)),
        key: key(0x33),
        kind: Kind::Prepare,
        place: Place { epoch: Epoch(0), view: Some(View(0)), sequence: Some(Sequence(9)), height: Some(Height(9)) },
        messages: [message(0x0a), message(0x0b)],
        checkable: Checkable {
            chain_id: hash(0xc1),
            domain: "quorate/prepare".to_owned(),
            signed_prefix: bytes(16),
            rule: "each message is its body, the key (32 bytes) and the signature (64 bytes)".to_owned(),
        },
    };
    EvidenceResponse { chain_id: hash(0xc1), evidence: vec![view], left_out: 0 }
}
