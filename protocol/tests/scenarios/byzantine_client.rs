//! Clients that lie, hurry, repeat themselves and flood.

use super::liars::{must_be_executed_once, noted_by_correct, places};
use super::stage::{Stage, V0, V1, V2, V3, WELL, for_seeds, ms};
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::scalar::clamp_integer;
use curve25519_dalek::{EdwardsPoint, Scalar};
use quorate_crypto::signed::signing_bytes;
use quorate_crypto::{BoundedVec, Claim, PublicKey, SecretKey, Signature, Verifier};
use quorate_protocol::api::code::Code;
use quorate_protocol::document::{Operation, SignedTransaction, Transaction};
use quorate_protocol::id::{Height, NodeIndex};
use quorate_protocol::pool::Admitted;
use quorate_protocol::sim::genesis::usd;
use quorate_protocol::sim::{Account, Lie, StorageFault, Unsynced, World, transfer};
use sha2::{Digest, Sha512};

const SEEDS: u64 = 20;

const ALL: [NodeIndex; 4] = [V0, V1, V2, V3];

fn account(world: &World, name: &str) -> Account {
    world.accounts().get(name).expect("it is there").clone()
}

/// A payment of alice to bob that is valid for so many milliseconds.
fn payment(world: &World, valid_for: u64, salt: u64) -> SignedTransaction {
    let valid_until = world.clock().wall() + valid_for;
    transfer(world.genesis().chain_id(), &account(world, "alice"), account(world, "bob").address, 1, valid_until, salt)
}

/// A signature by the rules, with a nonce of the signer's own choice and a point of small order added to R.
fn sign_with(key: &SecretKey, transaction: &Transaction, nonce: u64, torsion: usize) -> Signature {
    let hash = Sha512::digest(*key.seed());
    let secret = Scalar::from_bytes_mod_order(clamp_integer(hash[..32].try_into().expect("32 bytes")));
    let r = (EdwardsPoint::mul_base(&Scalar::from(nonce)) + EIGHT_TORSION[torsion]).compress().to_bytes();
    let message = signing_bytes(&transaction.chain_id, transaction);
    let challenge = Sha512::new().chain_update(r).chain_update(key.public_key().as_bytes()).chain_update(message);
    let s = Scalar::from(nonce) + Scalar::from_bytes_mod_order_wide(&challenge.finalize().into()) * secret;
    signature(r, *s.as_bytes())
}

fn signature(r: [u8; 32], s: [u8; 32]) -> Signature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(&s);
    Signature::from_bytes(bytes)
}

/// The same payment with another signature.
fn signed_again(of: &SignedTransaction, key: &SecretKey, nonce: u64, torsion: usize) -> SignedTransaction {
    SignedTransaction::new(of.transaction().clone(), sign_with(key, of.transaction(), nonce, torsion))
}

/// The signature with the group's order added to its scalar: the same number to whoever reduces it.
fn plus_order(of: &Signature) -> Signature {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let bytes = of.as_bytes();
    let (mut s, mut carry) = ([0; 32], 0);
    for place in 0..32 {
        let sum = u16::from(bytes[32 + place]) + u16::from(ORDER[place]) + carry;
        (s[place], carry) = ((sum & 0xff) as u8, sum >> 8);
    }
    signature(bytes[..32].try_into().expect("32 bytes"), s)
}

/// One transaction under two valid signatures to two nodes, and under a forged one to a third that has not heard of it:
/// it is executed once, and nobody is kept from executing it. So is the payment of an honest client whom the liar tries
/// to spoil with a forged copy. EO LV DT.
#[test]
fn same_id_two_signatures() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let alice = account(&stage.world, "alice");
        let first = payment(&stage.world, 100_000, 1);
        let second = signed_again(&first, &alice.key, 7 + seed, 0);
        assert_eq!(first.id(), second.id());
        assert_ne!(first.signature(), second.signature());
        let honest = payment(&stage.world, 100_000, 2);
        let forged = |of: &SignedTransaction| SignedTransaction::new(of.transaction().clone(), *second.signature());
        let bad_first = SignedTransaction::new(first.transaction().clone(), *honest.signature());
        let (one, two, three) = (ALL[seed as usize % 4], ALL[(seed as usize + 1) % 4], ALL[(seed as usize + 2) % 4]);
        stage.world.submit(three, &bad_first);
        stage.world.submit(three, &forged(&honest));
        assert_eq!(stage.world.admission(three, &first.id()), Some(Err(Code::BadSignature)), "seed {seed}");
        assert_eq!(stage.world.admission(three, &honest.id()), Some(Err(Code::BadSignature)), "seed {seed}");
        stage.world.submit(one, &first);
        stage.world.submit(two, &second);
        stage.world.submit(three, &honest);
        for (node, id) in [(one, first.id()), (two, first.id()), (three, honest.id())] {
            assert_eq!(stage.world.admission(node, &id), Some(Ok(Admitted::New)), "seed {seed}");
        }
        stage.payments.extend([first.id(), honest.id()]);
        stage.pay_many(4, &ALL);
        stage.must_settle();
        must_be_executed_once(&stage);
        assert_eq!(stage.view(), 0, "seed {seed}");
    });
}

