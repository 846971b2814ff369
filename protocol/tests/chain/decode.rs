//! Whatever bytes arrive: decoding says yes or no, and yes only to the one encoding of a value.

use crate::common::*;
use borsh::{BorshDeserialize, BorshSerialize};
use proptest::prelude::*;
use quorate_crypto::encode::{decode, encode};
use quorate_crypto::key::SecretKey;
use quorate_crypto::signature::Verifier;
use quorate_crypto::signed::Verified;
use quorate_protocol::api::code::Code;
use quorate_protocol::document::{
    AssetState, Batch, Block, Certificate, CertifiedBlock, Checkpoint, Genesis, Header, MemberState, Operation,
    Parameters, Position, Proof, Receipt, SignedTransaction, StateKey, Transaction, ValidatorSet,
};
use quorate_protocol::limits::{HEADER_BYTES_LIMIT, OPERATION_BYTES_LIMIT};
use quorate_protocol::proof::read_receipt;

fn sample_block() -> Block {
    Chain::new().block(
        START + 1,
        &[
            unsigned(transaction(ALICE, 1, vec![transfer(BOB, 5), transfer(CAROL, u128::MAX)])),
            unsigned(transaction(STRANGER, 2, vec![])),
        ],
    )
}

/// Decodes as every document; what is accepted encodes to the same bytes.
fn decode_as_everything(bytes: &[u8]) -> usize {
    fn one<T: BorshSerialize + BorshDeserialize>(bytes: &[u8]) -> usize {
        match decode::<T>(bytes) {
            Ok(value) => {
                assert_eq!(encode(&value), bytes, "two encodings of one {}", std::any::type_name::<T>());
                1
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                0
            }
        }
    }
    one::<Transaction>(bytes)
        + one::<SignedTransaction>(bytes)
        + one::<Operation>(bytes)
        + one::<Batch>(bytes)
        + one::<Block>(bytes)
        + one::<CertifiedBlock>(bytes)
        + one::<Header>(bytes)
        + one::<Position>(bytes)
        + one::<Proof>(bytes)
        + one::<Certificate>(bytes)
        + one::<Checkpoint>(bytes)
        + one::<ValidatorSet>(bytes)
        + one::<Parameters>(bytes)
        + one::<Genesis>(bytes)
        + one::<StateKey>(bytes)
        + one::<MemberState>(bytes)
        + one::<AssetState>(bytes)
        + one::<Code>(bytes)
}

fn samples() -> Vec<Vec<u8>> {
    let block = sample_block();
    let sent = block.to_certified(proof(&block.header)).unwrap();
    vec![
        encode(&block.bodies[0]),
        encode(&block),
        encode(&sent),
        encode(&block.header),
        encode(&block.positions[0]),
        encode(&Proof::Certificate(certificate(&block.header))),
        encode(&genesis()),
        encode(&genesis().validators),
        encode(&genesis().parameters),
        encode(&StateKey::Balance { account: key(ALICE), code: code("USD") }),
    ]
}

#[test]
fn every_sample_is_accepted_whole_and_refused_cut_or_longer() {
    for bytes in samples() {
        assert!(decode_as_everything(&bytes) >= 1);
        for end in 0..bytes.len() {
            decode_as_everything(&bytes[..end]);
        }
    }
    let bytes = encode(&sample_block());
    assert!(decode::<Block>(&bytes[..bytes.len() - 1]).is_err());
    assert!(decode::<Block>(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn codes_scales_and_roles_out_of_range_are_refused() {
    let create = encode(&Operation::AssetCreate { code: code("USD"), scale: Default::default() });
    assert!(decode::<Operation>(&create).is_ok());
    let with = |place: usize, byte: u8| {
        let mut bytes = create.clone();
        bytes[place] = byte;
        decode::<Operation>(&bytes).is_err()
    };
    assert!(with(0, 7), "an operation of a family to come");
    assert!(with(1, 0) && with(1, 13) && with(1, 255), "lengths of asset codes");
    assert!(with(2, b'u') && with(2, b' ') && with(2, 0xc3), "characters of asset codes");
    assert!(with(5, 19), "a scale");
    assert!(decode::<MemberState>(&[16, 0]).is_err(), "an unknown role");
    assert!(decode::<MemberState>(&[15, 2]).is_err(), "a bool that is none");
}

#[test]
fn sizes_stay_within_their_limits() {
    assert!(encode(&sample_block().header).len() <= HEADER_BYTES_LIMIT);
    let longest = code("ABCDEFGHIJKL");
    for operation in [
        Operation::AssetMint { code: longest, to: key(BOB), amount: u128::MAX },
        Operation::Transfer { to: key(BOB), code: longest, amount: u128::MAX },
        Operation::MemberRegister { key: key(BOB), roles: Default::default() },
    ] {
        assert!(encode(&operation).len() <= OPERATION_BYTES_LIMIT);
    }
    let body = &sample_block().bodies[0];
    assert_eq!(body.size(), encode(body).len());
}

#[test]
fn a_body_is_verified_for_its_chain_only_and_with_its_own_signature_only() {
    let chain_id = genesis().chain_id();
    let mut verifier = Verifier::new([7; 32], 16);
    let signed = SignedTransaction::sign(transaction(ALICE, 1, vec![transfer(BOB, 1)]), &secret(ALICE));
    assert!(Verified::check(signed.clone(), &chain_id, &mut verifier).is_ok());
    let other_chain = quorate_crypto::hash::Digest::ZERO;
    assert!(Verified::check(signed.clone(), &other_chain, &mut verifier).is_err());
    let by_another = SignedTransaction::sign(signed.transaction().clone(), &SecretKey::from_seed([77; 32]));
    assert!(Verified::check(by_another, &chain_id, &mut verifier).is_err());
    let mut changed = signed.transaction().clone();
    changed.salt += 1;
    let changed = SignedTransaction::new(changed, *signed.signature());
    assert!(Verified::check(changed, &chain_id, &mut verifier).is_err());
}

#[test]
fn the_form_is_judged_in_the_order_of_the_table() {
    let chain_id = genesis().chain_id();
    let other = quorate_crypto::hash::Digest::ZERO;
    let empty = SignedTransaction::sign(transaction(ALICE, 1, vec![]), &secret(ALICE));
    assert_eq!(empty.check_form(&other, 10), Err(Code::TooLarge));
    assert_eq!(empty.check_form(&other, 10_000), Err(Code::WrongChain));
    assert_eq!(empty.check_form(&chain_id, 10_000), Err(Code::NoOperations));
    let whole = SignedTransaction::sign(transaction(ALICE, 1, vec![transfer(BOB, 1)]), &secret(ALICE));
    assert_eq!(whole.check_form(&chain_id, whole.size()), Ok(()));
    assert_eq!(whole.check_form(&chain_id, whole.size() - 1), Err(Code::TooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        decode_as_everything(&bytes);
        let _ = read_receipt(&bytes);
        let _ = Genesis::from_json(&bytes);
        let _ = serde_json::from_slice::<Receipt>(&bytes);
    }

    #[test]
    fn mutated_documents_never_panic(
        which in 0..10usize,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = samples().swap_remove(which);
        for (place, byte) in mutations {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        decode_as_everything(&bytes);
    }
}
