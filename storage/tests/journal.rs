//! The vote journal: whatever happens to its files, it gives back every acknowledged entry, or says that it cannot.

use std::collections::BTreeSet;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use proptest::prelude::*;
use quorate_crypto::hash::{Digest, sha256};
use quorate_storage::faulty::{Fault, FaultyFiles, Plan};
use quorate_storage::files::{Directory, Files};
use quorate_storage::journal::{Journal, JournalError, Options, PAGE_BYTES, Payload, Recovered};
use quorate_storage::volatile::VolatileFiles;

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Entry {
    sequence: Option<u64>,
    id: u64,
    body: Vec<u8>,
}

impl Payload for Entry {
    fn sequence(&self) -> Option<u64> {
        self.sequence
    }
}

/// Eight pages a segment, so that a few entries fill it.
const SMALL: Options =
    Options { segment_bytes: 8 * PAGE_BYTES as u32, record_bytes_max: 3 * PAGE_BYTES as u32, spares_max: 2 };

fn key() -> Digest {
    sha256(b"the key of the test")
}

fn vote(sequence: u64, id: u64, bytes: usize) -> Entry {
    Entry { sequence: Some(sequence), id, body: vec![id as u8; bytes] }
}

fn lasting(id: u64) -> Entry {
    Entry { sequence: None, id, body: Vec::new() }
}

fn created(files: &VolatileFiles) -> Journal<Entry> {
    Journal::create(Arc::new(files.clone()), key(), &[lasting(0)], SMALL).unwrap();
    whole(files, 0).0
}

fn open(files: &VolatileFiles, low: u64) -> Recovered<Entry> {
    Journal::open(Arc::new(files.clone()), key(), low, SMALL).unwrap()
}

fn whole(files: &VolatileFiles, low: u64) -> (Journal<Entry>, Vec<Entry>) {
    match open(files, low) {
        Recovered::Whole { journal, entries } => (journal, entries),
        Recovered::Amnesiac { reason } => panic!("amnesiac: {reason}"),
    }
}

fn amnesia(files: &VolatileFiles, low: u64) -> String {
    match open(files, low) {
        Recovered::Whole { entries, .. } => panic!("whole, with {} entries", entries.len()),
        Recovered::Amnesiac { reason } => reason,
    }
}

/// The only file whose name begins so.
fn the_file(files: &VolatileFiles, prefix: &str) -> String {
    let names: Vec<String> = files.list().unwrap().into_iter().filter(|name| name.starts_with(prefix)).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].clone()
}

fn flip(files: &VolatileFiles, name: &str, at: usize) {
    let mut bytes = files.read(name, u64::MAX).unwrap();
    bytes[at] ^= 0x40;
    files.put(name, bytes);
}

#[test]
fn entries_come_back_in_order_and_the_journal_goes_on() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    let mut expected = vec![lasting(0)];
    for round in 1..40 {
        let group: Vec<Entry> = (0..round % 4).map(|nth| vote(round, round * 10 + nth, 700)).collect();
        journal.append(&group).unwrap();
        expected.extend(group);
        if round % 7 == 0 {
            let (reopened, entries) = whole(&files, 0);
            assert_eq!(entries, expected);
            journal = reopened;
        }
    }
    assert_eq!(whole(&files, 0).1, expected);
}

#[test]
fn a_group_is_one_pair_of_syncs_and_a_large_one_is_split() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    let before = files.steps();
    journal.append(&(1..=20).map(|id| vote(id, id, 100)).collect::<Vec<_>>()).unwrap();
    assert_eq!(files.steps() - before, 4, "two writes and two syncs");
    let large: Vec<Entry> = (21..=40).map(|id| vote(id, id, PAGE_BYTES)).collect();
    journal.append(&large).unwrap();
    assert!(whole(&files, 0).1.ends_with(&large));
}

