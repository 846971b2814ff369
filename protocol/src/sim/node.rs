//! One node of a world: a disk that outlives crashes, and what runs until the next one.

use super::disk::{Disk, Synced};
use crate::document::{Certificate, Genesis};
use crate::id::Height;
use crate::ledger::{Executed, Ledger};
use crate::pbft::message::Content;
use crate::replica::{DurableState, ExecutionJob, ExecutionResult, Input, Replica, ReplicaConfig};
use crate::store::{BlockCommit, Store, StoreError};
use crate::time::{Instant, Now};
use quorate_crypto::SecretKey;
use std::collections::VecDeque;

/// What the executor of a node has to do, in this order.
#[derive(Debug)]
pub(super) enum Job {
    Block(Box<ExecutionJob>),
    Certify { height: Height, certificate: Certificate, anchor: bool },
}

/// A running process.
pub(super) struct Running {
    pub replica: Replica,
    pub ledger: Ledger,
    pub jobs: VecDeque<Job>,
    /// Whether an event for the first of the jobs is under way.
    pub executing: bool,
    /// What the executor has done, and the replica has not heard of yet; it hears of it in this order.
    pub reports: VecDeque<Input>,
    /// Journal writes that are synced and whose votes have not left yet.
    pub synced: VecDeque<Synced>,
    /// The replica's next deadline, as an event knows it.
    pub alarm: Option<Instant>,
    /// Why the replica stopped itself.
    pub halted: Option<String>,
}

/// A node.
pub(super) struct Node {
    pub key: SecretKey,
    pub disk: Disk,
    /// How often it was started; events of an earlier life concern nobody.
    pub life: u32,
    pub running: Option<Running>,
}

impl Node {
    /// Starts the process on what its disk holds.
    pub fn start(&mut self, config: ReplicaConfig, genesis: &Genesis, now: Now) -> Result<(), StoreError> {
        let ledger = Ledger::open(genesis, &self.disk.store)?;
        let interval = config.engine.checkpoint_interval;
        let entries = Some(self.disk.journal().to_vec());
        let durable = DurableState::read(&self.disk.store, entries, ledger.executed().clone(), interval)?;
        self.life += 1;
        self.running = Some(Running {
            replica: Replica::recover(config, self.key.clone(), durable, now),
            ledger,
            jobs: VecDeque::new(),
            executing: false,
            reports: VecDeque::new(),
            synced: VecDeque::new(),
            alarm: None,
            halted: None,
        });
        Ok(())
    }
}

/// Executes a job and makes its block durable, unless a certificate names another header.
pub(super) fn execute(
    ledger: &mut Ledger,
    store: &dyn Store,
    job: ExecutionJob,
) -> Result<(ExecutionResult, BlockCommit), StoreError> {
    let (batch, is_null) = match job.content {
        Content::Null => (Default::default(), true),
        Content::Batch(batch) => (batch, false),
    };
    let Executed { block, changes } = ledger.execute(store, &batch, &job.bodies, is_null)?;
    let header_hash = block.header.hash();
    if job.expected.is_some_and(|expected| expected != header_hash) {
        let detail = format!("block {} has header {header_hash}, and a quorum certified another", job.height);
        return Err(StoreError::corrupt("state", detail));
    }
    let result = ExecutionResult {
        header: block.header.clone(),
        header_hash,
        positions: block.positions.clone(),
        valid_untils: block.bodies.iter().map(|body| body.valid_until()).collect(),
    };
    let commit = BlockCommit { block, proof: job.proof, changes };
    store.append(&commit)?;
    Ok((result, commit))
}
