//! The agreement protocol: Castro and Liskov's PBFT (OSDI'99, the form with signatures) with a window of batches in
//! flight.
//!
//! # One batch
//!
//! ```text
//!             Propose          3.1                          3.4                          1.3
//!  primary  ───────────▶ PRE-PREPARE ─┐        ┌─▶ prepared ────▶ COMMIT ─┐      ┌─▶ committed ─▶ execute ─▶ CHECKPOINT
//!                         (journal)   │        │     (journal)            │      │                (store)   (floor)
//!  backup                             └▶ check ─▶ PREPARE ─▶ q-1 of them ─┘      └─ q of them
//!                                      bodies?  (journal)
//! ```
//!
//! The primary of the view signs a digest for the next sequence. Each backup asks its replica whether the batch is well
//! formed and every body held, writes proposal and bodies to its journal, and says PREPARE. With the proposal and q - 1
//! PREPAREs of distinct backups the batch is *prepared*: no other digest can be in this view. The certificate goes to the
//! journal, then the COMMIT leaves. q COMMITs of one view make the batch final whatever view comes after. Batches in the
//! window are independent; blocks are executed strictly in order, by [`Output::Execute`], and every block that is durable
//! has its CHECKPOINT. q of those are its certificate, and at every K-th the low watermark moves up.
//!
//! # Rooms
//!
//! | file | what happens there |
//! |---|---|
//! | [`input`], [`output`] | everything that can happen to an engine, everything that it can ask for |
//! | [`message`] | what replicas say, and which signatures stand in it |
//! | [`engine`] | the one match on inputs; the one component that delivers blocks |
//! | `state` | everything that changes, as plain values |
//! | `normal` | PRE-PREPARE, PREPARE, COMMIT |
//! | `checkpoint` | CHECKPOINT, certificates, watermarks |
//! | `catch_up` | STATUS, retransmission, commit certificates |
//! | [`safety`] | may I sign this? |
//! | [`slot`], [`tally`] | one sequence's life; counting votes |
//! | [`record`] | what must be durable before a vote leaves, and what a restart finds |
//! | [`timer`], [`config`], [`status`], [`evidence`], `invariants` | as they are called |
//!
//! # Where this differs from the paper
//!
//! - Signatures everywhere, no MACs, no tentative execution, no read-only optimisation.
//! - Votes are durable before they leave, so a crashed replica comes back as the same replica; the paper's recovery is
//!   another paper (TOCS'02).
//! - A vote names a digest of ids; bodies travel by gossip and are fetched where they lack.
//! - CHECKPOINT for every block: it is the REPLY to clients and makes receipts that anybody can verify.
//! - q COMMITs with the batch are a message of their own, accepted in any view: a replica that missed the votes needs
//!   nothing else to execute.
//!
//! # Why it is safe
//!
//! Within a view: a correct replica accepts one digest for a sequence ([`slot`]: the first stands; [`safety`]: the journal
//! binds it over restarts), a prepared certificate needs a quorum of accepting replicas (the primary and q - 1 backups),
//! and two quorums of q = ceil((n + f + 1) / 2) share more than f replicas, hence a correct one. So two digests are never
//! both prepared in one view, nor committed. A COMMIT says that its sender holds the prepared certificate durably.
//!
//! # What is absent
//!
//! The view change. A dead primary stops the chain until it is back; nothing is lost meanwhile, and no rule here needs
//! changing for it.

mod catch_up;
mod checkpoint;
pub mod config;
pub mod engine;
pub mod evidence;
pub mod input;
mod invariants;
pub mod message;
mod new_view;
mod normal;
pub mod output;
pub mod record;
mod recover;
pub mod safety;
pub mod slot;
mod state;
pub mod status;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod timer;
mod view_change;

pub use config::Config;
pub use engine::Engine;
pub use input::{Input, Synced, Verdict};
pub use message::Message;
pub use output::{Note, Output, Ticket};
pub use record::{Durable, DurableBlock, Record};
