//! Reading a journal after a crash, by the rules of PROTOCOL 7.3.
//!
//! First everything is read and judged, and nothing is changed; only a journal that is found whole is then mended and tidied.

use std::collections::{BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::sync::Arc;

use quorate_crypto::hash::{Digest, sha256};

use super::error::JournalError;
use super::frame::{FrameHeader, HEADER_BYTES, PAGE_BYTES, SLOT_BYTES, Salt, SegmentHeader};
use super::options::{Options, SEGMENT_BYTES_MAX, checked};
use super::payload::Payload;
use super::segment::{Active, Closed, Spares, copy_bytes, copy_name, number_of, segment_name, segment_number};
use super::writer::Journal;
use crate::files::Files;

/// The highest number of a segment or of its first frame. No journal lives to see it; above it, counting on could overflow.
const NUMBER_MAX: u64 = 1 << 62;

/// What [`Journal::open`] found.
pub enum Recovered<J> {
    /// Everything that was ever acknowledged and still matters.
    Whole {
        /// Ready for the next entry.
        journal: Journal<J>,
        /// All entries in the order in which they were appended. Later ones override earlier ones.
        entries: Vec<J>,
    },
    /// Votes may be missing, so that the replica must not vote in this epoch (PROTOCOL 6.4). Nothing on disk was changed.
    Amnesiac {
        /// What is missing or damaged.
        reason: String,
    },
}

/// Why reading ends early.
enum Stop {
    Amnesiac(String),
    Error(JournalError),
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Error(error)
    }
}

/// What one segment holds.
struct Scan<J> {
    header: SegmentHeader,
    entries: Vec<J>,
    /// Frames found, those included that are damaged and no longer matter.
    count: u64,
    /// The page behind the last frame.
    page: u32,
    pages: u32,
    highest: u64,
    has_copy: bool,
    unnoted: Vec<Unnoted>,
}

/// A whole frame that its copy does not have.
struct Unnoted {
    slot: u64,
    header: FrameHeader,
    /// The frame's pages.
    bytes: Vec<u8>,
}

impl<J: Payload> Journal<J> {
    /// Reads the journal and makes it ready for the next entry. `low` is the height up to which the chain store holds
    /// every block with its certificate (0 when none): damage to what only concerns heights up to there does no harm.
    ///
    /// # Errors
    /// When the disk fails, or the journal is of another version or of another key. Damage is no error, but [`Recovered::Amnesiac`].
    pub fn open(
        files: Arc<dyn Files>,
        identity: Digest,
        low: u64,
        options: Options,
    ) -> Result<Recovered<J>, JournalError> {
        open(files, identity, low, checked(options)?)
    }
}

fn open<J: Payload>(
    files: Arc<dyn Files>,
    identity: Digest,
    low: u64,
    options: Options,
) -> Result<Recovered<J>, JournalError> {
    let names = files.list().or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(Vec::new()),
        _ => Err(JournalError::io("list", &error)),
    })?;
    let scans = match scan_all(files.as_ref(), &names, identity, low) {
        Ok(scans) => scans,
        Err(Stop::Amnesiac(reason)) => return Ok(Recovered::Amnesiac { reason }),
        Err(Stop::Error(error)) => return Err(error),
    };
    for scan in &scans {
        mend(files.as_ref(), scan)?;
    }
    let spares = tidy(files.as_ref(), &names, &scans, options)?;
    resume(files, identity, options, spares, scans)
}

/// Reads all segments that are still needed, oldest first.
fn scan_all<J: Payload>(files: &dyn Files, names: &[String], identity: Digest, low: u64) -> Result<Vec<Scan<J>>, Stop> {
    let present: BTreeSet<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    let Some(last) = names.iter().filter_map(|name| number_of(name)).max() else {
        return Err(Stop::Amnesiac("there is no vote journal".into()));
    };
    if !present.contains(&last) {
        return Err(Stop::Amnesiac(format!("{} is missing", segment_name(last))));
    }
    let newest = read_segment(files, last)?;
    let oldest = head_page(&newest, last, identity)?.oldest;
    let mut scans: Vec<Scan<J>> = Vec::new();
    for number in oldest..=last {
        if !present.contains(&number) {
            return Err(Stop::Amnesiac(format!("{} is missing", segment_name(number))));
        }
        let bytes = if number == last { newest.clone() } else { read_segment(files, number)? };
        let header = head_page(&bytes, number, identity)?;
        let copy = read_copy(files, number)?;
        if scans.last().is_some_and(|before| header.first_frame != before.header.first_frame + before.count) {
            return Err(Stop::Amnesiac(format!("frames are missing at the end of {}", segment_name(number - 1))));
        }
        scans.push(scan(header, &bytes, copy.as_deref(), low)?);
    }
    Ok(scans)
}

