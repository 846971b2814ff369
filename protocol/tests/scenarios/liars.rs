//! Liars of one scenario each, and what there is to see of them afterwards.

use super::stage::Stage;
use quorate_protocol::document::Batch;
use quorate_protocol::id::{Height, NodeIndex, Sequence, TransactionId, View};
use quorate_protocol::pbft::Message;
use quorate_protocol::pbft::evidence::Kind;
use quorate_protocol::pbft::message::{Ballot, Content, Proposal};
use quorate_protocol::replica::PeerMessage;
use quorate_protocol::sim::{Behaviour, Liar, World};
use quorate_protocol::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Honest but for what a function does with each message that leaves it for one peer.
pub struct Saying<F>(pub F);

impl<F: FnMut(&mut Liar<'_>, NodeIndex, &PeerMessage) + Send> Behaviour for Saying<F> {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        (self.0)(liar, to, message);
    }
}

/// Honest but for its proposals, in whose place a function says something to each peer.
pub struct Proposing<F>(pub F);

impl<F: FnMut(&mut Liar<'_>, NodeIndex, &Proposal) + Send> Behaviour for Proposing<F> {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        match message {
            PeerMessage::Pbft(Message::PrePrepare(proposal)) if liar.is_own_proposal(message) => {
                (self.0)(liar, to, proposal);
            }
            _ => liar.send(to, message.clone()),
        }
    }
}

/// A primary that tells each half of its peers another batch, every second transaction in the one and the rest in the
/// other. All liars vote for either story; `commits` says to whom they send COMMITs as well.
pub fn two_stories(commits: fn(NodeIndex) -> bool) -> Box<dyn Behaviour> {
    Box::new(Proposing(move |liar: &mut Liar<'_>, to: NodeIndex, proposal: &Proposal| {
        let Content::Batch(batch) = &proposal.content else { return };
        let side = usize::from(!liar.is_in_first_half(to));
        let ids: Vec<TransactionId> = batch.ids.iter().copied().skip(side).step_by(2).collect();
        let content = Content::Batch(Batch { time: batch.time + side as u64, ids: ids.try_into().unwrap() });
        let Ballot { view, sequence, .. } = proposal.ballot();
        let told = liar.forge.ballot(view, sequence, content.digest());
        let lie = liar.forge.pre_prepare(liar.me, view, sequence, content);
        liar.send(to, lie);
        let liars: Vec<NodeIndex> = liar.forge.accomplices().collect();
        for voter in liars {
            if voter != liar.me {
                let prepare = liar.forge.prepare(voter, told);
                liar.send(to, prepare);
            }
            if commits(to) {
                let commit = liar.forge.commit(voter, told);
                liar.send(to, commit);
            }
        }
    }))
}

/// The lines of the trace that say that a message arrived.
pub fn heard(world: &World, from: NodeIndex, to: NodeIndex, what: &str) -> Vec<String> {
    let link = format!("{from} → {to}  ");
    let lines = world.trace().lines().filter(|line| line.contains(&link) && line.contains(what));
    lines.map(ToOwned::to_owned).collect()
}

/// How often a node remarked something, as its trace words it.
pub fn noted(world: &World, node: NodeIndex, what: &str) -> usize {
    let label = format!(" ms  {node}       ");
    world.trace().lines().filter(|line| line.contains(&label) && line.contains(what)).count()
}

/// How often correct nodes remarked something.
pub fn noted_by_correct(world: &World, what: &str) -> usize {
    world.correct().into_iter().map(|node| noted(world, node, what)).sum()
}

/// The digests that one node heard another propose, by their places; as the trace shortens them.
pub fn proposals_heard(world: &World, from: NodeIndex, to: NodeIndex) -> BTreeMap<(View, Sequence), String> {
    let of = |line: &String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |word: &str| words.iter().position(|each| *each == word).and_then(|place| words.get(place + 1));
        let (view, sequence) = (after("view")?.parse().ok()?, after("sequence")?.parse().ok()?);
        Some(((View(view), Sequence(sequence)), (*after("digest")?).to_owned()))
    };
    heard(world, from, to, "PRE-PREPARE").iter().filter_map(of).collect()
}

/// The PREPAREs and COMMITs that left a node under its own key.
pub fn own_votes(world: &World, node: NodeIndex) -> Vec<Ballot> {
    let key = world.genesis().validators.key(node).copied();
    let vote = |message: &PeerMessage| match message {
        PeerMessage::Pbft(Message::Prepare(vote)) if Some(vote.signer) == key => Some(vote.body.0),
        PeerMessage::Pbft(Message::Commit(vote)) if Some(vote.signer) == key => Some(vote.body.0),
        _ => None,
    };
    world.votes(node).iter().filter_map(|message| vote(message)).collect()
}

