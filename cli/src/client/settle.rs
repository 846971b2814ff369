//! From signed bytes to a certified outcome, whatever single nodes do: the same bytes go to one node, after a short
//! time-out to another one, then to f+1, then to all. A time-out is never taken for a failure; a receipt counts only
//! with its proof; and "not applied" needs the word of f+1 validators, of which one is correct.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use quorate_protocol::api::code::{Code, KnownOutcome};
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::api::problem::Problem;
use quorate_protocol::document::genesis::Genesis;
use quorate_protocol::id::{NodeIndex, TransactionId};

use super::access;
use super::http::{CallError, Node};
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::output::progress::Progress;
use crate::receipt;

/// How long a node is waited for before others are asked, too.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two looks at a transaction, and before nodes that answered at once are all asked again.
const PAUSE: Duration = Duration::from_millis(150);
/// How often the progress line moves.
const TICK: Duration = Duration::from_millis(100);
/// The longest that a node's `Retry-After` is honoured for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// The round in which all nodes are asked for the first time.
const ROUND_OF_ALL: usize = 3;

/// What is to be settled.
#[derive(Clone, Debug)]
pub struct Job {
    /// The transaction.
    pub id: TransactionId,
    /// Its canonical bytes, to send them (again); without them it is only looked for.
    pub bytes: Option<Arc<[u8]>>,
    /// Until when it may be executed, Unix milliseconds of block time, where that is known.
    pub valid_until: Option<u64>,
    /// Nobody has been sent these bytes before, so that a refusal is the end of it.
    pub first_time: bool,
}

/// A node's latest word on the transaction.
#[derive(Clone, Debug)]
enum Word {
    /// It has it, without an outcome yet; or it may have it.
    Waits(String),
    /// It cannot be reached.
    Unreachable(String),
    /// Certified block time has passed its `valid_until` and it was not executed, as this validator says; `None` for a
    /// node that is no validator, whose word proves nothing.
    Expired(Option<NodeIndex>),
    /// It does not know it.
    Absent,
    /// It refuses it.
    Refused(Box<Problem>),
    /// It has no room at the moment.
    Busy(Box<Problem>, Option<Duration>),
    /// It wants credentials.
    Denied(String),
    /// It gave a proof that does not hold.
    Lied(String),
}

enum Answer {
    Proved(Box<TransactionResponse>),
    Word(Word),
}

/// Brings `job` to an outcome: a verified receipt (applied or failed), or certified expiry, as `status` says.
///
/// # Errors
/// Exit code 3 to 9, see [`Exit`]; 5 when `deadline` passes without an outcome.
pub fn settle(
    nodes: &[Node],
    genesis: &Arc<Genesis>,
    job: &Job,
    deadline: Instant,
    progress: &mut Progress,
) -> Result<TransactionResponse, Failure> {
    if nodes.is_empty() {
        return Err(Failure::usage("no node is known", "give --testnet DIR, or --node URL"));
    }
    let (sender, receiver) = channel();
    let mut book = Book::new(nodes, genesis, job);
    for round in 0.. {
        let window = PATIENCE.min(deadline.saturating_duration_since(Instant::now()));
        if window.is_zero() {
            break;
        }
        let asked = targets(round, nodes.len(), genesis.validators.f());
        for &index in &asked {
            book.ask(index, window, &sender);
        }
        if let Some(outcome) = collect(&mut book, &asked, &receiver, Instant::now() + window, progress) {
            return outcome;
        }
        if round >= ROUND_OF_ALL {
            if let Some(outcome) = book.hopeless() {
                return outcome;
            }
            let pause = book.retry_after().unwrap_or(PAUSE);
            thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
        }
    }
    Err(book.at_deadline())
}

/// The nodes to ask in a round: the first, the second, f+1, then all.
fn targets(round: usize, count: usize, f: usize) -> Vec<usize> {
    match round {
        0 => vec![0],
        1 => vec![1 % count],
        2 => (0..=f).map(|offset| (offset + 2) % count).collect(),
        _ => (0..count).collect(),
    }
}

