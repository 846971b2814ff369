//! Primaries that lie.

use super::liars::{
    Proposing, Saying, ballots_of_correct, convicted_of, heard, must_be_executed_once, must_be_replaced, noted,
    noted_by_correct, own_commits, own_proposals, own_votes, places, proposals_heard, two_stories,
};
use super::stage::{Stage, V0, V1, V2, V3, WELL, for_seeds, ms};
use quorate_crypto::Digest;
use quorate_protocol::document::{Batch, Body, Outcome, SignedTransaction, SkipReason};
use quorate_protocol::id::{Height, NodeIndex, Sequence, TransactionId, View};
use quorate_protocol::pbft::Message;
use quorate_protocol::pbft::message::{Content, Proposal, view_change_name};
use quorate_protocol::replica::{PeerMessage, SyncMessage};
use quorate_protocol::sim::{Behaviour, Fate, Liar, Lie, Promise, World, WorldConfig, transfer};
use quorate_protocol::store::Store;
use std::collections::BTreeSet;
use std::sync::Arc;

const SEEDS: u64 = 20;

/// A world whose first primary is a liar.
fn stage_with(n: usize, seed: u64, behaviour: Box<dyn Behaviour>) -> Stage {
    let mut stage = Stage::new(n, seed);
    stage.world.corrupt(V0, behaviour);
    stage
}

/// A lie that the simulator knows by name.
fn known(lie: Lie) -> Box<dyn Behaviour> {
    lie.behaviour(&WorldConfig::hasty(4, 0).parameters)
}

/// Payments that come so fast that one batch holds several of them.
fn pay_at_once(stage: &mut Stage, count: usize, to: &[NodeIndex]) {
    for turn in 0..count {
        stage.pay(to[turn % to.len()]);
    }
    stage.world.run_for(ms(5));
}

/// Both stories arrived: two honest nodes heard different digests at one place.
fn must_have_told_two_stories(world: &World, liar: NodeIndex, first: NodeIndex, second: NodeIndex) {
    let (one, other) = (proposals_heard(world, liar, first), proposals_heard(world, liar, second));
    let differ = one.iter().filter(|(place, digest)| other.get(place).is_some_and(|told| told != *digest)).count();
    assert!(differ > 0, "{one:?} and {other:?}");
}

/// The primary tells one batch to one half and another one to the other half, and votes for both; nothing, one place, or
/// everything of the greater half commits. At most one batch commits, and what stands in either is executed once.
#[test]
fn equivocate_halves() {
    let to: [fn(NodeIndex) -> bool; 3] = [|_| true, |to| to == V2, |_| false];
    for_seeds(SEEDS * 3 / 2, |seed| {
        let mut stage = stage_with(4, seed, two_stories(to[seed as usize % 3]));
        for _ in 0..4 {
            pay_at_once(&mut stage, 6, &[V1, V2, V3]);
        }
        stage.must_settle();
        must_have_told_two_stories(&stage.world, V0, V1, V2);
        must_be_executed_once(&stage);
    });
}

/// Both COMMITs of the liar reach one honest node, the second one inside of a certificate: that is evidence. AC.
#[test]
fn two_stories_are_evidence() {
    for_seeds(SEEDS / 2, |seed| {
        let mut stage = stage_with(4, seed, two_stories(|_| true));
        for _ in 0..4 {
            pay_at_once(&mut stage, 6, &[V1, V2, V3]);
        }
        stage.must_settle();
        must_have_told_two_stories(&stage.world, V0, V1, V2);
        assert!(!convicted_of(&stage.world, V0).is_empty(), "seed {seed}");
    });
}

/// The same with two liars of seven: the second one, a backup, votes for both stories.
#[test]
fn equivocate_halves_with_an_accomplice() {
    for_seeds(SEEDS / 2, |seed| {
        let mut stage = stage_with(7, seed, two_stories(|_| true));
        stage.world.corrupt(V1, known(Lie::SelectiveVotes));
        let honest: Vec<NodeIndex> = (2..7).map(NodeIndex).collect();
        for _ in 0..4 {
            pay_at_once(&mut stage, 6, &honest);
        }
        stage.must_settle();
        must_have_told_two_stories(&stage.world, V0, V2, NodeIndex(6));
        must_be_executed_once(&stage);
    });
}

