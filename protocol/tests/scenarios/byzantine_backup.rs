//! Backups that lie.

use super::liars::{Saying, all_votes, convicted_of, heard, must_be_executed_once, own_commits};
use super::stage::{Stage, V0, V1, V2, V3, WELL, for_seeds, ms};
use quorate_crypto::Signed;
use quorate_protocol::id::{Epoch, Height, NodeIndex};
use quorate_protocol::pbft::Message;
use quorate_protocol::pbft::evidence::Kind;
use quorate_protocol::pbft::message::{Ballot, Commit, Prepare};
use quorate_protocol::replica::{PeerMessage, SyncMessage};
use quorate_protocol::sim::{Fate, Liar, Lie, StorageFault, Unsynced, World, WorldConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const SEEDS: u64 = 20;

/// Nothing that this node says is heard by anybody.
fn mute(stage: &mut Stage, node: NodeIndex) {
    for other in stage.world.indices() {
        stage.world.network_mut().cut(node, other);
    }
}

fn corrupt(stage: &mut Stage, node: NodeIndex, lie: Lie) {
    let parameters = stage.world.config().parameters.clone();
    stage.world.corrupt(node, lie.behaviour(&parameters));
}

/// A backup votes twice at every place, while a correct one is slow, so that its votes are needed: the first counts, and
/// the pair is evidence that convicts it and nobody else. AG AC.
#[test]
fn double_votes() {
    for_seeds(2 * SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        corrupt(&mut stage, V1, Lie::DoubleVotes);
        stage.world.network_mut().link_mut(V3, V0).delay_max = ms(40);
        stage.pay_many(40, &[V0, V2, V3]);
        stage.must_settle();
        assert_eq!(convicted_of(&stage.world, V1), BTreeSet::from([Kind::Prepare, Kind::Commit]), "seed {seed}");
    });
}

/// A backup repeats its votes under the names of two others, whom nobody hears: with those there would be a quorum, and
/// there is none. AG.
#[test]
fn impersonation() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        corrupt(&mut stage, V1, Lie::Impersonation);
        [V2, V3].into_iter().for_each(|node| mute(&mut stage, node));
        stage.pay_many(5, &[V0]);
        stage.world.run_for(ms(150));
        assert!(stage.world.dropped() > 0, "seed {seed}");
        assert!(!heard(&stage.world, V1, V0, " PREPARE").is_empty(), "seed {seed}: its own vote is good");
        assert_eq!(own_commits(&stage.world, V0), 0, "seed {seed}");
        assert_eq!(stage.heights(), [Height(0); 4], "seed {seed}");
        stage.world.heal_correct(WELL);
        stage.must_settle();
        assert!(convicted_of(&stage.world, V1).is_empty(), "seed {seed}: a bad signature is evidence of nothing");
    });
}

/// An honest node hands on what a liar signed. That convicts the liar, and not the relay, which is needed afterwards and
/// is heard as before. AC LV.
#[test]
fn an_honest_relay_is_not_punished() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let lies: Arc<Mutex<Vec<PeerMessage>>> = Arc::default();
        let is_silent = Arc::new(AtomicBool::new(false));
        let (kept, hush) = (Arc::clone(&lies), Arc::clone(&is_silent));
        let liar = move |liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage| {
            if let PeerMessage::Pbft(Message::Prepare(vote)) = message {
                let digest = liar.forge.nonsense();
                let second = liar.forge.prepare(liar.me, Ballot { digest, ..vote.body.0 });
                kept.lock().unwrap().push(second);
            }
            if !hush.load(Ordering::Relaxed) {
                liar.send(to, message.clone());
            }
        };
        stage.world.corrupt(V1, Box::new(Saying(liar)));
        // The window is wide, and these places are below no watermark when the second votes come.
        stage.pay_many(5, &[V0, V2, V3]);
        stage.must_settle_within(ms(1_000));
        is_silent.store(true, Ordering::Relaxed);
        stage.pay_many(5, &[V0, V2, V3]);
        let second: Vec<PeerMessage> = lies.lock().unwrap().clone();
        assert!(!second.is_empty(), "seed {seed}");
        second.iter().for_each(|lie| stage.world.send(V2, V3, lie));
        stage.pay_many(5, &[V0, V2, V3]);
        stage.must_settle();
        let held = stage.world.evidence(V3).iter().map(|evidence| evidence.kind()).collect::<BTreeSet<_>>();
        assert_eq!(held, BTreeSet::from([Kind::Prepare]), "seed {seed}");
        convicted_of(&stage.world, V1);
        assert_eq!(stage.view(), 0, "seed {seed}: three of four go on, the relay among them");
    });
}

