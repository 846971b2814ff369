//! The `quorate` command as a library: HTTP client, offline verification, output. `quorate-testnet` uses it, too.
//!
//! | module | what it does |
//! |---|---|
//! | [`arguments`], [`command`] | one file per command: what can be typed, and what it does |
//! | [`client`] | the way to the nodes: HTTP with bounds, fail-over, the outbox |
//! | [`receipt`], [`genesis`] | proofs, and what they are checked against |
//! | [`manifest`], [`keystore`], [`key_file`], [`files`] | what is on disk |
//! | [`passphrase`] | where a passphrase comes from |
//! | [`output`] | JSON envelope, tables, progress |
//! | [`exit`], [`interrupt`] | exit codes, the failure that carries one, and Ctrl-C |

pub mod arguments;
pub mod client;
pub mod clock;
pub mod command;
pub mod exit;
pub mod files;
pub mod genesis;
pub mod interrupt;
pub mod key_file;
pub mod keystore;
pub mod manifest;
pub mod output;
pub mod passphrase;
pub mod receipt;
