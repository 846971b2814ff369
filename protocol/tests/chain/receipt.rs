//! Receipts: every one of a block verifies against the genesis, and no changed one does.

use crate::common::*;
use quorate_crypto::encode::encode;
use quorate_crypto::merkle;
use quorate_protocol::api::envelope::{Envelope, to_pretty_json};
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::{Block, Boundary, Outcome, Receipt, Receipts, SkipReason};
use quorate_protocol::id::{Epoch, NodeIndex};
use quorate_protocol::proof::{ProofError, read_receipt, verify_receipt};

/// A block of `count` positions: most apply, each fifth fails, each seventh is skipped.
fn block(count: u64) -> Block {
    let mut chain = Chain::new();
    let body = |salt: u64| {
        let amount = if salt % 5 == 4 { 1_000_000 } else { 1 };
        let sender = if salt % 7 == 6 { STRANGER } else { ALICE };
        unsigned(transaction(sender, salt, vec![transfer(BOB, amount)]))
    };
    chain.block(START + 5, &(0..count).map(body).collect::<Vec<_>>())
}

fn receipts(block: &Block) -> Receipts {
    Receipts::new(block, certificate(&block.header))
}

fn receipt() -> Receipt {
    receipts(&block(6)).get(2).unwrap()
}

#[test]
fn every_executed_position_of_every_size_of_block_verifies() {
    let genesis = genesis();
    for count in [1, 2, 3, 4, 5, 7, 8, 9, 31, 33] {
        let block = block(count);
        let receipts = receipts(&block);
        let leaves: Vec<Vec<u8>> = block.positions.iter().map(encode).collect();
        for (index, position) in block.positions.iter().enumerate() {
            let receipt = receipts.get(index as u32);
            if position.outcome == Outcome::Skipped(SkipReason::NotAMember) {
                assert_eq!(receipt, None, "skipped is no receipt");
                continue;
            }
            let receipt = receipt.unwrap();
            assert_eq!(receipt.path.to_vec(), merkle::path(&leaves, index), "{index} of {count}");
            let verified = verify_receipt(&receipt, &genesis).unwrap();
            assert_eq!((verified.id, verified.outcome, verified.index), (position.id, position.outcome, index as u32));
            assert_eq!((verified.height, verified.header_hash), (block.header.height, block.header.hash()));
            assert_eq!(verified.signatures, 3);
        }
        assert_eq!(receipts.get(count as u32), None);
    }
}

#[test]
fn what_a_receipt_says_about_its_place_is_bound() {
    // With the plain root, some of these would verify as well: their paths have the same shape.
    let genesis = genesis();
    let receipts = receipts(&block(6));
    for index in 0..6 {
        let receipt = receipts.get(index).unwrap();
        for other in 0..12 {
            for count in 0..12 {
                let changed = Receipt { index: other, count, ..receipt.clone() };
                let right = (other, count) == (index, 6);
                assert_eq!(verify_receipt(&changed, &genesis).is_ok(), right, "{index} of 6 as {other} of {count}");
            }
        }
    }
}

#[test]
fn each_part_is_judged() {
    let mut other_chain = genesis();
    other_chain.time += 1;
    assert!(matches!(verify_receipt(&receipt(), &other_chain), Err(ProofError::WrongChain { .. })));

    let refused = |change: fn(&mut Receipt)| {
        let mut receipt = receipt();
        change(&mut receipt);
        verify_receipt(&receipt, &genesis()).unwrap_err()
    };
    assert_eq!(refused(|r| r.header.epoch = Epoch(1)), ProofError::Epoch(Epoch(1)));
    assert_eq!(
        refused(|r| {
            let (header, certificate) = (r.header.clone(), r.certificate.clone());
            let validators = genesis().validators;
            r.boundaries.push(Boundary { header, certificate, validators }).unwrap()
        }),
        ProofError::Epoch(Epoch(0))
    );
    assert_eq!(refused(|r| r.header.validators_hash = r.header.parent), ProofError::Genesis("validators_hash"));
    assert_eq!(refused(|r| r.header.parameters_hash = r.header.parent), ProofError::Genesis("parameters_hash"));
    assert_eq!(refused(|r| r.position.outcome = Outcome::Skipped(SkipReason::Duplicate)), ProofError::Skipped);
    assert_eq!(refused(|r| r.path[0] = r.header.parent), ProofError::Path);
    assert_eq!(refused(|r| r.path.push(r.header.parent).unwrap()), ProofError::Path);
    assert_eq!(refused(|r| r.header.time += 1), ProofError::Signature(0));
    assert_eq!(refused(|r| r.certificate.signatures[1].1 = r.certificate.signatures[0].1), ProofError::Signature(1));
    let form = |error| matches!(error, ProofError::Certificate(_));
    assert!(form(refused(|r| r.certificate.signatures[2].0 = NodeIndex(1))), "one validator twice");
    assert!(form(refused(|r| r.certificate.signatures[2].0 = NodeIndex(4))), "no such validator");
    assert!(form(refused(|r| r.certificate.signatures.swap(0, 1))), "out of order");
    assert!(form(refused(|r| r.certificate.signatures = bounded(r.certificate.signatures[..2].to_vec()))), "too few");
    assert!(
        form(refused(|r| {
            let extra = (NodeIndex(3), r.certificate.signatures[0].1);
            r.certificate.signatures.push(extra).unwrap()
        })),
        "more than a quorum"
    );
}

