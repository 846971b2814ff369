//! What agreeing on one batch costs each replica, from 4 to 31 of them: messages, bytes, time in the engine (signing
//! included) and time for verifying what others sent. Then what a view change with a full window costs. Beside them, in the
//! same run, the machine's cost of one signature.
//!
//! `cargo bench -p quorate-protocol --bench agreement`

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use quorate_crypto::{Digest, SecretKey, Signed, Verified, Verifier, encode, sha256};
use quorate_protocol::document::{Batch, Parameters, Validator, ValidatorSet};
use quorate_protocol::id::{Epoch, NodeIndex, Sequence, TransactionId, View};
use quorate_protocol::pbft::message::{Ballot, Content, PrePrepare, Prepare, PreparedCertificate, ViewChange};
use quorate_protocol::pbft::{Config, Durable, Engine, Input, Message, Output, Verdict};
use quorate_protocol::time::Instant;
use std::time::{Duration, Instant as Stopwatch};

const SIZES: [usize; 7] = [4, 7, 10, 13, 16, 22, 31];
const BATCHES: u64 = 40;
/// Transactions of a batch: 32 bytes each in a PRE-PREPARE.
const IDS: usize = 500;
const WINDOW: u64 = 128;

fn key(index: usize) -> SecretKey {
    SecretKey::from_seed([index as u8 + 1; 32])
}

fn validators(n: usize) -> ValidatorSet {
    let member = |index| Validator {
        consensus_key: key(index).public_key(),
        network_key: SecretKey::from_seed([index as u8 + 101; 32]).public_key(),
    };
    ValidatorSet::new((0..n).map(member).collect()).expect("a set")
}

fn config(n: usize, me: Option<usize>) -> Config {
    Config::new(Digest::ZERO, validators(n), me.map(|me| NodeIndex(me as u8)), &Parameters::default())
}

/// What all replicas together needed.
#[derive(Default)]
struct Cost {
    messages: u64,
    bytes: u64,
    engine: Duration,
    verifying: Duration,
}

struct Cluster {
    n: usize,
    engines: Vec<Engine>,
    verifiers: Vec<Verifier>,
    cost: Cost,
}

impl Cluster {
    fn new(n: usize) -> Cluster {
        let engine = |me| {
            let durable = Durable { records: Some(Vec::new()), ..Durable::default() };
            Engine::recover(config(n, Some(me)), key(me), durable, Instant::ORIGIN)
        };
        let verifiers = (0..n).map(|me| Verifier::new([me as u8; 32], 64)).collect();
        Cluster { n, engines: (0..n).map(engine).collect(), verifiers, cost: Cost::default() }
    }

    /// Everything that follows from one input, delivered until nothing is left.
    fn run(&mut self, input: Input) {
        let context = config(self.n, None).verify_context();
        let mut inboxes: Vec<Vec<Message>> = vec![Vec::new(); self.n];
        self.handle(0, input, &mut inboxes);
        while inboxes.iter().any(|inbox| !inbox.is_empty()) {
            let round = std::mem::replace(&mut inboxes, vec![Vec::new(); self.n]);
            for (me, inbox) in round.into_iter().enumerate() {
                let began = Stopwatch::now();
                let verified = Verified::check_all(inbox, &context, &mut self.verifiers[me]);
                self.cost.verifying += began.elapsed();
                for message in verified {
                    let message = message.expect("it verifies");
                    self.handle(me, Input::Message(Box::new(message)), &mut inboxes);
                }
            }
        }
    }

    fn handle(&mut self, me: usize, input: Input, inboxes: &mut [Vec<Message>]) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut out = Vec::new();
            let began = Stopwatch::now();
            self.engines[me].handle(Instant::ORIGIN, input, &mut out);
            self.cost.engine += began.elapsed();
            for output in out {
                match output {
                    Output::Check { sequence, content, .. } => {
                        inputs.push(Input::Checked { sequence, digest: content.digest(), verdict: Verdict::Held });
                    }
                    Output::Persist { release, ticket, .. } => {
                        release.iter().for_each(|message| self.tell_all(me, message, inboxes));
                        inputs.push(Input::Durable(ticket));
                    }
                    Output::Broadcast(message) => self.tell_all(me, &message, inboxes),
                    Output::Send { to, message } => self.tell(to.as_usize(), message, inboxes),
                    Output::Execute { height, content, .. } => {
                        let header_hash = sha256(content.digest().as_bytes());
                        inputs.push(Input::Executed { height, header_hash, settled: IDS, expired: false });
                    }
                    Output::Certify { height, anchor: true, .. } => inputs.push(Input::Anchored(height)),
                    _ => {}
                }
            }
        }
    }

    fn tell_all(&mut self, me: usize, message: &Message, inboxes: &mut [Vec<Message>]) {
        for to in (0..self.n).filter(|to| *to != me) {
            self.tell(to, message.clone(), inboxes);
        }
    }

    fn tell(&mut self, to: usize, message: Message, inboxes: &mut [Vec<Message>]) {
        self.cost.messages += 1;
        self.cost.bytes += encode(&message).len() as u64;
        inboxes[to].push(message);
    }
}

