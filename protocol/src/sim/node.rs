//! One node of a world: a disk that outlives crashes, and what runs until the next one.

use super::byzantine::Behaviour;
use super::disk::{Disk, Synced};
use super::journal::Found;
use crate::document::{Certificate, Genesis};
use crate::id::{Height, NodeIndex};
use crate::ledger::Ledger;
use crate::pbft::evidence::Evidence;
use crate::replica::{DurableState, ExecutionJob, Input, PeerMessage, Replica, ReplicaConfig};
use crate::store::StoreError;
use crate::time::{Instant, Now};
use quorate_crypto::{SecretKey, Verified};
use std::collections::VecDeque;
use std::sync::Arc;

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
    /// Why nothing is signed any more.
    pub halted: Option<String>,
    /// A write to the journal failed, or it cannot be trusted: nothing is written to it.
    pub journal_failed: bool,
    /// A job failed: the rest is not begun.
    pub executor_failed: bool,
}

/// What can be held against a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// It lies, or somebody else signs with its key.
    pub lies: bool,
    /// Its vote journal cannot be trusted; why.
    pub amnesiac: Option<String>,
    /// It has been told to stay down, or its store can no longer be read.
    pub given_up: bool,
    /// Its disk did something wrong, so that it may stop itself.
    pub may_halt: bool,
}

/// A machine that runs, or does not run, with the key of a validator.
pub(super) struct Node {
    /// Which validator it is.
    pub validator: NodeIndex,
    /// What traces call it: the validator's name, with a mark for a twin.
    pub label: String,
    pub key: SecretKey,
    pub disk: Disk,
    /// How often it was started; events of an earlier life concern nobody.
    pub life: u32,
    pub running: Option<Running>,
    pub standing: Standing,
    pub behaviour: Option<Box<dyn Behaviour>>,
    /// Every vote that left it, where the world keeps them.
    pub votes: Vec<Arc<Verified<PeerMessage>>>,
    pub evidence: Vec<Evidence>,
}

impl Node {
    pub fn new(validator: NodeIndex, label: String, key: SecretKey, disk: Disk) -> Node {
        Node {
            validator,
            label,
            key,
            disk,
            life: 0,
            running: None,
            standing: Standing::default(),
            behaviour: None,
            votes: Vec::new(),
            evidence: Vec::new(),
        }
    }

    /// Starts the process on what its disk holds, as the node's program does. What the journal is found to be comes back.
    pub fn start(&mut self, config: ReplicaConfig, genesis: &Genesis, now: Now) -> Result<Found, StoreError> {
        let ledger = Ledger::open(genesis, &self.disk.store)?;
        let interval = config.engine.checkpoint_interval;
        let mut durable = DurableState::read(&self.disk.store, None, ledger.executed().clone(), interval)?;
        let found = self.disk.open_journal(durable.low);
        durable.entries = match &found {
            Found::Whole { entries, .. } => Some(entries.clone()),
            Found::Amnesiac { .. } => None,
        };
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
            journal_failed: false,
            executor_failed: false,
        });
        Ok(found)
    }
}
