//! The stream of events of one node: server-sent events, read with a bound on every line, until the node falls silent.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use quorate_crypto::key::PublicKey;
use quorate_protocol::api::event::{Cursor, Event};

use super::http::{CallError, Node};

/// The longest line of a stream, and the longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// How many events wait for whoever prints them.
const WAITING_MAX: usize = 256;
/// After how long a stream is opened anew even if it lives, so that a reader of a dead one ends as well.
const STREAM_FOR: Duration = Duration::from_secs(600);

/// Which events are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Those after this one.
    pub after: Cursor,
    /// Only those about this account.
    pub account: Option<PublicKey>,
    /// Only these kinds, by the names that the types of events have.
    pub kinds: Vec<&'static str>,
}

/// What a stream has brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// An event and its place.
    Event(Cursor, Event),
    /// A sign of life.
    Alive,
}

/// Why a stream has no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The node was silent for as long as was given to it.
    Silent,
    /// It ended, or brought what is no stream of events.
    Broken(String),
}

/// An open stream.
#[derive(Debug)]
pub struct Stream {
    receiver: Receiver<Result<Item, String>>,
}

impl Stream {
    /// Opens the stream of a node.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn open(node: &Node, wanted: &Wanted) -> Result<Stream, CallError> {
        let mut path = format!("/v1/events?after={}", wanted.after);
        if let Some(account) = &wanted.account {
            path += &format!("&account={account}");
        }
        if !wanted.kinds.is_empty() {
            path += &format!("&kinds={}", wanted.kinds.join(","));
        }
        let body = node.stream(&path, Some(&wanted.after.to_string()), STREAM_FOR)?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        thread::spawn(move || read(body, &sender));
        Ok(Stream { receiver })
    }

    /// What comes next.
    ///
    /// # Errors
    /// When nothing comes any more, or not within `patience`.
    pub fn next(&self, patience: Duration) -> Result<Item, Ended> {
        match self.receiver.recv_timeout(patience) {
            Ok(item) => item.map_err(Ended::Broken),
            Err(RecvTimeoutError::Timeout) => Err(Ended::Silent),
            Err(RecvTimeoutError::Disconnected) => Err(Ended::Broken("the stream ended".to_owned())),
        }
    }
}

/// Reads until the stream ends or nobody listens any more.
fn read(mut body: impl Read, sender: &SyncSender<Result<Item, String>>) {
    let mut parser = Parser::default();
    let mut chunk = [0; 4096];
    loop {
        let read = match body.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) => return drop(sender.send(Err(error.to_string()))),
        };
        if sender.send(Ok(Item::Alive)).is_err() {
            return;
        }
        for &byte in &chunk[..read] {
            match parser.push(byte) {
                Ok(None) => {}
                Ok(Some(item)) => {
                    if sender.send(Ok(item)).is_err() {
                        return;
                    }
                }
                Err(reason) => return drop(sender.send(Err(reason))),
            }
        }
    }
}

/// Server-sent events, byte by byte. Holds one message at most.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_return: bool,
    id: String,
    kind: String,
    /// The lines of the message so far, each ended.
    data: String,
}

impl Parser {
    /// Takes the next byte; an event where that ends one.
    ///
    /// # Errors
    /// Why this is no stream of events; nothing behind it is worth reading.
    pub fn push(&mut self, byte: u8) -> Result<Option<Item>, String> {
        let ends = byte == b'\r' || (byte == b'\n' && !self.after_return);
        let skipped = byte == b'\n' && self.after_return;
        self.after_return = byte == b'\r';
        if skipped {
            return Ok(None);
        }
        if !ends {
            self.line.push(byte);
            let length = self.line.len() + self.data.len();
            return if length > MESSAGE_BYTES_MAX { Err("a message is too long".to_owned()) } else { Ok(None) };
        }
        let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| "a line is no text".to_owned())?;
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = value.to_owned(),
            "event" => self.kind = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            // Comments, `retry`, and what is not known.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Result<Option<Item>, String> {
        let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
        // Kinds that this program does not know are for a later one.
        if data.is_empty() || !matches!(kind.as_str(), "transaction" | "block") {
            return Ok(None);
        }
        let data = data.strip_suffix('\n').unwrap_or(&data);
        let cursor = self.id.parse().map_err(|error| format!("`{}`: {error}", self.id))?;
        let event = serde_json::from_str(data).map_err(|error| format!("event {}: {error}", self.id))?;
        Ok(Some(Item::Event(cursor, event)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quorate_crypto::hash::Digest;
    use quorate_protocol::api::event::BlockEvent;
    use quorate_protocol::id::Height;

    use super::*;

    fn block(height: u64) -> Event {
        let (hash, state_root) = (Digest::ZERO, Digest::ZERO);
        Event::Block(BlockEvent { height: Height(height), hash, time: 5, state_root, transactions: 0 })
    }

    fn parse(text: &str) -> Result<Vec<Item>, String> {
        let mut parser = Parser::default();
        let mut items = Vec::new();
        for byte in text.bytes() {
            items.extend(parser.push(byte)?);
        }
        Ok(items)
    }

    #[test]
    fn messages_are_read_whatever_their_lines_end_with() {
        let data = serde_json::to_string(&block(3)).unwrap();
        for end in ["\n", "\r\n", "\r"] {
            let text =
                [": hello", "", "id: 3-0", "event: block", "retry: 5", &format!("data: {data}"), "", ""].join(end);
            let cursor = Cursor { height: Height(3), index: 0 };
            assert_eq!(parse(&text), Ok(vec![Item::Event(cursor, block(3))]), "{end:?}");
        }
    }

    #[test]
    fn unknown_kinds_are_passed_over_and_nonsense_ends_the_stream() {
        assert_eq!(parse("event: weather\ndata: sun\n\n"), Ok(Vec::new()));
        assert!(parse("id: 3-0\nevent: block\ndata: {}\n\n").is_err());
        let data = serde_json::to_string(&block(3)).unwrap();
        assert!(parse(&format!("id: three\nevent: block\ndata: {data}\n\n")).is_err());
        assert!(parse(&format!("event: block\ndata: {data}\n\n")).is_err(), "an event has a place");
    }

    #[test]
    fn data_in_many_lines_is_joined_and_copied_once() {
        let data = serde_json::to_string_pretty(&block(3)).unwrap();
        let lines: String = data.lines().map(|line| format!("data: {line}\n")).collect();
        let cursor = Cursor { height: Height(3), index: 0 };
        assert_eq!(parse(&format!("id: 3-0\nevent: block\n{lines}\n")), Ok(vec![Item::Event(cursor, block(3))]));
        let (mut parser, mut rooms) = (Parser::default(), std::collections::BTreeSet::new());
        for byte in "data: 0\n".repeat(10_000).bytes() {
            parser.push(byte).unwrap();
            rooms.insert(parser.data.capacity());
        }
        assert!(rooms.len() < 20, "what came before is copied with every line: {} times", rooms.len());
    }

    #[test]
    fn an_endless_line_and_an_endless_message_are_cut_off() {
        assert!(parse(&"x".repeat(MESSAGE_BYTES_MAX + 1)).is_err());
        assert!(parse(&"data: 0123456789\n".repeat(MESSAGE_BYTES_MAX / 10)).is_err());
        assert!(parse(&"data:\n".repeat(MESSAGE_BYTES_MAX + 1)).is_err(), "empty lines count, too");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut parser = Parser::default();
            for byte in bytes {
                let _ = parser.push(byte);
            }
        }
    }
}
