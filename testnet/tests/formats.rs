//! The formats that scripts rely on (DESIGN, "they stay as they are"), as raw JSON: nothing of this project reads it here, so
//! that a field that is renamed, taken out, added or of another type is found.

mod common;

use std::fs;
use std::process::Command;

use serde_json::{Map, Value, json};

use common::{Net, program, run};

/// Where a value is not of this form. A form is an object with exactly these keys, a list whose entries all have one form,
/// or names of types with a bar between them.
fn differences(at: &str, value: &Value, form: &Value) -> Vec<String> {
    match (form, value) {
        (Value::String(types), _) if types.split('|').any(|name| is_of_type(value, name)) => Vec::new(),
        (Value::Object(form), Value::Object(value)) => differing_keys(at, value, form),
        (Value::Array(form), Value::Array(entries)) if !entries.is_empty() => {
            let each = entries.iter().enumerate();
            each.flat_map(|(index, entry)| differences(&format!("{at}[{index}]"), entry, &form[0])).collect()
        }
        _ => vec![format!("{at} is {value}, not {form}")],
    }
}

fn differing_keys(at: &str, value: &Map<String, Value>, form: &Map<String, Value>) -> Vec<String> {
    let extra = value.keys().filter(|key| !form.contains_key(*key)).map(|key| format!("{at}.{key} is new"));
    let each = form.iter().flat_map(|(key, form)| match value.get(key) {
        Some(value) => differences(&format!("{at}.{key}"), value, form),
        None => vec![format!("{at}.{key} is missing")],
    });
    extra.chain(each).collect()
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "hash" => value.as_str().is_some_and(|text| text.len() == 64 && hex_digits(text)),
        "amount" => value.as_str().is_some_and(|text| text.parse::<f64>().is_ok()),
        "list" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("there is no type {name}"),
    }
}

fn hex_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[track_caller]
fn assert_form(what: &str, value: &Value, form: Value) {
    let found = differences(what, value, &form);
    assert!(found.is_empty(), "scripts rely on this form: {found:#?}");
}

/// The envelope of a result; its data comes back.
#[track_caller]
fn data_of(what: &str, out: &str) -> Value {
    let envelope: Value = serde_json::from_str(out).unwrap_or_else(|error| panic!("{what}: {error}: {out}"));
    let form = json!({
        "schema_version": "integer", "success": "boolean", "data": "object", "errors": "list", "warnings": "list",
    });
    assert_form(what, &envelope, form);
    assert_eq!((&envelope["schema_version"], &envelope["success"]), (&json!(1), &json!(true)), "{what}");
    envelope["data"].clone()
}

fn manifest(net: &Net) {
    let text = fs::read_to_string(net.path().join("testnet.json")).unwrap();
    let form = json!({
        "version": "integer", "chain_id": "hash", "genesis": "string", "page": "null|string",
        "nodes": [{ "name": "string", "api": "string", "p2p": "string", "home": "string" }],
        "accounts": [{ "name": "string", "address": "hash", "key_file": "string" }],
    });
    assert_form("testnet.json", &serde_json::from_str(&text).unwrap(), form);
}

fn status(net: &Net) {
    // One node that is down has all the same keys.
    net.testnet(&["kill", "v3"]).ok();
    let data = data_of("status", &net.testnet(&["status", "--output", "json"]).ok().out);
    let node = json!({
        "name": "string", "pid": "integer|null", "state": "string", "api": "string", "height": "integer|null",
        "view": "integer|null", "active": "boolean", "is_primary": "boolean", "state_root": "hash|null",
        "voting": "boolean", "reason": "string|null",
    });
    let form = json!({
        "dir": "string", "chain_id": "hash", "running": "boolean", "starting": "boolean", "nodes": [node],
        "proxied": "boolean", "faults": "list", "links": "list",
    });
    assert_form("status", &data, form);
    assert_eq!((&data["nodes"][0]["state"], &data["nodes"][3]["state"]), (&json!("active"), &json!("down")));
}

/// What a command on a node and what a fault of the network says.
fn faults(net: &Net) {
    let started = data_of("start", &net.testnet(&["start", "v3", "--output", "json"]).ok().out);
    let form = json!({
        "name": "string", "pid": "integer|null", "down": "string|null", "paused": "boolean", "api": "string",
        "what": "string", "undo": "string|null", "notes": "list", "at": "integer", "took_ms": "number",
    });
    assert_form("start", &started, form);
    let paused = data_of("pause", &net.testnet(&["pause", "v3", "--output", "json"]).ok().out);
    let fault = json!({
        "kind": "string", "target": "string", "what": "string", "undo": "string", "since": "integer",
    });
    let form = json!({
        "what": "string", "undo": "string|null", "notes": "list", "at": "integer", "took_ms": "number",
        "faults": [fault], "links": "list",
    });
    assert_form("pause", &paused, form);
    net.testnet(&["resume", "v3"]).ok();
}

