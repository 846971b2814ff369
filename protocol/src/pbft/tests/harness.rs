//! A replica and a cluster for tests: messages are delivered by hand, and no time passes unless a test says so.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use quorate_crypto::{
    hash::{Digest, sha256},
    key::SecretKey,
    signature::Verifier,
    signed::{Signable, Signed, Verified},
};

use super::super::{
    message::{Ballot, Commit, CommitCertificate, Content, PrePrepare, Prepare, Proposal, VerifyContext},
    *,
};
use crate::{
    document::{Batch, Checkpoint, Validator, ValidatorSet},
    id::{Epoch, Height, NodeIndex, Sequence, TransactionId, View},
    time::Instant,
};

pub(super) const K: u64 = 4;
pub(super) const L: u64 = 8;

pub(super) fn key(index: usize) -> SecretKey {
    SecretKey::from_seed([u8::try_from(index).unwrap() + 1; 32])
}

pub(super) fn set(n: usize) -> ValidatorSet {
    let member = |index| Validator {
        consensus_key: key(index).public_key(),
        network_key: SecretKey::from_seed([u8::try_from(index).unwrap() + 101; 32]).public_key(),
    };
    ValidatorSet::new((0..n).map(member).collect()).unwrap()
}

pub(super) fn config(n: usize, me: usize) -> Config {
    Config {
        chain_id: Digest::ZERO,
        epoch: Epoch(0),
        validators: set(n),
        me: Some(NodeIndex(u8::try_from(me).unwrap())),
        base: Height(0),
        checkpoint_interval: K,
        window: L,
        in_flight_max: 8,
        view_timeout: Duration::from_secs(10),
        view_timeout_max: Duration::from_secs(80),
        status_interval: Duration::from_millis(100),
        status_interval_idle: Duration::from_secs(1),
    }
}

pub(super) fn batch(number: u8) -> Batch {
    let ids = vec![TransactionId(Digest::from_bytes([number; 32]))];
    Batch { time: u64::from(number), ids: ids.try_into().unwrap() }
}

pub(super) fn ballot(sequence: u64, digest: Digest) -> Ballot {
    Ballot { epoch: Epoch(0), view: View(0), sequence: Sequence(sequence), digest }
}

pub(super) fn sign<T: Signable>(index: usize, body: T) -> Signed<T> {
    Signed::sign(body, &Digest::ZERO, &key(index))
}

pub(super) fn proposal(signer: usize, sequence: u64, batch: Batch) -> Message {
    let content = Content::Batch(batch);
    let pre_prepare = sign(signer, PrePrepare(ballot(sequence, content.digest())));
    Message::PrePrepare(Proposal { pre_prepare, content })
}

pub(super) fn prepare(signer: usize, sequence: u64, batch: &Batch) -> Message {
    Message::Prepare(sign(signer, Prepare(ballot(sequence, batch.digest()))))
}

pub(super) fn commit(signer: usize, sequence: u64, batch: &Batch) -> Message {
    Message::Commit(sign(signer, Commit(ballot(sequence, batch.digest()))))
}

pub(super) fn checkpoint(signer: usize, height: u64, header_hash: Digest) -> Message {
    let body = Checkpoint { epoch: Epoch(0), height: Height(height), header_hash };
    Message::Checkpoint(sign(signer, body))
}

pub(super) fn commit_certificate(signers: &[usize], sequence: u64, batch: &Batch) -> Message {
    let commits: Vec<_> = signers.iter().map(|i| sign(*i, Commit(ballot(sequence, batch.digest())))).collect();
    Message::CommitCertificate(CommitCertificate {
        commits: commits.try_into().unwrap(),
        content: Content::Batch(batch.clone()),
    })
}

pub(super) fn context(n: usize) -> VerifyContext {
    config(n, 0).verify_context()
}

pub(super) fn verify(n: usize, message: Message) -> Option<Verified<Message>> {
    Verified::check(message, &context(n), &mut Verifier::new([0; 32], 64)).ok()
}

/// The header that execution makes in these tests: a function of height and content.
pub(super) fn header_hash(height: Height, content: &Content) -> Digest {
    sha256(&[&height.0.to_le_bytes()[..], content.digest().as_bytes()].concat())
}

/// One engine and its disk.
pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) n: usize,
    pub(super) now: Instant,
    pub(super) log: Vec<Record>,
    pub(super) out: Vec<Output>,
    /// Questions to others.
    pub(super) asks: Vec<Output>,
    /// What was executed here.
    pub(super) blocks: Vec<DurableBlock>,
}

impl Node {
    pub(super) fn new(n: usize, me: usize) -> Node {
        let durable = Durable { records: Some(Vec::new()), ..Durable::default() };
        let engine = Engine::recover(config(n, me), key(me), durable, Instant::ORIGIN);
        let mut node = Node {
            engine,
            n,
            now: Instant::ORIGIN,
            log: Vec::new(),
            out: Vec::new(),
            asks: Vec::new(),
            blocks: Vec::new(),
        };
        node.hears_everybody();
        node.input(Input::Deadline);
        node.out.clear();
        node
    }

