//! All tables of the chain store: what their keys and values are.
//!
//! | family | key | value |
//! |---|---|---|
//! | `blocks` | height, 0 | header |
//! | | height, 1 | batch and bodies |
//! | `receipts` | height | positions: ids and outcomes |
//! | `state` | key hash | the state's value |
//! | `accounts` | account, asset code | key hash of the balance; which balances there are, derived from the state |
//! | `certificates` | height, 0 | what made the block final here |
//! | | height, 1 | the certificate, when it came later |
//! | `index` | `h`, header hash | height |
//! | | `t`, transaction id | height and position, of executed transactions only |
//! | `boundaries` | | nothing yet: blocks that end an epoch |
//! | `evidence` | epoch, consensus key, kind | two signed messages that exclude each other |
//! | `metadata` | a word | chain, head, how far the index goes; heights that have no certificate |
//!
//! Heights are big-endian, so that blocks lie in their order. Every value says whose it is, so that one that was read from a wrong
//! place is noticed: those by height begin with kind and height, those by hash with the hash's first bytes.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::encode::decode;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use quorate_protocol::document::AssetCode;
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::store::StoreError;

/// A table: a column family of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Headers, batches, bodies.
    Blocks,
    /// Positions.
    Receipts,
    /// The state after the head.
    State,
    /// Balances of each account.
    Accounts,
    /// Proofs and certificates.
    Certificates,
    /// Transactions and headers by hash.
    Index,
    /// Blocks that end an epoch.
    Boundaries,
    /// Conflicting signed messages.
    Evidence,
    /// Single values.
    Metadata,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 9] = [
        Family::Blocks,
        Family::Receipts,
        Family::State,
        Family::Accounts,
        Family::Certificates,
        Family::Index,
        Family::Boundaries,
        Family::Evidence,
        Family::Metadata,
    ];

    /// Its name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Blocks => "blocks",
            Family::Receipts => "receipts",
            Family::State => "state",
            Family::Accounts => "accounts",
            Family::Certificates => "certificates",
            Family::Index => "index",
            Family::Boundaries => "boundaries",
            Family::Evidence => "evidence",
            Family::Metadata => "metadata",
        }
    }
}

/// What a value by height is. The discriminants are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A header.
    Header = 1,
    /// Batch and bodies.
    Contents = 2,
    /// Positions.
    Positions = 3,
    /// What made a block final here.
    Proof = 4,
    /// A certificate that came later.
    Certificate = 5,
    /// The head: its hash.
    Head = 6,
    /// The height up to which the index family is complete.
    Indexed = 7,
    /// The mark of a block without a certificate.
    Uncertified = 8,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Header => "header",
            Kind::Contents => "batch and bodies",
            Kind::Positions => "positions",
            Kind::Proof => "proof",
            Kind::Certificate => "certificate",
            Kind::Head => "head",
            Kind::Indexed => "indexed height",
            Kind::Uncertified => "uncertified height",
        }
    }
}

/// Metadata: the chain id.
pub const CHAIN_KEY: &[u8] = b"chain";
/// Metadata: the height and hash of the last block.
pub const HEAD_KEY: &[u8] = b"head";
/// Metadata: the height up to which the index family is complete.
pub const INDEXED_KEY: &[u8] = b"indexed";
/// Metadata: before each height that has no certificate.
pub const UNCERTIFIED_PREFIX: &[u8] = b"uncertified/";
/// Metadata: past all heights that have no certificate.
pub const UNCERTIFIED_END: &[u8] = b"uncertified0";

const SEALED_HEIGHT_BYTES: usize = 1 + 8;
const HASH_MARK_BYTES: usize = 8;

/// A key by height and part.
pub fn part_key(height: Height, part: u8) -> [u8; 9] {
    let mut key = [part; 9];
    key[..8].copy_from_slice(&height.get().to_be_bytes());
    key
}

/// The key of a header.
pub fn header_key(height: Height) -> [u8; 9] {
    part_key(height, 0)
}

/// The key of batch and bodies.
pub fn contents_key(height: Height) -> [u8; 9] {
    part_key(height, 1)
}

/// The key of the positions.
pub fn positions_key(height: Height) -> [u8; 8] {
    height.get().to_be_bytes()
}

/// The key of what made a block final here.
pub fn proof_key(height: Height) -> [u8; 9] {
    part_key(height, 0)
}

