//! Checking a receipt (PROTOCOL 8.2), or evidence against a validator (PROTOCOL 9.3), with nothing but the genesis file.

use crate::api::envelope::{CanonicalJsonError, Envelope, from_canonical_json};
use crate::api::evidence::{EVIDENCE_ANSWER_BYTES_MAX, EvidenceResponse, EvidenceView};
use crate::api::http::TransactionResponse;
use crate::document::block::{Outcome, bind_receipts};
use crate::document::genesis::Genesis;
use crate::document::receipt::Receipt;
use crate::id::{ChainId, Epoch, Height, NodeIndex, TransactionId};
use crate::limits::RECEIPT_JSON_BYTES_MAX;
use crate::pbft::evidence::{Evidence, Kind, Place};
use crate::time::UnixMillis;
use quorate_crypto::encode::encode;
use quorate_crypto::hash::Digest;
use quorate_crypto::key::PublicKey;
use quorate_crypto::merkle;
use quorate_crypto::signature::{Claim, Verifier};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a receipt proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    /// The transaction.
    pub id: TransactionId,
    /// Applied, or failed with a code.
    pub outcome: Outcome,
    /// The block that executed it.
    pub height: Height,
    /// Its position there.
    pub index: u32,
    /// Hash of the block's header.
    pub header_hash: Digest,
    /// The block's time, Unix milliseconds.
    pub time: UnixMillis,
    /// How many validators signed.
    pub signatures: usize,
}

/// Why a receipt proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The file is no receipt.
    #[error("the file is no receipt: {0}; give it as `quorate tx receipt ID --output json` printed it")]
    Form(String),
    /// The file is written otherwise than it would be printed.
    #[error("the file is not as it was printed: {0}; fetch the receipt again")]
    Changed(CanonicalJsonError),
    /// The receipt is of another chain.
    #[error(
        "the receipt is of chain {found}, and the genesis file makes chain {expected}: use the genesis file of its chain"
    )]
    WrongChain {
        /// The chain of the genesis file.
        expected: ChainId,
        /// The chain of the receipt.
        found: ChainId,
    },
    /// The receipt is of an epoch that this version cannot follow.
    #[error("the receipt is of epoch {0}, and this version verifies epoch 0 only: use a newer release")]
    Epoch(Epoch),
    /// The header does not name the genesis's validators.
    #[error("the header's {0} is not the genesis file's: the receipt was changed")]
    Genesis(&'static str),
    /// The position was skipped, which nobody gets a receipt for.
    #[error("the position was skipped, which is no receipt: the receipt was made by hand")]
    Skipped,
    /// The path does not lead from the position to the header.
    #[error("the path does not lead from the position to the header's receipts_root: the receipt was changed")]
    Path,
    /// The certificate has the wrong form.
    #[error("the certificate does not fit the validators: {0}: the receipt was changed")]
    Certificate(&'static str),
    /// A signature is not its validator's.
    #[error("the signature of validator v{0} is not over this header: the receipt was changed")]
    Signature(u8),
}

/// Checks that the genesis's validators certified the block, and that the block has the position.
///
/// # Errors
///
/// Says what does not fit: chain, epoch, path, certificate or a signature.
pub fn verify_receipt(receipt: &Receipt, genesis: &Genesis) -> Result<VerifiedReceipt, ProofError> {
    check_header(receipt, genesis)?;
    check_path(receipt)?;
    check_certificate(receipt, genesis)?;
    Ok(VerifiedReceipt {
        id: receipt.position.id,
        outcome: receipt.position.outcome,
        height: receipt.header.height,
        index: receipt.index,
        header_hash: receipt.header.hash(),
        time: receipt.header.time,
        signatures: receipt.certificate.signatures.len(),
    })
}

fn check_header(receipt: &Receipt, genesis: &Genesis) -> Result<(), ProofError> {
    let header = &receipt.header;
    let (expected, found) = (genesis.chain_id(), header.chain_id);
    if found != expected {
        return Err(ProofError::WrongChain { expected, found });
    }
    // The set changes with the epoch, and boundaries come with later versions.
    if header.epoch != Epoch::ZERO || !receipt.boundaries.is_empty() {
        return Err(ProofError::Epoch(header.epoch));
    }
    if header.validators_hash != genesis.validators.hash() {
        return Err(ProofError::Genesis("validators_hash"));
    }
    if header.parameters_hash != genesis.parameters.hash() {
        return Err(ProofError::Genesis("parameters_hash"));
    }
    Ok(())
}

fn check_path(receipt: &Receipt) -> Result<(), ProofError> {
    if !receipt.position.outcome.is_executed() {
        return Err(ProofError::Skipped);
    }
    let leaf = encode(&receipt.position);
    let root = merkle::root_of_path(&leaf, receipt.index.into(), receipt.count.into(), &receipt.path);
    let receipts_root = root.map(|root| bind_receipts(receipt.count.into(), root));
    if receipts_root == Some(receipt.header.receipts_root) { Ok(()) } else { Err(ProofError::Path) }
}

fn check_certificate(receipt: &Receipt, genesis: &Genesis) -> Result<(), ProofError> {
    let mut claims: Vec<Claim> = Vec::new();
    let checkpoint = receipt.header.checkpoint();
    let (certificate, chain_id) = (&receipt.certificate, &receipt.header.chain_id);
    let form = certificate.claims(&checkpoint, &genesis.validators, chain_id, &mut claims);
    form.map_err(|unverifiable| ProofError::Certificate(unverifiable.0))?;
    // One by one, where the coefficients that the seed is for play no part.
    let mut verifier = Verifier::new([0; 32], claims.len());
    for ((index, _), claim) in certificate.signatures.iter().zip(&claims) {
        if !verifier.verify(claim) {
            return Err(ProofError::Signature(index.0));
        }
    }
    Ok(())
}

/// What a piece of evidence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedEvidence {
    /// The validator that signed both messages.
    pub validator: NodeIndex,
    /// Its consensus key.
    pub key: PublicKey,
    /// What it did.
    pub kind: Kind,
    /// Where.
    pub place: Place,
}

