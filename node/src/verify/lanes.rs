//! What clients handed in and no worker has taken: a lane for each connection, and turns.
//!
//! The addresses take turns, and in an address's turn the connections of it, each for a few transactions at a time. So a batch
//! holds something of everybody where many wait, and whoever floods waits for itself.

use std::collections::VecDeque;

use quorate_crypto::fast::FastMap;
use quorate_protocol::document::SignedTransaction;

use crate::client::{Address, Client, NoRoom, Shares};
use crate::waiters::EventSender;

/// Transactions of clients that may wait. Whoever is alone with its address has half of that: half a second of work at the bulk rate.
const COUNT_MAX: usize = 32_768;
/// Bytes of transactions of clients that may wait.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Transactions that a connection may hand on in one turn, on average: what comes together stays together, and counts for turns to
/// come. So many that a worker's batch has room for some sixty connections, and a single one soon fills it.
const TURN: usize = 16;

/// Transactions that one client handed in together.
#[derive(Debug)]
pub struct Submission {
    /// Who.
    pub client: Client,
    /// The transactions; decoded, nothing else.
    pub transactions: Vec<SignedTransaction>,
    /// Where refusals go; `None` when nobody waits for them.
    pub events: Option<EventSender>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes {
    count: Shares,
    bytes: Shares,
    /// Addresses of which something waits, in the order of their turns.
    turns: VecDeque<Address>,
    addresses: FastMap<Address, OfAddress>,
    submissions: usize,
}

/// What waits of one address.
#[derive(Debug, Default)]
struct OfAddress {
    /// Connections of which something waits, in the order of their turns.
    turns: VecDeque<u64>,
    lanes: FastMap<u64, Lane>,
}

/// What waits of one connection.
#[derive(Debug, Default)]
struct Lane {
    /// Submissions with their bytes, the oldest first.
    waiting: VecDeque<(Submission, usize)>,
    /// Transactions that it may hand on, saved up for a submission of many.
    credit: usize,
}

impl Default for Lanes {
    fn default() -> Lanes {
        Lanes {
            count: Shares::new(COUNT_MAX),
            bytes: Shares::new(BYTES_MAX),
            turns: VecDeque::new(),
            addresses: FastMap::default(),
            submissions: 0,
        }
    }
}

impl Lanes {
    /// Queues a submission, whole or not at all.
    pub(super) fn push(&mut self, submission: Submission) -> Result<(), NoRoom> {
        let Client { address, connection } = submission.client;
        let bytes: usize = submission.transactions.iter().map(SignedTransaction::size).sum();
        self.bytes.check(submission.client, bytes)?;
        self.count.take(submission.client, submission.transactions.len())?;
        self.bytes.take(submission.client, bytes)?;
        let of_address = self.addresses.entry(address).or_default();
        if of_address.lanes.is_empty() {
            self.turns.push_back(address);
        }
        let lane = of_address.lanes.entry(connection).or_default();
        if lane.waiting.is_empty() {
            of_address.turns.push_back(connection);
        }
        lane.waiting.push_back((submission, bytes));
        self.submissions += 1;
        Ok(())
    }

    /// Submissions that wait.
    pub(super) fn len(&self) -> usize {
        self.submissions
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.submissions == 0
    }

    /// Takes turns until what is taken has `bytes_max` bytes or more.
    pub(super) fn take(&mut self, bytes_max: usize) -> Vec<Submission> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some(address) = self.turns.pop_front()
        {
            let Some(of_address) = self.addresses.get_mut(&address) else { continue };
            let before = taken.len();
            of_address.take_turn(bytes_max - bytes, &mut taken);
            if of_address.lanes.is_empty() {
                self.addresses.remove(&address);
            } else {
                self.turns.push_back(address);
            }
            for (submission, of_submission) in &taken[before..] {
                bytes += of_submission;
                self.count.give_back(submission.client, submission.transactions.len());
                self.bytes.give_back(submission.client, *of_submission);
            }
        }
        self.submissions -= taken.len();
        taken.into_iter().map(|(submission, _)| submission).collect()
    }
}

