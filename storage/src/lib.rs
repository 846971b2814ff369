//! What Quorate keeps on disk: the chain store (PROTOCOL 2.5) on RocksDB and the vote journal (PROTOCOL 7), each behind a door
//! that tests can put a failing disk under.
//!
//! - [`rocks`], [`schema`]: the chain store and its tables;
//! - [`data`]: the data directory with its lock and version;
//! - [`journal`]: votes and bodies, durable before anything leaves the node;
//! - [`files`]: the file operations that the journal needs;
//! - [`faulty`], [`volatile`]: disks that fail and disks that forget, for tests.

pub mod data;
mod database;
pub mod faulty;
pub mod files;
mod index;
pub mod journal;
pub mod rocks;
pub mod schema;
pub mod volatile;
