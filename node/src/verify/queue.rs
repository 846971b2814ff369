//! What waits to be verified.

use std::time::Duration;

use super::lanes::{Lanes, Submission};
use super::turns::Turns;
use crate::client::NoRoom;
use crate::monitor::Monitor;
use crate::network::{Class, ReceivedFrame, ReceivedGossip};

/// Frames that the votes' worker takes at once; a batch of them takes about as long as a millisecond.
const VOTE_TURN: usize = 256;
/// Bytes of frames that the votes' worker takes at once, and one frame more: a turn of each of some peers.
const VOTE_TURN_BYTES: usize = 256 * 1024;
/// Bytes of transactions that a bulk worker takes at once: about 1,024 of the usual size, the best batch.
const BULK_TURN_BYTES: usize = 256 * 1024;
/// The part of that which is clients' after a turn in which one of them forged. To find a forged signature in a batch costs ten times
/// what a good one costs, and what peers sent waits meanwhile: so it waits for some milliseconds at most.
const FORGED_TURN_BYTES: usize = 16 * 1024;

/// How many times as long as a turn of transactions takes, frames that wait may take after it. They hold what agreement waits for, and
/// transactions may take long: where one is forged, ten times as long as others.
const FRAMES_SHARE: i64 = 2;

/// What one side owes the other at most, in microseconds: a worker that was kept waiting for long does not owe all of that.
const OWED_MAX: i64 = 300_000;

/// The queue is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// Transactions from outside, by the door that they came to.
#[derive(Debug)]
pub(super) enum Arrival {
    Gossip(ReceivedGossip),
    Client(Submission),
}

/// What a bulk worker's last turn was, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    /// There was none.
    Nothing,
    /// On a frame.
    Frame(Duration),
    /// On transactions; `forged` says whether a client forged one.
    Arrivals { took: Duration, forged: bool },
}

/// One turn of a bulk worker.
#[derive(Debug)]
pub(super) enum Bulk {
    /// A frame with bodies or blocks, or a request for some.
    Frame(ReceivedFrame),
    /// Transactions that are verified together.
    Arrivals(Vec<Arrival>),
}

/// See the module above.
#[derive(Debug, Default)]
pub struct VerifyQueue {
    votes: Monitor<VoteLane>,
    bulk: Monitor<BulkLanes>,
}

#[derive(Debug, Default)]
struct VoteLane {
    frames: Turns<ReceivedFrame>,
    closed: bool,
}

#[derive(Debug, Default)]
struct BulkLanes {
    frames: Turns<ReceivedFrame>,
    gossip: Turns<ReceivedGossip>,
    clients: Lanes,
    /// For how many microseconds frames go before transactions; below zero, what frames took too much.
    frames_owed: i64,
    /// Whether a client forged something in the last turn of transactions.
    forged: bool,
    closed: bool,
}

impl VerifyQueue {
    /// Queues a peer's frame. The network's budget of that peer bounds them.
    pub fn push_frame(&self, frame: ReceivedFrame) {
        match frame.class {
            Class::Bodies | Class::Sync | Class::Transactions => {
                self.bulk.post(|lanes| lanes.frames.push(frame));
            }
            Class::ViewChange | Class::Commit | Class::Prepare | Class::PrePrepare | Class::Status => {
                self.votes.post(|lane| lane.frames.push(frame));
            }
        }
    }

    /// Queues gossip. The network's budget of the peer that passed it on bounds it.
    pub fn push_gossip(&self, gossip: ReceivedGossip) {
        self.bulk.post(|lanes| lanes.gossip.push(gossip));
    }

    /// Queues a client's transactions, all of them or none.
    ///
    /// # Errors
    /// There is no room for so many, or none for this client; or the queue is closed.
    pub fn push_client(&self, submission: Submission) -> Result<(), NoRoom> {
        self.bulk.post(|lanes| if lanes.closed { Err(NoRoom::Full) } else { lanes.clients.push(submission) })
    }

