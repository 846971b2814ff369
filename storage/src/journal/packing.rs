//! Packing entries into frames.

use quorate_crypto::hash::sha256;

use super::error::JournalError;
use super::frame::{FrameHeader, HEADER_BYTES};
use super::options::Options;
use super::payload::Payload;

/// Entries that are written, synced and found together.
pub struct Frame {
    /// Room for the header, then the entries' bytes.
    pub bytes: Vec<u8>,
    count: u32,
    unbound: u32,
    /// The highest sequence number of the entries, 0 when there is none.
    pub highest: u64,
}

impl Frame {
    fn empty() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0, unbound: 0, highest: 0 }
    }

    /// Bytes of the entries.
    pub fn length(&self) -> usize {
        self.bytes.len() - HEADER_BYTES
    }

    /// The header for this number and page.
    pub fn header(&self, number: u64, page: u32) -> FrameHeader {
        FrameHeader {
            number,
            page,
            length: u32::try_from(self.length()).unwrap_or(u32::MAX),
            count: self.count,
            unbound: self.unbound,
            highest: self.highest,
            payload: sha256(&self.bytes[HEADER_BYTES..]),
        }
    }
}

/// Packs entries into as few frames as the bound allows.
pub fn frames<J: Payload>(entries: &[J], options: Options) -> Result<Vec<Frame>, JournalError> {
    let max = options.record_bytes_max as usize;
    // Only a single entry makes a larger frame, and with it a larger segment.
    let usual = max.min(options.segment_bytes as usize / 2);
    let mut packed = Vec::new();
    let mut frame = Frame::empty();
    for entry in entries {
        let bytes = quorate_crypto::encode::encode(entry);
        if bytes.len() > max {
            return Err(JournalError::TooLarge { bytes: bytes.len(), max });
        }
        if frame.count > 0 && frame.length() + bytes.len() > usual {
            packed.push(std::mem::replace(&mut frame, Frame::empty()));
        }
        frame.bytes.extend_from_slice(&bytes);
        frame.count += 1;
        frame.highest = frame.highest.max(entry.kept_until());
        frame.unbound += u32::from(entry.sequence().is_none());
    }
    if frame.count > 0 {
        packed.push(frame);
    }
    Ok(packed)
}
