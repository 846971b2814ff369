//! `quorate events`.

use std::thread;
use std::time::{Duration, Instant};

use quorate_protocol::api::event::{Cursor, Event};
use quorate_protocol::id::Height;
use serde::Serialize;

use super::context::Context;
use crate::arguments::Format;
use crate::arguments::events::{Events, Kind};
use crate::client::events::{Ended, Item, Stream, Wanted};
use crate::client::http::{CallError, Node};
use crate::exit::{Exit, Failure};
use crate::interrupt::{self, Stage};
use crate::output::table::Style;
use crate::output::{READER_GONE, Readable, word};

/// How long a node may be silent before another one is asked; nodes send signs of life more often.
const SILENT_MAX: Duration = Duration::from_secs(45);
/// How long a node may be silent before what it has sent of one account is taken for all up to its head: the block that
/// would say so need not be sent then.
const QUIET: Duration = Duration::from_secs(3);
/// The first pause after every node has failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How many events one JSON document holds at most.
const COLLECTED_MAX: usize = 10_000;

/// An event with its place.
#[derive(Serialize)]
struct Placed {
    cursor: String,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize)]
struct Collected {
    events: Vec<Placed>,
}

struct Follower<'a> {
    context: &'a Context,
    arguments: &'a Events,
    wanted: Wanted,
    /// The last height that is wanted.
    until: Option<Height>,
    printed: u64,
    collected: Vec<Placed>,
}

/// Prints events until there are enough of them, the head is reached, or, with `--follow`, for ever.
///
/// # Errors
/// Exit code 6 when no node can be reached for as long as `--timeout` says.
pub fn run(arguments: &Events, context: &Context) -> Result<Exit, Failure> {
    let format = context.printer.format();
    if arguments.follow && arguments.count.is_none() && format == Format::Json {
        return Err(Failure::usage("a stream without end has no JSON document", "use --output jsonl, or --count"));
    }
    let account = arguments.account.as_ref().map(|account| context.address(account)).transpose()?;
    let at_least = if arguments.follow { Some(Height::ZERO) } else { arguments.reading.height() };
    let (head, _) = context.ask_at_least(at_least, |node| node.status())?;
    let head = head.certified_height;
    let after = match (arguments.after, arguments.follow) {
        (Some(after), _) => after,
        (None, false) => Cursor { height: Height(0), index: 0 },
        // Only what is new: everything of the head's block is before it.
        (None, true) => Cursor { height: head, index: u32::MAX },
    };
    let until = (!arguments.follow).then_some(head);
    let kinds = if until.is_some() { Vec::new() } else { names(&arguments.kinds) };
    let wanted = Wanted { after, account, kinds };
    let mut follower = Follower { context, arguments, wanted, until, printed: 0, collected: Vec::new() };
    interrupt::enter(Stage::Following(arguments.after.map(|after| after.to_string())));
    match follower.run() {
        Err(failure) if failure.code == READER_GONE => Ok(Exit::Success),
        Err(failure) => Err(failure),
        Ok(()) if format == Format::Json => {
            context.printer.print(&Collected { events: follower.collected }).map(|()| Exit::Success)
        }
        Ok(()) => Ok(Exit::Success),
    }
}

fn names(kinds: &[Kind]) -> Vec<&'static str> {
    let name = |kind: &Kind| match kind {
        Kind::Transaction => "transaction",
        Kind::Block => "block",
    };
    kinds.iter().map(name).collect()
}

