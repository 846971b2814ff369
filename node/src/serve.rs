//! Answers to what other nodes ask of the chain, on a thread of its own, since it reads the disk.
//!
//! How much a peer may ask is bounded by the replica, how much may wait here by the queue: what is too much is dropped, and
//! whoever needs it asks again or asks somebody else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use quorate_protocol::id::NodeIndex;
use quorate_protocol::replica::SyncMessage;
use quorate_protocol::replica::serve::answer;
use quorate_protocol::store::{Store, StoreError};
use tracing::warn;

use crate::fault::Fault;
use crate::halt::Halt;
use crate::send::Outbound;
use crate::threads::spawn;

/// Requests of all peers that may wait.
const REQUESTS_MAX: usize = 256;

/// A question of a peer.
pub type Request = (NodeIndex, SyncMessage);

/// The thread's state.
struct Server {
    store: Arc<dyn Store>,
    outbound: Outbound,
    halt: Arc<Halt>,
}

/// Starts the thread; it ends when the sender is dropped. A full queue is the sender's to count.
///
/// # Errors
/// The operating system gives no thread.
pub fn start(
    store: Arc<dyn Store>,
    outbound: Outbound,
    halt: &Arc<Halt>,
) -> std::io::Result<(SyncSender<Request>, JoinHandle<()>)> {
    let (sender, requests) = sync_channel(REQUESTS_MAX);
    let server = Server { store, outbound, halt: Arc::clone(halt) };
    let thread = spawn("serve", halt, move || server.run(&requests))?;
    Ok((sender, thread))
}

impl Server {
    fn run(&self, requests: &Receiver<Request>) {
        while let Ok((to, request)) = requests.recv() {
            match answer(self.store.as_ref(), &request) {
                Ok(answers) => answers.iter().for_each(|answer| self.outbound.send(to, answer)),
                // What a quorum believes to be safe here is not: the store has to be checked as a whole.
                Err(error @ StoreError::Corrupt { .. }) => self.halt.raise(Fault::Damaged(error.to_string())),
                Err(error) => warn!(%to, %error, "a peer's request cannot be answered"),
            }
        }
    }
}
