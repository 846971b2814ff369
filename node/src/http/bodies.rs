//! Bodies that are still coming.
//!
//! Bytes count as they come, not as they are announced, and until the whole body is there: then it is decoded at once. All bodies that
//! are still coming share some room. When that is full, the one that has been coming for the longest gives way: whoever sends without a
//! pause is done long before so much more has come, and whoever dallies keeps nobody out, however many bodies it begins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use quorate_protocol::limits::SUBMIT_BYTES_MAX;
use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Bytes of all bodies that are still coming.
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why there is no whole body.
#[derive(Debug)]
pub(super) enum Broken {
    /// It gave way to others.
    Displaced,
    /// Its time is over.
    Late,
    /// It is longer than any submission.
    TooLarge,
    /// The connection broke, or what came is no body.
    Ended(axum::Error),
}

/// All bodies that are still coming.
#[derive(Debug)]
pub(super) struct Bodies {
    room: Mutex<Room>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Room {
    bytes: usize,
    /// How many have begun.
    begun: u64,
    /// By the order in which they began.
    coming: BTreeMap<u64, Coming>,
}

#[derive(Debug, Default)]
struct Coming {
    bytes: usize,
    displaced: Arc<Notify>,
}

/// One of them; dropping it gives its room back.
struct Held<'a> {
    bodies: &'a Bodies,
    number: u64,
    displaced: Arc<Notify>,
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies { room: Mutex::default(), bytes_max: BODIES_BYTES_MAX }
    }
}

impl Bodies {
    /// Reads a body to its end, for as long as `patience` at most.
    pub(super) async fn read(&self, body: Body, patience: Duration) -> Result<Vec<u8>, Broken> {
        let until = Instant::now() + patience;
        let held = self.begin();
        let mut stream = body.into_data_stream();
        let mut bytes = Vec::new();
        loop {
            let next = select! {
                biased;
                () = held.displaced.notified() => return Err(Broken::Displaced),
                next = timeout_at(until, stream.next()) => next,
            };
            let Some(piece) = next.map_err(|_| Broken::Late)? else { return Ok(bytes) };
            let piece = piece.map_err(Broken::Ended)?;
            if bytes.len() + piece.len() > SUBMIT_BYTES_MAX {
                return Err(Broken::TooLarge);
            }
            bytes.extend_from_slice(&piece);
            held.hold(bytes.capacity())?;
        }
    }

    fn begin(&self) -> Held<'_> {
        let mut room = self.lock();
        let number = room.begun;
        room.begun += 1;
        let displaced = Arc::clone(&room.coming.entry(number).or_default().displaced);
        Held { bodies: self, number, displaced }
    }

    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Held<'_> {
    /// Has so many bytes now. Where that is too much for all together, the oldest give way.
    fn hold(&self, bytes: usize) -> Result<(), Broken> {
        let mut room = self.bodies.lock();
        let Some(coming) = room.coming.get_mut(&self.number) else { return Err(Broken::Displaced) };
        let before = std::mem::replace(&mut coming.bytes, bytes);
        room.bytes = room.bytes - before + bytes;
        while room.bytes > self.bodies.bytes_max
            && let Some((_, oldest)) = room.coming.pop_first()
        {
            room.bytes -= oldest.bytes;
            oldest.displaced.notify_one();
        }
        if room.coming.contains_key(&self.number) { Ok(()) } else { Err(Broken::Displaced) }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut room = self.bodies.lock();
        if let Some(coming) = room.coming.remove(&self.number) {
            room.bytes -= coming.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;

    use axum::body::Bytes;
    use futures::{FutureExt, stream};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// A body of which no more comes, nor its end.
    fn stalled(begin: Vec<u8>) -> Body {
        Body::from_stream(stream::iter([Ok::<_, Infallible>(Bytes::from(begin))]).chain(stream::pending()))
    }

    #[test]
    fn the_body_that_has_been_coming_for_the_longest_gives_way_to_one_that_comes_at_once() {
        let bodies = Bodies { bytes_max: 3_000, ..Bodies::default() };
        run(async {
            let mut first = pin!(bodies.read(stalled(vec![1; 1_500]), PATIENCE));
            let mut second = pin!(bodies.read(stalled(vec![2; 1_000]), PATIENCE));
            // Each begins, takes what there is, and waits for the rest.
            assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
            assert_eq!(bodies.read(Body::from(vec![3; 1_000]), PATIENCE).await.unwrap(), vec![3; 1_000]);
            assert!(matches!(first.as_mut().now_or_never(), Some(Err(Broken::Displaced))));
            assert!(second.as_mut().now_or_never().is_none(), "there was room for it");
            assert_eq!(bodies.lock().bytes, 1_000);
        });
        assert!(bodies.lock().bytes == 0 && bodies.lock().coming.is_empty());
    }

    #[test]
    fn a_body_counts_with_what_has_come_of_it() {
        let bodies = Bodies { bytes_max: 3_000, ..Bodies::default() };
        run(async {
            // A hundred announce what they like, and send a byte.
            let mut trickling: Vec<_> = (0..100).map(|_| Box::pin(bodies.read(stalled(vec![1]), PATIENCE))).collect();
            assert!(trickling.iter_mut().all(|body| body.now_or_never().is_none()));
            assert!(bodies.read(Body::from(vec![3; 2_000]), PATIENCE).await.is_ok());
            assert!(trickling.iter_mut().all(|body| body.now_or_never().is_none()), "nobody had to give way");
        });
    }

    #[test]
    fn a_body_has_an_end_in_time_and_in_length() {
        let bodies = Bodies::default();
        run(async {
            let late = bodies.read(stalled(vec![1]), Duration::from_millis(1)).await;
            assert!(matches!(late, Err(Broken::Late)), "{late:?}");
            let most = bodies.read(Body::from(vec![1; SUBMIT_BYTES_MAX]), PATIENCE).await;
            assert_eq!(most.unwrap().len(), SUBMIT_BYTES_MAX);
            let more = bodies.read(Body::from(vec![1; SUBMIT_BYTES_MAX + 1]), PATIENCE).await;
            assert!(matches!(more, Err(Broken::TooLarge)), "{more:?}");
        });
    }
}
