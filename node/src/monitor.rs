//! A value that some threads change and others wait for: a monitor after Hoare, with as few wake-ups as can be.
//!
//! Waking a thread costs more than most of what is posted. So a post wakes somebody only when somebody sleeps, and after the lock
//! is free, so that whoever wakes does not at once sleep again for the lock.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub struct Monitor<T> {
    inside: Mutex<Inside<T>>,
    posted: Condvar,
}

#[derive(Debug, Default)]
struct Inside<T> {
    value: T,
    /// Threads that sleep and that nobody has begun to wake.
    sleepers: usize,
}

impl<T> Monitor<T> {
    /// Around a value.
    pub fn new(value: T) -> Monitor<T> {
        Monitor { inside: Mutex::new(Inside { value, sleepers: 0 }), posted: Condvar::new() }
    }

    /// Reads or changes the value without waking anybody.
    pub fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.lock().value)
    }

    /// Changes the value and wakes one thread that waits for such a change.
    pub fn post<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut inside = self.lock();
        let result = change(&mut inside.value);
        let wake = inside.sleepers > 0;
        inside.sleepers = inside.sleepers.saturating_sub(1);
        drop(inside);
        if wake {
            self.posted.notify_one();
        }
        result
    }

    /// Changes the value and wakes everybody.
    pub fn post_all<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut inside = self.lock();
        inside.sleepers = 0;
        let result = change(&mut inside.value);
        drop(inside);
        self.posted.notify_all();
        result
    }

    /// Sleeps while `idle` holds, for `timeout` at most (for ever without one), and then takes what there is. Only a thread that waits
    /// alone may give a timeout: when it ends in the same moment as another's wake-up begins, one of two could sleep on.
    pub fn wait<R>(
        &self,
        timeout: Option<Duration>,
        mut idle: impl FnMut(&mut T) -> bool,
        take: impl FnOnce(&mut T) -> R,
    ) -> R {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut inside = self.lock();
        while idle(&mut inside.value) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            inside.sleepers += 1;
            let (woken, timed_out) = self.sleep(inside, left);
            inside = woken;
            if timed_out {
                // Nobody has begun to wake this thread, or did in the same moment: one wake-up too many at worst.
                inside.sleepers = inside.sleepers.saturating_sub(1);
            }
        }
        take(&mut inside.value)
    }

    fn sleep<'a>(
        &self,
        inside: MutexGuard<'a, Inside<T>>,
        left: Option<Duration>,
    ) -> (MutexGuard<'a, Inside<T>>, bool) {
        match left {
            None => (self.posted.wait(inside).unwrap_or_else(|poisoned| poisoned.into_inner()), false),
            Some(left) => {
                let (inside, result) =
                    self.posted.wait_timeout(inside, left).unwrap_or_else(|poisoned| poisoned.into_inner());
                (inside, result.timed_out())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        // A thread that panics with the lock leaves whole entries behind; the panic itself ends the node.
        self.inside.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Any wake-up that is lost leaves a thread asleep for ever, and the test with it.
    #[test]
    fn everything_that_is_posted_is_taken_whoever_sleeps() {
        const EACH: u64 = 20_000;
        let monitor = Arc::new(Monitor::new((0u64, false)));
        let taken = Arc::new(AtomicU64::new(0));
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let (monitor, taken) = (Arc::clone(&monitor), Arc::clone(&taken));
                std::thread::spawn(move || {
                    loop {
                        let idle = |(count, ended): &mut (u64, bool)| *count == 0 && !*ended;
                        let (got, ended) = monitor.wait(None, idle, |(count, ended)| {
                            let got = u64::from(*count > 0);
                            *count -= got;
                            (got, *ended && *count == 0)
                        });
                        taken.fetch_add(got, Ordering::Relaxed);
                        if ended {
                            return;
                        }
                    }
                })
            })
            .collect();
        let posters: Vec<_> = (0..2)
            .map(|_| {
                let monitor = Arc::clone(&monitor);
                std::thread::spawn(move || (0..EACH).for_each(|_| monitor.post(|(count, _)| *count += 1)))
            })
            .collect();
        posters.into_iter().for_each(|thread| thread.join().unwrap());
        monitor.post_all(|(_, ended)| *ended = true);
        takers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(taken.load(Ordering::Relaxed), 2 * EACH);
    }

    #[test]
    fn a_post_is_seen_by_who_waits_with_a_timeout() {
        let monitor = Arc::new(Monitor::new(0));
        for round in 1..=200 {
            let poster = Arc::clone(&monitor);
            let thread = std::thread::spawn(move || poster.post(|value| *value = round));
            let seen = monitor.wait(Some(Duration::from_secs(60)), |value| *value != round, |value| *value);
            assert_eq!(seen, round);
            thread.join().unwrap();
        }
        assert_eq!(monitor.wait(Some(Duration::from_millis(1)), |value| *value == 200, |value| *value), 200);
    }
}
