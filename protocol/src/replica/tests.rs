//! What a replica votes for, fetches, forwards and proposes. One replica under test; the others are keys in our hands.

use std::{sync::Arc, time::Duration};

use quorate_crypto::{
    hash::Digest,
    key::SecretKey,
    signature::Verifier,
    signed::{Signed, Verified},
};

use super::*;
use crate::{
    document::{
        AssetCode, Batch, Body, CertifiedBlock, Header, Operation, Outcome, Parameters, Position, Proof,
        SignedTransaction, Transaction, Validator, ValidatorSet,
    },
    executed::ExecutedIds,
    id::{Epoch, Height, NodeIndex, Sequence, TransactionId, View},
    limits::BATCH_AGE_MS,
    pbft::{
        self, Message, Record,
        message::{Ballot, Content, PrePrepare, Proposal},
    },
    pool::{Admitted, Door},
    time::{Instant, Now, UnixMillis},
};

mod store;
mod sync;

const WALL: UnixMillis = 1_000_000;

fn key(index: u8) -> SecretKey {
    SecretKey::from_seed([index + 1; 32])
}

fn validators() -> ValidatorSet {
    let member = |index: u8| Validator {
        consensus_key: key(index).public_key(),
        network_key: SecretKey::from_seed([index + 101; 32]).public_key(),
    };
    ValidatorSet::new((0..4).map(member).collect()).unwrap()
}

/// A transfer of client `client`; distinct salts make distinct transactions.
fn transaction(client: u8, salt: u64, valid_until: UnixMillis) -> SignedTransaction {
    let key = SecretKey::from_seed([client + 50; 32]);
    let transfer = Operation::Transfer { to: key.public_key(), code: "USD".parse::<AssetCode>().unwrap(), amount: 1 };
    let transaction = Transaction {
        chain_id: Digest::ZERO,
        sender: key.public_key(),
        valid_until,
        salt,
        operations: vec![transfer].try_into().unwrap(),
        memo: Default::default(),
    };
    SignedTransaction::sign(transaction, &key)
}

fn fresh(client: u8, salt: u64) -> SignedTransaction {
    transaction(client, salt, WALL + 30_000)
}

fn batch(time: UnixMillis, transactions: &[SignedTransaction]) -> Batch {
    let ids: Vec<TransactionId> = transactions.iter().map(SignedTransaction::id).collect();
    Batch { time, ids: ids.try_into().unwrap() }
}

fn header(height: u64, time: UnixMillis) -> Header {
    Header {
        version: 1,
        chain_id: Digest::ZERO,
        epoch: Epoch(0),
        height: Height(height),
        parent: Digest::ZERO,
        batch_digest: Digest::ZERO,
        transactions_root: Digest::ZERO,
        receipts_root: Digest::ZERO,
        state_root: Digest::ZERO,
        validators_hash: Digest::ZERO,
        next_validators_hash: Digest::ZERO,
        parameters_hash: Digest::ZERO,
        time,
    }
}

struct Bench {
    replica: Replica,
    now: Now,
    out: Vec<Output>,
    verifier: Verifier,
}

impl Bench {
    fn new(me: u8) -> Bench {
        // Tests let seconds pass; only those of view changes want one.
        let parameters = Parameters { view_timeout_ms: 60_000, view_timeout_max_ms: 60_000, ..Parameters::default() };
        Bench::with(me, parameters)
    }

    fn with(me: u8, parameters: Parameters) -> Bench {
        Bench::tuned(me, parameters, |_| {})
    }

    fn tuned(me: u8, parameters: Parameters, tune: impl FnOnce(&mut ReplicaConfig)) -> Bench {
        let engine = pbft::Config::new(Digest::ZERO, validators(), Some(NodeIndex(me)), &parameters);
        let now = Now { monotonic: Instant::ORIGIN, wall: WALL };
        let durable = DurableState {
            entries: Some(Vec::new()),
            low: Height(0),
            proven: None,
            executed: Height(0),
            head_time: 0,
            blocks: Vec::new(),
            executed_ids: ExecutedIds::default(),
        };
        let mut config = ReplicaConfig::new(engine, parameters);
        tune(&mut config);
        let replica = Replica::recover(config, key(me), durable, now);
        let mut bench = Bench { replica, now, out: Vec::new(), verifier: Verifier::new([0; 32], 64) };
        (0..4).filter(|i| *i != me).for_each(|i| bench.input(Input::PeerUp(NodeIndex(i))));
        bench.out.clear();
        bench
    }

