//! Everything that the liars of a world can make together: they know each other's keys, and nobody else's.

use crate::document::{Checkpoint, SignedTransaction, ValidatorSet};
use crate::id::{ChainId, Epoch, Height, NodeIndex, Sequence, View};
use crate::pbft::Message;
use crate::pbft::message::{
    Ballot, CertifiedCheckpoint, Commit, Content, NewView, PrePrepare, Prepare, PreparedCertificate, Proposal, Status,
    ViewChange,
};
use crate::replica::PeerMessage;
use crate::sim::genesis::Account;
use crate::sim::payment::transfer;
use crate::sim::random::Random;
use crate::time::UnixMillis;
use quorate_crypto::{Digest, PublicKey, SecretKey, Signable, Signed};
use std::collections::{BTreeMap, BTreeSet};

/// Keys of the lying nodes and of a client who helps them, and what can be signed with them.
pub struct Forge {
    chain_id: ChainId,
    validators: ValidatorSet,
    keys: BTreeMap<NodeIndex, SecretKey>,
    client: Account,
    payee: PublicKey,
    salt: u64,
    signed: BTreeSet<Ballot>,
    /// For whatever a behaviour wants to draw.
    pub random: Random,
}

impl Forge {
    pub(crate) fn new(
        chain_id: ChainId,
        validators: ValidatorSet,
        client: Account,
        payee: PublicKey,
        random: Random,
    ) -> Self {
        let (keys, signed) = (BTreeMap::new(), BTreeSet::new());
        Forge { chain_id, validators, keys, client, payee, salt: 0, signed, random }
    }

    pub(crate) fn learn(&mut self, node: NodeIndex, key: SecretKey) {
        self.keys.insert(node, key);
    }

    /// The validators whose keys are known here.
    pub fn accomplices(&self) -> impl Iterator<Item = NodeIndex> {
        self.keys.keys().copied()
    }

    /// The validators of the world's epoch.
    #[must_use]
    pub fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// The chain of the world.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// The epoch of the world.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch::ZERO
    }

    /// A ballot of the world's epoch.
    #[must_use]
    pub fn ballot(&self, view: View, sequence: Sequence, digest: Digest) -> Ballot {
        Ballot { epoch: self.epoch(), view, sequence, digest }
    }

    /// Signs anything with the key of a liar.
    ///
    /// # Panics
    ///
    /// When the node is honest: nobody else has its key.
    pub fn sign<T: Signable>(&self, by: NodeIndex, body: T) -> Signed<T> {
        self.sign_for(by, body, &self.chain_id)
    }

    /// Signs for another chain.
    ///
    /// # Panics
    ///
    /// When the node is honest.
    pub fn sign_for<T: Signable>(&self, by: NodeIndex, body: T, chain_id: &ChainId) -> Signed<T> {
        Signed::sign(body, chain_id, self.key(by))
    }

    fn key(&self, by: NodeIndex) -> &SecretKey {
        self.keys.get(&by).expect("only the keys of lying nodes are known to liars")
    }

    /// A proposal of the liar `by`, whether it is the primary or not.
    pub fn pre_prepare(&mut self, by: NodeIndex, view: View, sequence: Sequence, content: Content) -> PeerMessage {
        let ballot = self.ballot(view, sequence, content.digest());
        self.signed.insert(ballot);
        let pre_prepare = self.sign(by, PrePrepare(ballot));
        PeerMessage::Pbft(Message::PrePrepare(Proposal { pre_prepare, content }))
    }

    /// A PREPARE of the liar `by`.
    pub fn prepare(&mut self, by: NodeIndex, ballot: Ballot) -> PeerMessage {
        self.signed.insert(ballot);
        PeerMessage::Pbft(Message::Prepare(self.sign(by, Prepare(ballot))))
    }

    /// A COMMIT of the liar `by`.
    pub fn commit(&mut self, by: NodeIndex, ballot: Ballot) -> PeerMessage {
        self.signed.insert(ballot);
        PeerMessage::Pbft(Message::Commit(self.sign(by, Commit(ballot))))
    }

    /// A CHECKPOINT of the liar `by`.
    #[must_use]
    pub fn checkpoint(&self, by: NodeIndex, height: Height, header_hash: Digest) -> PeerMessage {
        let checkpoint = Checkpoint { epoch: self.epoch(), height, header_hash };
        PeerMessage::Pbft(Message::Checkpoint(self.sign(by, checkpoint)))
    }

    /// A STATUS of the liar `by`.
    #[must_use]
    pub fn status(&self, by: NodeIndex, status: Status) -> PeerMessage {
        PeerMessage::Pbft(Message::Status(self.sign(by, status)))
    }

    /// A VIEW-CHANGE of the liar `by`; `low` none for the beginning of the epoch. Whoever receives it judges it whole.
    #[must_use]
    pub fn view_change(
        &self,
        by: NodeIndex,
        view: View,
        low: Option<CertifiedCheckpoint>,
        prepared: Vec<PreparedCertificate>,
    ) -> Signed<ViewChange> {
        let prepared = prepared.try_into().unwrap_or_default();
        self.sign(by, ViewChange { epoch: self.epoch(), view, low, prepared })
    }

    /// A NEW-VIEW of the liar `by` that names these VIEW-CHANGEs and proposes these digests again, from `first` on.
    pub fn new_view(
        &mut self,
        by: NodeIndex,
        view: View,
        view_changes: &[Digest],
        first: Sequence,
        digests: &[Digest],
    ) -> PeerMessage {
        let mut names = view_changes.to_vec();
        names.sort_unstable();
        let ballots: Vec<Ballot> =
            (first.0..).zip(digests).map(|(n, digest)| self.ballot(view, Sequence(n), *digest)).collect();
        self.signed.extend(ballots.iter().copied());
        let pre_prepares: Vec<_> = ballots.into_iter().map(|ballot| self.sign(by, PrePrepare(ballot))).collect();
        let body = NewView {
            epoch: self.epoch(),
            view,
            view_changes: names.try_into().unwrap_or_default(),
            pre_prepares: pre_prepares.try_into().unwrap_or_default(),
        };
        PeerMessage::Pbft(Message::NewView(self.sign(by, body)))
    }

    /// Whether a vote for this ballot was made here, and not by somebody's honest part.
    #[must_use]
    pub fn has_signed(&self, ballot: &Ballot) -> bool {
        self.signed.contains(ballot)
    }

    /// A payment of a member who helps the liars; another one each time. `valid_until` in Unix milliseconds.
    pub fn payment(&mut self, valid_until: UnixMillis) -> SignedTransaction {
        self.salt += 1;
        transfer(self.chain_id, &self.client, self.payee, 1, valid_until, self.salt)
    }

    /// A payment that its sender has not signed.
    pub fn forged_payment(&mut self, valid_until: UnixMillis) -> SignedTransaction {
        let (first, second) = (self.payment(valid_until), self.payment(valid_until));
        SignedTransaction::new(first.transaction().clone(), *second.signature())
    }

    /// 32 bytes that are no digest of anything.
    pub fn nonsense(&mut self) -> Digest {
        Digest::from_bytes(self.random.bytes32())
    }
}
