//! The description holds: routes, fields, codes, and the files in `docs/api`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use quorate_protocol::api::Code;
use serde_json::Value;

use super::document::{build, text};
use super::examples::example;
use super::reference::page;
use super::schemas::schemas;
use crate::http::router::routes;

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = build();
    let described = document["paths"].as_object().expect("paths").iter().flat_map(|(path, methods)| {
        methods.as_object().expect("methods").keys().map(move |method| format!("{method} {path}"))
    });
    let described: BTreeSet<String> = described.collect();
    let routed: BTreeSet<String> = routes().iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(described, routed);
}

/// Says where `value` is not of `schema`.
fn check(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
        let found = schemas().get(name).cloned().ok_or_else(|| format!("{place}: no schema {name}"))?;
        return check(&found, value, &format!("{place}({name})"));
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let results: Vec<_> = either.iter().map(|schema| check(schema, value, place)).collect();
        return match results.iter().filter(|result| result.is_ok()).count() {
            1 => Ok(()),
            count => Err(format!("{place}: {count} alternatives fit {value}: {results:?}")),
        };
    }
    let fits = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        other => return Err(format!("{place}: a schema of type {other:?}")),
    };
    let in_enum = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let in_pattern = match schema["pattern"].as_str() {
        Some("^[0-9a-f]{64}$") => value.as_str().is_some_and(|text| text.len() == 64 && is_hex(text)),
        Some(_) => value.as_str().is_some_and(|text| text.len() % 2 == 0 && is_hex(text)),
        None => true,
    };
    if !(fits && in_enum && in_pattern) {
        return Err(format!("{place}: {value} is not {schema}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check_item(&schema["items"], item, &format!("{place}[{index}]"))?;
    }
    check_fields(schema, value, place)
}

fn check_item(items: &Value, item: &Value, place: &str) -> Result<(), String> {
    match items["prefixItems"].as_array() {
        None => check(items, item, place),
        Some(pair) => {
            let values = item.as_array().filter(|values| values.len() == pair.len());
            let values = values.ok_or_else(|| format!("{place}: {item} is no pair"))?;
            pair.iter().zip(values).try_for_each(|(schema, value)| check(schema, value, place))
        }
    }
}

/// A whole value has each field that the schema knows, and no other.
fn check_fields(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object()) else { return Ok(()) };
    for (name, field) in fields {
        let schema = properties.get(name).ok_or_else(|| format!("{place}.{name} is not described"))?;
        check(schema, field, &format!("{place}.{name}"))?;
    }
    match properties.keys().find(|name| !fields.contains_key(*name)) {
        Some(name) => Err(format!("{place}.{name} is described, and the program writes none")),
        None => Ok(()),
    }
}

#[test]
fn every_example_is_of_its_schema_field_by_field() {
    for name in schemas().keys() {
        if let Some(example) = example(name) {
            check(&super::schemas::reference(name), &example, name).unwrap_or_else(|reason| panic!("{reason}"));
        }
    }
}

/// Names of the schemas that a value of `schema` can hold.
fn reach(schema: &Value, reached: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next())
                && reached.insert(name.to_owned())
            {
                reach(&schemas()[name], reached);
            }
            fields.values().for_each(|field| reach(field, reached));
        }
        Value::Array(items) => items.iter().for_each(|item| reach(item, reached)),
        _ => {}
    }
}

#[test]
fn every_schema_is_used_and_held_by_an_example() {
    let (mut used, mut held) = (BTreeSet::new(), BTreeSet::new());
    reach(&build()["paths"], &mut used);
    let all: BTreeSet<String> = schemas().keys().cloned().collect();
    assert_eq!(used, all, "schemas that no path uses, or that are missing");
    for name in all.iter().filter(|name| example(name).is_some()) {
        reach(&super::schemas::reference(name), &mut held);
    }
    // A genesis is held by the test below; a description does not describe itself.
    let not_held: Vec<_> = all.difference(&held).map(String::as_str).collect();
    assert_eq!(not_held, ["Genesis", "OpenApi"]);
}

#[test]
fn a_genesis_is_of_its_schema() {
    use quorate_protocol::document::genesis::GENESIS_VERSION;
    use quorate_protocol::document::{Genesis, Parameters, Validator, ValidatorSet};

    let key = |byte| quorate_crypto::key::PublicKey::from_bytes([byte; 32]);
    let validators = ValidatorSet::new(vec![Validator { consensus_key: key(1), network_key: key(2) }]).unwrap();
    let genesis = Genesis {
        version: GENESIS_VERSION,
        time: 1,
        parameters: Parameters::default(),
        validators,
        members: Default::default(),
        assets: Default::default(),
        balances: Default::default(),
    };
    let genesis = serde_json::from_str(&genesis.to_json()).unwrap();
    check(&super::schemas::reference("Genesis"), &genesis, "genesis").unwrap_or_else(|reason| panic!("{reason}"));
}

#[test]
fn the_check_of_the_schemas_finds_what_is_wrong() {
    let schema = super::schemas::reference("PoolStatus");
    let found = |text: &str| check(&schema, &serde_json::from_str(text).unwrap(), "pool").unwrap_err();
    assert!(found(r#"{"count": 1}"#).contains("pool(PoolStatus).bytes is described"));
    assert!(found(r#"{"count": 1, "bytes": 2, "age": 3}"#).contains("age is not described"));
    assert!(found(r#"{"count": "1", "bytes": 2}"#).contains("pool(PoolStatus).count"));
}

#[test]
fn every_code_of_door_and_service_is_told_of_some_path() {
    let document = build();
    let told = document["paths"].to_string();
    let execution = |code: &Code| code.stage() == quorate_protocol::api::code::Stage::Execution;
    for code in Code::ALL.iter().filter(|code| !execution(code)) {
        // A path that is described takes its method.
        let found = told.contains(&format!("`{code}`")) || *code == Code::MethodNotAllowed;
        assert!(found, "{code} is told of no path");
    }
}

/// Compares a file with what it must be, or writes it.
fn compare(name: &str, expected: &str) {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api").join(name);
    if std::env::var_os("QUORATE_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&file, expected).expect("the file is written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "docs/api/{name} is not what the program says; run the node's tests with QUORATE_BLESS=1"
    );
}

#[test]
fn the_files_in_docs_are_what_the_program_says() {
    compare("openapi.json", &text());
    compare("README.md", &page(&build()));
}
