//! What peers sent and no worker has taken: a line for each peer, and turns.
//!
//! Verifying costs the more the worse a peer's signatures are, and its budget of bytes says nothing of that. In one line for all a
//! liar's budget of junk would stand before every honest vote, and be refilled before the next; so each peer waits behind itself
//! (PROTOCOL 9.2).

use std::collections::{BTreeMap, VecDeque};

use quorate_protocol::id::NodeIndex;

use crate::network::{ReceivedFrame, ReceivedGossip};

/// Bytes that a peer may hand on in one turn, on average: what is larger waits for some turns. Of votes some 400, which take a few
/// milliseconds to verify, and 25 where all of them are bad.
const TURN_BYTES: usize = 64 * 1024;

/// Something that a peer sent.
pub(super) trait FromPeer {
    /// Who sent it.
    fn source(&self) -> NodeIndex;
    /// What it takes of a turn, in bytes.
    fn bytes(&self) -> usize;
}

impl FromPeer for ReceivedFrame {
    fn source(&self) -> NodeIndex {
        self.from
    }

    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

impl FromPeer for ReceivedGossip {
    fn source(&self) -> NodeIndex {
        self.id.source
    }

    fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// See the module. The network's budgets bound what waits of each peer.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// Peers of whom something waits, in the order of their turns.
    order: VecDeque<NodeIndex>,
    lines: BTreeMap<NodeIndex, Line<T>>,
    count: usize,
}

/// What waits of one peer.
#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<T>,
    /// Bytes that it may still hand on in its turn, saved up for what is large.
    credit: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Turns<T> {
        Turns { order: VecDeque::new(), lines: BTreeMap::new(), count: 0 }
    }
}

impl<T: FromPeer> Turns<T> {
    /// Puts something behind what waits of its peer.
    pub(super) fn push(&mut self, item: T) {
        let source = item.source();
        let line = self.lines.entry(source).or_insert_with(|| {
            self.order.push_back(source);
            Line { waiting: VecDeque::new(), credit: 0 }
        });
        line.waiting.push_back(item);
        self.count += 1;
    }

    /// The next of the peer whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        loop {
            let source = *self.order.front()?;
            let line = self.lines.get_mut(&source)?;
            let bytes = line.waiting.front()?.bytes();
            if line.credit < bytes {
                line.credit += TURN_BYTES;
                self.order.rotate_left(1);
                continue;
            }
            line.credit -= bytes;
            let item = line.waiting.pop_front();
            if line.waiting.is_empty() {
                // Nothing is saved up while nothing waits.
                self.lines.remove(&source);
                self.order.pop_front();
            }
            self.count -= 1;
            return item;
        }
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who sent it, how large it is, and a number.
    #[derive(Debug, PartialEq, Eq)]
    struct Item(u8, usize, usize);

    impl FromPeer for Item {
        fn source(&self) -> NodeIndex {
            NodeIndex(self.0)
        }

        fn bytes(&self) -> usize {
            self.1
        }
    }

    fn all(turns: &mut Turns<Item>) -> Vec<Item> {
        std::iter::from_fn(|| turns.pop()).collect()
    }

    /// PROTOCOL 9.2: eight mebibytes of one peer's junk stand before two small votes of others.
    #[test]
    fn a_vote_waits_for_one_turn_of_every_other_peer_whatever_they_sent_before() {
        let mut turns = Turns::default();
        (0..144).for_each(|number| turns.push(Item(3, 58_000, number)));
        turns.push(Item(1, 200, 0));
        turns.push(Item(2, 200, 0));
        let order = all(&mut turns);
        let place = |peer: u8| order.iter().position(|item| item.0 == peer).unwrap();
        assert!(place(1) <= 2 && place(2) <= 3, "{} {}", place(1), place(2));
        assert_eq!(order.len(), 146);
    }

    #[test]
    fn peers_are_served_in_equal_bytes_and_each_in_its_order() {
        let mut turns = Turns::default();
        (0..1_000).for_each(|number| turns.push(Item(1, 1_000, number)));
        (0..10).for_each(|number| turns.push(Item(2, 100_000, number)));
        let mut bytes = [0_usize; 2];
        while !turns.lines.is_empty() && turns.lines.len() == 2 {
            let Item(peer, of_item, _) = turns.pop().unwrap();
            bytes[usize::from(peer) - 1] += of_item;
        }
        assert!(bytes[0].abs_diff(bytes[1]) <= 3 * TURN_BYTES, "{bytes:?}");
        let rest = all(&mut turns);
        let numbers = |peer: u8| rest.iter().filter(|item| item.0 == peer).map(|item| item.2).collect::<Vec<_>>();
        assert!(numbers(1).is_sorted() && numbers(2).is_sorted());
        assert!(turns.is_empty() && turns.order.is_empty() && turns.lines.is_empty());
    }

    #[test]
    fn what_is_larger_than_a_turn_comes_and_nothing_is_saved_up_for_later() {
        let mut turns = Turns::default();
        turns.push(Item(1, 4 << 20, 0));
        assert_eq!(turns.len(), 1);
        assert_eq!(turns.pop(), Some(Item(1, 4 << 20, 0)));
        (0..10).for_each(|number| turns.push(Item(1, TURN_BYTES, number)));
        turns.push(Item(2, 1, 0));
        let order = all(&mut turns);
        assert!(order.iter().position(|item| item.0 == 2).unwrap() <= 1);
        assert_eq!(turns.pop(), None);
    }
}
