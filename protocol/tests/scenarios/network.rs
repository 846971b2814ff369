//! Links that lose, delay, and part the nodes.

use super::stage::{Stage, V0, V1, V2, V3, WELL, for_seeds, ms};
use quorate_protocol::sim::{Link, Unsynced};

/// Two and two of four cannot hear each other: nothing commits meanwhile, and everything does afterwards. AG LV.
#[test]
fn split_two_two() {
    for_seeds(40, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.pay_many(10, &[V0, V1, V2, V3]);
        stage.world.run_for(ms(100));
        stage.world.network_mut().partition(&[V0, V1]);
        // What was under way when the links were cut may still arrive.
        stage.world.run_for(ms(50));
        let heights = stage.heights();
        stage.pay_many(20, &[V0, V2]);
        stage.world.run_for(ms(2_000));
        assert_eq!(stage.heights(), heights, "seed {seed}: neither side is a quorum");
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// Up to half of everything is lost, some of it comes twice and in any order, and clients do not try again. Then the links
/// are well, and everything that a node has admitted is settled. LV.
#[test]
fn lossy_reordering_duplicating() {
    for_seeds(40, |seed| {
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
        stage.world.run_for(ms(500));
        stage.world.heal_correct(WELL);
        stage.must_settle();
    });
}

/// One backup gets no PRE-PREPARE for a long time, and then is needed: it catches up by certificates, and votes. LV.
#[test]
fn backup_kept_in_the_dark() {
    for_seeds(40, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.world.network_mut().cut(V0, V3);
        stage.pay_many(60, &[V0, V1, V2]);
        stage.must_settle_within(ms(3_000));
        // Now there is no quorum without it.
        stage.world.crash(V1, Unsynced::Kept);
        stage.world.give_up(V1);
        stage.world.heal_correct(WELL);
        stage.pay_many(10, &[V2, V3]);
        stage.must_settle();
    });
}