    /// What waits: votes; frames with bodies or blocks; arrivals of transactions, many in each.
    pub fn depths(&self) -> [usize; 3] {
        let votes = self.votes.with(|lane| lane.frames.len());
        let [frames, arrivals] = self.bulk.with(|lanes| [lanes.frames.len(), lanes.gossip.len() + lanes.clients.len()]);
        [votes, frames, arrivals]
    }

    /// Ends the workers; what waits is dropped.
    pub fn close(&self) {
        self.votes.post_all(|lane| *lane = VoteLane { closed: true, ..VoteLane::default() });
        self.bulk.post_all(|lanes| *lanes = BulkLanes { closed: true, ..BulkLanes::default() });
    }

    /// Waits for votes and takes a turn of them.
    pub(super) fn take_votes(&self) -> Result<Vec<ReceivedFrame>, Closed> {
        let idle = |lane: &mut VoteLane| lane.frames.is_empty() && !lane.closed;
        self.votes.wait(None, idle, |lane| if lane.closed { Err(Closed) } else { Ok(lane.take()) })
    }

    /// Waits for bulk and takes a turn of it.
    pub(super) fn take_bulk(&self, spent: Spent) -> Result<Bulk, Closed> {
        let idle = |lanes: &mut BulkLanes| lanes.frames.is_empty() && !lanes.has_arrivals() && !lanes.closed;
        self.bulk.wait(None, idle, |lanes| if lanes.closed { Err(Closed) } else { Ok(lanes.take_bulk(spent)) })
    }
}

impl VoteLane {
    fn take(&mut self) -> Vec<ReceivedFrame> {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while frames.len() < VOTE_TURN
            && bytes < VOTE_TURN_BYTES
            && let Some(frame) = self.frames.pop()
        {
            bytes += frame.payload.len();
            frames.push(frame);
        }
        frames
    }
}

impl BulkLanes {
    fn has_arrivals(&self) -> bool {
        !(self.gossip.is_empty() && self.clients.is_empty())
    }

    fn take_bulk(&mut self, spent: Spent) -> Bulk {
        let micros = |took: Duration| i64::try_from(took.as_micros()).unwrap_or(i64::MAX).min(OWED_MAX);
        let owed = match spent {
            Spent::Nothing => self.frames_owed,
            Spent::Frame(took) => self.frames_owed - micros(took),
            Spent::Arrivals { took, forged } => {
                self.forged = forged;
                self.frames_owed + micros(took) * FRAMES_SHARE
            }
        };
        // Nobody saves up while nothing of it waits.
        let least = if self.has_arrivals() { -OWED_MAX } else { 0 };
        let most = if self.frames.is_empty() { 0 } else { OWED_MAX };
        self.frames_owed = owed.clamp(least, most);
        let frame_turn = !self.has_arrivals() || self.frames_owed > 0;
        if frame_turn && let Some(frame) = self.frames.pop() {
            return Bulk::Frame(frame);
        }
        self.take_arrivals(if self.forged { FORGED_TURN_BYTES } else { BULK_TURN_BYTES })
    }