/// How many COMMITs left a node under its own key.
pub fn own_commits(world: &World, node: NodeIndex) -> usize {
    let key = world.genesis().validators.key(node).copied();
    let is_own =
        |message: &PeerMessage| matches!(message, PeerMessage::Pbft(Message::Commit(vote)) if Some(vote.signer) == key);
    world.votes(node).iter().filter(|message| is_own(message)).count()
}

/// Every ballot that correct nodes voted for.
pub fn ballots_of_correct(world: &World) -> Vec<Ballot> {
    world.correct().into_iter().flat_map(|node| own_votes(world, node)).collect()
}

/// The digests of the proposals that left a node under its own key.
pub fn own_proposals(world: &World, node: NodeIndex) -> BTreeSet<Ballot> {
    let key = world.genesis().validators.key(node).copied();
    let proposal = |message: &PeerMessage| match message {
        PeerMessage::Pbft(Message::PrePrepare(proposal)) if Some(proposal.pre_prepare.signer) == key => {
            Some(proposal.ballot())
        }
        _ => None,
    };
    world.votes(node).iter().filter_map(|message| proposal(message)).collect()
}

/// What correct nodes hold against a validator. Nobody else is ever accused.
pub fn convicted_of(world: &World, liar: NodeIndex) -> BTreeSet<Kind> {
    let key = world.genesis().validators.key(liar).copied();
    let held = world.correct().into_iter().flat_map(|node| world.evidence(node));
    held.inspect(|evidence| assert_eq!(Some(evidence.accused()), key)).map(|evidence| evidence.kind()).collect()
}

/// Where a node has a transaction in its blocks with an outcome that counts.
pub fn places(world: &World, node: NodeIndex, id: &TransactionId) -> Vec<Height> {
    let mut places = Vec::new();
    for height in (1..=world.height(node).0).map(Height) {
        let block = world.disk(node).store.block(height).expect("a sound disk").expect("a block below the head");
        let executed = block.positions.iter().filter(|position| position.id == *id && position.outcome.is_executed());
        places.extend(executed.map(|_| height));
    }
    places
}

/// EO, looked up in the blocks themselves: every payment stands in exactly one place, the same at every correct node.
pub fn must_be_executed_once(stage: &Stage) {
    let world = &stage.world;
    let mut executed: BTreeMap<TransactionId, BTreeSet<(NodeIndex, Height)>> = BTreeMap::new();
    let mut counts: BTreeMap<(NodeIndex, TransactionId), usize> = BTreeMap::new();
    for node in world.correct() {
        for height in (1..=world.height(node).0).map(Height) {
            let block = world.disk(node).store.block(height).expect("a sound disk").expect("a block below the head");
            for position in block.positions.iter().filter(|position| position.outcome.is_executed()) {
                executed.entry(position.id).or_default().insert((node, height));
                *counts.entry((node, position.id)).or_default() += 1;
            }
        }
    }
    for id in &stage.payments {
        let heights: BTreeSet<Height> = executed[id].iter().map(|(_, height)| *height).collect();
        assert_eq!(heights.len(), 1, "{id} stands at {heights:?}");
        for node in world.correct() {
            assert_eq!(counts.get(&(node, *id)), Some(&1), "{id} at {node}");
        }
    }
}

/// The primary of the highest view of a correct node is somebody else by now.
pub fn must_be_replaced(stage: &Stage, liar: NodeIndex) {
    let statuses = stage.world.correct().into_iter().filter_map(|node| stage.world.status(node));
    let last = statuses.max_by_key(|status| status.engine.view).expect("a correct node runs");
    assert!(last.engine.view > View(0) && last.engine.primary != liar, "{:?}", last.engine);
}

/// Every vote, a PRE-PREPARE to a NEW-VIEW, that left a machine under the key of this validator.
pub fn all_votes(world: &World, machine: NodeIndex, validator: NodeIndex) -> Vec<PeerMessage> {
    let key = world.genesis().validators.key(validator).copied();
    let signer = |message: &PeerMessage| match message {
        PeerMessage::Pbft(Message::PrePrepare(proposal)) => Some(proposal.pre_prepare.signer),
        PeerMessage::Pbft(Message::Prepare(vote)) => Some(vote.signer),
        PeerMessage::Pbft(Message::Commit(vote)) => Some(vote.signer),
        PeerMessage::Pbft(Message::ViewChange(signed)) => Some(signed.signer),
        PeerMessage::Pbft(Message::NewView(signed)) => Some(signed.signer),
        _ => None,
    };
    let own = world.votes(machine).iter().filter(|message| signer(message) == key);
    own.map(|message| PeerMessage::clone(message)).collect()
}
