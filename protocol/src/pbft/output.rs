//! Everything that an engine can ask for.

use std::fmt;

use quorate_crypto::{hash::Digest, signed::Signed};

use super::{
    evidence::Evidence,
    message::{Content, Message},
    record::Record,
};
use crate::{
    document::{block::Proof, certificate::Certificate},
    id::{Height, NodeIndex, Sequence, View},
};

/// Names one [`Output::Persist`]; they are answered in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, borsh::BorshSerialize)]
pub struct Ticket(pub u64);

/// One request to the world. The order of a list of them is the order in which they must be begun.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send to one peer. Never a vote that is not durable: those leave only inside `Persist`.
    Send {
        /// The receiver.
        to: NodeIndex,
        /// The message.
        message: Message,
    },
    /// Send to every peer; like `Send`, never a vote that is not durable.
    Broadcast(Message),
    /// May this proposal be voted for? Answered by `Input::Checked`, at once or when its bodies have come.
    Check {
        /// Where it was proposed.
        sequence: Sequence,
        /// What was proposed.
        content: Content,
        /// What is to be looked at.
        purpose: Purpose,
    },
    /// Ask this peer what digests stand for; answered by `Input::Content`, or asked again of another.
    FetchContents {
        /// Whom to ask.
        to: NodeIndex,
        /// Where they were proposed, and the digests.
        wanted: Vec<(Sequence, Digest)>,
    },
    /// Ask this peer for VIEW-CHANGEs that a NEW-VIEW names; they come as messages, or are asked for again.
    FetchViewChanges {
        /// Whom to ask.
        to: NodeIndex,
        /// Their names.
        names: Vec<Digest>,
    },
    /// Another view was entered, or it became active. What was proposed in views before is dead unless it is named here.
    Entered {
        /// The view.
        view: View,
        /// Whether it is active.
        active: bool,
        /// Proposals whose bodies may be wanted again: prepared here, or committed.
        kept: Vec<(Sequence, Digest)>,
        /// What is committed and waits for its execution.
        committed: Vec<(Sequence, Digest)>,
    },
    /// Make the record durable, then broadcast what it releases, then answer `Input::Durable`.
    Persist {
        /// What must survive a crash.
        record: Record,
        /// What leaves once it does.
        release: Vec<Message>,
        /// Comes back in `Input::Durable`.
        ticket: Ticket,
    },
    /// Execute and sync this block; answered by `Input::Executed`. Heights come without gaps.
    Execute {
        /// The height.
        height: Height,
        /// What to execute.
        content: Content,
        /// Why it is final.
        proof: Proof,
        /// Where a certificate names the header already: its hash.
        expected: Option<Digest>,
    },
    /// A quorum certified the block: keep the certificate beside it, and serve its receipts.
    Certify {
        /// The block's height, executed here.
        height: Height,
        /// Its certificate.
        certificate: Certificate,
        /// Sync it, and answer `Input::Anchored`: the low watermark waits for that.
        anchor: bool,
    },
    /// The low watermark moved: segments of the vote log at or below it may go, once `carry` is synced in a newer one.
    Trim {
        /// The low watermark.
        low: Height,
        /// What outlives the old segments.
        carry: Vec<Record>,
    },
    /// Answer a peer that lacks the certificate of an old block, from the store.
    ServeCertificate {
        /// Who asked.
        to: NodeIndex,
        /// The block's height.
        height: Height,
    },
    /// f + 1 validators are ahead and the missing blocks do not come by votes: fetch them.
    Behind {
        /// A height that at least one correct replica has executed.
        target: Height,
    },
    /// Something worth a log line, a metric, or keeping.
    Note(Note),
    /// Stop signing and say why: going on could break a promise.
    Halt {
        /// What happened, for the operator.
        reason: String,
        /// Where a quorum certified another header than this node computed: which.
        divergence: Option<Divergence>,
    },
}

/// What has to be looked at before a proposal may be voted for (PROTOCOL 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A batch that this view's primary proposes for the first time: form, bodies, ids and time.
    Fresh,
    /// A batch that a NEW-VIEW proposes again: form and bodies only.
    Again,
    /// A batch that some VIEW-CHANGE had prepared: its bodies must be here before this replica opens its view.
    Candidate,
}

/// Something that an operator or an auditor may want to know.
#[derive(Clone, Debug)]
pub enum Note {
    /// A proposal of the primary was not voted for.
    Refused {
        /// Where it was proposed.
        sequence: Sequence,
        /// Why not.
        reason: String,
    },
    /// A key signed two things that exclude each other.
    Evidence(Box<Evidence>),
    /// A PREPARE of the primary, which never counts.
    PrimaryPrepared(Box<Signed<super::message::Prepare>>),
    /// A signature was refused by [`super::safety`].
    NotSigned {
        /// What would have been signed.
        what: &'static str,
        /// The rule.
        refusal: super::safety::Refusal,
    },
    /// The low watermark moved.
    LowWatermark(Height),
    /// This replica left a view.
    LeftView {
        /// The view that it enters.
        to: View,
        /// Why.
        reason: String,
    },
    /// A view became active here.
    OpenedView {
        /// The view.
        view: View,
        /// How many batches it proposes again.
        proposed_again: usize,
    },
    /// A NEW-VIEW that does not follow from the VIEW-CHANGEs that it names.
    RefusedNewView {
        /// The view that it would have opened.
        view: View,
        /// Why not.
        reason: &'static str,
    },
    /// The headers that validators computed for a height differ so much that none can be certified any more.
    StateDiverged {
        /// The height.
        height: Height,
    },
}

/// A header of this replica against a certified one (PROTOCOL 4.5), as the engine words it in [`Output::Halt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The block.
    pub height: Height,
    /// Hash of the header computed here.
    pub own: Digest,
    /// Hash of the header that a quorum certified.
    pub certified: Digest,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Divergence { height, own, certified } = self;
        write!(f, "diverged: at height {height} this node computed header {own}, and a quorum certified {certified}")
    }
}
