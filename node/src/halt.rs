//! Why this node has stopped signing, if it has.

use std::sync::Mutex;

use tracing::error;

/// The first reason for which signing stopped. The node goes on serving reads; only a restart lifts it.
#[derive(Debug, Default)]
pub struct Halt {
    reason: Mutex<Option<String>>,
}

impl Halt {
    /// Stops signing. Only the first reason is kept: what follows is a consequence.
    pub fn set(&self, reason: &str) {
        error!(reason, "signing stopped");
        let mut kept = self.reason.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        kept.get_or_insert_with(|| reason.to_string());
    }

    /// The reason, if signing stopped.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}
