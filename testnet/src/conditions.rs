//! What can be wrong with a link between two nodes.

use std::net::SocketAddr;
use std::time::Duration;

/// How long a stalled chunk waits: what TCP on Linux waits at least before it sends a lost segment again.
pub const STALL: Duration = Duration::from_millis(200);

/// A direction of a link, as seen from the node that dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the node that dials to the node that listens.
    Forward,
    /// From the node that listens to the node that dials.
    Backward,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Bytes wait until this ends.
    pub held: bool,
    /// Each byte arrives so much later.
    pub latency: Duration,
    /// Up to so much is added to the latency, at random; the order stays.
    pub jitter: Duration,
    /// So many of a thousand chunks wait [`STALL`] longer, and everything behind them with them.
    pub stall_permille: u16,
    /// Bytes per second that pass at most; `None` is no limit, and zero counts as one.
    pub bandwidth: Option<u64>,
}

/// The state of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Where the node listens.
    pub target: SocketAddr,
    /// What happens on the way there.
    pub forward: Conditions,
    /// What happens on the way back.
    pub backward: Conditions,
    /// New connections are closed at once.
    pub refusing: bool,
    /// Raised by each cut; connections of an earlier generation end.
    pub generation: u64,
}

impl Settings {
    /// What happens in one direction.
    pub fn conditions(&self, direction: Direction) -> Conditions {
        match direction {
            Direction::Forward => self.forward,
            Direction::Backward => self.backward,
        }
    }

    /// The same, to be changed.
    pub fn conditions_mut(&mut self, direction: Direction) -> &mut Conditions {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Backward => &mut self.backward,
        }
    }
}
