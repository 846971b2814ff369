//! What every handler can reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use quorate_protocol::document::{Genesis, ValidatorSet};
use quorate_protocol::id::{ChainId, NodeIndex};
use quorate_protocol::replica::ReplicaStatus;
use quorate_protocol::store::Store;
use tokio::sync::{Semaphore, oneshot};

use super::access::Access;
use super::load::Load;
use super::problem::Refusal;
use crate::certified::Certified;
use crate::clock::Clock;
use crate::event_blocks::EventBlocks;
use crate::halt::Halt;
use crate::inbox::{Inbox, Question};
use crate::network::NetworkHandle;
use crate::receipts::Receipts;
use crate::telemetry::Counters;
use crate::verify::VerifyQueue;
use crate::waiters::Waiters;
use quorate_protocol::api::Code;

/// Who this node is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its place in the validator set.
    pub index: NodeIndex,
    /// The chain.
    pub chain_id: ChainId,
    /// Why it casts no votes although it is a validator, where its vote journal cannot be trusted.
    pub amnesiac: Option<String>,
}

/// What the API answers from.
pub struct Api {
    /// Who this node is.
    pub identity: Identity,
    /// The genesis.
    pub genesis: Arc<Genesis>,
    /// The genesis as JSON.
    pub genesis_json: Bytes,
    /// The chain.
    pub store: Arc<dyn Store>,
    /// Receipts from it.
    pub receipts: Receipts,
    /// The way to the replica.
    pub inbox: Arc<Inbox>,
    /// The way in for transactions.
    pub verify: Arc<VerifyQueue>,
    /// Clients that wait.
    pub waiters: Arc<Waiters>,
    /// Why signing stopped, if it did.
    pub halt: Arc<Halt>,
    /// Links to peers.
    pub network: NetworkHandle,
    /// Counts of what is dropped.
    pub counters: Arc<Counters>,
    /// What may still be taken into work.
    pub load: Arc<Load>,
    /// By how many milliseconds the clock is wrong on purpose.
    pub clock_offset: i64,
    /// How far the chain is certified.
    pub certified: Arc<Certified>,
    /// Blocks as events.
    pub event_blocks: EventBlocks,
    /// Streams of events that may still be opened.
    pub event_streams: Arc<Semaphore>,
    /// How many there may be.
    pub event_streams_max: usize,
    /// Lists of blocks that may still be read at once.
    pub page_readers: Arc<Semaphore>,
    /// This node's clock.
    pub clock: Clock,
    /// Where the other validators are configured to be.
    pub addresses: BTreeMap<NodeIndex, String>,
    /// Who may ask.
    pub access: Access,
}

/// Lists of blocks that are read at once.
pub(crate) const PAGE_READERS_MAX: usize = 2;

impl Api {
    /// The validators in force.
    pub(super) fn validators(&self) -> &ValidatorSet {
        &self.genesis.validators
    }

    /// Asks the replica how it stands.
    pub(super) async fn replica_status(&self) -> Result<ReplicaStatus, Refusal> {
        let (sender, answer) = oneshot::channel();
        self.ask(Question::Status(sender), answer).await
    }

    /// Asks the replica something.
    pub(super) async fn ask<T>(&self, question: Question, answer: oneshot::Receiver<T>) -> Result<T, Refusal> {
        let busy = || Refusal::new(Code::Overloaded, "the replica has too many questions waiting, or is stopping");
        self.inbox.ask(question).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())
    }
}
