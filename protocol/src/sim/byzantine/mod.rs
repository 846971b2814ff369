//! Nodes that lie: an honest replica inside, and a [`Behaviour`] around it that decides what is heard and said.
//!
//! One file for each way of lying; its first lines say what it tries to break. [`Lie`] names them all, so that a plan can
//! choose one. A behaviour of your own needs no more than the trait: see `docs/simulator.md`.

mod bad_source;
mod behaviour;
mod busy_idler;
mod claim_flooder;
mod deaf_to_itself;
mod double_votes;
mod equivocate;
mod false_checkpoints;
mod far_views;
mod forge;
mod impersonation;
mod liar;
mod lie;
mod lying_status;
mod missing_body;
mod mute_primary;
mod old_view_changes;
pub mod own_votes;
mod poisoned_batch;
mod primary_prepares;
mod question_flood;
mod replayer;
mod same_transaction;
mod selective_votes;
mod sequence_gap;
mod shifted_sequence;
mod silent;
#[cfg(test)]
mod tests;
mod two_view_changes;
mod wrong_new_view;
mod wrong_place;
mod wrong_view_changes;

pub use bad_source::BadSource;
pub use behaviour::Behaviour;
pub use busy_idler::BusyIdler;
pub use claim_flooder::ClaimFlooder;
pub use deaf_to_itself::DeafToItself;
pub use double_votes::DoubleVotes;
pub use equivocate::Equivocate;
pub use false_checkpoints::FalseCheckpoints;
pub use far_views::FarViews;
pub use forge::Forge;
pub use impersonation::Impersonation;
pub use liar::Liar;
pub(crate) use liar::Said;
pub use lie::Lie;
pub use lying_status::LyingStatus;
pub use missing_body::MissingBody;
pub use mute_primary::MutePrimary;
pub use old_view_changes::OldViewChanges;
pub use poisoned_batch::PoisonedBatch;
pub use primary_prepares::PrimaryPrepares;
pub use question_flood::QuestionFlood;
pub use replayer::Replayer;
pub use same_transaction::SameTransaction;
pub use selective_votes::SelectiveVotes;
pub use sequence_gap::SequenceGap;
pub use shifted_sequence::ShiftedSequence;
pub use silent::Silent;
pub use two_view_changes::TwoViewChanges;
pub use wrong_new_view::WrongNewView;
pub use wrong_place::WrongPlace;
pub use wrong_view_changes::WrongViewChanges;