/// Whether a file proves something to somebody with the genesis.
fn accepted(bytes: &[u8]) -> bool {
    read_receipt(bytes).is_ok_and(|receipt| verify_receipt(&receipt, &genesis()).is_ok())
}

#[test]
fn a_receipt_is_read_in_each_form_in_which_it_is_printed() {
    let receipt = receipt();
    let envelope = Envelope::success(receipt.clone());
    for text in [
        to_pretty_json(&envelope),
        to_pretty_json(&Envelope::success(TransactionResponse::certified(receipt.clone()))),
        serde_json::to_string(&envelope).unwrap(),
        to_pretty_json(&receipt),
        serde_json::to_string(&receipt).unwrap() + "\n",
    ] {
        assert_eq!(read_receipt(text.as_bytes()), Ok(receipt.clone()));
        assert!(accepted(text.as_bytes()));
    }
}

#[test]
fn no_byte_of_the_file_can_change_be_missing_or_be_added() {
    let file = to_pretty_json(&Envelope::success(receipt())).into_bytes();
    assert!(accepted(&file));
    let mut checked = 0;
    for place in 0..file.len() {
        for changed in [file[place] ^ 1, file[place] ^ 0x20, b'0', b'9', b'f', b' ', b'"', 0xff] {
            if changed == file[place] {
                continue;
            }
            let mut bytes = file.clone();
            bytes[place] = changed;
            assert!(!accepted(&bytes), "byte {place} as {changed:#x}: {}", String::from_utf8_lossy(&bytes));
            checked += 1;
        }
        let mut longer = file.clone();
        longer.insert(place, b' ');
        assert!(!accepted(&longer), "a space before byte {place}");
        let mut shorter = file.clone();
        shorter.remove(place);
        // The newline at the very end is the printer's, not the document's.
        assert_eq!(accepted(&shorter), place == file.len() - 1, "without byte {place}");
    }
    assert!(checked > 7 * file.len() / 2);
}

#[test]
fn an_envelope_that_says_more_than_the_receipt_is_refused() {
    let refused = |change: fn(&mut Envelope<Receipt>)| {
        let mut envelope = Envelope::success(receipt());
        change(&mut envelope);
        assert!(matches!(read_receipt(to_pretty_json(&envelope).as_bytes()), Err(ProofError::Form(_))));
    };
    refused(|envelope| envelope.schema_version = 2);
    refused(|envelope| envelope.success = false);
    refused(|envelope| envelope.warnings.push("look".into()));
    refused(|envelope| envelope.data = None);
}

#[test]
fn a_result_that_says_otherwise_than_its_receipt_is_refused() {
    let refused = |change: fn(&mut TransactionResponse)| {
        let mut response = TransactionResponse::certified(receipt());
        change(&mut response);
        let text = to_pretty_json(&Envelope::success(response));
        assert!(matches!(read_receipt(text.as_bytes()), Err(ProofError::Form(_))), "{text}");
    };
    refused(|response| response.status = TransactionStatus::Failed);
    refused(|response| response.height = None);
    refused(|response| response.index = Some(3));
    refused(|response| response.receipt = None);
}

#[test]
fn a_response_takes_what_the_receipt_says() {
    let receipts = receipts(&block(6));
    let applied = TransactionResponse::certified(receipts.get(0).unwrap());
    assert_eq!((applied.status, applied.code), (TransactionStatus::Applied, None));
    let failed = TransactionResponse::certified(receipts.get(4).unwrap());
    assert_eq!(failed.status, TransactionStatus::Failed);
    assert_eq!(failed.code.unwrap().as_str(), "insufficient_balance");
    assert_eq!((failed.height, failed.index), (Some(failed.receipt.as_ref().unwrap().header.height), Some(4)));
}
