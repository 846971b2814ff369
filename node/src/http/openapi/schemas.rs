//! The types of requests and answers. A test compares each with what the program writes.

use quorate_protocol::api::Code;
use serde_json::{Map, Value, json};

/// A type: its name, what it is, its fields in order. A name that ends with `?` may be absent.
type Type = (&'static str, &'static str, Vec<(&'static str, Value)>);

pub(super) fn text(description: &str) -> Value {
    described(json!({ "type": "string" }), description)
}

pub(super) fn integer(description: &str) -> Value {
    described(json!({ "type": "integer", "minimum": 0 }), description)
}

/// A reference to a type.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn described(mut schema: Value, description: &str) -> Value {
    if !description.is_empty() {
        schema["description"] = description.into();
    }
    schema
}

fn flag(description: &str) -> Value {
    described(json!({ "type": "boolean" }), description)
}

/// 32 bytes in lowercase hex.
fn hex(description: &str) -> Value {
    described(json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }), description)
}

fn bytes(description: &str) -> Value {
    described(json!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" }), description)
}

fn time(description: &str) -> Value {
    integer(&format!("{description}, Unix milliseconds"))
}

fn one_of(description: &str, values: &[&str]) -> Value {
    described(json!({ "type": "string", "enum": values }), description)
}

fn of(name: &str, description: &str) -> Value {
    described(reference(name), description)
}

fn list(items: Value, description: &str) -> Value {
    described(json!({ "type": "array", "items": items }), description)
}

/// The same, or `null`.
fn or_null(schema: Value) -> Value {
    let mut schema = schema;
    let description = schema.as_object_mut().and_then(|fields| fields.remove("description"));
    let mut either = json!({ "oneOf": [schema, { "type": "null" }] });
    if let Some(description) = description {
        either["description"] = description;
    }
    either
}

fn code(description: &str) -> Value {
    of("Code", description)
}

const STATUSES: [&str; 7] = ["queued", "accepted", "applied", "failed", "expired", "rejected", "unknown"];

/// All schemas by name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    let types = [transactions(), chain(), blocks(), events(), node(), evidence()];
    for (name, description, fields) in types.into_iter().flatten() {
        schemas.insert(name.to_owned(), object(description, fields));
    }
    let names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    schemas.insert("Code".to_owned(), one_of("A stable error code; see the table in the reference", &names));
    let answer = json!({ "oneOf": [reference("TransactionResponse"), reference("SubmitResponse")] });
    schemas.insert("SubmitAnswer".to_owned(), described(answer, "The first for JSON, the second for borsh"));
    let event = json!({
        "oneOf": [reference("TransactionEvent"), reference("BlockEvent")],
        "discriminator": { "propertyName": "type", "mapping": {
            "transaction": "#/components/schemas/TransactionEvent",
            "block": "#/components/schemas/BlockEvent",
        }},
    });
    schemas.insert("Event".to_owned(), described(event, "The `data` of a server-sent event"));
    schemas.insert("OpenApi".to_owned(), json!({ "type": "object", "description": "An OpenAPI 3.1 document" }));
    let outcome = json!({ "oneOf": [
        { "type": "object", "required": ["status"], "properties": { "status": one_of("", &["applied"]) } },
        { "type": "object", "required": ["status", "code"],
          "properties": { "status": one_of("", &["failed"]), "code": code("Why") } },
        { "type": "object", "required": ["status", "code"],
          "properties": { "status": one_of("", &["skipped"]),
                          "code": one_of("Why", &["outside_window", "duplicate", "not_a_member"]) } },
    ]});
    schemas.insert("Outcome".to_owned(), described(outcome, "What became of a position"));
    schemas
}

fn object(description: &str, fields: Vec<(&'static str, Value)>) -> Value {
    let required: Vec<&str> = fields.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone())).collect();
    json!({ "type": "object", "description": description, "properties": properties, "required": required })
}

