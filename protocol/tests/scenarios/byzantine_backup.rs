//! Backups that lie.

use super::stage::{Stage, V0, V1, V2, V3, for_seeds, ms};
use quorate_protocol::pbft::evidence::Kind;
use quorate_protocol::sim::Lie;
use std::collections::BTreeSet;

/// A backup votes twice at every place, while a correct one is slow, so that its votes are needed: the first counts, and
/// the pair is evidence that convicts it and nobody else. AG AC.
#[test]
fn double_votes() {
    for_seeds(40, |seed| {
        let mut stage = Stage::new(4, seed);
        let parameters = stage.world.config().parameters.clone();
        stage.world.corrupt(V1, Lie::DoubleVotes.behaviour(&parameters));
        stage.world.network_mut().link_mut(V3, V0).delay_max = ms(40);
        stage.pay_many(40, &[V0, V2, V3]);
        stage.must_settle();
        let liar = stage.world.genesis().validators.key(V1).copied();
        let held: Vec<_> = [V0, V2, V3].iter().flat_map(|node| stage.world.evidence(*node)).collect();
        assert!(held.iter().all(|evidence| Some(evidence.accused()) == liar));
        let kinds: BTreeSet<Kind> = held.iter().map(|evidence| evidence.kind()).collect();
        assert_eq!(kinds, BTreeSet::from([Kind::Prepare, Kind::Commit]), "seed {seed}");
    });
}
