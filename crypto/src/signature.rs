//! The one rule by which a signature holds: ZIP-215.
//!
//! A signature (R, s) of a message M under a key A holds when A and R are encodings of points, canonical or not, s is
//! below the group order, and `[8][s]B = [8]R + [8][k]A` with k = SHA-512(R | A | M). The factor 8 makes the answer the
//! same whether a signature is checked alone or in a batch; rules without it let a sender craft signatures on
//! which two correct nodes disagree.
//!
//! A batch checks the sum of all its equations, each times a random coefficient, for a fraction of the cost of one by one.
//! When the sum is wrong the batch is halved until the bad signatures stand alone; a signature is called bad only by its own
//! equation, and called good by its own or by a sum that a bad one passes with probability 2^-128.

use std::iter::once;
use std::sync::Arc;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest as _, Sha256, Sha512};

use crate::key::{PublicKey, Signature};
use crate::key_cache::KeyCache;
use crate::memory::{ClaimMemory, ClaimName};

/// The most signatures in one sum. More would save little arithmetic and fall out of the processor's cache; the bench
/// `signatures` shows the sizes around it.
pub const BATCH_CLAIMS_MAX: usize = 1024;

/// How many signatures, as a multiple of the batch, may be tested again in halves before the rest is checked one by one.
/// One bad signature needs 2; a batch full of bad ones would gain nothing from halving and only pay for it.
const RETESTS_PER_CLAIM: usize = 3;

/// Somebody's signature of a message, to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who is said to have signed.
    pub key: PublicKey,
    /// The signature.
    pub signature: Signature,
    /// The signed bytes.
    pub message: Vec<u8>,
}

/// Checks signatures. It remembers decoded keys, so keep one per thread for as long as the thread lives.
pub struct Verifier {
    coefficients: Coefficients,
    keys: KeyCache,
    memory: Option<Arc<ClaimMemory>>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// A verifier that remembers at most `keys_max` decoded keys, about 250 bytes each.
    ///
    /// The seed makes the coefficients of batches. Senders must not know it: who does can craft bad signatures that pass
    /// together. Equal seeds and equal batches give equal work.
    pub fn new(seed: [u8; 32], keys_max: usize) -> Self {
        Self { coefficients: Coefficients { seed, batches: 0 }, keys: KeyCache::new(keys_max), memory: None }
    }

    /// The same, and what one verifier with this memory has found good no other checks again.
    pub fn with_memory(self, memory: Arc<ClaimMemory>) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// Whether the claim holds.
    pub fn verify(&mut self, claim: &Claim) -> bool {
        self.verify_batch(std::slice::from_ref(claim))[0]
    }

    /// Which of the claims hold, in their order. Any number of claims will do; the fewer calls the better.
    pub fn verify_batch(&mut self, claims: &[Claim]) -> Vec<bool> {
        let scalars: Vec<Option<Scalars>> = claims.iter().map(Scalars::of).collect();
        let Some(memory) = self.memory.clone() else {
            return self.verify_new(claims, &scalars, vec![false; claims.len()]);
        };
        let names: Vec<Option<ClaimName>> = scalars.iter().map(|scalars| Some(scalars.as_ref()?.name())).collect();
        let known = memory.recall(&names);
        let verdicts = self.verify_new(claims, &scalars, known.clone());
        let is_found = |index: &usize| verdicts[*index] && !known[*index];
        memory.remember((0..claims.len()).filter(is_found).filter_map(|index| names[index]));
        verdicts
    }

    /// Decides the claims that have no good verdict yet.
    fn verify_new(&mut self, claims: &[Claim], scalars: &[Option<Scalars>], mut verdicts: Vec<bool>) -> Vec<bool> {
        // Sorted by key, the claims of one key stand together: each key is decoded once and is one term of the sum.
        let mut order: Vec<usize> = (0..claims.len()).filter(|index| !verdicts[*index]).collect();
        order.sort_by_key(|index| claims[*index].key);
        // Batches of equal size: a small rest would cost more per signature.
        let batches = order.len().div_ceil(BATCH_CLAIMS_MAX).max(1);
        for indices in order.chunks(order.len().div_ceil(batches).max(1)) {
            self.verify_chunk(claims, scalars, indices, &mut verdicts);
        }
        verdicts
    }

    /// Decides the claims at `indices`, which are sorted by key.
    fn verify_chunk(
        &mut self,
        claims: &[Claim],
        scalars: &[Option<Scalars>],
        indices: &[usize],
        verdicts: &mut [bool],
    ) {
        let batch = Batch::new(claims, scalars, indices, &mut self.keys);
        Search::new(&batch, &mut self.coefficients, verdicts).settle(&batch.equations, false);
        self.remember_keys(&batch, verdicts);
    }

