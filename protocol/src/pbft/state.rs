//! Everything of an engine that changes, as plain values: its canonical bytes are the fingerprint.

use std::collections::{BTreeMap, BTreeSet};

use borsh::BorshSerialize;
use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    evidence::Kind,
    input::Synced,
    message::{CertifiedCheckpoint, Commit, Content, NewView, PrePrepare, Prepare, PreparedCertificate, ViewChange},
    output::Ticket,
    record::Record,
    slot::Slot,
    tally::Tally,
    timer::Timer,
};
use crate::{
    document::{Certificate, Checkpoint},
    id::{Height, NodeIndex, Sequence, View},
    time::Instant,
};

/// Everything that changes. Its canonical bytes are the fingerprint.
#[derive(Clone, Debug, BorshSerialize)]
pub(super) struct State {
    pub view: View,
    pub active: bool,
    /// What opened the current view, while it is active; none in view 0.
    pub opening: Option<Opening>,
    /// The latest NEW-VIEW of this replica, of whichever view.
    pub own_new_view: Option<Signed<NewView>>,
    /// Primaries of whose bad NEW-VIEWs was told already.
    pub refused_new_views: BTreeSet<NodeIndex>,
    /// This replica's latest VIEW-CHANGE, durable or on its way to the disk; it is the one of `view` while that is inactive.
    pub own_view_change: Option<Signed<ViewChange>>,
    /// The latest VIEW-CHANGE of each other validator, and this replica's own once it is durable; of the current view and
    /// higher ones, while the current one is not active.
    pub view_changes: BTreeMap<NodeIndex, HeldViewChange>,
    /// NEW-VIEWs that wait for VIEW-CHANGEs which they name, at most one for each primary.
    pub candidates: BTreeMap<NodeIndex, Candidate>,
    /// P: for each sequence above the proven watermark the prepared certificate of the highest view ever held here.
    pub prepared: BTreeMap<Sequence, PreparedCertificate>,
    /// What stands behind digests of `prepared`, of the view before, and of what was fetched for this one.
    pub contents: BTreeMap<(Sequence, Digest), Content>,
    /// What was accepted in the view before, to be held beside what others say of it.
    pub left: BTreeMap<Sequence, Signed<PrePrepare>>,
    /// Contents that are being fetched, and how often they were asked for.
    pub wanted: BTreeMap<(Sequence, Digest), u32>,
    /// For the VIEW-CHANGEs of a view that this replica is to open: what was looked at, and whether its bodies are here.
    pub held: BTreeMap<(Sequence, Digest), bool>,
    /// The highest watermark that can be proved, its block held or not.
    pub proven: Option<CertifiedCheckpoint>,
    /// How many views in a row ended without progress here.
    pub failed_views: u32,
    /// Whether there was progress in the current view.
    pub progressed: bool,
    /// Whether something is pending in the pool.
    pub pool_pending: bool,
    /// Rings when the current view, or the wait for its NEW-VIEW, has lasted for too long.
    pub view_timer: Timer,
    /// Whose STATUS was heard since the start.
    pub heard: BTreeSet<NodeIndex>,
    /// Whether what a restart found is still to be looked at again.
    pub recovering: bool,
    /// h: a multiple of K (or the boundary) whose block and certificate are durable here.
    pub low: Height,
    /// The highest block that is durable here.
    pub executed: Height,
    /// The highest block whose execution was asked for.
    pub delivered: Height,
    /// Slots of low < n <= low + L, and of the same window above the watermark at which the view began.
    pub slots: BTreeMap<Sequence, Slot>,
    /// Blocks that synchronisation proved final, above `delivered`.
    pub synced: BTreeMap<Height, Synced>,
    /// Blocks that were delivered and are not executed yet.
    pub executing: BTreeMap<Height, Executing>,
    /// Recent executed blocks, and older ones that still lack a certificate.
    pub blocks: BTreeMap<Height, BlockState>,
    /// CHECKPOINTs for heights that are not executed here yet, at most 2 L above the low watermark.
    pub early: BTreeMap<Height, Tally<Checkpoint>>,
    /// Heights above the first and up to the second had their CHECKPOINT signed before a restart that no longer found their
    /// blocks.
    pub lost: (Height, Height),
    /// Records of the vote log above the window: a store that lost blocks begins with a lower one than the votes had.
    pub late: Vec<Record>,
    /// What each validator last said of itself.
    pub peers: BTreeMap<NodeIndex, Peer>,
    /// The next sequence that this replica proposes while it is the primary.
    pub next_sequence: Sequence,
    pub pending: BTreeMap<Ticket, Pending>,
    pub next_ticket: u64,
    /// `executed` at the last STATUS: no progress since means that votes alone do not bring what is missing.
    pub executed_at_status: Height,
    pub status_timer: Timer,
    /// Whom something was noted of already, so that a liar cannot fill the log (PROTOCOL 9.3).
    pub noted: BTreeSet<(NodeIndex, Kind)>,
    /// The lowest height seen at which no header can be certified any more (4.5).
    pub state_diverged: Option<Height>,
    pub halted: Option<String>,
}