/// What no promise covers: with f + 1 such liars both batches commit, and the checkers say so. This is what the tests
/// around it would look like if they failed.
#[test]
fn f_plus_one_equivocators_fork_the_chain_and_are_seen() {
    for_seeds(SEEDS / 2, |seed| {
        let mut stage = stage_with(4, seed, two_stories(|_| true));
        stage.world.corrupt(V3, known(Lie::Silent));
        pay_at_once(&mut stage, 12, &[V1, V2]);
        stage.world.run_for(ms(200));
        let broken = stage.world.violation().map(|violation| violation.promise);
        assert_eq!(broken, Some(Promise::Agreement), "seed {seed}");
    });
}

/// Every batch holds the transactions of the one before again: nobody votes for such a batch, and nothing is executed
/// twice. EO.
#[test]
fn same_transaction_in_two_batches() {
    for_seeds(SEEDS, |seed| {
        let mut stage = stage_with(4, seed, known(Lie::SameTransaction));
        stage.pay_many(20, &[V1, V2, V3]);
        stage.must_settle();
        must_be_executed_once(&stage);
        must_be_replaced(&stage, V0);
        assert!(noted_by_correct(&stage.world, "does not vote for sequence") > 0, "seed {seed}");
    });
}

/// One half hears two batches in the one order, the other half in the other order. EO AG.
#[test]
fn same_transactions_in_swapped_batches() {
    for_seeds(SEEDS, |seed| {
        let mut kept: Option<Proposal> = None;
        let mut told: BTreeSet<(NodeIndex, Sequence)> = BTreeSet::new();
        let swapped = move |liar: &mut Liar<'_>, to: NodeIndex, proposal: &Proposal| {
            let ballot = proposal.ballot();
            let first = kept.get_or_insert_with(|| proposal.clone()).clone();
            if ballot.sequence == first.ballot().sequence {
                return; // Both are told when the second one is there.
            }
            let (low, high) = (first.ballot().sequence, ballot.sequence);
            let mut contents = [first.content, proposal.content.clone()];
            if !liar.is_in_first_half(to) {
                contents.reverse();
            }
            if high == low.next() && told.insert((to, high)) {
                for (sequence, content) in [low, high].into_iter().zip(contents) {
                    let lie = liar.forge.pre_prepare(liar.me, ballot.view, sequence, content);
                    liar.send(to, lie);
                }
            }
        };
        let mut stage = stage_with(4, seed, Box::new(Proposing(swapped)));
        stage.pay_many(20, &[V1, V2, V3]);
        stage.must_settle();
        must_have_told_two_stories(&stage.world, V0, V1, V2);
        must_be_executed_once(&stage);
    });
}

/// One backup hears every batch one place later than the others. AG.
#[test]
fn shifted_sequence() {
    for_seeds(SEEDS, |seed| {
        let mut stage = stage_with(4, seed, known(Lie::ShiftedSequence));
        stage.pay_many(20, &[V1, V2, V3]);
        stage.must_settle();
        let (shifted, others) = (proposals_heard(&stage.world, V0, V1), proposals_heard(&stage.world, V0, V2));
        let is_later = |((view, sequence), digest): (&(View, Sequence), &String)| {
            shifted.get(&(*view, sequence.next())) == Some(digest)
        };
        assert!(others.iter().any(is_later), "seed {seed}: {others:?} and {shifted:?}");
        must_be_executed_once(&stage);
    });
}

