//! The document, and where it is served.

use std::sync::LazyLock;

use axum::Extension;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use super::codes::TOKEN;
use super::paths::operations;
use super::schemas::schemas;
use crate::http::connection::Shared;
use crate::http::status::VERSION;

/// Made once: it never changes while the program runs.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(text()));

/// `GET /v1/openapi.json`
pub async fn document() -> impl IntoResponse {
    (Extension(Shared), [(header::CONTENT_TYPE, "application/json")], TEXT.clone())
}

/// The document as it is checked in.
pub(super) fn text() -> String {
    let mut text = serde_json::to_string_pretty(&build()).unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
pub(super) fn build() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.to_json();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quorate node",
            "version": VERSION,
            "summary": "A permissioned BFT ledger: submit signed transactions, read the chain, take proofs home",
            "description": "Hashes and keys are lowercase hex, amounts decimal strings, times Unix milliseconds. What a \
                node answers is what it has executed; what proves more says so: a receipt verifies offline against the \
                genesis. Every error is a problem document (RFC 9457) with a stable code.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": { TOKEN: {
                "type": "http",
                "scheme": "bearer",
                "description": "Only where the node has an api_token_file.",
            }},
        },
    })
}