fn transfer(net: &Net) {
    let receipt = "object|null";
    let form = |code: &str| {
        json!({
            "id": "hash", "status": "string", "code": code, "height": "integer", "index": "integer", "receipt": receipt,
        })
    };
    let applied = data_of("transfer", &net.transfer("10").ok().out);
    assert_form("transfer", &applied, form("null"));
    assert_eq!(applied["status"], "applied");
    let failed = net.transfer("99999999");
    assert_eq!(failed.code, Some(4), "{failed:?}");
    assert_form("transfer that fails", &failed.json()["data"], form("string"));
    assert_eq!(failed.json()["data"]["status"], "failed");
}

fn account(net: &Net) {
    let data = data_of("account", &net.quorate(&["account", "alice", "--output", "json"]).ok().out);
    let form = json!({
        "account": "hash", "height": "integer", "time": "integer", "member": "boolean", "frozen": "boolean",
        "roles": "list",
        "balances": [{ "asset": "string", "amount": "amount", "minor": "amount", "scale": "integer" }],
    });
    assert_form("account", &data, form);
}

fn bench(net: &Net) {
    let arguments = ["bench", "--duration", "1", "--clients", "10", "--output", "json"];
    let data = data_of("bench", &net.testnet(&arguments).ok().out);
    let latency = json!({ "p50": "number", "p99": "number", "p999": "number", "max": "number" });
    let cost = json!({
        "replica_micros": "number", "replica_micros_by_thread": "list", "load_micros": "number",
        "written_bytes": "number", "wire_bytes": "number", "resident_bytes_max": "integer",
    });
    let form = json!({
        "subject": {
            "started": "integer", "version": "string", "nodes": "integer", "cores": "integer", "clients": "integer",
            "accounts": "integer", "transaction_bytes": "integer", "reference_micros": "number",
            "sync_millis": "number", "wake_micros": "number",
        },
        "full": {
            "committed_per_second": "number", "efficiency": "number", "not_applied": "integer",
            "latency_millis": latency, "moments": "list",
        },
        "cost": cost,
        "steady": [{
            "offered_per_second": "integer", "committed_per_second": "number", "not_applied": "integer",
            "latency_millis": latency, "cost": cost,
        }],
        "sweep": "list",
    });
    assert_form("bench", &data, form);
}

fn error_envelope(failed: &Value) {
    let error = json!({ "code": "string", "message": "string", "hint": "string", "retryable": "boolean" });
    let form = json!({
        "schema_version": "integer", "success": "boolean", "data": "null", "errors": [error], "warnings": "list",
    });
    assert_form("an error", failed, form);
    assert_eq!((&failed["schema_version"], &failed["success"]), (&json!(1), &json!(false)));
}

#[test]
fn a_testnet_answers_in_the_forms_that_scripts_rely_on() {
    let net = Net::new();
    net.testnet(&["up", "--detach"]).ok();
    manifest(&net);
    transfer(&net);
    account(&net);
    status(&net);
    faults(&net);
    bench(&net);
    let unknown = net.testnet(&["kill", "v9", "--output", "json"]);
    assert_eq!(unknown.code, Some(3), "{unknown:?}");
    error_envelope(&unknown.json());
    let unknown = net.quorate(&["account", "nobody", "--output", "json"]);
    assert_ne!(unknown.code, Some(0), "{unknown:?}");
    error_envelope(&unknown.json());
}

#[test]
fn simulate_answers_in_the_form_that_scripts_rely_on() {
    let simulate = |more: &[&str]| {
        let arguments = ["simulate", "--seeds", "2", "--output", "json"];
        let done = run(Command::new(program("quorate-testnet")).args(arguments).args(more)).ok();
        data_of("simulate", &done.out)
    };
    let form = json!({
        "first_seed": "integer", "seeds": "integer", "scenario": "string|null", "happened": "integer|null",
        "happened_in": "integer|null", "passed": "integer", "failed": "integer", "failures": "list",
        "executed": "integer", "blocks": "integer", "faults": "integer", "digest": "hash", "seconds": "number",
        "seeds_per_minute": "number",
    });
    assert_form("simulate", &simulate(&[]), form.clone());
    assert_form("simulate", &simulate(&["--scenario", "crash_loop"]), form);
}

#[test]
fn a_field_that_is_renamed_taken_out_added_or_of_another_type_is_found() {
    let form = json!({ "name": "string", "nodes": [{ "pid": "integer|null" }] });
    let good = json!({ "name": "v0", "nodes": [{ "pid": 1 }, { "pid": null }] });
    assert_eq!(differences("it", &good, &form), Vec::<String>::new());
    for (bad, complaints) in [
        (json!({ "names": "v0", "nodes": [{ "pid": 1 }] }), vec!["it.names is new", "it.name is missing"]),
        (json!({ "name": "v0" }), vec!["it.nodes is missing"]),
        (json!({ "name": "v0", "nodes": [] }), vec![r#"it.nodes is [], not [{"pid":"integer|null"}]"#]),
        (
            json!({ "name": "v0", "nodes": [{ "pid": 1 }, { "pid": "1" }] }),
            vec![r#"it.nodes[1].pid is "1", not "integer|null""#],
        ),
        (json!({ "name": "v0", "nodes": [{ "pid": 1, "id": 2 }] }), vec!["it.nodes[0].id is new"]),
    ] {
        assert_eq!(differences("it", &bad, &form), complaints, "{bad}");
    }
}