fn transactions() -> Vec<Type> {
    let id = || hex("The transaction");
    vec![
        (
            "SubmitRequest",
            "One signed transaction",
            vec![("transaction", bytes("Canonical bytes of a signed transaction, in hex"))],
        ),
        (
            "SubmitResponse",
            "Answer to a submission of many",
            vec![("outcomes", list(reference("TransactionResponse"), "One each, in the order of the transactions"))],
        ),
        (
            "TransactionResponse",
            "Where a transaction stands",
            vec![
                ("id", id()),
                ("status", one_of("Where it stands", &STATUSES)),
                ("code", or_null(code("Why it failed or was refused"))),
                ("height", or_null(integer("The block that executed it"))),
                ("index", or_null(integer("Its position there"))),
                ("receipt", or_null(of("Receipt", "The proof, once its block is certified"))),
            ],
        ),
        (
            "Problem",
            "What every error is (RFC 9457)",
            vec![
                ("type", text("`urn:quorate:error:` and the code")),
                ("title", text("The code in words")),
                ("status", integer("HTTP status")),
                ("detail", text("This occurrence in words")),
                ("code", code("The stable code")),
                ("retryable", flag("Whether the same request can succeed later or elsewhere")),
                ("outcome", one_of("What is known of the transaction", &["not_applied", "applied", "unknown"])),
                ("hint", text("What to do")),
                ("id?", hex("The transaction, where the request is about one")),
            ],
        ),
        (
            "Receipt",
            "A position of a block with everything needed to check it against the genesis",
            vec![
                ("index", integer("Which position of the block, from 0")),
                ("count", integer("How many positions the block has")),
                ("position", of("Position", "The transaction and what became of it")),
                ("path", list(hex(""), "The hashes beside the way from the position to `receipts_root`, lowest first")),
                ("header", of("Header", "The block's header")),
                ("certificate", of("Certificate", "A quorum's signatures of the header")),
                (
                    "boundaries",
                    list(reference("Boundary"), "One for each change of the validator set up to this block"),
                ),
            ],
        ),
        ("Position", "One position of a block", vec![("id", id()), ("outcome", reference("Outcome"))]),
    ]
}

