//! TCP + Noise + Yamux, and the port that is listened on.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox};
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Transport, multiaddr, noise, tcp, yamux};
use tokio::time::{Sleep, sleep};

/// How long TCP connect, Noise and Yamux may take together.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to say goodbye before it is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Receive windows of one connection may grow by this many times 256 KiB beyond those that every stream has.
const WINDOW_GROWTH: usize = 64;
/// Yamux keeps 1 GiB for the windows of a connection and reserves 256 KiB of it for each stream that it allows; what is
/// left is what windows may grow by. The library lets us choose the number of streams only, so the growth is bounded by
/// allowing many. Streams beyond the few that we accept end the connection.
const YAMUX_STREAMS: usize = (1 << 30) / (256 << 10) - WINDOW_GROWTH;

/// The transport of all connections.
///
/// # Errors
/// When Noise cannot sign with the key.
pub(super) fn transport(keypair: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(YAMUX_STREAMS);
    Ok(tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux)
        .timeout(UPGRADE_TIMEOUT)
        .boxed()
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(ClosesInTime { muxer, deadline: None })))
        .boxed())
}

/// Fails when another process listens on the port. libp2p itself listens with SO_REUSEPORT, and would get half of the
/// other's connections without an error.
pub(super) fn probe(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// The multiaddress of a TCP socket address.
pub(super) fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(multiaddr::Protocol::Tcp(address.port()))
}

/// The TCP port of a multiaddress.
pub(crate) fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

/// A connection whose end cannot hang. Yamux says goodbye when it is closed, and would wait for ever for a peer that takes
/// no bytes; all that time the connection would count against the limit of its peer.
struct ClosesInTime {
    muxer: StreamMuxerBox,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl ClosesInTime {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut StreamMuxerBox> {
        Pin::new(&mut self.get_mut().muxer)
    }
}

impl StreamMuxer for ClosesInTime {
    type Substream = SubstreamBox;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        self.inner().poll_inbound(cx)
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        self.inner().poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(result) = self.as_mut().inner().poll_close(cx) {
            return Poll::Ready(result);
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIMEOUT)));
        deadline.as_mut().poll(cx).map(|()| Ok(()))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.inner().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_noticed_and_a_free_one_is_not() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound");
        assert_eq!(probe(address).expect_err("taken").kind(), io::ErrorKind::AddrInUse);
        drop(taken);
        probe(address).expect("free again");
        assert_eq!(multiaddr(address).to_string(), format!("/ip4/127.0.0.1/tcp/{}", address.port()));
        assert_eq!(port(&multiaddr(address)), Some(address.port()));
    }
}
