//! From signed bytes to a certified outcome, whatever single nodes do: the same bytes go to one node, after a short
//! time-out to another one, then to f+1, then to all. A time-out is never taken for a failure, and a receipt counts only
//! with its proof.
//!
//! # When a transaction is not applied for certain
//!
//! Whoever was sent the bytes may keep them, and may have them executed until certified block time has passed their
//! `valid_until`: a node that did not answer, and just as well one that said no, since f of them may lie and none has to
//! say so. So exit code 4, after which a user may pay anew, needs one of these:
//!
//! - a receipt, verified, with an outcome that is no success;
//! - the word of f+1 validators, of which one is correct, that the id is absent as of a certified time at or after its
//!   `valid_until` (PROTOCOL 8.3);
//! - the word of f+1 validators that the bytes can never be executed by anybody, for a reason that follows from the bytes
//!   and the genesis alone ([`Code::is_final`](quorate_protocol::api::code::Code::is_final)): their form, their
//!   signature, their chain;
//! - that the bytes never left. A sender that f+1 validators do not know is found out before anything is sent
//!   ([`super::survey::strangers`]), and so is a validity that is longer than any node takes: whoever mistypes an account
//!   need not wait.
//!
//! Every other refusal (`unknown_sender`, `expired` by a node's own clock, `valid_until_too_far`, ...) depends on a state
//! or a clock that moves on. It is exit code 5 even if all say so: the outbox keeps the bytes, and `quorate tx wait` goes
//! on with them.
//!
//! Validators are counted, not addresses: each is asked which one it is, and one that is asked at two addresses counts
//! once. At one address nobody counts for more than one, so f liars never make f+1 words.
//!
//! | module | what happens there |
//! |---|---|
//! | `job` | what is to be settled |
//! | `ask` | what one node makes of it |
//! | `book`, `failure` | what all of them have said, what follows from it, and how that is told |
//! | `rounds` | who is asked when |

mod ask;
mod book;
mod failure;
mod job;
mod rounds;

pub use job::Job;
pub use rounds::settle;