/// In place of its votes a backup sends them for another chain, epoch, view or digest, or with the signature of another
/// kind: none of them ever counts, though one vote more would be a quorum. AG.
#[test]
fn wrong_chain_view_digest_kind() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let wrong = |liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage| match message {
            PeerMessage::Pbft(Message::Prepare(vote)) => {
                let ballot = vote.body.0;
                let chain = liar.forge.nonsense();
                let foreign = liar.forge.sign_for(liar.me, Prepare(ballot), &chain);
                let Signed { signer, signature, .. } = liar.forge.sign(liar.me, Commit(ballot));
                let other_kind = Signed { body: Prepare(ballot), signer, signature };
                for vote in [foreign, other_kind] {
                    liar.send(to, PeerMessage::Pbft(Message::Prepare(vote)));
                }
                for ballot in elsewhere(liar, ballot) {
                    let lie = liar.forge.prepare(liar.me, ballot);
                    liar.send(to, lie);
                }
            }
            PeerMessage::Pbft(Message::Commit(vote)) => {
                let ballot = vote.body.0;
                let chain = liar.forge.nonsense();
                let foreign = liar.forge.sign_for(liar.me, Commit(ballot), &chain);
                let Signed { signer, signature, .. } = liar.forge.sign(liar.me, Prepare(ballot));
                let other_kind = Signed { body: Commit(ballot), signer, signature };
                for vote in [foreign, other_kind] {
                    liar.send(to, PeerMessage::Pbft(Message::Commit(vote)));
                }
                for ballot in elsewhere(liar, ballot) {
                    let lie = liar.forge.commit(liar.me, ballot);
                    liar.send(to, lie);
                }
            }
            _ => liar.send(to, message.clone()),
        };
        stage.world.corrupt(V1, Box::new(Saying(wrong)));
        stage.world.network_mut().partition(&[V3]);
        stage.pay_many(5, &[V0, V2]);
        stage.world.run_for(ms(150));
        assert!(stage.world.dropped() > 0, "seed {seed}: of another chain, epoch or kind");
        assert!(!heard(&stage.world, V1, V0, " PREPARE view 1").is_empty(), "seed {seed}: of another view");
        assert_eq!((own_commits(&stage.world, V0), own_commits(&stage.world, V2)), (0, 0), "seed {seed}");
        assert_eq!(stage.heights(), [Height(0); 4], "seed {seed}");
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

fn elsewhere(liar: &mut Liar<'_>, ballot: Ballot) -> [Ballot; 4] {
    [
        Ballot { epoch: Epoch(7), ..ballot },
        Ballot { view: ballot.view.next(), ..ballot },
        Ballot { digest: liar.forge.nonsense(), ..ballot },
        Ballot { sequence: ballot.sequence.next().next(), ..ballot },
    ]
}

