//! The promises of the system, one file each, checked on everything that happens in a world.
//!
//! A checker sees [`Observation`]s and says when one of them breaks its promise. None of them asks a replica what it
//! thinks: they look at what left a node and at what lies on its disk.

mod accountability;
mod agreement;
mod bounds;
mod determinism;
mod durability;
mod exactly_once;
mod promise;
mod supply;
#[cfg(test)]
mod tests;
mod votes;

pub use accountability::Accountability;
pub use agreement::Agreement;
pub use bounds::Bounds;
pub use determinism::Determinism;
pub use durability::Durability;
pub use exactly_once::ExactlyOnce;
pub use promise::{Invariant, Observation, Promise, Violation};
pub use supply::Supply;
pub use votes::Votes;

use crate::document::Genesis;

/// All checkers.
#[must_use]
pub fn all(genesis: &Genesis) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(Determinism::default()),
        Box::new(Agreement::default()),
        Box::new(ExactlyOnce::default()),
        Box::new(Votes::default()),
        Box::new(Durability::new(genesis)),
        Box::new(Supply::new(genesis)),
        Box::new(Accountability::new(genesis)),
        Box::new(Bounds::new(genesis)),
    ]
}
