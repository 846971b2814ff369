//! Links that lose, delay, and part the nodes.

use super::moments::{Vote, is_certificate, is_vote, said, unsynced};
use super::stage::{Stage, V0, V1, V2, V3, WELL, for_seeds, ms};
use quorate_crypto::Signed;
use quorate_protocol::id::{Height, NodeIndex, View};
use quorate_protocol::pbft::Message;
use quorate_protocol::pbft::message::{Commit, CommitCertificate, Proposal};
use quorate_protocol::replica::PeerMessage;
use quorate_protocol::sim::{Fate, Link, Random, Unsynced, World};
use std::time::Duration;

/// Two and two of four cannot hear each other: nothing commits meanwhile, and everything does afterwards. AG LV.
#[test]
fn split_two_two() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(10, &[V0, V1, V2, V3]);
        stage.world.run_for(ms(100));
        let other = [V1, V2, V3][seed as usize % 3];
        stage.world.network_mut().partition(&[V0, other]);
        // What was under way when the links were cut may still arrive.
        stage.world.run_for(ms(50));
        let heights = stage.heights();
        stage.pay_many(20, &[V0, V1, V2, V3]);
        stage.world.run_for(ms(500 + 300 * seed));
        assert_eq!(stage.heights(), heights, "seed {seed}: neither side is a quorum");
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// The primary hears nobody and is heard by nobody: the others replace it. It has transactions of its own clients, which
/// everybody executes once it is back. AG LV.
#[test]
fn isolate_primary() {
    for_seeds(20, |seed| {
        let n = if seed % 2 == 0 { 4 } else { 7 };
        let mut stage = Stage::new(n, seed);
        let others: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|node| *node != V0).collect();
        stage.pay_many(10, &others);
        stage.world.network_mut().partition(&[V0]);
        stage.pay_many(10, &others);
        let bound = stage.bound();
        stage.must_settle_at(&others, bound);
        assert!(stage.view_of(V1).0 >= 1, "seed {seed}: it was replaced");
        let height = stage.world.height(V0);
        assert!(height < stage.world.height(V1), "seed {seed}: it is cut off");
        let own: Vec<_> = (0..5).map(|_| stage.pay(V0)).collect();
        stage.world.run_for(ms(100 * seed));
        assert_eq!(stage.world.height(V0), height, "seed {seed}: it commits nothing alone");
        assert!(own.iter().all(|id| stage.world.executed(V1, id).is_none()), "seed {seed}");
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// A backup hears nobody and is heard by nobody: the others go on in their view, while it leaves it in vain; when it is
/// back, it catches up, and its clients' transactions are executed. AG LV.
#[test]
fn isolate_backup() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        let alone = [V1, V2, V3][seed as usize % 3];
        let others: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|node| *node != alone).collect();
        stage.pay_many(10, &[V0, V1, V2, V3]);
        stage.world.run_for(ms(50));
        stage.world.network_mut().partition(&[alone]);
        stage.world.run_for(ms(10));
        let before = stage.payments.len();
        stage.pay_many(20, &others);
        stage.world.run_for(ms(100));
        let settled = stage.payments[before..].iter().all(|id| stage.world.executed(V0, id).is_some());
        assert!(settled, "seed {seed}: three of four go on");
        if seed % 2 == 0 {
            // Now it waits for something that nobody else knows.
            stage.pay(alone);
        }
        stage.world.run_for(ms(400 + 100 * seed));
        assert_eq!(stage.view_of(V0), View(0), "seed {seed}: the word of one moves nobody");
        let has_left = !said(&stage.world, alone, Vote::ViewChange).is_empty();
        assert!(seed % 2 == 1 || has_left, "seed {seed}: it has left the view alone");
        stage.world.heal_correct(WELL);
        stage.must_settle();
        assert_eq!(stage.view_of(V0), View(0), "seed {seed}: nor does it when it can be heard");
    });
}

