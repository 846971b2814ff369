//! Messages on their way, for whoever intercepts them.

use crate::id::NodeIndex;
use crate::replica::PeerMessage;
use crate::time::Instant;
use std::time::Duration;

/// A message that is about to take to its link.
#[derive(Debug)]
pub struct InFlight<'a> {
    /// The time of the world.
    pub now: Instant,
    /// Which machine sends it.
    pub from: NodeIndex,
    /// Which machine it is for.
    pub to: NodeIndex,
    /// What it says.
    pub message: &'a PeerMessage,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its link decides, as always.
    Pass,
    /// It is lost.
    Drop,
    /// It takes to its link so much later.
    Delay(Duration),
    /// It takes to its link so many times.
    Repeat(u32),
}
