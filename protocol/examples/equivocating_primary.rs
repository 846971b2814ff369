//! A primary that tells two stories, written outside of the simulator: what a stranger's scenario looks like.
//!
//! `cargo run --release -p quorate-protocol --features sim --example equivocating_primary`

use quorate_protocol::document::Batch;
use quorate_protocol::id::{NodeIndex, TransactionId};
use quorate_protocol::pbft::{Message, message::Content};
use quorate_protocol::replica::PeerMessage;
use quorate_protocol::sim::{Behaviour, Liar, World, WorldConfig, transfer};
use std::time::Duration;

/// Proposes every batch to the first half of its peers, and an empty one in its place to the others.
struct TwoStories;

impl Behaviour for TwoStories {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        match message {
            PeerMessage::Pbft(Message::PrePrepare(told))
                if liar.is_own_proposal(message) && !liar.is_in_first_half(to) =>
            {
                let (ballot, empty) = (told.ballot(), Batch { time: liar.now.wall, ..Batch::default() });
                let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, Content::Batch(empty));
                liar.send(to, lie);
            }
            _ => liar.send(to, message.clone()),
        }
    }
}

fn main() {
    let mut world = World::new(WorldConfig::hasty(4, 1));
    let (liar, witness) = (NodeIndex(0), NodeIndex(2));
    world.corrupt(liar, Box::new(TwoStories));
    let (alice, bob) = (world.accounts().get("alice").unwrap(), world.accounts().get("bob").unwrap());
    let payment = transfer(world.genesis().chain_id(), alice, bob.address, 10, world.clock().wall() + 30_000, 1);
    let id: TransactionId = payment.id();
    world.submit(witness, &payment);
    let settled = |world: &World| world.correct().into_iter().all(|node| world.receipt(node, &id).is_some());
    assert!(world.run_within(Duration::from_secs(20), settled), "{}", world.trace().tail(100));
    assert_eq!(world.violation(), None);
    println!("{}", world.trace().tail(30));
    let receipt = world.receipt(witness, &id).expect("it is settled");
    println!("settled at height {}: {:?}", receipt.header.height, receipt.position.outcome);
}
