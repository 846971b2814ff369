//! Which path goes where.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use super::context::Api;
use super::{access, assets, events, lists, load, metrics, openapi, problem, reads, status, submit};

/// Every path of the API with its method. The description of the API has the same; a test compares them.
pub(super) fn routes() -> Vec<(&'static str, &'static str, MethodRouter<Arc<Api>>)> {
    vec![
        ("get", "/v1/status", get(status::status)),
        ("get", "/v1/consensus", get(status::consensus)),
        ("get", "/v1/peers", get(status::peers)),
        ("get", "/v1/validators", get(status::validators)),
        ("get", "/v1/evidence", get(reads::evidence)),
        ("get", "/v1/genesis", get(reads::genesis)),
        ("get", "/v1/events", get(events::events)),
        ("post", "/v1/transactions", post(submit::submit)),
        ("get", "/v1/transactions/{id}", get(reads::transaction)),
        ("get", "/v1/transactions/{id}/receipt", get(reads::receipt)),
        ("get", "/v1/accounts/{id}", get(reads::account)),
        ("get", "/v1/assets/{code}", get(assets::asset)),
        ("get", "/v1/blocks", get(lists::blocks)),
        ("get", "/v1/blocks/{name}", get(reads::block)),
        ("get", "/v1/openapi.json", get(openapi::document)),
        ("get", "/livez", get(status::livez)),
        ("get", "/readyz", get(status::readyz)),
        ("get", "/version", get(status::version)),
        ("get", "/metrics", get(metrics::metrics)),
    ]
}

/// The API. From the outside in: counted, allowed, within the bounds, answered.
pub fn router(api: Arc<Api>) -> Router {
    let paths = routes().into_iter().fold(Router::new(), |router, (_, path, route)| router.route(path, route));
    paths
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(Arc::clone(&api.load), load::bound))
        .layer(from_fn_with_state(api.access.clone(), access::check))
        .layer(from_fn_with_state(Arc::clone(&api), metrics::count))
        .with_state(api)
}
