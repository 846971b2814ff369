//! Pool repair (PROTOCOL 4.6): nodes tell each other what has been pending for long, and fetch what they lack.
//!
//! Gossip may lose a transaction, a full pool refuses it, and a node that restarts has an empty pool. Each second a node
//! tells one connected peer in turn of a part of what has been pending here for `forward_timeout`, in no proposal; the
//! primary each `forward_timeout`, or it would be taken for slow (PROTOCOL 5.6 b) where it knows nothing to propose. Up to
//! 256 of a part are each sender's oldest, the rest follow by arrival, where the last part to that peer ended. The peer
//! fetches what it neither holds nor has executed nor has refused lately, as far as it has room. One that fetched
//! more than half of a part lacks much, and is told the next one soon; so a node that has restarted gets a whole pool at
//! some 12,000 transactions a second from each peer.
//!
//! **Bounds.** A part is at most 1,600 ids (64 KiB), one answer to it at most 512 KiB, and only what a peer was told of
//! is answered, once. At the defaults, of P old transactions the primary has been told each after (P / 1,344 + 1) / 2
//! seconds, each of the n - 2 others after n - 2 times P / 1,344 + 1 seconds. That is half a second for up to 1,600;
//! for 100,000 it is 38 s, but then everybody has work enough, and the claims keep it fair. An empty pool says nothing.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::message::{RepairMessage, Told};
use crate::{
    document::Body,
    id::{NodeIndex, TransactionId},
    limits::{REPAIR_BYTES_MAX, REPAIR_IDS_MAX, REPAIR_INTERVAL_MS},
    pool::{Pool, Summary},
    time::{Instant, Now, UnixMillis},
};

const INTERVAL: Duration = Duration::from_millis(REPAIR_INTERVAL_MS);

/// How soon a peer is told more that lacked most of the last part.
const SOON: Duration = Duration::from_millis(125);

/// A peer whose link came up is told after this times the teller's own index: the second one finds most of it known.
const STAGGER: Duration = Duration::from_millis(50);

/// A peer that tells more often is not listened to.
const HEARD_APART: Duration = Duration::from_millis(25);

/// With fewer transactions ready to be proposed a node asks for what it refused, too.
const IDLE_BELOW: usize = 1_000;

/// How long what was refused here is not asked for again, and how many such ids are remembered.
const REFUSED_FOR: Duration = Duration::from_secs(10);
const REFUSED_MAX: usize = 4_096;

/// One connected peer.
#[derive(Clone, Copy, Debug)]
struct Peer {
    /// Number of the arrival with which the next part begins.
    from: u64,
    /// Out of turn: the link came up, or the peer lacked much.
    due: Option<Instant>,
    /// How many of the last part it may ask for.
    may_ask: usize,
    heard: Option<Instant>,
}

/// Who is told when, and what was refused.
#[derive(Clone, Debug)]
pub struct Repair {
    me: NodeIndex,
    forward_timeout: Duration,
    peers: BTreeMap<NodeIndex, Peer>,
    tell_at: Instant,
    tell_primary_at: Instant,
    turn: usize,
    refused: BTreeSet<TransactionId>,
    refusals: VecDeque<(Instant, TransactionId)>,
}

impl Repair {
    /// Of this node, which tells of what has been pending for `forward_timeout`.
    #[must_use]
    pub fn new(me: NodeIndex, forward_timeout: Duration) -> Repair {
        Repair {
            me,
            forward_timeout,
            peers: BTreeMap::new(),
            tell_at: Instant::ORIGIN,
            tell_primary_at: Instant::ORIGIN,
            turn: usize::from(me.0),
            refused: BTreeSet::new(),
            refusals: VecDeque::new(),
        }
    }

    /// A link came up: the peer may have restarted, or been apart for long.
    pub fn peer_up(&mut self, now: Instant, peer: NodeIndex) {
        let due = Some(now + STAGGER * u32::from(self.me.0));
        self.peers.insert(peer, Peer { from: 0, due, may_ask: 0, heard: None });
    }

    /// A link went down.
    pub fn peer_down(&mut self, peer: NodeIndex) {
        self.peers.remove(&peer);
    }

