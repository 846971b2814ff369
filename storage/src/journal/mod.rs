//! The vote journal (PROTOCOL 7): what a replica must have on disk before a vote leaves it.
//!
//! A directory of *segments*, each with a *copy*. A segment is a file of fixed size: a head page, then *frames*, one for each
//! group append, each beginning on a page of its own. The copy holds the header of each frame once more, with the digest of its
//! entries. An append writes the frame and syncs the segment, then writes the header to the copy and syncs that, and only then
//! returns. So, after a crash:
//!
//! - a frame that is whole is used, and if its copy is not, that is mended;
//! - a frame that is neither whole nor in the copy, with nothing after it, was never acknowledged, and is cut;
//! - everything else is damage to acknowledged votes: the replica is *amnesiac* ([`Recovered::Amnesiac`]), it follows and does
//!   not vote. Excepted are frames that concern only what the chain store holds with a certificate.
//!
//! "Nothing after it" can be trusted because the next frame is only written when the one before has been synced twice. The check of each
//! frame covers random bytes of its segment, so that neither an earlier life of the file nor a client's bytes can pass for one.
//!
//! Files keep their size and their blocks: what is trimmed becomes a spare, and the next segment takes it. Overwriting such a file and
//! syncing takes a tenth of the time of appending to a growing one, since the file system has nothing of its own to write.
//!
//! Nothing here makes a journal but [`Journal::create`], which belongs to the birth of a key (PROTOCOL 6.4).

mod frame;
mod recover;
mod segment;

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::hash::{Digest, sha256};
use quorate_protocol::id::Sequence;
use quorate_protocol::replica::JournalEntry;

use self::frame::{FrameHeader, HEADER_BYTES};
pub use self::frame::{PAGE_BYTES, VERSION};
use self::segment::{Active, Closed, Spares};
use crate::files::Files;

/// What a journal holds.
pub trait Payload: BorshSerialize + BorshDeserialize {
    /// The sequence number that the entry concerns; `None` for what outlives every sequence number (epoch, view, floor).
    fn sequence(&self) -> Option<u64>;
}

impl Payload for JournalEntry {
    fn sequence(&self) -> Option<u64> {
        JournalEntry::sequence(self).map(Sequence::get)
    }
}

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

/// Why the journal could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk reported a failure.
    #[error("vote journal: {what}: {reason}; nothing more is signed until the node is restarted on a disk that works")]
    Io {
        /// The operation and the file.
        what: String,
        /// The system's word.
        reason: String,
    },
    /// The disk is full.
    #[error(
        "vote journal: {what}: the disk is full; nothing more is signed until the node is restarted with free space"
    )]
    Full {
        /// The operation and the file.
        what: String,
    },
    /// An earlier operation failed, and what is on the disk is not known until it is read again.
    #[error("vote journal: stopped after an earlier failure ({reason}); restart the node")]
    Stopped {
        /// The earlier failure.
        reason: String,
    },
    /// An entry is larger than a frame may be, or what is carried is larger than a segment. Nothing was written.
    #[error("vote journal: {bytes} bytes do not fit in {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The journal is of another version of this program.
    #[error(
        "vote journal: its format is version {found}, this program knows version {known}; run the program that wrote it, \
         never delete it"
    )]
    Version {
        /// The version on disk.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The journal belongs to another key.
    #[error(
        "vote journal: it belongs to another key ({found}); put the journal and the consensus key of one node together"
    )]
    Foreign {
        /// The identity on disk.
        found: Digest,
    },
    /// An entry is whole and yet not what this program writes.
    #[error(
        "vote journal: entry of frame {frame} cannot be read: {reason}; run the version of the program that wrote it"
    )]
    Undecodable {
        /// The number of the frame.
        frame: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// [`Journal::create`] where there is a journal already.
    #[error("vote journal: there is one already ({name}); a journal is made once, with its key")]
    Exists {
        /// A file of the existing journal.
        name: String,
    },
    /// The sizes asked for cannot work.
    #[error("vote journal: {0}")]
    Options(&'static str),
}

impl JournalError {
    fn io(what: impl Into<String>, error: &io::Error) -> Self {
        let what = what.into();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { what },
            _ => Self::Io { what, reason: error.to_string() },
        }
    }
}

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

/// The open journal of one consensus key.
pub struct Journal<J> {
    files: Arc<dyn Files>,
    options: Options,
    identity: Digest,
    /// Full segments, oldest first.
    closed: VecDeque<Closed>,
    active: Box<Active>,
    spares: Spares,
    stopped: Option<String>,
    payload: PhantomData<fn(J)>,
}