#[test]
fn an_entry_that_is_too_large_is_refused_and_harms_nothing() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    let refused = journal.append(&[vote(1, 1, 4 * PAGE_BYTES)]);
    assert!(matches!(refused, Err(JournalError::TooLarge { .. })), "{refused:?}");
    journal.append(&[vote(1, 2, 10)]).unwrap();
    assert_eq!(whole(&files, 0).1, [lasting(0), vote(1, 2, 10)]);
}

#[test]
fn a_missing_journal_is_amnesia_and_opening_never_makes_one() {
    let files = VolatileFiles::new();
    assert!(amnesia(&files, 0).contains("no vote journal"));
    assert!(files.list().unwrap().is_empty());
}

#[test]
fn a_journal_is_made_once() {
    let files = VolatileFiles::new();
    drop(created(&files));
    let again = Journal::create(Arc::new(files.clone()), key(), &[lasting(1)], SMALL);
    assert!(matches!(again, Err(JournalError::Exists { .. })), "{again:?}");
}

#[test]
fn the_journal_of_another_key_is_refused() {
    let files = VolatileFiles::new();
    drop(created(&files));
    let foreign = Journal::<Entry>::open(Arc::new(files.clone()), sha256(b"another"), 0, SMALL).err();
    assert!(matches!(foreign, Some(JournalError::Foreign { found }) if found == key()), "{foreign:?}");
}

#[test]
fn trimming_keeps_what_is_above_and_what_is_carried_and_bounds_the_files() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    for height in 1..=300 {
        journal.append(&[vote(height, height, 3000)]).unwrap();
        if height % 8 == 0 {
            journal.trim(height - 2, &[lasting(1000 + height)]).unwrap();
        }
    }
    assert!(files.list().unwrap().len() <= 12, "{:?}", files.list().unwrap());
    assert!(journal.bytes() <= 4 * u64::from(SMALL.segment_bytes), "{} bytes", journal.bytes());
    let (_, entries) = whole(&files, 294);
    assert!(entries.iter().any(|entry| entry.sequence.is_none() && entry.id >= 1280), "what is carried is there");
    assert!(entries.contains(&vote(300, 300, 3000)) && entries.contains(&vote(295, 295, 3000)));
    assert!(!entries.contains(&vote(100, 100, 3000)));
}

/// An entry without a sequence number that is needed as long as one.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Opening {
    until: u64,
    body: Vec<u8>,
}

impl Payload for Opening {
    fn sequence(&self) -> Option<u64> {
        None
    }

    fn kept_until(&self) -> u64 {
        self.until
    }
}

/// A NEW-VIEW whose proposals are above the watermark is all that its primary knows of them, where it crashed before it accepted
/// them.
#[test]
fn an_entry_is_kept_as_long_as_it_is_needed_though_it_concerns_no_sequence_number() {
    let files = VolatileFiles::new();
    let opening = |until: u64| Opening { until, body: vec![7; 3000] };
    Journal::create(Arc::new(files.clone()), key(), &[opening(50)], SMALL).unwrap();
    let open = |low: u64| match Journal::<Opening>::open(Arc::new(files.clone()), key(), low, SMALL).unwrap() {
        Recovered::Whole { journal, entries } => (journal, entries),
        Recovered::Amnesiac { reason } => panic!("amnesiac: {reason}"),
    };
    let mut journal = open(0).0;
    journal.append(&vec![opening(0); 40]).unwrap();
    journal.trim(49, &[]).unwrap();
    let (mut journal, entries) = open(49);
    assert!(entries.contains(&opening(50)));
    journal.trim(50, &[]).unwrap();
    assert!(!open(50).1.contains(&opening(50)));
}

/// What a view change leaves behind: megabytes that outlive every sequence number.
fn large(id: u64, bytes: usize) -> Entry {
    Entry { sequence: None, id, body: (0..bytes).map(|at| (at as u64 * id) as u8).collect() }
}

/// The program's own sizes, on a disk in memory.
fn default_sized() -> (VolatileFiles, Journal<Entry>) {
    let files = VolatileFiles::new();
    Journal::create(Arc::new(files.clone()), key(), &[lasting(0)], Options::default()).unwrap();
    let journal = default_whole(&files, 0).0;
    (files, journal)
}

