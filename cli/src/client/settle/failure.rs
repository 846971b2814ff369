//! The failures to settle a transaction, in words.

use quorate_protocol::api::code::{Asked, Code, KnownOutcome};
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::api::problem::Problem;

use super::ask::Word;
use super::book::Book;
use crate::client::access;
use crate::exit::{Exit, Failure};

impl Book<'_> {
    fn first<'b, T>(&'b self, pick: impl Fn(&'b Word) -> Option<T>) -> Option<(&'b str, T)> {
        let mut said = self.nodes.iter().zip(&self.words);
        said.find_map(|(node, word)| Some((node.name(), pick(word.as_ref()?)?)))
    }

    fn state(&self, status: TransactionStatus, code: Option<Code>) -> TransactionResponse {
        TransactionResponse { code, ..TransactionResponse::new(self.job.id, status) }
    }

    /// Enough validators refuse the bytes for what they are: exit code 4.
    pub(super) fn never_applied(&self) -> Failure {
        let refusal = self.first(|word| match word {
            Word::Refused(problem, _) if problem.code.is_final() => Some(problem),
            _ => None,
        });
        let Some((node, problem)) = refusal else { return self.unknown() };
        let message = format!("{} was refused by {node}: {}", self.job.id, problem.detail);
        Failure::new(Exit::NotApplied, problem.code.as_str(), message, problem.hint.clone())
            .with_data(TransactionResponse::rejected(self.job.id, problem.code))
    }

    /// Nodes refuse it, and that is not certain: whoever has the bytes may keep them.
    pub(super) fn refused(&self) -> Option<Failure> {
        let (node, problem) = self.first(|word| match word {
            Word::Refused(problem, _) => Some(problem),
            _ => None,
        })?;
        let doubt = if problem.code.is_final() {
            format!("that is certain only if {} validators say so", self.weak_quorum())
        } else {
            "that may change, and a node that has the bytes may keep them until its valid_until has passed".to_owned()
        };
        let message = format!("{} was refused by {node}: {}; {doubt}", self.job.id, problem.detail);
        Some(self.not_certain(Exit::Unknown, problem.code.as_str(), message, &problem.hint, Some(problem.code)))
    }

    /// A node has no room: exit code 8, or 5 where the table says so.
    pub(super) fn busy(&self) -> Option<Failure> {
        let (node, problem): (&str, &Problem) = self.first(|word| match word {
            Word::Busy(problem, _) => Some(&**problem),
            _ => None,
        })?;
        let exit = Exit::of(problem.code, Asked::Submission);
        let message = format!("{} was not accepted: {node} says: {}", self.job.id, problem.detail);
        Some(self.not_certain(exit, problem.code.as_str(), message, &problem.hint, Some(problem.code)))
    }

    /// The bytes were shown, and the node wants credentials.
    pub(super) fn denied(&self) -> Option<Failure> {
        let (node, detail) = self.first(|word| match word {
            Word::Denied(detail) => Some(detail),
            _ => None,
        })?;
        let Failure { exit, code, message, hint, .. } = access::denied(node, detail);
        Some(self.not_certain(exit, &code, message, &hint, None))
    }

    /// The proof that was asked for is false, from every node that has one to give. Where bytes were sent nothing is known
    /// of them by that, and [`Book::unknown`] says so.
    pub(super) fn deceived(&self) -> Option<Failure> {
        let only_lies = |word: &Word| matches!(word, Word::Lied(_) | Word::Unreachable(_));
        if self.job.bytes.is_some() || !self.words.iter().flatten().all(only_lies) {
            return None;
        }
        let (node, reason) = self.lie()?;
        Some(Failure::unverified(
            format!("{node} gave a receipt of {} that does not hold: {reason}", self.job.id),
            DO_NOT_TRUST,
        ))
    }

    fn lie(&self) -> Option<(&str, &String)> {
        self.first(|word| match word {
            Word::Lied(reason) => Some(reason),
            _ => None,
        })
    }

    pub(super) fn not_found(&self) -> Failure {
        Failure::new(
            Exit::NotFound,
            Code::NotFound.as_str(),
            format!("no node knows the transaction {}", self.job.id),
            "check the id, and that it was sent to this chain",
        )
    }

    pub(super) fn nothing_sent(&self) -> Failure {
        let reason = self.first(|word| match word {
            Word::Unreachable(reason) => Some(reason),
            _ => None,
        });
        let reason = reason.map_or_else(String::new, |(node, reason)| format!(": {node} {reason}"));
        Failure::new(
            Exit::NotSent,
            "no_quorum_reachable",
            format!("nothing was sent, no node can be reached{reason}"),
            "check that the nodes run and that their addresses are right, then send it again",
        )
        .with_outcome(KnownOutcome::NotApplied)
    }

    pub(super) fn unknown(&self) -> Failure {
        let told = self.nodes.iter().zip(&self.words).filter_map(|(node, word)| Some((node, word.as_ref()?)));
        let told: Vec<String> = told.map(|(node, word)| format!("{} {}", node.name(), describe(word))).collect();
        let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) };
        let message = format!("{} may be applied or not: no certified outcome is known yet{told}", self.job.id);
        let distrust = if self.lie().is_some() { DO_NOT_TRUST } else { "" };
        self.not_certain(Exit::Unknown, "outcome_unknown", message, distrust, None)
    }

    /// Whatever the reason, it may be applied or not, and the same bytes are what to go on with.
    fn not_certain(&self, exit: Exit, code: &str, message: String, hint: &str, reason: Option<Code>) -> Failure {
        let id = self.job.id;
        let first = if hint.is_empty() { String::new() } else { format!("{hint}; ") };
        let again =
            if self.job.bytes.is_some() { ", which sends the same bytes again: they apply at most once" } else { "" };
        Failure::new(exit, code, message, format!("{first}wait for it with: quorate tx wait {id}{again}"))
            .with_outcome(KnownOutcome::Unknown)
            .with_data(self.state(TransactionStatus::Unknown, reason))
    }
}

/// What to do about a false proof.
const DO_NOT_TRUST: &str =
    "do not trust the node whose proof is false; ask others with --node, and check that --genesis is the chain's";

fn describe(word: &Word) -> String {
    match word {
        Word::Waits(detail) => detail.clone(),
        Word::Unreachable(reason) => reason.clone(),
        Word::Expired(_) => "says it has expired; one validator's word is not enough".to_owned(),
        Word::Absent => "does not know it".to_owned(),
        Word::Refused(problem, _) | Word::Busy(problem, _) => format!("says {}", problem.code),
        Word::Denied(detail) => format!("wants credentials: {detail}"),
        Word::Lied(reason) => format!("gave a false proof: {reason}"),
    }
}
