//! Transactions that wait for their order.
//!
//! A transaction enters by [`Pool::admit`], once, whichever door it comes through; the client's door, gossip, or a
//! validator's claim. It waits in its sender's queue until [`Pool::next_batch`] takes it in the fair order, or until
//! another primary's proposal names it ([`Pool::mark`]): from then on it is *marked* and no longer proposed here, but
//! still pending. It leaves when its position executes ([`Pool::settle`]), when block time passes its `valid_until`
//! ([`Pool::expire`]), or returns to its place in the queue when the proposal dies ([`Pool::unmark`]).
//!
//! - **Bounds**: the number of transactions, their bytes, and of each one sixteenth for one sender. Beyond them every
//!   validator has a few places for claims, at most one per sender, so that nothing that one correct node has admitted
//!   stays unknown to the primary because others fill its pool. Its newest claims have them.
//! - **Order**: round-robin over senders; each sender's claims first, then its transactions by arrival.
//! - **Time**: a transaction may be proposed at a batch time `t` while `t < valid_until <= t + validity_window`.
//!   Admission measures from the later of the head's time and the local clock. Only block time expires a transaction;
//!   the local clock merely tells the primary that an empty block is wanted ([`Pool::overdue`]).
//! - **Claims**: each sender's oldest pending transaction. One that has been the oldest for `forward_timeout` is sent
//!   straight to the primary, again to each new primary, and once more in a view when the link to it comes back.
//! - **Fairness**: a node whose claims the primary leaves out or lets be overtaken, or which sees its pool served too
//!   slowly, accuses the primary ([`Pool::judge_block`], [`Pool::judge_rate`]).
//! - **Repair**: what has waited for long is told to others ([`Pool::summary`]), who fetch what they lack.
//!
//! Everything is a function of the calls: no clock, no randomness, no iteration over a hash map. Every operation costs
//! a logarithm of the pool's size per transaction that it touches.
//!
//! | file | what it holds |
//! |---|---|
//! | `state` | the pool's state and what it answers |
//! | `admission` | who gets in |
//! | `batch` | what is proposed, marked, settled, expired |
//! | `claim` | each sender's oldest, and when it is sent on |
//! | `fairness` | whether the primary serves it fairly |
//! | `repair` | what others are told of it, and what they could give |
//! | `order` | the fair order |
//! | `arrivals`, `claimants`, `slab` | the order of arrival, sets of validators, values under small numbers |

mod admission;
mod arrivals;
mod batch;
mod claim;
mod claimants;
#[cfg(test)]
mod conduct_tests;
mod config;
mod fairness;
#[cfg(test)]
mod fairness_tests;
mod load;
mod order;
mod repair;
mod slab;
mod state;
#[cfg(test)]
mod tests;
mod watch;

pub use admission::{Admitted, Door};
pub use batch::BatchLimits;
pub use claim::Claim;
pub use config::PoolConfig;
pub use fairness::{ExecutedBlock, Unfair};
pub use load::Load;
pub use repair::Summary;
pub use state::Pool;
pub use watch::ViewStart;