/// Why a piece of evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It is no evidence.
    #[error("{0}")]
    Form(String),
    /// It is of another chain.
    #[error("it is of chain {found}, and the genesis file makes chain {expected}: use the genesis file of its chain")]
    WrongChain {
        /// The chain of the genesis file.
        expected: ChainId,
        /// The chain of the evidence.
        found: ChainId,
    },
    /// It is of an epoch that this version cannot follow.
    #[error("it is of epoch {0}, and this version verifies epoch 0 only: use a newer release")]
    Epoch(Epoch),
    /// The accused key is none of the validators'.
    #[error("{0} is no validator of the genesis")]
    NotAValidator(PublicKey),
    /// The messages do not exclude each other.
    #[error("the two messages do not exclude each other: a correct validator may sign both")]
    NoConflict,
    /// A signature is not the accused's.
    #[error("the signature of the {0} message is not the accused's")]
    Signature(&'static str),
}

/// Checks that a validator of the genesis signed two messages of which a correct one signs at most one.
///
/// # Errors
///
/// Says what does not hold: epoch, validator, contradiction or a signature.
pub fn verify_evidence(evidence: &Evidence, genesis: &Genesis) -> Result<VerifiedEvidence, EvidenceError> {
    let (key, place) = (evidence.accused(), evidence.place());
    // The set changes with the epoch, and boundaries come with later versions.
    if place.epoch != Epoch::ZERO {
        return Err(EvidenceError::Epoch(place.epoch));
    }
    let validator = genesis.validators.index_of(&key).ok_or(EvidenceError::NotAValidator(key))?;
    if !evidence.is_conflict() {
        return Err(EvidenceError::NoConflict);
    }
    let claims = evidence.claims(&genesis.chain_id());
    // One by one, where the coefficients that the seed is for play no part.
    let mut verifier = Verifier::new([0; 32], claims.len());
    for (which, claim) in ["first", "second"].into_iter().zip(&claims) {
        if !verifier.verify(claim) {
            return Err(EvidenceError::Signature(which));
        }
    }
    Ok(VerifiedEvidence { validator, key, kind: evidence.kind(), place })
}

/// Bytes of an evidence file: twice what the largest answer of a node takes.
pub const EVIDENCE_JSON_BYTES_MAX: usize = 4 * EVIDENCE_ANSWER_BYTES_MAX;