fn chain() -> Vec<Type> {
    vec![
        (
            "Header",
            "The head of a block",
            vec![
                ("version", integer("Version of its form")),
                ("chain_id", hex("The chain: the hash of the genesis")),
                ("epoch", integer("The validator set that decided it")),
                ("height", integer("Its height")),
                ("parent", hex("Hash of the header before")),
                ("batch_digest", hex("What the agreement was about")),
                ("transactions_root", hex("Merkle root over the ids")),
                ("receipts_root", hex("Merkle root over the positions")),
                ("state_root", hex("Root of the state after it")),
                ("validators_hash", hex("Hash of the set that decided it")),
                ("next_validators_hash", hex("Hash of the set that decides the next block")),
                ("parameters_hash", hex("Hash of the parameters in force")),
                ("time", time("Its time")),
            ],
        ),
        (
            "Certificate",
            "A quorum's signatures of one header",
            vec![(
                "signatures",
                list(
                    json!({ "type": "array", "prefixItems": [integer("Index"), text("Signature")], "minItems": 2, "maxItems": 2 }),
                    "Index of the validator and its signature, in index order",
                ),
            )],
        ),
        (
            "Boundary",
            "The step from one validator set to the next",
            vec![
                ("header", of("Header", "Header of the last block that the old set decided")),
                ("certificate", of("Certificate", "The old set's signatures of it")),
                ("validators", list(reference("Validator"), "The new set")),
            ],
        ),
        (
            "Validator",
            "One validator's keys",
            vec![("consensus_key", hex("Signs its votes")), ("network_key", hex("Identifies its connections"))],
        ),
        (
            "Genesis",
            "The first state of a chain",
            vec![
                ("version", integer("Version of the file's form")),
                ("time", time("Time of block 0")),
                ("parameters", json!({ "type": "object", "description": "Timing and sizes" })),
                ("validators", list(reference("Validator"), "The validators of epoch 0")),
                ("members", list(json!({ "type": "object" }), "Who may use the chain, and how")),
                ("assets", list(json!({ "type": "object" }), "The assets")),
                ("balances", list(json!({ "type": "object" }), "Who holds what")),
            ],
        ),
        (
            "AccountResponse",
            "An account at one height",
            vec![
                ("account", hex("The address")),
                ("height", integer("The height at which this was read")),
                ("time", time("That block's time")),
                ("member", flag("Whether it is a member")),
                ("frozen", flag("Whether its transactions fail")),
                ("roles", list(one_of("", &["admin", "issuer", "member", "auditor"]), "What it may do")),
                ("balances", list(reference("BalanceView"), "In the order of the asset codes, at most 1,000")),
            ],
        ),
        (
            "AssetResponse",
            "An asset at one height",
            vec![
                ("asset", text("The asset")),
                ("height", integer("The height at which this was read")),
                ("time", time("That block's time")),
                ("scale", integer("Decimal places")),
                ("issuer", hex("Who mints and burns it")),
                ("supply", text("What exists of it, with its decimal places: \"12.50\"")),
                ("supply_minor", text("What exists of it in minor units: \"1250\"")),
            ],
        ),
        (
            "BalanceView",
            "What an account holds of one asset",
            vec![
                ("asset", text("The asset")),
                ("amount", text("With the asset's decimal places: \"12.50\"")),
                ("minor", text("Minor units: \"1250\"")),
                ("scale", integer("Decimal places of the asset")),
            ],
        ),
    ]
}

fn blocks() -> Vec<Type> {
    vec![
        (
            "BlockResponse",
            "A block",
            vec![
                ("height", integer("Its height")),
                ("hash", hex("Hash of its header")),
                ("header", of("Header", "Its header")),
                ("batch", of("BatchView", "What was ordered")),
                ("transactions", list(reference("PositionView"), "What became of it, in order")),
                ("certified", flag("Whether this node holds the block's own certificate")),
            ],
        ),
        (
            "BatchView",
            "A batch without its ids",
            vec![
                ("time", time("The time that its primary gave it")),
                ("count", integer("How many transactions it ordered")),
            ],
        ),
        (
            "PositionView",
            "One position of a block",
            vec![
                ("index", integer("Its place, from 0")),
                ("id", hex("The transaction")),
                ("outcome", of("Outcome", "What became of it")),
            ],
        ),
        (
            "BlocksResponse",
            "A page of blocks",
            vec![
                ("items", list(reference("BlockSummary"), "In the order asked for")),
                ("next", or_null(text("The cursor of the next page, `null` at the end"))),
            ],
        ),
        (
            "BlockSummary",
            "A block without its transactions",
            vec![
                ("height", integer("Its height")),
                ("hash", hex("Hash of its header")),
                ("time", time("Its time")),
                ("state_root", hex("Root of the state after it")),
                ("positions", integer("How many positions it has")),
                ("transactions", integer("How many of them were executed: applied or failed")),
                ("certified", flag("Whether this node holds the block's own certificate")),
            ],
        ),
    ]
}

fn events() -> Vec<Type> {
    vec![
        (
            "TransactionEvent",
            "A transaction was executed and is certified: its receipt can be had",
            vec![
                ("type", one_of("Which event", &["transaction"])),
                ("height", integer("The block that executed it")),
                ("index", integer("Its position there")),
                ("id", hex("The transaction")),
                ("status", one_of("What became of it", &["applied", "failed"])),
                ("code", or_null(code("Why it failed"))),
                ("sender", hex("Who sent it")),
                ("time", time("The block's time")),
            ],
        ),
        (
            "BlockEvent",
            "A block is certified; its transactions came before",
            vec![
                ("type", one_of("Which event", &["block"])),
                ("height", integer("Its height")),
                ("hash", hex("Hash of its header")),
                ("time", time("Its time")),
                ("state_root", hex("Root of the state after it")),
                ("transactions", integer("How many transactions it executed")),
            ],
        ),
    ]
}

