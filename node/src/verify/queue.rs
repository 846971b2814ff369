//! What waits to be verified.

use std::collections::VecDeque;

use quorate_protocol::document::SignedTransaction;

use crate::monitor::Monitor;
use crate::network::{Class, ReceivedFrame, ReceivedGossip};
use crate::waiters::EventSender;

/// Transactions of clients that may wait; at the bulk rate that is half a second of work.
const CLIENT_COUNT_MAX: usize = 16_384;
/// Bytes of transactions of clients that may wait.
const CLIENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Frames that the votes' worker takes at once; a batch of them takes about as long as a millisecond.
const VOTE_TURN: usize = 256;
/// Bytes of transactions that a bulk worker takes at once: about 1,024 of the usual size, the best batch.
const BULK_TURN_BYTES: usize = 256 * 1024;

/// Transactions that one client handed in together.
#[derive(Debug)]
pub struct Submission {
    /// The transactions; decoded, nothing else.
    pub transactions: Vec<SignedTransaction>,
    /// Where refusals go; `None` when nobody waits for them.
    pub events: Option<EventSender>,
}

impl Submission {
    fn bytes(&self) -> usize {
        self.transactions.iter().map(SignedTransaction::size).sum()
    }
}

/// The clients' part is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// The queue is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// Transactions from outside, by the door that they came to.
#[derive(Debug)]
pub(super) enum Arrival {
    Gossip(ReceivedGossip),
    Client(Submission),
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
    frames: VecDeque<ReceivedFrame>,
    closed: bool,
}

#[derive(Debug, Default)]
struct BulkLanes {
    frames: VecDeque<ReceivedFrame>,
    arrivals: VecDeque<Arrival>,
    client_count: usize,
    client_bytes: usize,
    /// Whether the last turn was a frame: frames and transactions take turns.
    frame_before: bool,
    closed: bool,
}

impl VerifyQueue {
    /// Queues a peer's frame. The network's budget of that peer bounds them.
    pub fn push_frame(&self, frame: ReceivedFrame) {
        match frame.class {
            Class::Bodies | Class::Sync | Class::Transactions => {
                self.bulk.post(|lanes| lanes.frames.push_back(frame));
            }
            Class::ViewChange | Class::Commit | Class::Prepare | Class::PrePrepare | Class::Status => {
                self.votes.post(|lane| lane.frames.push_back(frame));
            }
        }
    }

    /// Queues gossip. The network's budget of the peer that passed it on bounds it.
    pub fn push_gossip(&self, gossip: ReceivedGossip) {
        self.bulk.post(|lanes| lanes.arrivals.push_back(Arrival::Gossip(gossip)));
    }

    /// Queues a client's transactions, all of them or none.
    ///
    /// # Errors
    /// There is no room for so many.
    pub fn push_client(&self, submission: Submission) -> Result<(), QueueFull> {
        let (count, bytes) = (submission.transactions.len(), submission.bytes());
        self.bulk.post(|lanes| {
            let fits = lanes.client_count + count <= CLIENT_COUNT_MAX && lanes.client_bytes + bytes <= CLIENT_BYTES_MAX;
            if !fits || lanes.closed {
                return Err(QueueFull);
            }
            lanes.client_count += count;
            lanes.client_bytes += bytes;
            lanes.arrivals.push_back(Arrival::Client(submission));
            Ok(())
        })
    }

    /// What waits: votes; frames with bodies or blocks; arrivals of transactions, many in each.
    pub fn depths(&self) -> [usize; 3] {
        let votes = self.votes.with(|lane| lane.frames.len());
        let [frames, arrivals] = self.bulk.with(|lanes| [lanes.frames.len(), lanes.arrivals.len()]);
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
        self.votes.wait(None, idle, |lane| {
            let turn = lane.frames.len().min(VOTE_TURN);
            if lane.closed { Err(Closed) } else { Ok(lane.frames.drain(..turn).collect()) }
        })
    }

    /// Waits for bulk and takes a turn of it.
    pub(super) fn take_bulk(&self) -> Result<Bulk, Closed> {
        let idle = |lanes: &mut BulkLanes| lanes.frames.is_empty() && lanes.arrivals.is_empty() && !lanes.closed;
        self.bulk.wait(None, idle, |lanes| if lanes.closed { Err(Closed) } else { Ok(lanes.take_bulk()) })
    }
}

impl BulkLanes {
    fn take_bulk(&mut self) -> Bulk {
        let frame_turn = self.arrivals.is_empty() || !self.frame_before;
        if frame_turn && let Some(frame) = self.frames.pop_front() {
            self.frame_before = true;
            return Bulk::Frame(frame);
        }
        self.frame_before = false;
        let mut arrivals = Vec::new();
        let mut bytes = 0;
        while bytes < BULK_TURN_BYTES
            && let Some(arrival) = self.arrivals.pop_front()
        {
            bytes += self.release(&arrival);
            arrivals.push(arrival);
        }
        Bulk::Arrivals(arrivals)
    }

    /// Gives back the room of an arrival; returns its bytes.
    fn release(&mut self, arrival: &Arrival) -> usize {
        match arrival {
            Arrival::Gossip(gossip) => gossip.data.len(),
            Arrival::Client(submission) => {
                let bytes = submission.bytes();
                self.client_count -= submission.transactions.len();
                self.client_bytes -= bytes;
                bytes
            }
        }
    }
}