    /// Keeps the keys that have signed something; garbage must not push them out.
    fn remember_keys(&mut self, batch: &Batch, verdicts: &[bool]) {
        for same_key in batch.equations.chunk_by(|a, b| a.slot == b.slot) {
            let key = &batch.keys[same_key[0].slot];
            if !key.cached && same_key.iter().any(|equation| verdicts[equation.index]) {
                self.keys.insert(key.bytes, key.point);
            }
        }
    }
}

/// The claims of one batch whose encodings are right.
#[derive(Default)]
struct Batch {
    keys: Vec<DecodedKey>,
    equations: Vec<Equation>,
}

impl Batch {
    /// Decodes the claims at `indices`, which are sorted by key, and leaves out those that cannot hold.
    fn new(claims: &[Claim], scalars: &[Option<Scalars>], indices: &[usize], cache: &mut KeyCache) -> Self {
        let mut batch = Self::default();
        for same_key in indices.chunk_by(|a, b| claims[*a].key == claims[*b].key) {
            let bytes = claims[same_key[0]].key;
            let known = cache.get(&bytes);
            let Some(point) = known.or_else(|| CompressedEdwardsY(*bytes.as_bytes()).decompress()) else {
                continue;
            };
            let slot = batch.keys.len();
            let equations = same_key
                .iter()
                .filter_map(|index| Equation::new(*index, slot, &claims[*index].signature, scalars[*index]?));
            batch.equations.extend(equations);
            batch.keys.push(DecodedKey { bytes, point, cached: known.is_some() });
        }
        batch
    }
}

struct DecodedKey {
    bytes: PublicKey,
    point: EdwardsPoint,
    cached: bool,
}

/// What has to be zero for a claim to hold: `[8]([s]B - R - [k]A)`.
struct Equation {
    /// The claim's place among the verdicts.
    index: usize,
    /// The key's place in the batch.
    slot: usize,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

/// The two scalars of a claim, as far as they can be known without a point.
#[derive(Clone, Copy)]
struct Scalars {
    s: Scalar,
    k: Scalar,
}

impl Scalars {
    /// None when s is not below the group order, so that nothing could make the claim hold.
    fn of(claim: &Claim) -> Option<Self> {
        let (r_bytes, s_bytes) = claim.signature.as_bytes().split_at(32);
        let s = Scalar::from_canonical_bytes(s_bytes.try_into().ok()?).into_option()?;
        let hash = Sha512::new().chain_update(r_bytes).chain_update(claim.key).chain_update(&claim.message).finalize();
        Some(Self { s, k: Scalar::from_bytes_mod_order_wide(&hash.into()) })
    }

    fn name(&self) -> ClaimName {
        let mut name = [0; 64];
        name[..32].copy_from_slice(self.k.as_bytes());
        name[32..].copy_from_slice(self.s.as_bytes());
        name
    }
}

impl Equation {
    /// None when R is no point, so that no key could make the claim hold.
    fn new(index: usize, slot: usize, signature: &Signature, Scalars { s, k }: Scalars) -> Option<Self> {
        let r = CompressedEdwardsY::from_slice(&signature.as_bytes()[..32]).ok()?.decompress()?;
        Some(Self { index, slot, r, s, k })
    }

    fn holds(&self, key: &EdwardsPoint) -> bool {
        let expected_r = EdwardsPoint::vartime_double_scalar_mul_basepoint(&-self.k, key, &self.s);
        (expected_r - self.r).mul_by_cofactor().is_identity()
    }
}

/// Finds the bad claims of one batch.
struct Search<'a> {
    keys: &'a [DecodedKey],
    coefficients: &'a mut Coefficients,
    retests_left: usize,
    verdicts: &'a mut [bool],
}

impl<'a> Search<'a> {
    fn new(batch: &'a Batch, coefficients: &'a mut Coefficients, verdicts: &'a mut [bool]) -> Self {
        let retests_left = RETESTS_PER_CLAIM * batch.equations.len();
        Self { keys: &batch.keys, coefficients, retests_left, verdicts }
    }

