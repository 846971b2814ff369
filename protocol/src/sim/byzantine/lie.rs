//! All ways of lying by name, so that a plan can name one.

use super::behaviour::Behaviour;
use super::{
    BadSource, BusyIdler, ClaimFlooder, DeafToItself, DoubleVotes, Equivocate, FalseCheckpoints, FarViews,
    Impersonation, LyingStatus, MissingBody, MutePrimary, OldViewChanges, PoisonedBatch, PrimaryPrepares,
    QuestionFlood, Replayer, SameTransaction, SelectiveVotes, SequenceGap, ShiftedSequence, Silent, TwoViewChanges,
    WrongNewView, WrongPlace, WrongViewChanges,
};
use crate::document::Parameters;
use std::time::Duration;

macro_rules! lies {
    ($($(#[$doc:meta])* $name:ident => $make:expr,)*) => {
        /// A way of lying.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Lie {
            $($(#[$doc])* $name,)*
        }

        impl Lie {
            /// All of them.
            pub const ALL: &'static [Lie] = &[$(Lie::$name,)*];

            /// The behaviour, as it is before its first lie.
            #[must_use]
            pub fn behaviour(self, parameters: &Parameters) -> Box<dyn Behaviour> {
                match self {
                    $(Lie::$name => {
                        let make: fn(&Parameters) -> Box<dyn Behaviour> = $make;
                        make(parameters)
                    })*
                }
            }
        }
    };
}

fn view_timeout(parameters: &Parameters) -> Duration {
    Duration::from_millis(parameters.view_timeout_ms)
}

lies! {
    /// Two batches at one place.
    Equivocate => |_| Box::new(Equivocate::default()),
    /// A transaction in two batches.
    SameTransaction => |_| Box::new(SameTransaction::default()),
    /// One place later to one validator.
    ShiftedSequence => |_| Box::new(ShiftedSequence),
    /// Gaps and jumps.
    SequenceGap => |_| Box::new(SequenceGap),
    /// Bodies that nobody has, or too few.
    MissingBody => |_| Box::new(MissingBody::default()),
    /// Forged, doubled, expired, too many.
    PoisonedBatch => |_| Box::new(PoisonedBatch::default()),
    /// Empty batches while others wait.
    Idler => |parameters| Box::new(BusyIdler::idler(view_timeout(parameters) / 4)),
    /// One transaction of a friend in 0.6 of a view timeout.
    Drip => |parameters| Box::new(BusyIdler::drip(view_timeout(parameters))),
    /// A PREPARE of the primary.
    PrimaryPrepares => |_| Box::new(PrimaryPrepares),
    /// No proposals.
    MutePrimary => |_| Box::new(MutePrimary),
    /// Two votes at one place.
    DoubleVotes => |_| Box::new(DoubleVotes),
    /// Votes to one validator only.
    SelectiveVotes => |_| Box::new(SelectiveVotes),
    /// CHECKPOINTs of headers that do not exist.
    FalseCheckpoints => |_| Box::new(FalseCheckpoints),
    /// Votes in the name of others.
    Impersonation => |_| Box::new(Impersonation),
    /// Votes for other chains, epochs, views and places.
    WrongPlace => |_| Box::new(WrongPlace),
    /// Bad blocks.
    BadSource => |_| Box::new(BadSource::default()),
    /// Nothing at all.
    Silent => |_| Box::new(Silent),
    /// Old messages again and again.
    Replayer => |_| Box::new(Replayer::default()),
    /// Floods of claims, and deaf to those of others.
    ClaimFlooder => |_| Box::new(ClaimFlooder::default()),
    /// Wrong STATUS.
    LyingStatus => |_| Box::new(LyingStatus::default()),
    /// Questions without end.
    QuestionFlood => |_| Box::new(QuestionFlood),
    /// VIEW-CHANGEs that forget, and forged ones.
    WrongViewChanges => |_| Box::new(WrongViewChanges),
    /// Two VIEW-CHANGEs for one view.
    TwoViewChanges => |_| Box::new(TwoViewChanges),
    /// VIEW-CHANGEs for views far ahead.
    FarViews => |_| Box::new(FarViews::default()),
    /// Old VIEW-CHANGEs and NEW-VIEWs again and again.
    OldViewChanges => |_| Box::new(OldViewChanges::default()),
    /// NEW-VIEWs that forget, name the wrong, come twice, or reach one only.
    WrongNewView => |_| Box::new(WrongNewView),
    /// Goes on although somebody else votes with its key.
    DeafToItself => |_| Box::new(DeafToItself),
}
