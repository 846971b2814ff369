//! What is promised, what a checker sees, and how it says that a promise is broken.

use crate::document::{Block, Genesis};
use crate::id::{Height, NodeIndex};
use crate::pbft::evidence::Evidence;
use crate::replica::{PeerMessage, Replica};
use crate::store::Store;
use quorate_crypto::{Digest, PublicKey};
use std::fmt;

/// Which promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// AG: no two correct nodes have different blocks at one height.
    Agreement,
    /// EO: a transaction has at most one receipt, everywhere the same.
    ExactlyOnce,
    /// DT: equal blocks give equal states and receipts.
    Determinism,
    /// DU: what a client holds a receipt of survives every crash.
    Durability,
    /// PR: no key signs two digests for one place.
    Votes,
    /// VA: what is executed was signed by a member and was still valid.
    Validity,
    /// The units of an asset are conserved.
    Supply,
    /// A correct node never stops itself while at most f are faulty.
    Availability,
    /// AC: evidence can be checked by anybody, and convicts no correct key.
    Accountability,
    /// BM: what a replica keeps is bounded.
    Bounds,
    /// NC: no input makes the process panic.
    NoPanic,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Promise::Agreement => "agreement (AG)",
            Promise::ExactlyOnce => "exactly once (EO)",
            Promise::Determinism => "determinism (DT)",
            Promise::Durability => "durability (DU)",
            Promise::Votes => "one vote per place (PR)",
            Promise::Validity => "validity (VA)",
            Promise::Supply => "conservation of supply",
            Promise::Availability => "availability of correct nodes",
            Promise::Accountability => "accountability (AC)",
            Promise::Bounds => "bounded memory (BM)",
            Promise::NoPanic => "no panic (NC)",
        })
    }
}

/// A promise that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// What was seen, for people.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.promise, self.detail)
    }
}

/// Something that happened in a world. What liars do is shown to nobody: nothing is promised of them.
#[derive(Clone, Copy)]
pub enum Observation<'a> {
    /// A block has become durable at a node.
    Executed {
        /// Where.
        node: NodeIndex,
        /// The block.
        block: &'a Block,
        /// The node's store, the block included.
        store: &'a dyn Store,
    },
    /// A message has left a node.
    Released {
        /// Which node.
        node: NodeIndex,
        /// The message.
        message: &'a PeerMessage,
    },
    /// A node has put a certificate beside a block: clients may hold receipts of it from now on.
    Certified {
        /// Where.
        node: NodeIndex,
        /// The block's height.
        height: Height,
        /// The hash of its header there.
        header_hash: Digest,
    },
    /// A node has crashed; this is what lies on its disk.
    Crashed {
        /// Which node.
        node: NodeIndex,
        /// Its store.
        store: &'a dyn Store,
    },
    /// A replica has handled an input.
    Handled {
        /// Where.
        node: NodeIndex,
        /// The replica, after it.
        replica: &'a Replica,
    },
    /// A node holds evidence against somebody.
    Accused {
        /// Who holds it.
        node: NodeIndex,
        /// The evidence.
        evidence: &'a Evidence,
    },
    /// From here on a node lies, or somebody else signs with its key.
    Lies {
        /// Which node.
        node: NodeIndex,
        /// Its key.
        key: PublicKey,
    },
    /// A node has started without a vote journal that can be trusted: its key signs no vote any more.
    Amnesiac {
        /// Which node.
        node: NodeIndex,
        /// Its key.
        key: PublicKey,
    },
    /// An amnesiac has started again, and what it had lost matters no longer: it votes.
    Remembers {
        /// Which node.
        node: NodeIndex,
        /// Its key.
        key: PublicKey,
    },
    /// A node's disk is lost with everything on it.
    Wiped {
        /// Which node.
        node: NodeIndex,
        /// Its key.
        key: PublicKey,
    },
    /// The world ends: what can heal has healed, and all correct nodes have caught up.
    Ended {
        /// The stores of all correct nodes.
        stores: &'a [(NodeIndex, &'a dyn Store)],
        /// The height that all of them have reached.
        height: Height,
        /// What the chain began with.
        genesis: &'a Genesis,
    },
}

/// A checker of one promise.
pub trait Invariant: Send {
    /// Looks at one observation.
    ///
    /// # Errors
    ///
    /// The violation, if the promise is broken by it.
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation>;
}

/// The header hash at a height of a store that must be readable.
pub(super) fn header_hash_at(store: &dyn Store, height: Height) -> Option<Digest> {
    let header = store.header(height).expect("a simulated store can be read");
    header.map(|header| header.hash())
}
