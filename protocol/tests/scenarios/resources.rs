//! Peers that send too much, too large or too far, and disks that are slow.

use super::moments::{Vote, said};
use super::stage::{Stage, V0, V1, V2, V3, for_seeds, ms};
use quorate_crypto::{BoundedVec, decode, encode};
use quorate_protocol::document::Batch;
use quorate_protocol::id::{Height, NodeIndex, Sequence, TransactionId, View};
use quorate_protocol::limits::{BATCH_COUNT_LIMIT, LOG_WINDOW_LIMIT, STATUS_UNCERTIFIED_MAX};
use quorate_protocol::pbft::Message;
use quorate_protocol::pbft::message::{Content, STATUS_SLOTS_MAX, Status};
use quorate_protocol::replica::{PeerMessage, SyncMessage};
use quorate_protocol::sim::{Behaviour, Fate, Liar, Lie, StorageFault, World};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Sends everything that is far ahead, as large as it can be, or small and often; all of it truly signed.
struct Flood {
    turn: u64,
    sent: Arc<AtomicU64>,
}

impl Flood {
    fn say(&self, liar: &mut Liar<'_>, message: &PeerMessage) {
        liar.broadcast(message);
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Votes for views and sequences that nobody is at.
    fn far_votes(&self, liar: &mut Liar<'_>) {
        let (view, next) = (liar.view(), liar.next_sequence());
        let window = LOG_WINDOW_LIMIT;
        for turn in 0..6 {
            let far = [1, window / 8, window, 1 << 20, 1 << 40, u64::MAX / 2][turn];
            let sequence = Sequence(next.0.saturating_add(far).saturating_add(self.turn));
            let digest = liar.forge.nonsense();
            for (view, sequence) in
                [(view, sequence), (View(view.0.saturating_add(far)), Sequence(next.0 + turn as u64))]
            {
                let ballot = liar.forge.ballot(view, sequence, digest);
                let (prepare, commit) = (liar.forge.prepare(liar.me, ballot), liar.forge.commit(liar.me, ballot));
                self.say(liar, &prepare);
                self.say(liar, &commit);
            }
            let checkpoint = liar.forge.checkpoint(liar.me, Height(sequence.0), digest);
            self.say(liar, &checkpoint);
        }
        let leave = liar.forge.view_change(liar.me, View(view.0 + 2 + self.turn), None, Vec::new());
        self.say(liar, &PeerMessage::Pbft(Message::ViewChange(leave)));
    }

    /// The largest that the types allow.
    fn large(&self, liar: &mut Liar<'_>) {
        let ids: Vec<_> = (0..BATCH_COUNT_LIMIT).map(|_| TransactionId(liar.forge.nonsense())).collect();
        let ids: BoundedVec<TransactionId, BATCH_COUNT_LIMIT> = ids.try_into().expect("within the limit");
        let content = Content::Batch(Batch { time: liar.now.wall, ids: ids.clone() });
        let next = liar.next_sequence();
        for ahead in [0, 5] {
            let proposal = liar.forge.pre_prepare(liar.me, liar.view(), Sequence(next.0 + ahead), content.clone());
            self.say(liar, &proposal);
        }
        self.say(liar, &PeerMessage::Sync(SyncMessage::Batch { sequence: next, content }));
        self.say(liar, &PeerMessage::Sync(SyncMessage::FetchBodies(ids)));
        let uncertified: Vec<Height> = (0..STATUS_UNCERTIFIED_MAX as u64).map(|height| Height(height << 40)).collect();
        let status = Status {
            epoch: liar.forge.epoch(),
            view: View(u64::MAX - self.turn),
            active: self.turn.is_multiple_of(2),
            low: Height(u64::MAX - 1),
            executed: Height(u64::MAX),
            slots: vec![7; STATUS_SLOTS_MAX].try_into().expect("within the limit"),
            uncertified: uncertified.try_into().expect("within the limit"),
            view_changes: u32::MAX,
        };
        let status = liar.forge.status(liar.me, status);
        self.say(liar, &status);
    }
}

impl Behaviour for Flood {
    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        self.turn += 1;
        self.far_votes(liar);
        if self.turn % 16 == 1 {
            self.large(liar);
        }
        // Small, often, and the same again: one body that nobody asked for.
        let payment = liar.forge.payment(liar.valid_until());
        let body = PeerMessage::Sync(SyncMessage::Bodies(vec![payment.into()].try_into().unwrap_or_default()));
        (0..10).for_each(|_| self.say(liar, &body));
    }
}

