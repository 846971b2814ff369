//! The executor: the ledger's only owner and the chain store's only writer.
//!
//! Blocks come in order and without gaps. A block is executed, written in one synced batch, and only then reported. After an
//! error nothing more is executed: the ledger in memory may be ahead of the disk, and only a restart reads it anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use quorate_protocol::document::{Batch, Certificate, Header, Position};
use quorate_protocol::id::{Height, TransactionId};
use quorate_protocol::ledger::Ledger;
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::pbft::message::Content;
use quorate_protocol::pbft::output::Divergence;
use quorate_protocol::replica::{ExecutionJob, ExecutionResult, Input};
use quorate_protocol::store::{BlockCommit, Store, StoreError};
use quorate_protocol::time::UnixMillis;
use tracing::{debug, warn};

use crate::certified::Certified;
use crate::fault::Fault;
use crate::halt::Halt;
use crate::inbox::Inbox;
use crate::members::Members;
use crate::telemetry::Counters;
use crate::threads::spawn;
use crate::waiters::Waiters;

/// Jobs that may wait. A replica asks for at most a window of blocks and their certificates; beyond that the pump waits.
const JOBS_MAX: usize = 1_024;
/// Executed blocks that are remembered until their certificate comes; older ones are read from the store.
const UNCERTIFIED_MAX: usize = 256;

/// One request to the executor.
#[derive(Debug)]
pub enum ExecuteJob {
    /// Execute and sync a block.
    Block(Box<ExecutionJob>),
    /// Keep a block's certificate.
    Certify {
        /// Its height.
        height: Height,
        /// The certificate.
        certificate: Certificate,
        /// Sync it, and answer.
        anchor: bool,
    },
    /// Keep two messages that exclude each other.
    Evidence(Box<Evidence>),
}

/// What the executor needs beside the ledger.
pub struct Surroundings {
    /// The chain.
    pub store: Arc<dyn Store>,
    /// Where answers go.
    pub inbox: Arc<Inbox>,
    /// Told of changed members.
    pub members: Arc<Members>,
    /// Told of certified blocks.
    pub waiters: Arc<Waiters>,
    /// Told how far the chain is certified.
    pub certified: Arc<Certified>,
    /// Told what was executed.
    pub counters: Arc<Counters>,
    /// Told of errors.
    pub halt: Arc<Halt>,
}

/// What is needed of a block once its certificate comes.
struct Settled {
    time: UnixMillis,
    positions: Vec<(u32, Position)>,
}

/// See the module.
pub struct Executor {
    ledger: Ledger,
    around: Surroundings,
    uncertified: BTreeMap<Height, Settled>,
    failed: bool,
    /// The header that a certificate contradicts.
    diverged: Option<Box<Header>>,
    stopping: Arc<AtomicBool>,
}

