//! `quorate batch`: many transactions, or one of many operations, from a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_protocol::api::code::Code;
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::{Genesis, SignedTransaction};
use quorate_protocol::id::{Height, TransactionId};
use serde::Serialize;

use super::batch_file::{self, Item};
use super::context::Context;
use crate::arguments::Format;
use crate::arguments::batch::Batch;
use crate::client::http::Node;
use crate::client::journal::{Journal, Standing};
use crate::client::settle::{Job, settle};
use crate::client::submit::{not_a_member, sign};
use crate::client::survey;
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::interrupt::{self, Stage};
use crate::output::progress::Progress;
use crate::output::table::Style;
use crate::output::{Readable, word};

/// What became of one line.
#[derive(Clone, Debug, Serialize)]
struct LineOutcome {
    line: usize,
    id: Option<TransactionId>,
    status: TransactionStatus,
    code: Option<Code>,
    height: Option<Height>,
    index: Option<u32>,
    /// An earlier run has sent it.
    sent_before: bool,
    /// Why there is no certain outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    exit: Exit,
    #[serde(skip)]
    words: String,
}

#[derive(Serialize)]
struct Shown {
    journal: PathBuf,
    outcomes: Vec<LineOutcome>,
}

/// What the workers share.
struct Shared {
    items: Vec<Item>,
    nodes: Vec<Node>,
    genesis: Arc<Genesis>,
    keys: BTreeMap<PublicKey, SecretKey>,
    /// Senders that the chain does not know: nothing of theirs is sent.
    strangers: BTreeSet<PublicKey>,
    journal: Mutex<Journal>,
    /// The time of the chain's head, Unix milliseconds, and when it was that.
    head: (u64, Instant),
    patience: Duration,
    next: AtomicUsize,
}

/// Sends what was not sent before, and prints one outcome for each line.
///
/// # Errors
/// Exit code 2, 3 or 10 when a line is not understood, before anything is sent; else see [`settle`].
pub fn run(arguments: &Batch, context: &Context) -> Result<Exit, Failure> {
    let genesis = context.genesis()?;
    let path = journal_path(arguments)?;
    let items = batch_file::read(arguments, context)?;
    batch_file::check_senders(&items)?;
    let journal = Journal::open(&path, genesis.chain_id())?;
    let mut keys = BTreeMap::new();
    for (sender, from) in batch_file::senders(&items) {
        keys.insert(sender, context.sender_key(from.as_deref())?);
    }
    let weak_quorum = genesis.validators.weak_quorum();
    let survey = survey::look_around(context.nodes()?, weak_quorum, context.deadline)?;
    let senders = batch_file::senders(&items).into_keys().collect();
    let strangers = survey::strangers(&survey.nodes, weak_quorum, &senders, context.seen());
    let shared = Arc::new(Shared {
        items,
        nodes: survey.nodes,
        genesis,
        keys,
        strangers,
        journal: Mutex::new(journal),
        head: (survey.head_time, Instant::now()),
        patience: context.patience,
        next: AtomicUsize::new(0),
    });
    let mut outcomes = work(&shared, usize::from(arguments.concurrency), context)?;
    context.remember(outcomes.iter().filter_map(|outcome| outcome.height).max());
    outcomes.sort_unstable_by_key(|outcome| outcome.line);
    report(Shown { journal: path, outcomes }, context)
}

fn journal_path(arguments: &Batch) -> Result<PathBuf, Failure> {
    if let Some(path) = &arguments.journal {
        return Ok(path.clone());
    }
    if arguments.file.as_os_str() == "-" {
        return Err(Failure::usage(
            "a batch from stdin has no name to keep its journal under",
            "give --journal FILE; with the same journal nothing is sent twice",
        ));
    }
    let mut name = arguments.file.clone().into_os_string();
    name.push(".journal");
    Ok(name.into())
}

