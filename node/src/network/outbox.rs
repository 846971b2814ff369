//! Frames that wait for one peer, by priority class (PROTOCOL 9.2).
//!
//! Any thread may put a frame in, at the cost of a short lock; it never waits. The connection's task takes frames out.
//! Each class is bounded in frames and in bytes by itself, so a flood in one never displaces another; what overflows is
//! dropped and counted, and comes back by STATUS.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use libp2p::swarm::ConnectionId;

use super::frame::{Class, Frame, StreamKind};

/// The queues of one peer.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The connection that may take frames; without one, nothing is queued.
    active: Option<ConnectionId>,
    queues: [Queue; Class::ALL.len()],
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Bytes that the class may still send in this turn; a large frame may overdraw it.
    credit: i64,
}

impl Outbox {
    /// Opens the queues for a connection. They start empty: what was queued for an earlier one is stale.
    pub(super) fn activate(&mut self, connection: ConnectionId) {
        self.queues = Default::default();
        self.active = Some(connection);
    }

    /// Closes the queues and forgets what is in them.
    pub(super) fn deactivate(&mut self) {
        self.queues = Default::default();
        self.active = None;
    }

    pub(super) fn active(&self) -> Option<ConnectionId> {
        self.active
    }

    /// Queues a frame; false when it had to be dropped. The caller wakes what is returned, outside its lock.
    pub(super) fn push(&mut self, frame: &Frame) -> (bool, Option<Waker>) {
        let queue = &mut self.queues[frame.class().slot()];
        let limits = frame.class().limits();
        let full =
            queue.frames.len() >= limits.frames || (queue.bytes > 0 && queue.bytes + frame.size() > limits.bytes);
        if self.active.is_none() || full {
            return (false, None);
        }
        queue.bytes += frame.size();
        queue.frames.push_back(frame.bytes().clone());
        (true, self.waker.take())
    }

    /// The next frame for a stream of this connection. Without one, `waker` is woken as soon as there may be one.
    pub(super) fn pop(&mut self, connection: ConnectionId, stream: StreamKind, waker: &Waker) -> Option<Bytes> {
        if self.active != Some(connection) {
            return None;
        }
        let frame = self.choose(stream).and_then(|class| self.take(class));
        if frame.is_none() {
            self.waker = Some(waker.clone());
        }
        frame
    }

    /// The most urgent waiting class that has credit left. When none has, a new turn begins and every class gets its
    /// share again: so the urgent go first, and yet none waits for ever.
    fn choose(&mut self, stream: StreamKind) -> Option<Class> {
        let waiting =
            |class: &Class, queues: &[Queue]| class.stream() == stream && !queues[class.slot()].frames.is_empty();
        if !Class::ALL.iter().any(|class| waiting(class, &self.queues)) {
            return None;
        }
        loop {
            let found = Class::ALL
                .into_iter()
                .find(|class| waiting(class, &self.queues) && self.queues[class.slot()].credit > 0);
            if found.is_some() {
                return found;
            }
            // Ends: each turn adds to a class that waits, and an overdraft is at most one frame.
            for class in Class::ALL.into_iter().filter(|class| class.stream() == stream) {
                let share = class.limits().share as i64;
                let queue = &mut self.queues[class.slot()];
                queue.credit = (queue.credit + share).min(share);
            }
        }
    }

