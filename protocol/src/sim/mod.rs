//! The simulator: many replicas in one seeded world.
//!
//! # What a world is
//!
//! A [`World`] holds n nodes. Each has a real [`Replica`](crate::replica::Replica) and a real
//! [`Ledger`](crate::ledger::Ledger), as in the node's program, and a [`Disk`] that outlives its crashes. Between them
//! lies a [`Network`] of links, and everything that will happen stands in one queue, ordered by virtual time. Time jumps
//! from one event to the next; nothing sleeps and nothing runs beside it. Every draw (a delay, a loss, a crash) comes
//! from the seed, so one seed is one world, down to the last byte of its [`Trace`].
//!
//! The world does to a replica what the node's pump does, and in the same order: it hands in an input with the time,
//! begins what comes out, and returns at the next deadline. What it adds is that it can die anywhere:
//!
//! ```text
//!   Persist   queued ──────▶ synced ──────▶ released: votes leave, the replica hears it
//!   Execute   queued ──────▶ executed and written, synced ──────▶ reported
//!   Certify   written, not synced ──────▶ synced by the next block, or at once where the replica waits for it
//! ```
//!
//! A crash between two of these loses, keeps or tears what was not synced ([`Unsynced`]). A message to a node that is
//! down is lost. Real signatures are made and checked, each message once for all of its receivers.
//!
//! # What goes wrong
//!
//! Links lose, delay and part ([`network`]), disks fail and forget ([`storage_fault`]), clocks are wrong ([`clock`]), nodes
//! lie and have twins ([`byzantine`]). A node that lies, forgets its votes or is dead for good counts among the f; all
//! others are *correct* ([`World::correct`]), and of them everything is promised.
//!
//! # What is checked
//!
//! [`invariants`] has one file for each promise. They look at what leaves a node and what lies on its disk, after every
//! event. At the end the whole chain is executed again from its genesis. [`liveness`] says what must happen once
//! everything has healed that can, and within which time.
//!
//! # Three ways to use it
//!
//! - [`Plan::from_seed`] and [`Plan::run`]: a random cluster, network, load, faults and liars; then what can heal heals, and
//!   what is owed must be settled in time. `tests/simulation.rs` runs a thousand of them, and [`shrink()`] makes a failing
//!   one short enough to read.
//! - [`transcript`]: a text file of commands with what they show, for people to read.
//! - By hand, for one situation:
//!
//! ```
//! use quorate_protocol::id::{Height, NodeIndex};
//! use quorate_protocol::sim::{Unsynced, World, WorldConfig, transfer};
//! use std::time::Duration;
//!
//! let mut world = World::new(WorldConfig::quiet(4));
//! let (v0, v3) = (NodeIndex(0), NodeIndex(3));
//! // Nothing that v0 says reaches v3; the other direction stays open.
//! world.network_mut().cut(v0, v3);
//! let (alice, bob) = (world.accounts().get("alice").unwrap(), world.accounts().get("bob").unwrap());
//! let valid_until = world.clock().wall() + 30_000;
//! let payment = transfer(world.genesis().chain_id(), alice, bob.address, 10, valid_until, 1);
//! world.submit(v0, &payment);
//! let deadline = world.clock().now() + Duration::from_secs(5);
//! assert!(world.run_until(deadline, |world| world.executed(v3, &payment.id()) == Some(Height(1))));
//! world.crash(v3, Unsynced::Lost);
//! world.restart(v3);
//! assert_eq!(world.chain(v3), world.chain(v0));
//! assert_eq!(world.violation(), None);
//! ```
//!
//! # Rooms
//!
//! | file | what it holds |
//! |---|---|
//! | [`world`] | the state, and time |
//! | `control`, `look` | what can be done to a world, and what can be seen of it |
//! | `pump`, `persist`, `execute`, `edge` | what the files of these names do in the node |
//! | `node`, `event` | a process and what it runs; what is going to happen |
//! | [`disk`], [`store`], `journal`, [`storage_fault`] | chain store and vote journal, what a crash leaves, what else goes wrong |
//! | [`network`], [`flight`], [`clock`], [`random`] | links, messages on them, times, draws |
//! | [`byzantine`] | a file for each way of lying |
//! | [`genesis`], [`payment`], [`workload`] | accounts and clients |
//! | [`plan`], [`fault`], `run`, [`liveness`], [`outcome`] | from a seed to an outcome |
//! | [`scenario`], [`happened`], `count` | plans of one situation, by its name, and whether it came about |
//! | [`shrink`](mod@shrink), [`legend`](mod@legend) | from a failure to a story |
//! | [`invariants`] | the promises |
//! | [`trace`], `describe` | what happened, in words |
//! | [`transcript`] | scenarios as text |

pub mod byzantine;
pub mod clock;
pub mod config;
mod control;
mod count;
mod describe;
pub mod disk;
mod edge;
mod event;
mod execute;
pub mod fault;
pub mod flight;
pub mod genesis;
pub mod happened;
pub mod invariants;
mod journal;
pub mod legend;
pub mod liveness;
mod look;
pub mod network;
mod node;
pub mod outcome;
pub mod payment;
mod persist;
pub mod plan;
mod pump;
pub mod random;
mod run;
pub mod scenario;
pub mod shrink;
pub mod storage_fault;
pub mod store;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod transcript;
mod unsynced;
mod watch;
pub mod workload;
pub mod world;

pub use byzantine::{Behaviour, Forge, Liar, Lie};
pub use config::{Delay, WorldConfig, hasty_timeouts};
pub use disk::Disk;
pub use fault::{Cast, Fault, Role, TimedFault, TimedTransaction};
pub use flight::{Fate, InFlight};
pub use genesis::{Account, Accounts};
pub use happened::Happened;
pub use invariants::{Invariant, Observation, Promise, Violation};
pub use legend::legend;
pub use network::{Link, Network};
pub use outcome::{Outcome, OutcomeKind, Report};
pub use payment::transfer;
pub use plan::Plan;
pub use random::Random;
pub use scenario::{Scenario, scenarios};
pub use shrink::{Shrunk, shrink};
pub use storage_fault::{Place, StorageFault};
pub use store::SimStore;
pub use trace::Trace;
pub use unsynced::Unsynced;
pub use workload::Workload;
pub use world::World;