/// Lets `count` workers take the items one after the other; prints outcomes as they come.
fn work(shared: &Arc<Shared>, count: usize, context: &Context) -> Result<Vec<LineOutcome>, Failure> {
    let (sender, receiver) = channel();
    let of = shared.items.len();
    interrupt::enter(Stage::Batch { done: 0, of });
    for worker in 0..count.min(of) {
        let (shared, sender) = (Arc::clone(shared), sender.clone());
        thread::spawn(move || shared.take_items(worker, |outcome| sender.send(outcome).is_ok()));
    }
    drop(sender);
    let mut progress = Progress::on_terminal();
    let mut outcomes = Vec::with_capacity(of);
    let mut done = 0;
    for outcome in receiver {
        let outcome = outcome?;
        done += usize::from(matches!(outcome.exit, Exit::Success | Exit::NotApplied));
        interrupt::enter(Stage::Batch { done, of });
        progress.clear();
        print_one(&outcome, context)?;
        outcomes.push(outcome);
        progress.tick(&format!("{} of {of} lines", outcomes.len()));
    }
    Ok(outcomes)
}

fn print_one(outcome: &LineOutcome, context: &Context) -> Result<(), Failure> {
    match context.printer.format() {
        Format::Table => context.printer.print_line(&outcome.text(context.printer.style())),
        Format::Jsonl => {
            let line = serde_json::to_string(outcome)
                .map_err(|error| Failure::internal(error.to_string(), "report this fault"))?;
            context.printer.print_line(&line)
        }
        Format::Json => Ok(()),
    }
}

impl Shared {
    fn take_items(&self, worker: usize, send: impl Fn(Result<LineOutcome, Failure>) -> bool) {
        let mut nodes = self.nodes.clone();
        nodes.rotate_left(worker % self.nodes.len().max(1));
        while let Some(item) = self.items.get(self.next.fetch_add(1, Ordering::SeqCst)) {
            if !send(self.bring_home(item, &nodes)) {
                return;
            }
        }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings one item to its outcome; an error is one of the journal, after which nothing may be sent.
    fn bring_home(&self, item: &Item, nodes: &[Node]) -> Result<LineOutcome, Failure> {
        let standing = self.journal().standing(&item.key).cloned();
        match standing {
            Some(Standing::Settled(outcome)) => return Ok(item.outcome(Ok(*outcome), true)),
            Some(Standing::Signed(signed)) => {
                let job = Job { first_time: false, ..Job::first(&signed) };
                let settled = self.settle(item, &job, nodes)?;
                let expired = matches!(&settled, Ok(outcome) if outcome.status == TransactionStatus::Expired);
                if !expired {
                    return Ok(item.outcome(settled, true).about(job.id));
                }
            }
            None => {}
        }
        if self.strangers.contains(&item.sender) {
            let failure = not_a_member(&item.sender, self.genesis.validators.weak_quorum());
            return Ok(item.outcome(Err(failure), false).refused(Code::UnknownSender));
        }
        let signed = self.sign(item)?;
        self.journal().sign(item.key, &signed)?;
        let job = Job::first(&signed);
        Ok(item.outcome(self.settle(item, &job, nodes)?, false).about(job.id))
    }

    fn sign(&self, item: &Item) -> Result<SignedTransaction, Failure> {
        let key =
            self.keys.get(&item.sender).ok_or_else(|| Failure::internal("a sender has no key", "report this fault"))?;
        let since = u64::try_from(self.head.1.elapsed().as_millis()).unwrap_or(u64::MAX);
        sign(&self.genesis, key, &item.draft, clock::now_ms().max(self.head.0.saturating_add(since)))
    }

    fn settle(&self, item: &Item, job: &Job, nodes: &[Node]) -> Result<Result<TransactionResponse, Failure>, Failure> {
        let deadline = Instant::now() + self.patience;
        let settled = settle(nodes, &self.genesis, job, deadline, &mut Progress::silent());
        if let Ok(outcome) = &settled {
            self.journal().settle(item.key, outcome)?;
        }
        Ok(settled)
    }
}

impl Item {
    fn outcome(&self, settled: Result<TransactionResponse, Failure>, sent_before: bool) -> LineOutcome {
        let mut line = LineOutcome {
            line: self.line,
            id: None,
            status: TransactionStatus::Unknown,
            code: None,
            height: None,
            index: None,
            sent_before,
            error: None,
            exit: Exit::Success,
            words: self.words.clone(),
        };
        let told = match settled {
            Ok(told) => told,
            Err(failure) => {
                line.exit = failure.exit;
                line.error = Some(failure.message);
                let Some(told) = failure.data else { return line };
                *told
            }
        };
        if line.exit == Exit::Success && told.status != TransactionStatus::Applied {
            line.exit = Exit::NotApplied;
        }
        (line.id, line.status, line.code) = (Some(told.id), told.status, told.code);
        (line.height, line.index) = (told.height, told.index);
        line
    }
}

impl LineOutcome {
    /// Nothing of it was sent.
    fn refused(mut self, code: Code) -> LineOutcome {
        (self.status, self.code) = (TransactionStatus::Rejected, Some(code));
        self
    }

