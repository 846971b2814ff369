//! Messages become frames here: the class that each travels in (PROTOCOL 9.2), encoded once for all its receivers.

use std::sync::Arc;

use quorate_crypto::encode::encode;
use quorate_protocol::document::Body;
use quorate_protocol::id::NodeIndex;
use quorate_protocol::pbft::message::Message;
use quorate_protocol::replica::{PeerMessage, SyncMessage};
use tracing::error;

use crate::network::{Class, Frame, NetworkHandle};
use crate::telemetry::{Counters, Drop};

/// The way out, for any thread. Nothing here waits: what the network has no room for is dropped and counted.
#[derive(Clone)]
pub struct Outbound {
    network: NetworkHandle,
    counters: Arc<Counters>,
}

impl Outbound {
    /// Sends by `network`.
    pub fn new(network: NetworkHandle, counters: Arc<Counters>) -> Outbound {
        Outbound { network, counters }
    }

    /// Where everybody counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sends to one validator.
    pub fn send(&self, to: NodeIndex, message: &PeerMessage) {
        if let Some(frame) = self.frame(message)
            && !self.network.send(to, &frame)
        {
            self.counters.count_of(to, Drop::SendFull);
        }
    }

    /// Sends to every other validator.
    pub fn broadcast(&self, message: &PeerMessage) {
        if let Some(frame) = self.frame(message) {
            self.network.broadcast(&frame);
        }
    }

    /// Spreads transactions.
    pub fn gossip(&self, bodies: &[Body]) {
        self.network.gossip(bodies.iter().map(|body| encode(body.as_ref())));
    }

    /// Before a proposal leaves, what it may name does: its bodies reach the others with it, and nobody has to ask for them.
    pub fn before(&self, release: &[Arc<PeerMessage>]) {
        if release.iter().any(|message| class_of(message) == Class::PrePrepare) {
            self.network.flush_gossip();
        }
    }

    fn frame(&self, message: &PeerMessage) -> Option<Frame> {
        match Frame::of(class_of(message), message) {
            Ok(frame) => Some(frame),
            Err(error) => {
                // The limits are chosen so that everything that a replica makes fits.
                error!(what = message.name(), %error, "a message of our own is not sent");
                self.counters.count(Drop::SendFull);
                None
            }
        }
    }
}

/// The priority class of a message.
pub fn class_of(message: &PeerMessage) -> Class {
    match message {
        PeerMessage::Pbft(message) => match message {
            Message::PrePrepare(_) => Class::PrePrepare,
            Message::Prepare(_) => Class::Prepare,
            Message::Commit(_)
            | Message::Checkpoint(_)
            | Message::CommitCertificate(_)
            | Message::CertifiedCheckpoint(_) => Class::Commit,
            Message::Status(_) => Class::Status,
            Message::ViewChange(_) | Message::NewView(_) => Class::ViewChange,
        },
        PeerMessage::Sync(message) => match message {
            SyncMessage::Claims(_) | SyncMessage::Repair(_) => Class::Transactions,
            SyncMessage::FetchBodies(_)
            | SyncMessage::Bodies(_)
            | SyncMessage::FetchBatches(_)
            | SyncMessage::Batch { .. } => Class::Bodies,
            SyncMessage::FetchViewChanges(_) => Class::ViewChange,
            SyncMessage::FetchBlocks { .. } | SyncMessage::Blocks(_) | SyncMessage::FetchCertificate { .. } => {
                Class::Sync
            }
        },
    }
}