impl<J: Payload> Journal<J> {
    /// Makes the journal of a key that is being born, with its first entries. `identity` names key and chain.
    ///
    /// # Errors
    /// [`JournalError::Exists`] when the directory has one; otherwise when the disk fails.
    pub fn create(
        files: Arc<dyn Files>,
        identity: Digest,
        entries: &[J],
        options: Options,
    ) -> Result<(), JournalError> {
        let options = checked(options)?;
        let names = files.list().map_err(|error| JournalError::io("list", &error))?;
        if let Some(name) = names.iter().find(|name| segment::number_of(name).is_some()) {
            return Err(JournalError::Exists { name: name.clone() });
        }
        let mut spares = Spares::find(&names, options.spares_max);
        let carried = frames(entries, options)?;
        let birth = segment::Birth { identity, number: 1, first_frame: 1, oldest: 1 };
        segment::begin(files.as_ref(), &mut spares, birth, carried, options).map(drop)
    }

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
        recover::open(files, identity, low, checked(options)?)
    }

    /// Writes entries and returns when they are durable twice over. A group costs two syncs, however many entries it has;
    /// a group larger than `record_bytes_max` is written as several, in order.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`] when one entry is (nothing was written); otherwise the disk failed, and the journal is stopped for good:
    /// the entries may or may not be found after a restart, so that nothing that depends on them may be sent.
    pub fn append(&mut self, entries: &[J]) -> Result<(), JournalError> {
        self.check_running()?;
        for frame in frames(entries, self.options)? {
            let written = self.write(&frame);
            self.stop_on_failure(written)?;
        }
        Ok(())
    }

    /// Gives up what only concerns sequence numbers up to `low`, which the chain store must hold durably with a certificate.
    /// `carry` is everything without a sequence number that must outlive it; it is durable in a new segment before an old one goes.
    /// When there is no whole segment to give up, nothing is written, `carry` included.
    ///
    /// # Errors
    /// As for [`Journal::append`].
    pub fn trim(&mut self, low: u64, carry: &[J]) -> Result<(), JournalError> {
        self.check_running()?;
        let settled = self.closed.iter().take_while(|segment| segment.highest <= low).count();
        if settled == 0 {
            return Ok(());
        }
        let carried = frames(carry, self.options)?;
        let oldest = self.closed.get(settled).map_or(self.active.number, |segment| segment.number);
        let trimmed = self.begin(oldest, carried).and_then(|()| self.give_up(settled));
        self.stop_on_failure(trimmed)
    }

    /// Bytes on disk of all segments in use, spares and copies not counted.
    pub fn bytes(&self) -> u64 {
        (self.closed.len() as u64 + 1) * u64::from(self.options.segment_bytes)
    }

    fn write(&mut self, frame: &Frame) -> Result<(), JournalError> {
        if !self.active.has_room(frame) {
            let oldest = self.closed.front().map_or(self.active.number, |segment| segment.number);
            self.begin(oldest, Vec::new())?;
        }
        self.active.write(frame)
    }

    /// Closes the active segment and begins the next.
    fn begin(&mut self, oldest: u64, carried: Vec<Frame>) -> Result<(), JournalError> {
        let birth = segment::Birth {
            identity: self.identity,
            number: self.active.number + 1,
            first_frame: self.active.next_frame(),
            oldest,
        };
        let next = segment::begin(self.files.as_ref(), &mut self.spares, birth, carried, self.options)?;
        let full = std::mem::replace(&mut *self.active, next);
        self.closed.push_back(Closed { number: full.number, highest: full.highest });
        Ok(())
    }

    fn give_up(&mut self, count: usize) -> Result<(), JournalError> {
        for segment in self.closed.drain(..count) {
            self.spares.give_up(self.files.as_ref(), segment.number)?;
        }
        self.files.sync().map_err(|error| JournalError::io("sync of the directory", &error))
    }

    fn check_running(&self) -> Result<(), JournalError> {
        match &self.stopped {
            Some(reason) => Err(JournalError::Stopped { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// After a failed write or sync nobody knows what the disk has; only reading it again can tell.
    fn stop_on_failure(&mut self, result: Result<(), JournalError>) -> Result<(), JournalError> {
        if let Err(error) = &result {
            self.stopped = Some(error.to_string());
        }
        result
    }
}

/// Entries that are written, synced and found together.
struct Frame {
    /// Room for the header, then the entries' bytes.
    bytes: Vec<u8>,
    count: u32,
    unbound: u32,
    highest: u64,
}

impl Frame {
    fn empty() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0, unbound: 0, highest: 0 }
    }

    fn length(&self) -> usize {
        self.bytes.len() - HEADER_BYTES
    }

    fn header(&self, number: u64, page: u32) -> FrameHeader {
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
fn frames<J: Payload>(entries: &[J], options: Options) -> Result<Vec<Frame>, JournalError> {
    let max = options.record_bytes_max as usize;
    let mut packed = Vec::new();
    let mut frame = Frame::empty();
    for entry in entries {
        let bytes = quorate_crypto::encode::encode(entry);
        if bytes.len() > max {
            return Err(JournalError::TooLarge { bytes: bytes.len(), max });
        }
        if frame.length() + bytes.len() > max {
            packed.push(std::mem::replace(&mut frame, Frame::empty()));
        }
        frame.bytes.extend_from_slice(&bytes);
        frame.count += 1;
        match entry.sequence() {
            Some(sequence) => frame.highest = frame.highest.max(sequence),
            None => frame.unbound += 1,
        }
    }
    if frame.count > 0 {
        packed.push(frame);
    }
    Ok(packed)
}

fn checked(mut options: Options) -> Result<Options, JournalError> {
    options.segment_bytes -= options.segment_bytes % PAGE_BYTES as u32;
    if options.segment_bytes < 4 * PAGE_BYTES as u32 {
        return Err(JournalError::Options("a segment needs at least four pages"));
    }
    if HEADER_BYTES + options.record_bytes_max as usize + PAGE_BYTES > options.segment_bytes as usize {
        return Err(JournalError::Options("a segment must have room for the largest record"));
    }
    Ok(options)
}