fn node() -> Vec<Type> {
    let name = || text("Its name, `v0` for the validator of index 0");
    let names = |description| list(text(""), description);
    let kinds = ["halted", "no_quorum", "between_views", "primary_silent", "catching_up", "window_full", "clock_off"];
    vec![
        (
            "StatusResponse",
            "What a node is and does",
            vec![
                ("node", name()),
                ("index", or_null(integer("Its index in the validator set, `null` for an observer"))),
                ("chain_id", hex("The chain")),
                ("version", text("Version of the program")),
                ("state", one_of("What it does", &["active", "following", "catching_up", "halted"])),
                ("reason", or_null(text("Why it does not take part, or what it waits for between two views"))),
                ("height", integer("Its last executed and durable block")),
                ("certified_height", integer("Its highest block below which all are covered by certificates")),
                ("header_hash", hex("Hash of the last block's header")),
                ("state_root", hex("State root after the last block")),
                ("time", time("Time of the last block")),
                ("view", integer("Its view")),
                ("active", flag("Whether it has entered the view; while not, it waits for its NEW-VIEW")),
                ("primary", text("Name of the view's primary")),
                ("view_change", or_null(of("ViewChangeStatus", "What it waits for, `null` while the view is active"))),
                ("epoch", integer("Its epoch")),
                ("is_primary", flag("Whether it is the primary of its view")),
                ("voting", flag("Whether it signs votes")),
                ("peers_connected", integer("How many other validators it is connected to")),
                ("pool", of("PoolStatus", "What waits in its pool")),
                (
                    "clock_offset",
                    integer("Milliseconds by which its clock is wrong on purpose; 0 outside of experiments"),
                ),
            ],
        ),
        (
            "PoolStatus",
            "Transactions that wait",
            vec![("count", integer("How many")), ("bytes", integer("Their canonical bytes"))],
        ),
        (
            "ViewChangeStatus",
            "What a node between two views waits for",
            vec![
                ("left", list(reference("LeftView"), "Who has left for which view, in index order")),
                ("need", integer("How many have to leave before the view can open")),
                ("timeout", integer("Milliseconds that the view may then take to open")),
            ],
        ),
        (
            "LeftView",
            "A validator that has left a view",
            vec![("name", name()), ("view", integer("The view for which it has left"))],
        ),
        (
            "ConsensusResponse",
            "How the agreement stands",
            vec![
                ("epoch", integer("The validator set in force")),
                ("view", integer("The node's view")),
                ("active", flag("Whether it has entered the view")),
                ("primary", text("Name of the view's primary")),
                ("low", integer("Low watermark h")),
                ("high", integer("High watermark")),
                ("executed", integer("The last executed height")),
                ("certified", integer("The highest certified height")),
                ("n", integer("Validators")),
                ("f", integer("Faulty ones that the set bears")),
                ("quorum", integer("How many decide")),
                ("connected", names("Validators that are connected, this one included")),
                ("missing", names("Those that are not")),
                ("standing_still", or_null(text("Why nothing can be decided until somebody does something about it"))),
                (
                    "reasons",
                    list(reference("Standstill"), "Everything known to be in the way, lasting or for a moment"),
                ),
                ("peers", list(reference("PeerView"), "The other validators")),
            ],
        ),
        (
            "Standstill",
            "One reason why nothing is decided, or why this node takes no part",
            vec![("kind", one_of("Which", &kinds)), ("detail", text("What the node knows of it, in words"))],
        ),
        (
            "PeerView",
            "Another validator",
            vec![
                ("name", name()),
                ("connected", flag("Whether it is connected")),
                ("height", integer("The last height that it told of")),
            ],
        ),
        (
            "PeersResponse",
            "The links to the other validators",
            vec![("peers", list(reference("PeerDetails"), "In index order"))],
        ),
        (
            "PeerDetails",
            "Another validator as this node's network sees it",
            vec![
                ("name", name()),
                ("index", integer("Its index in the validator set")),
                ("network_key", hex("Identifies its connections")),
                ("address", or_null(text("Where this node is configured to find it"))),
                ("connected", flag("Whether it is connected")),
                ("since", or_null(time("When the present connection was accepted"))),
                ("silent_ms", or_null(integer("Milliseconds since its last message"))),
                ("height", integer("The last height that it told of")),
                (
                    "dropped",
                    list(reference("DropCount"), "What was dropped of what it sent, and of what it was to get"),
                ),
            ],
        ),
        (
            "DropCount",
            "What was dropped for one reason",
            vec![
                ("reason", text("The reason, as in the metrics")),
                ("count", integer("How often since the start of the process")),
            ],
        ),
        (
            "ValidatorsResponse",
            "The validator set in force",
            vec![
                ("epoch", integer("The set's epoch")),
                ("n", integer("Validators")),
                ("f", integer("Faulty ones that the set bears")),
                ("quorum", integer("How many decide")),
                ("validators", list(reference("ValidatorView"), "In index order")),
            ],
        ),
        (
            "ValidatorView",
            "One validator",
            vec![
                ("name", name()),
                ("index", integer("Its index")),
                ("consensus_key", hex("Signs its votes")),
                ("network_key", hex("Identifies its connections")),
                ("is_primary", flag("Whether it is the primary of the answering node's view")),
                ("connected", flag("Whether the answering node is connected to it, or is it")),
            ],
        ),
        (
            "VersionResponse",
            "The program",
            vec![
                ("version", text("Version of the program")),
                ("protocol_version", integer("Version of the protocol's rules that it knows")),
            ],
        ),
    ]
}

