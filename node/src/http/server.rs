//! The server: whom it lets in, and how it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connection::{self, Ended, told_to_stop};
use super::context::Api;
use super::places::Places;
use super::router::router;
use super::tls::{Tls, Transport};
use crate::client::Address;
use crate::telemetry::{Counters, Drop};

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
    task: JoinHandle<()>,
}

/// What it lets connections in with.
struct Doorman {
    tls: Option<Tls>,
    places: Arc<Places>,
    router: TowerToHyperService<Router>,
    head_max: Duration,
    counters: Arc<Counters>,
    stopped: watch::Receiver<bool>,
}

impl Server {
    /// Serves `api` on `listener`, inside TLS where it is given.
    pub fn start(listener: TcpListener, tls: Option<Tls>, api: Arc<Api>) -> Server {
        let (stop, stopped) = watch::channel(false);
        let doorman = Doorman {
            tls,
            places: Places::new(api.load.connections_max),
            head_max: api.load.request_timeout,
            counters: Arc::clone(&api.counters),
            router: TowerToHyperService::new(router(api)),
            stopped,
        };
        Server { stop, task: tokio::spawn(doorman.run(listener)) }
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

impl Doorman {
    async fn run(self, mut listener: TcpListener) {
        let mut stopped = self.stopped.clone();
        loop {
            select! {
                // This accept waits out errors, such as a want of file handles.
                (stream, address) = Listener::accept(&mut listener) => self.let_in(stream, address).await,
                () = told_to_stop(&mut stopped) => break,
            }
        }
        drop(listener);
        self.places.empty().await;
    }

    /// Begins with a connection as soon as there is a place for it; who comes later waits in the operating system's queue.
    async fn let_in(&self, stream: TcpStream, address: SocketAddr) {
        let place = self.places.take(Address::from(address.ip())).await;
        // Without it an answer of two packets waits for an acknowledgement; where it fails it is only slower.
        let _ = stream.set_nodelay(true);
        let stream = Transport::new(stream, self.tls.as_ref());
        let serving = connection::serve(stream, place, self.router.clone(), self.head_max, self.stopped.clone());
        let counters = Arc::clone(&self.counters);
        tokio::spawn(async move {
            if serving.await == Ended::Displaced {
                counters.count(Drop::Displaced);
            }
        });
    }
}
