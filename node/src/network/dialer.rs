//! Who dials whom, and when.
//!
//! Of two validators the lower index dials, so that there is one connection between them. A failed or lost connection is
//! dialled again after a delay that doubles up to a cap, with jitter so that restarted nodes do not all call at once.

use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use quorate_protocol::id::NodeIndex;

/// Delays between dials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub min: Duration,
    pub max: Duration,
}

/// One peer that this node dials.
#[derive(Debug)]
struct Target {
    index: NodeIndex,
    id: PeerId,
    address: Multiaddr,
    /// When to dial; `None` while a dial is under way or a connection stands.
    due: Option<Instant>,
    failures: u32,
}

/// A dial to start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub index: NodeIndex,
    pub id: PeerId,
    pub address: Multiaddr,
}

/// Keeps the peers that this node dials.
#[derive(Debug)]
pub(super) struct Dialer {
    targets: Vec<Target>,
    backoff: Backoff,
}

impl Dialer {
    /// All of `targets` are due at once.
    pub(super) fn new(targets: Vec<Dial>, backoff: Backoff, now: Instant) -> Dialer {
        let targets = targets
            .into_iter()
            .map(|dial| Target { index: dial.index, id: dial.id, address: dial.address, due: Some(now), failures: 0 })
            .collect();
        Dialer { targets, backoff }
    }

    /// When `next` has something to return.
    pub(super) fn due(&self) -> Option<Instant> {
        self.targets.iter().filter_map(|target| target.due).min()
    }

    /// A dial that is due. It is under way then, until `on_connected` or `on_lost`.
    pub(super) fn next(&mut self, now: Instant) -> Option<Dial> {
        let target = self.targets.iter_mut().find(|target| target.due.is_some_and(|due| due <= now))?;
        target.due = None;
        Some(Dial { index: target.index, id: target.id, address: target.address.clone() })
    }

    /// The peer is connected, hello included.
    pub(super) fn on_connected(&mut self, index: NodeIndex) {
        if let Some(target) = self.targets.iter_mut().find(|target| target.index == index) {
            target.failures = 0;
            target.due = None;
        }
    }

    /// A dial failed, or no connection to the peer is left. `random` is any number. Returns how often this has happened
    /// since the peer was last connected; `None` for a peer that is dialled later anyway, or never.
    pub(super) fn on_lost(&mut self, id: &PeerId, now: Instant, random: u64) -> Option<u32> {
        let backoff = self.backoff;
        let target = self.targets.iter_mut().find(|target| target.id == *id && target.due.is_none())?;
        target.due = Some(now + backoff.delay(target.failures, random));
        target.failures = target.failures.saturating_add(1);
        Some(target.failures)
    }
}

impl Backoff {
    /// Between half and the whole of `min` x 2^failures, capped.
    fn delay(self, failures: u32, random: u64) -> Duration {
        let full = self.min.saturating_mul(1 << failures.min(16)).min(self.max);
        let share = (random % 1024) as f64 / 2048.0;
        full.mul_f64(0.5 + share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(1) };

    #[test]
    fn delays_double_up_to_the_cap_and_keep_their_jitter() {
        assert_eq!(BACKOFF.delay(0, 0), Duration::from_millis(50));
        assert_eq!(BACKOFF.delay(2, 0), Duration::from_millis(200));
        for failures in 0..100 {
            for random in [0, 500, 1023, u64::MAX] {
                let delay = BACKOFF.delay(failures, random);
                assert!(delay <= BACKOFF.max && delay >= BACKOFF.min / 2, "{delay:?}");
            }
        }
        assert_ne!(BACKOFF.delay(5, 0), BACKOFF.delay(5, 1000));
    }

    #[test]
    fn a_peer_is_dialled_once_and_again_only_when_it_was_lost() {
        let now = Instant::now();
        let dial = |index| Dial { index: NodeIndex(index), id: PeerId::random(), address: Multiaddr::empty() };
        let (one, two) = (dial(1), dial(2));
        let (first, second) = (one.id, two.id);
        let mut dialer = Dialer::new(vec![one, two], BACKOFF, now);
        assert_eq!(dialer.next(now).map(|dial| dial.id), Some(first));
        assert_eq!(dialer.next(now).map(|dial| dial.id), Some(second));
        assert_eq!((dialer.next(now), dialer.due()), (None, None));
        assert_eq!(dialer.on_lost(&first, now, 0), Some(1));
        assert_eq!(dialer.on_lost(&first, now, 0), None);
        let due = dialer.due().expect("one is due");
        assert_eq!(due, now + BACKOFF.min / 2, "losing it twice counts once");
        assert_eq!(dialer.next(now), None);
        assert_eq!(dialer.next(due).map(|dial| dial.id), Some(first));
        assert_eq!(dialer.on_lost(&first, now, 0), Some(2));
        assert_eq!(dialer.due(), Some(now + BACKOFF.min), "the second failure waits longer");
        dialer.on_connected(NodeIndex(1));
        assert_eq!(dialer.due(), None);
        assert_eq!(dialer.on_lost(&first, now, 0), Some(1));
        assert_eq!(dialer.due(), Some(now + BACKOFF.min / 2), "a connection forgives");
        assert_eq!(dialer.on_lost(&PeerId::random(), now, 0), None, "not ours to dial");
    }
}