fn default_whole(files: &VolatileFiles, low: u64) -> (Journal<Entry>, Vec<Entry>) {
    match Journal::open(Arc::new(files.clone()), key(), low, Options::default()).unwrap() {
        Recovered::Whole { journal, entries } => (journal, entries),
        Recovered::Amnesiac { reason } => panic!("amnesiac: {reason}"),
    }
}

#[test]
fn records_of_eight_mebibytes_come_back_and_take_part_in_trims() {
    const LARGE: usize = 8 << 20;
    let (files, mut journal) = default_sized();
    let mut expected = vec![lasting(0)];
    for id in 1..=5 {
        let group = [large(id, LARGE), vote(id, 100 + id, 500)];
        journal.append(&group).unwrap();
        expected.extend(group);
    }
    let (mut journal, entries) = default_whole(&files, 0);
    assert!(entries == expected, "{} of {} entries", entries.len(), expected.len());
    let carry = [large(9, LARGE), large(10, LARGE)];
    journal.trim(5, &carry).unwrap();
    let (mut journal, entries) = default_whole(&files, 5);
    assert!(entries.ends_with(&carry) && !entries.contains(&expected[1]));
    journal.append(&[vote(6, 106, 500)]).unwrap();
    files.crash(7);
    let (_, entries) = default_whole(&files, 5);
    assert_eq!(entries.last(), Some(&vote(6, 106, 500)));
    assert!(entries.contains(&carry[0]) && entries.contains(&carry[1]));
}

/// A NEW-VIEW at the limits of n and L, with all its VIEW-CHANGEs, is one record.
#[test]
fn a_record_larger_than_a_segment_gets_a_segment_of_its_own_size() {
    let (files, mut journal) = default_sized();
    let record = large(1, 40 << 20);
    journal.append(&[vote(1, 101, 500), record.clone(), vote(2, 102, 500)]).unwrap();
    let (mut journal, entries) = default_whole(&files, 0);
    assert!(entries.contains(&record) && entries.last() == Some(&vote(2, 102, 500)));
    // It is carried as well; the segments of unusual size do not stay behind as spares.
    journal.trim(2, std::slice::from_ref(&record)).unwrap();
    journal.append(&[vote(3, 103, 500)]).unwrap();
    let (_, entries) = default_whole(&files, 2);
    assert!(entries.contains(&record) && entries.contains(&vote(3, 103, 500)));
    let names = files.list().unwrap();
    assert!(names.iter().filter(|name| name.starts_with("segment-")).count() <= 2, "{names:?}");
    for name in names.iter().filter(|name| name.starts_with("spare-segment")) {
        assert_eq!(files.read(name, u64::MAX).unwrap().len(), 16 << 20, "{name}");
    }
}

#[test]
fn a_carry_that_does_not_change_is_written_once_per_half_segment_of_votes_and_is_always_in_the_journal() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    // Larger than a segment: eight pages.
    let carry = [large(7, 10 * PAGE_BYTES)];
    let options = Options { record_bytes_max: 16 * PAGE_BYTES as u32, ..SMALL };
    let reopen = |low| match Journal::<Entry>::open(Arc::new(files.clone()), key(), low, options).unwrap() {
        Recovered::Whole { journal, entries } => (journal, entries),
        Recovered::Amnesiac { reason } => panic!("amnesiac: {reason}"),
    };
    drop(std::mem::replace(&mut journal, reopen(0).0));
    journal.append(&carry).unwrap();
    let (mut births, mut last) = (0, String::new());
    for height in 1..=400 {
        journal.append(&[vote(height, height, 100)]).unwrap();
        // Far more often than segments fill.
        journal.trim(height, &carry).unwrap();
        let newest = files.list().unwrap().into_iter().filter(|name| name.starts_with("segment-")).max().unwrap();
        births += u64::from(newest != last);
        last = newest;
        if height % 50 == 0 {
            let (reopened, entries) = reopen(height);
            assert!(entries.contains(&carry[0]), "height {height}");
            journal = reopened;
        }
    }
    assert!(births <= 400 / 4 + 10, "{births} segments for 400 pages of votes, half a segment is 4 pages");
    assert!(journal.bytes() <= 5 * (8 + 12 + 8) * PAGE_BYTES as u64, "{} bytes", journal.bytes());
    assert!(files.list().unwrap().len() <= 16, "{:?}", files.list().unwrap());
}

