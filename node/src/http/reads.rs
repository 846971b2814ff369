//! Reads from the chain. They show what this node has executed; what proves more says so (`certified`, receipts).

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use quorate_crypto::encode::decode;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use quorate_protocol::api::Code;
use quorate_protocol::api::evidence::{EVIDENCE_ANSWER_BYTES_MAX, EvidenceResponse};
use quorate_protocol::api::http::{
    AccountResponse, BalanceView, BatchView, BlockResponse, PositionView, TransactionResponse, TransactionStatus,
};
use quorate_protocol::document::amount::format_decimal;
use quorate_protocol::document::{AssetCode, AssetState, Block, MemberState, Receipt, Roles, StateKey};
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::limits::ACCOUNT_BALANCES_MAX;
use quorate_protocol::store::StoreError;
use tokio::sync::oneshot;

use super::connection::Shared;
use super::context::Api;
use super::path::Part;
use super::problem::Refusal;
use super::status::head;
use crate::inbox::Question;

/// Hex digits of a hash.
const HASH_DIGITS: usize = 64;

/// `GET /v1/genesis`
pub async fn genesis(State(api): State<Arc<Api>>) -> impl IntoResponse {
    (Extension(Shared), [(header::CONTENT_TYPE, "application/json")], api.genesis_json.clone())
}

/// `GET /v1/evidence`
pub async fn evidence(State(api): State<Arc<Api>>) -> Result<Json<EvidenceResponse>, Refusal> {
    let list = api.store.evidence(EVIDENCE_ANSWER_BYTES_MAX)?;
    Ok(Json(EvidenceResponse::new(api.identity.chain_id, api.validators(), list)))
}

/// `GET /v1/transactions/{id}`
pub async fn transaction(State(api): State<Arc<Api>>, Part(id): Part) -> Result<Json<TransactionResponse>, Refusal> {
    let id = parse(&id, "transaction id")?;
    if let Some(executed) = executed(&api, id)? {
        return Ok(Json(executed));
    }
    let (sender, answer) = oneshot::channel();
    if api.ask(Question::Pending(id, sender), answer).await? {
        return Ok(Json(TransactionResponse::new(id, TransactionStatus::Accepted)));
    }
    // It may have been executed between the two questions.
    match executed(&api, id)? {
        Some(executed) => Ok(Json(executed)),
        None => Err(unknown(id)),
    }
}

/// `GET /v1/transactions/{id}/receipt`
pub async fn receipt(State(api): State<Arc<Api>>, Part(id): Part) -> Result<Json<Receipt>, Refusal> {
    let id = parse(&id, "transaction id")?;
    match executed(&api, id)? {
        Some(TransactionResponse { receipt: Some(receipt), .. }) => Ok(Json(receipt)),
        Some(_) => Err(Refusal::new(Code::NotFound, "the transaction is executed, and its block is not certified yet")
            .about(id)
            .hint("ask again in a moment")),
        None => Err(unknown(id)),
    }
}

/// Where an executed transaction stands: with its receipt once its block is certified, as accepted until then.
pub(super) fn executed(api: &Api, id: TransactionId) -> Result<Option<TransactionResponse>, StoreError> {
    let Some((height, index)) = api.store.transaction(&id)? else { return Ok(None) };
    Ok(Some(match api.receipts.receipt(height, index)? {
        Some(receipt) => TransactionResponse::certified(receipt),
        None => TransactionResponse {
            height: Some(height),
            index: Some(index),
            ..TransactionResponse::new(id, TransactionStatus::Accepted)
        },
    }))
}

/// The same without the receipt, for lists: a block that was not asked about lately need not be read whole.
pub(super) fn settled(api: &Api, id: TransactionId) -> Result<Option<TransactionResponse>, StoreError> {
    let Some((height, index)) = api.store.transaction(&id)? else { return Ok(None) };
    Ok(Some(match api.receipts.position(height, index)? {
        Some(position) => TransactionResponse::settled(position, height, index),
        None => TransactionResponse {
            height: Some(height),
            index: Some(index),
            ..TransactionResponse::new(id, TransactionStatus::Accepted)
        },
    }))
}

