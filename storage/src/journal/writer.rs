//! Writing: the birth of a journal, appending to it, and giving up what is not needed any more.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;

use quorate_crypto::hash::Digest;

use super::error::JournalError;
use super::frame::{self, PAGE_BYTES};
use super::options::{Options, checked};
use super::packing::{Frame, frames};
use super::payload::Payload;
use super::segment::{self, Active, Closed, Spares};
use crate::files::Files;

/// The open journal of one consensus key.
pub struct Journal<J> {
    pub(super) files: Arc<dyn Files>,
    pub(super) options: Options,
    pub(super) identity: Digest,
    /// Full segments, oldest first.
    pub(super) closed: VecDeque<Closed>,
    pub(super) active: Box<Active>,
    pub(super) spares: Spares,
    pub(super) stopped: Option<String>,
    pub(super) payload: PhantomData<fn(J)>,
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
        let birth = segment::Birth { identity, number: 1, first_frame: 1, oldest: 1, room: 0 };
        segment::begin(files.as_ref(), &mut spares, birth, carried, options).map(drop)
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
    /// When what could be given up is less than half a segment, nothing is written, `carry` included: so a carry of any size is
    /// written once per so many votes, not at each trim.
    ///
    /// # Errors
    /// As for [`Journal::append`].
    pub fn trim(&mut self, low: u64, carry: &[J]) -> Result<(), JournalError> {
        self.check_running()?;
        let settled = self.closed.iter().take_while(|segment| segment.highest <= low).count();
        let pages: u32 = self.closed.iter().take(settled).map(|segment| segment.fresh).sum();
        if settled == 0 || pages < self.usual_pages() / 2 {
            return Ok(());
        }
        let carried = frames(carry, self.options)?;
        let oldest = self.closed.get(settled).map_or(self.active.number, |segment| segment.number);
        let trimmed = self.begin(oldest, carried, 0).and_then(|()| self.give_up(settled));
        self.stop_on_failure(trimmed)
    }

    /// Bytes on disk of all segments in use, spares and copies not counted.
    pub fn bytes(&self) -> u64 {
        let pages = |segment: &Closed| u64::from(segment.pages);
        (self.closed.iter().map(pages).sum::<u64>() + u64::from(self.active.pages)) * PAGE_BYTES as u64
    }

    fn write(&mut self, frame: &Frame) -> Result<(), JournalError> {
        if !self.active.has_room(frame) {
            let oldest = self.closed.front().map_or(self.active.number, |segment| segment.number);
            self.begin(oldest, Vec::new(), frame::pages(frame.length()))?;
        }
        self.active.write(frame)
    }

    /// Closes the active segment and begins the next.
    fn begin(&mut self, oldest: u64, carried: Vec<Frame>, room: u32) -> Result<(), JournalError> {
        let birth = segment::Birth {
            identity: self.identity,
            number: self.active.number + 1,
            first_frame: self.active.next_frame(),
            oldest,
            room,
        };
        let next = segment::begin(self.files.as_ref(), &mut self.spares, birth, carried, self.options)?;
        let full = std::mem::replace(&mut *self.active, next);
        let Active { number, highest, pages, page, fresh_from, .. } = full;
        self.closed.push_back(Closed { number, highest, pages, fresh: page - fresh_from });
        Ok(())
    }

    fn give_up(&mut self, count: usize) -> Result<(), JournalError> {
        let usual = self.usual_pages();
        for segment in self.closed.drain(..count) {
            self.spares.give_up(self.files.as_ref(), segment.number, segment.pages == usual)?;
        }
        self.files.sync().map_err(|error| JournalError::io("sync of the directory", &error))
    }

    fn usual_pages(&self) -> u32 {
        self.options.segment_bytes / PAGE_BYTES as u32
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
