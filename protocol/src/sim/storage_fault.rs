//! Disks that do something wrong, and what a real node makes of it.
//!
//! | fault | what the node does |
//! |---|---|
//! | [`Unsynced::Part`](super::Unsynced::Part) in a crash | the torn record was never acknowledged: it is cut |
//! | [`StorageFault::Journal`] | a copy is mended; what is lost for certain, or may be, makes an amnesiac: it follows, serves, and never votes |
//! | [`StorageFault::NoJournal`], [`StorageFault::Wiped`] | amnesiac |
//! | [`StorageFault::RottenBlock`], [`StorageFault::MisdirectedRead`] | the read is an error: the block is not served, and a start that needs it fails |
//! | [`StorageFault::WritesFail`], [`StorageFault::Full`] | signing stops with a reason until a restart finds the disk well |
//! | [`StorageFault::Slow`] | it lags |

pub use super::journal::Place;

use super::config::Delay;
use super::disk::Disk;
use super::invariants::Observation;
use super::world::World;
use crate::id::{Height, NodeIndex};
use crate::store::{MemoryStore, Store, StoreError};

/// What a disk does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageFault {
    /// A record of the vote journal is damaged. Both places of the very last record, be it one after the other, look like
    /// a tear: that vote is forgotten, so the node counts as lying from then on.
    Journal {
        /// How many records stand behind it.
        before_last: usize,
        /// Where the damage is.
        place: Place,
    },
    /// The vote journal is gone.
    NoJournal,
    /// Everything is gone: the chain and the vote journal. The key is still there.
    Wiped,
    /// The block so many below the head has other bits than were written.
    RottenBlock {
        /// How far below the head.
        below_head: u64,
    },
    /// A read of the block so many below the head gives the one before it.
    MisdirectedRead {
        /// How far below the head.
        below_head: u64,
    },
    /// Writes fail from here on.
    WritesFail,
    /// There is no space left.
    Full,
    /// Syncs take longer than everywhere else.
    Slow {
        /// How long.
        sync: Delay,
    },
}

impl World {
    /// Something goes wrong with a node's disk. Damage to a journal or a block is noticed by the next read: that of the
    /// journal at the next start.
    pub fn damage(&mut self, node: NodeIndex, fault: StorageFault) {
        self.note(node, format_args!("has a disk fault: {fault:?}"));
        let head = self.height(node).0;
        let genesis = self.genesis.clone();
        let held = self.node_mut(node);
        held.standing.may_halt = true;
        match fault {
            StorageFault::Journal { before_last, place } => {
                if held.disk.damage_journal(before_last, place) {
                    self.distrust(node);
                }
            }
            StorageFault::NoJournal => held.disk.lose_journal(),
            StorageFault::Wiped => {
                let fresh = MemoryStore::new();
                fresh.initialize(&genesis).expect("an empty store takes a genesis");
                held.running = None;
                held.disk = Disk::new(fresh);
                held.disk.lose_journal();
                let key = held.key.public_key();
                self.observe(Observation::Wiped { node, key });
            }
            StorageFault::RottenBlock { below_head } => {
                held.disk.store.rot(Height(head.saturating_sub(below_head)));
                self.happened.rotten_blocks += u64::from(head > below_head);
            }
            StorageFault::MisdirectedRead { below_head } => {
                self.happened.rotten_blocks += u64::from(head > below_head);
                let held = self.node_mut(node);
                let height = Height(head.saturating_sub(below_head));
                held.disk.store.misdirect(height, height.previous().unwrap_or_default());
            }
            StorageFault::WritesFail => held.disk.set_write_error(Some(StoreError::Io("input/output error".into()))),
            StorageFault::Full => held.disk.set_write_error(Some(StoreError::Full("no space left on device".into()))),
            StorageFault::Slow { sync } => held.disk.sync = Some(sync),
        }
    }

    /// A backup of a node's chain. No backup ever holds a vote journal.
    #[must_use]
    pub fn backup(&self, node: NodeIndex) -> MemoryStore {
        self.node(node).disk.store.copy()
    }

    /// A node's machine is replaced: the new disk holds a backup of its chain and no vote journal, the key is the old one.
    /// It is not started.
    pub fn restore_backup(&mut self, node: NodeIndex, chain: MemoryStore) {
        self.note(node, format_args!("gets a new disk with a backup of its chain"));
        let held = self.node_mut(node);
        held.standing.may_halt = true;
        held.running = None;
        held.disk = Disk::new(chain);
        held.disk.lose_journal();
        let key = held.key.public_key();
        self.observe(Observation::Wiped { node, key });
    }

    /// The disk writes again as it should, and at its usual pace. A node that had stopped signing needs a restart. What
    /// is lost or rotten stays so.
    pub fn repair(&mut self, node: NodeIndex) {
        self.note(node, format_args!("has a disk that can be written again"));
        let disk = &mut self.node_mut(node).disk;
        disk.set_write_error(None);
        disk.sync = None;
    }
}
