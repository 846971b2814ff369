//! Transactions from clients and from gossip: form, signature, membership, in this order (the codes' precedence).

use std::sync::Arc;

use quorate_crypto::encode::{BoundedVec, decode};
use quorate_crypto::signature::Verifier;
use quorate_crypto::signed::Verified;
use quorate_protocol::api::Code;
use quorate_protocol::document::{Body, SignedTransaction};
use quorate_protocol::id::TransactionId;
use quorate_protocol::limits::SUBMIT_COUNT_MAX;
use quorate_protocol::pool::Door;
use tracing::{debug, warn};

use super::edge::Edge;
use super::lanes::Submission;
use super::queue::Arrival;
use crate::network::{GossipId, ReceivedFrame, ReceivedGossip, Verdict};
use crate::telemetry::Drop;
use crate::waiters::{Event, EventSender};

/// Transactions of one gossip message: what fits into its bytes.
type GossipedTransactions = BoundedVec<SignedTransaction, SUBMIT_COUNT_MAX>;

/// Where a group of transactions came from, and with it how it is answered.
enum Origin {
    /// The message stays whole until it is answered: it holds a credit of its source.
    Gossip(ReceivedGossip),
    Client(Option<EventSender>),
    /// A validator's claims, or what it answers to pool repair.
    Peer {
        door: Door,
        /// Holds a credit of the validator until they are verified.
        _frame: ReceivedFrame,
    },
}

/// Transactions that came together.
struct Group {
    origin: Origin,
    transactions: Vec<SignedTransaction>,
    /// One of them is provably bad.
    bad: bool,
}

/// Verifies arrivals in one batch and answers each. Returns whether a client forged a signature.
pub(super) fn verify_arrivals(edge: &Edge, arrivals: Vec<Arrival>, verifier: &mut Verifier) -> bool {
    verify_groups(edge, arrivals.into_iter().map(Group::decode).collect(), verifier)
}

/// Verifies what a validator sends straight to this node one by one: a stranger's or a forged one spoils no other.
pub(super) fn verify_bodies(edge: &Edge, frame: ReceivedFrame, door: Door, bodies: Vec<Body>, verifier: &mut Verifier) {
    let transactions = bodies.into_iter().map(Arc::unwrap_or_clone).collect();
    verify_groups(
        edge,
        vec![Group { origin: Origin::Peer { door, _frame: frame }, transactions, bad: false }],
        verifier,
    );
}

fn verify_groups(edge: &Edge, mut groups: Vec<Group>, verifier: &mut Verifier) -> bool {
    let mut all = Vec::new();
    let mut counts = Vec::with_capacity(groups.len());
    for group in &mut groups {
        group.drop_malformed(edge);
        counts.push(group.transactions.len());
        all.append(&mut group.transactions);
    }
    let mut verdicts = Verified::check_all(all, &edge.context.chain_id, verifier).into_iter();
    let mut forged = false;
    for (group, count) in groups.into_iter().zip(counts) {
        let verdicts: Vec<_> = verdicts.by_ref().take(count).collect();
        forged |= matches!(group.origin, Origin::Client(_)) && verdicts.iter().any(Result::is_err);
        group.finish(edge, verdicts);
    }
    forged
}

impl Group {
    fn decode(arrival: Arrival) -> Group {
        match arrival {
            Arrival::Client(Submission { transactions, events, .. }) => {
                Group { origin: Origin::Client(events), transactions, bad: false }
            }
            Arrival::Gossip(gossip) => match decode::<GossipedTransactions>(&gossip.data) {
                Ok(transactions) => {
                    Group { origin: Origin::Gossip(gossip), transactions: transactions.into_inner(), bad: false }
                }
                Err(error) => {
                    debug!(source = %gossip.id.source, %error, "malformed gossip");
                    Group { origin: Origin::Gossip(gossip), transactions: Vec::new(), bad: true }
                }
            },
        }
    }

    /// Keeps what is worth a verification.
    fn drop_malformed(&mut self, edge: &Edge) {
        let gossiped = matches!(self.origin, Origin::Gossip(_));
        let mut bad = false;
        let Group { transactions, origin, .. } = self;
        transactions.retain(|transaction| {
            match transaction.check_form(&edge.context.chain_id, edge.transaction_bytes_max) {
                Ok(()) => !(gossiped && edge.recent.contains(transaction)),
                Err(code) => {
                    bad = true;
                    origin.refuse(transaction.id(), code);
                    false
                }
            }
        });
        self.bad |= bad;
    }

    /// Hands on what is verified and of a member, and answers the rest.
    fn finish(self, edge: &Edge, verdicts: Vec<Result<Verified<SignedTransaction>, SignedTransaction>>) {
        let Group { origin, mut bad, .. } = self;
        let mut good = Vec::with_capacity(verdicts.len());
        let mut ignored = false;
        for verdict in verdicts {
            match verdict {
                Err(forged) => {
                    bad = true;
                    edge.counters.count(Drop::Unverifiable);
                    edge.counters.metrics.bad_signatures.inc();
                    origin.refuse(forged.id(), Code::BadSignature);
                }
                Ok(verified) => match is_member(edge, &verified) {
                    Ok(()) => good.push(verified),
                    Err(code) => {
                        ignored = true;
                        origin.refuse(verified.id(), code);
                    }
                },
            }
        }
        let full = origin.hand_on(edge, good);
        if let Origin::Gossip(gossip) = origin {
            report(edge, gossip.id, bad, ignored || full);
        }
    }
}

fn is_member(edge: &Edge, transaction: &SignedTransaction) -> Result<(), Code> {
    match edge.members.contains(transaction.sender()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Code::UnknownSender),
        Err(error) => {
            warn!(%error, "membership cannot be read");
            Err(Code::Internal)
        }
    }
}

impl Origin {
    fn door(&self) -> Door {
        match self {
            Origin::Gossip(_) => Door::Gossip,
            Origin::Client(_) => Door::Client,
            Origin::Peer { door, .. } => *door,
        }
    }

    /// Tells the client, if one waits.
    fn refuse(&self, id: TransactionId, code: Code) {
        if let Origin::Client(Some(events)) = self {
            // A client that has gone no longer listens.
            let _ = events.send((id, Event::Rejected(code)));
        }
    }

    /// Posts to the pump; says whether it had no room.
    fn hand_on(&self, edge: &Edge, good: Vec<Verified<SignedTransaction>>) -> bool {
        if good.is_empty() {
            return false;
        }
        let keys: Vec<_> = good.iter().map(|transaction| (transaction.id(), *transaction.signature())).collect();
        if edge.inbox.post_transactions(good, self.door()).is_ok() {
            edge.recent.insert(keys.into_iter());
            return false;
        }
        edge.counters.count(match self {
            Origin::Gossip(_) | Origin::Peer { .. } => Drop::GossipQueueFull,
            Origin::Client(_) => Drop::ClientQueueFull,
        });
        for (id, _) in keys {
            self.refuse(id, Code::Overloaded);
        }
        true
    }
}

/// Only what is provably bad is held against the peer that passed it on; an unknown sender may be known to it already.
fn report(edge: &Edge, id: GossipId, bad: bool, ignored: bool) {
    let verdict = match (bad, ignored) {
        (true, _) => Verdict::Reject,
        (false, true) => Verdict::Ignore,
        (false, false) => Verdict::Accept,
    };
    edge.network.validate(id, verdict);
}
