//! Which path goes where.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use quorate_protocol::limits::SUBMIT_BYTES_MAX;

use super::context::Api;
use super::{assets, load, problem, reads, status, submit};

/// All paths of the API.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/consensus", get(status::consensus))
        .route("/v1/validators", get(status::validators))
        .route("/v1/evidence", get(reads::evidence))
        .route("/v1/genesis", get(reads::genesis))
        .route("/v1/transactions", post(submit::submit))
        .route("/v1/transactions/{id}", get(reads::transaction))
        .route("/v1/transactions/{id}/receipt", get(reads::receipt))
        .route("/v1/accounts/{id}", get(reads::account))
        .route("/v1/assets/{code}", get(assets::asset))
        .route("/v1/blocks/{name}", get(reads::block))
        .route("/livez", get(status::livez))
        .route("/readyz", get(status::readyz))
        .route("/version", get(status::version))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(SUBMIT_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&api.load), load::bound))
        .with_state(api)
}
