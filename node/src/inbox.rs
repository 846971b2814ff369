//! The pump's one inbox.
//!
//! Any thread may post; none of them ever waits for room. Each kind has a bound of its own: answers to what the pump
//! itself has begun (they are as many as it has begun), peers' messages (each holds a credit of its peer's budget in the
//! network until the pump has taken it), transactions (bounded by count, claims by validator and apart from all others) and
//! questions of the API. What does not fit is refused to whoever posts, who counts it or tells the client.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quorate_crypto::signed::Verified;
use quorate_protocol::document::SignedTransaction;
use quorate_protocol::id::{NodeIndex, TransactionId};
use quorate_protocol::limits::CLAIMS_MAX;
use quorate_protocol::pool::Door;
use quorate_protocol::replica::{Input, PeerMessage, ReplicaStatus};
use tokio::sync::oneshot;

use crate::monitor::Monitor;
use crate::network::ReceivedFrame;

/// Transactions that may wait before the pump: some turns of the signature workers.
const TRANSACTIONS_MAX: usize = 16_384;
/// Claims of one validator that may wait: all that it may have open, and those of the view before. A claim that is dropped here
/// counts as sent where it came from, and its sender would accuse this primary of leaving it out.
const CLAIMS_WAITING_MAX: usize = 2 * CLAIMS_MAX;
/// So many of them may be there that a transaction of a client is taken, too: the rest is for what other nodes pass on.
const CLIENTS_MAX: usize = TRANSACTIONS_MAX / 2;
/// Questions that may wait.
const QUESTIONS_MAX: usize = 256;
/// Peers' messages that the pump takes at once, so that what it puts out is begun before it takes more.
const PEER_TURN: usize = 128;
/// Transactions that the pump takes at once; about a millisecond of admission.
const TRANSACTION_TURN: usize = 2_048;

/// A question to the replica.
#[derive(Debug)]
pub enum Question {
    /// How it stands.
    Status(oneshot::Sender<ReplicaStatus>),
    /// Whether this transaction waits in its pool or is being ordered.
    Pending(TransactionId, oneshot::Sender<bool>),
}

/// One piece of work for the pump.
#[derive(Debug)]
pub enum Work {
    /// For the replica.
    Input(Box<Input>),
    /// To be answered from the replica.
    Question(Question),
}

/// How a wait for work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// There is work.
    Work,
    /// There is none, and the time is up.
    Deadline,
    /// The inbox is closed; nothing more will come.
    Closed,
}

/// What did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// See the module.
#[derive(Debug, Default)]
pub struct Inbox {
    lanes: Monitor<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    answers: VecDeque<Input>,
    peers: VecDeque<(ReceivedFrame, Verified<PeerMessage>)>,
    transactions: VecDeque<(Vec<Verified<SignedTransaction>>, Door)>,
    /// Those that wait and are no claims.
    transaction_count: usize,
    claim_counts: BTreeMap<NodeIndex, usize>,
    questions: VecDeque<Question>,
    closed: bool,
}

impl Inbox {
    /// Posts the answer to something that the pump has begun, or that a link came up or went down. Always fits: the pump
    /// begins a bounded number of things, and a link changes no more often than its connection is made.
    pub fn answer(&self, input: Input) {
        self.lanes.post(|lanes| lanes.answers.push_back(input));
    }

    /// Posts answers that came together; see [`Inbox::answer`].
    pub fn answer_all(&self, inputs: impl Iterator<Item = Input>) {
        self.lanes.post(|lanes| lanes.answers.extend(inputs));
    }

    /// Posts verified messages with their frames. They always fit: the network's budgets of the peers bound them.
    pub fn post_peers(&self, messages: Vec<(ReceivedFrame, Verified<PeerMessage>)>) {
        if !messages.is_empty() {
            self.lanes.post(|lanes| lanes.peers.extend(messages));
        }
    }

    /// Posts verified transactions, all of them or none.
    ///
    /// # Errors
    /// There is no room for so many.
    pub fn post_transactions(&self, transactions: Vec<Verified<SignedTransaction>>, door: Door) -> Result<(), Full> {
        self.lanes.post(|lanes| {
            let (count, max) = lanes.room(door);
            if *count + transactions.len() > max {
                return Err(Full);
            }
            *count += transactions.len();
            lanes.transactions.push_back((transactions, door));
            Ok(())
        })
    }

    /// Asks the replica something.
    ///
    /// # Errors
    /// Too many questions wait, or the pump has ended.
    pub fn ask(&self, question: Question) -> Result<(), Full> {
        self.lanes.post(|lanes| {
            if lanes.closed || lanes.questions.len() >= QUESTIONS_MAX {
                return Err(Full);
            }
            lanes.questions.push_back(question);
            Ok(())
        })
    }

    /// Ends the pump: what waits is dropped.
    pub fn close(&self) {
        self.lanes.post_all(|lanes| lanes.closed = true);
    }

    /// Moves work into `work`, most urgent first; waits for some until `timeout`, or for ever without one. One thread takes.
    pub fn take(&self, timeout: Option<Duration>, work: &mut Vec<Work>) -> Taken {
        let idle = |lanes: &mut Lanes| !lanes.closed && !lanes.has_work();
        let closed = self.lanes.wait(timeout, idle, |lanes| {
            if lanes.closed {
                lanes.questions.clear();
            } else {
                lanes.drain(work);
            }
            lanes.closed
        });
        match (closed, work.is_empty()) {
            (true, _) => Taken::Closed,
            (false, true) => Taken::Deadline,
            (false, false) => Taken::Work,
        }
    }
}

