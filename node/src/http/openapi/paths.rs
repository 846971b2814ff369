//! Every path: what it takes and what it answers.

use quorate_protocol::api::Code;
use quorate_protocol::api::http::BORSH_MEDIA_TYPE;
use serde_json::{Map, Value, json};

use super::codes::{TOKEN, answers, door};
use super::examples::example;
use super::schemas::{reference, text};
use crate::http::access::OPEN_PATHS;

/// One method of one path.
pub(super) struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    name: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    /// Status, words, media type, name of the schema (none for text).
    good: Vec<(u16, &'static str, &'static str, Option<&'static str>)>,
    /// Beside those that every path has.
    codes: Vec<Code>,
}

const JSON: &str = "application/json";

impl Operation {
    fn get(path: &'static str, name: &'static str, summary: &'static str, schema: &'static str) -> Operation {
        let good = vec![(200, summary, JSON, Some(schema))];
        let (method, description, body) = ("get", "", None);
        Operation { method, path, name, summary, description, parameters: Vec::new(), body, good, codes: Vec::new() }
    }

    fn text(path: &'static str, name: &'static str, summary: &'static str, media_type: &'static str) -> Operation {
        let good = vec![(200, summary, media_type, None)];
        Operation { good, ..Operation::get(path, name, summary, "") }
    }

    fn says(self, description: &'static str) -> Operation {
        Operation { description, ..self }
    }

    fn takes(mut self, parameter: Value) -> Operation {
        self.parameters.push(parameter);
        self
    }

    fn fails(self, codes: &[Code]) -> Operation {
        Operation { codes: codes.to_vec(), ..self }
    }

    pub(super) fn to_json(&self) -> Value {
        let is_open = OPEN_PATHS.contains(&self.path);
        let mut codes = self.codes.clone();
        codes.extend([Code::Overloaded, Code::Internal]);
        if !is_open {
            codes.extend([Code::Unauthorized, Code::ClientQuota]);
        }
        codes.sort();
        codes.dedup();
        let mut responses = Map::new();
        for (status, words, media_type, schema) in &self.good {
            responses.insert(status.to_string(), answer(words, media_type, *schema));
        }
        responses.extend(answers(&codes));
        let mut operation = json!({
            "operationId": self.name,
            "summary": self.summary,
            "responses": responses,
            "security": if is_open { json!([]) } else { json!([{}, { TOKEN: [] }]) },
        });
        if !self.description.is_empty() {
            operation["description"] = self.description.into();
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.clone().into();
        }
        if let Some(body) = &self.body {
            operation["requestBody"] = body.clone();
        }
        operation
    }
}

fn answer(words: &str, media_type: &str, schema: Option<&str>) -> Value {
    let content = match schema {
        None => json!({ "schema": { "type": "string" } }),
        Some(name) => match example(name) {
            Some(example) => json!({ "schema": reference(name), "example": example }),
            None => json!({ "schema": reference(name) }),
        },
    };
    json!({ "description": words, "content": { media_type: content } })
}

fn place(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": { "type": "string" } })
}

fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// All of them, in the order of the reference.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = vec![submit()];
    all.extend(reads());
    all.extend(lists());
    all.push(events());
    all.extend(about_the_node());
    all
}

fn submit() -> Operation {
    let mut content = Map::new();
    let one = json!({ "schema": reference("SubmitRequest"), "example": example("SubmitRequest") });
    content.insert(JSON.to_owned(), one);
    let many = "Canonical bytes of a list of signed transactions: at most 1,024 and 1 MiB";
    content.insert(
        BORSH_MEDIA_TYPE.to_owned(),
        json!({ "schema": { "type": "string", "format": "binary", "description": many } }),
    );
    let mut codes = door();
    codes.extend([Code::BadRequest, Code::UnsupportedMediaType, Code::Halted, Code::Timeout]);
    let wait = json!({ "type": "string", "enum": ["none", "accepted", "committed"], "default": "accepted" });
    let timeout = json!({ "type": "integer", "minimum": 0, "maximum": 60_000, "default": 10_000 });
    Operation {
        method: "post",
        body: Some(json!({ "required": true, "content": content })),
        good: vec![
            (200, "It has its certified outcome; of many, one outcome each, in order", JSON, Some("SubmitAnswer")),
            (202, "It is queued (`wait=none`) or in the pool (`wait=accepted`)", JSON, Some("TransactionResponse")),
        ],
        codes,
        ..Operation::get("/v1/transactions", "submit", "Submit signed transactions", "")
    }
    .says(
        "Known bytes posted again answer with their present state, so a client may send the same bytes as often as it \
         likes, to any node: they apply at most once. 504 says that the outcome is not known yet; the id is in the \
         problem. Of many transactions each has its outcome in the list, refusals included, and no receipts are in it.",
    )
    .takes(query(
        "wait",
        "Until when to wait: `none` parsed and queued, `accepted` verified and in the pool, `committed` \
                          its block is certified",
        wait,
    ))
    .takes(query("timeout", "Milliseconds after which to answer anyway", timeout))
}