/// In place of each CHECKPOINT come false ones, of other headers and far ahead, while one correct node is cut off, so that
/// one more would certify. Nothing is certified, no log is cut, nobody chases what does not exist. BM AG.
#[test]
fn false_checkpoints() {
    for_seeds(SEEDS, |seed| {
        let small = |config: &mut WorldConfig| {
            (config.parameters.checkpoint_interval, config.parameters.log_window) = (2, 8);
        };
        let mut stage = Stage::with(4, seed, small);
        let wrong = |liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage| match message {
            PeerMessage::Pbft(Message::Checkpoint(signed)) => {
                let height = signed.body.height.0;
                for ahead in [0, 1, 7, 1_000, u64::MAX - height] {
                    let nonsense = liar.forge.nonsense();
                    let lie = liar.forge.checkpoint(liar.me, Height(height + ahead), nonsense);
                    liar.send(to, lie);
                }
            }
            PeerMessage::Pbft(Message::CertifiedCheckpoint(_)) => {}
            _ => liar.send(to, message.clone()),
        };
        stage.world.corrupt(V1, Box::new(Saying(wrong)));
        stage.world.network_mut().partition(&[V3]);
        stage.pay_many(20, &[V0, V2]);
        stage.world.run_for(ms(100));
        for node in [V0, V2] {
            let status = stage.world.status(node).expect("it runs");
            assert_eq!(status.engine.executed, Height(8), "seed {seed}: the whole window, and no more");
            assert!((1..=8).all(|height| !stage.world.is_certified(node, Height(height))), "seed {seed}");
            assert_eq!(status.engine.low, Height(0), "seed {seed}");
            assert!(!status.catching_up && status.engine.peer_heights.len() <= 3, "seed {seed}: {status:?}");
            assert!(!heard(&stage.world, V1, node, "CHECKPOINT height 18446744073709551615").is_empty(), "seed {seed}");
            let asked = stage.world.indices().into_iter().flat_map(|peer| heard(&stage.world, node, peer, "blocks"));
            assert_eq!(asked.count(), 0, "seed {seed}");
        }
        stage.world.heal_correct(WELL);
        stage.must_settle();
        assert_eq!(convicted_of(&stage.world, V1), BTreeSet::from([Kind::Checkpoint]), "seed {seed}");
    });
}

/// A backup gives its votes to one node only, and links lose the rest, so that this one alone commits: the others finish
/// by what it can show. AG LV.
#[test]
fn selective_votes() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        corrupt(&mut stage, V1, Lie::SelectiveVotes);
        // Its chosen one is v2.
        stage.world.intercept(|flight| match flight.message {
            PeerMessage::Pbft(Message::Commit(_)) if [(V0, V3), (V3, V0)].contains(&(flight.from, flight.to)) => {
                Fate::Drop
            }
            _ => Fate::Pass,
        });
        let first = stage.pay(V0);
        let has_it = |world: &World, node| world.executed(node, &first).is_some();
        assert!(stage.world.run_within(ms(100), |world| has_it(world, V2)), "seed {seed}");
        assert!(!has_it(&stage.world, V0) && !has_it(&stage.world, V3), "seed {seed}: they lack a COMMIT");
        stage.pay_many(20, &[V0, V2, V3]);
        stage.must_settle();
        assert_eq!(stage.view(), 0, "seed {seed}");
        assert!(!heard(&stage.world, V2, V0, "COMMIT-CERTIFICATE").is_empty(), "seed {seed}");
    });
}

/// How answers of a bad source are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// Another time in each header.
    Altered,
    /// A transaction less in each block.
    CutShort,
    /// The first block without those after it.
    First,
    /// In the wrong order.
    Reversed,
    None,
    /// The same answer many times.
    Endless,
}

fn bad_blocks(liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage, bad: Bad) {
    let PeerMessage::Sync(SyncMessage::Blocks(blocks)) = message else { return liar.send(to, message.clone()) };
    let mut blocks = blocks.clone().into_inner();
    match bad {
        Bad::Altered => blocks.iter_mut().for_each(|block| block.header.time += 1),
        Bad::CutShort => blocks.iter_mut().for_each(|block| {
            let bodies = block.bodies.iter().skip(1).cloned().collect::<Vec<_>>();
            let ids = bodies.iter().map(|body| body.id()).collect::<Vec<_>>();
            block.bodies = bodies.try_into().expect("fewer than before");
            block.batch.ids = ids.try_into().expect("fewer than before");
        }),
        Bad::First => blocks.truncate(1),
        Bad::Reversed => blocks.reverse(),
        Bad::None => blocks.clear(),
        Bad::Endless => {}
    }
    let answer = PeerMessage::Sync(SyncMessage::Blocks(blocks.try_into().expect("no more than before")));
    for _ in 0..if bad == Bad::Endless { 200 } else { 1 } {
        liar.send(to, answer.clone());
    }
}