    /// When [`Repair::due`] has something to say, if nothing changes before. Never while nothing is pending.
    #[must_use]
    pub fn next_due(&self, pool: &Pool) -> Option<Instant> {
        let old_at = pool.oldest_arrived()? + self.forward_timeout;
        let out_of_turn = self.peers.values().filter_map(|peer| peer.due).min();
        let in_turn = self.tell_at.min(self.tell_primary_at);
        let soonest = out_of_turn.map_or(in_turn, |at| at.min(in_turn));
        (!self.peers.is_empty()).then_some(soonest.max(old_at))
    }

    /// Whom to tell what now.
    pub fn due(&mut self, now: Now, pool: &Pool, primary: NodeIndex) -> Vec<(NodeIndex, RepairMessage)> {
        if self.next_due(pool).is_none_or(|due| due > now.monotonic) {
            return Vec::new();
        }
        let mut told: BTreeSet<NodeIndex> = BTreeSet::new();
        if self.tell_at <= now.monotonic {
            self.tell_at = now.monotonic + INTERVAL;
            let others: Vec<NodeIndex> = self.peers.keys().copied().filter(|peer| *peer != primary).collect();
            if !others.is_empty() {
                told.insert(others[self.turn % others.len()]);
                self.turn = self.turn.wrapping_add(1);
            }
        }
        if self.tell_primary_at <= now.monotonic {
            self.tell_primary_at = now.monotonic + self.forward_timeout;
            told.insert(primary);
        }
        let is_due = |peer: &Peer| peer.due.is_some_and(|due| due <= now.monotonic);
        told.extend(self.peers.iter().filter(|(_, peer)| is_due(peer)).map(|(index, _)| *index));
        told.into_iter().filter_map(|peer| Some((peer, self.tell(now, pool, peer)?))).collect()
    }

    fn tell(&mut self, now: Now, pool: &Pool, to: NodeIndex) -> Option<RepairMessage> {
        let peer = self.peers.get_mut(&to)?;
        peer.due = None;
        let mut part: Summary = pool.summary(now, peer.from, REPAIR_IDS_MAX);
        if part.next.is_none() && part.pending.is_empty() && peer.from > 0 {
            part = pool.summary(now, 0, REPAIR_IDS_MAX);
        }
        peer.from = part.next.unwrap_or(0);
        peer.may_ask = part.pending.len();
        let told: Vec<Told> = part.pending.into_iter().map(|(id, valid_until)| Told { id, valid_until }).collect();
        if told.is_empty() { None } else { told.try_into().ok().map(RepairMessage::Pending) }
    }

    /// A peer told what is pending there. `head_time` is the time of the latest block executed here, Unix milliseconds.
    /// Answers what to fetch from it.
    pub fn on_pending(
        &mut self,
        now: Now,
        from: NodeIndex,
        pool: &Pool,
        head_time: UnixMillis,
        told: &[Told],
    ) -> Option<RepairMessage> {
        let peer = self.peers.get_mut(&from)?;
        if peer.heard.is_some_and(|heard| now.monotonic.saturating_since(heard) < HEARD_APART) {
            return None;
        }
        peer.heard = Some(now.monotonic);
        self.forget_refusals(now.monotonic);
        let reference = head_time.max(now.wall);
        // A sender's share may have been full when it was refused. With less than a batch left, all is welcome again.
        let is_idle = pool.ready().count < IDLE_BELOW;
        let is_welcome = |told: &&Told| {
            let is_late = told.valid_until <= reference;
            (is_idle && !is_late) || !self.refused.contains(&told.id)
        };
        let is_lacking = |told: &&Told| pool.lacks(&told.id, told.valid_until, head_time, reference);
        let lacking = told.iter().filter(is_lacking).filter(is_welcome);
        let wanted: BTreeSet<TransactionId> = lacking.map(|told| told.id).take(pool.vacant()).collect();
        if wanted.is_empty() {
            return None;
        }
        wanted.into_iter().collect::<Vec<_>>().try_into().ok().map(RepairMessage::FetchPending)
    }

