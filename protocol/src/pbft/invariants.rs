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
        self.check_bounds()
    }

    /// Nothing that peers can make grow is beyond its bound (promise BM).
    fn check_bounds(&self) -> Result<(), String> {
        let state = &self.state;
        let (n, window) = (self.config.validators.n(), usize::try_from(self.config.window).unwrap_or(usize::MAX));
        let sizes = [
            ("slots", state.slots.len(), 2 * window),
            ("early CHECKPOINTs", state.early.len(), 2 * window),
            ("blocks", state.blocks.len(), 4 * window),
            ("synced blocks", state.synced.len(), window),
            ("prepared certificates", state.prepared.len(), 2 * window),
            ("contents", state.contents.len(), (n + 2) * 2 * window),
            ("wanted contents", state.wanted.len(), (n + 2) * 2 * window),
            ("contents looked at", state.held.len(), n * 2 * window),
            ("proposals of the view before", state.left.len(), 2 * window),
            ("VIEW-CHANGEs", state.view_changes.len(), n),
            ("NEW-VIEWs that wait", state.candidates.len(), n),
            ("peers", state.peers.len(), n),
        ];
        match sizes.into_iter().find(|(_, size, bound)| size > bound) {
            Some((what, size, bound)) => Err(format!("{size} {what} are held, {bound} at most are allowed")),
            None => Ok(()),
        }
    }
}

fn require(holds: bool, rule: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule()) }
}