/// The key of a certificate that came later.
pub fn certificate_key(height: Height) -> [u8; 9] {
    part_key(height, 1)
}

/// The key of the mark of a block without a certificate.
pub fn uncertified_key(height: Height) -> Vec<u8> {
    [UNCERTIFIED_PREFIX, &height.get().to_be_bytes()].concat()
}

/// The height in the key of such a mark.
///
/// # Errors
/// When it is none.
pub fn uncertified_height(key: &[u8]) -> Result<Height, StoreError> {
    let height = key.strip_prefix(UNCERTIFIED_PREFIX).and_then(|bytes| bytes.try_into().ok());
    height
        .map(|bytes| Height(u64::from_be_bytes(bytes)))
        .ok_or_else(|| damaged("uncertified height", "its key is no height"))
}

/// The key of a header's height.
pub fn header_hash_key(hash: &Digest) -> [u8; 33] {
    tagged(b'h', hash.as_bytes())
}

/// The key of a transaction's place.
pub fn transaction_key(id: &TransactionId) -> [u8; 33] {
    tagged(b't', id.as_bytes())
}

fn tagged(tag: u8, hash: &[u8; 32]) -> [u8; 33] {
    let mut key = [tag; 33];
    key[1..].copy_from_slice(hash);
    key
}

/// The key of one balance of an account. All of one account lie together, in the order of the codes.
pub fn balance_key(account: &PublicKey, code: &AssetCode) -> Vec<u8> {
    [account.as_bytes().as_slice(), code.as_str().as_bytes()].concat()
}

/// The asset code in such a key.
///
/// # Errors
/// When it is none, or the key is of another account.
pub fn balance_code(account: &PublicKey, key: &[u8]) -> Result<AssetCode, StoreError> {
    let text = key.strip_prefix(account.as_bytes()).and_then(|code| std::str::from_utf8(code).ok());
    text.and_then(|text| AssetCode::new(text).ok())
        .ok_or_else(|| damaged("account", "a key of its balances is no asset code"))
}

/// The key of a piece of evidence: of one epoch, validator and kind there is one piece.
pub fn evidence_key(evidence: &Evidence) -> [u8; 41] {
    let mut key = [evidence.kind().code(); 41];
    key[..8].copy_from_slice(&evidence.place().epoch.get().to_be_bytes());
    key[8..40].copy_from_slice(evidence.accused().as_bytes());
    key
}

/// Reads a piece of evidence.
///
/// # Errors
/// When it is damaged, or belongs under another key.
pub fn evidence_value(key: &[u8], bytes: &[u8]) -> Result<Evidence, StoreError> {
    let evidence = decode(bytes).map_err(|error| damaged("evidence", format!("a piece cannot be decoded: {error}")))?;
    if evidence_key(&evidence) == key {
        return Ok(evidence);
    }
    Err(damaged("evidence", format!("a piece against {} lies under another key", evidence.accused())))
}

/// A value by height: kind, height, canonical bytes.
pub fn seal<T: BorshSerialize + ?Sized>(kind: Kind, height: Height, value: &T) -> Vec<u8> {
    let mut bytes = vec![kind as u8];
    bytes.extend_from_slice(&height.get().to_be_bytes());
    value.serialize(&mut bytes).expect("writing to memory does not fail and the types of the store encode");
    bytes
}

/// Reads a value by height.
///
/// # Errors
/// When it is of another kind or height, or damaged.
pub fn unseal<T: BorshDeserialize>(kind: Kind, height: Height, bytes: &[u8]) -> Result<T, StoreError> {
    let found = sealed_height(kind, bytes)?;
    if found != height {
        return Err(damaged(kind.name(), format!("height {height} was asked for and {found} was read")));
    }
    decode(&bytes[SEALED_HEIGHT_BYTES..])
        .map_err(|error| damaged(kind.name(), format!("height {height} cannot be decoded: {error}")))
}

/// The height that a value by height is for.
///
/// # Errors
/// When it is of another kind or damaged.
pub fn sealed_height(kind: Kind, bytes: &[u8]) -> Result<Height, StoreError> {
    let height = bytes.strip_prefix(&[kind as u8]).and_then(|rest| rest.first_chunk::<8>());
    height
        .map(|bytes| Height(u64::from_be_bytes(*bytes)))
        .ok_or_else(|| damaged(kind.name(), "a value of another kind was read"))
}