    fn input(&mut self, input: Input) {
        self.replica.handle(self.now, input, &mut self.out);
    }

    fn pass(&mut self, millis: u64) {
        self.now.monotonic = self.now.monotonic + Duration::from_millis(millis);
        self.now.wall += millis;
        self.input(Input::Deadline);
    }

    fn hear(&mut self, from: u8, message: PeerMessage) {
        let context = self.replica.config.engine.verify_context();
        let message = Verified::check(message, &context, &mut self.verifier).expect("the test's message verifies");
        self.input(Input::Peer { from: NodeIndex(from), message });
    }

    fn propose(&mut self, sequence: u64, batch: &Batch) {
        let content = Content::Batch(batch.clone());
        let ballot = Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence(sequence), digest: content.digest() };
        let pre_prepare = Signed::sign(PrePrepare(ballot), &Digest::ZERO, &key(0));
        self.hear(0, PeerMessage::Pbft(Message::PrePrepare(Proposal { pre_prepare, content })));
    }

    fn submit(&mut self, transactions: &[SignedTransaction], door: Door) {
        let verified = transactions.iter().cloned();
        let verified: Vec<_> =
            verified.map(|t| Verified::check(t, &Digest::ZERO, &mut self.verifier).unwrap()).collect();
        self.input(Input::Submitted { transactions: verified, door });
    }

    fn supply(&mut self, from: u8, transactions: &[SignedTransaction]) {
        let bodies: Vec<Body> = transactions.iter().cloned().map(Arc::new).collect();
        self.hear(from, PeerMessage::Sync(SyncMessage::Bodies(bodies.try_into().unwrap())));
    }

    /// The journal entries that were asked for, since the last look.
    fn persisted(&self) -> Vec<&JournalEntry> {
        self.out
            .iter()
            .filter_map(|o| if let Output::Persist { entry, .. } = o { Some(&**entry) } else { None })
            .collect()
    }

    fn refusals(&self) -> Vec<&str> {
        let reason = |output| match output {
            &Output::Note(pbft::Note::Refused { ref reason, .. }) => Some(reason.as_str()),
            _ => None,
        };
        self.out.iter().filter_map(reason).collect()
    }

    /// Whom it asked for bodies, and how many.
    fn fetches(&self) -> Vec<(u8, usize)> {
        let fetch = |output: &Output| match output {
            Output::Send { to, message } => match &**message {
                PeerMessage::Sync(SyncMessage::FetchBodies(ids)) => Some((to.0, ids.len())),
                _ => None,
            },
            _ => None,
        };
        self.out.iter().filter_map(fetch).collect()
    }

    fn executed(&mut self, height: u64, time: UnixMillis, transactions: &[SignedTransaction]) {
        let header = header(height, time);
        let positions = transactions.iter().map(|t| Position { id: t.id(), outcome: Outcome::Applied }).collect();
        let valid_untils = transactions.iter().map(SignedTransaction::valid_until).collect();
        let result = ExecutionResult { header_hash: header.hash(), header, positions, valid_untils };
        self.input(Input::Executed(Ok(Box::new(result))));
    }

    /// Lets a batch commit by a certificate, and executes it.
    fn commit(&mut self, sequence: u64, batch: &Batch, transactions: &[SignedTransaction]) {
        let content = Content::Batch(batch.clone());
        let ballot = Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence(sequence), digest: content.digest() };
        let commits: Vec<_> =
            [0, 2, 3].iter().map(|i| Signed::sign(pbft::message::Commit(ballot), &Digest::ZERO, &key(*i))).collect();
        let certificate = pbft::message::CommitCertificate { commits: commits.try_into().unwrap(), content };
        self.hear(2, PeerMessage::Pbft(Message::CommitCertificate(certificate)));
        self.supply(2, transactions);
        let asked = self.out.iter().any(|output| matches!(output, Output::Execute(job) if job.height.0 == sequence));
        assert!(asked, "the block is executed once its bodies are here");
        self.executed(sequence, batch.time, transactions);
    }
}