#[test]
fn spares_are_used_again_so_that_files_are_not_made_for_ever() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    for height in 1..=200 {
        journal.append(&[vote(height, height, 3000)]).unwrap();
        journal.trim(height - 1, &[lasting(0)]).unwrap();
    }
    let names = files.list().unwrap();
    let spare = names.iter().find(|name| name.starts_with("spare-segment")).unwrap();
    // What an earlier life of the file left there is not taken for a frame of the next.
    assert!(files.read(spare, u64::MAX).unwrap()[PAGE_BYTES..].iter().any(|&byte| byte != 0));
    assert!(whole(&files, 0).1.contains(&vote(200, 200, 3000)));
}

#[test]
fn a_bad_frame_that_the_copy_has_is_amnesia() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    journal.append(&[vote(5, 1, 100)]).unwrap();
    // Frame 1 was carried at birth and has page 1; ours has page 2.
    flip(&files, &the_file(&files, "segment-"), 2 * PAGE_BYTES + 90);
    assert!(amnesia(&files, 4).contains("acknowledged"));
    // What only concerns heights that the chain store holds with a certificate is not needed.
    assert_eq!(whole(&files, 5).1, [lasting(0)]);
}

#[test]
fn a_bad_copy_is_mended() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    journal.append(&[vote(5, 1, 100)]).unwrap();
    let (copy, segment) = (the_file(&files, "copy-"), the_file(&files, "segment-"));
    flip(&files, &copy, 128 + 20);
    assert_eq!(whole(&files, 0).1.len(), 2);
    flip(&files, &segment, 2 * PAGE_BYTES + 90);
    assert!(amnesia(&files, 0).contains("acknowledged"), "the copy was mended before");
    flip(&files, &segment, 2 * PAGE_BYTES + 90);
    files.remove(&copy).unwrap();
    assert_eq!(whole(&files, 0).1.len(), 2);
    assert_eq!(files.read(&copy, u64::MAX).unwrap().len(), 8 * 128, "a lost copy is made again");
}

#[test]
fn a_frame_that_is_bad_in_both_files_is_cut_at_the_end_and_amnesia_elsewhere() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    journal.append(&[vote(1, 1, 100)]).unwrap();
    journal.append(&[vote(2, 2, 100)]).unwrap();
    let (segment, copy) = (the_file(&files, "segment-"), the_file(&files, "copy-"));
    let untouched = files.copy();
    flip(&files, &segment, 3 * PAGE_BYTES + 90);
    flip(&files, &copy, 2 * 128 + 20);
    let (mut journal, entries) = whole(&files, 0);
    assert_eq!(entries, [lasting(0), vote(1, 1, 100)]);
    journal.append(&[vote(2, 3, 100)]).unwrap();
    assert_eq!(whole(&files, 0).1, [lasting(0), vote(1, 1, 100), vote(2, 3, 100)]);
    flip(&untouched, &segment, 2 * PAGE_BYTES + 90);
    flip(&untouched, &copy, 128 + 20);
    assert!(amnesia(&untouched, 0).contains("valid ones follow"));
}

#[test]
fn what_was_carried_over_is_never_cut() {
    let files = VolatileFiles::new();
    drop(created(&files));
    flip(&files, &the_file(&files, "segment-"), PAGE_BYTES + 90);
    flip(&files, &the_file(&files, "copy-"), 20);
    assert!(amnesia(&files, 0).contains("carried over"));
}

