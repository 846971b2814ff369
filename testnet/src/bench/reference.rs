//! What the machine's signatures, syncs and wake-ups cost, measured in the same run as what they are compared with.

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, SeekFrom, Write};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey, verify_batch};

use crate::directory::Directory;

/// Signatures in one batch of the reference.
const REFERENCE_BATCH: usize = 1_024;
/// How often the reference is measured; the median counts. Half a second: shared machines change within one.
const REFERENCE_RUNS: usize = 49;
/// How often a sync is measured; the median counts.
const SYNC_RUNS: usize = 51;
/// How often a wake-up is measured; the median counts.
const WAKE_RUNS: usize = 2_001;

/// Microseconds per signature on one core: the median of some runs of ed25519-dalek's own batch verification.
pub fn reference_micros() -> f64 {
    let keys: Vec<SigningKey> = (0..REFERENCE_BATCH)
        .map(|index| {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&(index as u64).to_le_bytes());
            SigningKey::from_bytes(&seed)
        })
        .collect();
    let messages: Vec<Vec<u8>> = (0..REFERENCE_BATCH).map(|index| vec![index as u8; 200]).collect();
    let signatures: Vec<Signature> = keys.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
    let public: Vec<VerifyingKey> = keys.iter().map(SigningKey::verifying_key).collect();
    let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut runs: Vec<f64> = (0..REFERENCE_RUNS)
        .map(|_| {
            let begin = Instant::now();
            black_box(verify_batch(&slices, &signatures, &public).is_ok());
            begin.elapsed().as_secs_f64() * 1e6 / REFERENCE_BATCH as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[REFERENCE_RUNS / 2]
}

/// Microseconds until a thread that another one wakes runs: half of the median round trip between two. A message between nodes wakes
/// half a dozen, one after the other, so that on an idle testnet most of the latency is made of these.
pub fn wake_micros() -> f64 {
    let (there, questions) = sync_channel::<()>(0);
    let (back, answers) = sync_channel::<()>(0);
    let mut runs: Vec<f64> = thread::scope(|scope| {
        scope.spawn(move || questions.iter().take_while(|()| back.send(()).is_ok()).count());
        let round = || {
            let begin = Instant::now();
            there.send(()).ok()?;
            answers.recv().ok()?;
            Some(begin.elapsed().as_secs_f64() * 1e6 / 2.0)
        };
        let runs = (0..WAKE_RUNS).map_while(|_| round()).collect();
        drop(there);
        runs
    });
    runs.sort_by(f64::total_cmp);
    runs.get(runs.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Milliseconds of one sync of 4 KiB in place, the median of some; NaN where the directory cannot be written.
pub fn sync_millis(directory: &Directory) -> f64 {
    let path = directory.path().join("sync.probe");
    let measure = || -> std::io::Result<f64> {
        let mut file = File::create(&path)?;
        file.write_all(&[0; 4096])?;
        file.sync_all()?;
        let mut runs = Vec::new();
        for _ in 0..SYNC_RUNS {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&[1; 4096])?;
            let begin = Instant::now();
            file.sync_data()?;
            runs.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        runs.sort_by(f64::total_cmp);
        Ok(runs[SYNC_RUNS / 2])
    };
    let millis = measure().unwrap_or(f64::NAN);
    // A probe that cannot be removed does no harm.
    drop(std::fs::remove_file(&path));
    millis
}
