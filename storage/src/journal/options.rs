//! How large the files of a journal are.

use super::error::JournalError;
use super::frame::PAGE_BYTES;

/// No segment file is larger, nor read beyond this many bytes, whatever its size.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;

/// Sizes of a journal.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of a segment file, head page included; rounded down to pages. At least four pages. A segment that must take more
    /// than this, what is carried or one large record, is made larger.
    pub segment_bytes: u32,
    /// The largest frame in bytes of entries; a larger group is written as several, one entry must fit.
    pub record_bytes_max: u32,
    /// How many trimmed segments are kept to be used again.
    pub spares_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        // The largest record is a NEW-VIEW with its VIEW-CHANGEs: 21 of 1.7 MiB at the limits of n and L.
        Self { segment_bytes: 16 << 20, record_bytes_max: 64 << 20, spares_max: 4 }
    }
}

/// The sizes, rounded down to whole pages, when they can work.
pub fn checked(mut options: Options) -> Result<Options, JournalError> {
    options.segment_bytes -= options.segment_bytes % PAGE_BYTES as u32;
    if options.segment_bytes < 4 * PAGE_BYTES as u32 {
        return Err(JournalError::Options("a segment needs at least four pages"));
    }
    if u64::from(options.record_bytes_max) + u64::from(options.segment_bytes) > SEGMENT_BYTES_MAX / 2 {
        return Err(JournalError::Options("a segment, and a record, are far below the largest file that is read"));
    }
    Ok(options)
}
