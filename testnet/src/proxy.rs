//! The TCP proxy of one link between two nodes, where a link is broken on purpose.
//!
//! The node that dials connects to the proxy, and the proxy to the node that listens. Each direction can be held, delayed
//! and narrowed by itself while the link runs, and the connections can be cut. Nothing is ever lost or reordered within a
//! connection: this is TCP. What waits inside is bounded; beyond that the sending node feels the hold as a full socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::conditions::Settings;
pub use crate::conditions::{Conditions, Direction, STALL};
use crate::pipe::Pipe;

/// Connections of one link at a time; a pair of nodes needs two at most.
const CONNECTIONS_MAX: usize = 32;
/// How long the node behind the proxy may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the listener failed, so that a lasting failure does not take a whole core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What has passed a link since it started.
#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    forward: AtomicU64,
    backward: AtomicU64,
}

/// What has passed a link since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Connections made by the node that dials, those that were refused not included.
    pub connections: u64,
    /// Bytes delivered to the node that listens.
    pub forward_bytes: u64,
    /// Bytes delivered to the node that dials.
    pub backward_bytes: u64,
}

/// A running proxy. It ends, and closes its connections, when it is dropped.
#[derive(Debug)]
pub struct LinkProxy {
    address: SocketAddr,
    settings: watch::Sender<Settings>,
    counters: Arc<Counters>,
    accepting: JoinHandle<()>,
}

impl LinkProxy {
    /// Listens on a free port of the loopback and forwards to `target`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn start(target: SocketAddr) -> io::Result<LinkProxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let settings = watch::Sender::new(Settings {
            target,
            forward: Conditions::default(),
            backward: Conditions::default(),
            refusing: false,
            generation: 0,
        });
        let counters = Arc::new(Counters::default());
        let accepting = tokio::spawn(accept(listener, settings.subscribe(), Arc::clone(&counters)));
        Ok(LinkProxy { address, settings, counters, accepting })
    }

    /// Where the node that dials has to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections elsewhere: a restarted node may listen on another port.
    pub fn set_target(&self, target: SocketAddr) {
        self.settings.send_modify(|settings| settings.target = target);
    }

    /// Changes what happens in one direction, on connections that stand as well.
    pub fn set_conditions(&self, direction: Direction, conditions: Conditions) {
        self.settings.send_modify(|settings| *settings.conditions_mut(direction) = conditions);
    }

    /// What happens in one direction at present.
    pub fn conditions(&self, direction: Direction) -> Conditions {
        self.settings.borrow().conditions(direction)
    }

    /// Holds one direction, or lets it go on. What waits is delivered then.
    pub fn hold(&self, direction: Direction, held: bool) {
        self.settings.send_modify(|settings| settings.conditions_mut(direction).held = held);
    }

    /// Closes the connections that stand. What waits inside them is lost. New ones are let in.
    pub fn cut(&self) {
        self.settings.send_modify(|settings| settings.generation += 1);
    }

    /// Cuts the link and refuses new connections until `heal`.
    pub fn sever(&self) {
        self.settings.send_modify(|settings| {
            settings.refusing = true;
            settings.generation += 1;
        });
    }

    /// Ends every fault: holds, delays, limits and refusal.
    pub fn heal(&self) {
        self.settings.send_modify(|settings| {
            settings.refusing = false;
            settings.forward = Conditions::default();
            settings.backward = Conditions::default();
        });
    }

    /// What has passed so far.
    pub fn counts(&self) -> LinkCounts {
        LinkCounts {
            connections: self.counters.connections.load(Ordering::Relaxed),
            forward_bytes: self.counters.forward.load(Ordering::Relaxed),
            backward_bytes: self.counters.backward.load(Ordering::Relaxed),
        }
    }
}

impl Drop for LinkProxy {
    fn drop(&mut self) {
        // The connections see that the settings have no owner any more.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, settings: watch::Receiver<Settings>, counters: Arc<Counters>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((dialler, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let now = *settings.borrow();
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        if now.refusing {
            continue;
        }
        counters.connections.fetch_add(1, Ordering::Relaxed);
        let connection = forward(dialler, now, settings.clone(), Arc::clone(&counters));
        tokio::spawn(async move {
            // An error of either side ends the connection, which is all that anybody has to know.
            let _ = connection.await;
            drop(place);
        });
    }
}

