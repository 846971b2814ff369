//! Each lie is told, shown by what it leads to; and what does not verify goes no further than the edge.

use super::{Behaviour, Lie};
use crate::id::NodeIndex;
use crate::pbft::evidence::Kind;
use crate::sim::{World, WorldConfig, transfer};
use std::collections::BTreeSet;
use std::time::Duration;

const V0: NodeIndex = NodeIndex(0);
const V1: NodeIndex = NodeIndex(1);

/// A world in which one node lies, and what became of ten payments given to an honest one.
fn world_with(liar: NodeIndex, behaviour: Box<dyn Behaviour>) -> World {
    let mut world = World::new(WorldConfig::hasty(4, 7));
    world.corrupt(liar, behaviour);
    world.run_for(Duration::from_millis(10));
    let payments: Vec<_> = (0..10)
        .map(|salt| {
            let (alice, bob) = (world.accounts().get("alice").unwrap(), world.accounts().get("bob").unwrap());
            transfer(world.genesis().chain_id(), alice, bob.address, 10, world.clock().wall() + 30_000, salt)
        })
        .collect();
    for payment in &payments {
        world.submit(NodeIndex(2), payment);
        world.run_for(Duration::from_millis(20));
    }
    let settled = world.run_within(Duration::from_secs(20), |world| {
        let everywhere = |id: &_| world.correct().into_iter().all(|node| world.executed(node, id).is_some());
        payments.iter().all(|payment| everywhere(&payment.id()))
    });
    assert_eq!(world.violation(), None);
    assert!(settled, "{}", world.trace().tail(100));
    world
}

fn kinds(world: &World) -> BTreeSet<Kind> {
    let held = world.correct().into_iter().flat_map(|node| world.evidence(node).iter().map(|evidence| evidence.kind()));
    held.collect()
}

#[test]
fn every_lie_of_a_primary_or_a_backup_leaves_all_promises_whole() {
    for lie in Lie::ALL {
        for liar in [V0, V1] {
            let parameters = WorldConfig::hasty(4, 7).parameters;
            world_with(liar, lie.behaviour(&parameters));
        }
    }
}

#[test]
fn two_votes_of_one_key_are_evidence() {
    let parameters = WorldConfig::hasty(4, 7).parameters;
    let held = kinds(&world_with(V1, Lie::DoubleVotes.behaviour(&parameters)));
    assert!(held.contains(&Kind::Prepare) && held.contains(&Kind::Commit), "{held:?}");
    let held = kinds(&world_with(V1, Lie::FalseCheckpoints.behaviour(&parameters)));
    assert!(held.contains(&Kind::Checkpoint), "{held:?}");
}

#[test]
fn what_does_not_verify_is_dropped_at_the_edge_and_counted() {
    let parameters = WorldConfig::hasty(4, 7).parameters;
    let dropped = |lie: Lie| world_with(V1, lie.behaviour(&parameters)).dropped();
    assert_eq!(dropped(Lie::DoubleVotes), 0, "its own signatures are good");
    for lie in [Lie::Impersonation, Lie::WrongPlace, Lie::ClaimFlooder] {
        assert!(dropped(lie) > 0, "{lie:?}");
    }
}
