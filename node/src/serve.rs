//! Answers to what other nodes ask of the chain, on a thread of its own, since it reads the disk.
//!
//! Requests are bounded per peer in number and in rate: what is too much is dropped, and whoever needs it asks again or
//! asks somebody else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use quorate_protocol::id::NodeIndex;
use quorate_protocol::limits::VALIDATORS_LIMIT;
use quorate_protocol::replica::SyncMessage;
use quorate_protocol::replica::serve::answer;
use quorate_protocol::store::Store;
use quorate_protocol::time::Instant;
use tracing::warn;

use crate::clock::Clock;
use crate::halt::Halt;
use crate::send::Outbound;
use crate::telemetry::{Counters, Drop};
use crate::threads::spawn;

/// Requests of all peers that may wait.
const REQUESTS_MAX: usize = 256;
/// Requests that a peer may make at once; each costs at most one frame of reading.
const BURST: u32 = 32;
/// Microseconds after which a peer may make one more request: 64 a second, some 250 MiB a second at most.
const REFILL_MICROS: u64 = 1_000_000 / 64;

/// A question of a peer.
pub type Request = (NodeIndex, SyncMessage);

/// The thread's state.
struct Server {
    store: Arc<dyn Store>,
    outbound: Outbound,
    clock: Clock,
    counters: Arc<Counters>,
    allowances: [Allowance; VALIDATORS_LIMIT],
}

/// What a peer may still ask for, refilled with time.
#[derive(Clone, Copy)]
struct Allowance {
    left: u32,
    refilled: Instant,
}

/// Starts the thread; it ends when the sender is dropped. A full queue is the sender's to count.
///
/// # Errors
/// The operating system gives no thread.
pub fn start(
    store: Arc<dyn Store>,
    outbound: Outbound,
    clock: Clock,
    counters: Arc<Counters>,
    halt: &Arc<Halt>,
) -> std::io::Result<(SyncSender<Request>, JoinHandle<()>)> {
    let (sender, requests) = sync_channel(REQUESTS_MAX);
    let full = Allowance { left: BURST, refilled: clock.now().monotonic };
    let mut server = Server { store, outbound, clock, counters, allowances: [full; VALIDATORS_LIMIT] };
    let thread = spawn("serve", halt, move || server.run(&requests))?;
    Ok((sender, thread))
}

impl Allowance {
    /// Takes one, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let micros = u64::try_from(now.saturating_since(self.refilled).as_micros()).unwrap_or(u64::MAX);
        let more = micros / REFILL_MICROS;
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(BURST);
            self.refilled = now;
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}

impl Server {
    fn run(&mut self, requests: &Receiver<Request>) {
        while let Ok((to, request)) = requests.recv() {
            let now = self.clock.now().monotonic;
            if !self.allowances.get_mut(to.as_usize()).is_some_and(|allowance| allowance.take(now)) {
                self.counters.count(Drop::ServeFull);
                continue;
            }
            match answer(self.store.as_ref(), &request) {
                Ok(Some(answer)) => self.outbound.send(to, &answer),
                Ok(None) => {}
                Err(error) => warn!(%to, %error, "a peer's request cannot be answered"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_peer_gets_its_burst_and_then_its_rate() {
        let mut allowance = Allowance { left: BURST, refilled: Instant::ORIGIN };
        let granted = (0..100).filter(|_| allowance.take(Instant::ORIGIN)).count();
        assert_eq!(granted, BURST as usize);
        let later = Instant::from_micros(2 * REFILL_MICROS);
        assert_eq!([(); 3].map(|()| allowance.take(later)), [true, true, false]);
        let much_later = Instant::from_micros(u64::MAX);
        assert_eq!((0..100).filter(|_| allowance.take(much_later)).count(), BURST as usize);
    }
}
