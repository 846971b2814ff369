//! Bodies of requests and responses. Hashes and keys are lowercase hex, amounts decimal strings, times Unix
//! milliseconds.

use crate::api::code::Code;
use crate::document::amount;
use crate::document::block::{Header, Outcome, Position};
use crate::document::operation::{AssetCode, Roles, Scale};
use crate::document::receipt::Receipt;
use crate::id::{ChainId, Epoch, Height, NodeIndex, Sequence, TransactionId, View};
use crate::limits::TRANSACTION_BYTES_LIMIT;
use crate::time::UnixMillis;
use quorate_crypto::encode::BoundedBytes;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use serde::{Deserialize, Serialize};

/// Media type of a submission of many transactions: the canonical bytes of a list of signed transactions.
pub const BORSH_MEDIA_TYPE: &str = "application/x-borsh";

/// What a node does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It takes part in the agreement.
    Active,
    /// It follows, serves and does not vote.
    Following,
    /// It is behind and fetches blocks.
    CatchingUp,
    /// It has stopped itself; `reason` says why.
    Halted,
}

/// Transactions that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// How many.
    pub count: u64,
    /// Their canonical bytes.
    pub bytes: u64,
}

/// A validator that has left a view, as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftView {
    /// Its name.
    pub name: String,
    /// The view for which it has left.
    pub view: View,
}

/// What a node between two views waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChangeStatus {
    /// Who has left for which view, in index order, this node included once its VIEW-CHANGE is durable.
    pub left: Vec<LeftView>,
    /// How many have to leave for the view before its primary can open it.
    pub need: usize,
    /// Milliseconds that the view may then take to open before the next one is tried.
    pub timeout: u64,
}

/// `GET /v1/status`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusResponse {
    /// The node's name, `v0` for the validator of index 0.
    pub node: String,
    /// Its index in the validator set, `null` for an observer.
    pub index: Option<NodeIndex>,
    /// The chain.
    pub chain_id: ChainId,
    /// Version of the program.
    pub version: String,
    /// What it does.
    pub state: NodeState,
    /// Why it does not take part, where it does not; while it is between two views, what it waits for.
    pub reason: Option<String>,
    /// Its last executed and durable block.
    pub height: Height,
    /// Its highest block below which all are covered by certificates.
    pub certified_height: Height,
    /// Hash of the last block's header.
    pub header_hash: Digest,
    /// State root after the last block.
    pub state_root: Digest,
    /// Time of the last block.
    pub time: UnixMillis,
    /// Its view.
    pub view: View,
    /// Whether it has entered the view; while not, it waits for its NEW-VIEW.
    pub active: bool,
    /// Name of the view's primary.
    pub primary: String,
    /// What it waits for, `null` while the view is active.
    pub view_change: Option<ViewChangeStatus>,
    /// Its epoch.
    pub epoch: Epoch,
    /// Whether it is the primary of its view.
    pub is_primary: bool,
    /// Whether it signs votes.
    pub voting: bool,
    /// How many other validators it is connected to.
    pub peers_connected: usize,
    /// Milliseconds that are added to its wall clock on purpose; 0 outside of experiments.
    #[serde(default)]
    pub clock_offset: i64,
    /// What waits in its pool.
    pub pool: PoolStatus,
}

/// One other validator as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub connected: bool,
    /// The last height that it told of.
    pub height: Height,
}

/// Why a node cannot take part in deciding anything at the moment, or why nothing is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandstillKind {
    /// The node has stopped signing, or its validators' headers differ; only an operator ends it.
    Halted,
    /// Fewer validators than a quorum are connected and vote.
    NoQuorum,
    /// The node has left a view and waits for the next one.
    BetweenViews,
    /// Transactions wait, and nothing is heard from the primary.
    PrimarySilent,
    /// The node fetches blocks that others have.
    CatchingUp,
    /// The window of sequence numbers is used up: no block in it is certified.
    WindowFull,
    /// The node's wall clock does not agree with the chain's time.
    ClockOff,
}

/// One reason, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    /// Which.
    pub kind: StandstillKind,
    /// What the node knows of it.
    pub detail: String,
}