    fn about(mut self, id: TransactionId) -> LineOutcome {
        self.id = Some(id);
        self
    }

    fn text(&self, style: Style) -> String {
        let status = match self.status {
            TransactionStatus::Applied => style.good("applied"),
            TransactionStatus::Failed | TransactionStatus::Expired | TransactionStatus::Rejected => {
                style.bad(&word(&self.status))
            }
            _ => style.note(&word(&self.status)),
        };
        let code = self.code.map_or_else(String::new, |code| format!("  {code}"));
        let id = self.id.map_or_else(String::new, |id| format!("  {id}"));
        let before = if self.sent_before { "  (sent before)" } else { "" };
        let error = self.error.as_ref().map_or_else(String::new, |error| format!("  {error}"));
        format!("  line {}  {status}{code}{id}  {}{before}{error}", self.line, self.words)
    }
}

impl Readable for Shown {
    /// The lines were printed as they came.
    fn text(&self, _: Style) -> String {
        String::new()
    }
}

fn report(shown: Shown, context: &Context) -> Result<Exit, Failure> {
    let count = |exit: Exit| shown.outcomes.iter().filter(|outcome| outcome.exit == exit).count();
    let (of, applied, not_applied) = (shown.outcomes.len(), count(Exit::Success), count(Exit::NotApplied));
    let before = shown.outcomes.iter().filter(|outcome| outcome.sent_before).count();
    let summary = format!(
        "{applied} of {of} applied, {not_applied} not applied, {} without a certain outcome",
        of - applied - not_applied
    );
    context.printer.say(&format!("{summary}; {before} had been sent before, says {}", shown.journal.display()));
    let worst = [Exit::Unknown, Exit::Unverified, Exit::Auth, Exit::Overloaded, Exit::NotSent, Exit::NotApplied];
    let others =
        shown.outcomes.iter().map(|outcome| outcome.exit).find(|exit| !worst.contains(exit) && *exit != Exit::Success);
    let Some(exit) = worst.into_iter().find(|exit| count(*exit) > 0).or(others) else {
        if context.printer.format() == Format::Json {
            context.printer.print(&shown)?;
        }
        return Ok(Exit::Success);
    };
    let hint = match exit {
        Exit::NotApplied => {
            "see the codes; running the file again sends what expired or was never sent, and nothing twice"
        }
        _ => "run the same command again: it goes on with the same bytes and sends nothing twice",
    };
    let failure = Failure::new(exit, "batch_incomplete", summary, hint);
    match context.printer.format() {
        Format::Json => context.printer.print_failed(&shown, &failure),
        _ => Err(failure),
    }
}