/// One intention in two transactions: two ids, two receipts, and the money is gone twice. Clients must repeat the same
/// bytes.
#[test]
fn same_intent_two_ids() {
    for_seeds(SEEDS / 4, |seed| {
        let mut stage = Stage::new(4, seed);
        let (first, second) = (payment(&stage.world, 100_000, 1), payment(&stage.world, 100_000, 2));
        for (node, intent) in [(V1, &first), (V2, &second), (V3, &first), (V0, &second)] {
            stage.world.submit(node, intent);
        }
        stage.payments.extend([first.id(), second.id()]);
        stage.must_settle();
        must_be_executed_once(&stage);
        let receipts = [&first, &second].map(|of| stage.world.receipt(V3, &of.id()).expect("it is settled"));
        assert_ne!(receipts[0].position.id, receipts[1].position.id);
        assert!(
            receipts.iter().all(|receipt| receipt.position.outcome == quorate_protocol::document::Outcome::Applied)
        );
    });
}

/// Signatures at the edges of the curve: R with each component of small order holds, a scalar that is not reduced does
/// not, a key of small order is no member's. All nodes and both paths say the same. AG DT.
#[test]
fn edge_case_signatures() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let alice = account(&stage.world, "alice");
        let mut held = Vec::new();
        let mut refused = Vec::new();
        for torsion in 0..8 {
            let plain = payment(&stage.world, 100_000, torsion as u64);
            held.push(signed_again(&plain, &alice.key, 1_000 + seed, torsion));
            let plain = payment(&stage.world, 100_000, 100 + torsion as u64);
            let sum = plus_order(&sign_with(&alice.key, plain.transaction(), 1_000 + seed, torsion));
            refused.push(SignedTransaction::new(plain.transaction().clone(), sum));
        }
        must_be_judged_alike(&held, true, seed);
        must_be_judged_alike(&refused, false, seed);
        let small: Vec<SignedTransaction> =
            EIGHT_TORSION.iter().map(|point| of_small_order(&stage.world, point)).collect();
        for (turn, transaction) in held.iter().chain(&refused).chain(&small).enumerate() {
            ALL.iter().for_each(|node| stage.world.submit(*node, transaction));
            let answers: Vec<_> =
                ALL.iter().map(|node| stage.world.admission(*node, &transaction.id()).unwrap()).collect();
            assert!(answers.iter().all(|answer| answer.is_ok() == (turn < 8)), "seed {seed}, {turn}: {answers:?}");
            assert!(answers.iter().all(|answer| answer.err() == answers[0].err()), "seed {seed}, {turn}: {answers:?}");
        }
        stage.payments.extend(held.iter().map(SignedTransaction::id));
        stage.must_settle();
        must_be_executed_once(&stage);
        for transaction in refused.iter().chain(&small) {
            assert!(places(&stage.world, V0, &transaction.id()).is_empty(), "seed {seed}");
        }
    });
}

/// Each by itself and all together.
fn must_be_judged_alike(transactions: &[SignedTransaction], holds: bool, seed: u64) {
    let claim = |of: &SignedTransaction| Claim {
        key: *of.sender(),
        signature: *of.signature(),
        message: signing_bytes(&of.transaction().chain_id, of.transaction()),
    };
    let claims: Vec<Claim> = transactions.iter().map(claim).collect();
    let mut verifier = Verifier::new([seed as u8; 32], 16);
    assert!(claims.iter().all(|claim| verifier.verify(claim) == holds), "seed {seed}");
    assert_eq!(verifier.verify_batch(&claims), vec![holds; claims.len()], "seed {seed}");
}