/// A node that was away is given blocks by a liar alone, and they are altered, cut, in the wrong order, none or without
/// end: what it takes is the true chain. Then others are heard, and it catches up. AG LV.
#[test]
fn bad_sync_source() {
    use Bad::{Altered, CutShort, Endless, First, None, Reversed};
    for_seeds(SEEDS + 4, |seed| {
        let bad = [Altered, CutShort, First, Reversed, None, Endless][seed as usize % 6];
        let mut stage = Stage::new(4, seed);
        let behaviour =
            move |liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage| bad_blocks(liar, to, message, bad);
        stage.world.corrupt(V1, Box::new(Saying(behaviour)));
        stage.world.crash(V3, Unsynced::Lost);
        stage.pay_many(40, &[V0, V2]);
        stage.world.run_for(ms(100));
        let chain = stage.world.chain(V0);
        assert!(chain.len() > 10, "seed {seed}");
        // The others are heard: their STATUS tells how far they are.
        for other in [V0, V2] {
            stage.world.network_mut().cut(V3, other);
        }
        stage.world.intercept(|flight| match flight.message {
            PeerMessage::Pbft(Message::Status(_)) | PeerMessage::Sync(_) => Fate::Pass,
            _ if flight.to == V3 => Fate::Drop,
            _ => Fate::Pass,
        });
        stage.world.restart(V3);
        stage.world.run_for(ms(1_500));
        assert!(!heard(&stage.world, V3, V1, "blocks from height").is_empty(), "seed {seed}: it asks the liar");
        let taken = stage.world.chain(V3);
        assert_eq!(taken, chain[..taken.len()], "seed {seed}");
        match bad {
            // What does not verify passes no honest edge.
            Altered | CutShort => assert!(stage.world.dropped() > 0 && taken.len() == 1, "seed {seed}: {bad:?}"),
            None => assert_eq!(taken.len(), 1, "seed {seed}: {bad:?}"),
            First | Reversed => {}
            Endless => assert_eq!(taken, chain, "seed {seed}: what comes more than once is true all the same"),
        }
        stage.world.stop_intercepting();
        stage.world.heal_correct(WELL);
        stage.must_settle();
        must_be_executed_once(&stage);
    });
}

/// Each machine with the liars' keys hears and tells every second node only.
fn keep_apart(stage: &mut Stage, twins: &[(NodeIndex, NodeIndex)]) {
    let n = stage.world.indices().len();
    let honest: Vec<NodeIndex> = (twins.len() as u8..n as u8).map(NodeIndex).collect();
    for (first, twin) in twins {
        for (place, other) in honest.iter().enumerate() {
            let deaf = if place % 2 == 0 { *first } else { *twin };
            stage.world.network_mut().cut(deaf, *other);
            stage.world.network_mut().cut(*other, deaf);
        }
    }
}

/// Two machines with one key, each honest for itself, and each in another part of the net: the primary's, or those of the
/// first two primaries of seven. Both of them propose; what either proposed is executed once. AG AC.
#[test]
fn twins() {
    let mut convictions = 0;
    for_seeds(SEEDS, |seed| {
        let (n, f) = if seed % 2 == 0 { (4, 1) } else { (7, 2) };
        let mut stage = Stage::new(n, seed);
        let liars: Vec<NodeIndex> = (0..f).map(NodeIndex).collect();
        let twins: Vec<_> = liars.iter().map(|liar| (*liar, stage.world.add_twin(*liar))).collect();
        keep_apart(&mut stage, &twins);
        let honest: Vec<NodeIndex> = (f..n as u8).map(NodeIndex).collect();
        stage.pay_many(20, &honest);
        stage.world.run_for(ms(800));
        stage.world.network_mut().mend();
        for (first, twin) in &twins {
            honest.iter().for_each(|other| stage.world.reconnect(*other, *first));
            honest.iter().for_each(|other| stage.world.reconnect(*other, *twin));
        }
        stage.pay_many(20, &honest);
        stage.must_settle();
        must_be_executed_once(&stage);
        let (first, twin) = twins[0];
        let ballots = |machine| -> BTreeMap<_, _> {
            let votes = all_votes(&stage.world, machine, first).into_iter();
            let ballot = |message| match message {
                PeerMessage::Pbft(Message::PrePrepare(proposal)) => Some(proposal.ballot()),
                _ => None,
            };
            votes.filter_map(ballot).map(|ballot| ((ballot.view, ballot.sequence), ballot.digest)).collect()
        };
        let (one, other) = (ballots(first), ballots(twin));
        let differs = one.iter().any(|(place, digest)| other.get(place).is_some_and(|other| other != digest));
        assert!(differs, "seed {seed}: the twins never contradicted each other");
        let held = stage.world.correct().into_iter().flat_map(|node| stage.world.evidence(node).iter());
        convictions += held.count();
    });
    assert!(convictions > 0, "no seed has any evidence");
}

