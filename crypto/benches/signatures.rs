//! Microseconds per signature: our batches with remembered and with new keys, against ed25519-zebra's batch and against the
//! reference of the whole project, ed25519-dalek's batch of 1,024 with decoded distinct keys.
//!
//! The variants take turns and the medians are printed, so that a busy moment of the machine touches all alike.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use curve25519_dalek::rand_core::{TryCryptoRng, TryRng};
use quorate_crypto::{Claim, SecretKey, Verifier};

/// Distinct keys, one signature each.
const CLAIMS: usize = 2048;
/// The size of the reference batch.
const REFERENCE_CLAIMS: usize = 1024;
const BATCH_SIZES: [usize; 6] = [64, 128, 256, 512, 1024, 2048];
/// Of a signed transfer, about.
const MESSAGE_BYTES: usize = 200;
const ROUNDS: usize = 25;
/// No further round begins after this time.
const TIME_MAX: Duration = Duration::from_secs(40);

fn main() {
    let claims: Vec<Claim> = (0..CLAIMS).map(claim).collect();
    let mut variants = vec![dalek(&claims)];
    for size in BATCH_SIZES {
        variants.push(ours(&claims, size, true));
        variants.push(ours(&claims, size, false));
        variants.push(zebra(&claims, size));
    }
    variants.push(singles(&claims));
    variants.push(one_bad(&claims, 1024));
    variants.push(all_bad(&claims, 1024));

    let start = Instant::now();
    for round in 0..ROUNDS {
        for variant in &mut variants {
            variant.measure();
        }
        if round > 2 && start.elapsed() > TIME_MAX {
            break;
        }
    }
    report(&mut variants);
}

fn claim(number: usize) -> Claim {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    let key = SecretKey::from_seed(seed);
    let message = vec![number as u8; MESSAGE_BYTES];
    Claim { key: key.public_key(), signature: key.sign(&message), message }
}

/// One way to check signatures, and its times so far.
struct Variant<'a> {
    name: String,
    signatures: usize,
    run: Box<dyn FnMut() + 'a>,
    micros: Vec<f64>,
}

impl<'a> Variant<'a> {
    fn new(name: impl Into<String>, signatures: usize, run: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), signatures, run: Box::new(run), micros: Vec::new() }
    }

    fn measure(&mut self) {
        let start = Instant::now();
        (self.run)();
        self.micros.push(start.elapsed().as_secs_f64() * 1e6 / self.signatures as f64);
    }

    fn median(&mut self) -> f64 {
        self.micros.sort_by(f64::total_cmp);
        self.micros[self.micros.len() / 2]
    }
}

fn dalek(claims: &[Claim]) -> Variant<'_> {
    use ed25519_dalek::{Signature, VerifyingKey, verify_batch};
    let claims = &claims[..REFERENCE_CLAIMS];
    let messages: Vec<&[u8]> = claims.iter().map(|claim| claim.message.as_slice()).collect();
    let signatures: Vec<_> = claims.iter().map(|claim| Signature::from_bytes(claim.signature.as_bytes())).collect();
    let decode = |claim: &Claim| VerifyingKey::from_bytes(claim.key.as_bytes()).expect("a generated key decodes");
    let keys: Vec<_> = claims.iter().map(decode).collect();
    Variant::new("reference: ed25519-dalek, batch of 1024", claims.len(), move || {
        assert!(verify_batch(&messages, &signatures, &keys).is_ok());
    })
}

fn ours(claims: &[Claim], size: usize, remembered: bool) -> Variant<'_> {
    let mut verifier = Verifier::new([1; 32], if remembered { 4 * CLAIMS } else { 0 });
    let keys = if remembered { "remembered" } else { "new" };
    let run = move || {
        for batch in claims.chunks(size) {
            assert!(black_box(verifier.verify_batch(batch)).iter().all(|holds| *holds));
        }
    };
    Variant::new(format!("ours, {keys} keys, batches of {size}"), claims.len(), run)
}

fn zebra(claims: &[Claim], size: usize) -> Variant<'_> {
    use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
    let mut random = FastRandom(1);
    let run = move || {
        for claims in claims.chunks(size) {
            let mut batch = batch::Verifier::new();
            for claim in claims {
                let key = VerificationKeyBytes::from(*claim.key.as_bytes());
                batch.queue((key, Signature::from_bytes(claim.signature.as_bytes()), &claim.message));
            }
            assert!(batch.verify(&mut random).is_ok());
        }
    };
    Variant::new(format!("ed25519-zebra, batches of {size}"), claims.len(), run)
}

fn singles(claims: &[Claim]) -> Variant<'_> {
    let mut verifier = Verifier::new([1; 32], 4 * CLAIMS);
    let claims = &claims[..256];
    Variant::new("ours, remembered keys, one by one", claims.len(), move || {
        assert!(claims.iter().all(|claim| verifier.verify(claim)));
    })
}

/// What a sender of one bad signature in each batch makes us pay.
fn one_bad(claims: &[Claim], size: usize) -> Variant<'_> {
    let mut verifier = Verifier::new([1; 32], 4 * CLAIMS);
    let mut claims = claims.to_vec();
    claims.chunks_mut(size).enumerate().for_each(|(number, batch)| batch[number * 317 + 100].message[0] ^= 1);
    let signatures = claims.len();
    Variant::new(format!("ours, remembered keys, one bad in {size}"), signatures, move || {
        for batch in claims.chunks(size) {
            assert_eq!(verifier.verify_batch(batch).iter().filter(|holds| !**holds).count(), 1);
        }
    })
}

/// What a flood of bad signatures costs.
fn all_bad(claims: &[Claim], size: usize) -> Variant<'_> {
    let mut verifier = Verifier::new([1; 32], 4 * CLAIMS);
    let mut claims = claims[..size].to_vec();
    claims.iter_mut().for_each(|claim| claim.message[0] ^= 1);
    Variant::new(format!("ours, new keys, all bad, batch of {size}"), size, move || {
        assert!(verifier.verify_batch(&claims).iter().all(|holds| !holds));
    })
}

/// Which arithmetic curve25519-dalek chooses on this machine, by the same rule.
fn backend() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512ifma") && is_x86_feature_detected!("avx512vl") {
            return "AVX-512 IFMA";
        }
        if is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    "portable"
}

fn report(variants: &mut [Variant<'_>]) {
    let reference = variants[0].median();
    println!("{:<44} {:>14} {:>13}", format!("curve arithmetic: {}", backend()), "us / signature", "x reference");
    for variant in variants {
        let median = variant.median();
        println!("{:<44} {median:>14.2} {:>13.2}", variant.name, median / reference);
    }
}

/// Coefficients for ed25519-zebra at no cost (xorshift), so that the comparison is to its advantage.
struct FastRandom(u64);

impl TryRng for FastRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

/// Only for this bench: these numbers are not secret.
impl TryCryptoRng for FastRandom {}
