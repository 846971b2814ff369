//! One connection's end of the vote and sync streams.
//!
//! Each side opens two streams, which live as long as the connection: it writes on its own and reads on the other's. The
//! first frame on a vote stream is the hello; nothing else is read or written before the hello of the other side has been
//! accepted. A stream that ends, or bytes that are no frame, end the connection: a new one starts clean.
//!
//! Silence is counted in ticks during which nothing was read, not by the clock: a process that was itself stopped for a
//! minute must not take its peers for dead.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Ready, ready};
use futures::io::{AsyncRead, AsyncWrite};
use libp2p::StreamProtocol;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade};
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, ConnectionId, Stream, SubstreamProtocol};
use thiserror::Error;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::events::{EventSender, NetworkEvent, ReceivedFrame};
use super::frame::{Class, Decoder, FrameError, Kind, StreamKind, ping_frame};
use super::peer::{Counters, Peer};

/// Small frames are gathered up to this many bytes before they are written: the size that Yamux cuts its frames to.
const WRITE_BYTES: usize = 16 << 10;
/// A write buffer that has grown beyond this is given back once it is empty.
const WRITE_KEEP_BYTES: usize = 64 << 10;

/// Names of the two protocols, which contain the chain: nodes of different chains have none in common.
#[derive(Clone, Debug)]
pub(super) struct Protocols {
    pub vote: StreamProtocol,
    pub sync: StreamProtocol,
}

/// When a connection is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Length of a tick; a stream that was idle for one carries a ping.
    pub tick: Duration,
    /// Ticks without a byte from the peer after which it is taken for dead.
    pub silent_ticks_max: u32,
    /// Ticks that the peer's hello may take.
    pub hello_ticks_max: u32,
}

/// Why this side ends a connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Break {
    #[error("it sent no frame: {0}")]
    Frame(#[from] FrameError),
    #[error("a stream broke: {0}")]
    Stream(String),
    #[error("it ended a stream")]
    Ended,
    #[error("it is on another chain, or of another release: {0}")]
    Negotiation(String),
    #[error("it opened the same stream twice")]
    SecondStream,
    #[error("it sent a frame that does not belong there")]
    Misplaced,
    #[error("it sent no hello in time")]
    NoHello,
    #[error("nothing was heard of it for too long")]
    Silent,
}

/// What the behaviour tells the handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted;

/// What the handler tells the behaviour.
#[derive(Debug)]
pub(super) enum Report {
    /// The payload of the peer's hello, to be judged.
    Hello(Bytes),
    /// The connection is of no use any more.
    Broken(Break),
}

/// See the module's description.
pub(super) struct Handler {
    protocols: Protocols,
    reports: VecDeque<Report>,
    to_open: Vec<StreamKind>,
    votes_out: Outbound,
    sync_out: Outbound,
    votes_in: Inbound,
    sync_in: Inbound,
    link: Link,
    clock: Interval,
    patience: Patience,
    silent_ticks: u32,
    hello_ticks: u32,
    broken: bool,
}

/// What both directions of a connection need.
struct Link {
    connection: ConnectionId,
    peer: Arc<Peer>,
    events: EventSender,
    counters: Arc<Counters>,
    accepted: bool,
}

impl Handler {
    /// A handler that will open its streams and say `hello`, an encoded frame. Must be called inside the runtime.
    pub(super) fn new(
        connection: ConnectionId,
        peer: Arc<Peer>,
        hello: Bytes,
        protocols: Protocols,
        patience: Patience,
        events: EventSender,
        counters: Arc<Counters>,
    ) -> Handler {
        let mut clock = interval_at(Instant::now() + patience.tick, patience.tick);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Handler {
            protocols,
            reports: VecDeque::new(),
            to_open: vec![StreamKind::Sync, StreamKind::Vote],
            votes_out: Outbound::new(StreamKind::Vote, &hello),
            sync_out: Outbound::new(StreamKind::Sync, &[]),
            votes_in: Inbound::new(StreamKind::Vote),
            sync_in: Inbound::new(StreamKind::Sync),
            link: Link { connection, peer, events, counters, accepted: false },
            clock,
            patience,
            silent_ticks: 0,
            hello_ticks: 0,
            broken: false,
        }
    }

    fn fail(&mut self, reason: Break) {
        if !self.broken {
            self.broken = true;
            self.reports.push_back(Report::Broken(reason));
        }
    }

