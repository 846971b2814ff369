//! What every node has said so far, and what follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use quorate_protocol::api::http::TransactionResponse;
use quorate_protocol::document::genesis::Genesis;
use quorate_protocol::id::NodeIndex;

use super::ask::{Answer, PAUSE, Word, ask};
use super::job::Job;
use crate::client::http::Node;
use crate::exit::Failure;
use crate::receipt;

/// The longest that a node's `Retry-After` is honoured for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Book<'a> {
    pub nodes: &'a [Node],
    pub job: &'a Job,
    pub words: Vec<Option<Word>>,
    genesis: &'a Arc<Genesis>,
    in_flight: Vec<bool>,
    /// Until when each node has asked not to be asked again.
    rests: Vec<Option<Instant>>,
    /// The bytes have left, in this run or an earlier one.
    sent: bool,
    /// Some node has said that it has the transaction, or has broken off so that it may have it; or an earlier run has
    /// sent it.
    maybe_taken: bool,
}

impl<'a> Book<'a> {
    pub fn new(nodes: &'a [Node], genesis: &'a Arc<Genesis>, job: &'a Job) -> Self {
        let count = nodes.len();
        let (words, in_flight, rests) = (vec![None; count], vec![false; count], vec![None; count]);
        let before = !job.first_time;
        Book { nodes, job, words, genesis, in_flight, rests, sent: before, maybe_taken: before }
    }

    /// Asks a node on a thread of its own, unless it still owes an answer.
    pub fn ask(&mut self, index: usize, window: Duration, sender: &Sender<(usize, Answer)>) {
        if std::mem::replace(&mut self.in_flight[index], true) {
            return;
        }
        let (node, genesis, job) = (self.nodes[index].clone(), Arc::clone(self.genesis), self.job.clone());
        let sender = sender.clone();
        // Nobody listens any more once the outcome is known: then the answer is dropped with its thread.
        thread::spawn(move || drop(sender.send((index, ask(&node, &genesis, &job, window)))));
    }

    pub fn note(&mut self, index: usize, word: Word) {
        self.in_flight[index] = false;
        self.sent |= self.job.bytes.is_some() && !matches!(word, Word::Unreachable(_));
        self.maybe_taken |= matches!(word, Word::Waits(_) | Word::Lied(_));
        self.rests[index] = match &word {
            Word::Busy(_, Some(after)) => Some(Instant::now() + (*after).min(RETRY_AFTER_MAX)),
            _ => None,
        };
        self.words[index] = Some(word);
    }

    /// Whether a node still owes an answer.
    pub fn owes(&self, index: usize) -> bool {
        self.in_flight[index]
    }

    /// Whether a node has not asked to be left alone for a while.
    pub fn may_be_asked(&self, index: usize) -> bool {
        self.rests[index].is_none_or(|until| until <= Instant::now())
    }

    /// How long to wait before all nodes are asked again: until the first one of them may be.
    pub fn pause(&self) -> Duration {
        let now = Instant::now();
        let waits = self.rests.iter().map(|rest| rest.map_or(Duration::ZERO, |until| until.duration_since(now)));
        waits.min().unwrap_or_default().max(PAUSE)
    }

    fn count(&self, is: impl Fn(&Word) -> bool) -> usize {
        self.words.iter().flatten().filter(|word| is(word)).count()
    }

    /// How many words, one of them from a correct validator, prove something.
    pub fn weak_quorum(&self) -> usize {
        self.genesis.validators.weak_quorum()
    }

    /// How many validators say it; one that is asked at two addresses counts once.
    fn validators(&self, say: impl Fn(&Word) -> Option<NodeIndex>) -> usize {
        self.words.iter().flatten().filter_map(say).collect::<BTreeSet<NodeIndex>>().len()
    }

    /// What is certain by the word of f+1 validators.
    pub fn verdict(&self) -> Option<Result<TransactionResponse, Failure>> {
        let expired = self.validators(|word| match word {
            Word::Expired(validator) => *validator,
            _ => None,
        });
        if expired >= self.weak_quorum() {
            return Some(Ok(receipt::expired(self.job.id)));
        }
        let refused = self.validators(|word| match word {
            Word::Refused(problem, validator) if problem.code.is_final() => *validator,
            _ => None,
        });
        (refused >= self.weak_quorum()).then(|| Err(self.never_applied()))
    }

    /// Whether the bytes have left, or may have.
    fn has_left(&self) -> bool {
        self.sent || (self.job.bytes.is_some() && self.in_flight.contains(&true))
    }

    /// Whether some node has the transaction, or may have it because it still owes an answer.
    fn may_be_taken(&self) -> bool {
        self.maybe_taken || (self.job.bytes.is_some() && self.in_flight.contains(&true))
    }

    /// What ends the waiting once every node has answered and asking again promises nothing.
    pub fn hopeless(&self) -> Option<Failure> {
        if self.in_flight.contains(&true) || self.maybe_taken {
            return None;
        }
        let of_all = |is: &dyn Fn(&Word) -> bool| self.count(is) == self.nodes.len();
        if of_all(&|word| matches!(word, Word::Unreachable(_))) {
            return Some(if self.sent { self.unknown() } else { self.nothing_sent() });
        }
        if of_all(&|word| matches!(word, Word::Denied(_))) {
            return self.denied();
        }
        of_all(&|word| matches!(word, Word::Refused(..) | Word::Unreachable(_))).then(|| self.refused()).flatten()
    }

    pub fn at_deadline(&self) -> Failure {
        if !self.has_left() && self.job.bytes.is_some() {
            return self.nothing_sent();
        }
        if let Some(failure) = self.deceived() {
            return failure;
        }
        if !self.may_be_taken()
            && let Some(failure) = self.busy().or_else(|| self.refused()).or_else(|| self.denied())
        {
            return failure;
        }
        if self.job.bytes.is_none() && self.count(|word| matches!(word, Word::Absent)) > 0 && self.only_absent() {
            return self.not_found();
        }
        self.unknown()
    }

    fn only_absent(&self) -> bool {
        self.words.iter().flatten().all(|word| matches!(word, Word::Absent | Word::Unreachable(_)))
    }
}
