//! One direction of one connection through a proxy: bytes wait inside, in order and within a bound, until they are due.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::conditions::{Direction, STALL, Settings};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 16 << 10;
/// Bytes that wait in one direction of one connection; beyond them the sender feels a full socket.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// What a chunk counts at least, in bytes: its own upkeep.
const CHUNK_COST_MIN: usize = 256;

/// A chunk of bytes on its way.
struct Chunk {
    bytes: Vec<u8>,
    read_at: Instant,
    /// Random numbers from 0 to 1: which part of the jitter it suffers, and whether it stalls.
    jitter: f64,
    stall: f64,
    _place: OwnedSemaphorePermit,
}

/// The chunk that left last.
struct Sent {
    bytes: usize,
    at: Instant,
}

/// One direction of one connection.
pub(crate) struct Pipe<'a> {
    /// Which one.
    pub direction: Direction,
    /// What happens to it.
    pub settings: watch::Receiver<Settings>,
    /// Bytes that were delivered.
    pub counter: &'a AtomicU64,
}

impl Pipe<'_> {
    /// Moves bytes until the source ends; then the sink is ended too, after everything that waited.
    pub async fn run(self, source: OwnedReadHalf, sink: OwnedWriteHalf) -> io::Result<()> {
        let (sender, chunks) = mpsc::channel(WAITING_BYTES_MAX / CHUNK_COST_MIN);
        tokio::try_join!(read(source, sender), self.write(chunks, sink)).map(drop)
    }

    async fn write(mut self, mut chunks: mpsc::Receiver<Chunk>, mut sink: OwnedWriteHalf) -> io::Result<()> {
        let mut last = Sent { bytes: 0, at: Instant::now() };
        while let Some(chunk) = chunks.recv().await {
            self.wait(&chunk, &last).await;
            last = Sent { bytes: chunk.bytes.len(), at: Instant::now() };
            sink.write_all(&chunk.bytes).await?;
            self.counter.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        }
        self.wait_for_release().await;
        sink.shutdown().await
    }

    /// Waits until a chunk may pass under the conditions, which may change meanwhile.
    async fn wait(&mut self, chunk: &Chunk, last: &Sent) {
        loop {
            let conditions = self.settings.borrow_and_update().conditions(self.direction);
            let stalls = chunk.stall < f64::from(conditions.stall_permille) / 1000.0;
            let delay = conditions.latency
                + conditions.jitter.mul_f64(chunk.jitter)
                + if stalls { STALL } else { Duration::ZERO };
            let due = (last.at + time_on_the_wire(last.bytes, conditions.bandwidth)).max(chunk.read_at + delay);
            if !conditions.held && due <= Instant::now() {
                return;
            }
            tokio::select! {
                // Without its proxy the connection is being cut; nothing is left to wait for but that.
                changed = self.settings.changed() => if changed.is_err() { std::future::pending().await },
                () = sleep_until(due), if !conditions.held => {}
            }
        }
    }

    /// The end of a stream waits for the end of a hold like bytes do.
    async fn wait_for_release(&mut self) {
        let direction = self.direction;
        let _ = self.settings.wait_for(|now| !now.conditions(direction).held).await;
    }
}

/// Reads until the source ends. A broken source ends as well: a hold holds back the news of it like everything else.
async fn read(mut source: OwnedReadHalf, chunks: mpsc::Sender<Chunk>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let count = source.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        let read_at = Instant::now();
        // At most `CHUNK_BYTES`.
        let cost = count.max(CHUNK_COST_MIN) as u32;
        let Ok(place) = Arc::clone(&places).acquire_many_owned(cost).await else { return Ok(()) };
        let (jitter, stall) = (random_share(), random_share());
        let chunk = Chunk { bytes: buffer[..count].to_vec(), read_at, jitter, stall, _place: place };
        if chunks.send(chunk).await.is_err() {
            return Ok(());
        }
    }
}

fn time_on_the_wire(bytes: usize, bandwidth: Option<u64>) -> Duration {
    match bandwidth {
        Some(bandwidth) => Duration::from_secs_f64(bytes as f64 / bandwidth.max(1) as f64),
        None => Duration::ZERO,
    }
}

/// A random number from 0 to below 1; 0.5 if the system has no randomness, which only makes delays regular.
fn random_share() -> f64 {
    f64::from(getrandom::u32().unwrap_or(1 << 31)) / (f64::from(u32::MAX) + 1.0)
}
