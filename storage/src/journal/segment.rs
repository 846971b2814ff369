//! Segment files: their names, their birth, writing to the active one, and spares.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use quorate_crypto::hash::Digest;

use super::error::JournalError;
use super::frame::{self, HEADER_BYTES, PAGE_BYTES, SLOT_BYTES, Salt, SegmentHeader};
use super::options::{Options, SEGMENT_BYTES_MAX};
use super::packing::Frame;
use crate::files::{Files, Handle};

const SEGMENT: &str = "segment-";
const COPY: &str = "copy-";
const SPARE: &str = "spare-";

/// The name of a segment's file.
pub fn segment_name(number: u64) -> String {
    format!("{SEGMENT}{number:016x}")
}

/// The name of its copy's file.
pub fn copy_name(number: u64) -> String {
    format!("{COPY}{number:016x}")
}

/// The number in the name of a segment or of a copy.
pub fn number_of(name: &str) -> Option<u64> {
    segment_number(name).or_else(|| numbered(name, COPY))
}

/// The number in the name of a segment.
pub fn segment_number(name: &str) -> Option<u64> {
    numbered(name, SEGMENT)
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    if digits.len() != 16 {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// The size of the copy of a segment of this size: one slot for each page that can begin a frame.
pub fn copy_bytes(segment_bytes: u64) -> u64 {
    segment_bytes / PAGE_BYTES as u64 * SLOT_BYTES as u64
}

/// A full segment.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    pub number: u64,
    /// The highest sequence number in it, 0 when there is none.
    pub highest: u64,
    /// Pages of the file.
    pub pages: u32,
    /// Pages of the frames that were appended, not carried.
    pub fresh: u32,
}

/// The segment that is written to.
pub struct Active {
    pub number: u64,
    pub salt: Salt,
    pub first_frame: u64,
    /// Frames in it.
    pub count: u64,
    /// Where the next frame begins.
    pub page: u32,
    /// Pages of the file.
    pub pages: u32,
    /// The page behind what was carried.
    pub fresh_from: u32,
    pub highest: u64,
    pub segment: Box<dyn Handle>,
    pub copy: Box<dyn Handle>,
}

impl Active {
    /// The number of the next frame.
    pub fn next_frame(&self) -> u64 {
        self.first_frame + self.count
    }

    /// Whether the frame fits behind the others.
    pub fn has_room(&self, frame: &Frame) -> bool {
        frame::pages(frame.length()) <= self.pages.saturating_sub(self.page)
    }

    /// Writes a frame: the segment is synced first, the copy second (PROTOCOL 7.3).
    pub fn write(&mut self, frame: &Frame) -> Result<(), JournalError> {
        let header = self.put(frame)?;
        self.segment.sync().map_err(|error| self.failed("sync", SEGMENT, &error))?;
        self.put_copy(self.count - 1, &header)?;
        self.copy.sync().map_err(|error| self.failed("sync", COPY, &error))
    }

    /// Writes a frame to the segment without syncing it; the header for the copy.
    fn put(&mut self, frame: &Frame) -> Result<[u8; HEADER_BYTES], JournalError> {
        let header = frame.header(self.next_frame(), self.page);
        let bytes = header.to_bytes(&self.salt);
        // Whole pages are written, so that the system need not read what was there.
        let mut padded = frame.bytes.clone();
        padded[..HEADER_BYTES].copy_from_slice(&bytes);
        padded.resize(header.pages() as usize * PAGE_BYTES, 0);
        let offset = u64::from(self.page) * PAGE_BYTES as u64;
        self.segment.write_at(offset, &padded).map_err(|error| self.failed("write", SEGMENT, &error))?;
        self.page += header.pages();
        self.count += 1;
        self.highest = self.highest.max(frame.highest);
        Ok(bytes)
    }

    /// Writes a header to its slot of the copy without syncing it.
    pub fn put_copy(&mut self, slot: u64, header: &[u8]) -> Result<(), JournalError> {
        let written = self.copy.write_at(slot * SLOT_BYTES as u64, header);
        written.map_err(|error| self.failed("write", COPY, &error))
    }

    fn failed(&self, what: &str, prefix: &str, error: &std::io::Error) -> JournalError {
        JournalError::io(format!("{what} of {prefix}{:016x}", self.number), error)
    }
}

/// What a new segment is to be.
pub struct Birth {
    pub identity: Digest,
    pub number: u64,
    pub first_frame: u64,
    pub oldest: u64,
    /// Pages that it must have room for beside what is carried.
    pub room: u32,
}

/// Pages of the file of a segment: as many as usual, unless one record or what is carried needs more. A segment that
/// begins with much has the usual room behind it, so that what is carried is written again only after so many votes.
fn file_pages(carried: u64, room: u64, usual: u64) -> u64 {
    let least = 1 + carried + room;
    let is_usual = if carried == 0 { least <= usual } else { least <= usual / 2 };
    if is_usual { usual } else { least + usual }
}

/// Makes the next segment. Head page and carried frames are synced in both files before either has its name; the segment gets its
/// name before the copy, so that a copy without a segment always means a lost segment.
pub fn begin(
    files: &dyn Files,
    spares: &mut Spares,
    birth: Birth,
    carried: Vec<Frame>,
    options: Options,
) -> Result<Active, JournalError> {
    let needed: u64 = carried.iter().map(|frame| u64::from(frame::pages(frame.length()))).sum();
    let usual = u64::from(options.segment_bytes) / PAGE_BYTES as u64;
    let bytes = file_pages(needed, birth.room.into(), usual).saturating_mul(PAGE_BYTES as u64);
    if bytes > SEGMENT_BYTES_MAX {
        return Err(JournalError::TooLarge { bytes: bytes as usize, max: SEGMENT_BYTES_MAX as usize });
    }
    let spare = spares.take(files, bytes)?;
    let (segment_spare, copy_spare) = (spare_segment(spare), spare_copy(spare));
    let open = |name: &str| files.open(name).map_err(|error| JournalError::io(format!("open of {name}"), &error));
    let mut active = Active {
        number: birth.number,
        salt: random_salt(),
        first_frame: birth.first_frame,
        count: 0,
        page: 1,
        pages: (bytes / PAGE_BYTES as u64) as u32,
        fresh_from: 1,
        highest: 0,
        segment: open(&segment_spare)?,
        copy: open(&copy_spare)?,
    };
    write_birth(&mut active, &birth, &carried)?;
    active.fresh_from = active.page;
    name(files, &segment_spare, &segment_name(birth.number))?;
    name(files, &copy_spare, &copy_name(birth.number))?;
    Ok(active)
}

fn write_birth(active: &mut Active, birth: &Birth, carried: &[Frame]) -> Result<(), JournalError> {
    let header = SegmentHeader {
        identity: birth.identity,
        number: birth.number,
        first_frame: birth.first_frame,
        oldest: birth.oldest,
        carried: u32::try_from(carried.len()).unwrap_or(u32::MAX),
        salt: active.salt,
    };
    active.segment.write_at(0, &header.to_page()).map_err(|error| active.failed("write", SEGMENT, &error))?;
    let mut headers = Vec::with_capacity(carried.len());
    for frame in carried {
        headers.push(active.put(frame)?);
    }
    active.segment.sync().map_err(|error| active.failed("sync", SEGMENT, &error))?;
    for (slot, header) in (0..).zip(&headers) {
        active.put_copy(slot, header)?;
    }
    active.copy.sync().map_err(|error| active.failed("sync", COPY, &error))
}

/// Renames a file and makes the new name durable.
fn name(files: &dyn Files, from: &str, to: &str) -> Result<(), JournalError> {
    files
        .rename(from, to)
        .and_then(|()| files.sync())
        .map_err(|error| JournalError::io(format!("rename of {from} to {to}"), &error))
}

/// Files of trimmed segments that wait to be used again.
pub struct Spares {
    /// Numbers of pairs, each in the names of a spare segment and of a spare copy.
    numbers: Vec<u64>,
    max: usize,
    next: u64,
}

impl Spares {
    /// The pairs among these names.
    pub fn find(names: &[String], max: usize) -> Self {
        let number = |name: &String, kind: &str| numbered(name.strip_prefix(SPARE)?, kind);
        let copies: Vec<u64> = names.iter().filter_map(|name| number(name, COPY)).collect();
        let segments: Vec<u64> = names.iter().filter_map(|name| number(name, SEGMENT)).collect();
        let highest = copies.iter().chain(&segments).copied().max().unwrap_or(0);
        let numbers = segments.into_iter().filter(|number| copies.contains(number)).take(max).collect();
        Self { numbers, max, next: highest.saturating_add(1) }
    }

    /// Removes spare files that are in no kept pair.
    pub fn tidy(&self, files: &dyn Files, names: &[String]) -> Result<(), JournalError> {
        for name in names {
            let number = name.strip_prefix(SPARE).and_then(number_of);
            if number.is_some_and(|number| !self.numbers.contains(&number)) {
                files.remove(name).map_err(|error| JournalError::io(format!("removal of {name}"), &error))?;
            }
        }
        Ok(())
    }

    /// The number of a pair of the right sizes; the pair is made when there is none.
    fn take(&mut self, files: &dyn Files, segment_bytes: u64) -> Result<u64, JournalError> {
        let fits = |number: &u64| {
            has_size(files, &spare_segment(*number), segment_bytes)
                && has_size(files, &spare_copy(*number), copy_bytes(segment_bytes))
        };
        if let Some(place) = self.numbers.iter().rposition(fits) {
            return Ok(self.numbers.remove(place));
        }
        let number = self.next;
        self.next = self.next.saturating_add(1);
        for (name, size) in [(spare_segment(number), segment_bytes), (spare_copy(number), copy_bytes(segment_bytes))] {
            files.create(&name, size).map_err(|error| JournalError::io(format!("creation of {name}"), &error))?;
        }
        Ok(number)
    }

    /// Turns a trimmed segment into a spare, or removes it when there are enough or its size is not the usual one.
    pub fn give_up(&mut self, files: &dyn Files, number: u64, is_usual: bool) -> Result<(), JournalError> {
        let (segment, copy) = (segment_name(number), copy_name(number));
        let failed = |error| JournalError::io(format!("giving up of {segment}"), &error);
        if !is_usual || self.numbers.len() >= self.max {
            // The copy goes first: a copy without a segment means a lost segment.
            files.remove(&copy).and_then(|()| files.remove(&segment)).map_err(failed)?;
            return Ok(());
        }
        let spare = self.next;
        self.next = self.next.saturating_add(1);
        files.rename(&copy, &spare_copy(spare)).map_err(failed)?;
        files.rename(&segment, &spare_segment(spare)).map_err(failed)?;
        self.numbers.push(spare);
        Ok(())
    }
}

fn spare_segment(number: u64) -> String {
    format!("{SPARE}{}", segment_name(number))
}

fn spare_copy(number: u64) -> String {
    format!("{SPARE}{}", copy_name(number))
}

fn has_size(files: &dyn Files, name: &str, size: u64) -> bool {
    files.open(name).and_then(|file| file.size()).is_ok_and(|found| found == size)
}

/// The standard library seeds each of these from the system's randomness; that is enough against bytes that were chosen before.
fn random_salt() -> Salt {
    let mut salt = Salt::default();
    salt[..8].copy_from_slice(&RandomState::new().hash_one(0u8).to_le_bytes());
    salt[8..].copy_from_slice(&RandomState::new().hash_one(1u8).to_le_bytes());
    salt
}