    /// Decides every equation of a group; says whether all of them hold. `known_bad`: one of them is known not to.
    fn settle(&mut self, group: &[Equation], known_bad: bool) -> bool {
        // Of two signatures a sum is already cheaper than one by one.
        if group.len() < 2 {
            return self.settle_one_by_one(group);
        }
        if !known_bad && self.sum_holds(group) {
            for equation in group {
                self.verdicts[equation.index] = true;
            }
            return true;
        }
        if self.retests_left < group.len() {
            return self.settle_one_by_one(group);
        }
        self.retests_left -= group.len();
        let (left, right) = group.split_at(group.len() / 2);
        let left_holds = self.settle(left, false);
        self.settle(right, left_holds);
        false
    }

    fn settle_one_by_one(&mut self, group: &[Equation]) -> bool {
        let mut all = true;
        for equation in group {
            let holds = equation.holds(&self.keys[equation.slot].point);
            self.verdicts[equation.index] = holds;
            all &= holds;
        }
        all
    }

    /// Whether the sum of the equations, each times its coefficient z, is zero: `[8](sum z([s]B - R - [k]A))`.
    fn sum_holds(&mut self, group: &[Equation]) -> bool {
        let coefficients = self.coefficients.draw(group);
        let mut key_scalars: Vec<Scalar> = Vec::with_capacity(group.len());
        let mut key_points: Vec<&EdwardsPoint> = Vec::with_capacity(group.len());
        let mut base_scalar = Scalar::ZERO;
        let mut last_slot = None;
        for (equation, z) in group.iter().zip(&coefficients) {
            base_scalar -= z * equation.s;
            match key_scalars.last_mut() {
                // The equations of one key stand together and share its term.
                Some(key_scalar) if last_slot == Some(equation.slot) => *key_scalar += z * equation.k,
                _ => {
                    key_scalars.push(z * equation.k);
                    key_points.push(&self.keys[equation.slot].point);
                    last_slot = Some(equation.slot);
                }
            }
        }
        let scalars = once(&base_scalar).chain(&key_scalars).chain(&coefficients);
        let points = once(&ED25519_BASEPOINT_POINT).chain(key_points).chain(group.iter().map(|equation| &equation.r));
        EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
    }
}

/// The source of the coefficients: 128 bits each, out of the seed, the number of the batch and its contents.
///
/// The secret seed is what makes them unpredictable; the contents are hashed in so that no repetition of seed and number
/// could let a sender see coefficients before choosing signatures.
struct Coefficients {
    seed: [u8; 32],
    batches: u64,
}

impl Coefficients {
    /// One coefficient for each equation.
    fn draw(&mut self, group: &[Equation]) -> Vec<Scalar> {
        self.batches = self.batches.wrapping_add(1);
        let mut transcript = Sha256::new().chain_update(self.seed).chain_update(self.batches.to_le_bytes());
        for equation in group {
            // k is the hash of R, the key and the message.
            transcript.update(equation.k.as_bytes());
            transcript.update(equation.s.as_bytes());
        }
        let root: [u8; 32] = transcript.finalize().into();
        let block = |number: u64| Sha256::new().chain_update(root).chain_update(number.to_le_bytes()).finalize();
        let halves = (0..).flat_map(|number| {
            let bytes: [u8; 32] = block(number).into();
            let (low, high) = bytes.split_at(16);
            [low, high].map(|half| Scalar::from(u128::from_le_bytes(half.try_into().expect("a half has 16 bytes"))))
        });
        halves.take(group.len()).collect()
    }
}