#[test]
fn a_backup_votes_with_the_bodies_in_its_journal() {
    let mut bench = Bench::new(1);
    let transactions = [fresh(1, 1), fresh(2, 1)];
    bench.submit(&transactions, Door::Gossip);
    bench.propose(1, &batch(WALL, &transactions));
    let [entry] = bench.persisted()[..] else { panic!("one record") };
    assert!(matches!(entry.record, Record::Accepted { prepare: Some(_), .. }));
    assert_eq!(entry.bodies.iter().map(|body| body.id()).collect::<Vec<_>>(), transactions.map(|t| t.id()));
}

/// digest_without_body, body_to_too_few: nobody prepares what it does not hold. The proposer is asked first, then others.
#[test]
fn missing_bodies_are_fetched_before_a_vote() {
    let mut bench = Bench::new(1);
    let transactions = [fresh(1, 1), fresh(2, 1)];
    bench.submit(&transactions[..1], Door::Gossip);
    bench.propose(1, &batch(WALL, &transactions));
    assert!(bench.persisted().is_empty() && bench.fetches().is_empty(), "gossip may still bring it");
    bench.pass(20);
    assert_eq!(bench.fetches(), [(0, 1)]);
    bench.pass(120);
    bench.pass(120);
    assert_eq!(bench.fetches(), [(0, 1), (2, 1), (3, 1)]);
    assert!(bench.persisted().is_empty());
    bench.supply(3, &transactions[1..]);
    assert_eq!(bench.persisted().len(), 1);
    bench.out.clear();
    bench.pass(500);
    assert!(bench.fetches().is_empty());
}

/// What nobody has is asked for less and less often, or these questions would use up what peers allow for all others.
#[test]
fn bodies_that_nobody_has_are_asked_for_less_and_less_often() {
    let mut bench = Bench::new(1);
    bench.propose(1, &batch(WALL, &[fresh(1, 1)]));
    (0..100).for_each(|_| bench.pass(10));
    assert!(bench.fetches().len() <= 5, "answers may wait behind others in the first second");
    (0..900).for_each(|_| bench.pass(10));
    let asked = bench.fetches().len();
    assert!((10..=20).contains(&asked), "{asked} questions in 10 s");
    bench.out.clear();
    bench.input(Input::PeerDown(NodeIndex(0)));
    bench.input(Input::PeerUp(NodeIndex(0)));
    assert_eq!(bench.fetches(), [(0, 1)], "the proposer is back, and asked at once");
    bench.out.clear();
    for _ in 0..6 {
        bench.input(Input::PeerDown(NodeIndex(0)));
        bench.input(Input::PeerUp(NodeIndex(0)));
        bench.pass(50);
    }
    let to_others = bench.fetches().into_iter().filter(|(to, _)| *to != 0).count();
    assert!(to_others >= 2, "a link that comes and goes keeps nobody else from being asked: {:?}", bench.fetches());
}

/// Where one sender floods, each pool holds another part of what it sent; what the primary's had room for comes by gossip all the same.
#[test]
fn a_body_that_the_pool_has_no_room_for_completes_its_proposal() {
    let mut bench = Bench::tuned(1, Parameters::default(), |config| {
        (config.pool.count_max, config.pool.sender_share) = (4, 4);
    });
    let (here, proposed) = (fresh(1, 1), fresh(1, 2));
    bench.submit(&[here], Door::Gossip);
    bench.propose(1, &batch(WALL, std::slice::from_ref(&proposed)));
    assert!(bench.persisted().is_empty());
    bench.submit(std::slice::from_ref(&proposed), Door::Gossip);
    assert!(!bench.replica.pool().contains(&proposed.id()), "its sender has its share");
    assert_eq!(bench.persisted().len(), 1);
}

/// Other slots go on while one waits for its bodies.
#[test]
fn a_slot_without_bodies_does_not_hold_up_the_next() {
    let mut bench = Bench::new(1);
    let (missing, held) = (fresh(1, 1), fresh(2, 1));
    bench.submit(std::slice::from_ref(&held), Door::Gossip);
    bench.propose(1, &batch(WALL, &[missing]));
    bench.propose(2, &batch(WALL, &[held]));
    assert_eq!(bench.persisted().len(), 1);
}

#[test]
fn a_batch_with_an_id_twice_is_refused() {
    let mut bench = Bench::new(1);
    let one = fresh(1, 1);
    bench.submit(std::slice::from_ref(&one), Door::Gossip);
    bench.propose(1, &batch(WALL, &[one.clone(), one]));
    assert!(bench.persisted().is_empty());
    assert!(bench.refusals()[0].contains("stands twice"));
}

