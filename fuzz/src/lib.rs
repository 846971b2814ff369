//! What the targets share.

use std::fmt::Debug;
use std::sync::LazyLock;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{Digest, decode, encode};
use quorate_protocol::document::Genesis;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads canonical bytes; what is read is written as the same bytes.
///
/// # Panics
/// When it is not.
pub fn canonical<T: BorshSerialize + BorshDeserialize>(bytes: &[u8]) -> Option<T> {
    let value = decode::<T>(bytes).ok()?;
    assert!(encode(&value) == bytes, "two encodings of one {}", std::any::type_name::<T>());
    Some(value)
}

/// Reads JSON; what is written of it is read as the same value.
///
/// # Panics
/// When it is not.
pub fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value = serde_json::from_slice::<T>(bytes).ok()?;
    let written = serde_json::to_vec(&value).expect("types of the API have a JSON form");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what is written is read"), value);
    Some(value)
}

/// A chain of four validators.
pub fn genesis() -> &'static Genesis {
    static GENESIS: LazyLock<Genesis> = LazyLock::new(|| {
        Genesis::from_json(include_bytes!("../../protocol/tests/golden/genesis.json")).expect("it is frozen")
    });
    &GENESIS
}

/// Its name.
pub fn chain_id() -> &'static Digest {
    static CHAIN_ID: LazyLock<Digest> = LazyLock::new(|| genesis().chain_id());
    &CHAIN_ID
}
