//! What a journal can hold.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_protocol::id::Sequence;
use quorate_protocol::replica::JournalEntry;

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