impl Follower<'_> {
    /// Goes from node to node, each time from where it is.
    fn run(&mut self) -> Result<(), Failure> {
        let nodes = self.context.asked_nodes()?;
        let (mut failed, mut alive, mut pause) = (0, Instant::now(), PAUSES.0);
        for node in nodes.iter().cycle() {
            if self.until.is_some_and(|until| self.wanted.after.height > until) {
                return Ok(());
            }
            let error = match Stream::open(node, &self.wanted) {
                Ok(stream) => match self.take(&stream)? {
                    None => return Ok(()),
                    Some((moved, reason)) => {
                        if moved {
                            (failed, alive, pause) = (0, Instant::now(), PAUSES.0);
                        }
                        self.say(node, &reason);
                        CallError::Lost(reason)
                    }
                },
                Err(error) => error,
            };
            failed += 1;
            if failed % nodes.len() == 0 {
                self.give_up(node, error, alive)?;
                thread::sleep(pause);
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        Ok(())
    }

    fn give_up(&self, node: &Node, error: CallError, alive: Instant) -> Result<(), Failure> {
        let final_word = matches!(&error, CallError::Problem { status: 400..=499, .. } | CallError::Denied(_));
        if !final_word && alive.elapsed() < self.context.patience {
            return Ok(());
        }
        let mut failure = error.into_failure(node.name());
        failure.hint = format!("{}; then go on with --after {}", failure.hint, self.wanted.after);
        Err(failure)
    }

    fn say(&self, node: &Node, reason: &str) {
        let after = self.wanted.after;
        self.context.printer.say(&format!("{}: {reason}; going on after {after} with the next node", node.name()));
    }

    /// Takes what a stream brings: `None` when that is enough, else why it ended and whether it brought anything.
    fn take(&mut self, stream: &Stream) -> Result<Option<(bool, String)>, Failure> {
        let may_be_quiet = self.until.is_some() && self.wanted.account.is_some();
        let patience = if may_be_quiet { QUIET } else { SILENT_MAX };
        let mut moved = false;
        loop {
            match stream.next(patience) {
                Ok(Item::Alive) => {}
                // Another node may begin with what the last one has sent.
                Ok(Item::Event(cursor, _)) if cursor <= self.wanted.after => {}
                Ok(Item::Event(cursor, event)) => {
                    moved = true;
                    if self.note(cursor, event)? {
                        return Ok(None);
                    }
                }
                Err(Ended::Silent) if may_be_quiet => return Ok(None),
                Err(Ended::Silent) => return Ok(Some((moved, "it is silent".to_owned()))),
                Err(Ended::Broken(reason)) => return Ok(Some((moved, reason))),
            }
        }
    }

    /// Prints an event if it is wanted, and says whether it is the last one.
    fn note(&mut self, cursor: Cursor, event: Event) -> Result<bool, Failure> {
        if self.until.is_some_and(|until| cursor.height > until) {
            return Ok(true);
        }
        let kind = match event {
            Event::Transaction(_) => Kind::Transaction,
            Event::Block(_) => Kind::Block,
        };
        if self.arguments.kinds.is_empty() || self.arguments.kinds.contains(&kind) {
            self.print(Placed { cursor: cursor.to_string(), event })?;
            self.printed += 1;
        }
        self.wanted.after = cursor;
        interrupt::enter(Stage::Following(Some(cursor.to_string())));
        let ends = kind == Kind::Block && self.until.is_some_and(|until| cursor.height >= until);
        Ok(ends || self.arguments.count.is_some_and(|count| self.printed >= count))
    }

    fn print(&mut self, placed: Placed) -> Result<(), Failure> {
        let printer = &self.context.printer;
        match printer.format() {
            Format::Table => printer.print_line(&placed.line(self.context, printer.style())),
            Format::Jsonl => {
                let line = serde_json::to_string(&placed);
                printer.print_line(&line.map_err(|error| Failure::internal(error.to_string(), "report this fault"))?)
            }
            Format::Json if self.collected.len() >= COLLECTED_MAX => Err(Failure::usage(
                format!("there are more than {COLLECTED_MAX} events"),
                "use --output jsonl, or --count and --after",
            )),
            Format::Json => {
                self.collected.push(placed);
                Ok(())
            }
        }
    }
}

impl Placed {
    fn line(&self, context: &Context, style: Style) -> String {
        let cursor = style.faint(&self.cursor);
        match &self.event {
            Event::Transaction(transaction) => {
                let status = word(&transaction.status);
                let status = if transaction.code.is_some() { style.bad(&status) } else { style.good(&status) };
                let code = transaction.code.map_or_else(String::new, |code| format!(" {code}"));
                let (id, sender) = (transaction.id, context.name_of(&transaction.sender));
                format!("  {cursor}  transaction {id}  {status}{code}  by {sender}")
            }
            Event::Block(block) => {
                let transactions = if block.transactions == 1 { "transaction" } else { "transactions" };
                format!("  {cursor}  block {}  {} {transactions}", block.hash, block.transactions)
            }
        }
    }
}

impl Readable for Collected {
    fn text(&self, _: Style) -> String {
        String::new()
    }
}
