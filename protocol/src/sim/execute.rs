//! The executor of each node: blocks in their order, each durable before it is reported.

use super::describe;
use super::event::Event;
use super::invariants::Observation;
use super::node::{Job, Node};
use super::world::World;
use crate::document::{Block, Certificate};
use crate::id::{Height, NodeIndex};
use crate::ledger::{Executed, Ledger};
use crate::pbft::message::Content;
use crate::replica::{ExecutionJob, ExecutionResult, Input};
use crate::store::{BlockCommit, Store, StoreError};
use std::time::Duration;

/// A certificate is one small write, however long a block takes.
const CERTIFY_MAX: Duration = Duration::from_micros(500);

impl World {
    pub(super) fn enqueue(&mut self, node: NodeIndex, job: Job) {
        if let Some(running) = self.running_mut(node) {
            running.jobs.push_back(job);
        }
        self.begin_job(node);
    }

    fn begin_job(&mut self, node: NodeIndex) {
        let Some(running) = self.running_mut(node) else { return };
        if !running.executing && !running.executor_failed && !running.jobs.is_empty() {
            running.executing = true;
            let is_certificate = matches!(running.jobs.front(), Some(Job::Certify { .. }));
            let (delay, life) = (self.draw(self.config.execution), self.node(node).life);
            let delay = if is_certificate { delay.min(CERTIFY_MAX) } else { delay };
            self.schedule(delay, Event::Executed { node, life });
        }
    }

    /// The first job of a node's executor is done, and durable where it must be. A crash may still come before the
    /// replica hears of it. After an error nothing more is done.
    pub(super) fn on_job(&mut self, node: NodeIndex) {
        let Some(job) = self.running_mut(node).and_then(|running| running.jobs.pop_front()) else { return };
        let done = match job {
            Job::Block(job) => self.execute(node, *job),
            Job::Certify { height, certificate, anchor } => self.certify(node, height, &certificate, anchor),
        };
        if let Some(running) = self.running_mut(node) {
            running.executing = false;
            running.executor_failed = done.is_err();
        }
        if let Err(error) = done {
            return self.report(node, Input::Executed(Err(error)));
        }
        self.begin_job(node);
    }

    fn execute(&mut self, node: NodeIndex, job: ExecutionJob) -> Result<(), StoreError> {
        let Node { disk, running: Some(running), .. } = &mut self.nodes[node.as_usize()] else { return Ok(()) };
        let (result, commit) = execute(&mut running.ledger, &disk.store, job)?;
        let text = describe::block(&commit.block);
        self.note(node, format_args!("executes {text}"));
        self.on_block(node, &commit.block);
        self.report(node, Input::Executed(Ok(Box::new(result))));
        Ok(())
    }

    fn certify(
        &mut self,
        node: NodeIndex,
        height: Height,
        certificate: &Certificate,
        anchor: bool,
    ) -> Result<(), StoreError> {
        let store = &self.node(node).disk.store;
        store.certify(height, certificate)?;
        if anchor {
            store.sync()?;
            self.report(node, Input::Anchored(height));
        }
        self.on_certified(node, height);
        Ok(())
    }

    /// The replica will hear of something that the executor has done.
    fn report(&mut self, node: NodeIndex, report: Input) {
        let (delay, life) = (self.draw(self.config.release), self.node(node).life);
        if let Some(running) = self.running_mut(node) {
            running.reports.push_back(report);
        }
        self.schedule(delay, Event::Reported { node, life });
    }

    fn on_block(&mut self, node: NodeIndex, block: &Block) {
        if self.is_lying(node) {
            return;
        }
        let executed = Observation::Executed { node, block, store: &self.nodes[node.as_usize()].disk.store };
        let broken = self.watch.show(executed);
        self.break_promise(broken);
    }

    fn on_certified(&mut self, node: NodeIndex, height: Height) {
        let header_hash = self.header(node, height).expect("a certified block is there").hash();
        self.note(node, format_args!("holds the certificate of height {height}"));
        if !self.is_lying(node) {
            self.observe(Observation::Certified { node, height, header_hash });
        }
    }
}

/// Executes a job and makes its block durable, unless a certificate names another header.
fn execute(
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
