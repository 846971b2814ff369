//! One connection: its bytes, and the requests that come on it.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use quorate_protocol::limits::SUBMIT_TIMEOUT_MAX_MS;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};
use tracing::debug;

use super::places::Place;
use super::tls::Transport;

/// A connection on which nothing moved for so long is closed: longer than any client can wait for an answer.
const IDLE_MAX: Duration = Duration::from_millis(SUBMIT_TIMEOUT_MAX_MS + 15_000);
/// Bytes of a request's head, and of what is read or written ahead on one connection: together 64 MiB for all.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Itself,
    /// Somebody else got its place.
    Displaced,
}

/// Answers what comes on `stream` until it ends or has to go. Each head has `head_max` from when it could have begun: a handshake and the
/// pause between two requests are part of that.
pub(super) async fn serve(
    stream: Transport,
    place: Arc<Place>,
    router: TowerToHyperService<Router>,
    head_max: Duration,
    mut stopped: watch::Receiver<bool>,
) -> Ended {
    let stream = TokioIo::new(Watched { stream, place: Arc::clone(&place), idle: Box::pin(sleep(IDLE_MAX)) });
    let of_request = Arc::clone(&place);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let place = Arc::clone(&of_request);
        request.extensions_mut().insert(Arc::clone(&place));
        let answer = router.call(request);
        async move {
            let answer = answer.await?;
            // Of a stream nobody knows the length; it makes no more than its client reads.
            let length = answer.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
            if let Some(length) = length.filter(|length| *length > 0)
                && answer.extensions().get::<Shared>().is_none()
            {
                place.owe(length);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_max).max_buf_size(BUFFER_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(stream, service));
    let mut is_stopping = false;
    loop {
        select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(%error, "a connection broke");
                }
                return Ended::Itself;
            }
            () = place.displaced() => return Ended::Displaced,
            () = told_to_stop(&mut stopped), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Waits until the server stops.
pub(super) async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Marks an answer whose bytes are there in any case, and the same for all.
#[derive(Clone, Copy)]
pub(super) struct Shared;

/// A stream that ends when nothing moves on it.
struct Watched {
    stream: Transport,
    place: Arc<Place>,
    idle: Pin<Box<Sleep>>,
}

impl Watched {
    /// Passes on what the stream says, unless it has been idle for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
            return polled;
        }
        match self.idle.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, polled)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It is asked when everything that there was is written.
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.place.sent();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.watch(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