    fn take(&mut self, class: Class) -> Option<Bytes> {
        let queue = &mut self.queues[class.slot()];
        let frame = queue.frames.pop_front()?;
        queue.bytes -= frame.len();
        queue.credit -= frame.len() as i64;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECTION: fn() -> ConnectionId = || ConnectionId::new_unchecked(1);

    fn outbox() -> Outbox {
        let mut outbox = Outbox::default();
        outbox.activate(CONNECTION());
        outbox
    }

    fn frame(class: Class, payload: usize) -> Frame {
        Frame::from_payload(class, &vec![class as u8; payload]).expect("within the limit")
    }

    fn pop(outbox: &mut Outbox, stream: StreamKind) -> Option<u8> {
        outbox.pop(CONNECTION(), stream, Waker::noop()).map(|bytes| bytes[5])
    }

    #[test]
    fn the_most_urgent_class_goes_first() {
        let mut outbox = outbox();
        for class in Class::ALL.into_iter().rev() {
            assert!(outbox.push(&frame(class, 10)).0);
        }
        let votes: Vec<u8> = std::iter::from_fn(|| pop(&mut outbox, StreamKind::Vote)).collect();
        let sync: Vec<u8> = std::iter::from_fn(|| pop(&mut outbox, StreamKind::Sync)).collect();
        assert_eq!(votes, [1, 2, 3, 4, 6]);
        assert_eq!(sync, [5, 7, 8]);
    }

    #[test]
    fn every_class_gets_its_share_while_all_are_flooded() {
        let mut outbox = outbox();
        let mut sent = [0usize; 8];
        let votes = Class::ALL.into_iter().filter(|class| class.stream() == StreamKind::Vote);
        let frames: Vec<Frame> = votes.clone().map(|class| frame(class, 200)).collect();
        for _ in 0..100_000 {
            for frame in &frames {
                outbox.push(frame);
            }
            let kind = pop(&mut outbox, StreamKind::Vote).expect("never empty");
            sent[usize::from(kind) - 1] += frames[0].size();
        }
        let shares: usize = votes.clone().map(|class| class.limits().share).sum();
        let all: usize = sent.iter().sum();
        for class in votes {
            let guaranteed = all * class.limits().share / shares;
            let got = sent[class.slot()];
            assert!(got * 10 >= guaranteed * 9, "{class:?} got {got} of {guaranteed} bytes");
        }
    }

    #[test]
    fn a_frame_above_its_share_is_sent_and_paid_for_later() {
        let mut outbox = outbox();
        outbox.push(&frame(Class::ViewChange, 4_000_000));
        for _ in 0..10 {
            outbox.push(&frame(Class::Prepare, 200));
        }
        outbox.push(&frame(Class::ViewChange, 10));
        assert_eq!(pop(&mut outbox, StreamKind::Vote), Some(1));
        let rest: Vec<u8> = std::iter::from_fn(|| pop(&mut outbox, StreamKind::Vote)).collect();
        assert_eq!(rest.iter().filter(|kind| **kind == 3).count(), 10);
        assert_eq!(rest.last(), Some(&1), "the overdraft is paid before the next one");
    }

    #[test]
    fn each_class_is_bounded_by_itself_in_frames_and_bytes() {
        for class in Class::ALL {
            let limits = class.limits();
            let mut outbox = outbox();
            let small = frame(class, 0);
            let taken = (0..limits.frames + 10).filter(|_| outbox.push(&small).0).count();
            assert_eq!(taken, limits.frames.min(limits.bytes / small.size()), "{class:?} frames");
            let mut outbox = self::outbox();
            let large = frame(class, limits.payload);
            let taken = (0..limits.frames + 10).filter(|_| outbox.push(&large).0).count();
            assert!(taken >= 1 && (taken == 1 || taken * large.size() <= limits.bytes), "{class:?} bytes");
            let other = Class::ALL.into_iter().find(|other| *other != class).expect("eight classes");
            assert!(outbox.push(&frame(other, 10)).0, "{other:?} has its own room");
        }
    }

    #[test]
    fn nothing_is_queued_without_a_connection_and_nothing_stale_is_kept() {
        let mut outbox = Outbox::default();
        assert!(!outbox.push(&frame(Class::Commit, 10)).0);
        outbox.activate(CONNECTION());
        assert!(outbox.push(&frame(Class::Commit, 10)).0);
        let newer = ConnectionId::new_unchecked(2);
        outbox.activate(newer);
        assert_eq!(outbox.pop(newer, StreamKind::Vote, Waker::noop()), None);
        assert!(outbox.push(&frame(Class::Commit, 10)).0);
        assert_eq!(pop(&mut outbox, StreamKind::Vote), None, "the older connection gets nothing");
        outbox.deactivate();
        assert!(!outbox.push(&frame(Class::Commit, 10)).0);
    }
}
