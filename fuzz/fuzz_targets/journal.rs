//! The vote journal: a segment and its copy, as a disk might give them back.
//!
//! The input is how it is mended, `low`, pages of the copy, the copy, the segment. Digests that a fuzzer never finds are
//! put right where the first byte says so: 1 that of the head page, 2 those of the frames, 4 the copy becomes that of the
//! frames.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use quorate_crypto::{Digest, sha256};
use quorate_protocol::id::Height;
use quorate_protocol::pbft::Record;
use quorate_protocol::replica::JournalEntry;
use quorate_storage::journal::{Journal, Options, PAGE_BYTES, Recovered};
use quorate_storage::volatile::VolatileFiles;

/// The journal that the seeds of the target are.
const SMALL: Options =
    Options { segment_bytes: 8 * PAGE_BYTES as u32, record_bytes_max: 3 * PAGE_BYTES as u32, spares_max: 2 };
const SEALED_BYTES: usize = PAGE_BYTES - 32;
const SALT: std::ops::Range<usize> = 72..88;
const FIELD_BYTES: usize = 64;
const HEADER_BYTES: usize = FIELD_BYTES + 16;
const SLOT_BYTES: usize = 128;
const SEGMENT: &str = "segment-0000000000000001";
const COPY: &str = "copy-0000000000000001";

fn identity() -> Digest {
    sha256(b"a hash")
}

/// The right digests for a frame in this page.
fn mend_frame(segment: &mut [u8], salt: &[u8], page: usize) {
    let (start, end) = (page * PAGE_BYTES, segment.len());
    let length = u32::from_le_bytes([12, 13, 14, 15].map(|at| segment[start + at])) as usize;
    let first = start + HEADER_BYTES;
    if first + length <= end {
        let payload = sha256(&segment[first..first + length]);
        segment[start + 32..start + FIELD_BYTES].copy_from_slice(payload.as_bytes());
    }
    let check = sha256(&[salt, &segment[start..start + FIELD_BYTES]].concat());
    segment[start + FIELD_BYTES..first].copy_from_slice(&check.as_bytes()[..16]);
}

fn mended(mend: u8, copy: &mut Vec<u8>, segment: &mut [u8]) {
    let pages = segment.len() / PAGE_BYTES;
    if mend & 1 != 0 {
        let seal = sha256(&segment[..SEALED_BYTES]);
        segment[SEALED_BYTES..PAGE_BYTES].copy_from_slice(seal.as_bytes());
    }
    let salt = segment[SALT].to_vec();
    let written: Vec<usize> = (1..pages).filter(|page| segment[page * PAGE_BYTES..][..8] != [0; 8]).collect();
    if mend & 2 != 0 {
        written.iter().for_each(|page| mend_frame(segment, &salt, *page));
    }
    if mend & 4 != 0 {
        copy.resize(copy.len().max(written.len() * SLOT_BYTES), 0);
        for (slot, page) in written.iter().enumerate() {
            let header = segment[page * PAGE_BYTES..][..HEADER_BYTES].to_vec();
            copy[slot * SLOT_BYTES..][..HEADER_BYTES].copy_from_slice(&header);
        }
    }
}

fn open(files: &VolatileFiles, low: u64) -> Option<(Journal<JournalEntry>, Vec<JournalEntry>)> {
    match Journal::open(Arc::new(files.clone()), identity(), low, SMALL) {
        Ok(Recovered::Whole { journal, entries }) => Some((journal, entries)),
        Ok(Recovered::Amnesiac { reason }) => {
            assert!(!reason.is_empty());
            None
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [mend, low, pages, rest @ ..] = bytes else { return };
    let split = (usize::from(pages % 4) * 8 * SLOT_BYTES).min(rest.len());
    let (mut copy, mut segment) = (rest[..split].to_vec(), rest[split..].to_vec());
    segment.resize(segment.len().max(1).next_multiple_of(PAGE_BYTES), 0);
    mended(*mend, &mut copy, &mut segment);
    let files = VolatileFiles::new();
    files.put(SEGMENT, segment);
    if !copy.is_empty() {
        files.put(COPY, copy);
    }
    let low = u64::from(*low);
    let Some((mut journal, mut entries)) = open(&files, low) else { return };
    // What is found whole is found again, and goes on.
    let (_, again) = open(&files, low).expect("what is mended is whole");
    assert_eq!(again, entries);
    let more = JournalEntry { record: Record::Floor(Height(1 << 20)), bodies: Vec::new() };
    if journal.append(std::slice::from_ref(&more)).is_ok() {
        entries.push(more);
        let (_, again) = open(&files, low).expect("what goes on is whole");
        assert_eq!(again, entries);
    }
});
