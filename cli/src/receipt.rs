//! Receipts: checked against the genesis, and turned into what a command prints.

use quorate_crypto::signature::Verifier;
use quorate_protocol::api::code::Code;
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::{Genesis, Outcome, Receipt};
use quorate_protocol::id::TransactionId;
use quorate_protocol::proof::verify_receipt;
use serde::Serialize;

use crate::output::Readable;
use crate::output::table::{Facts, Style};
use crate::output::time::utc;

/// Checks that `receipt` proves something about the transaction `id` (about any, where none is named) on the genesis's
/// chain.
///
/// # Errors
/// The reason why it proves nothing.
pub fn check(receipt: &Receipt, genesis: &Genesis, id: Option<TransactionId>) -> Result<(), String> {
    if let Some(id) = id.filter(|id| *id != receipt.position.id) {
        return Err(format!("it is about another transaction, {}, not about {id}", receipt.position.id));
    }
    verify_receipt(receipt, genesis).map(drop).map_err(|error| error.to_string())
}

/// Whether `receipt` was signed by the genesis's validators for another chain id, or by other validators for another
/// chain: then it is the genesis file that does not belong here, not the receipt that was changed.
pub fn is_of_another_chain(receipt: &Receipt, genesis: &Genesis) -> bool {
    let (header, validators) = (&receipt.header, &genesis.validators);
    if header.chain_id == genesis.chain_id() {
        return false;
    }
    let mut verifier = Verifier::new([0; 32], validators.n());
    header.validators_hash != validators.hash()
        || receipt.certificate.verify(&header.checkpoint(), validators, &header.chain_id, &mut verifier).is_ok()
}

/// A transaction that expired unexecuted, for certain.
pub fn expired(id: TransactionId) -> TransactionResponse {
    TransactionResponse { code: Some(Code::Expired), ..TransactionResponse::new(id, TransactionStatus::Expired) }
}

/// A verified receipt, for people and programs. Its JSON is the receipt itself.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ReceiptShown<'a> {
    /// The receipt.
    pub receipt: &'a Receipt,
    /// How many validators there are.
    #[serde(skip)]
    pub validators: usize,
}

impl Readable for ReceiptShown<'_> {
    fn text(&self, style: Style) -> String {
        let receipt = self.receipt;
        let outcome = match receipt.position.outcome {
            Outcome::Applied => style.good("applied"),
            Outcome::Failed(code) => format!("{} {code}: {}", style.bad("failed"), code.hint()),
            Outcome::Skipped(reason) => style.note(&format!("skipped: {}", reason.as_str())),
        };
        let mut facts = Facts::default();
        facts.add("outcome", outcome).add("transaction", receipt.position.id.to_string());
        add_place(&mut facts, receipt, self.validators);
        facts.render(style)
    }
}

/// Where and when it happened, and who signed for it.
pub fn add_place(facts: &mut Facts, receipt: &Receipt, validators: usize) {
    let signers: Vec<String> =
        receipt.certificate.signatures.iter().map(|(index, _)| format!("v{}", index.0)).collect();
    facts
        .add("block", format!("height {}, position {} of {}", receipt.header.height, receipt.index + 1, receipt.count))
        .add("block hash", receipt.header.hash().to_string())
        .add("block time", utc(receipt.header.time))
        .add("signed by", format!("{} ({} of {validators} validators)", signers.join(" "), signers.len()));
}