fn unknown(id: TransactionId) -> Refusal {
    Refusal::new(Code::NotFound, "this node knows no transaction of that id").about(id)
}

/// `GET /v1/accounts/{id}`
pub async fn account(State(api): State<Arc<Api>>, Part(id): Part) -> Result<Json<AccountResponse>, Refusal> {
    let account: PublicKey = parse(&id, "account")?;
    // The state is that of the head: read again when a block came in between.
    let mut before = head(&api)?;
    loop {
        let (member, balances) = (member(&api, account)?, balances(&api, account)?);
        let after = head(&api)?;
        if after.height != before.height {
            before = after;
            continue;
        }
        return Ok(Json(AccountResponse {
            account,
            height: after.height,
            time: after.header.time,
            member: member.is_some(),
            frozen: member.is_some_and(|member| member.frozen),
            roles: member.map_or(Roles::NONE, |member| member.roles),
            balances,
        }));
    }
}

fn member(api: &Api, account: PublicKey) -> Result<Option<MemberState>, StoreError> {
    let value = api.store.state(&StateKey::Member(account).key_hash())?;
    value.map(|bytes| decode(&bytes).map_err(|error| StoreError::corrupt("state", error.to_string()))).transpose()
}

fn balances(api: &Api, account: PublicKey) -> Result<Vec<BalanceView>, StoreError> {
    let held = api.store.balances(&account, ACCOUNT_BALANCES_MAX)?;
    held.into_iter().map(|(asset, minor)| balance(api, asset, minor)).collect()
}

fn balance(api: &Api, asset: AssetCode, minor: u128) -> Result<BalanceView, StoreError> {
    let value = api.store.state(&StateKey::Asset(asset).key_hash())?;
    let bytes =
        value.ok_or_else(|| StoreError::corrupt("state", format!("somebody holds {asset}, which does not exist")))?;
    let AssetState { scale, .. } = decode(&bytes).map_err(|error| StoreError::corrupt("state", error.to_string()))?;
    Ok(BalanceView { asset, amount: format_decimal(minor, scale), minor, scale })
}

/// `GET /v1/blocks/{height|hash|latest}`
pub async fn block(State(api): State<Arc<Api>>, Part(name): Part) -> Result<Json<BlockResponse>, Refusal> {
    let height = height_named(&api, &name)?;
    let missing = || Refusal::new(Code::NotFound, format!("this node has no block {name}"));
    let block = api.store.block(height.ok_or_else(missing)?)?.ok_or_else(missing)?;
    let certified = api.store.certificate(block.header.height)?.is_some();
    Ok(Json(block_response(block, certified)))
}

fn height_named(api: &Api, name: &str) -> Result<Option<Height>, Refusal> {
    if name == "latest" {
        return Ok(Some(head(api)?.height));
    }
    // A hash is told by its length: it may consist of decimal digits only.
    if name.len() != HASH_DIGITS
        && let Ok(height) = name.parse()
    {
        return Ok(Some(Height(height)));
    }
    let hash: Digest = parse(name, "block")?;
    Ok(api.store.height_of(&hash)?)
}

fn block_response(block: Block, certified: bool) -> BlockResponse {
    let transactions = (0..).zip(&block.positions);
    BlockResponse {
        height: block.header.height,
        hash: block.header.hash(),
        batch: BatchView { time: block.batch.time, count: block.batch.ids.len() },
        transactions: transactions
            .map(|(index, position)| PositionView { index, id: position.id, outcome: position.outcome })
            .collect(),
        certified,
        header: block.header,
    }
}

fn parse<T: FromStr<Err: ToString>>(text: &str, what: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: T::Err| Refusal::new(Code::BadRequest, format!("{what}: {}", error.to_string())))
}
