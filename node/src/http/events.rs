//! `GET /v1/events`: what was certified, as server-sent events.
//!
//! A stream is read from the store at its reader's own pace, one block at a time, so a slow reader costs one block's
//! events and loses none. It waits for a request's place in the bounds only until it begins; streams have a bound of
//! their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use quorate_crypto::key::PublicKey;
use quorate_protocol::api::Code;
use quorate_protocol::api::event::{Cursor, Event};
use quorate_protocol::api::http::EventsQuery;
use quorate_protocol::id::Height;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::context::Api;
use super::places::{Busy, Place as Connection};
use super::problem::Refusal;
use crate::certified::Tip;
use crate::event_blocks::EventBlock;

/// A stream that has nothing to tell says so this often, so that neither side takes the other for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// What a stream sends then: a comment.
const KEEP_ALIVE_TEXT: &[u8] = b": nothing new\n\n";
/// Bytes after which a piece of a block goes out.
const CHUNK_BYTES: usize = 32 * 1024;
/// The header in which a browser tells where it was.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies that gather an answer before they pass it on are told not to.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /v1/events?after=HEIGHT-INDEX&account=ADDRESS&kinds=transaction,block`
pub async fn events(
    State(api): State<Arc<Api>>,
    Extension(connection): Extension<Arc<Connection>>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(query) = query?;
    let filter = Filter::of(&query)?;
    let after = after(&headers, &query)?;
    let permit = Arc::clone(&api.event_streams).try_acquire_owned();
    let permit = permit.map_err(|_| Refusal::new(Code::Overloaded, "too many streams of events are open"))?;
    let tip = api.certified.watch();
    let start = match after {
        Some(cursor) => Place::after(cursor),
        None => Place { height: api.certified.height().next(), index: 0 },
    };
    let busy = connection.begin();
    let stream = Stream { api, filter, tip, next: start, block: None, spoke: None, _permit: permit, _busy: busy };
    let body = Body::from_stream(unfold(stream, async |stream| {
        let (bytes, stream) = stream.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), stream))
    }));
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store"), (NO_BUFFERING, "no")];
    Ok((headers, body).into_response())
}

/// Where the client was: the header wins, since it is what a browser sends when it connects again with the same address.
fn after(headers: &HeaderMap, query: &EventsQuery) -> Result<Option<Cursor>, Refusal> {
    let malformed = |what: &str, reason: String| Refusal::new(Code::BadRequest, format!("{what}: {reason}"));
    let (what, text) = match (headers.get(LAST_EVENT_ID), &query.after) {
        (Some(value), _) => {
            let text = value.to_str().map_err(|error| malformed("Last-Event-ID", error.to_string()))?;
            ("Last-Event-ID", text)
        }
        (None, Some(after)) => ("after", after.as_str()),
        (None, None) => return Ok(None),
    };
    text.parse().map(Some).map_err(|error: quorate_protocol::api::event::BadCursor| malformed(what, error.to_string()))
}

/// What a client wants to hear of.
#[derive(Debug, PartialEq, Eq)]
struct Filter {
    account: Option<PublicKey>,
    transactions: bool,
    blocks: bool,
}

impl Filter {
    fn of(query: &EventsQuery) -> Result<Filter, Refusal> {
        let account = query.account;
        let Some(kinds) = &query.kinds else {
            return Ok(Filter { account, transactions: true, blocks: true });
        };
        let mut filter = Filter { account, transactions: false, blocks: false };
        for kind in kinds.split(',') {
            match kind {
                "transaction" => filter.transactions = true,
                "block" => filter.blocks = true,
                other => {
                    let detail = format!("kinds: there are no events of kind {other:?}");
                    return Err(Refusal::new(Code::BadRequest, detail).hint("write transaction, block or both"));
                }
            }
        }
        Ok(filter)
    }

    fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Transaction(event) => {
                self.transactions && self.account.is_none_or(|account| account == event.sender)
            }
            Event::Block(_) => self.blocks,
        }
    }
}

/// The first place that a client has not heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    height: Height,
    index: u32,
}

impl Place {
    fn after(cursor: Cursor) -> Place {
        match cursor.index.checked_add(1) {
            // Nothing happened in the genesis.
            Some(index) if cursor.height > Height::ZERO => Place { height: cursor.height, index },
            _ => Place { height: cursor.height.next(), index: 0 },
        }
    }
}

/// One client's stream.
struct Stream {
    api: Arc<Api>,
    filter: Filter,
    tip: watch::Receiver<Tip>,
    next: Place,
    /// The block at hand.
    block: Option<Arc<EventBlock>>,
    /// When something was sent last.
    spoke: Option<Instant>,
    _permit: OwnedSemaphorePermit,
    /// It keeps the place of its connection.
    _busy: Busy,
}

