//! Cursors of lists: text that clients hand back as they got it. It carries a version and a check sum, so that what was
//! made up, cut or made by another release is refused and never misread.

use quorate_crypto::sha256;

/// Version of the form below.
const VERSION: u8 = 1;
/// Bytes of the check sum.
const CHECK_BYTES: usize = 4;

/// Which list a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Blocks, the newest first.
    BlocksNewest = 1,
    /// Blocks, the oldest first.
    BlocksOldest = 2,
}

/// The cursor of `list` whose next entry is `place`.
pub fn write(list: List, place: u64) -> String {
    let mut bytes = vec![VERSION, list as u8];
    bytes.extend_from_slice(&place.to_be_bytes());
    let check = check(&bytes);
    bytes.extend_from_slice(&check);
    hex::encode(bytes)
}

/// The place that `text` names in `list`; `None` where it is no cursor of this list.
pub fn read(list: List, text: &str) -> Option<u64> {
    let place = text.get(4..20).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    // What is written again is the same text, or it never was a cursor.
    place.filter(|place| write(list, *place) == text)
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = sha256(bytes);
    std::array::from_fn(|place| digest.as_bytes()[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_cursor_of_the_same_list_is_read() {
        let cursor = write(List::BlocksNewest, 258);
        assert_eq!(read(List::BlocksNewest, &cursor), Some(258));
        assert!(read(List::BlocksOldest, &cursor).is_none(), "of another order");
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{cursor} goes into an address as it is");
        for place in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            assert!(read(List::BlocksNewest, std::str::from_utf8(&changed).unwrap()).is_none(), "byte {place}");
            assert!(read(List::BlocksNewest, &cursor[..place]).is_none());
        }
        assert!(["", "é", "0000000000000000000é", "zz"].iter().all(|text| read(List::BlocksOldest, text).is_none()));
        assert!(read(List::BlocksNewest, &cursor.to_uppercase()).is_none() || cursor == cursor.to_uppercase());
    }
}
