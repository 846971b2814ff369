//! A set of validators as a bitmap.

use crate::id::NodeIndex;
use crate::limits::VALIDATORS_LIMIT;

const _: () = assert!(VALIDATORS_LIMIT <= u32::BITS as usize);

/// The validator's bit; none for an index that no validator has.
pub(super) fn bit(validator: NodeIndex) -> u32 {
    1u32.checked_shl(u32::from(validator.0)).unwrap_or(0)
}

/// The validators of a bitmap.
pub(super) fn claimants(bitmap: u32) -> impl Iterator<Item = NodeIndex> {
    let mut left = bitmap;
    std::iter::from_fn(move || {
        let lowest = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (lowest < u32::BITS).then_some(NodeIndex(lowest as u8))
    })
}