    /// As if everybody's STATUS had been heard.
    pub(super) fn hears_everybody(&mut self) {
        self.engine.state.heard = self.engine.config.validators.indices().collect();
    }

    pub(super) fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input, &mut self.out);
        self.engine.check_invariants().unwrap();
    }

    pub(super) fn hear(&mut self, message: Message) {
        let message = verify(self.n, message).expect("the test's message verifies");
        self.input(Input::Message(Box::new(message)));
    }

    /// Grants everything that the engine asks of its own world, and returns what it wants to send.
    pub(super) fn settle(&mut self) -> Vec<(Option<NodeIndex>, Message)> {
        let mut sent = Vec::new();
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                self.grant(output, &mut sent);
            }
        }
        sent
    }

    pub(super) fn grant(&mut self, output: Output, sent: &mut Vec<(Option<NodeIndex>, Message)>) {
        match output {
            Output::Send { to, message } => sent.push((Some(to), message)),
            Output::Broadcast(message) => sent.push((None, message)),
            Output::Check { sequence, content, .. } => {
                self.input(Input::Checked { sequence, digest: content.digest(), verdict: Verdict::Held });
            }
            Output::Persist { record, release, ticket } => {
                self.log.push(record);
                sent.extend(release.into_iter().map(|message| (None, message)));
                self.input(Input::Durable(ticket));
            }
            Output::Execute { height, content, .. } => {
                let settled = content.batch().map_or(0, |batch| batch.ids.len());
                let header_hash = header_hash(height, &content);
                self.blocks.push(DurableBlock {
                    height,
                    digest: content.digest(),
                    header_hash,
                    commits: None,
                    certificate: None,
                });
                self.input(Input::Executed { height, header_hash, settled, expired: false });
            }
            Output::Certify { height, anchor: true, .. } => self.input(Input::Anchored(height)),
            ask @ (Output::FetchContents { .. } | Output::FetchViewChanges { .. }) => self.asks.push(ask),
            _ => {}
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.input(Input::Deadline);
    }

    pub(super) fn notes(&self) -> Vec<&Note> {
        self.out.iter().filter_map(|output| if let Output::Note(note) = output { Some(note) } else { None }).collect()
    }

    pub(super) fn executed(&self) -> u64 {
        self.engine.status().executed.0
    }

    /// A crash and a restart: the log and the store are all that is left.
    pub(super) fn restart(&mut self, me: usize, blocks: Vec<DurableBlock>) {
        let executed = blocks.iter().map(|block| block.height).max().unwrap_or_default();
        let durable = Durable { records: Some(self.log.clone()), low: Height(0), proven: None, executed, blocks };
        self.engine = Engine::recover(config(self.n, me), key(me), durable, self.now);
        self.hears_everybody();
        self.out.clear();
    }
}

/// All engines of a cluster, with a network that delivers what `passes` lets through.
pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    pub(super) counts: BTreeMap<&'static str, usize>,
}

impl Cluster {
    pub(super) fn new(n: usize) -> Cluster {
        Cluster { nodes: (0..n).map(|me| Node::new(n, me)).collect(), counts: BTreeMap::new() }
    }

    pub(super) fn run(&mut self, mut passes: impl FnMut(usize, usize, &Message) -> bool) {
        loop {
            let mut queue = VecDeque::new();
            for from in 0..self.nodes.len() {
                queue.extend(self.nodes[from].settle().into_iter().map(|(to, message)| (from, to, message)));
            }
            let answered = self.answer_asks();
            if queue.is_empty() && !answered {
                return;
            }
            for (from, to, message) in queue {
                for receiver in 0..self.nodes.len() {
                    let wanted = to.is_none_or(|to| usize::from(to.0) == receiver);
                    if receiver != from && wanted {
                        *self.counts.entry(message.name()).or_default() += 1;
                        if passes(from, receiver, &message) {
                            self.nodes[receiver].hear(message.clone());
                        }
                    }
                }
            }
        }
    }

    /// Replicas ask each other for contents and for VIEW-CHANGEs; a network that is cut does not matter for that.
    fn answer_asks(&mut self) -> bool {
        let asks: Vec<(usize, Output)> = self
            .nodes
            .iter_mut()
            .enumerate()
            .flat_map(|(of, node)| node.asks.drain(..).map(move |a| (of, a)))
            .collect();
        let mut answered = false;
        for (of, ask) in asks {
            match ask {
                Output::FetchContents { to, wanted } => {
                    for (sequence, digest) in wanted {
                        let content = self.nodes[usize::from(to.0)].engine.content(sequence, &digest);
                        if let Some(content) = content {
                            self.nodes[of].input(Input::Content { sequence, content });
                            answered = true;
                        }
                    }
                }
                Output::FetchViewChanges { to, names } => {
                    for name in names {
                        let view_change = self.nodes[usize::from(to.0)].engine.view_change(&name);
                        if let Some(view_change) = view_change {
                            self.nodes[of].hear(Message::ViewChange(view_change));
                            answered = true;
                        }
                    }
                }
                _ => {}
            }
        }
        answered
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.nodes.iter_mut().for_each(|node| node.pass(time));
    }
}
