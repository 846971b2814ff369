//! Microseconds per transaction of executing blocks of transfers, beside the reference cost: one signature of
//! ed25519-dalek's batch verification, which every replica pays per transaction anyhow.
//!
//! `cargo bench -p quorate-protocol --bench ledger` prints the table. Executing includes judging, the receipts' and
//! the ids' trees, and the state tree; it does not include the store's write, since the store here is in memory.

use quorate_crypto::encode::{BoundedString, BoundedVec};
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::key::{PublicKey, Signature};
use quorate_protocol::document::genesis::{GENESIS_VERSION, GenesisAsset, GenesisBalance, GenesisMember};
use quorate_protocol::document::{
    AssetCode, Batch, Body, Certificate, Genesis, Operation, Parameters, Proof, Role, Roles, Scale, SignedTransaction,
    Transaction, Validator, ValidatorSet,
};
use quorate_protocol::ledger::Ledger;
use quorate_protocol::store::{BlockCommit, MemoryStore, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};

const START: u64 = 1_700_000_000_000;
const BLOCK: usize = 1_000;
const BLOCKS: usize = 100;

fn main() {
    println!("reference: {:.2} us per signature (ed25519-dalek, batch of 1,024, distinct decoded keys)", reference());
    println!("blocks of {BLOCK} transfers, {BLOCKS} blocks each, one core");
    println!("{:>10} {:>10} {:>22} {:>22}", "accounts", "active", "execute us/tx", "receipts us/tx");
    for (accounts, active) in [(10_000, 1_000), (10_000, 10_000), (1_000_000, 1_000), (1_000_000, 1_000_000)] {
        let (execute, receipts) = run(accounts, active);
        println!("{accounts:>10} {active:>10} {execute:>22.2} {receipts:>22.2}");
    }
}

/// One signature's share of a batch.
fn reference() -> f64 {
    use ed25519_dalek::{Signer, SigningKey, verify_batch};
    let keys: Vec<SigningKey> =
        (0..1_024u32).map(|i| SigningKey::from_bytes(sha256(&i.to_le_bytes()).as_bytes())).collect();
    let messages: Vec<[u8; 250]> = (0..1_024u32).map(|i| [i as u8; 250]).collect();
    let signatures: Vec<_> = keys.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
    let verifying: Vec<_> = keys.iter().map(|key| key.verifying_key()).collect();
    let slices: Vec<&[u8]> = messages.iter().map(|message| message.as_slice()).collect();
    let times = (0..50).map(|_| {
        let start = Instant::now();
        verify_batch(&slices, &signatures, &verifying).expect("the signatures are right");
        start.elapsed()
    });
    median(times.collect()) / 1_024.0
}

/// Microseconds per transaction of executing, and of taking every receipt out of a block.
fn run(accounts: u32, active: u32) -> (f64, f64) {
    let genesis = genesis(accounts);
    let store = MemoryStore::new();
    store.initialize(&genesis).expect("memory does not fail");
    let mut ledger = Ledger::open(&genesis, &store).expect("the store is whole");
    let chain_id = genesis.chain_id();
    let (mut executing, mut proving) = (Vec::new(), Vec::new());
    for number in 0..BLOCKS {
        let bodies: Vec<Body> = (0..BLOCK).map(|i| transfer(&chain_id, active, number * BLOCK + i)).collect();
        let ids = bodies.iter().map(|body| body.id()).collect::<Vec<_>>();
        let batch = Batch { time: START + 10 * number as u64, ids: BoundedVec::try_from(ids).expect("a batch") };
        let start = Instant::now();
        let executed = ledger.execute(&store, &batch, &bodies, false).expect("memory does not fail");
        executing.push(start.elapsed());
        assert!(executed.block.positions.iter().all(|position| position.outcome.is_executed()));
        let start = Instant::now();
        let receipts = quorate_protocol::document::Receipts::new(&executed.block, Certificate::default());
        let taken = (0..BLOCK as u32).filter_map(|index| receipts.get(index)).count();
        proving.push(start.elapsed());
        assert_eq!(taken, BLOCK);
        let proof = Proof::Certificate(Certificate::default());
        let commit = BlockCommit { block: executed.block, proof, changes: executed.changes };
        store.append(&commit).expect("memory does not fail");
    }
    (median(executing) / BLOCK as f64, median(proving) / BLOCK as f64)
}

/// Microseconds. The median, since the machine may be busy with other things.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn account(index: u32) -> PublicKey {
    PublicKey::from_bytes(*sha256(&index.to_le_bytes()).as_bytes())
}

fn code() -> AssetCode {
    AssetCode::new("USD").expect("a code")
}

fn transfer(chain_id: &Digest, active: u32, number: usize) -> Body {
    // Spread over the accounts without a random number generator.
    let pick = |salt: u8| {
        let hash = sha256(&[&number.to_le_bytes()[..], &[salt]].concat());
        u32::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1], hash.as_bytes()[2], hash.as_bytes()[3]]) % active
    };
    let operation = Operation::Transfer { to: account(pick(1)), code: code(), amount: 1 };
    let transaction = Transaction {
        chain_id: *chain_id,
        sender: account(pick(0)),
        valid_until: START + 60_000,
        salt: number as u64,
        operations: BoundedVec::try_from(vec![operation]).expect("one operation"),
        memo: BoundedString::new(),
    };
    Arc::new(SignedTransaction::new(transaction, Signature::from_bytes([0; 64])))
}

fn genesis(accounts: u32) -> Genesis {
    let member = |index| GenesisMember { key: account(index), roles: Roles::of(&[Role::Issuer]) };
    let balance = |index| GenesisBalance { account: account(index), code: code(), amount: 1_000_000 };
    let validator = Validator { consensus_key: account(1 << 30), network_key: account((1 << 30) + 1) };
    Genesis {
        version: GENESIS_VERSION,
        time: START,
        parameters: Parameters::default(),
        validators: ValidatorSet::new(vec![validator]).expect("a set"),
        members: BoundedVec::try_from((0..accounts).map(member).collect::<Vec<_>>()).expect("few enough"),
        assets: BoundedVec::try_from(vec![GenesisAsset {
            code: code(),
            scale: Scale::new(2).expect("a scale"),
            issuer: account(0),
        }])
        .expect("one asset"),
        balances: BoundedVec::try_from((0..accounts).map(balance).collect::<Vec<_>>()).expect("few enough"),
    }
}