/// A payment of a key of small order, under the signature that holds for it whatever it signs.
fn of_small_order(world: &World, point: &EdwardsPoint) -> SignedTransaction {
    let mut transaction = payment(world, 100_000, 1_000).transaction().clone();
    transaction.sender = PublicKey::from_bytes(point.compress().to_bytes());
    let neutral = EIGHT_TORSION[0].compress().to_bytes();
    SignedTransaction::new(transaction, signature(neutral, [0; 32]))
}

/// What was executed is submitted again, to all nodes: at once, after a restart of everything, after a node lost its disk
/// and followed again, while a liar replays what it heard, after it expired, and on another chain. It is executed once.
#[test]
fn replay_later() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let parameters = stage.world.config().parameters.clone();
        let (kept, replayer) = (payment(&stage.world, 20_000, 1), Lie::Replayer.behaviour(&parameters));
        stage.world.corrupt(V1, replayer);
        let honest = [V0, V2, V3];
        stage.world.submit(V2, &kept);
        stage.payments.push(kept.id());
        stage.must_settle_within(ms(3_000));
        must_be_known(&mut stage, &honest, &kept, Ok(Admitted::Executed));
        for node in honest {
            stage.world.crash(node, [Unsynced::Lost, Unsynced::Kept][seed as usize % 2]);
        }
        honest.iter().for_each(|node| stage.world.restart(*node));
        must_be_known(&mut stage, &honest, &kept, Ok(Admitted::Executed));
        stage.pay_many(10, &honest);
        stage.must_settle_within(ms(6_000));
        // A node that has nothing takes the chain from others, and knows what was executed before its time.
        stage.world.damage(V3, StorageFault::Wiped);
        stage.world.restart(V3);
        assert!(stage.world.run_within(ms(6_000), |world| world.chain(V3) == world.chain(V0)), "seed {seed}");
        must_be_known(&mut stage, &[V3], &kept, Ok(Admitted::Executed));
        stage.world.run_for(ms(22_000));
        // It has expired by all clocks, but by no block: it is remembered. Then a block says so.
        must_be_known(&mut stage, &honest, &kept, Ok(Admitted::Executed));
        stage.pay(V0);
        stage.world.run_for(ms(1_000));
        must_be_known(&mut stage, &honest, &kept, Err(Code::Expired));
        let mut other = Stage::new(4, seed + 1_000);
        must_be_known(&mut other, &ALL, &kept, Err(Code::WrongChain));
        assert_eq!(places(&stage.world, V0, &kept.id()).len(), 1, "seed {seed}");
        assert_eq!(places(&stage.world, V3, &kept.id()).len(), 1, "seed {seed}");
        assert!(places(&other.world, V0, &kept.id()).is_empty(), "seed {seed}");
        stage.must_keep_promises();
        other.must_keep_promises();
    });
}

/// What these nodes answer when a transaction is submitted to them; and some time passes.
fn must_be_known(
    stage: &mut Stage,
    nodes: &[NodeIndex],
    transaction: &SignedTransaction,
    expected: Result<Admitted, Code>,
) {
    for node in nodes {
        stage.world.submit(*node, transaction);
        let answer = stage.world.admission(*node, &transaction.id());
        assert_eq!(answer, Some(expected), "seed {}: {node}", stage.world.config().seed);
    }
    stage.world.run_for(ms(100));
}

/// One client sends far more than the chain can execute. Others are served meanwhile as if there were no flood, nobody
/// accuses the primary, and what one sender has in a pool is bounded. LV BM.
#[test]
fn flood() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::with(4, seed, |config| {
            config.parameters.batch_count_max = 5;
            (config.parameters.checkpoint_interval, config.parameters.log_window) = (8, 16);
            config.execution = (ms(10), ms(10));
        });
        for salt in 0..800 {
            let flood = payment(&stage.world, 100_000, 1_000 + salt);
            stage.world.submit(ALL[salt as usize % 4], &flood);
        }
        stage.world.run_for(ms(50));
        for turn in 0..4 {
            // Everything that is proposed already, executed or not, comes before it.
            let before = stage.world.status(V0).expect("it runs").engine.highest_slot;
            // Not alice, who is the first to pay.
            let name = ["bob", "carol", "dave", "erin"][turn];
            let (payer, payee) = (account(&stage.world, name), account(&stage.world, "heidi").address);
            let valid_until = stage.world.clock().wall() + 100_000;
            let single = transfer(stage.world.genesis().chain_id(), &payer, payee, 1, valid_until, 1);
            stage.world.submit(ALL[turn % 4], &single);
            stage.payments.push(single.id());
            stage.must_settle_within(ms(1_000));
            let waited = stage.world.executed(V0, &single.id()).expect("it is settled").0.saturating_sub(before.0);
            // While it travels the window may move on by a checkpoint interval, 8, and a few more are cut.
            assert!(waited <= 16, "seed {seed}: it waited for {waited} blocks");
        }
        assert!(stage.world.status(V0).expect("it runs").pool.count > 50, "seed {seed}: the flood is not over");
        assert_eq!(stage.view(), 0, "seed {seed}");
        stage.must_settle();
    });
}