/// The primary leaves places out, or jumps to the end of the window, beyond it, and to the end of all numbers. Nothing
/// beyond the window is kept, and it is replaced. LV.
#[test]
fn gap_or_jump_in_sequence() {
    for_seeds(SEEDS, |seed| {
        let window = WorldConfig::hasty(4, 0).parameters.log_window;
        let jump = [1, 2, window - 1, window, window + 1, 10_000, u64::MAX - 1][seed as usize % 7];
        let jumping = move |liar: &mut Liar<'_>, to: NodeIndex, proposal: &Proposal| {
            let ballot = proposal.ballot();
            let sequence = Sequence(ballot.sequence.0.saturating_add(jump));
            let lie = liar.forge.pre_prepare(liar.me, ballot.view, sequence, proposal.content.clone());
            liar.send(to, lie);
        };
        let mut stage = stage_with(4, seed, Box::new(Proposing(jumping)));
        stage.pay_many(10, &[V1, V2, V3]);
        assert!(!proposals_heard(&stage.world, V0, V1).is_empty(), "seed {seed}");
        for node in [V1, V2, V3] {
            let engine = stage.world.status(node).expect("it runs").engine;
            assert!(Height::from(engine.highest_slot) <= engine.high, "seed {seed}: {engine:?}");
            assert_eq!(engine.executed, Height(0), "seed {seed}: nothing is executed past a gap");
        }
        stage.must_settle();
        must_be_executed_once(&stage);
        must_be_replaced(&stage, V0);
    });
}

/// A transaction of a friend of the liars at the end of each batch of a view: `bodies` says who gets it.
fn with_a_friend(bodies: fn(&Liar<'_>, NodeIndex) -> bool) -> Box<dyn Behaviour> {
    let mut made: Option<SignedTransaction> = None;
    Box::new(Proposing(move |liar: &mut Liar<'_>, to: NodeIndex, proposal: &Proposal| {
        let Content::Batch(batch) = &proposal.content else { return };
        let valid_until = liar.valid_until();
        let payment = made.get_or_insert_with(|| liar.forge.payment(valid_until)).clone();
        let mut ids = batch.ids.clone();
        ids.push(payment.id()).expect("a batch is not full");
        let ballot = proposal.ballot();
        let content = Content::Batch(Batch { time: batch.time, ids });
        let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
        liar.send(to, lie);
        if bodies(liar, to) {
            let bodies = vec![Arc::new(payment)].try_into().expect("one body");
            liar.send(to, PeerMessage::Sync(SyncMessage::Bodies(bodies)));
        }
    }))
}

/// Every batch names a transaction that nobody has: nobody prepares it, and the primary is replaced. LV.
#[test]
fn digest_without_body() {
    for_seeds(SEEDS, |seed| {
        let mut stage = stage_with(4, seed, with_a_friend(|_, _| false));
        stage.pay_many(10, &[V1, V2, V3]);
        stage.must_settle();
        let lies = own_proposals(&stage.world, V0);
        assert!(!lies.is_empty() && !proposals_heard(&stage.world, V0, V1).is_empty(), "seed {seed}");
        let voted = ballots_of_correct(&stage.world).into_iter().any(|ballot| lies.contains(&ballot));
        assert!(!voted, "seed {seed}: somebody voted for what nobody has");
        assert!(!heard(&stage.world, V1, V0, "asks for 1 body").is_empty(), "seed {seed}: the proposer is asked first");
        must_be_executed_once(&stage);
        must_be_replaced(&stage, V0);
    });
}

/// One backup only gets a transaction: the others vote no sooner than they have it from there; and when that backup is
/// cut off, nobody else votes, and the primary is replaced. LV.
#[test]
fn body_to_too_few() {
    for_seeds(SEEDS, |seed| {
        let mut stage = stage_with(4, seed, with_a_friend(|liar, to| to == liar.chosen()));
        let is_alone = seed % 2 == 0;
        if is_alone {
            for other in [V2, V3] {
                stage.world.network_mut().cut(V1, other);
            }
        }
        stage.pay_many(10, &[V2, V3]);
        stage.world.run_for(ms(100));
        let lies = own_proposals(&stage.world, V0);
        let votes =
            |stage: &Stage, node| own_votes(&stage.world, node).iter().filter(|vote| lies.contains(vote)).count();
        assert!(votes(&stage, V1) > 0, "seed {seed}: the one that has the body votes");
        for node in [V2, V3] {
            let has_body = !heard(&stage.world, V1, node, "1 body").is_empty();
            assert_eq!(votes(&stage, node) > 0, has_body, "seed {seed}: {node} votes for what it holds, and only then");
            assert_eq!(has_body, !is_alone, "seed {seed}");
        }
        stage.world.heal_correct(WELL);
        stage.must_settle();
        must_be_executed_once(&stage);
    });
}

/// What is wrong with one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poison {
    Forged,
    Twice,
    Expired,
    TooFar,
    TooMany,
    TooEarly,
    TooOld,
}