    /// A peer asks for what it was told of: the bodies that are still pending here, in as many bytes as it may have.
    pub fn on_fetch(&mut self, now: Now, from: NodeIndex, pool: &Pool, ids: &[TransactionId]) -> Option<RepairMessage> {
        let peer = self.peers.get_mut(&from)?;
        let told = std::mem::take(&mut peer.may_ask);
        let mut held: Vec<(u64, Body)> =
            ids.iter().take(told).filter_map(|id| Some((pool.arrival(id)?, pool.get(id)?))).collect();
        held.sort_by_key(|(arrival, _)| *arrival);
        let mut bodies: Vec<Body> = Vec::new();
        let mut bytes = 0;
        for (arrival, body) in held {
            bytes += body.size();
            if bytes > REPAIR_BYTES_MAX {
                // The next part begins with what this answer has no room for.
                peer.from = if peer.from == 0 { arrival } else { peer.from.min(arrival) };
                break;
            }
            bodies.push(body);
        }
        if 2 * ids.len() > told {
            peer.due = (told > 0 && peer.from > 0).then_some(now.monotonic + SOON);
        }
        if bodies.is_empty() { None } else { bodies.try_into().ok().map(RepairMessage::PendingBodies) }
    }

    /// What gossip or an answer brought was refused.
    pub fn note_refused(&mut self, now: Instant, id: TransactionId) {
        if self.refused.insert(id) {
            self.refusals.push_back((now, id));
        }
        if self.refusals.len() > REFUSED_MAX
            && let Some((_, oldest)) = self.refusals.pop_front()
        {
            self.refused.remove(&oldest);
        }
    }