impl OfAddress {
    /// The turn of one connection.
    fn take_turn(&mut self, bytes_max: usize, taken: &mut Vec<(Submission, usize)>) {
        let Some(connection) = self.turns.pop_front() else { return };
        let Some(lane) = self.lanes.get_mut(&connection) else { return };
        lane.credit += TURN;
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some((submission, of_submission)) = lane.waiting.pop_front()
        {
            if submission.transactions.len() > lane.credit {
                lane.waiting.push_front((submission, of_submission));
                break;
            }
            lane.credit -= submission.transactions.len();
            bytes += of_submission;
            taken.push((submission, of_submission));
        }
        if lane.waiting.is_empty() {
            self.lanes.remove(&connection);
        } else {
            self.turns.push_back(connection);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use quorate_crypto::hash::Digest;
    use quorate_crypto::key::{SecretKey, Signature};
    use quorate_protocol::document::Transaction;

    use super::*;
    use crate::client::tests::client;

    /// What a bulk worker takes.
    const BYTES: usize = 256 * 1024;

    /// `count` transactions of `client` that are marked by `salt`.
    pub(in crate::verify) fn submission(client: Client, count: usize, salt: u64) -> Submission {
        let transaction = Transaction {
            chain_id: Digest::ZERO,
            sender: SecretKey::from_seed([1; 32]).public_key(),
            valid_until: 1,
            salt,
            operations: Default::default(),
            memo: Default::default(),
        };
        let transaction = SignedTransaction::new(transaction, Signature::from_bytes([0; 64]));
        Submission { client, transactions: vec![transaction; count], events: None }
    }

    /// Hands in lists of `count` until there is no more room; returns how many, and why not more.
    fn flood(lanes: &mut Lanes, client: Client, count: usize) -> (usize, NoRoom) {
        (0..).find_map(|lists| lanes.push(submission(client, count, 0)).err().map(|why| (lists, why))).unwrap()
    }

    fn salts(taken: &[Submission]) -> Vec<u64> {
        taken.iter().map(|submission| submission.transactions[0].transaction().salt).collect()
    }

    #[test]
    fn one_transaction_is_in_the_next_turn_whoever_floods_before_it() {
        let mut lanes = Lanes::default();
        let (lists, why) = flood(&mut lanes, client(1, 1), 1_000);
        assert_eq!((lists, why), (COUNT_MAX / 4 / 1_000, NoRoom::Share));
        let (singles, _) = flood(&mut lanes, client(1, 2), 1);
        assert!(singles > 1_000, "{singles}");
        // Of the same address, and of another.
        lanes.push(submission(client(1, 3), 1, 7)).unwrap();
        lanes.push(submission(client(2, 4), 1, 8)).unwrap();
        let salts = salts(&lanes.take(BYTES));
        assert!(salts.contains(&7) && salts.contains(&8), "{salts:?}");
    }

    #[test]
    fn a_thousand_connections_of_one_address_delay_another_address_by_no_turn() {
        let mut lanes = Lanes::default();
        for connection in 0..1_000 {
            lanes.push(submission(client(1, connection), 8, 0)).unwrap();
        }
        lanes.push(submission(client(2, 5_000), 1, 7)).unwrap();
        assert!(salts(&lanes.take(BYTES)).contains(&7));
    }

    #[test]
    fn lists_and_single_ones_are_served_in_equal_numbers_of_transactions() {
        let mut lanes = Lanes::default();
        flood(&mut lanes, client(1, 1), 1_000);
        flood(&mut lanes, client(1, 2), 1);
        let mut counts = [0, 0];
        for _ in 0..4 {
            for submission in lanes.take(BYTES) {
                counts[submission.client.connection as usize - 1] += submission.transactions.len();
            }
        }
        assert!(counts[1] > 2_000 && counts[0].abs_diff(counts[1]) <= 1_100, "{counts:?}");
    }

    #[test]
    fn one_that_is_alone_fills_the_batch_in_its_order() {
        let mut lanes = Lanes::default();
        (0..3_000).for_each(|salt| lanes.push(submission(client(1, 1), 1, salt)).unwrap());
        let taken = lanes.take(BYTES);
        assert!(taken.len() >= 1_024, "{}", taken.len());
        assert!(salts(&taken).into_iter().eq(0..taken.len() as u64));
        assert_eq!(lanes.len(), 3_000 - taken.len());
    }

    #[test]
    fn what_is_taken_gives_its_room_back_and_leaves_nothing_behind() {
        let mut lanes = Lanes::default();
        for connection in 0..5 {
            flood(&mut lanes, client(connection as u8 % 2, connection), 500);
        }
        let mut all = 0;
        while !lanes.is_empty() {
            all += lanes.take(BYTES).len();
        }
        assert!(all > 20);
        assert_eq!((lanes.count.taken(), lanes.bytes.taken(), lanes.len()), (0, 0, 0));
        assert!(lanes.addresses.is_empty() && lanes.turns.is_empty());
        assert!(lanes.take(BYTES).is_empty());
    }

    #[test]
    fn the_room_has_an_end_whoever_comes() {
        let mut lanes = Lanes::default();
        let lists: usize = (0..50).map(|address| flood(&mut lanes, client(address, u64::from(address)), 10).0).sum();
        assert!(lists * 10 <= COUNT_MAX, "{lists}");
        assert_eq!(lanes.push(submission(client(200, 200), 1_000, 0)), Err(NoRoom::Full));
        assert_eq!(lanes.push(submission(client(200, 200), 1, 0)), Ok(()), "something small still fits");
    }
}