/// same_transaction_in_two_batches.
#[test]
fn an_id_of_another_live_slot_is_refused() {
    let mut bench = Bench::new(1);
    let one = fresh(1, 1);
    bench.submit(std::slice::from_ref(&one), Door::Gossip);
    bench.propose(1, &batch(WALL, std::slice::from_ref(&one)));
    bench.propose(2, &batch(WALL + 1, &[one]));
    assert_eq!(bench.persisted().len(), 1);
    assert!(bench.refusals()[0].contains("another live slot"));
}

/// Its body is no longer pending here, and tells where to look: so that comes first.
#[test]
fn an_executed_id_is_refused_in_a_fresh_batch() {
    let mut bench = Bench::new(1);
    let one = fresh(1, 1);
    bench.commit(1, &batch(WALL, std::slice::from_ref(&one)), std::slice::from_ref(&one));
    bench.out.clear();
    bench.propose(2, &batch(WALL + 1, std::slice::from_ref(&one)));
    assert!(bench.persisted().is_empty());
    bench.supply(0, &[one]);
    assert!(bench.persisted().is_empty());
    assert!(bench.refusals()[0].contains("executed at another height"));
}

/// 3.6: an executed sequence is voted for too, and only for the digest that was executed there.
#[test]
fn an_executed_sequence_is_voted_for_with_its_own_digest_only() {
    let one = fresh(1, 1);
    let ordered = batch(WALL, std::slice::from_ref(&one));
    let mut bench = Bench::new(1);
    bench.commit(1, &ordered, std::slice::from_ref(&one));
    let mut other = Bench { replica: bench.replica.clone(), now: bench.now, out: Vec::new(), verifier: bench.verifier };
    bench = Bench { replica: other.replica.clone(), out: Vec::new(), verifier: Verifier::new([0; 32], 64), ..other };
    bench.propose(1, &ordered);
    assert!(bench.persisted().iter().any(|entry| matches!(entry.record, Record::Accepted { .. })));
    other = Bench { replica: other.replica, now: bench.now, out: Vec::new(), verifier: Verifier::new([0; 32], 64) };
    other.propose(1, &batch(WALL, &[fresh(2, 2)]));
    assert!(other.refusals()[0].contains("another batch was executed"));
}

/// poisoned_batch: one transaction outside of the window makes the whole batch unacceptable.
#[test]
fn a_batch_with_an_expired_or_far_transaction_is_refused() {
    let window = Parameters::default().validity_window_ms;
    for valid_until in [WALL, WALL + window + 1] {
        let mut bench = Bench::new(1);
        let bad = transaction(1, 1, valid_until);
        bench.propose(1, &batch(WALL, std::slice::from_ref(&bad)));
        bench.supply(0, &[bad]);
        assert!(bench.persisted().is_empty());
        assert!(bench.refusals()[0].contains("outside of the batch's window"), "{valid_until}");
    }
    let mut bench = Bench::new(1);
    let last = transaction(1, 1, WALL + window);
    bench.propose(1, &batch(WALL, std::slice::from_ref(&last)));
    bench.supply(0, &[last]);
    assert_eq!(bench.persisted().len(), 1, "the window's end is inside");
}

#[test]
fn a_batch_over_the_count_or_bytes_is_refused() {
    let transactions: Vec<_> = (0..4).map(|salt| fresh(1, salt)).collect();
    let parameters = Parameters { batch_count_max: 3, ..Parameters::default() };
    let mut bench = Bench::with(1, parameters);
    bench.propose(1, &batch(WALL, &transactions));
    assert!(bench.refusals()[0].contains("3 are allowed"));

    let bytes: usize = transactions.iter().map(SignedTransaction::size).sum();
    let parameters = Parameters { batch_bytes_max: u32::try_from(bytes - 1).unwrap(), ..Parameters::default() };
    let mut bench = Bench::with(1, parameters);
    bench.propose(1, &batch(WALL, &transactions));
    bench.supply(0, &transactions);
    assert!(bench.persisted().is_empty());
    assert!(bench.refusals()[0].contains("bytes"));
}