/// `GET /v1/consensus`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsensusResponse {
    /// The validator set in force.
    pub epoch: Epoch,
    /// The node's view.
    pub view: View,
    /// Whether it has entered the view.
    pub active: bool,
    /// Name of the view's primary.
    pub primary: String,
    /// Low watermark h.
    pub low: Sequence,
    /// High watermark.
    pub high: Sequence,
    /// The last executed height.
    pub executed: Height,
    /// The highest certified height.
    pub certified: Height,
    /// Validators.
    pub n: usize,
    /// Faulty ones that the set bears.
    pub f: usize,
    /// How many decide.
    pub quorum: usize,
    /// Names of the validators that are connected, this one included.
    pub connected: Vec<String>,
    /// Names of those that are not.
    pub missing: Vec<String>,
    /// Why nothing can be decided, `null` while it can: "need 3, connected 2: missing v1, v3".
    pub standing_still: Option<String>,
    /// Everything that this node knows to be in the way, lasting or for a moment; empty while nothing is.
    #[serde(default)]
    pub reasons: Vec<Standstill>,
    /// The other validators.
    pub peers: Vec<PeerView>,
}

/// What of a peer's was dropped, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropCount {
    /// The reason, as in the metrics.
    pub reason: String,
    /// How often since the start of the process.
    pub count: u64,
}

/// One other validator as a node's network sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerDetails {
    /// Its name.
    pub name: String,
    /// Its index in the validator set.
    pub index: NodeIndex,
    /// The key that identifies its connections.
    pub network_key: PublicKey,
    /// Where this node is configured to find it, `null` where it only waits for a connection.
    pub address: Option<String>,
    /// Whether it is connected.
    pub connected: bool,
    /// When the present connection was accepted, by this node's clock.
    pub since: Option<UnixMillis>,
    /// Milliseconds since its last message, `null` if there was none.
    pub silent_ms: Option<u64>,
    /// The last height that it told of.
    pub height: Height,
    /// What was dropped of what it sent, and of what it was to get.
    pub dropped: Vec<DropCount>,
}

/// `GET /v1/peers`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeersResponse {
    /// The other validators, in index order.
    pub peers: Vec<PeerDetails>,
}

/// One validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorView {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: NodeIndex,
    /// The key that signs its votes.
    pub consensus_key: PublicKey,
    /// The key that identifies its connections.
    pub network_key: PublicKey,
    /// Whether it is the primary of the answering node's view.
    pub is_primary: bool,
    /// Whether the answering node is connected to it, or is it.
    pub connected: bool,
}

/// `GET /v1/validators`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorsResponse {
    /// The set's epoch.
    pub epoch: Epoch,
    /// Validators.
    pub n: usize,
    /// Faulty ones that the set bears.
    pub f: usize,
    /// How many decide.
    pub quorum: usize,
    /// In index order.
    pub validators: Vec<ValidatorView>,
}

/// How long `POST /v1/transactions` waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Until it is parsed and queued.
    None,
    /// Until it is verified and in the pool.
    #[default]
    Accepted,
    /// Until its block is certified.
    Committed,
}

/// Query of `POST /v1/transactions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitQuery {
    /// How long to wait; `accepted` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Milliseconds after which to answer anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// JSON body of `POST /v1/transactions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// Canonical bytes of a signed transaction, in hex.
    pub transaction: BoundedBytes<TRANSACTION_BYTES_LIMIT>,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// Parsed, not verified yet.
    Queued,
    /// Verified and in the pool.
    Accepted,
    /// Executed: all operations apply.
    Applied,
    /// Executed: none applies; `code` says why.
    Failed,
    /// A certified block's time has passed its `valid_until` without it: it never applies.
    Expired,
    /// Refused at the door; `code` says why.
    Rejected,
    /// Not known here.
    Unknown,
}

/// One transaction: `GET /v1/transactions/{id}`, and the answer to a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionResponse {
    /// The transaction. Zero where the bytes were none.
    pub id: TransactionId,
    /// Where it stands.
    pub status: TransactionStatus,
    /// Why it failed or was refused.
    pub code: Option<Code>,
    /// The block that executed it.
    pub height: Option<Height>,
    /// Its position there.
    pub index: Option<u32>,
    /// The proof, once its block is certified.
    pub receipt: Option<Receipt>,
}

impl TransactionResponse {
    /// A transaction of which no more is known than its status.
    pub fn new(id: TransactionId, status: TransactionStatus) -> TransactionResponse {
        TransactionResponse { id, status, code: None, height: None, index: None, receipt: None }
    }

    /// A transaction that a door has refused.
    pub fn rejected(id: TransactionId, code: Code) -> TransactionResponse {
        TransactionResponse { code: Some(code), ..TransactionResponse::new(id, TransactionStatus::Rejected) }
    }