#[test]
fn the_end_of_a_full_segment_is_never_cut() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    // Frame 1 is carried, frames 2 to 7 fill the first segment, frame 8 begins the next.
    for height in 1..=7 {
        journal.append(&[vote(height, height, 100)]).unwrap();
    }
    flip(&files, "segment-0000000000000001", 7 * PAGE_BYTES + 90);
    flip(&files, "copy-0000000000000001", 6 * 128 + 20);
    assert!(amnesia(&files, 0).contains("missing at the end of segment-0000000000000001"));
}

#[test]
fn a_segment_and_a_copy_that_contradict_are_amnesia() {
    let files = VolatileFiles::new();
    drop(created(&files));
    let other = files.copy();
    whole(&files, 0).0.append(&[vote(1, 1, 10)]).unwrap();
    whole(&other, 0).0.append(&[vote(1, 2, 10)]).unwrap();
    let copy = the_file(&files, "copy-");
    files.put(&copy, other.read(&copy, u64::MAX).unwrap());
    assert!(amnesia(&files, 0).contains("contradict"));
}

#[test]
fn a_frame_of_another_segment_file_does_not_count() {
    let (files, other) = (VolatileFiles::new(), VolatileFiles::new());
    drop(created(&files));
    // The same key, number and place, in a file of another birth.
    created(&other).append(&[vote(1, 1, 10)]).unwrap();
    let segment = the_file(&files, "segment-");
    let mut bytes = files.read(&segment, u64::MAX).unwrap();
    let strange = other.read(&segment, u64::MAX).unwrap();
    bytes[2 * PAGE_BYTES..3 * PAGE_BYTES].copy_from_slice(&strange[2 * PAGE_BYTES..3 * PAGE_BYTES]);
    files.put(&segment, bytes);
    assert_eq!(whole(&files, 0).1, [lasting(0)]);
}

/// It takes somebody who puts the digest right; without a bound, the frame after the next would have no number.
#[test]
fn a_head_page_that_names_the_last_number_there_is_is_damaged() {
    let files = VolatileFiles::new();
    drop(created(&files));
    let segment = the_file(&files, "segment-");
    let mut bytes = files.read(&segment, u64::MAX).unwrap();
    // The first frame, and that none is carried.
    bytes[52..60].copy_from_slice(&u64::MAX.to_le_bytes());
    bytes[68..72].fill(0);
    let seal = sha256(&bytes[..PAGE_BYTES - 32]);
    bytes[PAGE_BYTES - 32..PAGE_BYTES].copy_from_slice(seal.as_bytes());
    files.put(&segment, bytes);
    assert!(amnesia(&files, 0).contains("the head page of segment-0000000000000001 is damaged"));
}

#[test]
fn a_lost_segment_is_amnesia() {
    let files = VolatileFiles::new();
    let mut journal = created(&files);
    for height in 1..=20 {
        journal.append(&[vote(height, height, 3000)]).unwrap();
    }
    let segments: Vec<String> = files.list().unwrap().into_iter().filter(|name| name.starts_with("segment")).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    for lost in &segments {
        let disk = files.copy();
        disk.remove(lost).unwrap();
        assert!(amnesia(&disk, 0).contains("missing"), "{lost}");
    }
}

#[test]
fn after_a_failed_write_nothing_more_is_written_and_a_restart_goes_on() {
    for fault in [Fault::Write, Fault::Full, Fault::Torn(90), Fault::Torn(5000)] {
        // The four operations of an append, in turn.
        for pass in 0..4 {
            let (files, plan) = (VolatileFiles::new(), Plan::new());
            drop(created(&files));
            let faulty: Arc<dyn Files> = Arc::new(FaultyFiles::new(Arc::new(files.clone()), plan.clone()));
            let Ok(Recovered::Whole { mut journal, .. }) = Journal::open(faulty, key(), 0, SMALL) else { panic!() };
            journal.append(&[vote(1, 1, 10)]).unwrap();
            plan.strike_after(pass, fault);
            let failed = journal.append(&[vote(2, 2, 6000)]);
            let full = matches!(failed, Err(JournalError::Full { .. }));
            assert!(failed.is_err() && full == (fault == Fault::Full), "{failed:?}");
            plan.heal();
            let stopped = journal.append(&[vote(3, 3, 10)]);
            assert!(matches!(stopped, Err(JournalError::Stopped { .. })), "{stopped:?}");
            let (mut journal, entries) = whole(&files, 0);
            assert!(entries.starts_with(&[lasting(0), vote(1, 1, 10)]) && !entries.contains(&vote(3, 3, 10)));
            journal.append(&[vote(3, 4, 10)]).unwrap();
            assert_eq!(whole(&files, 0).1.last(), Some(&vote(3, 4, 10)));
        }
    }
}

