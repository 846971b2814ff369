//! BM: what a replica keeps is bounded, whatever it is sent; and its counters stay in their order.

use super::promise::{Invariant, Observation, Promise, Violation};
use crate::document::Genesis;
use crate::pool::PoolConfig;
use crate::replica::Replica;

/// Looks at a replica after every input.
#[derive(Debug)]
pub struct Bounds {
    pool_count_max: usize,
    pool_bytes_max: usize,
    n: usize,
}

impl Bounds {
    /// The bounds of a chain.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let (config, n) = (PoolConfig::new(&genesis.parameters), genesis.validators.n());
        // Claims have places of their own, and one more transaction each while its old one is lent.
        let claims = 2 * config.claims_max * n;
        Bounds {
            pool_count_max: config.count_max + claims,
            pool_bytes_max: config.bytes_max + claims * config.transaction_bytes_max,
            n,
        }
    }

    /// The same with other bounds of the pool, in transactions.
    #[must_use]
    pub fn with_pool_count_max(self, pool_count_max: usize) -> Self {
        Bounds { pool_count_max, ..self }
    }

    fn check(&self, replica: &Replica) -> Result<(), String> {
        replica.engine().check_invariants()?;
        let load = replica.pool().pending();
        if load.count > self.pool_count_max || load.bytes > self.pool_bytes_max {
            return Err(format!("the pool holds {} transactions of {} bytes", load.count, load.bytes));
        }
        Ok(())
    }

    fn check_status(&self, replica: &Replica) -> Result<(), String> {
        let status = replica.status();
        let engine = &status.engine;
        if engine.peer_heights.len() > self.n || status.connected.len() > self.n {
            return Err(format!("there are {} peers of {} validators", engine.peer_heights.len(), self.n));
        }
        Ok(())
    }
}

impl Invariant for Bounds {
    fn observe(&mut self, observation: Observation<'_>) -> Result<(), Violation> {
        let Observation::Handled { node, replica } = observation else { return Ok(()) };
        let checked = self.check(replica).and_then(|()| self.check_status(replica));
        checked.map_err(|wrong| Violation { promise: Promise::Bounds, detail: format!("at {node}: {wrong}") })
    }
}
