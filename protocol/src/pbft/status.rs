//! What the engine says of itself, for operators and tests.

use std::time::Duration;

use super::{engine::Engine, safety::Refusal};
use crate::id::{Epoch, Height, NodeIndex, Sequence, View};

/// A snapshot of the engine's counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// The epoch.
    pub epoch: Epoch,
    /// The view entered.
    pub view: View,
    /// Whether it is active.
    pub active: bool,
    /// Its primary.
    pub primary: NodeIndex,
    /// Low watermark.
    pub low: Height,
    /// High watermark: low + L.
    pub high: Height,
    /// Highest durable block.
    pub executed: Height,
    /// Highest durable block with a certificate, all below certified by descent.
    pub certified: Height,
    /// The highest sequence with a proposal or a vote here.
    pub highest_slot: Sequence,
    /// Who has left for which view, this replica included, while the current one is not active.
    pub view_changes: Vec<(NodeIndex, View)>,
    /// How long the current view may go without progress, or its NEW-VIEW may take.
    pub view_timeout: Duration,
    /// Why this node casts no votes, if so.
    pub standing: Result<(), Refusal>,
    /// What each validator said of its executed height.
    pub peer_heights: Vec<(NodeIndex, Height)>,
    /// The lowest height at which validators computed so many different headers that none can be certified any more.
    pub state_diverged: Option<Height>,
    /// Why the engine stopped, if it did.
    pub halted: Option<String>,
}

impl Engine {
    /// The engine's counters now.
    pub fn status(&self) -> EngineStatus {
        let state = &self.state;
        let certified = state.blocks.iter().rev().find(|(_, block)| block.certificate.is_some());
        EngineStatus {
            epoch: self.config.epoch,
            view: state.view,
            active: state.active,
            primary: self.primary(),
            low: state.low,
            high: Height(state.low.0 + self.config.window),
            executed: state.executed,
            certified: certified.map_or(state.low, |(height, _)| *height).max(state.low),
            highest_slot: state.slots.last_key_value().map_or(Sequence::from(state.low), |(sequence, _)| *sequence),
            view_changes: state.view_changes.iter().map(|(index, held)| (*index, held.signed.body.view)).collect(),
            view_timeout: self.view_timeout(),
            standing: self.safety.check_standing(),
            peer_heights: state.peers.iter().map(|(index, peer)| (*index, peer.executed)).collect(),
            state_diverged: state.state_diverged,
            halted: state.halted.clone(),
        }
    }
}
