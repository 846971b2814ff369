//! The bytes of a journal: the head page of a segment and the header of a frame.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::hash::{Digest, sha256};

use super::error::JournalError;

/// Frames begin at multiples of this many bytes, so that a write in flight shares no page with anything acknowledged.
pub const PAGE_BYTES: usize = 4096;
/// Bytes of a frame's header: 64 of fields, then the check.
pub const HEADER_BYTES: usize = FIELD_BYTES + CHECK_BYTES;
/// Bytes that one frame has in the copy.
pub const SLOT_BYTES: usize = 128;
/// The version of the format of the segments.
pub const VERSION: u32 = 1;

const FIELD_BYTES: usize = 64;
const CHECK_BYTES: usize = 16;
const MAGIC: [u8; 8] = *b"quorvote";
/// In every version the last 32 bytes of the head page are the digest of the others, so that damage is told from age.
const SEALED_BYTES: usize = PAGE_BYTES - 32;

/// Random bytes of one segment. The check of every frame covers them, so that neither what is left of an earlier life of
/// the file nor what a client put into a transaction can pass for a frame.
pub type Salt = [u8; 16];

/// The first page of a segment.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentHeader {
    /// Whose votes these are.
    pub identity: Digest,
    /// The number of this segment; it is in the file's name as well.
    pub number: u64,
    /// The number of the first frame.
    pub first_frame: u64,
    /// The oldest segment that is still needed; older ones had been given up when this one was born.
    pub oldest: u64,
    /// How many frames were in the segment, synced, before it got its name.
    pub carried: u32,
    /// See [`Salt`].
    pub salt: Salt,
}

impl SegmentHeader {
    /// The whole first page.
    pub fn to_page(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(PAGE_BYTES);
        page.extend_from_slice(&MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&quorate_crypto::encode::encode(self));
        page.resize(SEALED_BYTES, 0);
        let seal = sha256(&page);
        page.extend_from_slice(seal.as_bytes());
        page
    }

    /// Reads a first page; `None` when it is damaged.
    ///
    /// # Errors
    /// [`JournalError::Version`] when it is whole and of another version.
    pub fn from_page(bytes: &[u8]) -> Result<Option<Self>, JournalError> {
        let Some(page) = bytes.get(..PAGE_BYTES) else { return Ok(None) };
        let (sealed, seal) = page.split_at(SEALED_BYTES);
        if sha256(sealed).as_bytes() != seal || sealed[..8] != MAGIC {
            return Ok(None);
        }
        let found = u32::from_le_bytes([sealed[8], sealed[9], sealed[10], sealed[11]]);
        if found != VERSION {
            return Err(JournalError::Version { found, known: VERSION });
        }
        let header = Self::deserialize(&mut &sealed[12..]).ok();
        // Every byte of the page is accounted for.
        Ok(header.filter(|header| header.to_page() == page))
    }
}

/// What stands before the entries of one group append, and once more in the copy.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FrameHeader {
    /// Frames are numbered through all segments without a gap.
    pub number: u64,
    /// The page of the segment where the frame begins.
    pub page: u32,
    /// Bytes of the entries.
    pub length: u32,
    /// How many entries.
    pub count: u32,
    /// How many of the entries belong to no sequence number.
    pub unbound: u32,
    /// The highest sequence number of the entries, 0 when there is none.
    pub highest: u64,
    /// The digest of the entries' bytes.
    pub payload: Digest,
}

impl FrameHeader {
    /// Fields and check.
    pub fn to_bytes(&self, salt: &Salt) -> [u8; HEADER_BYTES] {
        let fields = quorate_crypto::encode::encode(self);
        let mut bytes = [0; HEADER_BYTES];
        bytes[..FIELD_BYTES].copy_from_slice(&fields);
        bytes[FIELD_BYTES..].copy_from_slice(&check(salt, &fields));
        bytes
    }

    /// Reads a header; `None` when it is damaged, of another segment, or was never written.
    pub fn from_bytes(salt: &Salt, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let (fields, found) = bytes.split_at(FIELD_BYTES);
        if check(salt, fields) != found {
            return None;
        }
        quorate_crypto::encode::decode(fields).ok()
    }

    /// Pages that header and entries take.
    pub fn pages(&self) -> u32 {
        pages(self.length as usize)
    }

    /// Whether nothing in the frame is needed once everything up to `low` is durable elsewhere.
    pub fn is_settled(&self, low: u64) -> bool {
        self.unbound == 0 && self.highest <= low
    }
}

/// Pages that a frame with this many bytes of entries takes.
pub fn pages(length: usize) -> u32 {
    u32::try_from((HEADER_BYTES + length).div_ceil(PAGE_BYTES)).unwrap_or(u32::MAX)
}

