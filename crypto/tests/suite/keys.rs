use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use quorate_crypto::{KeyError, PublicKey, SecretKey, Signature, key};

use crate::signatures::{non_canonical_encodings, small_order_encodings};
use crate::vectors;

#[test]
fn rfc_8032_vectors_give_the_published_keys_and_signatures() {
    for field in vectors(include_str!("../vectors/rfc8032.txt")) {
        let secret = SecretKey::from_seed(field("seed").try_into().unwrap());
        assert_eq!(secret.public_key().as_bytes()[..], field("key"));
        assert_eq!(secret.sign(&field("message")).as_bytes()[..], field("signature"));
        assert_eq!(secret.seed()[..], field("seed"));
    }
}

#[test]
fn generated_keys_may_be_registered() {
    for number in 0..100 {
        assert_eq!(crate::key(number).public_key().check_registrable(), Ok(()));
    }
    let (one, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    assert_eq!(one.public_key().check_registrable(), Ok(()));
    assert_ne!(one.public_key(), other.public_key());
}

#[test]
fn no_key_of_small_order_may_be_registered() {
    for bytes in small_order_encodings() {
        assert_eq!(PublicKey::from_bytes(bytes).check_registrable(), Err(KeyError::SmallOrder));
    }
}

#[test]
fn no_key_in_a_second_encoding_may_be_registered() {
    let encodings = non_canonical_encodings();
    assert_eq!(
        encodings.len(),
        26,
        "twelve y below 19 are on the curve, with two signs each, and two encodings of x = -0"
    );
    let refused: Vec<_> = encodings.iter().map(|bytes| PublicKey::from_bytes(*bytes).check_registrable()).collect();
    let of_small_order = refused.iter().filter(|result| **result == Err(KeyError::SmallOrder)).count();
    let not_canonical = refused.iter().filter(|result| **result == Err(KeyError::NotCanonical)).count();
    assert_eq!((of_small_order, not_canonical), (6, 20));
}

#[test]
fn bytes_that_are_no_point_are_refused_as_a_key() {
    let no_points =
        (0..=255u8).map(|first| [first; 32]).filter(|bytes| CompressedEdwardsY(*bytes).decompress().is_none());
    let mut count = 0;
    for bytes in no_points {
        assert_eq!(PublicKey::from_bytes(bytes).check_registrable(), Err(KeyError::NotOnCurve));
        count += 1;
    }
    assert!(count > 50, "about half of all byte strings are no points");
}

#[test]
fn a_key_with_a_small_component_beside_a_large_one_is_still_a_key() {
    let honest = CompressedEdwardsY(*crate::key(1).public_key().as_bytes()).decompress().unwrap();
    let mixed = (honest + EIGHT_TORSION[1]).compress().to_bytes();
    assert_eq!(PublicKey::from_bytes(mixed).check_registrable(), Ok(()));
}

#[test]
fn a_secret_key_never_shows_its_seed() {
    let secret = SecretKey::from_seed([0xab; 32]);
    let shown = format!("{secret:?}");
    assert!(shown.contains(&secret.public_key().to_string()) && !shown.contains("abab"), "{shown}");
}

#[test]
fn random_seeds_differ() {
    assert_ne!(*key::random_seed().unwrap(), *key::random_seed().unwrap());
}

#[test]
fn keys_and_signatures_have_one_text_each() {
    let public = crate::key(3).public_key();
    let signature = crate::key(3).sign(b"text");
    assert_eq!(public.to_string().parse(), Ok(public));
    assert_eq!(signature.to_string().parse(), Ok(signature));
    let json = serde_json::to_string(&signature).unwrap();
    assert_eq!(json, format!("\"{signature}\""));
    assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
    assert!(public.to_string().to_uppercase().parse::<PublicKey>().is_err());
}
