//! Nodes that die and come back.

use super::stage::{Stage, V0, V1, V2, V3, for_seeds, ms};
use quorate_protocol::sim::Unsynced;

/// One backup is killed under load and started again: the others go on in the same view, and it catches up. LV AG.
#[test]
fn crash_backup_under_load() {
    for_seeds(40, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(20, &[V0, V1, V2, V3]);
        let unsynced = [Unsynced::Lost, Unsynced::Kept, Unsynced::Part(500)][seed as usize % 3];
        stage.world.crash(V3, unsynced);
        let before = stage.payments.len();
        stage.pay_many(40, &[V0, V1, V2]);
        stage.world.run_for(ms(200));
        let last = stage.payments[before..].iter().all(|id| stage.world.executed(V0, id).is_some());
        assert!(last, "seed {seed}: three of four go on without it");
        stage.world.restart(V3);
        stage.pay_many(10, &[V0, V3]);
        stage.must_settle();
        assert_eq!(stage.view(), 0, "seed {seed}: a dead backup is no reason to leave a view");
    });
}