    /// Reads, watches the time, writes: in this order, so that what has arrived counts before silence does.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Break> {
        self.votes_in.advance(&mut self.link, &mut self.reports, cx)?;
        self.sync_in.advance(&mut self.link, &mut self.reports, cx)?;
        while self.clock.poll_tick(cx).is_ready() {
            self.tick()?;
        }
        self.votes_out.advance(&self.link, cx)?;
        self.sync_out.advance(&self.link, cx)
    }

    fn tick(&mut self) -> Result<(), Break> {
        // Both are asked: `heard` starts the next tick.
        let heard = self.votes_in.heard() | self.sync_in.heard();
        self.silent_ticks = if heard { 0 } else { self.silent_ticks + 1 };
        if self.silent_ticks >= self.patience.silent_ticks_max {
            return Err(Break::Silent);
        }
        if !self.link.accepted {
            self.hello_ticks += 1;
            if self.hello_ticks >= self.patience.hello_ticks_max {
                return Err(Break::NoHello);
            }
        }
        self.votes_out.tick();
        Ok(())
    }

    fn outbound(&mut self, kind: StreamKind) -> &mut Outbound {
        match kind {
            StreamKind::Vote => &mut self.votes_out,
            StreamKind::Sync => &mut self.sync_out,
        }
    }

    fn inbound(&mut self, kind: StreamKind) -> &mut Inbound {
        match kind {
            StreamKind::Vote => &mut self.votes_in,
            StreamKind::Sync => &mut self.sync_in,
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Accepted;
    type ToBehaviour = Report;
    type InboundProtocol = InboundOffer;
    type OutboundProtocol = OutboundOffer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = StreamKind;

    fn listen_protocol(&self) -> SubstreamProtocol<InboundOffer> {
        SubstreamProtocol::new(InboundOffer(self.protocols.clone()), ())
    }

    /// Validators stay connected; only a broken link is closed, by the behaviour.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<OutboundOffer, StreamKind, Report>> {
        if let Some(kind) = self.to_open.pop() {
            let protocol = SubstreamProtocol::new(OutboundOffer::new(kind, &self.protocols), kind);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if !self.broken
            && let Err(reason) = self.advance(cx)
        {
            self.fail(reason);
        }
        match self.reports.pop_front() {
            Some(report) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, Accepted: Accepted) {
        // The connection's task polls the handler again after every event from the behaviour.
        self.link.accepted = true;
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, InboundOffer, OutboundOffer, (), StreamKind>) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(opened) => {
                self.outbound(opened.info).stream = Some(opened.protocol)
            }
            ConnectionEvent::FullyNegotiatedInbound(opened) => {
                let (kind, stream) = opened.protocol;
                if self.inbound(kind).start(stream).is_err() {
                    self.fail(Break::SecondStream);
                }
            }
            ConnectionEvent::DialUpgradeError(error) => self.fail(Break::Negotiation(error.error.to_string())),
            // A stream of a protocol that we do not speak is the peer's own loss.
            _ => {}
        }
    }
}

/// The stream that this side writes.
struct Outbound {
    kind: StreamKind,
    stream: Option<Stream>,
    /// Frames being written, `written` of whose bytes are gone already.
    buffer: Vec<u8>,
    written: usize,
    unflushed: bool,
    /// Whether something was written since the last tick.
    busy: bool,
}

impl Outbound {
    fn new(kind: StreamKind, first: &[u8]) -> Outbound {
        Outbound { kind, stream: None, buffer: first.to_vec(), written: 0, unflushed: false, busy: true }
    }

    /// Puts a ping on a stream that had nothing to say since the last tick. On one that is stuck there is something to say.
    fn tick(&mut self) {
        if !self.busy && self.buffer.is_empty() && self.stream.is_some() {
            self.buffer.extend_from_slice(&ping_frame());
        }
        self.busy = false;
    }

    /// Writes until the stream takes no more or nothing is left.
    fn advance(&mut self, link: &Link, cx: &mut Context<'_>) -> Result<(), Break> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        loop {
            if self.buffer.is_empty() {
                fill(&mut self.buffer, self.kind, link, cx);
            }
            if self.buffer.is_empty() {
                break;
            }
            match Pin::new(&mut *stream).poll_write(cx, &self.buffer[self.written..]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Break::Ended),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Err(stream_error(&error)),
            }
            self.busy = true;
            self.unflushed = true;
            if self.written == self.buffer.len() {
                self.written = 0;
                self.buffer.clear();
                self.buffer.shrink_to(WRITE_KEEP_BYTES);
            }
        }
        if self.unflushed {
            match Pin::new(stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(stream_error(&error)),
            }
        }
        Ok(())
    }
}

/// Takes frames from the outbox, the most urgent first, until there is enough for one write.
fn fill(buffer: &mut Vec<u8>, kind: StreamKind, link: &Link, cx: &mut Context<'_>) {
    while link.accepted && buffer.len() < WRITE_BYTES {
        let Some(frame) = link.peer.pop(link.connection, kind, cx.waker()) else {
            return;
        };
        buffer.extend_from_slice(&frame);
        link.counters.sent(frame.len());
    }
}

/// The stream that the peer writes.
struct Inbound {
    kind: StreamKind,
    stream: Option<Stream>,
    decoder: Decoder,
    /// A message that waits for its sender's budget; nothing is read meanwhile.
    waiting: Option<(Class, Bytes)>,
    greeted: bool,
    heard: bool,
}