impl Lanes {
    fn has_work(&self) -> bool {
        !(self.answers.is_empty() && self.peers.is_empty() && self.transactions.is_empty() && self.questions.is_empty())
    }

    /// How many transactions wait that came by this door, and how many may.
    fn room(&mut self, door: Door) -> (&mut usize, usize) {
        match door {
            Door::Claim(validator) => (self.claim_counts.entry(validator).or_default(), CLAIMS_WAITING_MAX),
            Door::Client => (&mut self.transaction_count, CLIENTS_MAX),
            Door::Gossip => (&mut self.transaction_count, TRANSACTIONS_MAX),
        }
    }

    fn drain(&mut self, work: &mut Vec<Work>) {
        work.extend(self.answers.drain(..).map(|input| Work::Input(Box::new(input))));
        let turn = self.peers.len().min(PEER_TURN);
        for (frame, message) in self.peers.drain(..turn) {
            work.push(Work::Input(Box::new(Input::Peer { from: frame.from, message })));
        }
        let mut taken = 0;
        while taken < TRANSACTION_TURN
            && let Some((transactions, door)) = self.transactions.pop_front()
        {
            taken += transactions.len();
            *self.room(door).0 -= transactions.len();
            work.push(Work::Input(Box::new(Input::Submitted { transactions, door })));
        }
        work.extend(self.questions.drain(..).map(Work::Question));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::Digest;
    use quorate_crypto::key::SecretKey;
    use quorate_crypto::signature::Verifier;
    use quorate_protocol::document::Transaction;
    use std::sync::Arc;

    #[test]
    fn idle_inbox_waits_for_its_deadline_and_ends_when_closed() {
        let inbox = Inbox::default();
        let mut work = Vec::new();
        assert_eq!(inbox.take(Some(Duration::from_millis(1)), &mut work), Taken::Deadline);
        inbox.close();
        assert_eq!(inbox.take(None, &mut work), Taken::Closed);
        let (sender, _receiver) = oneshot::channel();
        assert_eq!(inbox.ask(Question::Status(sender)), Err(Full), "a closed inbox takes no questions");
    }

    #[test]
    fn post_wakes_the_pump() {
        let inbox = Arc::new(Inbox::default());
        let poster = Arc::clone(&inbox);
        let thread = std::thread::spawn(move || poster.answer(Input::PeerUp(NodeIndex(1))));
        let mut work = Vec::new();
        assert_eq!(inbox.take(None, &mut work), Taken::Work);
        assert_eq!(work.len(), 1);
        thread.join().unwrap();
    }

    /// So many transactions of one batch.
    fn transactions(count: usize) -> Vec<Verified<SignedTransaction>> {
        let key = SecretKey::from_seed([1; 32]);
        let transaction = Transaction {
            chain_id: Digest::ZERO,
            sender: key.public_key(),
            valid_until: 1,
            salt: 1,
            operations: Default::default(),
            memo: Default::default(),
        };
        let signed = SignedTransaction::sign(transaction, &key);
        let verified =
            Verified::check(signed, &Digest::ZERO, &mut Verifier::new([1; 32], 1)).expect("a good signature");
        vec![verified; count]
    }

    #[test]
    fn clients_leave_room_for_what_other_nodes_pass_on() {
        let inbox = Inbox::default();
        let batch = transactions(1_024);
        let post = |door| inbox.post_transactions(batch.clone(), door).is_ok();
        let of_clients = (0..100).take_while(|_| post(Door::Client)).count();
        assert_eq!(of_clients * 1_024, TRANSACTIONS_MAX / 2);
        let of_gossip = (0..100).take_while(|_| post(Door::Gossip)).count();
        assert_eq!((of_clients + of_gossip) * 1_024, TRANSACTIONS_MAX);
    }

    /// 5.6: claims always have room, whatever clients and gossip bring, and each validator's apart from the others'.
    #[test]
    fn claims_have_room_of_their_own() {
        let inbox = Inbox::default();
        let post = |count: usize, door: Door| inbox.post_transactions(transactions(count), door);
        assert_eq!(post(TRANSACTIONS_MAX, Door::Gossip), Ok(()));
        assert_eq!(post(1, Door::Client), Err(Full));
        assert_eq!(post(CLAIMS_WAITING_MAX, Door::Claim(NodeIndex(1))), Ok(()));
        assert_eq!(post(1, Door::Claim(NodeIndex(1))), Err(Full), "what a liar sends is bounded");
        assert_eq!(post(1, Door::Claim(NodeIndex(2))), Ok(()));
        let mut work = Vec::new();
        while inbox.take(Some(Duration::ZERO), &mut work) == Taken::Work {
            work.clear();
        }
        assert_eq!(post(1, Door::Claim(NodeIndex(1))), Ok(()), "room comes back");
        assert_eq!(post(1, Door::Client), Ok(()));
    }

    #[test]
    fn questions_are_bounded() {
        let inbox = Inbox::default();
        let mut receivers = Vec::new();
        for _ in 0..QUESTIONS_MAX {
            let (sender, receiver) = oneshot::channel();
            inbox.ask(Question::Status(sender)).unwrap();
            receivers.push(receiver);
        }
        let (sender, _receiver) = oneshot::channel();
        assert_eq!(inbox.ask(Question::Status(sender)), Err(Full));
    }
}
