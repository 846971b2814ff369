//! The writer of the vote journal: what has gathered is synced together, and only then anything leaves.
//!
//! One append for all that waits (group commit) keeps the number of syncs independent of the number of votes. When the disk
//! fails, nothing is released any more: the node has stopped signing, whatever its replica still asks for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use quorate_protocol::id::Height;
use quorate_protocol::pbft::Ticket;
use quorate_protocol::replica::{Input, JournalEntry, PeerMessage};
use quorate_storage::journal::{Journal, JournalError};

use crate::halt::Halt;
use crate::inbox::Inbox;
use crate::send::Outbound;
use crate::threads::spawn;

/// Jobs that may wait for the disk. A replica asks for a few per open sequence number; when it runs into this bound the
/// pump waits, since without the disk there is nothing for it to do.
const JOBS_MAX: usize = 1_024;
/// Entries that one append takes.
const GROUP_MAX: usize = 512;

/// One request to the journal.
#[derive(Debug)]
pub enum PersistJob {
    /// Sync the entry, send what it releases, answer.
    Entry {
        /// What must survive.
        entry: Box<JournalEntry>,
        /// What leaves once it does.
        release: Vec<Arc<PeerMessage>>,
        /// Comes back in the answer.
        ticket: Ticket,
    },
    /// Give up what the chain store covers.
    Trim {
        /// The low watermark.
        low: Height,
        /// What outlives it.
        carry: Vec<JournalEntry>,
    },
}

/// What happens once an entry is durable.
struct Waiting {
    release: Vec<Arc<PeerMessage>>,
    ticket: Ticket,
}

/// The journal's thread.
pub struct Persist {
    /// None once an append has failed, and for a node that does not vote.
    journal: Option<Journal<JournalEntry>>,
    outbound: Outbound,
    inbox: Arc<Inbox>,
    halt: Arc<Halt>,
}

impl Persist {
    /// Starts the thread; it ends when the sender is dropped, after all that was sent to it. Without a journal (a node that
    /// does not vote) entries are neither kept nor acknowledged.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        journal: Option<Journal<JournalEntry>>,
        outbound: Outbound,
        inbox: Arc<Inbox>,
        halt: &Arc<Halt>,
    ) -> std::io::Result<(SyncSender<PersistJob>, JoinHandle<()>)> {
        let (sender, jobs) = sync_channel(JOBS_MAX);
        let mut persist = Persist { journal, outbound, inbox, halt: Arc::clone(halt) };
        let thread = spawn("persist", halt, move || persist.run(&jobs))?;
        Ok((sender, thread))
    }

    fn run(&mut self, jobs: &Receiver<PersistJob>) {
        let mut entries = Vec::new();
        let mut waiting = Vec::new();
        while let Ok(first) = jobs.recv() {
            for job in std::iter::once(first).chain(jobs.try_iter().take(GROUP_MAX - 1)) {
                match job {
                    PersistJob::Entry { entry, release, ticket } => {
                        entries.push(*entry);
                        waiting.push(Waiting { release, ticket });
                    }
                    PersistJob::Trim { low, carry } => {
                        self.append(&mut entries, &mut waiting);
                        self.trim(low, &carry);
                    }
                }
            }
            self.append(&mut entries, &mut waiting);
        }
    }

    /// Syncs all entries together, then sends what they release, in their order.
    fn append(&mut self, entries: &mut Vec<JournalEntry>, waiting: &mut Vec<Waiting>) {
        if entries.is_empty() {
            return;
        }
        let start = Instant::now();
        let synced = self.with_journal(|journal| journal.append(entries));
        self.outbound.counters().metrics.journal_sync.observe(start.elapsed().as_secs_f64());
        entries.clear();
        if !synced {
            waiting.clear();
            return;
        }
        for message in waiting.iter().flat_map(|waiting| &waiting.release) {
            self.outbound.broadcast(message);
        }
        self.inbox.answer_all(waiting.drain(..).map(|waiting| Input::Durable(waiting.ticket)));
    }

    fn trim(&mut self, low: Height, carry: &[JournalEntry]) {
        self.with_journal(|journal| journal.trim(low.0, carry));
    }

    /// Says whether the journal did it. After one failure nobody knows what the disk holds: it is not asked again.
    fn with_journal(&mut self, write: impl FnOnce(&mut Journal<JournalEntry>) -> Result<(), JournalError>) -> bool {
        let Some(journal) = &mut self.journal else {
            return false;
        };
        match write(journal) {
            Ok(()) => true,
            Err(error) => {
                self.halt.set(&error.to_string());
                self.journal = None;
                false
            }
        }
    }
}