impl Inbound {
    fn new(kind: StreamKind) -> Inbound {
        Inbound { kind, stream: None, decoder: Decoder::new(), waiting: None, greeted: false, heard: false }
    }

    fn start(&mut self, stream: Stream) -> Result<(), ()> {
        if self.stream.is_some() {
            return Err(());
        }
        self.stream = Some(stream);
        self.heard = true;
        Ok(())
    }

    /// Whether the peer gave a sign of life since this was last asked. While it waits for our own budget it cannot.
    fn heard(&mut self) -> bool {
        std::mem::take(&mut self.heard) || self.waiting.is_some()
    }

    /// Whether more may be read: before its hello is accepted a peer has nothing but the hello to say.
    fn may_read(&self, link: &Link) -> bool {
        link.accepted || (self.kind == StreamKind::Vote && !self.greeted)
    }

    /// Reads until nothing is left or the budget is used up.
    fn advance(&mut self, link: &mut Link, reports: &mut VecDeque<Report>, cx: &mut Context<'_>) -> Result<(), Break> {
        loop {
            if let Some((class, payload)) = self.waiting.take()
                && let Some(payload) = deliver(link, self.kind, class, payload, cx)
            {
                self.waiting = Some((class, payload));
                return Ok(());
            }
            if !self.may_read(link) {
                return Ok(());
            }
            match self.decoder.next_frame()? {
                Some((kind, payload)) => self.on_frame(kind, payload, reports)?,
                None => match self.read(cx)? {
                    Poll::Ready(()) => {}
                    Poll::Pending => return Ok(()),
                },
            }
        }
    }

    fn on_frame(&mut self, kind: Kind, payload: Bytes, reports: &mut VecDeque<Report>) -> Result<(), Break> {
        match kind {
            Kind::Hello if self.kind == StreamKind::Vote && !self.greeted => {
                self.greeted = true;
                reports.push_back(Report::Hello(payload));
            }
            Kind::Ping if self.kind == StreamKind::Vote && self.greeted => {}
            Kind::Message(class) if class.stream() == self.kind && (self.greeted || self.kind == StreamKind::Sync) => {
                self.waiting = Some((class, payload));
            }
            _ => return Err(Break::Misplaced),
        }
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Break> {
        let Some(stream) = &mut self.stream else {
            return Ok(Poll::Pending);
        };
        match Pin::new(stream).poll_read(cx, self.decoder.space()) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(0)) => Err(Break::Ended),
            Poll::Ready(Ok(count)) => {
                self.decoder.filled(count);
                self.heard = true;
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(error)) => Err(stream_error(&error)),
        }
    }
}

/// Hands a message to the node, or back when the sender's budget is used up; then the task is woken when it is not.
/// A connection that a newer one has replaced delivers nothing more; it is about to be closed.
fn deliver(link: &Link, stream: StreamKind, class: Class, payload: Bytes, cx: &mut Context<'_>) -> Option<Bytes> {
    if link.peer.active() != Some(link.connection) {
        return Some(payload);
    }
    let Some(credit) = link.peer.budget(stream).take(payload.len(), cx.waker()) else {
        return Some(payload);
    };
    link.counters.received(payload.len());
    link.peer.hear();
    link.events.send(NetworkEvent::Frame(ReceivedFrame { from: link.peer.index, class, payload, _credit: credit }));
    None
}

fn stream_error(error: &io::Error) -> Break {
    Break::Stream(error.to_string())
}

/// Both protocols, offered to a peer that opens a stream.
pub(super) struct InboundOffer(Protocols);

impl UpgradeInfo for InboundOffer {
    type Info = StreamProtocol;
    type InfoIter = [StreamProtocol; 2];

    fn protocol_info(&self) -> [StreamProtocol; 2] {
        [self.0.vote.clone(), self.0.sync.clone()]
    }
}

impl InboundUpgrade<Stream> for InboundOffer {
    type Output = (StreamKind, Stream);
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, chosen: StreamProtocol) -> Self::Future {
        let kind = if chosen == self.0.vote { StreamKind::Vote } else { StreamKind::Sync };
        ready(Ok((kind, stream)))
    }
}

/// The protocol of a stream that this side opens.
pub(super) struct OutboundOffer(StreamProtocol);

impl OutboundOffer {
    fn new(kind: StreamKind, protocols: &Protocols) -> OutboundOffer {
        OutboundOffer(match kind {
            StreamKind::Vote => protocols.vote.clone(),
            StreamKind::Sync => protocols.sync.clone(),
        })
    }
}

impl UpgradeInfo for OutboundOffer {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(self.0.clone())
    }
}

impl OutboundUpgrade<Stream> for OutboundOffer {
    type Output = Stream;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Stream, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