/// Takes answers until one settles the matter, every node asked in this round has answered, or the round ends.
fn collect(
    book: &mut Book<'_>,
    asked: &[usize],
    receiver: &Receiver<(usize, Answer)>,
    round_end: Instant,
    progress: &mut Progress,
) -> Option<Result<TransactionResponse, Failure>> {
    while asked.iter().any(|&index| book.in_flight[index]) {
        let left = round_end.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(TICK)) {
            Ok((_, Answer::Proved(response))) => return Some(Ok(*response)),
            Ok((index, Answer::Word(word))) => {
                book.note(index, word);
                if let Some(outcome) = book.verdict() {
                    return Some(outcome);
                }
            }
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return None,
            Err(RecvTimeoutError::Timeout) => progress.tick("waiting for a certified outcome"),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

/// What every node has said so far.
struct Book<'a> {
    nodes: &'a [Node],
    genesis: &'a Arc<Genesis>,
    job: &'a Job,
    words: Vec<Option<Word>>,
    in_flight: Vec<bool>,
    /// Some node has said that it has the transaction, or has broken off so that it may have it.
    maybe_taken: bool,
}

impl<'a> Book<'a> {
    fn new(nodes: &'a [Node], genesis: &'a Arc<Genesis>, job: &'a Job) -> Self {
        let count = nodes.len();
        let (words, in_flight) = (vec![None; count], vec![false; count]);
        Book { nodes, genesis, job, words, in_flight, maybe_taken: !job.first_time }
    }

    /// Asks a node on a thread of its own, unless it still owes an answer.
    fn ask(&mut self, index: usize, window: Duration, sender: &Sender<(usize, Answer)>) {
        if std::mem::replace(&mut self.in_flight[index], true) {
            return;
        }
        let (node, genesis, job) = (self.nodes[index].clone(), Arc::clone(self.genesis), self.job.clone());
        let sender = sender.clone();
        // Nobody listens any more once the outcome is known: then the answer is dropped with its thread.
        thread::spawn(move || drop(sender.send((index, ask(&node, &genesis, &job, window)))));
    }

    fn note(&mut self, index: usize, word: Word) {
        self.in_flight[index] = false;
        self.maybe_taken |= matches!(word, Word::Waits(_) | Word::Lied(_));
        self.words[index] = Some(word);
    }

    fn count(&self, is: impl Fn(&Word) -> bool) -> usize {
        self.words.iter().flatten().filter(|word| is(word)).count()
    }

    /// How many words, one of them from a correct validator, prove something.
    fn weak_quorum(&self) -> usize {
        self.genesis.validators.weak_quorum()
    }

    fn verdict(&self) -> Option<Result<TransactionResponse, Failure>> {
        if self.expired() >= self.weak_quorum() {
            return Some(Ok(receipt::expired(self.job.id)));
        }
        let enough = self.weak_quorum();
        let certain = self.count(|word| matches!(word, Word::Refused(problem) if refuses_for_ever(problem.code)));
        (certain >= enough || (self.refused() >= enough && !self.may_be_taken())).then(|| Err(self.refusal()))
    }

    fn refused(&self) -> usize {
        self.count(|word| matches!(word, Word::Refused(_)))
    }

    /// How many validators say that it has expired; one that is asked at two addresses counts once.
    fn expired(&self) -> usize {
        let said = self.words.iter().flatten().filter_map(|word| match word {
            Word::Expired(validator) => *validator,
            _ => None,
        });
        said.collect::<BTreeSet<NodeIndex>>().len()
    }

    /// Whether some node has the transaction, or may have it because it still owes an answer.
    fn may_be_taken(&self) -> bool {
        self.maybe_taken || (self.job.bytes.is_some() && self.in_flight.contains(&true))
    }

    /// What is certain once every node has answered and nothing more is on the way.
    fn hopeless(&self) -> Option<Result<TransactionResponse, Failure>> {
        if self.in_flight.contains(&true) || self.maybe_taken {
            return None;
        }
        let of_all = |is: &dyn Fn(&Word) -> bool| self.count(is) == self.nodes.len();
        if of_all(&|word| matches!(word, Word::Denied(_))) {
            return self.first(denied).map(|(node, detail)| Err(access::denied(&node, &detail)));
        }
        if of_all(&|word| matches!(word, Word::Unreachable(_))) {
            return Some(Err(self.nothing_sent()));
        }
        let answered = |word: &Word| matches!(word, Word::Refused(_) | Word::Unreachable(_));
        of_all(&answered).then(|| Err(self.doubtful_refusal()))
    }

    /// The longest wait that a busy node asked for, within bounds.
    fn retry_after(&self) -> Option<Duration> {
        let waits = self.words.iter().flatten().filter_map(|word| match word {
            Word::Busy(_, after) => *after,
            _ => None,
        });
        waits.max().map(|after| after.min(RETRY_AFTER_MAX))
    }

    fn at_deadline(&self) -> Failure {
        if let Some((node, reason)) = self.first(|word| match word {
            Word::Lied(reason) => Some(reason.clone()),
            _ => None,
        }) {
            return Failure::unverified(
                format!("{node} gave a receipt of {} that does not hold: {reason}", self.job.id),
                "do not trust this node; ask others with --node, and check that --genesis is the chain's",
            );
        }
        if !self.may_be_taken() {
            if let Some((node, problem)) = self.first(busy) {
                return overloaded(&node, &problem, self.job.id);
            }
            if self.first(refused).is_some() {
                return self.doubtful_refusal();
            }
            if let Some((node, detail)) = self.first(denied) {
                return access::denied(&node, &detail);
            }
            return self.nothing_sent();
        }
        if self.job.bytes.is_none() && self.count(|word| matches!(word, Word::Absent)) > 0 && self.only_absent() {
            return Failure::new(
                Exit::NotFound,
                Code::NotFound.as_str(),
                format!("no node knows the transaction {}", self.job.id),
                "check the id, and that it was sent to this chain",
            );
        }
        self.unknown()
    }

    fn only_absent(&self) -> bool {
        self.words.iter().flatten().all(|word| matches!(word, Word::Absent | Word::Unreachable(_)))
    }

    fn first<T>(&self, pick: impl Fn(&Word) -> Option<T>) -> Option<(String, T)> {
        let mut said = self.nodes.iter().zip(&self.words);
        said.find_map(|(node, word)| Some((node.name().to_owned(), pick(word.as_ref()?)?)))
    }

    fn refusal(&self) -> Failure {
        match self.first(refused) {
            Some((node, problem)) => Failure::new(
                Exit::NotApplied,
                problem.code.to_string(),
                format!("{} was refused by {node}: {}", self.job.id, problem.detail),
                problem.hint,
            )
            .with_data(TransactionResponse::rejected(self.job.id, problem.code)),
            None => self.unknown(),
        }
    }

    /// Fewer nodes refuse it than it takes for one of them to be correct: a liar may say so and keep the bytes.
    fn doubtful_refusal(&self) -> Failure {
        if self.refused() >= self.weak_quorum() {
            return self.refusal();
        }
        let needed = self.weak_quorum();
        let mut failure = self.refusal();
        failure.exit = Exit::Unknown;
        failure.message = format!("{}; that is certain only if {needed} validators say so", failure.message);
        failure.hint = format!("{}; name more nodes with --node, then: quorate tx wait {}", failure.hint, self.job.id);
        failure
    }

    fn nothing_sent(&self) -> Failure {
        let reason = self.first(|word| match word {
            Word::Unreachable(reason) => Some(reason.clone()),
            _ => None,
        });
        let reason = reason.map_or_else(String::new, |(node, reason)| format!(": {node} {reason}"));
        Failure::new(
            Exit::NotSent,
            "no_quorum_reachable",
            format!("nothing was sent, no node can be reached{reason}"),
            "check that the nodes run and that their addresses are right, then send it again",
        )
    }

    fn unknown(&self) -> Failure {
        let told = self.nodes.iter().zip(&self.words).filter_map(|(node, word)| Some((node, word.as_ref()?)));
        let told: Vec<String> = told.map(|(node, word)| format!("{} {}", node.name(), describe(word))).collect();
        let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) };
        let again =
            if self.job.bytes.is_some() { ", which sends the same bytes again: they apply at most once" } else { "" };
        Failure::new(
            Exit::Unknown,
            "outcome_unknown",
            format!("{} may be applied or not: no certified outcome is known yet{told}", self.job.id),
            format!("wait for it with: quorate tx wait {}{again}", self.job.id),
        )
        .with_data(TransactionResponse::new(self.job.id, TransactionStatus::Unknown))
    }
}

