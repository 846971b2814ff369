//! Files and HTTP bodies as JSON, and the texts in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_crypto::{PublicKey, Signature};
use quorate_fuzz::{genesis, json};
use quorate_protocol::api::code::Code;
use quorate_protocol::api::envelope::{Envelope, to_pretty_json};
use quorate_protocol::api::event::{Cursor, Event};
use quorate_protocol::api::http::{
    AccountResponse, AssetResponse, BlockResponse, BlocksResponse, ConsensusResponse, PeersResponse, StatusResponse,
    SubmitRequest, SubmitResponse, TransactionResponse, ValidatorsResponse,
};
use quorate_protocol::api::problem::Problem;
use quorate_protocol::document::amount::{format_decimal, parse_decimal, parse_minor};
use quorate_protocol::document::{AssetCode, Genesis, Receipt, Scale};
use quorate_protocol::proof::{read_evidence, read_receipt, verify_evidence_view, verify_receipt};

fuzz_target!(|bytes: &[u8]| {
    files(bytes);
    bodies(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        texts(text);
    }
});

fn files(bytes: &[u8]) {
    if let Ok(genesis) = Genesis::from_json(bytes) {
        assert_eq!(Genesis::from_json(genesis.to_json().as_bytes()).expect("what is written is read"), genesis);
    }
    if let Ok(receipt) = read_receipt(bytes) {
        assert_eq!(read_receipt(to_pretty_json(&receipt).as_bytes()).expect("what is printed is read"), receipt);
        let _ = verify_receipt(&receipt, genesis());
    }
    for view in read_evidence(bytes).unwrap_or_default() {
        let _ = verify_evidence_view(&view, genesis());
    }
}

fn bodies(bytes: &[u8]) {
    json::<Receipt>(bytes);
    json::<Event>(bytes);
    json::<Problem>(bytes);
    json::<Envelope<TransactionResponse>>(bytes);
    json::<SubmitRequest>(bytes);
    json::<SubmitResponse>(bytes);
    json::<AccountResponse>(bytes);
    json::<AssetResponse>(bytes);
    json::<BlockResponse>(bytes);
    json::<BlocksResponse>(bytes);
    json::<StatusResponse>(bytes);
    json::<ConsensusResponse>(bytes);
    json::<ValidatorsResponse>(bytes);
    json::<PeersResponse>(bytes);
}

fn texts(text: &str) {
    let is_same = |shown: Option<String>| shown.is_none_or(|shown| shown == text);
    assert!(is_same(text.parse::<Cursor>().ok().map(|value| value.to_string())));
    assert!(is_same(text.parse::<AssetCode>().ok().map(|value| value.to_string())));
    assert!(is_same(text.parse::<PublicKey>().ok().map(|value| value.to_string())));
    assert!(is_same(text.parse::<Signature>().ok().map(|value| value.to_string())));
    assert!(is_same(text.parse::<Code>().ok().map(|value| value.to_string())));
    assert!(is_same(parse_minor(text).ok().map(|value| value.to_string())));
    for places in [0, 2, 18] {
        let scale = Scale::new(places).expect("a scale");
        if let Ok(minor) = parse_decimal(text, scale) {
            assert_eq!(parse_decimal(&format_decimal(minor, scale), scale), Ok(minor));
        }
    }
}
