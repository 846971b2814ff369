//! The deterministic heart of Quorate: what a transaction is and does, and how replicas agree on their order.
//!
//! Nothing here reads a clock, a socket or a disk, starts a thread or draws a random number. Time, messages and the
//! answers of the disk come in as values; what should happen goes out as values. Exactly two things drive it: the
//! node's pump and the simulator's world.
//!
//! | module | what it is |
//! |---|---|
//! | [`limits`] | every bound with its unit and reason |
//! | [`time`], [`id`] | instants as values, newtypes for counters |
//! | [`document`] | transactions, blocks, certificates, receipts, genesis: everything with canonical bytes |
//! | [`proof`] | verifying a receipt offline |
//! | [`rules`], [`ledger`] | what a transaction does; executing batches into blocks |
//! | [`store`] | what a chain store must be able to do, and one in memory |
//! | [`pool`] | transactions that wait for their order |
//! | [`pbft`] | the agreement protocol |
//! | [`replica`] | pool, engine and synchronisation as one object |
//! | [`api`] | requests, responses and error codes that nodes and clients share |
//! | `sim` | (feature `sim`) the simulator: many replicas in one seeded world |

pub mod api;
pub mod document;
pub mod executed;
pub mod id;
pub mod ledger;
pub mod limits;
pub mod pbft;
pub mod pool;
pub mod proof;
pub mod replica;
pub mod rules;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod time;
