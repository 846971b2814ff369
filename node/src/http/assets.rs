//! Assets as this node has them at its head.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quorate_crypto::encode::decode;
use quorate_protocol::api::Code;
use quorate_protocol::api::http::AssetResponse;
use quorate_protocol::document::amount::format_decimal;
use quorate_protocol::document::{AssetCode, AssetState, StateKey};
use quorate_protocol::store::StoreError;

use super::context::Api;
use super::path::Part;
use super::problem::Refusal;
use super::status::head;

/// `GET /v1/assets/{code}`
pub async fn asset(State(api): State<Arc<Api>>, Part(code): Part) -> Result<Json<AssetResponse>, Refusal> {
    let asset: AssetCode =
        code.parse().map_err(|error| Refusal::new(Code::BadRequest, format!("the asset's code: {error}")))?;
    // The state is that of the head: read again when a block came in between.
    let mut before = head(&api)?;
    loop {
        let value = api.store.state(&StateKey::Asset(asset).key_hash())?;
        let after = head(&api)?;
        if after.height != before.height {
            before = after;
            continue;
        }
        let missing = || Refusal::new(Code::NotFound, format!("there is no asset {asset}"));
        let state: AssetState =
            decode(&value.ok_or_else(missing)?).map_err(|error| StoreError::corrupt("state", error.to_string()))?;
        return Ok(Json(AssetResponse {
            asset,
            height: after.height,
            time: after.header.time,
            scale: state.scale,
            issuer: state.issuer,
            supply: format_decimal(state.supply, state.scale),
            supply_minor: state.supply,
        }));
    }
}