fn reads() -> Vec<Operation> {
    let id = || place("id", "The transaction's id, 64 hex digits");
    vec![
        Operation::get("/v1/transactions/{id}", "transaction", "Where a transaction stands", "TransactionResponse")
            .takes(id())
            .fails(&[Code::BadRequest, Code::NotFound]),
        Operation::get("/v1/transactions/{id}/receipt", "receipt", "The proof of a transaction", "Receipt")
            .says("It verifies offline with nothing but the genesis: `quorate verify receipt.json --genesis genesis.json`.")
            .takes(id())
            .fails(&[Code::BadRequest, Code::NotFound]),
        Operation::get("/v1/accounts/{id}", "account", "What an account holds and may do", "AccountResponse")
            .says("An account that nobody registered is answered as well: `member` is false.")
            .takes(place("id", "The account's address: its public key, 64 hex digits"))
            .fails(&[Code::BadRequest]),
        Operation::get("/v1/assets/{code}", "asset", "An asset: its scale, issuer and supply", "AssetResponse")
            .takes(place("code", "The asset's code, such as USD"))
            .fails(&[Code::BadRequest, Code::NotFound]),
        Operation::get("/v1/blocks/{name}", "block", "A block", "BlockResponse")
            .takes(place("name", "Its height, the hash of its header, or `latest`"))
            .fails(&[Code::BadRequest, Code::NotFound]),
        Operation::get("/v1/genesis", "genesis", "The genesis file", "Genesis"),
    ]
}

fn lists() -> Vec<Operation> {
    let order = json!({ "type": "string", "enum": ["newest", "oldest"], "default": "newest" });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 20 });
    vec![
        Operation::get("/v1/blocks", "blocks", "Blocks, without their transactions", "BlocksResponse")
            .says("A list that goes on has `next`; hand it back as `cursor`, with the same order. A page is not moved by \
                   blocks that are made meanwhile.")
            .takes(query("cursor", "The `next` of the page before", text("")))
            .takes(query("limit", "How many", limit))
            .takes(query("order", "Which way", order))
            .fails(&[Code::BadRequest]),
        Operation::get("/v1/evidence", "evidence", "Conflicting messages that validators signed", "EvidenceResponse")
            .says("One piece per validator, kind and epoch, at most 4 MiB of them. A stranger can check each without this \
                   program: `checkable` says how."),
    ]
}

fn events() -> Operation {
    let header = json!({
        "name": "Last-Event-ID", "in": "header", "schema": { "type": "string" },
        "description": "Like `after`, and wins over it: a browser sends it when it connects again",
    });
    Operation {
        good: vec![(200, "Server-sent events: `id: HEIGHT-INDEX`, `event: transaction` or `block`, `data:` an Event as \
                         JSON. A comment every 10 s when there is nothing new", "text/event-stream", Some("Event"))],
        ..Operation::get("/v1/events", "events", "What is certified, as it comes", "")
    }
    .says(
        "One event for each transaction that was executed, one for each block after its transactions, in the order of \
         the chain, and only of certified blocks: what was told is never taken back. A transaction that expires unexecuted \
         has no event. Without a cursor the stream begins with what is certified next; with `after=0-0` at the beginning \
         of the chain; a cursor beyond this node's head waits until the node gets there. Nothing is left out, however \
         slowly a client reads: connect again with the id of the last event and the stream goes on behind it.",
    )
    .takes(query("after", "The `id` of the last event that the client has", text("")))
    .takes(query("account", "Only transactions that this account sent; blocks come all the same unless `kinds` leaves them out", text("")))
    .takes(query("kinds", "`transaction`, `block` or both, separated by a comma; both when absent", text("")))
    .takes(header)
    .fails(&[Code::BadRequest])
}

fn about_the_node() -> Vec<Operation> {
    vec![
        Operation::get("/v1/status", "status", "What the node is and does", "StatusResponse"),
        Operation::get(
            "/v1/consensus",
            "consensus",
            "How the agreement stands, and why it stands still",
            "ConsensusResponse",
        ),
        Operation::get("/v1/peers", "peers", "The links to the other validators", "PeersResponse"),
        Operation::get("/v1/validators", "validators", "The validator set in force", "ValidatorsResponse"),
        Operation::text("/livez", "livez", "The process answers", "text/plain; charset=utf-8"),
        Operation::text(
            "/readyz",
            "readyz",
            "The node can take part in committing transactions",
            "text/plain; charset=utf-8",
        )
        .says("503 says in words why not; `GET /v1/consensus` has the same as a list.")
        .fails(&[Code::NotReady]),
        Operation::get("/version", "version", "The program's version", "VersionResponse"),
        Operation::text(
            "/metrics",
            "metrics",
            "Metrics for Prometheus, names `quorate_*`",
            "application/openmetrics-text",
        ),
        Operation::get("/v1/openapi.json", "openapi", "This description", "OpenApi"),
    ]
}
