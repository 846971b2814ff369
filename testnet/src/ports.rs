//! Free ports on the loopback, held until the nodes that will use them start.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::random;

/// The lowest port that is tried.
const PORT_MIN: u16 = 10_000;
/// Where the range ends on a system that does not say where its ephemeral ports begin.
const EPHEMERAL_DEFAULT: u16 = 32_768;
/// How many ports are tried before the system's own choice is taken.
const ATTEMPTS: usize = 200;

/// A port that nobody else can take while this is held.
#[derive(Debug)]
pub struct HeldPort {
    listener: TcpListener,
    address: SocketAddr,
}

impl HeldPort {
    /// Holds this very port of the loopback, if it is free.
    pub fn exactly(port: u16) -> Option<HeldPort> {
        HeldPort::bind(port).ok()
    }

    /// Holds some free port of the loopback. Ports below the ephemeral ones are preferred: while a node is down, no
    /// outgoing connection (a peer's attempt to reach that very node, for one) can be given its port.
    ///
    /// # Errors
    /// When the system has no free port.
    pub fn any() -> io::Result<HeldPort> {
        let end = ephemeral_start().unwrap_or(EPHEMERAL_DEFAULT);
        if end > PORT_MIN {
            for _ in 0..ATTEMPTS {
                let port = PORT_MIN + (random::number() % u64::from(end - PORT_MIN)) as u16;
                if let Ok(held) = HeldPort::bind(port) {
                    return Ok(held);
                }
            }
        }
        HeldPort::bind(0)
    }

    /// The address that is held.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn bind(port: u16) -> io::Result<HeldPort> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        Ok(HeldPort { listener, address })
    }

    /// Lets the port go, for the node to take.
    pub fn release(self) {
        drop(self.listener);
    }
}

/// The first of the ports that the system gives to outgoing connections.
fn ephemeral_start() -> Option<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_port_is_nobody_elses_until_it_is_released() {
        let held = HeldPort::any().unwrap();
        let port = held.address().port();
        assert!(HeldPort::exactly(port).is_none());
        held.release();
        assert!(HeldPort::exactly(port).is_some());
    }
}