#[test]
fn a_frame_that_was_seen_but_perhaps_never_reached_the_disk_is_written_again() {
    let (files, plan) = (VolatileFiles::new(), Plan::new());
    drop(created(&files));
    let faulty: Arc<dyn Files> = Arc::new(FaultyFiles::new(Arc::new(files.clone()), plan.clone()));
    let Ok(Recovered::Whole { mut journal, .. }) = Journal::open(faulty, key(), 0, SMALL) else { panic!() };
    plan.strike_after(1, Fault::Write);
    assert!(journal.append(&[vote(1, 1, 10)]).is_err(), "written, and the sync failed");
    files.take_writes_for_synced();
    assert_eq!(whole(&files, 0).1.last(), Some(&vote(1, 1, 10)), "the process restarts and finds it");
    files.crash(0);
    assert_eq!(whole(&files, 0).1.last(), Some(&vote(1, 1, 10)), "so the power may go");
}

#[test]
fn a_read_error_is_reported_and_changes_nothing() {
    let (files, plan) = (VolatileFiles::new(), Plan::new());
    drop(created(&files));
    plan.strike_after(1, Fault::Read);
    let faulty: Arc<dyn Files> = Arc::new(FaultyFiles::new(Arc::new(files.clone()), plan.clone()));
    let refused = Journal::<Entry>::open(faulty, key(), 0, SMALL).err();
    assert!(matches!(refused, Some(JournalError::Io { .. })), "{refused:?}");
    assert_eq!(whole(&files, 0).1, [lasting(0)]);
}

#[test]
fn it_works_on_a_real_directory() {
    let parent = tempfile::tempdir().unwrap();
    let directory = Directory::new(parent.path().join("journal"));
    let lost = Journal::<Entry>::open(Arc::new(directory.clone()), key(), 0, SMALL).unwrap();
    assert!(matches!(lost, Recovered::Amnesiac { .. }), "a directory that is not there is a journal that is not there");
    directory.make().unwrap();
    let files: Arc<dyn Files> = Arc::new(directory);
    Journal::create(files.clone(), key(), &[lasting(0)], SMALL).unwrap();
    let mut expected = vec![lasting(0)];
    for round in 1..=30 {
        let Ok(Recovered::Whole { mut journal, entries }) = Journal::open(files.clone(), key(), 0, SMALL) else {
            panic!("round {round}")
        };
        assert_eq!(entries, expected);
        journal.append(&[vote(round, round, 2000)]).unwrap();
        expected.push(vote(round, round, 2000));
    }
}

/// A little history: appends of groups, and trims. What each append acknowledged is noted.
#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Trim,
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let append = prop::collection::vec(0..5000usize, 1..4).prop_map(Step::Append);
    prop::collection::vec(prop_oneof![5 => append, 1 => Just(Step::Trim)], 1..25)
}

/// What a run has promised.
#[derive(Debug, Default)]
struct Promised {
    acknowledged: Vec<Entry>,
    /// The group of an append that failed: any first part of it may be found.
    attempted: Vec<Entry>,
    low: u64,
    next: u64,
}

