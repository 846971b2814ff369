//! What must hold after every input; the simulator checks it after each of its events.

use super::engine::Engine;
use crate::id::{Height, Sequence};

impl Engine {
    /// Checks the order of all counters and that the tallies agree with what the safety file remembers.
    ///
    /// # Errors
    /// The first rule that does not hold, in words. It is a fault of this program, never of a peer.
    pub fn check_invariants(&self) -> Result<(), String> {
        let state = &self.state;
        let ordered = state.low <= state.executed && state.executed <= state.delivered;
        require(ordered, || {
            format!("low {} <= executed {} <= delivered {}", state.low, state.executed, state.delivered)
        })?;
        require(state.low.0.is_multiple_of(self.config.checkpoint_interval) || state.low == self.config.base, || {
            format!("the low watermark {} is a multiple of K or the boundary", state.low)
        })?;
        require(state.next_sequence > Sequence::from(state.delivered), || {
            format!("next sequence {} is above delivered {}", state.next_sequence, state.delivered)
        })?;
        for (sequence, slot) in &state.slots {
            require(self.in_window(*sequence), || format!("slot {sequence} is inside the window"))?;
            if let Some(certificate) = &slot.prepared {
                let digest = certificate.pre_prepare.body.0.digest;
                let accepted = slot.acceptance.as_ref().map(|a| a.ballot().digest);
                require(accepted == Some(digest), || format!("slot {sequence} prepared what it accepted"))?;
            }
        }
        for height in state.blocks.keys() {
            require(*height <= state.executed, || format!("block {height} is executed"))?;
        }
        require(state.early.keys().all(|height| *height > state.executed || *height == Height(0)), || {
            "early CHECKPOINTs are above the executed height".to_owned()
        })?;
        require(state.early.len() as u64 <= 2 * self.config.window, || "early CHECKPOINTs are bounded".to_owned())
    }
}

fn require(holds: bool, rule: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule()) }
}