/// A validator floods the others with truly signed messages of every size, for views and sequences far ahead: what they
/// keep of it is bounded, transactions go through as ever, and a backup that floods ends no view. BM NC LV.
#[test]
fn peer_flood() {
    for_seeds(10, |seed| {
        let mut stage = Stage::new(4, seed);
        let (liar, sent) = (NodeIndex((seed % 4) as u8), Arc::new(AtomicU64::new(0)));
        stage.world.corrupt(liar, Box::new(Flood { turn: 0, sent: Arc::clone(&sent) }));
        let others = stage.world.correct();
        for _ in 0..5 {
            stage.pay_many(4, &others);
            let bound = if liar == V0 { stage.bound() } else { ms(400) };
            stage.must_settle_at(&others, bound);
            stage.world.run_for(ms(30));
            others.iter().for_each(|node| must_be_bounded(&stage.world, *node, seed));
        }
        assert!(sent.load(Ordering::Relaxed) > 500, "seed {seed}: that is no flood");
        assert!(liar == V0 || stage.view() == 0, "seed {seed}: a backup's flood ends no view");
        stage.must_settle();
    });
}

fn must_be_bounded(world: &World, node: NodeIndex, seed: u64) {
    let status = world.status(node).expect("it is up");
    let engine = &status.engine;
    let window = world.config().parameters.log_window;
    assert!(engine.high.0 == engine.low.0 + window, "seed {seed}: {node}");
    assert!(engine.highest_slot.0 <= engine.high.0, "seed {seed}: {node} keeps a slot {}", engine.highest_slot);
    assert!(engine.view_changes.len() <= 4, "seed {seed}: {node} keeps {:?}", engine.view_changes);
    assert!(status.pool.count < 100, "seed {seed}: {node} keeps {} bodies that nobody asked for", status.pool.count);
    // One piece of evidence for each kind.
    assert!(world.evidence(node).len() <= 6, "seed {seed}: {node} keeps {} of evidence", world.evidence(node).len());
}

/// Messages whose length prefixes and counts say other things than what follows: refused before anything is made of them;
/// what still reads as a message changes nothing. NC BM.
#[test]
fn bombs() {
    let mut stage = Stage::new(4, 1);
    let seen: Arc<Mutex<BTreeMap<&'static str, Vec<u8>>>> = Arc::default();
    let tapped = Arc::clone(&seen);
    stage.catch(Fate::Pass, move |flight| {
        let mut seen = tapped.lock().expect("nobody panics with it");
        // The longest of its kind has the most counts in it.
        let kept = seen.entry(name(flight.message)).or_default();
        let bytes = encode(flight.message);
        if bytes.len() > kept.len() && bytes.len() < 3_000 {
            *kept = bytes;
        }
        false
    });
    live_through_everything(&mut stage);
    let seen = seen.lock().expect("nobody panics with it").clone();
    assert!(seen.len() >= 14, "messages of all kinds: {:?}", seen.keys());
    stage.world.corrupt(V3, Lie::Silent.behaviour(&stage.world.config().parameters.clone()));
    let (mut refused, mut read) = (0, 0);
    for bytes in seen.values() {
        for at in 0..bytes.len() {
            for bomb in [u32::MAX, 0x7fff_ffff, 1 << 20, 1 << 14, 33] {
                let mut bytes = bytes.clone();
                let end = (at + 4).min(bytes.len());
                bytes[at..end].copy_from_slice(&bomb.to_le_bytes()[..end - at]);
                match decode::<PeerMessage>(&bytes) {
                    Err(_) => refused += 1,
                    Ok(message) => {
                        read += 1;
                        // Mostly another digest or number by now: signatures are in the way of nearly all of them.
                        if read % 97 == 0 {
                            stage.world.send(V3, V0, &message);
                        }
                    }
                }
            }
        }
        for cut in 0..bytes.len() {
            assert!(decode::<PeerMessage>(&bytes[..cut]).is_err(), "a message that ends too early");
        }
    }
    assert!(refused > 1_000 && read > 1_000, "{refused} are refused, {read} can be read");
    assert!(stage.world.dropped() > 10, "the edge drops what does not verify");
    stage.world.run_for(ms(200));
    stage.pay_many(5, &[V0, V1, V2]);
    stage.must_settle();
}