/// Reads evidence strictly: as nodes serve it, in the envelope of `quorate evidence`, or one piece alone. The bytes have
/// to be what printing the same document again gives. Only how many pieces were left out is the node's word alone.
///
/// # Errors
///
/// Says why the file is no evidence, or where it is not as it was printed.
pub fn read_evidence(bytes: &[u8]) -> Result<Vec<EvidenceView>, CanonicalJsonError> {
    if bytes.len() > EVIDENCE_JSON_BYTES_MAX {
        return Err(CanonicalJsonError::Form(format!("it has more than {EVIDENCE_JSON_BYTES_MAX} bytes")));
    }
    let shape: Value = serde_json::from_slice(bytes).map_err(|error| CanonicalJsonError::Form(error.to_string()))?;
    if shape.get("messages").is_some() {
        return Ok(vec![from_canonical_json(bytes)?]);
    }
    let response: EvidenceResponse = match shape.get("data") {
        None => from_canonical_json(bytes)?,
        Some(_) => {
            let envelope: Envelope<EvidenceResponse> = from_canonical_json(bytes)?;
            let data = envelope.data.clone().filter(|data| envelope == Envelope::success(data.clone()));
            data.ok_or_else(|| CanonicalJsonError::Form("its envelope is not that of a success".to_owned()))?
        }
    };
    if response.evidence.iter().any(|view| view.checkable.chain_id != response.chain_id) {
        return Err(CanonicalJsonError::Form("a piece is of another chain than the file says".to_owned()));
    }
    Ok(response.evidence)
}

/// Checks a piece as it was read from a file: that it proves what it shows, no more and no less.
///
/// # Errors
///
/// Says what does not hold.
pub fn verify_evidence_view(view: &EvidenceView, genesis: &Genesis) -> Result<VerifiedEvidence, EvidenceError> {
    let (expected, found) = (genesis.chain_id(), view.checkable.chain_id);
    if found != expected {
        return Err(EvidenceError::WrongChain { expected, found });
    }
    let evidence = view.evidence().map_err(EvidenceError::Form)?;
    let verified = verify_evidence(&evidence, genesis)?;
    match EvidenceView::new(expected, &genesis.validators, &evidence) {
        Some(same) if same == *view => Ok(verified),
        _ => Err(EvidenceError::Form("what stands beside the messages is not what they say".to_owned())),
    }
}

/// Reads a receipt strictly: as nodes serve it, in the envelope of `tx receipt`, or in that of `transfer` and `tx wait`
/// with the rest of their result. The bytes have to be what printing the same document again gives, and nothing may
/// stand beside the receipt but what follows from it, so that no byte of the file can change unseen.
///
/// # Errors
///
/// When the file is too large, holds no receipt, or is not as it was printed.
pub fn read_receipt(bytes: &[u8]) -> Result<Receipt, ProofError> {
    if bytes.len() > RECEIPT_JSON_BYTES_MAX {
        return Err(ProofError::Form(format!("it has more than {RECEIPT_JSON_BYTES_MAX} bytes")));
    }
    let shape: Value = serde_json::from_slice(bytes).map_err(|error| ProofError::Form(error.to_string()))?;
    let Some(data) = shape.get("data") else {
        return read_strictly(bytes);
    };
    if data.get("receipt").is_none() {
        return out_of_envelope(read_strictly::<Envelope<Receipt>>(bytes)?);
    }
    let response = out_of_envelope(read_strictly::<Envelope<TransactionResponse>>(bytes)?)?;
    let receipt = response.receipt.clone();
    let receipt = receipt.ok_or_else(|| ProofError::Form("it is of a transaction without a receipt".to_owned()))?;
    if TransactionResponse::certified(receipt.clone()) != response {
        return Err(ProofError::Form("what it says beside the receipt is not what the receipt says".to_owned()));
    }
    Ok(receipt)
}

fn read_strictly<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, ProofError> {
    from_canonical_json(bytes).map_err(|error| match error {
        CanonicalJsonError::Form(reason) => ProofError::Form(reason),
        changed @ CanonicalJsonError::NotCanonical(_) => ProofError::Changed(changed),
    })
}

/// The data of an envelope that is exactly what a success is printed in: a changed warning, for one, would not be
/// noticed.
fn out_of_envelope<T: Clone + PartialEq>(envelope: Envelope<T>) -> Result<T, ProofError> {
    match envelope.data.clone() {
        Some(data) if envelope == Envelope::success(data.clone()) => Ok(data),
        _ => Err(ProofError::Form("its envelope is not that of a success".to_owned())),
    }
}
