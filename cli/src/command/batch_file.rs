//! The file of a batch: read with bounds and understood as a whole before anything of it is sent.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use quorate_crypto::hash::{Digest, digest};
use quorate_crypto::key::PublicKey;
use serde::Deserialize;
use serde_json::Value;

use super::context::Context;
use super::wish::{Wish, understand};
use crate::arguments::batch::Batch;
use crate::client::submit::{Draft, check};
use crate::exit::Failure;
use crate::files;

/// The longest file, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;
/// The most lines.
const LINES_MAX: usize = 100_000;
/// The most senders of one batch.
const SENDERS_MAX: usize = 256;

/// One transaction of a batch.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it stands in the file, from 1.
    pub line: usize,
    /// Whose key signs it.
    pub sender: PublicKey,
    /// The sender in the user's words.
    pub from: Option<String>,
    /// What is signed.
    pub draft: Draft,
    /// What tells it apart from every other transaction of the batch: its contents, and the how many-th of these it is.
    pub key: Digest,
    /// The same in words.
    pub words: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    operations: Vec<Wish>,
}

struct Line {
    number: usize,
    from: Option<String>,
    memo: Option<String>,
    wishes: Vec<Wish>,
}

/// Reads the file and understands all of it.
///
/// # Errors
/// Exit code 2, 3 or 10, naming the line.
pub fn read(arguments: &Batch, context: &Context) -> Result<Vec<Item>, Failure> {
    let name =
        if arguments.file.as_os_str() == "-" { "stdin".to_owned() } else { arguments.file.display().to_string() };
    let text = text(&arguments.file, &name)?;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if index >= LINES_MAX || line.len() > LINE_BYTES_MAX {
            let most = format!("a batch has at most {LINES_MAX} lines of at most {LINE_BYTES_MAX} bytes");
            return Err(Failure::usage(format!("{name} line {}: too much: {most}", index + 1), "split the file"));
        }
        lines.push(parse(line, index + 1).map_err(|failure| at(&name, index + 1, failure))?);
    }
    if lines.is_empty() {
        return Err(Failure::usage(
            format!("{name} holds no transaction"),
            "see `quorate batch --help` for what a line is",
        ));
    }
    let lines = if arguments.atomic { vec![joined(lines, &name)?] } else { lines };
    let mut repeats = BTreeMap::new();
    let mut items = Vec::with_capacity(lines.len());
    for line in lines {
        let number = line.number;
        items.push(item(line, arguments, context, &mut repeats).map_err(|failure| at(&name, number, failure))?);
    }
    Ok(items)
}

/// The senders, each with a word for it.
pub fn senders(items: &[Item]) -> BTreeMap<PublicKey, Option<String>> {
    items.iter().map(|item| (item.sender, item.from.clone())).collect()
}

fn text(path: &Path, name: &str) -> Result<String, Failure> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map(|_| bytes)
    } else {
        files::read(path, FILE_BYTES_MAX)
    };
    let bad = |reason: String| {
        Failure::config(
            "bad_batch_file",
            format!("{name} cannot be read: {reason}"),
            "give a text file with one JSON object a line",
        )
    };
    let bytes = bytes.map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(bad(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| bad(error.to_string()))
}

fn parse(line: &str, number: usize) -> Result<Line, Failure> {
    let bad =
        |error: serde_json::Error| Failure::usage(error.to_string(), "see `quorate batch --help` for what a line is");
    let mut object: serde_json::Map<String, Value> = serde_json::from_str(line).map_err(bad)?;
    let mut word = |key| object.remove(key).map(serde_json::from_value::<String>).transpose().map_err(bad);
    let (from, memo) = (word("from")?, word("memo")?);
    let wishes = match object.contains_key("operations") {
        true => serde_json::from_value::<Several>(object.into()).map_err(bad)?.operations,
        false => vec![serde_json::from_value(object.into()).map_err(bad)?],
    };
    Ok(Line { number, from, memo, wishes })
}

/// All lines as one transaction.
fn joined(lines: Vec<Line>, name: &str) -> Result<Line, Failure> {
    if let Some(line) = lines.iter().find(|line| line.from.is_some() || line.memo.is_some()) {
        let reason = Failure::usage(
            "with --atomic there is one sender and one memo for all lines",
            "take from and memo out of the lines, and give --from and --memo",
        );
        return Err(at(name, line.number, reason));
    }
    let number = lines.first().map_or(1, |line| line.number);
    Ok(Line { number, from: None, memo: None, wishes: lines.into_iter().flat_map(|line| line.wishes).collect() })
}

fn item(
    line: Line,
    arguments: &Batch,
    context: &Context,
    repeats: &mut BTreeMap<Digest, u32>,
) -> Result<Item, Failure> {
    let signing = &arguments.signing;
    let from = line.from.or_else(|| signing.from.clone());
    let sender = context.sender(from.as_deref())?;
    let (operations, words): (Vec<_>, Vec<_>) = understand(&line.wishes, &sender, context)?.into_iter().unzip();
    let memo = line.memo.unwrap_or_else(|| signing.memo.clone());
    let draft = Draft { operations, memo, valid_for: signing.valid_for };
    check(&*context.genesis()?, sender, &draft)?;
    let contents = digest("quorate/batch-contents", &(sender, &draft.operations, &draft.memo));
    let repeat = repeats.entry(contents).or_insert(0);
    let key = digest("quorate/batch-item", &(contents, *repeat));
    *repeat += 1;
    Ok(Item { line: line.number, sender, from, draft, key, words: words.join("; ") })
}

/// The same failure with its place.
fn at(name: &str, line: usize, failure: Failure) -> Failure {
    Failure { message: format!("{name} line {line}: {}; nothing was sent", failure.message), ..failure }
}

/// Refuses more senders than a batch may have, each of whose keys would have to be opened.
///
/// # Errors
/// Exit code 2.
pub fn check_senders(items: &[Item]) -> Result<(), Failure> {
    let count = senders(items).len();
    if count <= SENDERS_MAX {
        return Ok(());
    }
    Err(Failure::usage(format!("the batch has {count} senders, more than {SENDERS_MAX}"), "split the file"))
}
