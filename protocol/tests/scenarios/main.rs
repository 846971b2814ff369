//! Fault scenarios, many seeds each: a file for each kind of fault.
//!
//! A scenario is a world, something that goes wrong in it, and what is promised all the same. Each says in its first line
//! what happens, and in its name what it is called. `QUORATE_SCENARIO_SEEDS=FIRST..LAST` plays other seeds of it.
#![cfg(feature = "sim")]

mod byzantine_backup;
mod byzantine_client;
mod byzantine_primary;
mod clock;
mod crash;
mod fairness;
mod liars;
mod moments;
mod network;
mod resources;
mod stage;
mod storage;
