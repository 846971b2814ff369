use borsh::{BorshDeserialize, BorshSerialize};
use proptest::prelude::*;
use quorate_crypto::{BoundedBytes, BoundedString, BoundedVec, DecodeError, Digest, decode, digest, encode, sha256};

/// The message of a refusal.
fn refusal<T: BorshDeserialize>(bytes: &[u8]) -> String {
    match decode::<T>(bytes) {
        Ok(_) => panic!("accepted {bytes:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn trailing_bytes_are_refused() {
    assert_eq!(decode::<u16>(&[1, 2]), Ok(0x0201));
    assert_eq!(decode::<u16>(&[1, 2, 3]), Err(DecodeError::Trailing { what: "u16", left: 1 }));
    let message = refusal::<BoundedVec<u8, 4>>(&[1, 0, 0, 0, 7, 7]);
    assert_eq!(message, "1 bytes follow the end of the BoundedVec; a value must fill its bytes exactly");
}

#[test]
fn bytes_that_end_early_are_refused() {
    let whole = encode(&(7u64, BoundedString::<9>::try_from("quorate").unwrap(), Some(sha256(b""))));
    for length in 0..whole.len() {
        assert!(decode::<(u64, BoundedString<9>, Option<Digest>)>(&whole[..length]).is_err());
    }
    assert!(decode::<(u64, BoundedString<9>, Option<Digest>)>(&whole).is_ok());
}

#[test]
fn non_canonical_bools_options_and_variants_are_refused() {
    #[derive(BorshSerialize, BorshDeserialize)]
    enum Kind {
        One,
        Two,
    }
    for byte in 2..=255 {
        assert!(decode::<bool>(&[byte]).is_err());
        assert!(decode::<Option<u8>>(&[byte, 0]).is_err());
        assert!(decode::<Kind>(&[byte]).is_err());
    }
    assert_eq!([encode(&Kind::One), encode(&Kind::Two)], [[0], [1]]);
    assert!(refusal::<bool>(&[2]).contains("bool"));
}

#[test]
fn a_length_above_the_bound_is_refused_with_both_numbers() {
    let bytes = encode(&vec![1u8, 2, 3, 4, 5]);
    assert_eq!(
        refusal::<BoundedVec<u8, 4>>(&bytes),
        "these bytes are no BoundedVec: 5 elements where at most 4 are allowed"
    );
    assert_eq!(
        refusal::<BoundedBytes<4>>(&bytes),
        "these bytes are no BoundedBytes: 5 bytes where at most 4 are allowed"
    );
    assert!(refusal::<BoundedString<4>>(&bytes).contains("5 bytes where at most 4"));
    // The bound itself is allowed.
    assert!(decode::<BoundedVec<u8, 5>>(&bytes).is_ok());
    assert!(decode::<BoundedBytes<5>>(&bytes).is_ok());
    assert!(decode::<BoundedString<5>>(&bytes).is_ok());
}

/// Fails the test when a decoder reads on after a bad length, and counts what was asked for in one piece.
struct CountingReader<'a> {
    rest: &'a [u8],
    largest_read: usize,
}

impl borsh::io::Read for CountingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> borsh::io::Result<usize> {
        self.largest_read = self.largest_read.max(buffer.len());
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest = &self.rest[length..];
        Ok(length)
    }
}

#[test]
fn a_huge_length_within_the_bound_reserves_no_memory_for_data_that_never_comes() {
    const HUGE: usize = u32::MAX as usize;
    let mut bytes = u32::MAX.to_le_bytes().to_vec();
    bytes.extend([0; 100]);
    // Reserving what is announced would take 4 TiB and end the process.
    assert!(decode::<BoundedVec<[u8; 1024], HUGE>>(&bytes).is_err());
    let mut reader = CountingReader { rest: &bytes, largest_read: 0 };
    assert!(BoundedBytes::<HUGE>::deserialize_reader(&mut reader).is_err());
    assert!(reader.largest_read <= 4096, "a buffer of {} bytes", reader.largest_read);
    let mut reader = CountingReader { rest: &bytes, largest_read: 0 };
    assert!(BoundedString::<HUGE>::deserialize_reader(&mut reader).is_err());
    assert!(reader.largest_read <= 4096, "a buffer of {} bytes", reader.largest_read);
}

#[test]
fn a_length_above_the_bound_is_refused_before_anything_else_is_read() {
    let bytes = [0xff; 104];
    let mut reader = CountingReader { rest: &bytes, largest_read: 0 };
    assert!(BoundedVec::<[u8; 64], 1000>::deserialize_reader(&mut reader).is_err());
    assert_eq!((reader.rest.len(), reader.largest_read), (100, 4));
}

