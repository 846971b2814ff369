//! Proposes one batch to one half and another one to the other half at the same place, and votes to each half for what
//! that half was told. Tries to break agreement: with f + 1 like it, two batches commit. What was left out of either
//! batch has to be executed in the end, once.

use super::behaviour::Behaviour;
use super::liar::Liar;
use crate::document::Batch;
use crate::id::{NodeIndex, Sequence, View};
use crate::pbft::Message;
use crate::pbft::message::{Content, Proposal};
use crate::replica::PeerMessage;
use quorate_crypto::Digest;
use std::collections::BTreeMap;

/// See the file.
#[derive(Debug, Default)]
pub struct Equivocate {
    /// What the second half is told in place of the first half's digest.
    other: BTreeMap<(View, Sequence), Digest>,
}

impl Behaviour for Equivocate {
    fn on_send(&mut self, liar: &mut Liar<'_>, to: NodeIndex, message: &PeerMessage) {
        if liar.is_in_first_half(to) {
            return liar.send(to, message.clone());
        }
        match message {
            PeerMessage::Pbft(Message::PrePrepare(proposal)) if liar.is_own_proposal(message) => {
                let content = other_content(proposal);
                let ballot = proposal.ballot();
                self.other.insert((ballot.view, ballot.sequence), content.digest());
                let lie = liar.forge.pre_prepare(liar.me, ballot.view, ballot.sequence, content);
                liar.send(to, lie);
            }
            PeerMessage::Pbft(Message::Commit(vote)) => {
                let ballot = vote.body.0;
                let is_own = liar.forge.validators().key(liar.me) == Some(&vote.signer);
                match self.other.get(&(ballot.view, ballot.sequence)) {
                    Some(digest) if is_own => {
                        let ballot = liar.forge.ballot(ballot.view, ballot.sequence, *digest);
                        let lie = liar.forge.commit(liar.me, ballot);
                        liar.send(to, lie);
                    }
                    _ => liar.send(to, message.clone()),
                }
            }
            _ => liar.send(to, message.clone()),
        }
    }
}

/// Another batch that is just as good: without the first transaction, or later by a millisecond where there is none.
fn other_content(proposal: &Proposal) -> Content {
    let Content::Batch(batch) = &proposal.content else { return Content::Null };
    let rest: Vec<_> = batch.ids.iter().skip(1).copied().collect();
    let ids = rest.try_into().unwrap_or_default();
    Content::Batch(Batch { time: batch.time + 1, ids })
}
