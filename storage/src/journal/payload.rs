//! What a journal can hold.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_protocol::id::Sequence;
use quorate_protocol::replica::JournalEntry;

/// What a journal holds.
pub trait Payload: BorshSerialize + BorshDeserialize {
    /// The sequence number that the entry concerns; `None` for what outlives every sequence number (epoch, view, floor).
    fn sequence(&self) -> Option<u64>;

    /// The highest sequence number as long as which the entry is needed; 0 where that is none.
    fn kept_until(&self) -> u64 {
        self.sequence().unwrap_or_default()
    }
}

impl Payload for JournalEntry {
    fn sequence(&self) -> Option<u64> {
        JournalEntry::sequence(self).map(Sequence::get)
    }

    fn kept_until(&self) -> u64 {
        JournalEntry::kept_until(self).get()
    }
}