/// A node comes back with an empty disk and its old key: it follows and serves, and never votes in this epoch. PR.
#[test]
fn amnesiac() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(10, &[V0, V1, V2, V3]);
        stage.world.run_for(ms(seed));
        let before = all_votes(&stage.world, V3, V3).len();
        assert!(before > 0, "seed {seed}");
        stage.world.damage(V3, StorageFault::Wiped);
        stage.world.restart(V3);
        assert!(stage.world.amnesia(V3).is_some(), "seed {seed}");
        stage.pay_many(20, &[V0, V1, V2]);
        stage.must_settle_within(ms(3_000));
        // It follows, ...
        let reached = |world: &World| world.chain(V3) == world.chain(V0);
        assert!(stage.world.run_within(ms(3_000), reached), "seed {seed}: {}", stage.world.trace().tail(60));
        // ... serves one that knows nobody else, ...
        stage.world.crash(V2, Unsynced::Lost);
        stage.pay_many(3, &[V0, V1]);
        let served = heard(&stage.world, V3, V2, " ").len();
        for other in [V0, V1] {
            stage.world.network_mut().cut(V2, other);
            stage.world.network_mut().cut(other, V2);
        }
        stage.world.restart(V2);
        stage.world.run_for(ms(500));
        assert!(heard(&stage.world, V3, V2, " ").len() > served, "seed {seed}");
        assert_eq!(stage.world.chain(V2), stage.world.chain(V3), "seed {seed}");
        stage.world.heal_correct(WELL);
        stage.must_settle();
        // ... and has not voted.
        assert_eq!(all_votes(&stage.world, V3, V3).len(), before, "seed {seed}");
    });
}

/// The same, after it left a view by a VIEW-CHANGE that only a liar holds, who shows it to everybody later on. PR LV.
#[test]
fn amnesiac_whose_view_change_a_liar_holds() {
    const V6: NodeIndex = NodeIndex(6);
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(7, seed);
        corrupt(&mut stage, V1, Lie::OldViewChanges);
        stage.pay_many(10, &[V2, V3]);
        let is_held_back = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&is_held_back);
        stage.world.intercept(move |flight| {
            let is_only_for_liar = flight.from == V6 && flight.to != V1 || flight.from == V1;
            if is_only_for_liar && flag.load(Ordering::Relaxed) { Fate::Drop } else { Fate::Pass }
        });
        stage.world.crash(V0, Unsynced::Kept);
        stage.pay_many(5, &[V2, V6]);
        let has_left = |world: &World| !heard(world, V6, V1, "VIEW-CHANGE to view").is_empty();
        let mut waited = 0;
        while !has_left(&stage.world) && waited < 200 {
            stage.world.run_for(ms(10));
            waited += 1;
        }
        assert!(has_left(&stage.world), "seed {seed}");
        let before = all_votes(&stage.world, V6, V6).len();
        stage.world.damage(V6, StorageFault::Wiped);
        stage.world.restart(V6);
        is_held_back.store(false, Ordering::Relaxed);
        stage.world.heal_correct(WELL);
        stage.pay_many(10, &[V2, V3]);
        stage.must_settle();
        let key = stage.world.genesis().validators.key(V6).copied();
        let is_its = |message: &PeerMessage| matches!(message, PeerMessage::Pbft(Message::ViewChange(signed)) if Some(signed.signer) == key);
        assert!(stage.world.votes(V1).iter().any(|message| is_its(message)), "seed {seed}: the liar shows it");
        assert_eq!(all_votes(&stage.world, V6, V6).len(), before, "seed {seed}");
    });
}
