//! Connections: how many there may be, how long they may say nothing, and how they end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use quorate_protocol::limits::SUBMIT_TIMEOUT_MAX_MS;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep};

use super::context::Api;
use super::router::router;
use super::tls::{Tls, Transport};

/// Connections at a time; who comes later waits in the operating system's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// A connection on which nothing moved for so long is closed: longer than any client can wait for an answer.
const IDLE_MAX: Duration = Duration::from_millis(SUBMIT_TIMEOUT_MAX_MS + 15_000);
/// A handshake and the first bytes of a request take no longer than this.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long open requests get to finish when the server stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// Listens on `address`.
///
/// # Errors
/// The address is taken or not this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// The running server.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Serves `api` on `listener`, inside TLS where it is given.
    pub fn start(listener: TcpListener, tls: Option<Tls>, api: Arc<Api>) -> Server {
        let (stop, mut stopped) = watch::channel(false);
        let bounded = BoundedListener { listener, tls, connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
        let serve = axum::serve(bounded, router(api)).with_graceful_shutdown(async move {
            // A sender that is gone means the same.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        Server { stop, task: tokio::spawn(serve.into_future()) }
    }

    /// Accepts no more, lets open requests finish for a moment, and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(STOP_PATIENCE, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// A listener with a bound on its connections.
struct BoundedListener {
    listener: TcpListener,
    tls: Option<Tls>,
    connections: Arc<Semaphore>,
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let connections = Arc::clone(&self.connections);
        let permit = connections.acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Without it an answer of two packets waits for an acknowledgement; where it fails it is only slower.
        let _ = stream.set_nodelay(true);
        let patience = if self.tls.is_some() { HANDSHAKE_MAX } else { IDLE_MAX };
        let stream = Transport::new(stream, self.tls.as_ref());
        (Connection { stream, idle: Box::pin(sleep(patience)), _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing moves on it.
struct Connection {
    stream: Transport,
    idle: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
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

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
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
