//! Why this node has stopped signing, if it has.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use tracing::error;

use crate::fault::Fault;

/// The first reason for which signing stopped. The node goes on serving reads; only a restart lifts it.
#[derive(Debug, Default)]
pub struct Halt {
    state: Mutex<State>,
    /// Told of a fault.
    raised: Notify,
}

#[derive(Debug, Default)]
struct State {
    reason: Option<String>,
    fault: Option<Fault>,
}

impl Halt {
    /// Stops signing. Only the first reason is kept: what follows is a consequence.
    pub fn set(&self, reason: &str) {
        error!(reason, "signing stopped");
        self.lock().reason.get_or_insert_with(|| reason.to_string());
    }

    /// Stops signing because the chain store is at fault, and tells whoever waits for [`Halt::fault`].
    pub fn raise(&self, fault: Fault) {
        self.set(&fault.to_string());
        self.lock().fault.get_or_insert(fault);
        self.raised.notify_one();
    }

    /// The reason, if signing stopped.
    pub fn reason(&self) -> Option<String> {
        self.lock().reason.clone()
    }

    /// Waits until the chain store is at fault. One may wait at a time.
    pub async fn fault(&self) -> Fault {
        loop {
            // A permit is kept for whoever comes after the fault.
            if let Some(fault) = self.lock().fault.clone() {
                return fault;
            }
            self.raised.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
