//! Microseconds per transaction for the state root: blocks of 1,000 transactions that each change two of the accounts, their
//! buckets held in memory, with 10 thousand and with 1 million accounts; beside it the reference of the whole project,
//! ed25519-dalek's batch of 1,024 signatures with decoded distinct keys.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use quorate_crypto::sparse::{Bucket, Leaves, SparseTree};
use quorate_crypto::{Digest, SecretKey, digest};

const ACCOUNTS: [u64; 2] = [10_000, 1_000_000];
const TRANSACTIONS_PER_BLOCK: u64 = 1_000;
const KEYS_PER_TRANSACTION: u64 = 2;
const BLOCKS: u64 = 200;
/// Of an encoded balance, about.
const VALUE_BYTES: usize = 48;

fn main() {
    println!("{:<52} {:>8.2} us", "reference: ed25519-dalek, per signature of 1024", reference_micros());
    for accounts in ACCOUNTS {
        let mut state = State::new(accounts);
        let mut micros: Vec<f64> = (0..BLOCKS).map(|block| state.block_micros(block)).collect();
        micros.sort_by(f64::total_cmp);
        let median = micros[micros.len() / 2] / TRANSACTIONS_PER_BLOCK as f64;
        println!("{:<52} {median:>8.2} us", format!("state root, per transaction, {accounts} accounts"));
    }
}

/// Accounts in their buckets, as a node's cache would hold them.
struct State {
    accounts: u64,
    buckets: Vec<Leaves>,
    tree: SparseTree,
}

impl State {
    fn new(accounts: u64) -> Self {
        let mut buckets = vec![Leaves::new(); 1 << quorate_crypto::sparse::BUCKET_BITS];
        for account in 0..accounts {
            let key_hash = key_hash(account);
            buckets[Bucket::of(&key_hash).index() as usize].push((key_hash, vec![0; VALUE_BYTES]));
        }
        let mut tree = SparseTree::new();
        for leaves in buckets.iter_mut().filter(|leaves| !leaves.is_empty()) {
            leaves.sort();
            tree.set_bucket(Bucket::of(&leaves[0].0), leaves);
        }
        tree.commit();
        Self { accounts, buckets, tree }
    }

    /// The time that one block takes; which keys it changes is drawn before, as execution does it anyway.
    fn block_micros(&mut self, block: u64) -> f64 {
        let mut changes: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
        for change in 0..TRANSACTIONS_PER_BLOCK * KEYS_PER_TRANSACTION {
            let draw = digest("bench/draw", &(block, change));
            let account = u64::from_le_bytes(draw.as_bytes()[..8].try_into().expect("8 bytes")) % self.accounts;
            changes.insert(key_hash(account), vec![draw.as_bytes()[8]; VALUE_BYTES]);
        }
        let start = Instant::now();
        self.apply(changes);
        black_box(self.tree.commit());
        start.elapsed().as_secs_f64() * 1e6
    }

    fn apply(&mut self, changes: BTreeMap<Digest, Vec<u8>>) {
        let mut changes = changes.into_iter().peekable();
        while let Some((first, value)) = changes.next() {
            let bucket = Bucket::of(&first);
            let leaves = &mut self.buckets[bucket.index() as usize];
            replace(leaves, first, value);
            while let Some((key_hash, value)) = changes.next_if(|(key_hash, _)| Bucket::of(key_hash) == bucket) {
                replace(leaves, key_hash, value);
            }
            self.tree.set_bucket(bucket, leaves);
        }
    }
}

fn replace(leaves: &mut Leaves, key_hash: Digest, value: Vec<u8>) {
    let index = leaves.binary_search_by_key(&key_hash, |(key_hash, _)| *key_hash).expect("every account exists");
    leaves[index].1 = value;
}

fn key_hash(account: u64) -> Digest {
    digest("bench/account", &account)
}

/// Microseconds per signature of the reference batch, the median of some runs.
fn reference_micros() -> f64 {
    use ed25519_dalek::{Signature, VerifyingKey, verify_batch};
    let keys: Vec<SecretKey> = (0..1024u64).map(|number| SecretKey::from_seed(*key_hash(number).as_bytes())).collect();
    let messages = vec![&[1; 200][..]; keys.len()];
    let signatures: Vec<_> = keys.iter().map(|key| Signature::from_bytes(key.sign(messages[0]).as_bytes())).collect();
    let decode = |key: &SecretKey| VerifyingKey::from_bytes(key.public_key().as_bytes()).expect("a key decodes");
    let keys: Vec<VerifyingKey> = keys.iter().map(decode).collect();
    let mut micros: Vec<f64> = (0..25)
        .map(|_| {
            let start = Instant::now();
            assert!(verify_batch(&messages, &signatures, &keys).is_ok());
            start.elapsed().as_secs_f64() * 1e6 / keys.len() as f64
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    micros[micros.len() / 2]
}