fn read_segment(files: &dyn Files, number: u64) -> Result<Vec<u8>, JournalError> {
    let name = segment_name(number);
    files.read(&name, SEGMENT_BYTES_MAX).map_err(|error| JournalError::io(format!("read of {name}"), &error))
}

fn read_copy(files: &dyn Files, number: u64) -> Result<Option<Vec<u8>>, JournalError> {
    let name = copy_name(number);
    match files.read(&name, copy_bytes(SEGMENT_BYTES_MAX)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io(format!("read of {name}"), &error)),
    }
}

fn head_page(bytes: &[u8], number: u64, identity: Digest) -> Result<SegmentHeader, Stop> {
    let damaged = || Stop::Amnesiac(format!("the head page of {} is damaged", segment_name(number)));
    let header = SegmentHeader::from_page(bytes)?.ok_or_else(damaged)?;
    if header.identity != identity {
        return Err(JournalError::Foreign { found: header.identity }.into());
    }
    let is_beyond = number.max(header.first_frame) > NUMBER_MAX;
    if header.number != number || header.oldest == 0 || header.oldest > number || is_beyond {
        return Err(damaged());
    }
    Ok(header)
}

/// Walks through the frames of one segment, judging each by segment and copy together.
fn scan<J: Payload>(header: SegmentHeader, bytes: &[u8], copy: Option<&[u8]>, low: u64) -> Result<Scan<J>, Stop> {
    let pages = u32::try_from(bytes.len() / PAGE_BYTES).unwrap_or(u32::MAX);
    let mut scan = Scan {
        header,
        entries: Vec::new(),
        count: 0,
        page: 1,
        pages,
        highest: 0,
        has_copy: copy.is_some(),
        unnoted: Vec::new(),
    };
    let copy = copy.unwrap_or_default();
    loop {
        let number = scan.header.first_frame + scan.count;
        let found = frame_at(bytes, &scan.header.salt, scan.page).filter(|(found, _)| found.number == number);
        let noted = slot_at(copy, &scan.header.salt, scan.count)
            .filter(|noted| noted.number == number && noted.page == scan.page);
        let passed = match (found, noted) {
            (Some((found, _)), Some(noted)) if found != noted => {
                return Err(amnesiac(&scan, "and its copy contradict"));
            }
            (Some((found, payload)), noted) => {
                decode(&found, payload, &mut scan.entries)?;
                if noted.is_none() {
                    let bytes = frame_pages(&found, &scan.header.salt, payload);
                    scan.unnoted.push(Unnoted { slot: scan.count, header: found.clone(), bytes });
                }
                found
            }
            // What only concerns certified heights in the chain store is not needed.
            (None, Some(noted)) if noted.is_settled(low) => noted,
            (None, Some(_)) => return Err(amnesiac(&scan, "is damaged, and its copy says that it was acknowledged")),
            (None, None) => break,
        };
        scan.count += 1;
        scan.page = scan.page.saturating_add(passed.pages());
        scan.highest = scan.highest.max(passed.highest);
    }
    if is_followed(&scan, bytes, copy) {
        return Err(amnesiac(&scan, "is damaged, and valid ones follow"));
    }
    if scan.count < u64::from(scan.header.carried) {
        return Err(amnesiac(&scan, "was carried over and is damaged"));
    }
    Ok(scan)
}

fn amnesiac<J>(scan: &Scan<J>, what: &str) -> Stop {
    let (frame, name) = (scan.header.first_frame + scan.count, segment_name(scan.header.number));
    Stop::Amnesiac(format!("frame {frame} in page {} of {name} {what}", scan.page))
}

/// The frame that begins in a page, when header and entries are whole.
fn frame_at<'a>(bytes: &'a [u8], salt: &Salt, page: u32) -> Option<(FrameHeader, &'a [u8])> {
    let start = page as usize * PAGE_BYTES;
    let header = FrameHeader::from_bytes(salt, bytes.get(start..)?)?;
    let first = start + HEADER_BYTES;
    let payload = bytes.get(first..first.checked_add(header.length as usize)?)?;
    (header.page == page && sha256(payload) == header.payload).then_some((header, payload))
}

fn slot_at(copy: &[u8], salt: &Salt, slot: u64) -> Option<FrameHeader> {
    let start = usize::try_from(slot.checked_mul(SLOT_BYTES as u64)?).ok()?;
    FrameHeader::from_bytes(salt, copy.get(start..)?)
}

