//! A disk in memory that forgets what was not synced, for tests of what survives a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{Files, Handle};

/// What a disk writes in one piece.
const SECTOR_BYTES: usize = 512;

/// A directory in memory. Clones share it.
///
/// Every write, sync, creation, rename and removal is a *step*. [`VolatileFiles::cut_power_after`] lets the power go at any of them;
/// [`VolatileFiles::crash`] then keeps what was synced, and of the rest, by chance, some sectors and the first few names.
#[derive(Clone, Default)]
pub struct VolatileFiles {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    renames: Vec<NameChange>,
    contents: Vec<Content>,
    steps: u64,
    power_cut_at: Option<u64>,
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    unsynced_sectors: BTreeSet<usize>,
}

#[derive(Clone)]
enum NameChange {
    Set(String, usize),
    Rename(String, String),
    Remove(String),
}

impl VolatileFiles {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many steps there have been.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// From the given step on (counted by [`VolatileFiles::steps`]) everything fails until [`VolatileFiles::crash`].
    pub fn cut_power_after(&self, steps: u64) {
        self.lock().power_cut_at = Some(steps);
    }

    /// Loses what was not synced, as the seed decides, and puts the power back. Open files must not be used any longer.
    pub fn crash(&self, seed: u64) {
        let mut state = self.lock();
        let mut chance = Chance(seed);
        for content in &mut state.contents {
            for sector in std::mem::take(&mut content.unsynced_sectors) {
                if chance.draw(2) == 0 {
                    keep_sector(content, sector);
                }
            }
            content.now.clone_from(&content.synced);
        }
        let changes = std::mem::take(&mut state.renames);
        let kept = chance.draw(changes.len() as u64 + 1) as usize;
        for change in &changes[..kept] {
            apply(&mut state.synced_names, change);
        }
        state.names = state.synced_names.clone();
        state.power_cut_at = None;
    }

    /// What Linux does after a failed sync: it goes on showing what was written, takes it for synced, and never writes it.
    pub fn take_writes_for_synced(&self) {
        for content in &mut self.lock().contents {
            content.unsynced_sectors.clear();
        }
    }

    /// A separate disk with the same content, everything synced.
    pub fn copy(&self) -> Self {
        let state = self.lock();
        let copy = Self::new();
        for (name, &content) in &state.names {
            copy.put(name, state.contents[content].now.clone());
        }
        copy
    }

    /// Replaces or makes a file, synced at once: damage for tests.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let content = state.contents.len();
        state.contents.push(Content { now: bytes.clone(), synced: bytes, unsynced_sectors: BTreeSet::new() });
        state.names.insert(name.into(), content);
        state.synced_names.insert(name.into(), content);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a step; fails when the power is off.
    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if state.power_cut_at.is_some_and(|cut| state.steps >= cut) {
            return Err(Error::other("the power is off"));
        }
        state.steps += 1;
        Ok(state)
    }
}

fn keep_sector(content: &mut Content, sector: usize) {
    let first = sector * SECTOR_BYTES;
    let last = (first + SECTOR_BYTES).min(content.now.len());
    if content.synced.len() < last {
        content.synced.resize(last, 0);
    }
    content.synced[first..last].copy_from_slice(&content.now[first..last]);
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Set(name, content) => {
            names.insert(name.clone(), *content);
        }
        NameChange::Rename(from, to) => {
            if let Some(content) = names.remove(from) {
                names.insert(to.clone(), content);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

impl State {
    fn content(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no file {name}")))
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.renames.push(change);
    }
}

impl Files for VolatileFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn read(&self, name: &str, max: u64) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let mut bytes = state.contents[state.content(name)?].now.clone();
        bytes.truncate(usize::try_from(max).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        let content = self.lock().content(name)?;
        Ok(Box::new(VolatileHandle { files: self.clone(), content }))
    }

    fn create(&self, name: &str, size: u64) -> io::Result<()> {
        let mut state = self.step()?;
        let zeros = vec![0; usize::try_from(size).map_err(Error::other)?];
        let content = state.contents.len();
        state.contents.push(Content { now: zeros.clone(), synced: zeros, unsynced_sectors: BTreeSet::new() });
        state.change(NameChange::Set(name.into(), content));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.step()?;
        state.content(from)?;
        state.change(NameChange::Rename(from.into(), to.into()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.step()?;
        state.content(name)?;
        state.change(NameChange::Remove(name.into()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.step()?;
        state.renames.clear();
        state.synced_names = state.names.clone();
        Ok(())
    }
}

struct VolatileHandle {
    files: VolatileFiles,
    content: usize,
}

impl Handle for VolatileHandle {
    fn size(&self) -> io::Result<u64> {
        Ok(self.files.lock().contents[self.content].now.len() as u64)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.files.step()?;
        let content = &mut state.contents[self.content];
        let first = usize::try_from(offset).map_err(Error::other)?;
        let last = first + bytes.len();
        if content.now.len() < last {
            content.now.resize(last, 0);
        }
        content.now[first..last].copy_from_slice(bytes);
        content.unsynced_sectors.extend(first / SECTOR_BYTES..last.div_ceil(SECTOR_BYTES));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.files.step()?;
        let content = &mut state.contents[self.content];
        for sector in std::mem::take(&mut content.unsynced_sectors) {
            keep_sector(content, sector);
        }
        Ok(())
    }
}

/// SplitMix64: enough for choosing what a crash loses.
struct Chance(u64);

impl Chance {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_what_was_synced_and_may_lose_the_rest() {
        let files = VolatileFiles::new();
        files.create("a", 1024).unwrap();
        files.sync().unwrap();
        let mut handle = files.open("a").unwrap();
        handle.write_at(0, b"synced").unwrap();
        handle.sync().unwrap();
        handle.write_at(600, b"not").unwrap();
        files.create("b", 10).unwrap();
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..64 {
            let disk = VolatileFiles { state: Arc::new(Mutex::new(files.lock().snapshot())) };
            disk.crash(seed);
            let bytes = disk.read("a", u64::MAX).unwrap();
            assert_eq!(&bytes[..6], b"synced");
            *if &bytes[600..603] == b"not" { &mut kept } else { &mut lost } += 1;
        }
        assert!(kept > 0 && lost > 0, "{kept} kept, {lost} lost");
    }

    impl State {
        fn snapshot(&self) -> Self {
            let content = |content: &Content| Content {
                now: content.now.clone(),
                synced: content.synced.clone(),
                unsynced_sectors: content.unsynced_sectors.clone(),
            };
            Self {
                names: self.names.clone(),
                synced_names: self.synced_names.clone(),
                renames: self.renames.clone(),
                contents: self.contents.iter().map(content).collect(),
                steps: self.steps,
                power_cut_at: self.power_cut_at,
            }
        }
    }
}