/// Transactions as large as they may be, until their sender has its share of the pools: the rest is refused, and others
/// have room. BM.
#[test]
fn flood_of_large_transactions() {
    for_seeds(2, |seed| {
        let mut stage = Stage::new(4, seed);
        stage.world.network_mut().partition(&[V0]);
        let (alice, bob) = (account(&stage.world, "alice"), account(&stage.world, "bob").address);
        let operations: Vec<_> = (0..64).map(|_| Operation::Transfer { to: bob, code: usd(), amount: 1 }).collect();
        let mut answers = Vec::new();
        let valid_until = stage.world.clock().wall() + 100_000;
        for salt in 0..2_000 {
            let transaction = Transaction {
                chain_id: stage.world.genesis().chain_id(),
                sender: alice.address,
                valid_until,
                salt,
                operations: BoundedVec::try_from(operations.clone()).expect("64 operations"),
                memo: Default::default(),
            };
            let large = SignedTransaction::sign(transaction, &alice.key);
            stage.world.submit(V0, &large);
            answers.push(stage.world.admission(V0, &large.id()).expect("it is up"));
            if answers.last() == Some(&Err(Code::SenderQuota)) {
                break;
            }
        }
        assert_eq!(answers.last(), Some(&Err(Code::SenderQuota)), "seed {seed}: {}", answers.len());
        assert!(answers.len() > 100, "seed {seed}: its share is no trifle");
        let bytes = stage.world.status(V0).expect("it runs").pool.bytes;
        assert!(bytes <= 64 * 1024 * 1024 / 16, "seed {seed}: {bytes}");
        let second = {
            let (payer, payee) = (account(&stage.world, "carol"), account(&stage.world, "bob").address);
            transfer(stage.world.genesis().chain_id(), &payer, payee, 1, valid_until, 1)
        };
        stage.world.submit(V0, &second);
        assert_eq!(stage.world.admission(V0, &second.id()), Some(Ok(Admitted::New)), "seed {seed}");
        stage.must_keep_promises();
    });
}

/// Expired, valid too far ahead, too large, of another chain, without operations, of a stranger, unsigned: each is refused
/// with its code by every node, and no trace of it is left. BM NC.
#[test]
fn expired_far_future_oversized_malformed() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let world = &stage.world;
        let window = world.config().parameters.validity_window_ms;
        let alice = account(world, "alice");
        let resign = |change: &dyn Fn(&mut Transaction)| {
            let mut transaction = payment(world, 10_000, 5).transaction().clone();
            change(&mut transaction);
            SignedTransaction::sign(transaction, &alice.key)
        };
        let plain = payment(world, 10_000, 3);
        let stranger = {
            let (payer, valid_until) = (world.accounts().stranger(), world.clock().wall() + 10_000);
            transfer(world.genesis().chain_id(), payer, alice.address, 1, valid_until, 1)
        };
        let cases = [
            (payment(world, 0, 1), Code::Expired),
            (resign(&|transaction| transaction.valid_until = 0), Code::Expired),
            (payment(world, window, 2), Code::ValidUntilTooFar),
            (resign(&|transaction| transaction.valid_until = u64::MAX), Code::ValidUntilTooFar),
            (resign(&|transaction| transaction.chain_id = quorate_crypto::Digest::ZERO), Code::WrongChain),
            (resign(&|transaction| transaction.operations = Default::default()), Code::NoOperations),
            (SignedTransaction::new(plain.transaction().clone(), Signature::from_bytes([0; 64])), Code::BadSignature),
            (SignedTransaction::new(plain.transaction().clone(), Signature::from_bytes([255; 64])), Code::BadSignature),
            (stranger, Code::UnknownSender),
        ];
        for (transaction, code) in &cases {
            for node in ALL {
                stage.world.submit(node, transaction);
                let answer = stage.world.admission(node, &transaction.id());
                assert_eq!(answer, Some(Err(*code)), "seed {seed}: {node}");
            }
        }
        stage.world.run_for(ms(1_000));
        assert_eq!(stage.heights(), [Height(0); 4], "seed {seed}: none of it was ever proposed");
        assert!(ALL.iter().all(|node| stage.world.status(*node).unwrap().pool.count == 0), "seed {seed}");
        stage.pay_many(4, &ALL);
        stage.must_settle();
        assert_eq!(stage.view(), 0, "seed {seed}");
    });
}