fn evidence() -> Vec<Type> {
    let kinds = ["pre_prepare", "prepare", "commit", "checkpoint", "view_change", "new_view", "primary_prepared"];
    vec![
        (
            "EvidenceResponse",
            "Conflicting messages",
            vec![
                ("chain_id", hex("The chain")),
                ("evidence", list(reference("EvidenceView"), "One piece per validator, kind and epoch")),
                ("left_out", integer("How many more pieces the node holds than one answer carries")),
            ],
        ),
        (
            "EvidenceView",
            "One piece of evidence",
            vec![
                ("validator", or_null(integer("The accused validator's index"))),
                ("key", hex("Its consensus key, which signed both messages")),
                ("kind", one_of("What it did", &kinds)),
                ("place", of("Place", "Where it may speak once only")),
                ("messages", list(reference("MessageView"), "The two messages")),
                ("checkable", of("Checkable", "What a stranger needs to check it")),
            ],
        ),
        (
            "Place",
            "Where a key may speak once only",
            vec![
                ("epoch", integer("The validator set")),
                ("view", or_null(integer("The view, of votes"))),
                ("sequence", or_null(integer("The place in the order, of votes that have one"))),
                ("height", or_null(integer("The block, of CHECKPOINTs"))),
            ],
        ),
        (
            "MessageView",
            "One of two messages that exclude each other",
            vec![
                ("digest", hex("What was signed at the place")),
                ("signature", bytes("The signature")),
                ("bytes", bytes("Canonical bytes of the message")),
            ],
        ),
        (
            "Checkable",
            "How to check a piece of evidence",
            vec![
                ("chain_id", hex("The chain")),
                ("domain", text("The domain of the signatures")),
                ("signed_prefix", bytes("What stands before the body in the signed bytes")),
                ("rule", text("The rule in words")),
            ],
        ),
    ]
}
