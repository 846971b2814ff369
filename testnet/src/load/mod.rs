//! A load on a running testnet: clients with a key each, transactions signed beforehand, certified outcomes.
//!
//! | file | what it does |
//! |---|---|
//! | `clients` | who sends: registered and funded accounts, and what they sign |
//! | `sample` | what became of what was sent, when |
//! | `full` | as fast as it is committed (closed loop) |
//! | `paced` | at a rate, whatever becomes of what was sent before (open loop) |

mod clients;
mod full;
mod paced;
mod sample;

pub use clients::{Clients, Shape};
pub use sample::{Latency, Moment, Samples};
