//! Evidence against validators as JSON (PROTOCOL 9.3): made to be checked by somebody who has nothing but the genesis.
//!
//! A message is the canonical bytes of its body, the key (32 bytes) and the signature (64 bytes). The signature covers
//! `signed_prefix` followed by the body.

use quorate_crypto::encode::BoundedBytes;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

use crate::document::validators::ValidatorSet;
use crate::id::{ChainId, NodeIndex};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::pbft::evidence::{Evidence, Kind, Place};
use crate::store::EvidenceList;

/// Bytes of the evidence that one answer carries at most.
pub const EVIDENCE_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How to check a piece without this program.
const RULE: &str = "each message is its body, the key (32 bytes) and the signature (64 bytes); the signature is Ed25519 \
                    (ZIP-215) over signed_prefix followed by the body; the genesis whose canonical bytes hash to chain_id \
                    lists the key as a validator's consensus key; a correct validator signs one digest only at this place";

/// `GET /v1/evidence`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceResponse {
    /// The chain.
    pub chain_id: ChainId,
    /// One piece per validator, kind and epoch.
    pub evidence: Vec<EvidenceView>,
    /// How many more pieces the node holds than one answer carries.
    pub left_out: usize,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceView {
    /// The accused validator's index; `null` where it is none of the set that the node has.
    pub validator: Option<NodeIndex>,
    /// Its consensus key, which signed both messages.
    pub key: PublicKey,
    /// What it did.
    pub kind: Kind,
    /// Where it may speak once only.
    pub place: Place,
    /// The two messages.
    pub messages: [MessageView; 2],
    /// What a stranger needs to check it.
    pub checkable: Checkable,
}

/// One of two messages that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageView {
    /// What was signed at the place.
    pub digest: Digest,
    /// The signature.
    pub signature: Signature,
    /// Canonical bytes of the message, in hex.
    pub bytes: BoundedBytes<MESSAGE_BYTES_MAX>,
}

/// How to check a piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkable {
    /// The chain.
    pub chain_id: ChainId,
    /// The domain of the signatures.
    pub domain: String,
    /// What stands before the body in the signed bytes: the domain's length (one byte), the domain, the chain id.
    pub signed_prefix: BoundedBytes<512>,
    /// The rule in words.
    pub rule: String,
}

impl EvidenceResponse {
    /// What a node holds, for strangers.
    pub fn new(chain_id: ChainId, validators: &ValidatorSet, list: EvidenceList) -> EvidenceResponse {
        let (held, mut left_out) = (list.pieces.len(), list.left_out);
        let views = list.pieces.iter().filter_map(|piece| EvidenceView::new(chain_id, validators, piece));
        let evidence: Vec<EvidenceView> = views.collect();
        left_out += held - evidence.len();
        EvidenceResponse { chain_id, evidence, left_out }
    }
}

impl EvidenceView {
    /// One piece, for strangers; `None` if a message is longer than any that travels.
    pub fn new(chain_id: ChainId, validators: &ValidatorSet, evidence: &Evidence) -> Option<EvidenceView> {
        let [first, second] = evidence.statements().map(|statement| {
            let bytes = BoundedBytes::try_from(statement.bytes).ok()?;
            Some(MessageView { digest: statement.digest, signature: statement.signature, bytes })
        });
        let domain = evidence.domain();
        let prefix = [&[u8::try_from(domain.len()).ok()?], domain.as_bytes(), chain_id.as_bytes()].concat();
        Some(EvidenceView {
            validator: validators.index_of(&evidence.accused()),
            key: evidence.accused(),
            kind: evidence.kind(),
            place: evidence.place(),
            messages: [first?, second?],
            checkable: Checkable {
                chain_id,
                domain: domain.to_owned(),
                signed_prefix: BoundedBytes::try_from(prefix).ok()?,
                rule: RULE.to_owned(),
            },
        })
    }

    /// The evidence, as its messages have it; whether the rest of the view says the same is still to be compared.
    ///
    /// # Errors
    ///
    /// When the messages are not of the kind.
    pub fn evidence(&self) -> Result<Evidence, String> {
        let [first, second] = &self.messages;
        let evidence = Evidence::from_messages(self.kind, [&first.bytes, &second.bytes]);
        let evidence = evidence.map_err(|error| format!("a message is no {} message: {error}", self.kind.as_str()))?;
        evidence.ok_or_else(|| format!("there is no evidence of the kind {}", self.kind.as_str()))
    }
}