/// The batch with something wrong in it, and the bodies that go with it.
fn poison(liar: &mut Liar<'_>, batch: &Batch, kind: Poison) -> (Batch, Vec<SignedTransaction>) {
    let (wall, valid_until) = (liar.now.wall, liar.valid_until());
    let mut time = batch.time;
    let mut ids = batch.ids.to_vec();
    let bodies = match kind {
        Poison::Forged => vec![liar.forge.forged_payment(valid_until)],
        Poison::Twice => vec![liar.forge.payment(valid_until); 2],
        Poison::Expired => vec![liar.forge.payment(time)],
        Poison::TooFar => vec![liar.forge.payment(wall + 1_000_000_000)],
        Poison::TooMany => {
            ids.extend((0..2_000).map(|_| TransactionId(liar.forge.nonsense())));
            Vec::new()
        }
        Poison::TooEarly => {
            time = wall + 1_000_000;
            Vec::new()
        }
        Poison::TooOld => {
            time = wall - 1_000_000;
            Vec::new()
        }
    };
    ids.extend(bodies.iter().map(SignedTransaction::id));
    (Batch { time, ids: ids.try_into().expect("within the limit of all chains") }, bodies)
}

/// A forged signature, one transaction twice, an expired one, one valid too far ahead, more than a batch may hold, a time
/// of the far future or past: such a batch is refused whole, nobody votes for it, and the primary is replaced. VA LV.
#[test]
fn poisoned_batch() {
    use Poison::{Expired, Forged, TooEarly, TooFar, TooMany, TooOld, Twice};
    let kinds = [Forged, Twice, Expired, TooFar, TooMany, TooEarly, TooOld];
    for_seeds(SEEDS + 1, |seed| {
        let kind = kinds[seed as usize % kinds.len()];
        let mut made: Option<(Proposal, Batch, Vec<SignedTransaction>)> = None;
        let poisoning = move |liar: &mut Liar<'_>, to: NodeIndex, proposal: &Proposal| {
            let Content::Batch(batch) = &proposal.content else { return };
            if made.as_ref().is_none_or(|(of, ..)| of != proposal) {
                let (batch, bodies) = poison(liar, batch, kind);
                made = Some((proposal.clone(), batch, bodies));
            }
            let Some((_, batch, bodies)) = &made else { return };
            let ballot = proposal.ballot();
            let content = Content::Batch(batch.clone());
            let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
            liar.send(to, lie);
            let bodies: Vec<_> = bodies.iter().cloned().map(Arc::new).collect();
            liar.send(to, PeerMessage::Sync(SyncMessage::Bodies(bodies.try_into().expect("two bodies at most"))));
        };
        let mut stage = stage_with(4, seed, Box::new(Proposing(poisoning)));
        stage.pay_many(10, &[V1, V2, V3]);
        stage.must_settle();
        let lies = own_proposals(&stage.world, V0);
        assert!(!lies.is_empty() && !proposals_heard(&stage.world, V0, V1).is_empty(), "seed {seed}: {kind:?}");
        let voted = ballots_of_correct(&stage.world).into_iter().any(|ballot| lies.contains(&ballot));
        assert!(!voted, "seed {seed}: somebody voted for a batch that was {kind:?}");
        let refusals = noted_by_correct(&stage.world, "does not vote for sequence");
        // Missing bodies and a time that may still come are waited for.
        assert_eq!(refusals > 0, !matches!(kind, Forged | TooEarly), "seed {seed}: {kind:?}");
        must_be_executed_once(&stage);
        must_be_replaced(&stage, V0);
    });
}

/// Empty batches, again and again, while transactions wait: that is no progress, and the primary is replaced. LV.
#[test]
fn busy_idler() {
    must_not_stay_in_office(Lie::Idler, |stage| {
        let is_empty =
            |height: u64| stage.world.disk(V1).store.block(Height(height)).unwrap().unwrap().bodies.is_empty();
        (1..=stage.world.height(V1).0).filter(|height| is_empty(*height)).count() > 0
    });
}

