//! One replica: engine, pool and synchronisation as one object without input or output of its own.
//!
//! It is driven by exactly two things, the node's pump and the simulator's world: both hand in an [`Input`] with the time,
//! do what the [`Output`]s say, and come back at [`Replica::next_deadline`].
//!
//! The engine orders digests. Everything that it must not know is here: which bodies a batch has and who may send them
//! (`bodies`), whether a fresh batch may be voted for and when one is cut (`propose`), which blocks are missing and who
//! is asked for them (`sync`).

mod allowance;
mod bodies;
mod core;
mod durable;
mod fetch;
mod held;
pub mod input;
pub mod message;
pub mod output;
mod proposals;
mod propose;
pub mod repair;
mod score;
pub mod serve;
mod source;
mod sync;
#[cfg(test)]
mod tests;
mod views;

pub use self::core::{Replica, ReplicaConfig, ReplicaStatus};
pub use durable::DurableState;
pub use input::{ExecutionResult, Input};
pub use message::{PeerMessage, RepairMessage, SyncMessage, Told};
pub use output::{ExecutionJob, JournalEntry, Output};
pub use propose::TIME_TOO_OLD;
