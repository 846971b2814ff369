//! The HTTP API: JSON over HTTP/1.1.
//!
//! | file | paths |
//! |---|---|
//! | `submit` | `POST /v1/transactions` |
//! | `reads` | transactions, receipts, accounts, blocks, genesis |
//! | `status` | status, consensus, validators, livez, readyz, version |
//! | `problem` | every error, as a problem document |
//! | `server` | connections and their bounds |

mod context;
mod problem;
mod reads;
mod server;
mod status;
mod submit;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use quorate_protocol::limits::SUBMIT_BYTES_MAX;

pub use context::{Api, Identity};
pub use server::{Server, bind};

/// All paths of the API.
fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/consensus", get(status::consensus))
        .route("/v1/validators", get(status::validators))
        .route("/v1/genesis", get(reads::genesis))
        .route("/v1/transactions", post(submit::submit))
        .route("/v1/transactions/{id}", get(reads::transaction))
        .route("/v1/transactions/{id}/receipt", get(reads::receipt))
        .route("/v1/accounts/{id}", get(reads::account))
        .route("/v1/blocks/{name}", get(reads::block))
        .route("/livez", get(status::livez))
        .route("/readyz", get(status::readyz))
        .route("/version", get(status::version))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(SUBMIT_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&api), server::bound_requests))
        .with_state(api)
}