impl Executor {
    /// Starts the thread; it ends when the sender is dropped. Once `stopping` is set it finishes the job at hand and
    /// skips the rest: they are executed again after the next start.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        ledger: Ledger,
        around: Surroundings,
        stopping: &Arc<AtomicBool>,
    ) -> std::io::Result<(SyncSender<ExecuteJob>, JoinHandle<()>)> {
        let (sender, jobs) = sync_channel(JOBS_MAX);
        let halt = Arc::clone(&around.halt);
        let stopping = Arc::clone(stopping);
        let mut executor =
            Executor { ledger, around, uncertified: BTreeMap::new(), failed: false, diverged: None, stopping };
        let thread = spawn("execute", &halt, move || executor.run(&jobs))?;
        Ok((sender, thread))
    }

    fn run(&mut self, jobs: &Receiver<ExecuteJob>) {
        while let Ok(job) = jobs.recv() {
            if self.failed || self.stopping.load(Ordering::Relaxed) {
                continue;
            }
            let done = match job {
                ExecuteJob::Block(job) => self.on_block(*job),
                ExecuteJob::Certify { height, certificate, anchor } => self.certify(height, &certificate, anchor),
                ExecuteJob::Evidence(evidence) => self.keep(&evidence),
            };
            if let Err(error) = done {
                self.failed = true;
                self.tell(&error);
                self.around.inbox.answer(Input::Executed(Err(error)));
            }
        }
    }

    /// Says why signing stops, and whether the store has to be made anew.
    fn tell(&mut self, error: &StoreError) {
        let halt = &self.around.halt;
        match error {
            StoreError::Diverged { height, own, certified } => {
                let divergence = Divergence { height: *height, own: *own, certified: *certified };
                halt.raise(Fault::Diverged { divergence, header: self.diverged.take() });
            }
            StoreError::Corrupt { .. } => halt.raise(Fault::Damaged(error.to_string())),
            _ => halt.set(&error.to_string()),
        }
    }

    fn on_block(&mut self, job: ExecutionJob) -> Result<(), StoreError> {
        let height = job.height;
        let result = self.execute(job)?;
        self.remember(height, &result);
        debug!(%height, transactions = result.positions.len(), "executed");
        self.around.inbox.answer(Input::Executed(Ok(Box::new(result))));
        Ok(())
    }

    /// Executes, compares with what a certificate says, and writes.
    fn execute(&mut self, job: ExecutionJob) -> Result<ExecutionResult, StoreError> {
        let (batch, null) = match job.content {
            Content::Null => (Batch::default(), true),
            Content::Batch(batch) => (batch, false),
        };
        let store = &self.around.store;
        let executed = self.ledger.execute(store.as_ref(), &batch, &job.bodies, null)?;
        let header = executed.block.header.clone();
        let header_hash = header.hash();
        if let Some(certified) = job.expected.filter(|certified| *certified != header_hash) {
            // This node computes something else than a quorum: it must not write it, let alone sign it.
            self.diverged = Some(Box::new(header));
            return Err(StoreError::Diverged { height: job.height, own: header_hash, certified });
        }
        let result = ExecutionResult {
            header,
            header_hash,
            positions: executed.block.positions.clone(),
            valid_untils: executed.block.bodies.iter().map(|body| body.valid_until()).collect(),
        };
        let commit = BlockCommit { block: executed.block, proof: job.proof, changes: executed.changes };
        let start = Instant::now();
        store.append(&commit)?;
        self.around.counters.metrics.executed(&result.positions, start.elapsed());
        self.around.certified.executed(job.height)?;
        self.around.members.changed(commit.changes.iter());
        Ok(result)
    }

    fn remember(&mut self, height: Height, result: &ExecutionResult) {
        if self.uncertified.len() >= UNCERTIFIED_MAX {
            self.uncertified.pop_first();
        }
        let positions = executed_positions(&result.positions);
        self.uncertified.insert(height, Settled { time: result.header.time, positions });
    }

    /// Keeps evidence, and says so once, however often it is found.
    fn keep(&self, evidence: &Evidence) -> Result<(), StoreError> {
        if self.around.store.put_evidence(evidence)? {
            let (validator, kind, place) = (evidence.accused(), evidence.kind(), evidence.place());
            warn!(%validator, kind = kind.as_str(), ?place, "evidence: a validator signed two things that exclude each other");
        }
        Ok(())
    }

    fn certify(&mut self, height: Height, certificate: &Certificate, anchor: bool) -> Result<(), StoreError> {
        let store = &self.around.store;
        store.certify(height, certificate)?;
        self.around.certified.certified()?;
        if anchor {
            store.sync()?;
            self.around.inbox.answer(Input::Anchored(height));
        }
        let settled = match self.uncertified.remove(&height) {
            Some(settled) => settled,
            None => read_settled(store.as_ref(), height)?,
        };
        let is_executed = |id: &TransactionId| matches!(store.transaction(id), Ok(Some(_)) | Err(_));
        self.around.waiters.certified(height, settled.positions.into_iter(), settled.time, is_executed);
        Ok(())
    }
}

/// The applied and failed positions, with their places.
fn executed_positions(positions: &[Position]) -> Vec<(u32, Position)> {
    (0..).zip(positions.iter().copied()).filter(|(_, position)| position.outcome.is_executed()).collect()
}

fn read_settled(store: &dyn Store, height: Height) -> Result<Settled, StoreError> {
    let missing = || StoreError::corrupt("blocks", format!("block {height} was executed, and it is not there"));
    let block = store.block(height)?.ok_or_else(missing)?;
    Ok(Settled { time: block.header.time, positions: executed_positions(&block.positions) })
}
