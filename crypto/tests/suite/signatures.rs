use std::sync::LazyLock;

use curve25519_dalek::Scalar;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_zebra::{Signature as ZebraSignature, VerificationKey};
use proptest::prelude::*;
use quorate_crypto::signature::BATCH_CLAIMS_MAX;
use quorate_crypto::{Claim, PublicKey, Signature, Verifier};

use crate::{good_claim, key, vectors};

fn verifier() -> Verifier {
    Verifier::new([9; 32], 64)
}

/// The verdict of ed25519-zebra, the oracle for ZIP-215.
fn zebra(claim: &Claim) -> bool {
    let signature = ZebraSignature::from_bytes(claim.signature.as_bytes());
    VerificationKey::try_from(*claim.key.as_bytes()).is_ok_and(|key| key.verify(&signature, &claim.message).is_ok())
}

/// All encodings of points, canonical or not, that are not the canonical one: ZIP-215 asks to accept them.
pub fn non_canonical_encodings() -> Vec<[u8; 32]> {
    // y = p + i for i < 19 fits 255 bits, each with both signs; and x = 0 with the sign set, for y = 1 and y = -1.
    let with_sign = |mut y: [u8; 32]| {
        y[31] |= 0x80;
        y
    };
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let too_large = (0..19).flat_map(|i| {
        let mut y = [0xff; 32];
        (y[0], y[31]) = (0xed + i, 0x7f);
        [y, with_sign(y)]
    });
    [with_sign(one), with_sign(minus_one)]
        .into_iter()
        .chain(too_large)
        .filter(|y| CompressedEdwardsY(*y).decompress().is_some())
        .collect()
}

/// The 14 encodings of the eight points of small order, as ZIP-215 lists them.
pub fn small_order_encodings() -> Vec<[u8; 32]> {
    let canonical = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes());
    canonical.chain(non_canonical_encodings().into_iter().take(6)).collect()
}

/// The 196 cases that ZIP-215 publishes: every pair of such a key and such an R, with s = 0, for the message "Zcash".
pub fn zip_215_claims() -> Vec<Claim> {
    let encodings = small_order_encodings();
    let pairs = encodings.iter().flat_map(|key| encodings.iter().map(move |r| (key, r)));
    let claim = |(key, r): (&[u8; 32], &[u8; 32])| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(r);
        Claim {
            key: PublicKey::from_bytes(*key),
            signature: Signature::from_bytes(signature),
            message: b"Zcash".to_vec(),
        }
    };
    pairs.map(claim).collect()
}

#[test]
fn all_published_zip_215_cases_hold_alone_and_together() {
    let claims = zip_215_claims();
    assert_eq!(claims.len(), 196);
    for claim in &claims {
        assert!(zebra(claim));
        assert!(verifier().verify(claim), "{claim:?}");
    }
    assert_eq!(verifier().verify_batch(&claims), vec![true; 196]);
}

#[test]
fn all_points_in_second_encodings_are_judged_as_the_oracle_does() {
    let mut claims = Vec::new();
    for encoding in non_canonical_encodings() {
        // As R beside a good key, and as the key beside a good R.
        let mut with_r = good_claim(1, b"Zcash");
        let mut bytes = *with_r.signature.as_bytes();
        bytes[..32].copy_from_slice(&encoding);
        with_r.signature = Signature::from_bytes(bytes);
        let mut with_key = good_claim(1, b"Zcash");
        with_key.key = PublicKey::from_bytes(encoding);
        claims.extend([with_r, with_key]);
    }
    let expected: Vec<bool> = claims.iter().map(zebra).collect();
    assert_eq!(verifier().verify_batch(&claims), expected);
}