/// Runs one connection until it ends or is cut.
async fn forward(
    dialler: TcpStream,
    at_start: Settings,
    settings: watch::Receiver<Settings>,
    counters: Arc<Counters>,
) -> io::Result<()> {
    let listener = timeout(CONNECT_TIMEOUT, TcpStream::connect(at_start.target)).await??;
    dialler.set_nodelay(true)?;
    listener.set_nodelay(true)?;
    let (from_dialler, to_dialler) = dialler.into_split();
    let (from_listener, to_listener) = listener.into_split();
    let there = Pipe { direction: Direction::Forward, settings: settings.clone(), counter: &counters.forward };
    let back = Pipe { direction: Direction::Backward, settings: settings.clone(), counter: &counters.backward };
    let both =
        async { tokio::try_join!(there.run(from_dialler, to_listener), back.run(from_listener, to_dialler)).map(drop) };
    tokio::select! {
        result = both => result,
        () = cut(settings, at_start.generation) => Ok(()),
    }
}

/// Resolves when the link has been cut since `generation`, or its proxy is gone.
async fn cut(mut settings: watch::Receiver<Settings>, generation: u64) {
    let _ = settings.wait_for(|now| now.generation != generation).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A link with both its ends.
    struct Ends {
        proxy: LinkProxy,
        listener: TcpListener,
        dialler: TcpStream,
        accepted: TcpStream,
    }

    async fn ends() -> Ends {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let proxy = LinkProxy::start(listener.local_addr().expect("bound")).await.expect("a port");
        let dialler = TcpStream::connect(proxy.address()).await.expect("the proxy listens");
        let (accepted, _) = listener.accept().await.expect("the proxy connects");
        Ends { proxy, listener, dialler, accepted }
    }

    async fn read_exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        timeout(SOON, stream.read_exact(&mut bytes)).await.expect("in time").expect("bytes come");
        bytes
    }

    async fn read_end(stream: &mut TcpStream) -> bool {
        let mut rest = [0; 16];
        matches!(timeout(SOON, stream.read(&mut rest)).await.expect("in time"), Ok(0) | Err(_))
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_are_counted() {
        let mut ends = ends().await;
        ends.dialler.write_all(b"there").await.expect("open");
        assert_eq!(read_exactly(&mut ends.accepted, 5).await, b"there");
        ends.accepted.write_all(b"back").await.expect("open");
        assert_eq!(read_exactly(&mut ends.dialler, 4).await, b"back");
        drop(ends.dialler);
        assert!(read_end(&mut ends.accepted).await);
        let counts = ends.proxy.counts();
        assert_eq!((counts.connections, counts.forward_bytes, counts.backward_bytes), (1, 5, 4));
    }

    #[tokio::test]
    async fn a_hold_stops_one_direction_only_and_loses_nothing() {
        let mut ends = ends().await;
        ends.proxy.hold(Direction::Forward, true);
        ends.dialler.write_all(b"held").await.expect("open");
        ends.accepted.write_all(b"free").await.expect("open");
        assert_eq!(read_exactly(&mut ends.dialler, 4).await, b"free");
        let mut byte = [0];
        assert!(timeout(Duration::from_millis(100), ends.accepted.read(&mut byte)).await.is_err(), "held");
        drop(ends.dialler);
        assert!(timeout(Duration::from_millis(100), ends.accepted.read(&mut byte)).await.is_err(), "its end as well");
        ends.proxy.hold(Direction::Forward, false);
        assert_eq!(read_exactly(&mut ends.accepted, 4).await, b"held");
        assert!(read_end(&mut ends.accepted).await);
    }

    #[tokio::test]
    async fn what_waits_inside_is_bounded() {
        let mut ends = ends().await;
        ends.proxy.hold(Direction::Forward, true);
        let chunk = vec![1; 1 << 20];
        let mut written = 0;
        // The sockets of the system take some megabytes as well; far below 64 the writer has to wait.
        while written < 64 << 20 {
            match timeout(Duration::from_millis(500), ends.dialler.write(&chunk)).await {
                Ok(count) => written += count.expect("open"),
                Err(_) => break,
            }
        }
        assert!(written < 64 << 20, "the writer was never stopped");
        ends.proxy.heal();
        let mut left = written;
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let count = timeout(SOON, ends.accepted.read(&mut buffer)).await.expect("in time").expect("open");
            assert!(count > 0 && buffer[..count].iter().all(|byte| *byte == 1));
            left -= count;
        }
    }

    #[tokio::test]
    async fn latency_delays_and_bandwidth_stretches() {
        let mut ends = ends().await;
        let latency = Duration::from_millis(80);
        let slow = Conditions { latency, jitter: Duration::from_millis(20), ..Conditions::default() };
        ends.proxy.set_conditions(Direction::Forward, slow);
        assert_eq!(ends.proxy.conditions(Direction::Forward), slow);
        let start = Instant::now();
        ends.dialler.write_all(b"late").await.expect("open");
        read_exactly(&mut ends.accepted, 4).await;
        assert!(start.elapsed() >= latency);
        let narrow = Conditions { bandwidth: Some(100_000), ..Conditions::default() };
        ends.proxy.set_conditions(Direction::Forward, narrow);
        let start = Instant::now();
        ends.dialler.write_all(&[7; 40_000]).await.expect("open");
        read_exactly(&mut ends.accepted, 40_000).await;
        // The last chunk of at most 16 KiB leaves when those before it have been paid for.
        assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_stall_holds_up_a_chunk_and_all_behind_it_and_ends_with_its_setting() {
        let mut ends = ends().await;
        let stalling = Conditions { stall_permille: 1000, ..Conditions::default() };
        ends.proxy.set_conditions(Direction::Backward, stalling);
        let start = Instant::now();
        ends.accepted.write_all(b"late").await.expect("open");
        read_exactly(&mut ends.dialler, 4).await;
        assert!(start.elapsed() >= STALL);
        ends.proxy.set_conditions(Direction::Backward, Conditions { stall_permille: 0, ..stalling });
        let soon = Conditions { latency: Duration::from_secs(600), ..Conditions::default() };
        ends.proxy.set_conditions(Direction::Forward, soon);
        ends.dialler.write_all(b"never").await.expect("open");
        ends.proxy.heal();
        read_exactly(&mut ends.accepted, 5).await;
    }

    #[tokio::test]
    async fn many_small_chunks_suffer_the_latency_once_and_not_one_after_another() {
        let mut ends = ends().await;
        let latency = Duration::from_millis(300);
        ends.proxy.set_conditions(Direction::Forward, Conditions { latency, ..Conditions::default() });
        ends.dialler.set_nodelay(true).expect("open");
        let reading = tokio::spawn(async move {
            for _ in 0..400 {
                read_exactly(&mut ends.accepted, 8).await;
            }
            (Instant::now(), ends.accepted)
        });
        let mut last = Instant::now();
        for _ in 0..400 {
            ends.dialler.write_all(b"a vote..").await.expect("open");
            last = Instant::now();
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        let (end, _accepted) = reading.await.expect("all of them arrive");
        assert!(end - last < latency * 4, "{:?} after the last was sent", end - last);
    }

    #[tokio::test]
    async fn a_cut_ends_what_stands_and_lets_new_connections_in() {
        let mut ends = ends().await;
        ends.proxy.cut();
        assert!(read_end(&mut ends.dialler).await && read_end(&mut ends.accepted).await);
        let mut again = TcpStream::connect(ends.proxy.address()).await.expect("the proxy listens");
        let (mut accepted, _) = ends.listener.accept().await.expect("the proxy connects");
        again.write_all(b"again").await.expect("open");
        assert_eq!(read_exactly(&mut accepted, 5).await, b"again");
    }

    #[tokio::test]
    async fn a_severed_link_lets_nobody_in_until_it_is_healed() {
        let mut ends = ends().await;
        ends.proxy.sever();
        assert!(read_end(&mut ends.dialler).await);
        let mut refused = TcpStream::connect(ends.proxy.address()).await.expect("the proxy listens");
        assert!(read_end(&mut refused).await);
        assert_eq!(ends.proxy.counts().connections, 1);
        let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        ends.proxy.set_target(elsewhere.local_addr().expect("bound"));
        ends.proxy.heal();
        let _dialler = TcpStream::connect(ends.proxy.address()).await.expect("the proxy listens");
        timeout(SOON, elsewhere.accept()).await.expect("in time").expect("the new target is called");
    }

    #[tokio::test]
    async fn dropping_the_proxy_ends_its_connections() {
        let mut ends = ends().await;
        drop(ends.proxy);
        assert!(read_end(&mut ends.dialler).await && read_end(&mut ends.accepted).await);
    }
}