/// However long a slow link keeps bodies away, the batch is as old as it was when it came: view timeouts grow for such links, and
/// this bound does not.
#[test]
fn a_batch_is_not_too_old_because_its_bodies_came_late() {
    let skew = Parameters::default().clock_skew_max_ms;
    let mut bench = Bench::new(1);
    let (slow, old) = (fresh(1, 1), fresh(2, 1));
    bench.propose(1, &batch(WALL - skew, std::slice::from_ref(&slow)));
    bench.pass(skew + 1_000);
    bench.supply(0, std::slice::from_ref(&slow));
    assert_eq!((bench.persisted().len(), bench.refusals().len()), (1, 0));
    bench.propose(2, &batch(WALL + 999, std::slice::from_ref(&old)));
    bench.supply(0, &[old]);
    assert_eq!((bench.persisted().len(), bench.refusals()), (1, vec![TIME_TOO_OLD]));
}

/// far_future_proposal: it waits, and is voted for when the clock has come near enough.
#[test]
fn a_batch_from_the_future_waits() {
    let skew = Parameters::default().clock_skew_max_ms;
    let mut bench = Bench::new(1);
    let one = fresh(1, 1);
    bench.submit(std::slice::from_ref(&one), Door::Gossip);
    bench.propose(1, &batch(WALL + skew + 500, &[one]));
    assert!(bench.persisted().is_empty() && bench.refusals().is_empty());
    let deadline = bench.replica.next_deadline().unwrap();
    assert!(deadline <= bench.now.monotonic + Duration::from_millis(500), "it wakes up for it");
    bench.pass(499);
    assert!(bench.persisted().is_empty());
    bench.pass(1);
    assert_eq!(bench.persisted().len(), 1);
}

/// far_future_proposal: while it waits, the replica sleeps; a deadline that has passed would keep it awake for ever.
#[test]
fn a_batch_from_the_far_future_keeps_nobody_awake() {
    let mut bench = Bench::new(1);
    bench.propose(1, &batch(UnixMillis::MAX, &[]));
    bench.propose(2, &batch(WALL, &[fresh(1, 1)]));
    for _ in 0..5 {
        bench.pass(1_000);
        assert!(bench.replica.next_deadline().unwrap() > bench.now.monotonic, "it does not sleep");
    }
}

/// A body that execution skipped stands in no index, and whoever executed the block has let it go. Its block still has it.
#[test]
fn a_final_batch_whose_bodies_nobody_finds_is_fetched_as_a_block() {
    let mut bench = Bench::new(1);
    let skipped = fresh(1, 1);
    let ordered = batch(WALL, std::slice::from_ref(&skipped));
    let content = Content::Batch(ordered.clone());
    let ballot = Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence(1), digest: content.digest() };
    let commits: Vec<_> =
        [0, 2, 3].iter().map(|i| Signed::sign(pbft::message::Commit(ballot), &Digest::ZERO, &key(*i))).collect();
    let certificate = pbft::message::CommitCertificate { commits: commits.clone().try_into().unwrap(), content };
    bench.hear(2, PeerMessage::Pbft(Message::CommitCertificate(certificate)));
    for _ in 0..8 {
        bench.pass(150);
    }
    let asked = bench.out.iter().find_map(|output| match output {
        Output::Send { to, message } => match **message {
            PeerMessage::Sync(SyncMessage::FetchBlocks { from, .. }) => Some((*to, from)),
            _ => None,
        },
        _ => None,
    });
    let (source, from) = asked.expect("it asks for the block");
    assert_eq!(from, Height(1));
    let block = CertifiedBlock {
        header: Header { batch_digest: ordered.digest(), ..header(1, WALL) },
        batch: ordered,
        bodies: vec![Arc::new(skipped)].try_into().unwrap(),
        proof: Proof::Commits(commits.try_into().unwrap()),
    };
    bench.hear(source.0, PeerMessage::Sync(SyncMessage::Blocks(vec![block].try_into().unwrap())));
    let executed = bench.out.iter().filter(|output| matches!(output, Output::Execute(_))).count();
    assert_eq!(executed, 1);
}

#[test]
fn only_a_clients_new_transactions_are_gossiped() {
    let mut bench = Bench::new(1);
    let one = [fresh(1, 1)];
    bench.submit(&one, Door::Gossip);
    assert!(!bench.out.iter().any(|output| matches!(output, Output::Gossip(_) | Output::Admission { .. })));
    bench.submit(&one, Door::Client);
    assert!(!bench.out.iter().any(|output| matches!(output, Output::Gossip(_))), "it is known already");
    assert!(matches!(bench.out[..], [Output::Admission { result: Ok(Admitted::Known), .. }]));
    bench.submit(&[fresh(1, 2)], Door::Client);
    assert!(bench.out.iter().any(|output| matches!(output, Output::Gossip(bodies) if bodies.len() == 1)));
}

