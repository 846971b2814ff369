//! Everything that has canonical bytes: what is signed, hashed, stored and proved.
//!
//! | file | documents |
//! |---|---|
//! | [`transaction`], [`operation`] | what a member signs |
//! | [`amount`], [`scale`] | amounts as text, and decimal places |
//! | [`batch`] | what the agreement orders: ids and a time |
//! | [`block`] | what execution makes of a batch |
//! | [`validators`], [`certificate`] | who decides, and the proof that they did |
//! | [`genesis`], [`parameters`] | what a chain starts with |
//! | [`state`] | keys and values of the ledger's state |
//! | [`receipt`] | what a client takes home |
//!
//! Digests are recomputed from the canonical bytes and never taken from a peer; golden files freeze the bytes.

pub mod amount;
pub mod batch;
pub mod block;
pub mod certificate;
pub mod genesis;
pub mod operation;
pub mod parameters;
pub mod receipt;
pub mod scale;
pub mod state;
pub mod transaction;
pub mod validators;

pub use batch::Batch;
pub use block::{Block, CertifiedBlock, Header, Outcome, Position, Proof, SkipReason};
pub use certificate::{Certificate, Checkpoint};
pub use genesis::Genesis;
pub use operation::{AssetCode, Operation, Role, Roles};
pub use parameters::Parameters;
pub use receipt::{Boundary, Receipt, Receipts};
pub use scale::Scale;
pub use state::{AssetState, Change, MemberState, StateKey};
pub use transaction::{Body, SignedTransaction, Transaction};
pub use validators::{Validator, ValidatorSet};
