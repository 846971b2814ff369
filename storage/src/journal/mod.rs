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
//! A segment is larger than usual when one record, or what is carried over, takes more: a NEW-VIEW with its VIEW-CHANGEs can have
//! megabytes. What is carried is written again only when half a segment of votes can be given up for it.
//!
//! Nothing here makes a journal but [`Journal::create`], which belongs to the birth of a key (PROTOCOL 6.4).

mod error;
mod frame;
mod options;
mod packing;
mod payload;
mod recover;
mod segment;
mod writer;

pub use self::error::JournalError;
pub use self::frame::{PAGE_BYTES, VERSION};
pub use self::options::Options;
pub use self::payload::Payload;
pub use self::recover::Recovered;
pub use self::writer::Journal;
