//! What goes wrong in a plan, as data.

use super::byzantine::Lie;
use super::storage_fault::StorageFault;
use super::unsynced::Unsynced;
use crate::id::NodeIndex;
use std::time::Duration;

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// These nodes die together; in the end they are started again.
    Crash {
        /// Who.
        nodes: Vec<NodeIndex>,
        /// What their disks keep.
        unsynced: Unsynced,
    },
    /// This node dies for good, and counts among the f.
    Dead {
        /// Who.
        node: NodeIndex,
    },
    /// Nothing passes between these nodes and the others.
    Partition {
        /// One side.
        side: Vec<NodeIndex>,
    },
    /// Nothing passes one way between two nodes.
    Cut {
        /// Who is not heard.
        from: NodeIndex,
        /// Who does not hear.
        to: NodeIndex,
    },
    /// What passes one way between two nodes takes longer.
    SlowLink {
        /// Who is heard late.
        from: NodeIndex,
        /// Who hears late.
        to: NodeIndex,
        /// At least so late.
        delay: Duration,
    },
    /// A disk does something wrong. It is well again in the end, and the node restarted; what is lost stays lost.
    Storage {
        /// Whose.
        node: NodeIndex,
        /// What.
        fault: StorageFault,
    },
    /// A wall clock is wrong, and runs wrong.
    Clock {
        /// Whose.
        node: NodeIndex,
        /// By how many milliseconds it is ahead.
        skew: i64,
        /// How many milliseconds it gains in a thousand seconds.
        drift: i64,
    },
}

/// A fault with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedFault {
    /// When it begins, counted from the beginning of the world.
    pub at: Duration,
    /// How long it lasts. What lasts beyond the first phase is healed with it where it concerns correct nodes only, and
    /// stays for ever where it does not.
    pub lasts: Duration,
    /// What it is.
    pub fault: Fault,
}

impl Fault {
    /// The nodes that it names.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeIndex> {
        match self {
            Fault::Crash { nodes, .. } | Fault::Partition { side: nodes } => nodes.clone(),
            Fault::Dead { node } | Fault::Storage { node, .. } | Fault::Clock { node, .. } => vec![*node],
            Fault::Cut { from, to } | Fault::SlowLink { from, to, .. } => vec![*from, *to],
        }
    }

    /// The node that counts among the f by this fault.
    #[must_use]
    pub fn costs(&self) -> Option<NodeIndex> {
        match self {
            Fault::Dead { node } => Some(*node),
            Fault::Storage { node, fault } => match fault {
                StorageFault::Journal { place: super::storage_fault::Place::Copy, .. }
                | StorageFault::WritesFail
                | StorageFault::Full
                | StorageFault::Slow { .. } => None,
                _ => Some(*node),
            },
            _ => None,
        }
    }
}

/// What a node is that is not honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It lies in this way from its beginning.
    Lies(Lie),
    /// A second machine signs with its key. For the first half of the load each of the two hears and tells one half of the
    /// others only, then both hear and tell everybody.
    Twin,
}

/// A node that counts among the f because of what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// Who.
    pub node: NodeIndex,
    /// What it is.
    pub role: Role,
}

/// A transaction of a client. What it is and where it goes follow from its seed alone, so that plans can be cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedTransaction {
    /// When it is submitted, counted from the beginning of the world.
    pub at: Duration,
    /// Decides everything else.
    pub seed: u64,
}
