//! The links of a testnet: a proxy for each pair of nodes, on a runtime of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use quorate_cli::exit::Failure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::conditions::{Conditions, Direction};
use crate::proxy::LinkProxy;

/// Threads that carry the bytes.
const THREADS: usize = 2;
/// Descriptors that one link needs: its listener, and both ends of two connections (PROTOCOL allows two for a moment).
const FILES_PER_LINK: u64 = 5;
/// Descriptors for everything else.
const FILES_OTHER: u64 = 200;

/// The running proxies, by pair: the lower index dials.
#[derive(Debug)]
pub struct Links {
    proxies: BTreeMap<(usize, usize), LinkProxy>,
    /// Dropped last, without waiting for connections that are held.
    runtime: Option<Runtime>,
}

impl Links {
    /// Starts a proxy for each pair of the nodes that listen for peers at these addresses.
    ///
    /// # Errors
    /// When threads, ports or descriptors are missing.
    pub fn start(p2p: &[SocketAddr]) -> Result<Links, Failure> {
        let failed = |what: &str, error: std::io::Error| {
            Failure::internal(
                format!("the links between the nodes cannot be made: {what}: {error}"),
                "try fewer nodes, or `up` without --faults",
            )
        };
        let pairs: Vec<(usize, usize)> =
            (0..p2p.len()).flat_map(|high| (0..high).map(move |low| (low, high))).collect();
        raise_file_limit(pairs.len() as u64 * FILES_PER_LINK + FILES_OTHER)?;
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("links").enable_all().build();
        let runtime = runtime.map_err(|error| failed("threads", error))?;
        let proxies = runtime.block_on(async {
            let mut proxies = BTreeMap::new();
            for (low, high) in pairs {
                let proxy = LinkProxy::start(p2p[high]).await.map_err(|error| failed("a free port", error))?;
                proxies.insert((low, high), proxy);
            }
            Ok(proxies)
        })?;
        Ok(Links { proxies, runtime: Some(runtime) })
    }

    /// Where the node `low` reaches the node `high`; `None` where it does not dial.
    pub fn address(&self, low: usize, high: usize) -> Option<SocketAddr> {
        self.proxies.get(&(low, high)).map(LinkProxy::address)
    }

    /// Leads all links of a node that is dialled to where it listens now.
    pub fn set_target(&self, node: usize, address: SocketAddr) {
        self.proxies.iter().filter(|((_, high), _)| *high == node).for_each(|(_, proxy)| proxy.set_target(address));
    }

    /// Brings every direction of every link into the state that `state` tells for who sends and who receives.
    pub fn apply(&self, state: impl Fn(usize, usize) -> Conditions) {
        for (&(low, high), proxy) in &self.proxies {
            for (direction, conditions) in
                [(Direction::Forward, state(low, high)), (Direction::Backward, state(high, low))]
            {
                if proxy.conditions(direction) != conditions {
                    proxy.set_conditions(direction, conditions);
                }
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.proxies.clear();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
    }
}

/// Makes sure that this process may open so many files. Programs that it starts get the same limit.
fn raise_file_limit(needed: u64) -> Result<(), Failure> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let wanted = maximum.map_or(needed, |maximum| maximum.min(needed.max(current.unwrap_or(0))));
    let raised = wanted >= needed && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok();
    if raised {
        return Ok(());
    }
    Err(Failure::internal(
        format!("this process may open {} files, and the links between so many nodes need {needed}", wanted),
        "raise the hard limit (ulimit -Hn), try fewer nodes, or `up` without --faults",
    ))
}