/// One transaction of a friend in each 0.6 of a view timeout, while those of others wait: the claims of others are owed,
/// and the primary is replaced. LV.
#[test]
fn drip() {
    must_not_stay_in_office(Lie::Drip, |stage| {
        let friend = stage.world.accounts().friend().address;
        let is_friends = |height: u64| {
            let block = stage.world.disk(V1).store.block(Height(height)).unwrap().unwrap();
            block.bodies.iter().any(|body| *body.sender() == friend)
        };
        (1..=stage.world.height(V1).0).filter(|height| is_friends(*height)).count() > 0
    });
}

fn must_not_stay_in_office(lie: Lie, has_lied: fn(&Stage) -> bool) {
    for_seeds(SEEDS, |seed| {
        let mut stage = stage_with(4, seed, known(lie));
        stage.pay_many(20, &[V1, V2, V3]);
        stage.must_settle();
        assert!(has_lied(&stage), "seed {seed}");
        must_be_executed_once(&stage);
        must_be_replaced(&stage, V0);
    });
}

/// Three times what the chain can execute, under a correct primary and with clocks as far apart as allowed: a backlog is
/// nobody's fault, and no view changes. LV.
#[test]
fn overload_is_no_fault() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::with(4, seed, |config| {
            config.parameters.batch_count_max = 4;
            config.execution = (ms(20), ms(20));
        });
        for (node, skew) in [(V0, 900), (V1, -900), (V2, 450), (V3, 0)] {
            let sign = if seed % 2 == 0 { 1 } else { -1 };
            stage.world.clock_mut().set_skew(node, sign * skew);
        }
        // 4 in 20 ms can be executed; 3 come in each 5 ms.
        let mut backlog = 0;
        for turn in 0..200 {
            let to = [V0, V1, V2, V3][turn % 4];
            for _ in 0..3 {
                stage.pay(to);
            }
            stage.world.run_for(ms(5));
            backlog = backlog.max(stage.world.status(V1).expect("it runs").pool.count);
        }
        assert!(backlog > 200, "seed {seed}: {backlog} waited at most");
        stage.must_settle();
        must_be_executed_once(&stage);
        assert_eq!(
            noted_by_correct(&stage.world, "leaves for view"),
            0,
            "seed {seed}\n{}",
            stage.world.trace().tail(100)
        );
    });
}

/// The primary adds a PREPARE to its proposal. It is not counted: a backup that hears of nobody else's does not commit,
/// though with it there would be enough. AG.
#[test]
fn primary_prepares() {
    for_seeds(SEEDS, |seed| {
        let mut stage = stage_with(4, seed, known(Lie::PrimaryPrepares));
        for other in [V2, V3] {
            stage.world.network_mut().cut(other, V1);
        }
        stage.pay_many(5, &[V1]);
        stage.world.run_for(ms(150));
        assert!(!heard(&stage.world, V0, V1, " PREPARE").is_empty(), "seed {seed}");
        assert!(noted(&stage.world, V1, "ignores a PREPARE of the primary") > 0, "seed {seed}");
        assert!(!own_votes(&stage.world, V1).is_empty(), "seed {seed}: it prepares");
        assert_eq!(own_commits(&stage.world, V1), 0, "seed {seed}: and no more than that");
        assert!(own_commits(&stage.world, V2) > 0, "seed {seed}: where two backups prepare, it is prepared");
        stage.world.heal_correct(WELL);
        stage.must_settle();
        must_be_executed_once(&stage);
    });
}

/// Puts these transactions into its first batch, and gives them to whoever asks.
struct Unexecutable {
    bodies: [Body; 2],
}

impl Behaviour for Unexecutable {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        match message {
            PeerMessage::Pbft(Message::PrePrepare(proposal)) if liar.is_own_proposal(message) => {
                let (ballot, mut content) = (proposal.ballot(), proposal.content.clone());
                if let (Content::Batch(batch), Sequence(1)) = (&mut content, ballot.sequence) {
                    self.bodies.iter().for_each(|body| batch.ids.push(body.id()).expect("a batch is not full"));
                }
                let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
                liar.send(to, lie);
            }
            _ => liar.send(to, message.clone()),
        }
    }

    fn on_receive(&mut self, liar: &mut Liar<'_>, from: NodeIndex, message: &PeerMessage) -> bool {
        let PeerMessage::Sync(SyncMessage::FetchBodies(ids)) = message else { return true };
        let is_about_own = self.bodies.iter().any(|body| ids.contains(&body.id()));
        if is_about_own {
            let bodies = self.bodies.to_vec().try_into().expect("two bodies");
            liar.send(from, PeerMessage::Sync(SyncMessage::Bodies(bodies)));
        }
        !is_about_own
    }
}