/// A transaction too large for this chain. BM.
#[test]
fn oversized() {
    for_seeds(SEEDS / 4, |seed| {
        let mut world = Stage::with(4, seed, |config| config.parameters.transaction_bytes_max = 1_024).world;
        let (alice, bob) = (account(&world, "alice"), account(&world, "bob").address);
        let mut transaction = payment(&world, 10_000, 5).transaction().clone();
        let operations: Vec<_> = (0..64).map(|_| Operation::Transfer { to: bob, code: usd(), amount: 1 }).collect();
        transaction.operations = BoundedVec::try_from(operations).expect("64 operations");
        let large = SignedTransaction::sign(transaction, &alice.key);
        for node in ALL {
            world.submit(node, &large);
            assert_eq!(world.admission(node, &large.id()), Some(Err(Code::TooLarge)), "seed {seed}");
        }
    });
}

/// A transaction reaches one node only, and its gossip nobody: it is executed all the same, by its claim. LV.
#[test]
fn one_replica_only() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        let only = ALL[seed as usize % 4];
        stage.world.network_mut().partition(&[only]);
        let id = stage.pay(only);
        stage.world.run_for(ms(20));
        let knows = |node: &NodeIndex| stage.world.replica(*node).unwrap().pool().contains(&id);
        assert_eq!(ALL.iter().filter(|node| knows(node)).count(), 1, "seed {seed}: gossip was lost");
        for other in ALL.into_iter().filter(|other| *other != only) {
            stage.world.network_mut().link_mut(only, other).is_cut = false;
            stage.world.network_mut().link_mut(other, only).is_cut = false;
        }
        stage.must_settle();
        must_be_executed_once(&stage);
        must_stay_calm(&mut stage);
    });
}

/// Transactions that end so soon, or so late, that clocks within what the chain allows disagree about them, each given to
/// nodes that take them: executed or expired, and no endless change of views. LV.
#[test]
fn valid_to_some_and_invalid_to_others() {
    for_seeds(SEEDS, |seed| {
        let mut stage = Stage::new(4, seed);
        for (node, skew) in ALL.into_iter().zip([0, 900, -900, 450]) {
            stage.world.clock_mut().set_skew(node, skew);
        }
        let mut disagreed = 0;
        for turn in 0..12 {
            // By the clock of v1 it is over; by that of v2 there is time.
            let short = payment(&stage.world, 100 + 60 * turn, turn);
            let window = stage.world.config().parameters.validity_window_ms;
            let skew_max = stage.world.config().parameters.clock_skew_max_ms;
            // By the clock of v2 it ends too late for a client's door.
            let long = payment(&stage.world, window - skew_max - 500 + 60 * turn, 100 + turn);
            for transaction in [&short, &long] {
                ALL.iter().for_each(|node| stage.world.submit(*node, transaction));
                let taken = ALL.iter().filter(|node| stage.world.admission(**node, &transaction.id()).unwrap().is_ok());
                disagreed += usize::from((1..4).contains(&taken.count()));
            }
            stage.payments.push(long.id());
            stage.world.run_for(ms(20));
        }
        assert!(disagreed > 6, "seed {seed}: {disagreed}");
        stage.must_settle();
        must_stay_calm(&mut stage);
        for node in ALL {
            assert_eq!(stage.world.status(node).unwrap().pool.count, 0, "seed {seed}: nothing waits for ever");
        }
    });
}

/// From here on nobody leaves a view any more.
fn must_stay_calm(stage: &mut Stage) {
    stage.world.heal_correct(WELL);
    stage.world.run_for(ms(3_000));
    let left = noted_by_correct(&stage.world, "leaves for view");
    stage.world.run_for(ms(20_000));
    assert_eq!(noted_by_correct(&stage.world, "leaves for view"), left, "{}", stage.world.trace().tail(40));
    assert!(left <= 8, "{left} times was a view left");
    stage.must_keep_promises();
}
