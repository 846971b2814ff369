//! Signature workers: everything that came from outside is decoded and verified here, off the pump.
//!
//! Two queues. Votes have one of their own with a worker of its own, so that no load of transactions delays them. The bulk
//! (transactions of clients and of gossip, bodies and blocks of peers) is verified by a small pool, in batches as large
//! as what waits: an idle node verifies a single transaction at once, a busy one a thousand together.
//!
//! What peers send is bounded by the network's budgets, which a frame holds until the pump has taken its message. What
//! clients send is bounded here, and they take turns ([`Submission`]s wait in a lane for each connection). Gossip, which holds
//! what clients of other nodes sent, has three quarters of each turn.

mod edge;
mod lanes;
mod queue;
mod transactions;
mod turns;
mod worker;

pub use edge::Edge;
pub use lanes::Submission;
pub use queue::{Closed, VerifyQueue};
pub use worker::spawn_workers;