/// Each node hears its two neighbours on a ring only, and in odd worlds only the one before it. AG; LV afterwards.
#[test]
fn ring_partition() {
    for_seeds(24, |seed| {
        let n: usize = [4, 7, 6][seed as usize % 3];
        let mut stage = Stage::new(n, seed);
        stage.pay_many(5, &[V0, V1, V2, V3]);
        for from in stage.world.indices() {
            for to in stage.world.indices() {
                let ahead = (to.as_usize() + n - from.as_usize()) % n;
                if ahead != 1 && !(ahead == n - 1 && seed % 2 == 0) {
                    stage.world.network_mut().cut(from, to);
                }
            }
        }
        let everybody = stage.world.indices();
        stage.pay_many(20, &everybody);
        stage.world.run_for(ms(1_000 + 200 * seed));
        stage.must_keep_promises();
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// A third to half of everything is lost, some of it comes twice and in any order, for ever, and clients do not try again:
/// everything is settled all the same. LV.
#[test]
fn lossy_reordering_duplicating() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        let lossy = Link {
            delay_min: ms(0),
            delay_max: ms(60),
            loss_per_mille: 300 + 50 * (seed % 5) as u32,
            duplicate_per_mille: 200,
            is_cut: false,
        };
        stage.world.network_mut().set_all(lossy);
        stage.pay_many(30, &[V0, V1, V2, V3]);
        if seed % 2 == 0 {
            // No link heals. What is lost once comes by the next STATUS, or the one after it.
            let bound = 6 * stage.bound();
            stage.must_settle_at(&[V0, V1, V2, V3], bound);
        } else {
            stage.world.run_for(ms(500));
        }
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// Nothing that the primary says reaches anybody, and it hears everything: it is replaced, and follows. LV.
#[test]
fn primary_hears_but_cannot_speak() {
    for_seeds(20, |seed| {
        let n = if seed % 2 == 0 { 4 } else { 7 };
        let mut stage = Stage::new(n, seed);
        let others: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|node| *node != V0).collect();
        stage.pay_many((seed % 5) as usize, &others);
        others.iter().for_each(|node| stage.world.network_mut().cut(V0, *node));
        stage.pay_many(20, &others);
        let bound = stage.bound();
        stage.must_settle_at(&others, bound);
        assert!(stage.view_of(V1).0 >= 1, "seed {seed}: it was replaced");
        let view = stage.view_of(V1);
        stage.must_reach(bound, "it follows", |world| {
            let engine = world.status(V0).expect("it is up").engine;
            engine.view == view && engine.active
        });
        stage.pay_many(10, &others);
        stage.world.run_for(ms(200));
        assert_eq!(stage.view_of(V1), view, "seed {seed}: the next primary is heard");
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// One backup gets no PRE-PREPARE for a long time: it follows by certificates, and votes as soon as it is needed. LV.
#[test]
fn backup_kept_in_the_dark() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        let dark = [V1, V2, V3][seed as usize % 3];
        // By turns the primary says nothing else to it either.
        let is_mute = seed % 2 == 1;
        let tap = stage.lose(move |flight| {
            flight.to == dark && (is_vote(flight.message, Vote::PrePrepare) || is_mute && flight.from == V0)
        });
        stage.pay_many(60, &[V0, V1, V2, V3]);
        stage.must_settle_within(ms(3_000));
        assert!(tap.caught() > 0 && said(&stage.world, dark, Vote::Prepare).is_empty(), "seed {seed}: it was dark");
        assert_eq!(stage.view(), 0, "seed {seed}: the others need no other view");
        tap.close();
        // Now there is no quorum without it.
        let dead = if dark == V1 { V2 } else { V1 };
        stage.world.crash(dead, Unsynced::Kept);
        stage.world.give_up(dead);
        stage.pay_many(10, &[V0, dark]);
        stage.must_settle();
        assert!(!said(&stage.world, dark, Vote::Commit).is_empty(), "seed {seed}: it votes");
    });
}

/// Links break and come back all the time, each by itself: LV once they hold.
#[test]
fn flapping_links() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        let mut random = Random::new(seed);
        let mut broken = 0;
        for turn in 0..60 {
            for first in stage.world.indices() {
                for second in stage.world.indices().into_iter().filter(|second| *second > first) {
                    let is_cut = random.chance(400);
                    let was_cut = stage.world.network().link(first, second).is_cut;
                    for (from, to) in [(first, second), (second, first)] {
                        stage.world.network_mut().link_mut(from, to).is_cut = is_cut;
                    }
                    if was_cut && !is_cut {
                        stage.world.reconnect(first, second);
                    }
                    broken += u32::from(is_cut && !was_cut);
                }
            }
            stage.pay(NodeIndex((turn % 4) as u8));
            stage.world.run_for(ms(20 + random.below(100)));
        }
        assert!(broken > 50, "seed {seed}: links broke {broken} times");
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// The NEW-VIEW reaches all but one, whose link with the new primary stays bad: it gets it from any other. LV.
#[test]
fn new_view_lost_to_one() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        let missing = if seed % 2 == 0 { V2 } else { V3 };
        let relay = if missing == V2 { V3 } else { V2 };
        stage.pay_many((seed % 4) as usize, &[V1, V2, V3]);
        let tap = stage
            .lose(move |flight| flight.from == V1 && flight.to == missing && is_vote(flight.message, Vote::NewView));
        stage.world.crash(V0, unsynced(seed));
        stage.pay_many(3, &[V1, V2, V3]);
        let is_open = |world: &World, node| {
            world.status(node).is_some_and(|status| status.engine.view == View(1) && status.engine.active)
        };
        stage.must_reach(ms(3_000), "the others enter the view", |world| is_open(world, V1) && is_open(world, relay));
        stage.must_reach(ms(2_000), "it enters the view", |world| is_open(world, missing));
        assert!(tap.caught() >= 1, "seed {seed}: it was lost to one");
        let bound = stage.bound();
        stage.must_settle_at(&[V1, V2, V3], bound);
        assert_eq!(stage.view(), 1, "seed {seed}");
        stage.world.restart(V0);
        stage.must_settle();
    });
}

