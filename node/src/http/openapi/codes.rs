//! Which codes a path can answer with.

use quorate_protocol::api::Code;
use quorate_protocol::api::code::Stage;
use serde_json::{Map, Value, json};

/// The name of the security scheme.
pub(super) const TOKEN: &str = "token";

/// The answers that report `codes`, by status.
pub(super) fn answers(codes: &[Code]) -> Map<String, Value> {
    let mut answers = Map::new();
    let mut codes = codes.to_vec();
    codes.sort();
    for code in codes {
        let entry = answers.entry(code.http_status().to_string()).or_insert_with(|| {
            json!({
                "description": "",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            })
        });
        let said = entry["description"].as_str().unwrap_or_default();
        let separator = if said.is_empty() { "" } else { ", " };
        entry["description"] = format!("{said}{separator}`{code}`").into();
        if matches!(code.http_status(), 429 | 503) {
            entry["headers"] = json!({ "Retry-After": {
                "description": "Seconds after which to come again",
                "schema": { "type": "integer" },
            }});
        }
    }
    answers
}

/// Everything that a door says of a transaction.
pub(super) fn door() -> Vec<Code> {
    Code::ALL.iter().copied().filter(|code| code.stage() == Stage::Door || *code == Code::NoOperations).collect()
}