/// What a record that is on its way to the disk will mean once it is there.
#[derive(Clone, Debug, BorshSerialize)]
pub(super) enum Pending {
    /// A proposal, and with it this replica's PREPARE if it is a backup.
    Accepted { view: View, sequence: Sequence, prepare: Option<Signed<Prepare>> },
    /// A prepared certificate, and with it this replica's COMMIT.
    Prepared(Signed<Commit>),
    /// The floor, and with it this replica's CHECKPOINT.
    Checkpoint(Signed<Checkpoint>),
    /// This replica's VIEW-CHANGE.
    ViewChange(Signed<ViewChange>),
    /// What opened this view.
    NewView(View),
}

/// What opened a view.
#[derive(Clone, Debug, BorshSerialize)]
pub(super) struct Opening {
    pub new_view: Signed<NewView>,
    /// Those that it names.
    pub view_changes: BTreeMap<Digest, Signed<ViewChange>>,
    /// min-s: the highest watermark that they prove.
    pub min: Sequence,
    /// max-s: the last sequence that was proposed again; fresh proposals are above it.
    pub max: Sequence,
    /// Whether it is in the journal: before that this replica's own NEW-VIEW is shown to nobody.
    pub is_durable: bool,
}

/// A VIEW-CHANGE and its name.
#[derive(Clone, Debug, BorshSerialize)]
pub(super) struct HeldViewChange {
    pub name: Digest,
    pub signed: Signed<ViewChange>,
}

/// A NEW-VIEW that cannot be judged yet.
#[derive(Clone, Debug, BorshSerialize)]
pub(super) struct Candidate {
    pub new_view: Signed<NewView>,
    /// The VIEW-CHANGEs that it names, as far as they are here.
    pub view_changes: BTreeMap<Digest, Option<Signed<ViewChange>>>,
    /// How often the missing ones were asked for.
    pub asked: u32,
}

impl Candidate {
    /// Whether all that it names is here.
    pub(super) fn is_complete(&self) -> bool {
        self.view_changes.values().all(Option::is_some)
    }
}

impl Pending {
    /// Whether this is a CHECKPOINT of that height or a higher one, whose floor is on its way to the disk.
    pub(super) fn is_checkpoint_from(&self, height: Height) -> bool {
        matches!(self, Pending::Checkpoint(signed) if signed.body.height >= height)
    }

    /// Whether this is the CHECKPOINT of that height on its way to the disk.
    pub(super) fn is_checkpoint_of(&self, height: Height) -> bool {
        matches!(self, Pending::Checkpoint(signed) if signed.body.height == height)
    }
}

/// A delivered block that is not executed yet.
#[derive(Clone, Debug, BorshSerialize)]
pub(super) struct Executing {
    /// Digest of its batch.
    pub digest: Digest,
    /// Header hash and certificate, where it came by synchronisation with one.
    pub certified: Option<(Digest, Certificate)>,
}

/// An executed block on its way to a certificate.
#[derive(Clone, Debug, BorshSerialize)]
pub(super) struct BlockState {
    /// Digest of its batch.
    pub digest: Digest,
    /// The header that this replica computed.
    pub header_hash: Digest,
    /// CHECKPOINTs of its height; this replica's own once the floor is durable.
    pub checkpoints: Tally<Checkpoint>,
    /// q CHECKPOINTs for `header_hash`.
    pub certificate: Option<Certificate>,
}

/// VIEW-CHANGEs are large, so the same ones go to the same peer at intervals that double.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    /// The view, and whose VIEW-CHANGEs were held.
    pub what: (View, u32),
    pub times: u32,
    pub again_at: Instant,
}

/// What a validator last said of itself.
#[derive(Clone, Debug, Default, BorshSerialize)]
pub(super) struct Peer {
    /// Its low watermark, the highest that it ever named.
    pub low: Height,
    /// The highest height that it ever named as executed, by STATUS or by CHECKPOINT.
    pub executed: Height,
    /// When its STATUS was last answered.
    #[borsh(skip)]
    pub answered: Option<Instant>,
    /// What VIEW-CHANGEs it was last sent, and when they may go out again.
    #[borsh(skip)]
    pub shown: Shown,
}
