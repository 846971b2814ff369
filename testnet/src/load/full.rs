//! As fast as it is committed: a fixed number of requests is always open (closed loop).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::clients::Clients;
use super::sample::{Samples, Sent};

/// Transactions in one request.
const LIST: usize = 500;
/// Requests that are open: enough that every stage of every node has work.
const OPEN_REQUESTS: usize = 24;

impl Clients {
    /// Sends everything as fast as it is committed, spread over all nodes, for `duration` at most.
    pub fn full(&self, transactions: &[Vec<u8>], duration: Duration) -> Samples {
        let lists: Vec<&[Vec<u8>]> = transactions.chunks(LIST).collect();
        let next = AtomicUsize::new(0);
        let begin = Instant::now();
        let send = |sender: usize| {
            let mut sent = Vec::new();
            while begin.elapsed() < duration {
                let Some(list) = lists.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let due = begin.elapsed();
                let (applied, other) = self.send(sender, list);
                sent.push(Sent { due, step: Duration::ZERO, answered: begin.elapsed(), applied, other });
            }
            sent
        };
        let sent = thread::scope(|scope| {
            let senders: Vec<_> = (0..OPEN_REQUESTS).map(|sender| scope.spawn(move || send(sender))).collect();
            senders.into_iter().flat_map(|sender| sender.join().unwrap_or_default()).collect()
        });
        Samples::of(sent)
    }
}
