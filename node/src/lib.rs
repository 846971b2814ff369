//! The Quorate node: network, disk and HTTP around the deterministic core.
//!
//! | thread | what it does |
//! |---|---|
//! | pump | owns the replica, hands it what happens, begins what it asks for ([`pump`]) |
//! | verify-votes, verify-bulk | decode and verify what comes from outside ([`verify`]) |
//! | persist | syncs the vote journal, then sends what was waiting for it ([`persist`]) |
//! | execute | executes blocks and writes the chain store ([`execute`]) |
//! | serve | answers other nodes from the chain store ([`serve`]) |
//! | tokio | the network ([`network`]) and the HTTP API ([`http`]) |
//!
//! The pump never waits for the network or for a client, and nobody waits for the pump but those who ask it something.

pub mod certified;
pub mod client;
pub mod clock;
pub mod command;
pub mod config;
pub mod event_blocks;
pub mod execute;
pub mod fault;
pub mod halt;
pub mod home;
pub mod http;
pub mod inbox;
pub mod members;
pub mod monitor;
pub mod network;
pub mod node;
pub mod open;
pub mod persist;
pub mod pump;
pub mod receipts;
pub mod recent;
pub mod repair;
pub mod send;
pub mod serve;
pub mod telemetry;
pub mod threads;
pub mod verify;
pub mod waiters;