#[test]
fn signatures_with_a_component_of_small_order_hold_in_every_company() {
    // R' = R + T and k' = H(R', A, M), signed anew: only the cofactor makes these hold, and without it a batch accepts
    // pairs of them at random.
    let (a, nonce) = (Scalar::from(12_345u64), Scalar::from(67_890u64));
    let public = curve25519_dalek::EdwardsPoint::mul_base(&a).compress().to_bytes();
    let claims: Vec<Claim> = EIGHT_TORSION
        .iter()
        .map(|torsion| {
            use sha2::Digest as _;
            let r = (curve25519_dalek::EdwardsPoint::mul_base(&nonce) + torsion).compress().to_bytes();
            let hash = sha2::Sha512::new().chain_update(r).chain_update(public).chain_update(b"torsion").finalize();
            let s = nonce + Scalar::from_bytes_mod_order_wide(&hash.into()) * a;
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&r);
            signature[32..].copy_from_slice(s.as_bytes());
            Claim {
                key: PublicKey::from_bytes(public),
                signature: Signature::from_bytes(signature),
                message: b"torsion".to_vec(),
            }
        })
        .collect();
    for claim in &claims {
        assert!(zebra(claim) && verifier().verify(claim));
    }
    for seed in 0..32 {
        assert_eq!(Verifier::new([seed; 32], 8).verify_batch(&claims), vec![true; 8]);
    }
}

#[test]
fn rfc_8032_signatures_hold() {
    let claims: Vec<Claim> = vectors(include_str!("../vectors/rfc8032.txt"))
        .map(|field| Claim {
            key: PublicKey::from_bytes(field("key").try_into().unwrap()),
            signature: Signature::from_bytes(field("signature").try_into().unwrap()),
            message: field("message"),
        })
        .collect();
    assert!(claims.len() >= 4);
    assert_eq!(verifier().verify_batch(&claims), vec![true; claims.len()]);
}

#[test]
fn a_signature_with_the_group_order_added_to_s_is_refused() {
    let mut claim = good_claim(1, b"malleable");
    let mut bytes = *claim.signature.as_bytes();
    let mut carry = 0u16;
    for (byte, order) in bytes[32..].iter_mut().zip(order_bytes()) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    claim.signature = Signature::from_bytes(bytes);
    assert!(!zebra(&claim));
    assert!(!verifier().verify(&claim));
    let claims = [good_claim(1, b"malleable"), claim, good_claim(2, b"other")];
    assert_eq!(verifier().verify_batch(&claims), [true, false, true]);
}

/// The group order, little-endian; a `Scalar` cannot hold it, but holds one less.
fn order_bytes() -> [u8; 32] {
    let mut bytes = (-Scalar::ONE).to_bytes();
    bytes[0] += 1;
    bytes
}

#[test]
fn a_batch_finds_exactly_the_bad_ones() {
    let good: Vec<Claim> = (0..200).map(|number| good_claim(number % 70, &number.to_le_bytes())).collect();
    for bad in [
        vec![],
        vec![0],
        vec![199],
        vec![100, 101],
        vec![3, 50, 97, 144],
        (0..200).collect::<Vec<_>>(),
        (0..200).step_by(2).collect(),
    ] {
        let mut claims = good.clone();
        for index in &bad {
            claims[*index].message.push(1);
        }
        let expected: Vec<bool> = (0..200).map(|index| !bad.contains(&index)).collect();
        let mut verifier = verifier();
        // Twice: with unknown keys and with remembered ones.
        assert_eq!(verifier.verify_batch(&claims), expected, "bad: {bad:?}");
        assert_eq!(verifier.verify_batch(&claims), expected, "again, bad: {bad:?}");
    }
}

#[test]
fn batches_of_every_size_around_the_limit_are_judged_in_order() {
    static CLAIMS: LazyLock<Vec<Claim>> =
        LazyLock::new(|| (0..2 * BATCH_CLAIMS_MAX as u64 + 3).map(|number| good_claim(number, b"size")).collect());
    assert_eq!(verifier().verify_batch(&[]), [false; 0]);
    for size in [1, 2, 3, BATCH_CLAIMS_MAX - 1, BATCH_CLAIMS_MAX, BATCH_CLAIMS_MAX + 1, 2 * BATCH_CLAIMS_MAX + 3] {
        let mut claims = CLAIMS[..size].to_vec();
        let bad = size * 2 / 3;
        claims[bad].message = b"another".to_vec();
        let expected: Vec<bool> = (0..size).map(|index| index != bad).collect();
        assert_eq!(verifier().verify_batch(&claims), expected, "size {size}");
    }
}