/// A life in which every kind of message is said.
fn live_through_everything(stage: &mut Stage) {
    stage.pay_many(20, &[V0, V1, V2, V3]);
    stage.world.crash(V3, quorate_protocol::sim::Unsynced::Lost);
    stage.pay_many(180, &[V0, V1, V2]);
    stage.world.restart(V3);
    stage.world.network_mut().partition(&[V1]);
    stage.pay_many(5, &[V1]);
    stage.world.run_for(ms(1_500));
    stage.mend();
    stage.world.crash(V0, quorate_protocol::sim::Unsynced::Lost);
    stage.pay_many(5, &[V1, V2, V3]);
    stage.world.run_for(ms(2_000));
    stage.world.restart(V0);
    stage.must_settle();
}

fn name(message: &PeerMessage) -> &'static str {
    match message {
        PeerMessage::Pbft(message) => message.name(),
        PeerMessage::Sync(SyncMessage::Claims(_)) => "claims",
        PeerMessage::Sync(SyncMessage::FetchBodies(_)) => "fetch-bodies",
        PeerMessage::Sync(SyncMessage::Bodies(_)) => "bodies",
        PeerMessage::Sync(SyncMessage::FetchBlocks { .. }) => "fetch-blocks",
        PeerMessage::Sync(SyncMessage::Blocks(_)) => "blocks",
        PeerMessage::Sync(SyncMessage::FetchCertificate { .. }) => "fetch-certificate",
        PeerMessage::Sync(SyncMessage::FetchBatches(_)) => "fetch-batches",
        PeerMessage::Sync(SyncMessage::Batch { .. }) => "batch",
        PeerMessage::Sync(SyncMessage::FetchViewChanges(_)) => "fetch-view-changes",
        PeerMessage::Sync(SyncMessage::Repair(_)) => "repair",
    }
}

/// One backup's disk takes 100 ms for each sync: it lags, the others go on in their view, and it catches up when its disk is
/// well. LV.
#[test]
fn slow_disk() {
    for_seeds(16, |seed| {
        let mut stage = Stage::new(4, seed);
        let slow = [V1, V2, V3][seed as usize % 3];
        let others: Vec<NodeIndex> = stage.world.indices().into_iter().filter(|node| *node != slow).collect();
        let long = Duration::from_millis(100);
        stage.world.damage(slow, StorageFault::Slow { sync: (long, long) });
        let mut late = 0;
        for _ in 0..10 {
            stage.pay_many(10, &others);
            stage.must_settle_at(&others, ms(150));
            let votes = |node| said(&stage.world, node, Vote::Commit).len();
            late += u32::from(votes(slow) < votes(others[1]));
        }
        assert!(late >= 8, "seed {seed}: its votes were late {late} times of 10");
        assert_eq!(stage.view(), 0, "seed {seed}: a slow backup is no reason to leave a view");
        stage.world.run_for(ms(500));
        assert_eq!(stage.view(), 0, "seed {seed}");
        stage.world.repair(slow);
        stage.must_settle();
    });
}

/// The primary's disk takes 100 ms for each sync: slower, but everything goes through. LV.
#[test]
fn slow_disk_of_the_primary() {
    for_seeds(10, |seed| {
        let mut stage = Stage::new(4, seed);
        let long = Duration::from_millis(60 + 10 * seed);
        stage.world.damage(V0, StorageFault::Slow { sync: (long, long) });
        for _ in 0..5 {
            stage.pay_many(10, &[V0, V1, V2, V3]);
            let bound = stage.bound();
            stage.must_settle_at(&[V1, V2, V3], bound);
        }
        stage.world.repair(V0);
        stage.must_settle();
    });
}