/// Whether there is a sign, behind the last frame of the walk, of a later one. A frame is begun only after the one before it was acknowledged.
fn is_followed<J>(scan: &Scan<J>, bytes: &[u8], copy: &[u8]) -> bool {
    let (salt, expected) = (&scan.header.salt, scan.header.first_frame + scan.count);
    let slots = (copy.len() / SLOT_BYTES) as u64;
    let is_later = |header: Option<FrameHeader>| header.is_some_and(|header| header.number > expected);
    (scan.count..slots).any(|slot| is_later(slot_at(copy, salt, slot)))
        || (scan.page..scan.pages).any(|page| {
            let start = page as usize * PAGE_BYTES;
            is_later(bytes.get(start..).and_then(|rest| FrameHeader::from_bytes(salt, rest)))
        })
}

fn decode<J: Payload>(header: &FrameHeader, payload: &[u8], entries: &mut Vec<J>) -> Result<(), JournalError> {
    let undecodable = |reason: String| JournalError::Undecodable { frame: header.number, reason };
    let mut rest = payload;
    for _ in 0..header.count {
        entries.push(J::deserialize(&mut rest).map_err(|error| undecodable(error.to_string()))?);
    }
    if !rest.is_empty() {
        return Err(undecodable(format!("{} bytes are left over", rest.len())));
    }
    Ok(())
}

fn frame_pages(header: &FrameHeader, salt: &Salt, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header.to_bytes(salt).to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(header.pages() as usize * PAGE_BYTES, 0);
    bytes
}

/// Makes durable, twice, what was found whole once. The segment is written again as well: after a failed sync the system may show
/// bytes that never reached the disk.
fn mend<J>(files: &dyn Files, scan: &Scan<J>) -> Result<(), JournalError> {
    let (segment_name, copy_name) = (segment_name(scan.header.number), copy_name(scan.header.number));
    let failed = |error| JournalError::io(format!("mending of {segment_name}"), &error);
    if !scan.has_copy {
        files.create(&copy_name, copy_bytes(u64::from(scan.pages) * PAGE_BYTES as u64)).map_err(failed)?;
        files.sync().map_err(failed)?;
    }
    if scan.unnoted.is_empty() {
        return Ok(());
    }
    let mut segment = files.open(&segment_name).map_err(failed)?;
    for frame in &scan.unnoted {
        let offset = u64::from(frame.header.page) * PAGE_BYTES as u64;
        segment.write_at(offset, &frame.bytes).map_err(failed)?;
    }
    segment.sync().map_err(failed)?;
    let mut copy = files.open(&copy_name).map_err(failed)?;
    for frame in &scan.unnoted {
        let header = frame.header.to_bytes(&scan.header.salt);
        copy.write_at(frame.slot * SLOT_BYTES as u64, &header).map_err(failed)?;
    }
    copy.sync().map_err(failed)
}

/// Finishes what an interrupted trim or rotation left over.
fn tidy<J>(files: &dyn Files, names: &[String], scans: &[Scan<J>], options: Options) -> Result<Spares, JournalError> {
    let oldest = scans.first().map_or(0, |scan| scan.header.number);
    for name in names {
        if number_of(name).is_some_and(|number| number < oldest) {
            files.remove(name).map_err(|error| JournalError::io(format!("removal of {name}"), &error))?;
        }
    }
    let spares = Spares::find(names, options.spares_max);
    spares.tidy(files, names)?;
    files.sync().map_err(|error| JournalError::io("sync of the directory", &error))?;
    Ok(spares)
}

/// The journal, ready to go on behind the last frame.
fn resume<J: Payload>(
    files: Arc<dyn Files>,
    identity: Digest,
    options: Options,
    spares: Spares,
    mut scans: Vec<Scan<J>>,
) -> Result<Recovered<J>, JournalError> {
    let Some(last) = scans.pop() else {
        return Ok(Recovered::Amnesiac { reason: "there is no vote journal".into() });
    };
    let close = |scan: &Scan<J>| Closed {
        number: scan.header.number,
        highest: scan.highest,
        pages: scan.pages,
        // What was carried counts as well: a restart trims a little earlier.
        fresh: scan.page - 1,
    };
    let closed: VecDeque<Closed> = scans.iter().map(close).collect();
    let open = |name: String| files.open(&name).map_err(|error| JournalError::io(format!("open of {name}"), &error));
    let active = Box::new(Active {
        number: last.header.number,
        salt: last.header.salt,
        first_frame: last.header.first_frame,
        count: last.count,
        page: last.page,
        pages: last.pages,
        fresh_from: 1,
        highest: last.highest,
        segment: open(segment_name(last.header.number))?,
        copy: open(copy_name(last.header.number))?,
    });
    let entries = scans.into_iter().flat_map(|scan| scan.entries).chain(last.entries).collect();
    let journal = Journal { files, options, identity, closed, active, spares, stopped: None, payload: PhantomData };
    Ok(Recovered::Whole { journal, entries })
}
