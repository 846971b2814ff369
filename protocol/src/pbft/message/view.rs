//! VIEW-CHANGE and NEW-VIEW (OSDI'99, section 4.4; PROTOCOL section 5).

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::{
    encode::BoundedVec,
    hash::{Digest, digest},
    signature::Claim,
    signed::{Signable, Signed, Unverifiable, Verifiable},
};

use super::{
    context::VerifyContext,
    proof::{CertifiedCheckpoint, PreparedCertificate},
    vote::PrePrepare,
};
use crate::{
    id::{Epoch, Height, Sequence, View},
    limits::{LOG_WINDOW_LIMIT, VALIDATORS_LIMIT},
};

/// A replica's word that it left every view below this one, with all that may have committed there as far as it knows
/// (OSDI'99, section 4.4; PROTOCOL 5.1).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ViewChange {
    /// The validator set that votes.
    pub epoch: Epoch,
    /// The view that it enters.
    pub view: View,
    /// The highest watermark that it can prove, with the proof; none for the epoch's base.
    pub low: Option<CertifiedCheckpoint>,
    /// P: for each sequence above that watermark the prepared certificate of the highest view that it ever held, in order
    /// of sequence.
    pub prepared: BoundedVec<PreparedCertificate, { LOG_WINDOW_LIMIT as usize }>,
}

impl ViewChange {
    /// The watermark h that it proves; `base` where it names none.
    pub fn low(&self, base: Height) -> Height {
        self.low.as_ref().map_or(base, |certified| certified.checkpoint.height)
    }
}

/// What a NEW-VIEW calls a VIEW-CHANGE: a digest over signer and body. The signature is not part of it, so any valid one
/// serves.
pub fn view_change_name(view_change: &Signed<ViewChange>) -> Digest {
    digest("quorate/view-change-name", &(&view_change.signer, &view_change.body))
}

/// The primary's word that a view begins, from what q VIEW-CHANGEs say (OSDI'99, section 4.4; PROTOCOL 5.4).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewView {
    /// The validator set that votes.
    pub epoch: Epoch,
    /// The view that begins.
    pub view: View,
    /// The names of exactly q VIEW-CHANGEs of distinct signers, in ascending order.
    pub view_changes: BoundedVec<Digest, VALIDATORS_LIMIT>,
    /// O: what is proposed again, without gaps, each signed by itself; valid only here.
    pub pre_prepares: BoundedVec<Signed<PrePrepare>, { LOG_WINDOW_LIMIT as usize }>,
}

impl Signable for ViewChange {
    const DOMAIN: &'static str = "quorate/view-change";
}
impl Signable for NewView {
    const DOMAIN: &'static str = "quorate/new-view";
}

/// Everything that can be said of a VIEW-CHANGE by itself (PROTOCOL 5.3).
pub(super) fn view_change_claims(
    view_change: &Signed<ViewChange>,
    context: &VerifyContext,
    out: &mut Vec<Claim>,
) -> Result<(), Unverifiable> {
    let body = &view_change.body;
    context.check_epoch(body.epoch)?;
    if body.view == View(0) {
        return Err(Unverifiable("no replica changes to view 0"));
    }
    if let Some(certified) = &body.low {
        let height = certified.checkpoint.height;
        if height <= context.base || !height.0.is_multiple_of(context.checkpoint_interval) {
            return Err(Unverifiable("the height proved in a view change is no watermark"));
        }
        certified.claims(context, out)?;
    }
    let low = body.low(context.base);
    let mut last = Sequence::from(low);
    for certificate in body.prepared.iter() {
        let ballot = certificate.pre_prepare.body.0;
        if ballot.sequence <= last || ballot.sequence.0 - low.0 > context.window {
            return Err(Unverifiable(
                "the prepared certificates of a view change are out of order or out of its window",
            ));
        }
        if ballot.view >= body.view {
            return Err(Unverifiable("a prepared certificate in a view change belongs to no lower view"));
        }
        last = ballot.sequence;
        certificate.claims(context, out)?;
    }
    context.claim(view_change, out)
}

/// Everything that can be said of a NEW-VIEW without the VIEW-CHANGEs that it names.
pub(super) fn new_view_claims(
    new_view: &Signed<NewView>,
    context: &VerifyContext,
    out: &mut Vec<Claim>,
) -> Result<(), Unverifiable> {
    let body = &new_view.body;
    context.check_epoch(body.epoch)?;
    if body.view == View(0) {
        return Err(Unverifiable("view 0 needs no new view"));
    }
    let primary = context.validators.key(context.validators.primary(body.epoch, body.view)).copied();
    if primary != Some(new_view.signer) {
        return Err(Unverifiable("a new view is signed by another than its primary"));
    }
    if body.view_changes.len() != context.validators.quorum() || !body.view_changes.is_sorted_by(|a, b| a < b) {
        return Err(Unverifiable("a new view names exactly a quorum of view changes, in ascending order"));
    }
    if body.pre_prepares.len() as u64 > context.window {
        return Err(Unverifiable("a new view proposes more than a window"));
    }
    let first = body.pre_prepares.first().map(|pre_prepare| pre_prepare.body.0.sequence);
    for (place, pre_prepare) in body.pre_prepares.iter().enumerate() {
        let ballot = pre_prepare.body.0;
        let follows = first.and_then(|first| ballot.sequence.0.checked_sub(first.0)) == Some(place as u64);
        if (ballot.epoch, ballot.view) != (body.epoch, body.view) || !follows || pre_prepare.signer != new_view.signer {
            return Err(Unverifiable("a proposal in a new view belongs elsewhere, or leaves a gap"));
        }
        context.claim(pre_prepare, out)?;
    }
    context.claim(new_view, out)
}