fn batch(number: u64) -> Batch {
    let id = |place: usize| TransactionId(sha256(&[number.to_le_bytes(), (place as u64).to_le_bytes()].concat()));
    Batch { time: number, ids: (0..IDS).map(id).collect::<Vec<_>>().try_into().expect("few") }
}

fn agreement(reference: f64) {
    println!("one batch of {IDS} ids, CHECKPOINTs included; for each replica, mean of {BATCHES}:");
    println!("   n  f   q   messages out   KiB out   engine us   verifying us   signatures' worth");
    for n in SIZES {
        let mut cluster = Cluster::new(n);
        // Once without counting: keys are decoded, the first STATUS is out.
        cluster.run(Input::Propose(batch(0)));
        cluster.cost = Cost::default();
        (1..=BATCHES).for_each(|number| cluster.run(Input::Propose(batch(number))));
        let share = (n as u64 * BATCHES) as f64;
        let Cost { messages, bytes, engine, verifying } = cluster.cost;
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / share;
        let (f, q) = (cluster_f(n), validators(n).quorum());
        println!(
            "{n:4} {f:2} {q:3} {:14.1} {:9.1} {:11.0} {:14.0} {:19.1}",
            messages as f64 / share,
            bytes as f64 / share / 1024.0,
            micros(engine),
            micros(verifying),
            (micros(engine) + micros(verifying)) / reference
        );
    }
}

fn cluster_f(n: usize) -> usize {
    validators(n).f()
}

/// A VIEW-CHANGE that had prepared the whole window, and a quorum of them, which is what a NEW-VIEW makes a backup check.
fn view_change() {
    println!("a view change with {WINDOW} prepared batches:");
    println!("   n   VIEW-CHANGE KiB   verifying one ms   verifying a quorum ms");
    for n in [4, 7, 16, 31] {
        let (set, context) = (validators(n), config(n, None).verify_context());
        let q = set.quorum();
        let certificate = |sequence: u64| {
            let ballot =
                Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence(sequence), digest: Content::Null.digest() };
            let prepares: Vec<_> =
                (1..q).map(|index| Signed::sign(Prepare(ballot), &Digest::ZERO, &key(index))).collect();
            let pre_prepare = Signed::sign(PrePrepare(ballot), &Digest::ZERO, &key(0));
            PreparedCertificate { pre_prepare, prepares: prepares.try_into().expect("few") }
        };
        let prepared: Vec<_> = (1..=WINDOW).map(certificate).collect();
        let body =
            ViewChange { epoch: Epoch(0), view: View(1), low: None, prepared: prepared.try_into().expect("a window") };
        let all: Vec<Message> =
            (0..q).map(|index| Message::ViewChange(Signed::sign(body.clone(), &Digest::ZERO, &key(index)))).collect();
        let mut verifier = Verifier::new([9; 32], 64);
        let began = Stopwatch::now();
        for message in all.clone() {
            Verified::check(message, &context, &mut verifier).expect("it verifies");
        }
        let quorum = began.elapsed().as_secs_f64() * 1e3;
        let kib = encode(&all[0]).len() as f64 / 1024.0;
        println!("{n:4} {kib:17.1} {:18.1} {quorum:23.1}", quorum / q as f64);
    }
}

/// Microseconds per signature of ed25519-dalek's batch of 1,024.
fn reference_cost() -> f64 {
    let keys: Vec<SigningKey> = (0..64u8).map(|seed| SigningKey::from_bytes(&[seed; 32])).collect();
    let messages: Vec<[u8; 8]> = (0..1_024u64).map(u64::to_le_bytes).collect();
    let signer = |place: usize| &keys[place % keys.len()];
    let signatures: Vec<_> = messages.iter().enumerate().map(|(place, message)| signer(place).sign(message)).collect();
    let public: Vec<VerifyingKey> = (0..messages.len()).map(|place| signer(place).verifying_key()).collect();
    let messages: Vec<&[u8]> = messages.iter().map(|message| &message[..]).collect();
    let time = || {
        let began = Stopwatch::now();
        ed25519_dalek::verify_batch(&messages, &signatures, &public).expect("they are good");
        began.elapsed().as_secs_f64() * 1e6 / messages.len() as f64
    };
    let mut times: Vec<f64> = (0..7).map(|_| time()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    // `cargo test` runs benches with this argument; nothing is measured then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let reference = reference_cost();
    agreement(reference);
    view_change();
    println!("reference: a signature in ed25519-dalek's batch of 1,024 takes {reference:.2} us");
}
