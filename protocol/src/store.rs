//! What a chain store must be able to do, and one in memory.
//!
//! The store holds what has become durable: blocks with what made them final, the state after the last of them, and an
//! index of executed transactions. It has one writer and many readers, so every method takes `&self`.

mod contract;
mod memory;

pub use crate::document::state::Change;
pub use contract::{BlockCommit, EvidenceList, Head, StateReader, Store, StoreError};
pub use memory::MemoryStore;
