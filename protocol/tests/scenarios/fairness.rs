//! Primaries that keep every rule of fairness but one (PROTOCOL 5.6): without that rule they stay in office, and an honest
//! client starves.

use super::liars::{must_be_executed_once, must_be_replaced};
use super::stage::{Stage, V0, V1, V2, V3, for_seeds, ms};
use quorate_protocol::id::{NodeIndex, TransactionId};
use quorate_protocol::replica::{PeerMessage, RepairMessage, SyncMessage};
use quorate_protocol::sim::byzantine::BusyIdler;
use quorate_protocol::sim::{Behaviour, Liar, transfer};
use std::time::Duration;

const SEEDS: u64 = 10;

/// As the worlds of [`Stage`] have it.
const VIEW_TIMEOUT: Duration = ms(300);

const HONEST: [NodeIndex; 3] = [V1, V2, V3];

/// A payment of one client, valid for so long, given to this node.
fn pay_from(stage: &mut Stage, payer: &str, valid_for: Duration, to: NodeIndex) -> TransactionId {
    let salt = stage.transactions.len() as u64;
    let accounts = stage.world.accounts();
    let (payer, payee) = (accounts.get(payer).expect("a client"), accounts.get("heidi").expect("she is there"));
    let valid_until = stage.world.clock().wall() + valid_for.as_millis() as u64;
    let payment = transfer(stage.world.genesis().chain_id(), payer, payee.address, 1, valid_until, salt);
    stage.world.submit(to, &payment);
    stage.payments.push(payment.id());
    stage.transactions.push(payment);
    stage.payments[stage.payments.len() - 1]
}

/// f + 1 correct nodes accuse the first primary of this, and nobody of anything else.
fn must_be_accused(stage: &Stage, of: &str) {
    let trace = || stage.world.trace().lines();
    let is_honest = |line: &&str| HONEST.iter().any(|node| line.contains(&format!(" ms  {node} ")));
    let leaving = trace().filter(|line| line.contains("leaves for view 1")).filter(is_honest);
    let leaving: Vec<&str> = leaving.filter(|line| !line.contains("replicas left")).collect();
    let is_all = leaving.len() > 1 && leaving.iter().all(|line| line.contains(of));
    assert!(is_all, "seed {}: {of:?} in {leaving:#?}", stage.world.config().seed);
}

/// One client has many payments, and in each 0.6 of a view timeout the primary serves whatever is claimed, and nothing else:
/// there is progress (a), no claim is left out (c), nobody overtakes one (d). It is too slow (b). LV.
#[test]
fn a_primary_that_serves_only_claims_is_too_slow() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.world.corrupt(V0, Box::new(BusyIdler::claims_only(VIEW_TIMEOUT)));
        for _ in 0..120 {
            // In one order everywhere, so that all claim the same one.
            pay_from(&mut stage, "alice", ms(100_000), V1);
            stage.world.run_for(ms(6));
        }
        stage.must_settle();
        must_be_accused(&stage, "too slow: ");
        must_be_replaced(&stage, V0);
        must_be_executed_once(&stage);
    });
}

/// Never hears of what others claim, nor of what is missing in its pool.
struct Deaf;

impl Behaviour for Deaf {
    fn on_receive(&mut self, _liar: &mut Liar<'_>, _from: NodeIndex, message: &PeerMessage) -> bool {
        let PeerMessage::Sync(message) = message else { return true };
        !matches!(message, SyncMessage::Claims(_) | SyncMessage::Repair(RepairMessage::PendingBodies(_)))
    }
}

/// Gossip of one payment never reaches the primary, and it is deaf to its claim; whatever else it hears of it orders at once.
/// So there is progress (a), nothing waits for long (b), and none of the others is served more than n times (d). The claim is
/// left out of batches with room (c), and would have expired. LV.
#[test]
fn a_primary_that_is_deaf_to_one_client_leaves_its_claim_out() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.world.corrupt(V0, Box::new(Deaf));
        HONEST.into_iter().for_each(|node| stage.world.network_mut().cut(node, V0));
        let victim = pay_from(&mut stage, "grace", ms(4_000), HONEST[seed as usize % 3]);
        stage.world.run_for(ms(15));
        HONEST.into_iter().for_each(|node| stage.world.network_mut().link_mut(node, V0).is_cut = false);
        for turn in 0..24 {
            let payer = ["alice", "bob", "carol", "dave", "erin", "frank"][turn % 6];
            pay_from(&mut stage, payer, ms(100_000), HONEST[turn % 3]);
            stage.world.run_for(ms(170));
        }
        assert!(stage.world.executed(V1, &victim).is_some(), "seed {seed}: it starved");
        stage.must_settle();
        must_be_accused(&stage, "left out of batch");
        must_be_replaced(&stage, V0);
        must_be_executed_once(&stage);
    });
}

/// Full batches of one friend: there is progress (a), a full batch is as much as anybody can ask for (b), and it has no room
/// for a claim (c). The friend overtakes every claim (d). LV.
#[test]
fn a_primary_that_fills_its_batches_with_one_sender_lets_it_overtake_claims() {
    for_seeds(SEEDS, |seed| {
        const COUNT: usize = 4;
        let mut stage = Stage::with(4, seed, |config| config.parameters.batch_count_max = COUNT as u32);
        stage.world.corrupt(V0, Box::new(BusyIdler::crowd(VIEW_TIMEOUT, COUNT)));
        stage.pay_many(6, &HONEST);
        stage.must_settle();
        must_be_accused(&stage, " overtaken: ");
        must_be_replaced(&stage, V0);
        must_be_executed_once(&stage);
    });
}
