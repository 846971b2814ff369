//! All checkers of a world, and the first promise that they saw broken.

use super::invariants::{Invariant, Observation, Violation};

/// See the file.
pub(super) struct Watch {
    invariants: Vec<Box<dyn Invariant>>,
    violation: Option<Violation>,
}

impl Watch {
    pub fn new(invariants: Vec<Box<dyn Invariant>>) -> Watch {
        Watch { invariants, violation: None }
    }

    /// Shows an observation to every checker. What it breaks, if anything.
    pub fn show(&mut self, observation: Observation<'_>) -> Option<Violation> {
        self.invariants.iter_mut().find_map(|invariant| invariant.observe(observation).err())
    }

    /// Keeps the first violation.
    pub fn keep(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }
}