#[test]
fn two_bad_signatures_that_cancel_out_are_both_found() {
    // s1 + d and s2 - d: the plain sum of the two equations is zero, so only the coefficients tell.
    let mut claims = vec![good_claim(1, b"one"), good_claim(2, b"two")];
    let shift = Scalar::from(77u64);
    for (claim, shift) in claims.iter_mut().zip([shift, -shift]) {
        let mut bytes = *claim.signature.as_bytes();
        let s: [u8; 32] = bytes[32..].try_into().unwrap();
        let s = Scalar::from_canonical_bytes(s).unwrap() + shift;
        bytes[32..].copy_from_slice(s.as_bytes());
        claim.signature = Signature::from_bytes(bytes);
    }
    claims.extend((3..40).map(|number| good_claim(number, b"good")));
    let expected: Vec<bool> = (0..39).map(|index| index >= 2).collect();
    assert_eq!(verifier().verify_batch(&claims), expected);
}

/// A change of one part of a claim.
#[derive(Clone, Debug)]
enum Mutation {
    None,
    FlipKey(usize),
    FlipSignature(usize),
    FlipMessage,
    OtherSigner,
    SmallOrderKey(usize),
    SmallOrderR(usize),
    ZeroS,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => Just(Mutation::None),
        1 => (0..256usize).prop_map(Mutation::FlipKey),
        2 => (0..512usize).prop_map(Mutation::FlipSignature),
        1 => Just(Mutation::FlipMessage),
        1 => Just(Mutation::OtherSigner),
        1 => (0..14usize).prop_map(Mutation::SmallOrderKey),
        1 => (0..14usize).prop_map(Mutation::SmallOrderR),
        1 => Just(Mutation::ZeroS),
    ]
}

fn mutated(number: u64, mutation: &Mutation) -> Claim {
    let mut claim = good_claim(number % 5, &number.to_le_bytes());
    let (mut public, mut signature) = (*claim.key.as_bytes(), *claim.signature.as_bytes());
    match mutation {
        Mutation::None => {}
        Mutation::FlipKey(bit) => public[bit / 8] ^= 1 << (bit % 8),
        Mutation::FlipSignature(bit) => signature[bit / 8] ^= 1 << (bit % 8),
        Mutation::FlipMessage => claim.message[0] ^= 1,
        Mutation::OtherSigner => public = *key(number % 5 + 1).public_key().as_bytes(),
        Mutation::SmallOrderKey(index) => public = small_order_encodings()[*index],
        Mutation::SmallOrderR(index) => {
            signature[..32].copy_from_slice(&small_order_encodings()[*index]);
        }
        Mutation::ZeroS => signature[32..].fill(0),
    }
    claim.key = PublicKey::from_bytes(public);
    claim.signature = Signature::from_bytes(signature);
    claim
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_single_and_batch_agree_on_any_mutation(
        mutations in prop::collection::vec(mutation(), 1..40), seed: [u8; 32], keys_max in 0..8usize
    ) {
        let claims: Vec<Claim> =
            mutations.iter().zip(0u64..).map(|(mutation, number)| mutated(number, mutation)).collect();
        let expected: Vec<bool> = claims.iter().map(zebra).collect();
        let mut verifier = Verifier::new(seed, keys_max);
        let single: Vec<bool> = claims.iter().map(|claim| verifier.verify(claim)).collect();
        prop_assert_eq!(&single, &expected);
        prop_assert_eq!(&verifier.verify_batch(&claims), &expected);
        prop_assert_eq!(&Verifier::new(seed, keys_max).verify_batch(&claims), &expected);
    }
}