    /// A transaction with its receipt.
    pub fn certified(receipt: Receipt) -> TransactionResponse {
        let settled = Self::settled(receipt.position, receipt.header.height, receipt.index);
        TransactionResponse { receipt: Some(receipt), ..settled }
    }

    /// A transaction whose position is in a certified block, without its receipt.
    pub fn settled(position: Position, height: Height, index: u32) -> TransactionResponse {
        let (status, code) = match position.outcome {
            Outcome::Applied => (TransactionStatus::Applied, None),
            Outcome::Failed(code) => (TransactionStatus::Failed, Some(code)),
            // A skipped position is no receipt, so nobody hands one in.
            Outcome::Skipped(_) => (TransactionStatus::Unknown, None),
        };
        TransactionResponse { id: position.id, status, code, height: Some(height), index: Some(index), receipt: None }
    }
}

/// Answer to a submission of many: one outcome each, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitResponse {
    /// In the order of the transactions.
    pub outcomes: Vec<TransactionResponse>,
}

/// What an account holds of one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceView {
    /// The asset.
    pub asset: AssetCode,
    /// With the asset's decimal places: "12.50".
    pub amount: String,
    /// Minor units: "1250".
    #[serde(with = "amount::minor")]
    pub minor: u128,
    /// Decimal places of the asset.
    pub scale: Scale,
}

/// `GET /v1/accounts/{id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountResponse {
    /// The address.
    pub account: PublicKey,
    /// The height at which this was read.
    pub height: Height,
    /// That block's time.
    pub time: UnixMillis,
    /// Whether it is a member.
    pub member: bool,
    /// Whether its transactions fail.
    pub frozen: bool,
    /// What it may do.
    pub roles: Roles,
    /// In the order of the asset codes.
    pub balances: Vec<BalanceView>,
}

/// `GET /v1/assets/{code}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetResponse {
    /// The asset.
    pub asset: AssetCode,
    /// The height at which this was read.
    pub height: Height,
    /// That block's time.
    pub time: UnixMillis,
    /// Decimal places.
    pub scale: Scale,
    /// Who mints and burns it.
    pub issuer: PublicKey,
    /// What exists of it, with its decimal places: "12.50".
    pub supply: String,
    /// What exists of it in minor units: "1250".
    #[serde(with = "amount::minor")]
    pub supply_minor: u128,
}

/// A batch without its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchView {
    /// The time that its primary gave it.
    pub time: UnixMillis,
    /// How many transactions it ordered.
    pub count: usize,
}

/// One position of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionView {
    /// Its place, from 0.
    pub index: u32,
    /// The transaction.
    pub id: TransactionId,
    /// What became of it.
    pub outcome: Outcome,
}

/// `GET /v1/blocks/{height|hash|latest}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockResponse {
    /// Its height.
    pub height: Height,
    /// Hash of its header.
    pub hash: Digest,
    /// Its header.
    pub header: Header,
    /// What was ordered.
    pub batch: BatchView,
    /// What became of it, in order.
    pub transactions: Vec<PositionView>,
    /// Whether this node holds the block's own certificate.
    pub certified: bool,
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
}

/// Query of `GET /v1/blocks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlocksQuery {
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Blocks of a page; 20 when absent, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Which way; the newest first when absent. A cursor goes on the way of its own page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// A block without its transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockSummary {
    /// Its height.
    pub height: Height,
    /// Hash of its header.
    pub hash: Digest,
    /// Its time.
    pub time: UnixMillis,
    /// Root of the state after it.
    pub state_root: Digest,
    /// How many positions it has.
    pub positions: u32,
    /// How many of them were executed: applied or failed.
    pub transactions: u32,
    /// Whether this node holds the block's own certificate.
    pub certified: bool,
}

/// `GET /v1/blocks`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksResponse {
    /// In the order asked for.
    pub items: Vec<BlockSummary>,
    /// The cursor of the next page, `null` at the end.
    pub next: Option<String>,
}

/// Query of `GET /v1/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// The `id` of the last event that the client has; `0-0` for all from the beginning on. When absent only what is new
    /// is sent. The header `Last-Event-ID` wins over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only transactions that this account sent. Blocks are not of any account, so they come as `kinds` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<PublicKey>,
    /// `transaction`, `block` or both, separated by a comma; both when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<String>,
}

/// `GET /version`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionResponse {
    /// Version of the program.
    pub version: String,
    /// Version of the protocol's rules that it knows.
    pub protocol_version: u16,
}