/// A batch with a transaction of somebody who is no member and one that cannot be paid: what depends on the ledger is no
/// reason to refuse a batch. The one is skipped and has no receipt, the other fails and has one, everywhere. DT LV.
#[test]
fn unexecutable_batch() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let (chain_id, accounts) = (stage.world.genesis().chain_id(), stage.world.accounts());
        let valid_until = stage.world.clock().wall() + 30_000;
        let payee = accounts.get("bob").expect("he is there").address;
        let overdraft = transfer(chain_id, accounts.friend(), payee, u128::MAX, valid_until, seed);
        let strange = transfer(chain_id, accounts.stranger(), payee, 1, valid_until, seed);
        let (failing, skipped) = (overdraft.id(), strange.id());
        let liar = Unexecutable { bodies: [Arc::new(overdraft), Arc::new(strange)] };
        stage.world.corrupt(V0, Box::new(liar));
        stage.pay_many(10, &[V1, V2, V3]);
        stage.must_settle();
        must_be_executed_once(&stage);
        for node in [V1, V2, V3] {
            let block = stage.world.disk(node).store.block(Height(1)).unwrap().unwrap();
            let outcome =
                |id| block.positions.iter().find(|position| position.id == id).map(|position| position.outcome);
            assert!(matches!(outcome(failing), Some(Outcome::Failed(_))), "seed {seed}: {:?}", block.positions);
            assert_eq!(outcome(skipped), Some(Outcome::Skipped(SkipReason::NotAMember)), "seed {seed}");
            assert!(stage.world.receipt(node, &failing).is_some(), "seed {seed}");
            assert!(places(&stage.world, node, &skipped).is_empty(), "seed {seed}");
        }
    });
}

/// How a NEW-VIEW is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WrongNames {
    /// It names one VIEW-CHANGE as often as there have to be different ones.
    OneForAll,
    /// It names two different VIEW-CHANGEs of one signer, its own.
    TwoOfOne,
    /// One of those that it names is about another view.
    OtherView,
    /// One of those that it names is about another chain.
    OtherChain,
    /// The names are true, and null stands where something was prepared.
    Forgets,
}

/// The name among these of the VIEW-CHANGE of the liar's honest part.
fn own_name(liar: &Liar<'_>, names: &[Digest]) -> Option<Digest> {
    let mut held = Vec::new();
    for name in names {
        let found = liar.replica.engine().view_change(name);
        held.extend(found.filter(|signed| Some(&signed.signer) == liar.forge.validators().key(liar.me)).map(|_| *name));
    }
    held.first().copied()
}

