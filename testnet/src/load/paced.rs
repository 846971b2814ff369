//! At a rate, whatever becomes of what was sent before (open loop).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::clients::Clients;
use super::sample::{Samples, Sent};

/// Up to this rate, per second, each transaction goes out by itself the moment that it is due.
const SINGLE_RATE_MAX: u64 = 500;
/// Above it, those that fall due within so long go out together when the last of them is due, as a gateway would send
/// them: a request costs more than a signature. The first of them has waited so long already, and that counts.
const GATHERED: Duration = Duration::from_millis(5);
/// Threads that send, each one request at a time. When all of them wait, what is due goes out late, and that counts.
const SENDERS: usize = 192;

impl Clients {
    /// Sends `rate` transactions a second, each when it is due.
    pub fn paced(&self, transactions: &[Vec<u8>], rate: u64) -> Samples {
        let step = Duration::from_secs(1).div_f64(rate.max(1) as f64);
        let group = group(rate);
        let groups: Vec<&[Vec<u8>]> = transactions.chunks(group).collect();
        let next = AtomicUsize::new(0);
        let begin = Instant::now();
        let send = || {
            let mut sent = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(list) = groups.get(number) else { return sent };
                let due = step.mul_f64((number * group) as f64);
                let last = due + step.mul_f64((list.len() - 1) as f64);
                thread::sleep(last.saturating_sub(begin.elapsed()));
                let (applied, other) = self.send(number, list);
                sent.push(Sent { due, step, answered: begin.elapsed(), applied, other });
            }
        };
        let sent = thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS.min(groups.len())).map(|_| scope.spawn(send)).collect();
            senders.into_iter().flat_map(|sender| sender.join().unwrap_or_default()).collect()
        });
        Samples::of(sent)
    }
}

/// How many go out together.
fn group(rate: u64) -> usize {
    if rate <= SINGLE_RATE_MAX {
        return 1;
    }
    let gathered = (rate as f64 * GATHERED.as_secs_f64()).round() as usize;
    gathered.clamp(1, 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_go_alone_and_many_in_groups_of_five_milliseconds() {
        assert_eq!([1, 100, 500].map(group), [1, 1, 1]);
        assert_eq!([1_000, 10_000, 1_000_000].map(group), [5, 50, 500]);
    }
}
