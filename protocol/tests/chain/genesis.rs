//! The genesis file: read strictly, judged field by field.

use crate::common::*;
use quorate_crypto::encode::decode;
use quorate_protocol::document::genesis::{GenesisBalance, GenesisError, GenesisMember};
use quorate_protocol::document::{AssetState, Genesis, Roles, StateKey};

#[test]
fn the_file_is_read_back_and_names_the_same_chain() {
    let genesis = genesis();
    let text = genesis.to_json();
    let read = Genesis::from_json(text.as_bytes()).unwrap();
    assert_eq!(read, genesis);
    assert_eq!(read.chain_id(), genesis.chain_id());
    assert!(text.contains("\"amount\": \"100000\""), "amounts are decimal strings");
}

#[test]
fn unknown_repeated_and_missing_fields_are_refused() {
    let text = genesis().to_json();
    let refused = |changed: String| {
        assert_ne!(changed, text);
        let error = Genesis::from_json(changed.as_bytes()).unwrap_err();
        assert!(matches!(error, GenesisError::Form(_)), "{error}");
    };
    refused(text.replacen("\"version\": 1,", "\"version\": 1, \"extra\": 0,", 1));
    refused(text.replacen("\"version\": 1,", "\"version\": 1, \"version\": 1,", 1));
    refused(text.replacen("\"version\": 1,", "", 1));
    refused(text.replacen("\"amount\": \"100000\"", "\"amount\": 100000", 1));
    refused(text.replacen("\"amount\": \"100000\"", "\"amount\": \"0100000\"", 1));
    refused(text.replacen("\"code\": \"USD\"", "\"code\": \"usd\"", 1));
    refused(text.replacen("\"scale\": 2", "\"scale\": 19", 1));
    refused(text.replacen("\"admin\",\n        \"issuer\"", "\"issuer\",\n        \"admin\"", 1));
    refused(text[..text.len() / 2].to_owned());
}

/// What a refusal says: the field first, then reason and remedy.
fn refusal(change: impl FnOnce(&mut Genesis)) -> String {
    let mut genesis = genesis();
    change(&mut genesis);
    let error = genesis.check().expect_err("a wrong genesis").to_string();
    assert!(error.starts_with("genesis "), "{error}");
    error
}

#[test]
fn every_wrong_field_is_named() {
    assert!(refusal(|g| g.version = 2).contains("version"));
    assert!(refusal(|g| g.time = 0).contains("time"));
    assert!(refusal(|g| g.time = u64::MAX).contains("time"));
    assert!(refusal(|g| g.parameters.log_window = 1).contains("parameters.log_window"));
    assert!(refusal(|g| g.members[1].key = key(ADMIN)).contains("members[1].key"));
    assert!(refusal(|g| g.members[0].key = quorate_crypto::key::PublicKey::from_bytes([0; 32])).contains("members[0]"));
    assert!(refusal(|g| g.members[0].roles = Roles::NONE).contains("admin"));
    assert!(refusal(|g| g.assets[0].issuer = key(ALICE)).contains("assets[0].issuer"));
    assert!(
        refusal(|g| {
            let again = g.assets[0].clone();
            g.assets.push(again).unwrap()
        })
        .contains("assets[1].code")
    );
    assert!(refusal(|g| g.balances[2].account = key(STRANGER)).contains("balances[2].account"));
    assert!(refusal(|g| g.balances[2].account = key(BOB)).contains("balances[2].account"));
    assert!(refusal(|g| g.balances[2].code = code("EUR")).contains("balances[2].code"));
    assert!(refusal(|g| g.balances[2].amount = 0).contains("balances[2].amount"));
    assert!(refusal(|g| g.balances[2].amount = u128::MAX).contains("balances[2].amount"));
}

#[test]
fn the_first_state_holds_what_the_file_says() {
    let genesis = genesis();
    let state = genesis.state();
    assert!(state.windows(2).all(|pair| pair[0].key_hash < pair[1].key_hash), "in the order of the key hashes");
    assert!(state.iter().all(|change| change.created));
    assert_eq!(state.len(), 4 + 1 + 3);
    let usd = state.iter().find(|change| change.key == StateKey::Asset(code("USD"))).unwrap();
    let usd: AssetState = decode(usd.value.as_ref().unwrap()).unwrap();
    assert_eq!(usd.supply, 300_000, "the supply is the sum of the balances");
    let header = genesis.header();
    assert_eq!(header.chain_id, genesis.chain_id());
    assert_eq!(header.batch_digest, genesis.block().batch.digest());
}

#[test]
fn each_part_of_the_file_changes_the_name_of_the_chain() {
    let name = genesis().chain_id();
    let changed = |change: fn(&mut Genesis)| {
        let mut genesis = genesis();
        change(&mut genesis);
        genesis.chain_id()
    };
    assert_ne!(changed(|g| g.time += 1), name);
    assert_ne!(changed(|g| g.parameters.log_window += 1), name);
    assert_ne!(changed(|g| g.members.push(GenesisMember { key: key(50), roles: Roles::NONE }).unwrap()), name);
    assert_ne!(changed(|g| g.balances[0].amount += 1), name);
    let extra = GenesisBalance { account: key(ADMIN), code: code("USD"), amount: 1 };
    let mut genesis = genesis();
    genesis.balances.push(extra).unwrap();
    assert_ne!(genesis.chain_id(), name);
}
