//! A vote journal that is written twice, and what a start makes of what it finds (PROTOCOL 7.3).
//!
//! Bytes are the affair of the storage crate and of its tests. Here each record is good or bad in either place, and the
//! same rules decide.

use crate::id::Height;
use crate::replica::JournalEntry;

/// In which of its two places a record is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The journal itself.
    Journal,
    /// The second file, with header and digest of each record.
    Copy,
    /// Both.
    Both,
}

/// One record as it lies on the disk.
#[derive(Clone, Debug)]
struct Kept {
    entry: JournalEntry,
    is_good: bool,
    is_copy_good: bool,
}

/// What a start finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Everything that was acknowledged and still matters. How many records were cut from the end, as never written.
    Whole { entries: Vec<JournalEntry>, cut: usize },
    /// Votes may be missing: the node must not vote in this epoch.
    Amnesiac { reason: String },
}

/// The journal of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    /// `None` where there is no journal at all.
    records: Option<Vec<Kept>>,
}

impl Journal {
    /// The empty journal that is born with its key.
    pub fn born() -> Journal {
        Journal { records: Some(Vec::new()) }
    }

    /// It is gone, and none is ever made again for the same key.
    pub fn lose(&mut self) {
        self.records = None;
    }

    pub fn entries(&self) -> impl Iterator<Item = &JournalEntry> {
        self.records.iter().flatten().map(|kept| &kept.entry)
    }

    pub fn append(&mut self, entry: JournalEntry) {
        if let Some(records) = &mut self.records {
            records.push(Kept { entry, is_good: true, is_copy_good: true });
        }
    }

    /// What is at or below `low` goes, and so does what stands in `carry` again: that begins a new segment, behind the votes
    /// that stay.
    pub fn trim(&mut self, low: Height, carry: Vec<JournalEntry>) {
        let Some(records) = &mut self.records else { return };
        let stays = |kept: &Kept| Height::from(kept.entry.kept_until()) > low;
        let kept: Vec<Kept> = records.drain(..).filter(stays).collect();
        let carried = carry.into_iter().map(|entry| Kept { entry, is_good: true, is_copy_good: true });
        *records = kept.into_iter().chain(carried).collect();
    }

    /// Whether its end looks like a tear, which a start cuts off as never acknowledged.
    pub fn looks_torn(&self) -> bool {
        self.records.iter().flatten().last().is_some_and(|last| !last.is_good && !last.is_copy_good)
    }

    /// Damages the record that stands so many before the last one; the oldest one where there are fewer.
    pub fn damage(&mut self, before_last: usize, place: Place) {
        let Some(records) = &mut self.records else { return };
        let index = records.len().saturating_sub(before_last + 1);
        let Some(kept) = records.get_mut(index) else { return };
        kept.is_good &= place == Place::Copy;
        kept.is_copy_good &= place == Place::Journal;
    }

    /// Reads the journal at a start. `low`: up to there the chain store holds every block with its certificate.
    pub fn open(&mut self, low: Height) -> Found {
        let Some(records) = &mut self.records else {
            return Found::Amnesiac { reason: "there is no vote journal".to_owned() };
        };
        let whole = records.iter().take_while(|kept| kept.is_good || kept.is_copy_good).count();
        if records[whole..].iter().any(|kept| kept.is_good || kept.is_copy_good) {
            return Found::Amnesiac { reason: format!("record {whole} is damaged, and valid ones follow") };
        }
        let is_settled = |kept: &Kept| kept.entry.sequence().is_some_and(|sequence| Height::from(sequence) <= low);
        let unread = records[..whole].iter().position(|kept| !kept.is_good && !is_settled(kept));
        if let Some(index) = unread {
            let reason = format!("record {index} is damaged, and its copy says that it was acknowledged");
            return Found::Amnesiac { reason };
        }
        let cut = records.split_off(whole).len();
        records.retain(|kept| kept.is_good);
        records.iter_mut().for_each(|kept| kept.is_copy_good = true);
        Found::Whole { entries: records.iter().map(|kept| kept.entry.clone()).collect(), cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pbft::Record;

    fn journal(floors: u64) -> Journal {
        let mut journal = Journal::born();
        (1..=floors).for_each(|floor| journal.append(entry(floor)));
        journal
    }

    fn entry(floor: u64) -> JournalEntry {
        JournalEntry { record: Record::Floor(Height(floor)), bodies: Vec::new() }
    }

    fn open(mut journal: Journal) -> Result<Vec<JournalEntry>, String> {
        match journal.open(Height(0)) {
            Found::Whole { entries, .. } => Ok(entries),
            Found::Amnesiac { reason } => Err(reason),
        }
    }

    #[test]
    fn a_damaged_copy_is_mended_from_the_journal() {
        let mut journal = journal(3);
        journal.damage(1, Place::Copy);
        assert_eq!(open(journal.clone()), Ok(vec![entry(1), entry(2), entry(3)]));
        journal.open(Height(0));
        journal.damage(1, Place::Journal);
        assert!(open(journal).is_err(), "the copy is good again, and says what is missing");
    }

    #[test]
    fn a_record_that_the_copy_vouches_for_and_the_journal_lost_makes_an_amnesiac() {
        for before_last in 0..3 {
            let mut journal = journal(3);
            journal.damage(before_last, Place::Journal);
            assert!(open(journal).is_err());
        }
    }

    #[test]
    fn only_at_the_very_end_is_double_damage_a_torn_tail() {
        let mut torn = journal(3);
        torn.damage(0, Place::Both);
        assert!(torn.looks_torn());
        assert_eq!(open(torn), Ok(vec![entry(1), entry(2)]));
        let mut holed = journal(3);
        holed.damage(1, Place::Both);
        assert!(!holed.looks_torn());
        assert!(open(holed).is_err());
    }

    #[test]
    fn double_damage_may_come_one_after_the_other_and_from_afar() {
        let mut twice = journal(3);
        twice.damage(0, Place::Journal);
        assert!(!twice.looks_torn());
        twice.damage(0, Place::Copy);
        assert!(twice.looks_torn());
        let mut short = journal(1);
        short.damage(3, Place::Both);
        assert!(short.looks_torn());
    }

    #[test]
    fn no_journal_is_no_vote() {
        let mut journal = journal(1);
        journal.lose();
        journal.append(entry(2));
        assert!(open(journal).is_err());
    }
}