/// What a wrong sum would not show outside, since the search falls back on single checks: the cost.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    const CLAIMS: usize = 256;

    /// Good claims, sorted by key; every fourth key signs several.
    fn claims() -> Vec<Claim> {
        let keys: Vec<_> = (0..CLAIMS / 2).map(|number| SecretKey::from_seed([number as u8; 32])).collect();
        let claim = |number: usize| {
            let key = &keys[if number.is_multiple_of(4) { 0 } else { number % keys.len() }];
            let message = number.to_le_bytes().to_vec();
            Claim { key: key.public_key(), signature: key.sign(&message), message }
        };
        let mut claims: Vec<Claim> = (0..CLAIMS).map(claim).collect();
        claims.sort_by_key(|claim| claim.key);
        claims
    }

    fn scalars(claims: &[Claim]) -> Vec<Option<Scalars>> {
        claims.iter().map(Scalars::of).collect()
    }

    /// Verdicts, and how many claims were tested again after the first sum.
    fn search(claims: &[Claim]) -> (Vec<bool>, usize) {
        let indices: Vec<usize> = (0..claims.len()).collect();
        let batch = Batch::new(claims, &scalars(claims), &indices, &mut KeyCache::new(0));
        let mut coefficients = Coefficients { seed: [5; 32], batches: 0 };
        let mut verdicts = vec![false; claims.len()];
        let mut search = Search::new(&batch, &mut coefficients, &mut verdicts);
        let retests_max = search.retests_left;
        search.settle(&batch.equations, false);
        let retests = retests_max - search.retests_left;
        (verdicts, retests)
    }

    #[test]
    fn a_good_batch_is_settled_by_one_sum() {
        assert_eq!(search(&claims()), (vec![true; CLAIMS], 0));
    }

    #[test]
    fn components_of_small_order_do_not_make_a_sum_fail() {
        let points = curve25519_dalek::constants::EIGHT_TORSION.map(|point| point.compress().to_bytes());
        let claim = |key: &[u8; 32], r: &[u8; 32]| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            let (key, signature) = (PublicKey::from_bytes(*key), Signature::from_bytes(signature));
            Claim { key, signature, message: b"torsion".to_vec() }
        };
        let claims: Vec<Claim> = points.iter().flat_map(|key| points.iter().map(move |r| claim(key, r))).collect();
        assert_eq!(search(&claims), (vec![true; 64], 0));
    }

    #[test]
    fn one_bad_signature_anywhere_costs_at_most_twice_the_batch_again() {
        for bad in [0, 1, 100, CLAIMS / 2, CLAIMS - 2, CLAIMS - 1] {
            let mut claims = claims();
            claims[bad].message.push(0);
            let (verdicts, retests) = search(&claims);
            assert!((0..CLAIMS).all(|index| verdicts[index] == (index != bad)));
            assert!((CLAIMS..=2 * CLAIMS).contains(&retests), "{retests} tested again");
        }
    }

    #[test]
    fn a_flood_of_bad_signatures_soon_ends_the_halving() {
        let mut claims = claims();
        claims.iter_mut().for_each(|claim| claim.message.push(0));
        let (verdicts, retests) = search(&claims);
        assert_eq!(verdicts, vec![false; CLAIMS]);
        assert!(retests <= RETESTS_PER_CLAIM * CLAIMS);
    }

    #[test]
    fn coefficients_differ_by_seed_batch_place_and_contents() {
        let claims = claims();
        let scalars = scalars(&claims);
        let batch = |count: usize| {
            Batch::new(&claims[..count], &scalars, &(0..count).collect::<Vec<_>>(), &mut KeyCache::new(0))
        };
        let draw = |seed: u8, batches: u64, count: usize| {
            Coefficients { seed: [seed; 32], batches }.draw(&batch(count).equations)
        };
        let mut seen: Vec<[u8; 32]> = [draw(1, 0, 9), draw(2, 0, 9), draw(1, 1, 9), draw(1, 0, 8)]
            .iter()
            .flatten()
            .map(Scalar::to_bytes)
            .collect();
        assert_eq!(draw(1, 0, 9), draw(1, 0, 9), "equal seeds give equal work");
        assert!(seen.iter().all(|bytes| bytes[16..] == [0; 16]), "128 bits");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 9 + 9 + 9 + 8);
    }

    #[test]
    fn only_keys_that_signed_something_are_remembered() {
        let mut verifier = Verifier::new([1; 32], 1000);
        let mut claims = claims();
        claims.truncate(2);
        claims[1].message.push(0);
        claims[1].key = SecretKey::from_seed([99; 32]).public_key();
        assert_eq!(verifier.verify_batch(&claims), [true, false]);
        assert!(verifier.keys.get(&claims[0].key).is_some());
        assert!(verifier.keys.get(&claims[1].key).is_none());
    }
    #[test]
    fn what_one_verifier_found_good_another_with_its_memory_does_not_check_again() {
        let memory = Arc::new(ClaimMemory::new(1_000));
        let verifier = || Verifier::new([1; 32], 1_000).with_memory(Arc::clone(&memory));
        let mut claims = claims();
        claims[7].message.push(0);
        let expected: Vec<bool> = (0..CLAIMS).map(|index| index != 7).collect();
        assert_eq!(verifier().verify_batch(&claims), expected);
        let mut second = verifier();
        assert_eq!(second.verify_batch(&claims), expected, "a bad one is not remembered");
        assert_eq!(second.coefficients.batches, 0, "one is left, and it is checked alone");
        for part in 0..3 {
            let mut other = claims[0].clone();
            match part {
                0 => other.message[0] ^= 1,
                1 => other.key = claims[CLAIMS - 1].key,
                _ => {
                    let mut bytes = *other.signature.as_bytes();
                    bytes[33] ^= 1;
                    other.signature = Signature::from_bytes(bytes);
                }
            }
            assert!(!second.verify(&other), "part {part} makes another claim");
        }
    }
}