/// The primary of view 1 opens it with what must not open it, while something is prepared that one node has executed: the
/// NEW-VIEW is refused, the next primary opens view 2, and nothing is forgotten. AG.
#[test]
fn duplicate_signers_in_new_view() {
    use WrongNames::{Forgets, OneForAll, OtherChain, OtherView, TwoOfOne};
    let kinds = [OneForAll, TwoOfOne, OtherView, OtherChain, Forgets];
    for_seeds(SEEDS, |seed| {
        let kind = kinds[seed as usize % kinds.len()];
        let mut stage = Stage::new(4, seed);
        let lying = move |liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage| match message {
            PeerMessage::Pbft(Message::NewView(signed)) => {
                let body = &signed.body;
                let mut names = body.view_changes.to_vec();
                match kind {
                    OneForAll => names.fill(body.view_changes[0]),
                    TwoOfOne | OtherView | OtherChain => {
                        let chain = if kind == OtherChain { liar.forge.nonsense() } else { liar.forge.chain_id() };
                        let view = if kind == OtherView { body.view.next() } else { body.view };
                        let view_change = liar.forge.view_change(liar.me, view, None, Vec::new());
                        let view_change = liar.forge.sign_for(liar.me, view_change.body, &chain);
                        let own = own_name(liar, &body.view_changes);
                        let replaced = names.iter().position(|name| (Some(name) == own.as_ref()) != (kind == TwoOfOne));
                        names[replaced.expect("it names three")] = view_change_name(&view_change);
                        liar.send(to, PeerMessage::Pbft(Message::ViewChange(view_change)));
                    }
                    Forgets => {}
                }
                let null = Content::Null.digest();
                let digest = |of| if kind == Forgets { null } else { of };
                let digests: Vec<_> = body.pre_prepares.iter().map(|held| digest(held.body.0.digest)).collect();
                let first = body.pre_prepares.first().map_or(Sequence(1), |held| held.body.0.sequence);
                let lie = liar.forge.new_view(liar.me, body.view, &names, first, &digests);
                liar.send(to, lie);
            }
            _ => liar.send(to, message.clone()),
        };
        stage.world.corrupt(V1, Box::new(Saying(lying)));
        // V0 alone hears COMMITs, and executes; then it is gone.
        stage.world.intercept(|flight| match flight.message {
            PeerMessage::Pbft(Message::Commit(_) | Message::CommitCertificate(_)) if flight.to != V0 => Fate::Drop,
            PeerMessage::Sync(SyncMessage::Blocks(_)) | PeerMessage::Pbft(Message::CertifiedCheckpoint(_)) => {
                Fate::Drop
            }
            _ => Fate::Pass,
        });
        let first = stage.pay(V2);
        assert!(stage.world.run_within(ms(200), |world| world.executed(V0, &first).is_some()), "seed {seed}");
        stage.world.network_mut().partition(&[V0]);
        stage.world.stop_intercepting();
        stage.pay_many(10, &[V2, V3]);
        stage.world.run_for(ms(2_500));
        assert!(stage.view() >= 2, "seed {seed}: {kind:?}");
        for node in [V2, V3] {
            assert_eq!(noted(&stage.world, node, "enters view 1,"), 0, "seed {seed}: {kind:?}");
        }
        let refused = noted_by_correct(&stage.world, "refuses the NEW-VIEW of view 1");
        match kind {
            OneForAll | OtherChain => assert!(stage.world.dropped() > 0, "seed {seed}: {kind:?}"),
            TwoOfOne | OtherView | Forgets => assert!(refused > 0, "seed {seed}: {kind:?}"),
        }
        stage.world.heal_correct(WELL);
        stage.must_settle();
        must_be_executed_once(&stage);
        assert_eq!(stage.world.executed(V2, &first), Some(Height(1)), "seed {seed}: {kind:?}");
    });
}

/// Five nodes split 2-3 and six split 2-3 and 3-3 around a primary that tells each side another batch and votes for both:
/// one side at most commits, and what stands in either batch is executed once. AG.
#[test]
fn five_and_six_nodes() {
    for_seeds(SEEDS, |seed| {
        let n = 5 + seed as usize % 2;
        let mut stage = stage_with(n, seed, two_stories(|_| true));
        // The liar's first half: 2 of 4, or 2 of 5; it is heard by both sides.
        let (first, second): (Vec<NodeIndex>, Vec<NodeIndex>) =
            (1..n as u8).map(NodeIndex).partition(|node| node.0 < 3);
        for (one, other) in first.iter().flat_map(|one| second.iter().map(move |other| (*one, *other))) {
            stage.world.network_mut().cut(one, other);
            stage.world.network_mut().cut(other, one);
        }
        let both: Vec<NodeIndex> = vec![first[0], second[0]];
        for _ in 0..3 {
            pay_at_once(&mut stage, 8, &both);
        }
        stage.world.run_for(ms(200));
        must_have_told_two_stories(&stage.world, V0, first[0], second[0]);
        let committed = |side: &[NodeIndex]| side.iter().any(|node| stage.world.height(*node) > Height(0));
        assert!(!committed(&first), "seed {seed}: two of {n} and a liar are no quorum");
        assert_eq!(committed(&second), n == 6, "seed {seed}: three of {n} and a liar");
        stage.must_keep_promises();
        stage.world.heal_correct(WELL);
        stage.must_settle();
        must_be_executed_once(&stage);
    });
}