    fn forget_refusals(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.refusals.front() {
            if now.saturating_since(at) < REFUSED_FOR {
                break;
            }
            self.refusals.pop_front();
            self.refused.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use quorate_crypto::{Digest, SecretKey, Verified, Verifier};

    use super::*;
    use crate::{
        document::{AssetCode, Operation, Outcome, Parameters, Position, SignedTransaction, Transaction},
        executed::ExecutedIds,
        id::{Epoch, Sequence, View},
        pool::{Admitted, Door, PoolConfig},
    };

    const START: UnixMillis = 1_000_000;
    const PRIMARY: NodeIndex = NodeIndex(0);

    thread_local!(static VERIFIER: RefCell<Verifier> = RefCell::new(Verifier::new([7; 32], 256)));

    fn verify(transaction: SignedTransaction) -> Verified<SignedTransaction> {
        VERIFIER.with_borrow_mut(|verifier| Verified::check(transaction, &Digest::ZERO, verifier).unwrap())
    }

    fn transaction(client: u8, salt: u64) -> Verified<SignedTransaction> {
        let key = SecretKey::from_seed([client; 32]);
        let code = "USD".parse::<AssetCode>().unwrap();
        let transaction = Transaction {
            chain_id: Digest::ZERO,
            sender: key.public_key(),
            valid_until: START + 30_000,
            salt,
            operations: vec![Operation::Transfer { to: key.public_key(), code, amount: 1 }].try_into().unwrap(),
            memo: Default::default(),
        };
        verify(SignedTransaction::sign(transaction, &key))
    }

    fn at(ms: u64) -> Now {
        Now { monotonic: Instant::from_micros(ms * 1_000), wall: START + ms }
    }

    /// Nodes with a pool and repair each, whose messages arrive at once.
    struct Net {
        nodes: Vec<(Pool, Repair)>,
        said: Vec<(NodeIndex, NodeIndex, RepairMessage)>,
    }

    impl Net {
        fn new(count: u8, config: &PoolConfig) -> Net {
            let node = |index: u8| Net::node(index, config);
            let mut net = Net { nodes: (0..count).map(node).collect(), said: Vec::new() };
            (0..count).for_each(|index| net.link(0, NodeIndex(index)));
            net
        }

        fn node(index: u8, config: &PoolConfig) -> (Pool, Repair) {
            let repair = Repair::new(NodeIndex(index), config.forward_timeout);
            (Pool::new(config.clone(), ExecutedIds::new()), repair)
        }

        /// All links of a node come up.
        fn link(&mut self, ms: u64, index: NodeIndex) {
            for other in (0..self.nodes.len() as u8).map(NodeIndex).filter(|other| *other != index) {
                self.nodes[index.as_usize()].1.peer_up(at(ms).monotonic, other);
                self.nodes[other.as_usize()].1.peer_up(at(ms).monotonic, index);
            }
        }

        fn admit(&mut self, ms: u64, index: usize, transaction: &Verified<SignedTransaction>) {
            let admitted = self.nodes[index].0.admit(at(ms), START, transaction.clone(), Door::Gossip);
            assert_eq!(admitted, Ok(Admitted::New));
        }

        fn run(&mut self, from: u64, until: u64) {
            for ms in (from..until).step_by(5) {
                for index in (0..self.nodes.len() as u8).map(NodeIndex) {
                    let (pool, repair) = &mut self.nodes[index.as_usize()];
                    for (to, message) in repair.due(at(ms), pool, PRIMARY) {
                        self.deliver(ms, index, to, message);
                    }
                }
            }
        }

        fn deliver(&mut self, ms: u64, from: NodeIndex, to: NodeIndex, message: RepairMessage) {
            self.said.push((from, to, message.clone()));
            let (pool, repair) = &mut self.nodes[to.as_usize()];
            let answer = match message {
                RepairMessage::Pending(told) => repair.on_pending(at(ms), from, pool, START, &told),
                RepairMessage::FetchPending(ids) => repair.on_fetch(at(ms), from, pool, &ids),
                RepairMessage::PendingBodies(bodies) => {
                    for body in &bodies {
                        let submitted = verify(SignedTransaction::clone(body));
                        if pool.admit(at(ms), START, submitted, Door::Gossip).is_err() {
                            repair.note_refused(at(ms).monotonic, body.id());
                        }
                    }
                    None
                }
            };
            if let Some(answer) = answer {
                self.deliver(ms, to, from, answer);
            }
        }

        fn count(&self, index: usize) -> usize {
            self.nodes[index].0.pending().count
        }
    }

    fn config() -> PoolConfig {
        PoolConfig { sender_share: 1, ..PoolConfig::new(&Parameters::default()) }
    }

    #[test]
    fn what_gossip_lost_reaches_the_primary_at_once_and_everybody_in_turn() {
        let mut net = Net::new(4, &config());
        net.run(0, 1_000);
        assert_eq!(net.said, [], "an idle net is silent");
        net.admit(1_000, 3, &transaction(1, 0));
        net.run(1_000, 1_500);
        assert_eq!(net.said, [], "gossip has its time");
        net.run(1_500, 2_005);
        assert_eq!(net.count(0), 1);
        net.run(2_005, 5_000);
        assert_eq!([0, 1, 2].map(|index| net.count(index)), [1; 3]);
        let bodies = |(.., message): &&(_, _, RepairMessage)| matches!(message, RepairMessage::PendingBodies(_));
        assert_eq!(net.said.iter().filter(bodies).count(), 3, "nobody gets it twice");
    }

    #[test]
    fn a_restarted_primary_gets_the_whole_pool_back_of_which_claims_bring_one_of_a_sender() {
        let mut net = Net::new(3, &config());
        let all: Vec<_> = (0..5_000).map(|number| transaction(number as u8 % 2, number)).collect();
        for transaction in &all {
            (0..3).for_each(|index| net.admit(0, index, transaction));
        }
        net.run(0, 3_000);
        net.nodes[0] = Net::node(0, &config());
        let claims = net.nodes[1].0.claims_due(at(3_000), (Epoch(0), View(0)), 256);
        assert_eq!(claims.len(), 2);
        net.link(3_000, PRIMARY);
        net.said.clear();
        net.run(3_000, 4_000);
        assert_eq!(net.count(0), 5_000);
        let bodies = net.said.iter().map(|(.., message)| match message {
            RepairMessage::PendingBodies(bodies) => bodies.len(),
            _ => 0,
        });
        assert!(bodies.sum::<usize>() < 5_000 + REPAIR_IDS_MAX, "hardly anything came twice");
    }

    #[test]
    fn a_full_rotation_tells_everything_in_bounded_parts() {
        let mut net = Net::new(2, &config());
        for number in 0..4_000 {
            let transaction = transaction(number as u8 % 2, number);
            (0..2).for_each(|index| net.admit(0, index, &transaction));
        }
        net.run(0, 6_000);
        let told_by_1 = net.said.iter().filter_map(|(from, _, message)| match message {
            RepairMessage::Pending(told) if *from == NodeIndex(1) => Some(told),
            _ => None,
        });
        assert!((8..=16).contains(&told_by_1.clone().count()), "one each half second");
        let distinct: BTreeSet<_> = told_by_1.flat_map(|told| told.iter().map(|told| told.id)).collect();
        assert_eq!(distinct.len(), 4_000);
        assert!(net.said.iter().all(|(.., message)| matches!(message, RepairMessage::Pending(_))));
    }

    #[test]
    fn nobody_asks_for_what_it_has_executed_refused_or_has_no_room_for() {
        let small = PoolConfig { count_max: 2, ..config() };
        let [one, two, three] = [1, 2, 3].map(|salt| transaction(1, salt));
        let told: Vec<Told> =
            [&one, &two, &three].map(|told| Told { id: told.id(), valid_until: told.valid_until() }).to_vec();
        let (mut pool, mut repair) = Net::node(1, &small);
        let teller = NodeIndex(2);
        assert_eq!(repair.on_pending(at(0), teller, &pool, START, &told), None, "a stranger's word");
        repair.peer_up(at(0).monotonic, teller);
        let asked =
            |ms: u64, pool: &Pool, repair: &mut Repair| match repair.on_pending(at(ms), teller, pool, START, &told) {
                Some(RepairMessage::FetchPending(ids)) => ids.len(),
                other => {
                    assert_eq!(other, None);
                    0
                }
            };
        assert_eq!(asked(0, &pool, &mut repair), 2, "as many as there is room for");
        assert_eq!(asked(24, &pool, &mut repair), 0, "too soon again");
        let position = Position { id: one.id(), outcome: Outcome::Applied };
        pool.settle(at(30), Sequence(1), &[position], &[one.valid_until()]);
        assert_eq!(asked(50, &pool, &mut repair), 2, "not for what it has executed");
        pool.mark(Sequence(2), &[two.id()]);
        assert_eq!(asked(10_100, &pool, &mut repair), 1, "a proposal names the other");
        assert_eq!(asked(30_000, &pool, &mut repair), 1, "what is late by the clock alone is news: its client waits");
        repair.note_refused(at(30_000).monotonic, three.id());
        assert_eq!(asked(30_100, &pool, &mut repair), 0, "once");
        let passed = repair.on_pending(at(90_000), teller, &pool, three.valid_until(), &told);
        assert_eq!(passed, None, "block time has passed it");
    }

    #[test]
    fn what_was_refused_is_asked_for_again_when_little_is_left_to_do_or_later() {
        let (mut pool, mut repair) = Net::node(1, &config());
        let (refused, teller) = (transaction(2, 0), NodeIndex(2));
        let told = [Told { id: refused.id(), valid_until: refused.valid_until() }];
        repair.peer_up(at(0).monotonic, teller);
        repair.note_refused(at(0).monotonic, refused.id());
        assert!(repair.on_pending(at(0), teller, &pool, START, &told).is_some());
        for salt in 0..IDLE_BELOW as u64 {
            pool.admit(at(0), START, transaction(1, salt), Door::Gossip).unwrap();
        }
        assert_eq!(repair.on_pending(at(100), teller, &pool, START, &told), None);
        assert!(repair.on_pending(at(10_100), teller, &pool, START, &told).is_some());
    }

    #[test]
    fn only_what_was_told_is_answered_and_only_once() {
        let mut net = Net::new(2, &config());
        let one = transaction(1, 0);
        net.admit(0, 1, &one);
        let (pool, repair) = &mut net.nodes[1];
        assert_eq!(repair.on_fetch(at(10), PRIMARY, pool, &[one.id()]), None, "nothing was told");
        assert_eq!(repair.due(at(600), pool, PRIMARY).len(), 1);
        assert!(repair.on_fetch(at(610), PRIMARY, pool, &[one.id()]).is_some());
        assert_eq!(repair.on_fetch(at(620), PRIMARY, pool, &[one.id()]), None);
    }

    #[test]
    fn refusals_are_forgotten_beyond_their_bound() {
        let (_, mut repair) = Net::node(1, &config());
        for number in 0..2 * REFUSED_MAX {
            let id = TransactionId(quorate_crypto::hash::sha256(&number.to_le_bytes()));
            repair.note_refused(at(0).monotonic, id);
            repair.note_refused(at(0).monotonic, id);
        }
        assert_eq!((repair.refused.len(), repair.refusals.len()), (REFUSED_MAX, REFUSED_MAX));
    }
}