#[test]
fn collections_cannot_be_made_larger_than_their_bound() {
    let mut list = BoundedVec::<u8, 2>::new();
    assert!(list.push(1).is_ok() && list.push(2).is_ok());
    assert_eq!(list.push(3).unwrap_err().to_string(), "3 elements where at most 2 are allowed");
    assert_eq!(*list, [1, 2]);
    assert!(BoundedVec::<u8, 2>::try_from(vec![1, 2, 3]).is_err());
    assert!(BoundedBytes::<2>::try_from(vec![1, 2, 3]).is_err());
    assert!(BoundedString::<2>::try_from("äb").is_err(), "the bound is in bytes");
    assert!(BoundedString::<3>::try_from("äb".to_string()).is_ok());
    assert!("abc".parse::<BoundedString<2>>().is_err());
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    assert!(refusal::<BoundedString<9>>(&[2, 0, 0, 0, 0xc3, 0x28]).contains("utf-8"));
}

#[test]
fn json_keeps_the_bounds_too() {
    assert_eq!(*serde_json::from_str::<BoundedVec<u8, 2>>("[1,2]").unwrap(), [1, 2]);
    let error = serde_json::from_str::<BoundedVec<u8, 2>>("[1,2,3]").unwrap_err();
    assert!(error.to_string().contains("at most 2"), "{error}");
    assert_eq!(*serde_json::from_str::<BoundedBytes<2>>("\"01ff\"").unwrap(), [1, 0xff]);
    for bad in ["\"01ff00\"", "\"01f\"", "\"01FF\"", "\"0g\"", "\"ää\"", "7"] {
        assert!(serde_json::from_str::<BoundedBytes<2>>(bad).is_err(), "{bad}");
    }
    assert!(serde_json::from_str::<BoundedString<2>>("\"abc\"").is_err());
    assert_eq!(serde_json::to_string(&BoundedBytes::<2>::try_from(vec![1, 255]).unwrap()).unwrap(), "\"01ff\"");
}

#[test]
fn hex_is_read_in_one_form_only() {
    let good = sha256(b"x").to_string();
    assert_eq!(good.parse::<Digest>(), Ok(sha256(b"x")));
    for bad in [&good[1..], &format!("{good}0"), &good.to_uppercase(), &format!("0x{}", &good[2..]), "", "é"] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
    let short = "abc".parse::<Digest>().unwrap_err().to_string();
    assert_eq!(short, "a digest must be 64 lowercase hex digits, found 3 digits");
    let upper = "ABC".parse::<Digest>().unwrap_err().to_string();
    assert_eq!(upper, "a digest must be 64 lowercase hex digits, found the character 'A'");
    assert_eq!(format!("{:.8}", sha256(b"x")), good[..8]);
}

#[test]
fn a_digest_covers_its_domain() {
    let expected = sha256(&[&[4][..], b"kind", &7u32.to_le_bytes()].concat());
    assert_eq!(digest("kind", &7u32), expected);
    assert_ne!(digest("kin", &(b'd', 7u32)), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        type Sample = (BoundedVec<Option<u8>, 8>, bool, BoundedBytes<16>, BoundedString<8>);
        // Small lengths, so that some of the inputs are good.
        let small: Vec<u8> = bytes.iter().map(|byte| byte % 4).collect();
        for bytes in [bytes, small] {
            for length in 0..=bytes.len() {
                if let Ok(sample) = decode::<Sample>(&bytes[..length]) {
                    prop_assert_eq!(&encode(&sample), &bytes[..length]);
                }
            }
        }
    }

    #[test]
    fn what_encodes_decodes_to_the_same_value(
        numbers in prop::collection::vec(any::<u64>(), 0..=20), bytes in prop::collection::vec(any::<u8>(), 0..=9000), text in ".{0,20}"
    ) {
        let value = (
            BoundedVec::<u64, 20>::try_from(numbers).unwrap(),
            BoundedBytes::<9000>::try_from(bytes).unwrap(),
            BoundedString::<80>::try_from(text).unwrap(),
        );
        prop_assert_eq!(decode(&encode(&value)), Ok(value.clone()));
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(serde_json::from_str::<(BoundedVec<u64, 20>, BoundedBytes<9000>, BoundedString<80>)>(&json).unwrap(), value);
    }
}