    /// Where both wait, gossip has three quarters of the turn and clients the rest: neither delays the other by more. Gossip is what
    /// the clients of all other nodes sent, and what it brings late must be fetched for a proposal that names it.
    fn take_arrivals(&mut self, clients_max: usize) -> Bulk {
        let gossip_max = if self.clients.is_empty() { BULK_TURN_BYTES } else { BULK_TURN_BYTES / 4 * 3 };
        let (mut arrivals, mut bytes) = (Vec::new(), 0);
        while bytes < gossip_max
            && let Some(gossip) = self.gossip.pop()
        {
            bytes += gossip.data.len();
            arrivals.push(Arrival::Gossip(gossip));
        }
        let clients = self.clients.take(BULK_TURN_BYTES.saturating_sub(bytes).min(clients_max));
        arrivals.extend(clients.into_iter().map(Arrival::Client));
        Bulk::Arrivals(arrivals)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::tests::submission;
    use super::*;
    use crate::client::tests::client;

    /// What a worker takes, gossip and clients counted by themselves.
    fn take(queue: &VerifyQueue) -> [usize; 2] {
        let Ok(Bulk::Arrivals(arrivals)) = queue.take_bulk(Spent::Nothing) else { panic!("arrivals") };
        let gossip = arrivals.iter().filter(|arrival| matches!(arrival, Arrival::Gossip(_))).count();
        [gossip, arrivals.len() - gossip]
    }

    #[test]
    fn neither_clients_nor_gossip_wait_for_the_other() {
        let queue = VerifyQueue::default();
        (0..5_000).for_each(|_| queue.push_client(submission(client(1, 1), 1, 0)).unwrap());
        (0..9).for_each(|_| queue.push_gossip(ReceivedGossip::of_bytes(BULK_TURN_BYTES / 4)));
        let [gossip, clients] = take(&queue);
        assert!(gossip == 3 && clients > 100, "three quarters of a turn, and one: {gossip} {clients}");
        assert_eq!(queue.depths(), [0, 0, 5_000 + 9 - gossip - clients]);
        (0..2).for_each(|_| assert_eq!(take(&queue)[0], 3));
        assert_eq!(take(&queue)[0], 0, "clients have the whole turn when they are alone");
    }

    #[test]
    fn after_a_forged_signature_clients_have_a_short_turn() {
        let queue = VerifyQueue::default();
        (0..1_000).for_each(|_| queue.push_client(submission(client(1, 1), 1, 0)).unwrap());
        let turn = |spent| match queue.take_bulk(spent) {
            Ok(Bulk::Arrivals(arrivals)) => arrivals.len(),
            other => panic!("{other:?}"),
        };
        let took = Duration::ZERO;
        assert!(turn(Spent::Arrivals { took, forged: true }) < 128);
        assert!(turn(Spent::Frame(took)) < 128, "a frame between them changes nothing");
        assert!(turn(Spent::Arrivals { took, forged: false }) > 512);
    }

    /// A turn of forged transactions takes ten times as long as others. If frames had a turn for each, whoever forges would keep what
    /// agreement waits for away from the replica.
    #[test]
    fn frames_may_take_twice_as_long_as_the_transactions_before_them() {
        let queue = VerifyQueue::default();
        let is_frame = |spent| {
            queue.push_client(submission(client(1, 1), 1, 0)).unwrap();
            matches!(queue.take_bulk(spent), Ok(Bulk::Frame(_)))
        };
        let frame = |millis| Spent::Frame(Duration::from_millis(millis));
        let arrivals = |millis| Spent::Arrivals { took: Duration::from_millis(millis), forged: false };
        assert!(!is_frame(Spent::Nothing));
        assert!(!is_frame(arrivals(50)), "nothing is owed to what does not wait");
        (0..9).for_each(|_| queue.push_frame(ReceivedFrame::of_class(Class::Bodies)));
        assert!(is_frame(arrivals(10)));
        assert!(is_frame(frame(8)) && is_frame(frame(8)), "16 of 20 ms");
        assert!(!is_frame(frame(9)), "5 ms too many: it is the turn of transactions");
        assert!(!is_frame(arrivals(2)), "what frames took too much is taken into account");
        assert!(is_frame(arrivals(10_000)));
        assert!(!is_frame(frame(300)), "no turn owes more");
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_gives_nothing() {
        let queue = VerifyQueue::default();
        queue.push_client(submission(client(1, 1), 1, 0)).unwrap();
        queue.close();
        assert_eq!(queue.push_client(submission(client(1, 1), 1, 0)), Err(NoRoom::Full));
        assert!(queue.take_bulk(Spent::Nothing).is_err() && queue.depths() == [0, 0, 0]);
    }
}
