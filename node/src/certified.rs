//! How far the chain is certified without a gap. Streams of events wait for it to grow.

use std::sync::{Arc, Mutex, PoisonError};

use quorate_protocol::id::Height;
use quorate_protocol::store::{Store, StoreError};
use tokio::sync::watch;

/// Where the certified chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// This block and all before it have their own certificates here: each receipt of them can be had.
    pub height: Height,
    /// The node stops; nothing more will come.
    pub stopping: bool,
}

/// See the module.
pub struct Certified {
    store: Arc<dyn Store>,
    /// The last block that is in the store.
    head: Mutex<Height>,
    tip: watch::Sender<Tip>,
}

impl Certified {
    /// Starts from what the store holds.
    ///
    /// # Errors
    /// The store is empty or cannot be read.
    pub fn of(store: Arc<dyn Store>) -> Result<Certified, StoreError> {
        let head = store.head()?.ok_or(StoreError::NotInitialized)?.height;
        let (tip, _) = watch::channel(Tip { height: Height::ZERO, stopping: false });
        let certified = Certified { store, head: Mutex::new(head), tip };
        certified.certified()?;
        Ok(certified)
    }

    /// Says that a block is in the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn executed(&self, height: Height) -> Result<(), StoreError> {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = height;
        self.certified()
    }

    /// Says that a certificate is in the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn certified(&self) -> Result<(), StoreError> {
        let head = *self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let lowest = self.store.uncertified(Height(1), 1)?.first().copied();
        let height = lowest.map_or(head, |lowest| Height(lowest.0 - 1));
        self.tip.send_if_modified(|tip| {
            let grows = height > tip.height;
            tip.height = tip.height.max(height);
            grows
        });
        Ok(())
    }

    /// Where the certified chain ends now.
    pub fn height(&self) -> Height {
        self.tip.borrow().height
    }

    /// To wait for more.
    pub fn watch(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// Ends whoever waits.
    pub fn stop(&self) {
        self.tip.send_modify(|tip| tip.stopping = true);
    }
}
