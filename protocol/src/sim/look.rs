//! What anybody may look at in a world.

use super::clock::Clock;
use super::config::WorldConfig;
use super::disk::Disk;
use super::genesis::Accounts;
use super::invariants::Violation;
use super::network::Network;
use super::trace::Trace;
use super::world::World;
use crate::api::code::Code;
use crate::document::{Genesis, Header, Receipt, Receipts};
use crate::id::{Height, NodeIndex, TransactionId};
use crate::pbft::evidence::Evidence;
use crate::pool::Admitted;
use crate::replica::{PeerMessage, Replica, ReplicaStatus};
use crate::store::{StateReader, Store};
use quorate_crypto::{Digest, Verified};
use std::sync::Arc;

impl World {
    /// What the world began with.
    #[must_use]
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// The chain's genesis.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The accounts that the genesis funds.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// All validators, each with its first machine.
    #[must_use]
    pub fn indices(&self) -> Vec<NodeIndex> {
        (0..self.config.n as u8).map(NodeIndex).collect()
    }

    /// All machines: the validators' and, behind them, their twins'.
    #[must_use]
    pub fn machines(&self) -> Vec<NodeIndex> {
        (0..self.nodes.len() as u8).map(NodeIndex).collect()
    }

    /// The nodes that do not count among the f: they do not lie, have a vote, and have not been given up.
    #[must_use]
    pub fn correct(&self) -> Vec<NodeIndex> {
        self.indices().into_iter().filter(|node| self.is_correct(*node)).collect()
    }

    /// See [`World::correct`].
    #[must_use]
    pub fn is_correct(&self, node: NodeIndex) -> bool {
        let standing = &self.node(node).standing;
        !standing.lies && standing.amnesiac.is_none() && !standing.given_up
    }

    /// Whether the node lies, or somebody else signs with its key.
    #[must_use]
    pub fn is_lying(&self, node: NodeIndex) -> bool {
        self.node(node).standing.lies
    }

    /// Why the node's vote journal cannot be trusted, if so.
    #[must_use]
    pub fn amnesia(&self, node: NodeIndex) -> Option<&str> {
        self.node(node).standing.amnesiac.as_deref()
    }

    /// Why the node has stopped signing, if it has.
    #[must_use]
    pub fn halted(&self, node: NodeIndex) -> Option<&str> {
        self.node(node).running.as_ref().and_then(|running| running.halted.as_deref())
    }

    /// The clocks.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The clocks, to set them wrong.
    pub fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to cut, slow down and mend.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// What happened so far.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    pub(super) fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// The first promise that was broken, if one was.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.watch.violation()
    }

    /// How many messages and transactions of liars did not verify, and so went no further than the edge.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the node's process runs.
    #[must_use]
    pub fn is_up(&self, node: NodeIndex) -> bool {
        self.node(node).running.is_some()
    }

    /// What the node's replica says of itself (epoch, view, active or not, watermarks, …); `None` while it is down.
    #[must_use]
    pub fn status(&self, node: NodeIndex) -> Option<ReplicaStatus> {
        self.replica(node).map(Replica::status)
    }

    /// The node's replica, to look at; `None` while it is down.
    #[must_use]
    pub fn replica(&self, node: NodeIndex) -> Option<&Replica> {
        self.node(node).running.as_ref().map(|running| &running.replica)
    }

    /// The node's disk; readable while the node is down as well.
    #[must_use]
    pub fn disk(&self, node: NodeIndex) -> &Disk {
        &self.node(node).disk
    }

    /// The node's height: that of its last durable block.
    ///
    /// # Panics
    ///
    /// Never: a simulated store has a head.
    #[must_use]
    pub fn height(&self, node: NodeIndex) -> Height {
        let head = self.node(node).disk.store.head().expect("a simulated store can be read");
        head.expect("every store begins with the genesis").height
    }

    /// The header of a height at a node, if it has got there.
    #[must_use]
    pub fn header(&self, node: NodeIndex, height: Height) -> Option<Header> {
        self.node(node).disk.store.true_header(height)
    }

    /// The node's chain: the hash of every header, from the genesis on.
    #[must_use]
    pub fn chain(&self, node: NodeIndex) -> Vec<Digest> {
        (0..).map_while(|height| self.header(node, Height(height))).map(|header| header.hash()).collect()
    }

    /// Whether the node holds a certificate of exactly this height.
    ///
    /// # Panics
    ///
    /// Never: certificates of a simulated store can be read.
    #[must_use]
    pub fn is_certified(&self, node: NodeIndex, height: Height) -> bool {
        self.node(node).disk.store.certificate(height).expect("a simulated store can be read").is_some()
    }

    /// Where the node has executed a transaction.
    #[must_use]
    pub fn executed(&self, node: NodeIndex, id: &TransactionId) -> Option<Height> {
        self.node(node).disk.store.true_place(id).map(|(height, _)| height)
    }

    /// The receipt that the node would hand out for a transaction; none before its block is certified there.
    #[must_use]
    pub fn receipt(&self, node: NodeIndex, id: &TransactionId) -> Option<Receipt> {
        let store = &self.node(node).disk.store;
        let (height, index) = store.transaction(id).ok()??;
        let (block, certificate) = (store.block(height).ok()??, store.certificate(height).ok()??);
        Receipts::new(&block, certificate).get(index)
    }

    /// What the node last answered about a transaction at its client's door.
    #[must_use]
    pub fn admission(&self, node: NodeIndex, id: &TransactionId) -> Option<Result<Admitted, Code>> {
        self.admissions.get(&(*id, node)).copied()
    }

    /// Every vote and CHECKPOINT that has left the node, in its order, relayed ones included; empty where the world does
    /// not keep its trace ([`WorldConfig::keep_trace`]).
    #[must_use]
    pub fn votes(&self, node: NodeIndex) -> &[Arc<Verified<PeerMessage>>] {
        &self.node(node).votes
    }

    /// The evidence that the node has noted, over all of its lives.
    #[must_use]
    pub fn evidence(&self, node: NodeIndex) -> &[Evidence] {
        &self.node(node).evidence
    }
}
