//! Asks without end: for blocks, for certificates, for bodies that do not exist. Tries to have others do nothing but
//! answer: each peer has an allowance.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::id::{Height, TransactionId};
use crate::replica::{PeerMessage, SyncMessage};

/// Questions of each tick to each peer.
const QUESTIONS: u64 = 3;

/// See the file.
#[derive(Debug, Default)]
pub struct QuestionFlood;

impl Behaviour for QuestionFlood {
    fn on_tick(&mut self, liar: &mut Liar<'_>) {
        for turn in 0..QUESTIONS {
            let from = Height(liar.forge.random.below(50));
            let question = match turn {
                0 => SyncMessage::FetchBlocks { from, count: u16::MAX },
                1 => SyncMessage::FetchCertificate { height: from },
                _ => {
                    let ids: Vec<_> = (0..20).map(|_| TransactionId(liar.forge.nonsense())).collect();
                    SyncMessage::FetchBodies(ids.try_into().unwrap_or_default())
                }
            };
            liar.broadcast(&PeerMessage::Sync(question));
        }
    }
}
