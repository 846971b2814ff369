//! How large the files of a journal are.

use super::error::JournalError;
use super::frame::{HEADER_BYTES, PAGE_BYTES};

/// Sizes of a journal.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of a segment file, head page included; rounded down to pages. At least four pages.
    pub segment_bytes: u32,
    /// The largest frame in bytes of entries; a larger group is written as several, one entry must fit. Must fit a segment.
    pub record_bytes_max: u32,
    /// How many trimmed segments are kept to be used again.
    pub spares_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, record_bytes_max: 8 << 20, spares_max: 4 }
    }
}

/// The sizes, rounded down to whole pages, when they can work.
pub fn checked(mut options: Options) -> Result<Options, JournalError> {
    options.segment_bytes -= options.segment_bytes % PAGE_BYTES as u32;
    if options.segment_bytes < 4 * PAGE_BYTES as u32 {
        return Err(JournalError::Options("a segment needs at least four pages"));
    }
    if HEADER_BYTES + options.record_bytes_max as usize + PAGE_BYTES > options.segment_bytes as usize {
        return Err(JournalError::Options("a segment must have room for the largest record"));
    }
    Ok(options)
}