/// 5.6: what gossip lost reaches the primary all the same.
#[test]
fn an_old_transaction_is_claimed_from_the_primary() {
    let mut bench = Bench::new(1);
    bench.submit(&[fresh(1, 1), fresh(1, 2), fresh(2, 1)], Door::Client);
    bench.pass(100);
    bench.out.clear();
    for _ in 0..8 {
        bench.pass(125);
    }
    let claims: Vec<usize> = bench
        .out
        .iter()
        .filter_map(|output| match output {
            Output::Send { to: NodeIndex(0), message } => match &**message {
                PeerMessage::Sync(SyncMessage::Claims(bodies)) => Some(bodies.len()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(claims, [2], "each sender's oldest, once");
}

#[test]
fn the_primary_proposes_at_once_when_idle_and_by_age_when_not() {
    let mut bench = Bench::new(0);
    bench.submit(&[fresh(1, 1)], Door::Client);
    assert_eq!(bench.persisted().len(), 1, "nothing is in flight");
    bench.out.clear();
    bench.submit(&[fresh(1, 2)], Door::Client);
    assert!(bench.persisted().is_empty(), "a batch is in flight: others may join");
    bench.submit(&[fresh(2, 1)], Door::Gossip);
    bench.pass(BATCH_AGE_MS);
    let [entry] = bench.persisted()[..] else { panic!("one more batch") };
    assert_eq!(entry.bodies.len(), 2);
}

/// A claim may lie ahead of the window by the clock of a primary that is behind: it is proposed as soon as it may be, even where
/// nothing else happens.
#[test]
fn a_claim_ahead_of_the_window_is_proposed_when_the_window_reaches_it() {
    let window = Parameters::default().validity_window_ms;
    let mut bench = Bench::new(0);
    let ahead = [transaction(1, 1, WALL + window + 1_437)];
    bench.submit(&ahead, Door::Claim(NodeIndex(2)));
    assert!(bench.persisted().is_empty(), "no backup could vote for it");
    while bench.persisted().is_empty() && bench.now.wall < WALL + 5_000 {
        let sleeps = bench.replica.next_deadline().unwrap().saturating_since(bench.now.monotonic);
        bench.pass(u64::try_from(sleeps.as_micros().div_ceil(1_000)).unwrap());
    }
    assert_eq!(bench.now.wall, WALL + 1_437, "it wakes up for it");
    let [entry] = bench.persisted()[..] else { panic!("one batch") };
    assert_eq!(entry.bodies.iter().map(|body| body.id()).collect::<Vec<_>>(), [ahead[0].id()]);
}

/// 2.7: an idle net makes no blocks, but a client whose transaction expired must be able to know.
#[test]
fn an_expired_transaction_asks_for_one_empty_block() {
    let mut bench = Bench::new(0);
    for _ in 0..20 {
        bench.pass(500);
    }
    assert!(bench.persisted().is_empty(), "an idle primary proposes nothing");
    let wall = bench.now.wall;
    let late = [transaction(1, 1, wall - 1)];
    bench.submit(&late, Door::Claim(NodeIndex(2)));
    bench.pass(1);
    let [entry] = bench.persisted()[..] else { panic!("one empty batch") };
    assert!(entry.bodies.is_empty());
    let Record::Accepted { content: Some(content), .. } = &entry.record else { panic!("a proposal") };
    assert!(content.batch().unwrap().time >= wall - 1);
    bench.pass(2_000);
    assert_eq!(bench.persisted().len(), 1, "its time is on its way: one is enough");
}

#[test]
fn bodies_that_are_not_here_are_looked_up_in_the_store() {
    let mut bench = Bench::new(1);
    let (held, unknown) = (fresh(1, 1), fresh(1, 2));
    bench.submit(std::slice::from_ref(&held), Door::Gossip);
    let ids = vec![held.id(), unknown.id()];
    bench.hear(2, PeerMessage::Sync(SyncMessage::FetchBodies(ids.try_into().unwrap())));
    let answered = bench.out.iter().any(|output| match output {
        Output::Send { to: NodeIndex(2), message } => {
            matches!(&**message, PeerMessage::Sync(SyncMessage::Bodies(bodies)) if bodies.len() == 1)
        }
        _ => false,
    });
    assert!(answered);
    let served = bench.out.iter().any(|output| match output {
        Output::Serve { to: NodeIndex(2), request: SyncMessage::FetchBodies(ids) } => ids[..] == [unknown.id()],
        _ => false,
    });
    assert!(served);
}

/// BM: views that fail one after the other propose the same batches again; the journal has their bodies once, and a restart finds
/// them all the same.
#[test]
fn what_several_views_propose_has_its_bodies_in_the_journal_once() {
    let mut bench = Bench::new(2);
    let transactions = [fresh(1, 1), fresh(2, 1)];
    let ordered = batch(WALL, &transactions);
    let digest = Content::Batch(ordered.clone()).digest();
    bench.submit(&transactions, Door::Gossip);
    bench.propose(1, &ordered);
    let at = |view: u64| Ballot { epoch: Epoch(0), view: View(view), sequence: Sequence(1), digest };
    let prepares = [1, 3].map(|i| Signed::sign(pbft::message::Prepare(at(0)), &Digest::ZERO, &key(i)));
    let certificate = pbft::message::PreparedCertificate {
        pre_prepare: Signed::sign(PrePrepare(at(0)), &Digest::ZERO, &key(0)),
        prepares: prepares.to_vec().try_into().unwrap(),
    };
    let view_changes = [0, 1, 3].map(|i| {
        let prepared = vec![certificate.clone()].try_into().unwrap();
        let body = pbft::message::ViewChange { epoch: Epoch(0), view: View(1), low: None, prepared };
        Signed::sign(body, &Digest::ZERO, &key(i))
    });
    let mut names = view_changes.each_ref().map(pbft::message::view_change_name).to_vec();
    names.sort_unstable();
    let new_view = pbft::message::NewView {
        epoch: Epoch(0),
        view: View(1),
        view_changes: names.try_into().unwrap(),
        pre_prepares: vec![Signed::sign(PrePrepare(at(1)), &Digest::ZERO, &key(1))].try_into().unwrap(),
    };
    for signed in view_changes {
        bench.hear(1, PeerMessage::Pbft(Message::ViewChange(signed)));
    }
    bench.hear(1, PeerMessage::Pbft(Message::NewView(Signed::sign(new_view, &Digest::ZERO, &key(1)))));
    let entries: Vec<JournalEntry> = bench.persisted().into_iter().cloned().collect();
    let accepted = entries.iter().filter(|entry| matches!(entry.record, Record::Accepted { content: Some(_), .. }));
    assert_eq!(accepted.map(|entry| entry.bodies.len()).collect::<Vec<_>>(), [2, 0]);
    let durable = DurableState {
        entries: Some(entries),
        low: Height(0),
        proven: None,
        executed: Height(0),
        head_time: 0,
        blocks: Vec::new(),
        executed_ids: ExecutedIds::default(),
    };
    let mut restarted = Replica::recover(bench.replica.config.clone(), key(2), durable, bench.now);
    assert!(restarted.bodies.complete(&(Sequence(1), digest)).is_some());
    let record = Record::Accepted {
        pre_prepare: Signed::sign(PrePrepare(at(5)), &Digest::ZERO, &key(1)),
        content: Some(Content::Batch(ordered)),
        prepare: None,
    };
    assert!(restarted.journal_entry(record).bodies.is_empty(), "it knows what its journal has");
}

/// A restarted primary knows what it had proposed: nothing of it is proposed a second time.
#[test]
fn a_restarted_primary_does_not_propose_twice() {
    let mut bench = Bench::new(0);
    let one = [fresh(1, 1)];
    bench.submit(&one, Door::Client);
    let entries: Vec<JournalEntry> = bench.persisted().into_iter().cloned().collect();
    let durable = DurableState {
        entries: Some(entries),
        low: Height(0),
        proven: None,
        executed: Height(0),
        head_time: 0,
        blocks: Vec::new(),
        executed_ids: ExecutedIds::default(),
    };
    let config = bench.replica.config.clone();
    bench.replica = Replica::recover(config, key(0), durable, bench.now);
    bench.out.clear();
    bench.submit(&one, Door::Gossip);
    bench.pass(50);
    assert!(bench.persisted().is_empty());
    bench.submit(&[fresh(1, 2)], Door::Gossip);
    bench.pass(50);
    let [entry] = bench.persisted()[..] else { panic!("the next batch") };
    assert_eq!(entry.sequence(), Some(Sequence(2)));
    assert_eq!(entry.bodies.len(), 1);
}

/// A liar replays an old STATUS of an honest replica: nobody answers it, and the true one is answered as ever.
#[test]
fn a_replayed_status_of_another_is_ignored() {
    let mut bench = Bench::new(1);
    let one = fresh(1, 1);
    bench.submit(std::slice::from_ref(&one), Door::Gossip);
    bench.propose(1, &batch(WALL, &[one]));
    let [Output::Persist { ticket, .. }] =
        &bench.out.iter().filter(|output| matches!(output, Output::Persist { .. })).collect::<Vec<_>>()[..]
    else {
        panic!("one record")
    };
    let ticket = *ticket;
    bench.input(Input::Durable(ticket));
    bench.pass(1_000);
    bench.out.clear();
    let status = pbft::message::Status {
        epoch: Epoch(0),
        view: View(0),
        active: true,
        low: Height(0),
        executed: Height(0),
        slots: Default::default(),
        uncertified: Default::default(),
        view_changes: 0,
    };
    let signed = PeerMessage::Pbft(Message::Status(Signed::sign(status, &Digest::ZERO, &key(3))));
    let answers = |bench: &Bench| bench.out.iter().filter(|o| matches!(o, Output::Send { .. })).count();
    bench.hear(2, signed.clone());
    assert_eq!(answers(&bench), 0);
    bench.hear(3, signed);
    assert!(answers(&bench) > 0);
}

/// BM: a question that names one VIEW-CHANGE many times is answered with it once, and whoever names many large ones gets as many
/// as an answer may have.
#[test]
fn view_changes_are_answered_once_each_and_within_the_bytes_of_an_answer() {
    let mut bench = Bench::new(1);
    let large = |signer: u8| {
        let ballot = |n: u64| Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence(n), digest: Digest::ZERO };
        let certificate = |n: u64| pbft::message::PreparedCertificate {
            pre_prepare: Signed::sign(PrePrepare(ballot(n)), &Digest::ZERO, &key(0)),
            prepares: [2, 3]
                .map(|i| Signed::sign(pbft::message::Prepare(ballot(n)), &Digest::ZERO, &key(i)))
                .to_vec()
                .try_into()
                .unwrap(),
        };
        let prepared: Vec<_> = (1..=128).map(certificate).collect();
        let body = pbft::message::ViewChange {
            epoch: Epoch(0),
            view: View(9),
            low: None,
            prepared: prepared.try_into().unwrap(),
        };
        Signed::sign(body, &Digest::ZERO, &key(signer))
    };
    let names = [2, 3].map(|signer| {
        let view_change = large(signer);
        let name = pbft::message::view_change_name(&view_change);
        bench.hear(signer, PeerMessage::Pbft(Message::ViewChange(view_change)));
        name
    });
    bench.out.clear();
    let asked: Vec<Digest> = names.iter().copied().cycle().take(31).collect();
    bench.hear(3, PeerMessage::Sync(SyncMessage::FetchViewChanges(asked.try_into().unwrap())));
    let sent = |output: &Output| match output {
        Output::Send { to: NodeIndex(3), message } => matches!(&**message, PeerMessage::Pbft(Message::ViewChange(_))),
        _ => false,
    };
    assert_eq!(bench.out.iter().filter(|output| sent(output)).count(), 2);
}

/// BM: questions cost the asker next to nothing, so their number is bounded.
#[test]
fn a_peer_that_asks_without_end_is_answered_a_bounded_number_of_times() {
    let mut bench = Bench::new(1);
    for _ in 0..1_000 {
        bench.hear(2, PeerMessage::Sync(SyncMessage::FetchBlocks { from: Height(1), count: 64 }));
    }
    let served = bench.out.iter().filter(|output| matches!(output, Output::Serve { .. })).count();
    assert_eq!(served, 32);
    bench.out.clear();
    bench.hear(3, PeerMessage::Sync(SyncMessage::FetchBlocks { from: Height(1), count: 64 }));
    assert_eq!(bench.out.len(), 1, "another peer has its own allowance");
}