impl Stream {
    /// The next piece; `None` when the node stops, or its store cannot be read.
    async fn next(mut self) -> Option<(Bytes, Stream)> {
        let Some(spoke) = self.spoke else {
            // Shows at once that the stream stands.
            let Place { height, index } = self.next;
            return Some(self.say(Bytes::from(format!(": from {height}-{index} on\n\n"))));
        };
        loop {
            let Tip { height, stopping } = *self.tip.borrow_and_update();
            if stopping {
                return None;
            }
            let bytes = if self.next.height <= height { self.read().await? } else { Vec::new() };
            if !bytes.is_empty() {
                return Some(self.say(Bytes::from(bytes)));
            }
            let patience = spoke + KEEP_ALIVE;
            if self.next.height > height {
                match timeout_at(patience, self.tip.changed()).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => return None,
                    Err(_) => {}
                }
            }
            // A long way through blocks of which the client wants nothing is silence, too.
            if Instant::now() >= patience {
                return Some(self.say(Bytes::from_static(KEEP_ALIVE_TEXT)));
            }
        }
    }

    fn say(mut self, bytes: Bytes) -> (Bytes, Stream) {
        self.spoke = Some(Instant::now());
        (bytes, self)
    }

    /// What the client wants of the block at `next`, as much as fits a piece.
    async fn read(&mut self) -> Option<Vec<u8>> {
        let block = match self.block.take() {
            Some(block) => block,
            None => {
                let height = self.next.height;
                let read = self.api.event_blocks.get(height).await;
                read.inspect_err(|error| warn!(%height, %error, "a stream of events cannot be read")).ok()?
            }
        };
        let mut bytes = Vec::new();
        for (cursor, event) in block.events(self.next.index) {
            if bytes.len() >= CHUNK_BYTES {
                self.next = Place { height: cursor.height, index: cursor.index };
                self.block = Some(block.clone());
                return Some(bytes);
            }
            if self.filter.wants(&event) {
                write(&mut bytes, cursor, &event);
            }
        }
        self.next = Place { height: self.next.height.next(), index: 0 };
        Some(bytes)
    }
}

fn write(bytes: &mut Vec<u8>, cursor: Cursor, event: &Event) {
    let name = match event {
        Event::Transaction(_) => "transaction",
        Event::Block(_) => "block",
    };
    bytes.extend_from_slice(format!("id: {cursor}\nevent: {name}\ndata: ").as_bytes());
    // Made of strings and numbers only, on one line; a vector takes all of it.
    let _ = serde_json::to_writer(&mut *bytes, event);
    bytes.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(after: Option<&str>, kinds: Option<&str>) -> EventsQuery {
        EventsQuery { after: after.map(str::to_owned), account: None, kinds: kinds.map(str::to_owned) }
    }

    #[test]
    fn header_wins_over_the_parameter_and_both_are_read_strictly() {
        let header = |text: &str| HeaderMap::from_iter([(LAST_EVENT_ID, text.parse().unwrap())]);
        let at = |height, index| Some(Cursor { height: Height(height), index });
        assert_eq!(after(&HeaderMap::new(), &query(None, None)).unwrap(), None);
        assert_eq!(after(&HeaderMap::new(), &query(Some("3-1"), None)).unwrap(), at(3, 1));
        assert_eq!(after(&header("4-2"), &query(Some("3-1"), None)).unwrap(), at(4, 2));
        assert!(after(&header("4"), &query(Some("3-1"), None)).is_err(), "what wins must be right");
        assert!(after(&HeaderMap::new(), &query(Some("3-01"), None)).is_err());
    }

    #[test]
    fn a_stream_begins_behind_its_cursor() {
        let begins = |text: &str| {
            let Place { height, index } = Place::after(text.parse().unwrap());
            (height.0, index)
        };
        assert_eq!(begins("0-0"), (1, 0), "from the beginning on");
        assert_eq!(begins("7-3"), (7, 4));
        assert_eq!(begins("7-4294967295"), (8, 0));
        assert_eq!(begins("18446744073709551615-0"), (u64::MAX, 1), "beyond any chain");
    }

    #[test]
    fn kinds_are_named_and_nothing_else() {
        let kinds =
            |text: &str| Filter::of(&query(None, Some(text))).map(|filter| (filter.transactions, filter.blocks));
        assert_eq!(kinds("block").unwrap(), (false, true));
        assert_eq!(kinds("block,transaction").unwrap(), (true, true));
        assert!(["", "blocks", "block,", "Block"].iter().all(|text| kinds(text).is_err()));
    }
}