/// Whether a refusal follows from the bytes alone, so that no correct node ever takes them.
fn refuses_for_ever(code: Code) -> bool {
    matches!(code, Code::Malformed | Code::TooLarge | Code::WrongChain | Code::NoOperations | Code::BadSignature)
}

fn refused(word: &Word) -> Option<Problem> {
    match word {
        Word::Refused(problem) => Some((**problem).clone()),
        _ => None,
    }
}

fn busy(word: &Word) -> Option<Problem> {
    match word {
        Word::Busy(problem, _) => Some((**problem).clone()),
        _ => None,
    }
}

fn denied(word: &Word) -> Option<String> {
    match word {
        Word::Denied(detail) => Some(detail.clone()),
        _ => None,
    }
}

fn overloaded(node: &str, problem: &Problem, id: TransactionId) -> Failure {
    let message = format!("{id} was not accepted: {node} says: {}", problem.detail);
    let hint = format!("{}: quorate tx wait {id} does, and they apply at most once", problem.hint);
    Failure::new(Exit::Overloaded, problem.code.to_string(), message, hint)
}

fn describe(word: &Word) -> String {
    match word {
        Word::Waits(detail) => detail.clone(),
        Word::Unreachable(reason) => reason.clone(),
        Word::Expired(_) => "says it has expired; one node's word is not enough".to_owned(),
        Word::Absent => "does not know it".to_owned(),
        Word::Refused(problem) | Word::Busy(problem, _) => format!("says {}", problem.code),
        Word::Denied(detail) => format!("wants credentials: {detail}"),
        Word::Lied(reason) => format!("gave a false proof: {reason}"),
    }
}

