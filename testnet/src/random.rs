//! Randomness of the operating system.

/// A random number.
///
/// # Panics
/// When the operating system has no randomness to give, which no program can mend.
pub fn number() -> u64 {
    getrandom::u64().expect("the operating system gives randomness")
}

/// 32 random bytes, for a key.
///
/// # Panics
/// As [`number`].
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system gives randomness");
    seed
}
