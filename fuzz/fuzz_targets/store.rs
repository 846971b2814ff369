//! Values of the chain store: under their own key they are read as they were written, or refused.
#![no_main]

use borsh::{BorshDeserialize, BorshSerialize};
use libfuzzer_sys::fuzz_target;
use quorate_crypto::{Digest, PublicKey, decode, encode, sha256};
use quorate_fuzz::canonical;
use quorate_protocol::document::{AssetState, Batch, Body, Certificate, Header, MemberState, Position, Proof};
use quorate_protocol::id::TransactionId;
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::store::StoreError;
use quorate_storage::schema::{
    Kind, balance_code, balance_key, evidence_key, evidence_value, seal, seal_header_height, seal_place, sealed_height,
    uncertified_height, uncertified_key, unseal, unseal_hash, unseal_header_height, unseal_place,
};

fn same(read: Result<Vec<u8>, StoreError>, bytes: &[u8]) {
    match read {
        Ok(written) => assert!(written == bytes, "two encodings of one value"),
        Err(error) => assert!(error.to_string().len() <= 1_000, "{error}"),
    }
}

fn by_height<T: BorshSerialize + BorshDeserialize>(kind: Kind, bytes: &[u8]) {
    let read = sealed_height(kind, bytes).and_then(|height| Ok(seal(kind, height, &unseal::<T>(kind, height, bytes)?)));
    same(read, bytes);
}

/// The hash, and the account, that the seeds of the target are about.
fn by_hash(hash: &Digest, account: &PublicKey, bytes: &[u8]) {
    let id = TransactionId(*hash);
    same(unseal_place(&id, bytes).map(|(height, position)| seal_place(&id, height, position)), bytes);
    same(unseal_header_height(hash, bytes).map(|height| seal_header_height(hash, height)), bytes);
    same(balance_code(account, bytes).map(|code| balance_key(account, &code)), bytes);
    same(uncertified_height(bytes).map(uncertified_key), bytes);
    if let Ok(value) = unseal_hash("state", hash.as_bytes(), bytes) {
        canonical::<u128>(value);
        canonical::<MemberState>(value);
        canonical::<AssetState>(value);
    }
}

fuzz_target!(|bytes: &[u8]| {
    by_height::<Header>(Kind::Header, bytes);
    by_height::<(Batch, Vec<Body>)>(Kind::Contents, bytes);
    by_height::<Vec<Position>>(Kind::Positions, bytes);
    by_height::<Proof>(Kind::Proof, bytes);
    by_height::<Certificate>(Kind::Certificate, bytes);
    by_height::<Digest>(Kind::Head, bytes);
    by_height::<()>(Kind::Indexed, bytes);
    by_height::<()>(Kind::Uncertified, bytes);
    let hash = sha256(b"a hash");
    // The key of an account begins what it is asked for.
    let account = bytes.first_chunk::<32>().map_or(PublicKey::from_bytes([0; 32]), |key| PublicKey::from_bytes(*key));
    by_hash(&hash, &account, bytes);
    by_hash(&hash, &account, &[&hash.as_bytes()[..8], bytes].concat());
    if let Ok(evidence) = decode::<Evidence>(bytes) {
        let read = evidence_value(&evidence_key(&evidence), bytes);
        assert_eq!(read.map(|evidence| encode(&evidence)).as_deref(), Ok(bytes));
    }
});