/// Asks one node, and waits up to `window` for what it makes of the transaction.
fn ask(node: &Node, genesis: &Genesis, job: &Job, window: Duration) -> Answer {
    let past = job.valid_until.is_some_and(|valid_until| clock::now_ms() > valid_until);
    match &job.bytes {
        // After its time it can only be looked for; sending it again would be refused by whoever does not know it.
        Some(bytes) if !past => judge(node, genesis, job, node.submit(bytes, window)),
        _ => look(node, genesis, job, window, past),
    }
}

/// Looks for the transaction at one node until there is an outcome or `window` is over.
fn look(node: &Node, genesis: &Genesis, job: &Job, window: Duration, past: bool) -> Answer {
    let end = Instant::now() + window;
    loop {
        // The head is read first: what is absent afterwards was absent as of that head's time.
        let certified_past = past && certified_time(node) >= job.valid_until;
        let answer = match judge(node, genesis, job, node.transaction(&job.id)) {
            Answer::Word(Word::Absent) if certified_past => expired(node),
            answer => answer,
        };
        let settled = !matches!(answer, Answer::Word(Word::Waits(_) | Word::Absent));
        if settled || Instant::now() + PAUSE >= end {
            return answer;
        }
        thread::sleep(PAUSE);
    }
}

/// That it has expired, as the validator that this node says it is has it.
fn expired(node: &Node) -> Answer {
    Answer::Word(Word::Expired(node.status().ok().and_then(|status| status.index)))
}

/// The time of the node's head where that is certified.
fn certified_time(node: &Node) -> Option<u64> {
    let status = node.status().ok()?;
    (status.certified_height == status.height).then_some(status.time)
}

fn judge(node: &Node, genesis: &Genesis, job: &Job, answer: Result<TransactionResponse, CallError>) -> Answer {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Answer::Word(word_of(error)),
    };
    match response.status {
        TransactionStatus::Applied | TransactionStatus::Failed => prove(node, genesis, job, response),
        TransactionStatus::Expired => expired(node),
        TransactionStatus::Rejected => Answer::Word(match response.code {
            None => Word::Waits("rejected it without a reason that ends it".to_owned()),
            Some(code) => Word::Refused(Box::new(Problem::new(code, code.as_str()))),
        }),
        TransactionStatus::Unknown => Answer::Word(Word::Absent),
        TransactionStatus::Queued | TransactionStatus::Accepted => {
            Answer::Word(Word::Waits("has it waiting".to_owned()))
        }
    }
}

/// Checks the receipt that the node gave, or fetches it where it only said the outcome.
fn prove(node: &Node, genesis: &Genesis, job: &Job, response: TransactionResponse) -> Answer {
    let receipt = match response.receipt {
        Some(receipt) => receipt,
        None => match node.receipt(&job.id) {
            Ok(receipt) => receipt,
            Err(error) => return Answer::Word(Word::Waits(error.to_string())),
        },
    };
    match receipt::check(&receipt, genesis, Some(job.id)) {
        Ok(_) => Answer::Proved(Box::new(TransactionResponse::certified(receipt))),
        Err(reason) => Answer::Word(Word::Lied(reason)),
    }
}

fn word_of(error: CallError) -> Word {
    match error {
        CallError::Unreachable(reason) => Word::Unreachable(reason),
        CallError::Denied(detail) => Word::Denied(detail),
        CallError::Lost(_) | CallError::Nonsense(_) => Word::Waits(error.to_string()),
        CallError::Problem { status, problem, retry_after } => match (status, problem.outcome) {
            (404, _) => Word::Absent,
            (429 | 503, KnownOutcome::NotApplied) => Word::Busy(problem, retry_after),
            (400..=499, KnownOutcome::NotApplied) => Word::Refused(problem),
            _ => Word::Waits(format!("says: {}", problem.detail)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_then_another_then_a_weak_quorum_then_all() {
        assert_eq!(targets(0, 4, 1), [0]);
        assert_eq!(targets(1, 4, 1), [1]);
        assert_eq!(targets(2, 4, 1), [2, 3]);
        assert_eq!(targets(3, 4, 1), [0, 1, 2, 3]);
        assert_eq!(targets(9, 4, 1), [0, 1, 2, 3]);
        assert_eq!(targets(2, 1, 0), [0]);
    }
}