/// COMMITs of a view come after it was left: a quorum of them commits nothing any more as single votes, and does as a
/// COMMIT-CERTIFICATE. AG LV.
#[test]
fn late_messages_from_old_views() {
    for_seeds(20, |seed| {
        let mut stage = Stage::new(4, seed);
        let receiver = [V0, V1, V2, V3][seed as usize % 4];
        let others: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|node| *node != receiver).collect();
        // No COMMIT arrives, so the first view fails with its batch prepared everywhere.
        let tap = stage.lose(|flight| is_vote(flight.message, Vote::Commit) || is_certificate(flight.message));
        let id = stage.pay(V1);
        stage.must_reach(ms(5_000), "view 1 is active", |world| {
            let is_in = |node: &NodeIndex| {
                world.status(*node).is_some_and(|status| status.engine.view == View(1) && status.engine.active)
            };
            world.indices().iter().all(is_in)
        });
        assert!(tap.caught() >= 12, "seed {seed}: no COMMIT of view 0 arrived");
        let proposal = proposal_of(&stage.world, View(0));
        let late: Vec<Signed<Commit>> = others.iter().map(|node| commit_of(&stage.world, *node, View(0))).collect();
        // From here on nothing passes but what the scenario sends.
        stage.world.network_mut().partition(&[receiver]);
        stage.world.run_for(ms(20));
        tap.close();
        let from = others[0];
        stage.world.network_mut().link_mut(from, receiver).is_cut = false;
        let all_else = stage.lose(move |flight| {
            let is_meant = |view: View| view == View(0);
            !match flight.message {
                PeerMessage::Pbft(Message::Commit(vote)) => is_meant(vote.body.0.view),
                PeerMessage::Pbft(Message::CommitCertificate(of)) => of.ballot().is_some_and(|of| is_meant(of.view)),
                _ => false,
            }
        });
        for commit in &late {
            stage.world.send(from, receiver, &PeerMessage::Pbft(Message::Commit(commit.clone())));
        }
        stage.world.run_for(ms(50));
        assert_eq!(stage.world.height(receiver), Height(0), "seed {seed}: single votes of a left view are ignored");
        let certificate =
            CommitCertificate { commits: late.try_into().expect("three"), content: proposal.content.clone() };
        stage.world.send(from, receiver, &PeerMessage::Pbft(Message::CommitCertificate(certificate)));
        stage.must_reach(ms(100), "it executes by the certificate", |world| world.height(receiver) == Height(1));
        assert_eq!(stage.world.executed(receiver, &id), Some(Height(1)), "seed {seed}");
        all_else.close();
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

fn proposal_of(world: &World, view: View) -> Proposal {
    let proposal = world.indices().into_iter().flat_map(|node| world.votes(node)).find_map(|vote| match &***vote {
        PeerMessage::Pbft(Message::PrePrepare(proposal)) if proposal.ballot().view == view => Some(proposal.clone()),
        _ => None,
    });
    proposal.expect("it was proposed")
}

fn commit_of(world: &World, node: NodeIndex, view: View) -> Signed<Commit> {
    let own = world.genesis().validators.key(node).copied();
    let commit = world.votes(node).iter().find_map(|vote| match &***vote {
        PeerMessage::Pbft(Message::Commit(vote)) if vote.body.0.view == view && Some(vote.signer) == own => {
            Some(vote.clone())
        }
        _ => None,
    });
    commit.expect("it was voted for")
}

/// The q COMMITs of a batch reach one node only; then another dies for good, and no client says anything: all correct nodes
/// reach a certified height with it. LV.
#[test]
fn commit_known_to_one() {
    for_seeds(24, |seed| {
        let mut stage = Stage::new(4, seed);
        let knows = NodeIndex((seed % 4) as u8);
        let dies = NodeIndex(((seed % 4 + 1 + seed / 4 % 3) % 4) as u8);
        let tap = stage.lose(move |flight| {
            (is_vote(flight.message, Vote::Commit) || is_certificate(flight.message)) && flight.to != knows
        });
        let id = stage.pay(NodeIndex(((seed % 4 + 2) % 4) as u8));
        stage.must_reach(ms(200), "one commits", |world| world.height(knows) == Height(1));
        stage.world.crash(dies, unsynced(seed));
        stage.world.give_up(dies);
        let alone = stage.world.indices().into_iter().filter(|node| stage.world.height(*node) == Height(1)).count();
        assert!(alone == 1 && tap.caught() > 0, "seed {seed}: nobody else knows");
        tap.close();
        stage.must_settle();
        for node in stage.world.correct() {
            assert_eq!(stage.world.executed(node, &id), Some(Height(1)), "seed {seed}: {node}");
        }
    });
}

/// A backup alone hears the COMMITs of a batch, the PREPAREs never, so that it has no vote of its own to give; it executes
/// the batch and starts again, one of those who had voted dies for good. Two COMMITs are left, no f + 1 are ahead, and nobody
/// asks for blocks: the COMMIT-CERTIFICATE in its answer to STATUS brings the others the block, and the primary, which did
/// nothing wrong, stays in office.
#[test]
fn a_commit_certificate_saves_the_primary_its_view() {
    for_seeds(24, |seed| {
        let mut stage = Stage::new(4, seed);
        let knows = [V1, V2, V3][seed as usize % 3];
        let dies = [V1, V2, V3][(seed as usize + 1 + seed as usize / 3 % 2) % 3];
        let tap = stage.lose(move |flight| {
            let is_commit = is_vote(flight.message, Vote::Commit) || is_certificate(flight.message);
            let is_for_others = is_commit && (flight.to != knows || flight.from == knows);
            is_for_others || (is_vote(flight.message, Vote::Prepare) && flight.to == knows)
        });
        let id = stage.pay(V0);
        stage.must_reach(ms(200), "one commits", |world| world.height(knows) == Height(1));
        assert_eq!(said(&stage.world, knows, Vote::Commit).len(), 0, "seed {seed}: it votes for nothing that it knows");
        stage.world.crash(dies, unsynced(seed));
        stage.world.give_up(dies);
        stage.world.crash(knows, Unsynced::Lost);
        tap.close();
        stage.world.restart(knows);
        let is_known = |world: &World| world.correct().into_iter().all(|node| world.executed(node, &id).is_some());
        stage.must_reach(ms(200), "all execute", is_known);
        assert_eq!(stage.view(), 0, "seed {seed}");
        stage.must_settle();
    });
}

/// For a few rounds messages are dropped at random, each kind from each to each by its own draw, and then nothing is said
/// by any client: LV.
#[test]
fn drop_schedules() {
    let mut changed = 0;
    let mut worlds = 0;
    for_seeds(60, |seed| {
        worlds += 1;
        let mut stage = Stage::new(4, seed);
        let mut random = Random::new(seed);
        let per_mille = 200 + 150 * (seed % 5) as u32;
        let tap = stage.lose(move |_| random.chance(per_mille));
        stage.pay_many(1 + (seed % 7) as usize, &[V0, V1, V2, V3]);
        stage.world.run_for(ms(50 + 25 * (seed % 40)));
        assert!(tap.caught() > 3, "seed {seed}: {} messages are dropped", tap.caught());
        tap.close();
        stage.must_settle();
        changed += u32::from(stage.view() > 0);
    });
    assert!(10 * changed > worlds, "{changed} of {worlds} schedules ended a view");
}

/// A message of each kind arrives only after seconds, when it is of no use any more; the rest goes on. AG LV.
#[test]
fn one_kind_always_late() {
    let kinds = [Vote::PrePrepare, Vote::Prepare, Vote::Commit, Vote::ViewChange, Vote::NewView];
    for_seeds(15, |seed| {
        let mut stage = Stage::new(4, seed);
        let kind = kinds[seed as usize % kinds.len()];
        let later = Duration::from_millis(1_500);
        let tap = stage.catch(Fate::Delay(later), move |flight| is_vote(flight.message, kind));
        if matches!(kind, Vote::ViewChange | Vote::NewView) {
            stage.world.crash(V0, unsynced(seed));
        }
        stage.pay_many(5, &[V1, V2, V3]);
        stage.world.run_for(ms(3_000));
        assert!(tap.caught() > 0, "seed {seed}: {kind:?} was late");
        tap.close();
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// What a laggard of more than a window asks for, and its answers, are lost half of the time: it catches up. LV.
#[test]
fn catching_up_over_bad_links() {
    for_seeds(10, |seed| {
        let mut stage = Stage::with(4, seed, |config| config.link = Link::exact(ms(1)));
        stage.world.crash(V3, unsynced(seed));
        stage.pay_many(150, &[V0, V1, V2]);
        let mut random = Random::new(seed);
        let tap = stage.lose(move |flight| matches!(flight.message, PeerMessage::Sync(_)) && random.chance(500));
        stage.world.restart(V3);
        let bound = 3 * stage.bound();
        stage.must_settle_at(&[V3], bound);
        assert!(tap.caught() > 0, "seed {seed}");
        tap.close();
        stage.must_settle();
    });
}
