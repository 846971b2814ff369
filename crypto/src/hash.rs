//! SHA-256, plain and with a domain.

use borsh::BorshSerialize;
use sha2::Digest as _;
use sha2::Sha256;

use crate::fixed::fixed_bytes;

fixed_bytes! {
    /// A SHA-256 hash. As text it is 64 lowercase hex digits.
    Digest, 32, "a digest"
}

impl Digest {
    /// The digest of all zeros, which no known input has; used where there is nothing to name, such as a genesis's parent.
    pub const ZERO: Digest = Digest([0; 32]);
}

/// The plain SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The plain SHA-256 of several byte strings, one after the other.
pub(crate) fn sha256_of(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

/// The hash of a value under a domain: SHA-256 of the domain's length (one byte), the domain and the value's canonical bytes.
///
/// The domain keeps a hash of one kind from ever passing for one of another kind. The bytes are hashed as they are
/// produced, without a buffer of the whole value.
///
/// # Panics
///
/// When `domain` is longer than 255 bytes, or the value refuses to be encoded (no type of this workspace does).
pub fn digest<T: BorshSerialize + ?Sized>(domain: &str, value: &T) -> Digest {
    let mut hasher = HashWriter(Sha256::new());
    hasher.0.update([domain_length(domain)]);
    hasher.0.update(domain);
    value.serialize(&mut hasher).expect("hashing does not fail and the value encodes");
    Digest(hasher.0.finalize().into())
}

/// The length prefix of a domain.
///
/// # Panics
///
/// When it does not fit a byte; domains are constants of the program.
pub(crate) fn domain_length(domain: &str) -> u8 {
    u8::try_from(domain.len()).expect("a domain has at most 255 bytes")
}

/// Lets the canonical encoder write straight into the hash.
struct HashWriter(Sha256);

impl borsh::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> borsh::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> borsh::io::Result<()> {
        Ok(())
    }
}
