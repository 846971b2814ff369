//! What the disk costs: syncs, the vote journal, a block.
//!
//! Microseconds, medians and 99th percentiles. The first line is the yardstick of the whole project, what verifying a
//! signature costs at least (ed25519-dalek's batch of 1,024 with decoded keys), measured in the same run: what a transaction costs
//! here has to be small beside it.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use borsh::{BorshDeserialize, BorshSerialize};
use common::*;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use quorate_crypto::hash::sha256;
use quorate_protocol::store::{BlockCommit, Head, Store};
use quorate_storage::files::{Directory, Files};
use quorate_storage::journal::{Journal, Options, Payload, Recovered};
use quorate_storage::rocks::{RocksStore, StoreOptions};

const BLOCKS: u64 = 200;
const TRANSFERS: u64 = 1_000;
const ACCOUNTS: u64 = 10_000;
/// Of a signed transfer.
const TRANSFER_BYTES: usize = 256;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    println!("signature, batch of 1,024:          {:8.2} us each", reference_cost());
    let file = directory.path().join("file");
    print("fdatasync, file that grows", &mut syncs(&file, false));
    print("fdatasync, file overwritten", &mut syncs(&file, true));
    journal(directory.path());
    blocks(directory.path());
}

/// Microseconds per signature of ed25519-dalek's batch of 1,024 with distinct decoded keys, the best of ten.
fn reference_cost() -> f64 {
    let keys: Vec<_> = (0..1_024_u64).map(|number| SigningKey::from_bytes(&seed(number))).collect();
    let messages: Vec<[u8; 200]> = (0..1_024).map(|number| [number as u8; 200]).collect();
    let signatures: Vec<_> = keys.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
    let decoded: Vec<VerifyingKey> = keys.iter().map(SigningKey::verifying_key).collect();
    let slices: Vec<&[u8]> = messages.iter().map(|message| message.as_slice()).collect();
    let measure = |_| {
        let start = Instant::now();
        ed25519_dalek::verify_batch(&slices, &signatures, &decoded).expect("good signatures");
        start.elapsed()
    };
    let best = (0..10).map(measure).min().expect("ten runs");
    best.as_secs_f64() * 1e6 / 1_024.0
}

fn seed(number: u64) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

/// Writes of a page each, each synced.
fn syncs(path: &Path, filled: bool) -> Vec<Duration> {
    const COUNT: u64 = 300;
    let page = [7; 4096];
    let file: File = OpenOptions::new().create(true).truncate(true).write(true).open(path).expect("a file");
    let round = || {
        let sync = |at: u64| {
            let start = Instant::now();
            file.write_all_at(&page, at * 4096).expect("a write");
            file.sync_data().expect("a sync");
            start.elapsed()
        };
        (0..COUNT).map(sync).collect()
    };
    let growing = round();
    if filled { round() } else { growing }
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e6;
    println!("{what:<35} {:8.0} us, 99 %: {:.0} us", at(50), at(99));
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Vote(u64, Vec<u8>);

impl Payload for Vote {
    fn sequence(&self) -> Option<u64> {
        Some(self.0)
    }
}

fn journal(parent: &Path) {
    let directory = Directory::new(parent.join("journal"));
    directory.make().expect("a directory");
    let files: Arc<dyn Files> = Arc::new(directory);
    let key = sha256(b"key");
    Journal::<Vote>::create(files.clone(), key, &[], Options::default()).expect("a journal");
    let Ok(Recovered::Whole { mut journal, .. }) = Journal::open(files, key, 0, Options::default()) else {
        panic!("the journal is whole")
    };
    let mut sequence = 0;
    // The first round makes the files that the later ones use again.
    for round in ["first", "later"] {
        for (what, count, bytes) in
            [("1 vote", 1, 300), ("64 votes", 64, 300), ("a batch of 1,000 bodies", 1, 1_000 * TRANSFER_BYTES)]
        {
            let mut times: Vec<Duration> = (0..200)
                .map(|_| {
                    sequence += 1;
                    let group: Vec<Vote> = (0..count).map(|_| Vote(sequence, vec![5; bytes])).collect();
                    let start = Instant::now();
                    journal.append(&group).expect("an append");
                    let time = start.elapsed();
                    journal.trim(sequence.saturating_sub(64), &[]).expect("a trim");
                    time
                })
                .collect();
            print(&format!("journal, {what} ({round})"), &mut times);
        }
    }
}

fn blocks(parent: &Path) {
    let store = RocksStore::open(&parent.join("chain"), StoreOptions::default()).expect("a store");
    store.initialize(&genesis(0)).expect("a genesis");
    let mut head = store.head().expect("a head").expect("a head");
    let accounts: Vec<_> = (0..ACCOUNTS).map(account).collect();
    let mut times = Vec::new();
    let mut processor = Duration::ZERO;
    for number in 0..BLOCKS {
        let commit = transfers(&head, &accounts, number);
        let header = commit.block.header.clone();
        head = Head { height: header.height, header_hash: header.hash(), header };
        let (before, start) = (processor_time(), Instant::now());
        store.append(&commit).expect("an append");
        times.push(start.elapsed());
        processor += processor_time().saturating_sub(before);
    }
    let total: Duration = times.iter().sum();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / (BLOCKS * TRANSFERS) as f64;
    print("block of 1,000 transfers", &mut times);
    println!("block, per transfer                 {:8.2} us, of the processor {:.2} us", each(total), each(processor));
}

/// A block of transfers between accounts, each of which changes two balances.
fn transfers(head: &Head, accounts: &[quorate_crypto::key::PublicKey], number: u64) -> BlockCommit {
    let first = number * TRANSFERS;
    let bodies = (first..first + TRANSFERS).map(|salt| body(head.header.chain_id, salt % 1_000, salt)).collect();
    let touched = (0..2 * TRANSFERS).map(|place| (first * 7 + place * 3) % ACCOUNTS);
    let change =
        |account: u64| set_balance(&accounts[account as usize], "USD", u128::from(first + account), number < 10);
    block_on(head, bodies, changes(touched.map(change)))
}

/// Time of all threads of this process, in steps of 10 ms.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