/// Runs until the end or until the power goes.
fn run(journal: &mut Journal<Entry>, steps: &[Step], promised: &mut Promised) -> Result<(), JournalError> {
    for step in steps {
        match step {
            Step::Append(sizes) => {
                promised.attempted.clear();
                for &size in sizes {
                    promised.next += 1;
                    promised.attempted.push(vote(promised.next, promised.next, size));
                }
                journal.append(&promised.attempted)?;
                promised.acknowledged.append(&mut promised.attempted);
            }
            Step::Trim => {
                promised.low = promised.next.saturating_sub(2);
                journal.trim(promised.low, &[lasting(promised.low)])?;
            }
        }
    }
    Ok(())
}

/// Every acknowledged vote above `low` is there, nothing that was never written, all in order; and something that lasts.
fn check_recovered(entries: &[Entry], promised: &Promised) -> Result<(), TestCaseError> {
    let votes: Vec<&Entry> = entries.iter().filter(|entry| entry.sequence.is_some()).collect();
    prop_assert!(votes.windows(2).all(|pair| pair[0].id < pair[1].id), "order");
    let found: BTreeSet<u64> = votes.iter().map(|vote| vote.id).collect();
    for vote in &promised.acknowledged {
        prop_assert!(vote.id <= promised.low || found.contains(&vote.id), "vote {} is lost", vote.id);
    }
    for vote in votes {
        let known = promised.acknowledged.contains(vote) || promised.attempted.contains(vote);
        prop_assert!(known, "vote {} was never written so", vote.id);
    }
    prop_assert!(entries.iter().any(|entry| entry.sequence.is_none()), "what lasts is lost");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_power_may_go_at_any_step_and_come_back(
        first in history(), second in history(), cut in 0..150u64, again in 0..60u64, seed: u64,
    ) {
        let files = VolatileFiles::new();
        let mut journal = created(&files);
        let mut promised = Promised::default();
        files.cut_power_after(files.steps() + cut);
        let _ = run(&mut journal, &first, &mut promised);
        files.crash(seed);
        // The power goes once more while the journal is mended.
        files.cut_power_after(files.steps() + again % 12);
        let _ = Journal::<Entry>::open(Arc::new(files.clone()), key(), promised.low, SMALL);
        files.crash(seed ^ 1);
        let (mut journal, entries) = whole(&files, 0);
        check_recovered(&entries, &promised)?;
        // And it goes on.
        let survivors = entries.iter().filter(|entry| promised.attempted.contains(entry)).cloned();
        promised.acknowledged.extend(survivors);
        promised.attempted.clear();
        files.cut_power_after(files.steps() + again);
        let _ = run(&mut journal, &second, &mut promised);
        files.crash(seed ^ 2);
        check_recovered(&whole(&files, 0).1, &promised)?;
    }

    #[test]
    fn any_flipped_bit_or_cut_file_is_harmless_or_amnesia(
        steps in history(), file: prop::sample::Index, at: prop::sample::Index, bit in 0..8u8, cut: bool,
    ) {
        let files = VolatileFiles::new();
        let mut journal = created(&files);
        let mut promised = Promised::default();
        run(&mut journal, &steps, &mut promised).unwrap();
        let names: Vec<String> = files.list().unwrap().into_iter().filter(|name| !name.starts_with("spare")).collect();
        let name = file.get(&names);
        let mut bytes = files.read(name, u64::MAX).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        files.put(name, bytes);
        if let Recovered::Whole { mut journal, entries } = open(&files, 0) {
            check_recovered(&entries, &promised)?;
            journal.append(&[vote(9999, 9999, 5000)]).unwrap();
            promised.acknowledged.push(vote(9999, 9999, 5000));
            check_recovered(&whole(&files, 0).1, &promised)?;
        }
    }

    #[test]
    fn arbitrary_bytes_never_pass_for_votes(bytes in prop::collection::vec(any::<u8>(), 0..9000), copy: bool) {
        let files = VolatileFiles::new();
        drop(created(&files));
        files.put(&the_file(&files, if copy { "copy-" } else { "segment-" }), bytes);
        if let Recovered::Whole { entries, .. } = open(&files, 0) {
            prop_assert_eq!(entries, [lasting(0)]);
        }
    }
}