fn check(salt: &Salt, fields: &[u8]) -> [u8; CHECK_BYTES] {
    let mut bytes = Vec::with_capacity(salt.len() + fields.len());
    bytes.extend_from_slice(salt);
    bytes.extend_from_slice(fields);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&sha256(&bytes).as_bytes()[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> FrameHeader {
        FrameHeader { number: 7, page: 3, length: 10, count: 2, unbound: 1, highest: 9, payload: sha256(b"x") }
    }

    #[test]
    fn a_frame_header_is_refused_under_another_salt_or_with_any_byte_changed() {
        let bytes = header().to_bytes(&[1; 16]);
        assert_eq!(FrameHeader::from_bytes(&[1; 16], &bytes), Some(header()));
        assert_eq!(FrameHeader::from_bytes(&[2; 16], &bytes), None);
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(FrameHeader::from_bytes(&[1; 16], &damaged), None, "byte {at}");
        }
    }

    #[test]
    fn a_head_page_of_another_version_is_told_from_a_damaged_one() {
        let header =
            SegmentHeader { identity: sha256(b"key"), number: 1, first_frame: 1, oldest: 1, carried: 0, salt: [3; 16] };
        let mut page = header.to_page();
        assert_eq!(SegmentHeader::from_page(&page).unwrap(), Some(header));
        page[8] = 9;
        assert_eq!(SegmentHeader::from_page(&page).unwrap(), None);
        let seal = sha256(&page[..SEALED_BYTES]);
        page[SEALED_BYTES..].copy_from_slice(seal.as_bytes());
        assert!(matches!(SegmentHeader::from_page(&page), Err(JournalError::Version { found: 9, known: VERSION })));
    }

    #[test]
    fn a_whole_page_with_more_in_it_than_a_head_is_damaged() {
        let header =
            SegmentHeader { identity: sha256(b"key"), number: 1, first_frame: 1, oldest: 1, carried: 0, salt: [3; 16] };
        let mut page = header.to_page();
        page[SEALED_BYTES - 1] = 1;
        assert_eq!(SegmentHeader::from_page(&sealed(page)).unwrap(), None);
    }

    /// The page with the right digest behind it.
    fn sealed(mut page: Vec<u8>) -> Vec<u8> {
        let seal = sha256(&page[..SEALED_BYTES]);
        page[SEALED_BYTES..].copy_from_slice(seal.as_bytes());
        page
    }

    /// Only what would be written as these bytes is read from them.
    fn reads_page(bytes: &[u8]) -> bool {
        match SegmentHeader::from_page(bytes) {
            Ok(Some(header)) => {
                assert_eq!(header.to_page(), bytes[..PAGE_BYTES]);
                true
            }
            Ok(None) => false,
            Err(error) => {
                assert!(matches!(error, JournalError::Version { known: VERSION, .. }), "{error}");
                false
            }
        }
    }

    fn reads_frame(salt: &Salt, bytes: &[u8]) -> bool {
        FrameHeader::from_bytes(salt, bytes).is_some_and(|header| {
            assert_eq!(header.to_bytes(salt), bytes[..HEADER_BYTES]);
            assert!(header.pages() >= 1);
            true
        })
    }

    fn any_page() -> impl Strategy<Value = SegmentHeader> {
        let numbers = (any::<[u8; 32]>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>(), any::<Salt>());
        numbers.prop_map(|(identity, number, first_frame, oldest, carried, salt)| {
            let identity = Digest::from_bytes(identity);
            SegmentHeader { identity, number, first_frame, oldest, carried, salt }
        })
    }

    fn any_frame() -> impl Strategy<Value = FrameHeader> {
        let numbers = (any::<u64>(), any::<[u32; 4]>(), any::<u64>(), any::<[u8; 32]>());
        numbers.prop_map(|(number, [page, length, count, unbound], highest, payload)| {
            let payload = Digest::from_bytes(payload);
            FrameHeader { number, page, length, count, unbound, highest, payload }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_head_page_is_read_as_written_and_with_no_bit_or_byte_of_it_otherwise(
            header in any_page(), at in 0..PAGE_BYTES, bit in 0..8u8, behind in any::<u8>(),
        ) {
            let page = header.to_page();
            prop_assert_eq!(SegmentHeader::from_page(&page).unwrap(), Some(header.clone()));
            // The file goes on behind its first page.
            let longer = [&page[..], &[behind]].concat();
            prop_assert_eq!(SegmentHeader::from_page(&longer).unwrap(), Some(header));
            prop_assert!(!reads_page(&page[..at]));
            let mut flipped = page;
            flipped[at] ^= 1 << bit;
            prop_assert!(!reads_page(&flipped));
            // Nor is a changed page with the right digest read as anything but itself.
            reads_page(&sealed(flipped));
        }

        #[test]
        fn arbitrary_pages_are_no_heads(bytes in prop::collection::vec(any::<u8>(), PAGE_BYTES), begins in any::<bool>()) {
            let mut page = bytes;
            if begins {
                page[..8].copy_from_slice(&MAGIC);
                page[8..12].copy_from_slice(&VERSION.to_le_bytes());
            }
            prop_assert!(!reads_page(&page));
            prop_assert!(!reads_page(&sealed(page)));
        }

        #[test]
        fn a_frame_header_is_read_as_written_and_with_no_bit_or_byte_of_it_otherwise(
            header in any_frame(), salt in any::<Salt>(), at in 0..HEADER_BYTES, bit in 0..8u8,
        ) {
            let bytes = header.to_bytes(&salt);
            prop_assert_eq!(FrameHeader::from_bytes(&salt, &bytes), Some(header.clone()));
            prop_assert!(reads_frame(&salt, &[&bytes[..], &[7]].concat()), "entries follow");
            prop_assert!(!reads_frame(&salt, &bytes[..at]));
            let mut flipped = bytes;
            flipped[at] ^= 1 << bit;
            prop_assert!(!reads_frame(&salt, &flipped));
        }

        #[test]
        fn arbitrary_bytes_are_no_frame_headers(
            bytes in prop::collection::vec(any::<u8>(), 0..2 * HEADER_BYTES), salt in any::<Salt>(),
        ) {
            prop_assert!(!reads_frame(&salt, &bytes));
            // Whoever knew the salt could make one; it would be what it says.
            if let Some(fields) = bytes.first_chunk::<FIELD_BYTES>() {
                prop_assert!(reads_frame(&salt, &[&fields[..], &check(&salt, fields)].concat()));
            }
        }
    }
}
