//! The crate's tests, one file per subject.

mod encoding;
mod golden;
mod keys;
mod merkle;
mod signatures;
mod signed;
mod sparse;

use quorate_crypto::{Claim, SecretKey};

/// A key that is the same in every run.
pub fn key(number: u64) -> SecretKey {
    let mut seed = [0x51; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(seed)
}

/// A claim that holds.
pub fn good_claim(key_number: u64, message: &[u8]) -> Claim {
    let key = key(key_number);
    Claim { key: key.public_key(), signature: key.sign(message), message: message.to_vec() }
}

/// The fields `name=value` of each line of a file of test vectors.
pub fn vectors(text: &'static str) -> impl Iterator<Item = impl Fn(&str) -> Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        move |name: &str| {
            let field = line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            hex::decode(field.unwrap_or_else(|| panic!("no {name} in {line}"))).expect("vectors are hex")
        }
    })
}
