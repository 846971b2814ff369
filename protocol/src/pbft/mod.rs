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
//! # Another view
//!
//! ```text
//!   no progress, or an unfair primary            q VIEW-CHANGEs              O = what each n must be
//!  active ───────────────────────────▶ VIEW-CHANGE ──────────▶ new primary ─────────────▶ NEW-VIEW ─▶ active again
//!    ▲        f + 1 others have left   (journal)               fetches bodies             (journal)       │
//!    └─────────────────────────────────── progress: the time-out falls back ◀────────────────────────────┘
//! ```
//!
//! A replica that accuses its primary signs a VIEW-CHANGE: the highest watermark that it can prove, and P, for each sequence
//! above it the prepared certificate of the highest view that it ever held. From then on it signs nothing for lower views.
//! The primary of the next view takes q of them whose batches it holds. The highest proven watermark is min-s, the highest
//! sequence in any P is max-s, and O proposes for each sequence between them the digest that was prepared in the highest
//! view, or null. Everybody who has the same VIEW-CHANGEs computes the same O, and believes no other. Null is a digest like
//! any other: it is prepared, committed and executed, and wins or loses by its view.
//!
//! Batches are not in P or O; whoever lacks one fetches it by its digest. What a view did not commit and O does not name
//! returns to the pool.
//!
//! # Rooms
//!
//! | file | what happens there |
//! |---|---|
//! | [`input`], [`output`] | everything that can happen to an engine, everything that it can ask for |
//! | [`message`] | what replicas say, which signatures stand in it, and what can be judged without state |
//! | [`engine`] | the one match on inputs; the one component that delivers blocks |
//! | `state` | everything that changes, as plain values |
//! | `normal` | PRE-PREPARE, PREPARE, COMMIT |
//! | `checkpoint` | CHECKPOINT, certificates, watermarks |
//! | `view_change` | leaving a view: when, with what, and who is joined |
//! | `new_view` | opening a view: O, made and checked |
//! | `catch_up` | STATUS, retransmission, commit certificates |
//! | `recover` | what a restart takes back from the vote log |
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
//! - NEW-VIEW names its VIEW-CHANGEs by a digest, and they travel by themselves; P and O hold digests only.
//! - Of the VIEW-CHANGEs above its own view a replica joins the (f + 1)-th highest, the highest view that a correct replica
//!   is sure to have reached: whoever was away is where the others are after one step.
//! - q COMMITs with their batch are taken within the window only (the rule 4.2 says: for any height above). What is above it comes
//!   again when the window has moved, and as blocks.
//! - A NEW-VIEW that names what is not here keeps its primary's one place for as long as it takes to ask everybody; another one of
//!   that primary that can be judged is judged at once, and any other comes in afterwards.
//! - Bodies are asked of the proposer and then of everybody in turn, whether they voted or not.
//! - A replica that lacks the blocks below min-s votes above it all the same, and delays only their execution.
//! - The time-out of a view runs while something is pending and nothing useful is executed; the pool accuses besides
//!   (`pool`), so that neither empty batches nor starving one client keeps a primary in office.
//!
//! # Why it is safe
//!
//! Within a view: a correct replica accepts one digest for a sequence ([`slot`]: the first stands; [`safety`]: the journal
//! binds it over restarts), a prepared certificate needs a quorum of accepting replicas (the primary and q - 1 backups),
//! and two quorums of q = ceil((n + f + 1) / 2) share more than f replicas, hence a correct one. So two digests are never
//! both prepared in one view, nor committed. A COMMIT says that its sender holds the prepared certificate durably.
//!
//! Across views: let d commit at n in view v, by the COMMITs of a quorum C. By induction every view w > v in which something
//! is prepared at n prepares d. The NEW-VIEW of w names a quorum of VIEW-CHANGEs, which shares a correct replica r with C.
//! r sent its COMMIT before its VIEW-CHANGE to w, since after that it signs nothing for v. So either r proves a watermark of
//! n or more, and then the block of n is certified, or its P has a certificate for n of view v or higher. Certificates of
//! views between v and w are for d by induction, and of v itself by the argument within a view; so the highest one in any P is
//! for d, and O proposes d. No single PRE-PREPARE of w can be for n: fresh ones are above max-s, which is at least n.
//!
//! Over restarts: what r said is in its journal, in the order in which it was said, before it leaves. A replica whose journal
//! is gone or may be old says nothing more in this epoch.
//!
//! # Why it is live
//!
//! After the network heals, all correct replicas hear each other's STATUS, and whoever is in a lower view gets the NEW-VIEW
//! of the higher one, or f + 1 VIEW-CHANGEs to join. So they meet in one view, or wait for the NEW-VIEW of one. There the
//! timer starts when a quorum has left, hence for all within a delay of each other, and it doubles up to its maximum, so
//! that at last they are together for long enough. Among f + 1 views in a row one has a correct primary. It can get q
//! VIEW-CHANGEs, those of the correct replicas, and every batch in them: a correct replica keeps what it says that it prepared, and
//! gives it to whoever asks. What it proposes, every correct replica can check, fetch and vote for. Nothing
//! depends on a message that is sent once: votes, certificates, VIEW-CHANGEs and NEW-VIEWs all come again by STATUS.

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
