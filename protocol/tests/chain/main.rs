//! Documents, rules, ledger and proofs, tested from outside the crate.

mod common;
mod decode;
mod evidence;
mod execution;
mod genesis;
mod golden;
mod receipt;
mod rules;
