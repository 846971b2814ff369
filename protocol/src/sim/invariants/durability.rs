//! DU: what a client holds a receipt of survives every crash.
//!
//! A receipt is certified by CHECKPOINTs, and each of them says that its sender holds the block durably. So a block whose
//! CHECKPOINT has left a node is on that node's disk after every crash, and a certified block is on every disk at the end.

use super::promise::{Invariant, Observation, Promise, Violation, header_hash_at};
use crate::document::Genesis;
use crate::id::{Height, NodeIndex};
use crate::pbft::Message;
use crate::replica::PeerMessage;
use crate::store::Store;
use quorate_crypto::{Digest, PublicKey};
use std::collections::{BTreeMap, BTreeSet};

/// What was promised to be durable, where.
#[derive(Debug)]
pub struct Durability {
    /// By key, since a CHECKPOINT may be relayed: whose statement it is says the signature.
    stated: BTreeMap<PublicKey, BTreeMap<Height, Digest>>,
    /// Keys whose disks are no more: what they signed before may still be relayed.
    wiped: BTreeSet<PublicKey>,
    keys: Vec<PublicKey>,
    certified: BTreeMap<Height, Digest>,
}

impl Durability {
    /// A checker that knows the validators' keys.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let keys = genesis.validators.members().iter().map(|validator| validator.consensus_key).collect();
        Durability { stated: BTreeMap::new(), wiped: BTreeSet::new(), keys, certified: BTreeMap::new() }
    }

    fn check_disk(
        &self,
        node: NodeIndex,
        store: &dyn Store,
        promised: &BTreeMap<Height, Digest>,
    ) -> Result<(), Violation> {
        for (height, header_hash) in promised {
            let held = header_hash_at(store, *height);
            if held != Some(*header_hash) {
                let held = held.map_or("nothing".to_owned(), |held| format!("block {held}"));
                let detail =
                    format!("{node} said that it holds block {header_hash} of height {height}; its disk holds {held}");
                return Err(Violation { promise: Promise::Durability, detail });
            }
        }
        Ok(())
    }
}

impl Invariant for Durability {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        match observation {
            Observation::Released { message: PeerMessage::Pbft(Message::Checkpoint(signed)), .. } => {
                if !self.wiped.contains(&signed.signer) {
                    self.stated.entry(signed.signer).or_default().insert(signed.body.height, signed.body.header_hash);
                }
                Ok(())
            }
            Observation::Certified { height, header_hash, .. } => {
                self.certified.insert(height, header_hash);
                Ok(())
            }
            Observation::Crashed { node, store } => {
                match self.keys.get(node.as_usize()).and_then(|key| self.stated.get(key)) {
                    Some(promised) => self.check_disk(node, store, promised),
                    None => Ok(()),
                }
            }
            // What it said of its blocks was true, and the disk that held them is no more.
            Observation::Wiped { key, .. } => {
                self.stated.remove(&key);
                self.wiped.insert(key);
                Ok(())
            }
            // Liars may keep a chain going for ever, so that some are always ahead of others.
            Observation::Ended { stores, height, .. } => {
                self.certified.split_off(&height.next());
                stores.iter().try_for_each(|(node, store)| self.check_disk(*node, *store, &self.certified))
            }
            _ => Ok(()),
        }
    }
}