/// A value by hash: the hash's first bytes, then the value.
pub fn seal_hash(hash: &[u8; 32], value: &[u8]) -> Vec<u8> {
    [&hash[..HASH_MARK_BYTES], value].concat()
}

/// Reads a value by hash.
///
/// # Errors
/// When it is of another hash.
pub fn unseal_hash<'a>(what: &'static str, hash: &[u8; 32], bytes: &'a [u8]) -> Result<&'a [u8], StoreError> {
    bytes
        .strip_prefix(&hash[..HASH_MARK_BYTES])
        .ok_or_else(|| damaged(what, format!("the value of another key was read for {}", Digest::from_bytes(*hash))))
}

/// The value of a transaction's place.
pub fn seal_place(id: &TransactionId, height: Height, position: u32) -> Vec<u8> {
    let place = [height.get().to_be_bytes().as_slice(), &position.to_be_bytes()].concat();
    seal_hash(id.as_bytes(), &place)
}

/// Reads the value of a transaction's place.
///
/// # Errors
/// When it is of another id or damaged.
pub fn unseal_place(id: &TransactionId, bytes: &[u8]) -> Result<(Height, u32), StoreError> {
    let place: Option<&[u8; 12]> = unseal_hash("transaction index", id.as_bytes(), bytes)?.try_into().ok();
    let place = place.ok_or_else(|| damaged("transaction index", format!("the place of {id} is cut")))?;
    let (height, position) = place.split_at(8);
    let height = height.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let position = position.iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
    Ok((Height(height), position))
}

/// The value of a header's height.
pub fn seal_header_height(hash: &Digest, height: Height) -> Vec<u8> {
    seal_hash(hash.as_bytes(), &height.get().to_be_bytes())
}

/// Reads the value of a header's height.
///
/// # Errors
/// When it is of another hash or damaged.
pub fn unseal_header_height(hash: &Digest, bytes: &[u8]) -> Result<Height, StoreError> {
    let height = unseal_hash("header index", hash.as_bytes(), bytes)?.try_into();
    height
        .map(|bytes| Height(u64::from_be_bytes(bytes)))
        .map_err(|_| damaged("header index", format!("the height of {hash} is cut")))
}

/// Damage in one table.
pub fn damaged(what: &'static str, detail: impl Into<String>) -> StoreError {
    StoreError::corrupt(what, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::sha256;

    fn is_corrupt<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
        matches!(result, Err(StoreError::Corrupt { .. }))
    }

    #[test]
    fn keys_by_height_lie_in_the_order_of_heights() {
        let keys: Vec<_> =
            [0, 1, 255, 256, 1 << 40, u64::MAX].into_iter().map(|height| contents_key(Height(height))).collect();
        assert!(keys.is_sorted());
        assert!(header_key(Height(5)) < contents_key(Height(5)) && contents_key(Height(5)) < header_key(Height(6)));
        assert!(uncertified_key(Height(u64::MAX)).as_slice() < UNCERTIFIED_END);
        assert_eq!(uncertified_height(&uncertified_key(Height(77))), Ok(Height(77)));
    }

    #[test]
    fn a_value_of_another_place_is_refused() {
        let sealed = seal(Kind::Header, Height(7), &42u64);
        assert_eq!(unseal::<u64>(Kind::Header, Height(7), &sealed), Ok(42));
        assert!(is_corrupt(unseal::<u64>(Kind::Header, Height(8), &sealed)));
        assert!(is_corrupt(unseal::<u64>(Kind::Proof, Height(7), &sealed)));
        assert!(is_corrupt(unseal::<u32>(Kind::Header, Height(7), &sealed)));
        assert!(is_corrupt(unseal::<u64>(Kind::Header, Height(7), &sealed[..5])));
        let (one, other) = (sha256(b"one"), sha256(b"other"));
        assert_eq!(unseal_header_height(&one, &seal_header_height(&one, Height(9))), Ok(Height(9)));
        assert!(is_corrupt(unseal_header_height(&other, &seal_header_height(&one, Height(9)))));
        let (one, other) = (TransactionId(one), TransactionId(other));
        assert_eq!(unseal_place(&one, &seal_place(&one, Height(1 << 33), 3)), Ok((Height(1 << 33), 3)));
        assert!(is_corrupt(unseal_place(&other, &seal_place(&one, Height(9), 3))));
        assert!(is_corrupt(unseal_place(&one, &seal_place(&one, Height(9), 3)[..10])));
    }
}
