//! Evidence convicts whoever signed two messages that exclude each other, and nobody else (PROTOCOL 9.3, promise AC).

use crate::common::*;
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::key::{SecretKey, Signature};
use quorate_crypto::signed::{Signable, Signed};
use quorate_protocol::api::envelope::{CanonicalJsonError, Envelope, to_pretty_json};
use quorate_protocol::api::evidence::{EvidenceResponse, EvidenceView};
use quorate_protocol::document::Checkpoint;
use quorate_protocol::id::{Epoch, Height, NodeIndex, Sequence, View};
use quorate_protocol::pbft::evidence::{Evidence, Kind};
use quorate_protocol::pbft::message::{Ballot, Commit, PrePrepare, Prepare};
use quorate_protocol::proof::{EvidenceError, read_evidence, verify_evidence, verify_evidence_view};
use quorate_protocol::store::EvidenceList;

/// The validator that lies.
const LIAR: usize = 2;

fn ballot(digest: u8) -> Ballot {
    Ballot { epoch: Epoch(0), view: View(3), sequence: Sequence(8), digest: sha256(&[digest]) }
}

fn checkpoint(digest: u8) -> Checkpoint {
    Checkpoint { epoch: Epoch(0), height: Height(8), header_hash: sha256(&[digest]) }
}

fn signed<T: Signable>(body: T) -> Signed<T> {
    Signed::sign(body, &genesis().chain_id(), &validator_secrets()[LIAR])
}

/// A true piece of each kind.
fn pieces() -> Vec<Evidence> {
    vec![
        Evidence::PrePrepare(signed(PrePrepare(ballot(1))), signed(PrePrepare(ballot(2)))),
        Evidence::Prepare(signed(Prepare(ballot(1))), signed(Prepare(ballot(2)))),
        Evidence::Commit(signed(Commit(ballot(1))), signed(Commit(ballot(2)))),
        Evidence::Checkpoint(signed(checkpoint(1)), signed(checkpoint(2))),
    ]
}

fn commits(first: Ballot, second: Ballot) -> Evidence {
    Evidence::Commit(signed(Commit(first)), signed(Commit(second)))
}

#[test]
fn two_messages_that_exclude_each_other_convict_their_signer() {
    let kinds = [Kind::PrePrepare, Kind::Prepare, Kind::Commit, Kind::Checkpoint];
    for (piece, kind) in pieces().iter().zip(kinds) {
        let verified = verify_evidence(piece, &genesis()).unwrap();
        assert_eq!((verified.validator, verified.kind), (NodeIndex(LIAR as u8), kind));
        assert_eq!(verified.key, validator_secrets()[LIAR].public_key());
        assert_eq!(verified.place, piece.place());
    }
}

#[test]
fn what_a_correct_validator_signs_convicts_nobody() {
    let elsewhere = [
        Ballot { view: View(4), ..ballot(2) },
        Ballot { sequence: Sequence(9), ..ballot(2) },
        Ballot { epoch: Epoch(1), ..ballot(2) },
        ballot(1),
    ];
    for other in elsewhere {
        assert_eq!(verify_evidence(&commits(ballot(1), other), &genesis()), Err(EvidenceError::NoConflict));
    }
    let later = Checkpoint { height: Height(9), ..checkpoint(2) };
    let two = Evidence::Checkpoint(signed(checkpoint(1)), signed(later));
    assert_eq!(verify_evidence(&two, &genesis()), Err(EvidenceError::NoConflict));
    // Two validators that voted differently, as two honest ones may.
    let other = Signed::sign(Commit(ballot(2)), &genesis().chain_id(), &validator_secrets()[0]);
    let two = Evidence::Commit(signed(Commit(ballot(1))), other);
    assert_eq!(verify_evidence(&two, &genesis()), Err(EvidenceError::NoConflict));
}

#[test]
fn nobody_is_convicted_by_another_hand() {
    let key = validator_secrets()[LIAR].public_key();
    let forge = |body: Commit| Signed { signer: key, ..Signed::sign(body, &genesis().chain_id(), &secret(STRANGER)) };
    let other_chain = |body: Commit| Signed::sign(body, &Digest::ZERO, &validator_secrets()[LIAR]);
    let true_one = |digest| signed(Commit(ballot(digest)));
    let cases = [
        (Evidence::Commit(forge(Commit(ballot(1))), true_one(2)), EvidenceError::Signature("first")),
        (Evidence::Commit(true_one(1), forge(Commit(ballot(2)))), EvidenceError::Signature("second")),
        (Evidence::Commit(true_one(1), other_chain(Commit(ballot(2)))), EvidenceError::Signature("second")),
    ];
    for (piece, expected) in cases {
        assert_eq!(verify_evidence(&piece, &genesis()), Err(expected));
    }
    // A PREPARE's signature does not pass for a COMMIT's.
    let prepare = signed(Prepare(ballot(2)));
    let dressed = Signed { body: Commit(ballot(2)), signer: prepare.signer, signature: prepare.signature };
    let piece = Evidence::Commit(true_one(1), dressed);
    assert_eq!(verify_evidence(&piece, &genesis()), Err(EvidenceError::Signature("second")));
    let stranger: SecretKey = secret(STRANGER);
    let by_stranger = |digest| Signed::sign(Commit(ballot(digest)), &genesis().chain_id(), &stranger);
    let piece = Evidence::Commit(by_stranger(1), by_stranger(2));
    assert_eq!(verify_evidence(&piece, &genesis()), Err(EvidenceError::NotAValidator(stranger.public_key())));
    let late = |digest| Ballot { epoch: Epoch(1), ..ballot(digest) };
    assert_eq!(verify_evidence(&commits(late(1), late(2)), &genesis()), Err(EvidenceError::Epoch(Epoch(1))));
}

fn response() -> EvidenceResponse {
    let genesis = genesis();
    let list = EvidenceList { pieces: pieces(), left_out: 3 };
    EvidenceResponse::new(genesis.chain_id(), &genesis.validators, list)
}

#[test]
fn what_a_node_serves_is_read_again_in_every_form_and_verifies() {
    let response = response();
    assert_eq!((response.evidence.len(), response.left_out), (4, 3));
    let forms = [
        to_pretty_json(&response).into_bytes(),
        serde_json::to_vec(&response).unwrap(),
        to_pretty_json(&Envelope::success(response.clone())).into_bytes(),
    ];
    for bytes in forms {
        let views = read_evidence(&bytes).unwrap();
        assert_eq!(views, response.evidence);
        for (view, piece) in views.iter().zip(pieces()) {
            assert_eq!(view.evidence(), Ok(piece));
            assert_eq!(verify_evidence_view(view, &genesis()).unwrap().validator, NodeIndex(LIAR as u8));
        }
    }
    let alone = to_pretty_json(&response.evidence[1]);
    assert_eq!(read_evidence(alone.as_bytes()).unwrap(), response.evidence[1..2]);
}

/// The rule that stands beside each piece is all that somebody needs who has an Ed25519 library and the genesis.
#[test]
fn the_rule_beside_the_messages_is_enough_to_check_them() {
    for view in response().evidence {
        for message in &view.messages {
            let (body, rest) = message.bytes.split_at(message.bytes.len() - 96);
            assert_eq!(&rest[..32], view.key.as_bytes());
            assert_eq!(&rest[32..], message.signature.as_bytes());
            let bytes = [&view.checkable.signed_prefix[..], body].concat();
            let key = ed25519_dalek::VerifyingKey::from_bytes(view.key.as_bytes()).unwrap();
            let signature = ed25519_dalek::Signature::from_bytes(message.signature.as_bytes());
            key.verify_strict(&bytes, &signature).unwrap();
            assert!(body.ends_with(message.digest.as_bytes()));
        }
    }
}

#[test]
fn no_changed_byte_of_a_piece_goes_unseen() {
    let genesis = genesis();
    let good = to_pretty_json(&response().evidence[3]).into_bytes();
    let is_good = |bytes: &[u8]| match read_evidence(bytes) {
        Ok(views) => views.len() == 1 && verify_evidence_view(&views[0], &genesis).is_ok(),
        Err(_) => false,
    };
    assert!(is_good(&good));
    for place in 0..good.len() - 1 {
        let mut bad = good.clone();
        bad[place] ^= 1;
        assert!(!is_good(&bad), "byte {place}: {}", String::from_utf8_lossy(&bad));
    }
}

#[test]
fn what_stands_beside_the_messages_is_what_they_say() {
    let genesis = genesis();
    let good = response().evidence.remove(0);
    let changes: [&dyn Fn(&mut EvidenceView); 6] = [
        &|view| view.validator = Some(NodeIndex(0)),
        &|view| view.key = validator_secrets()[0].public_key(),
        &|view| view.place.sequence = Some(Sequence(1)),
        &|view| view.messages[0].digest = Digest::ZERO,
        &|view| view.messages[1].signature = Signature::from_bytes([0; 64]),
        &|view| view.checkable.rule.push('.'),
    ];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(matches!(verify_evidence_view(&bad, &genesis), Err(EvidenceError::Form(_))), "{bad:?}");
    }
    for kind in [Kind::Prepare, Kind::Commit, Kind::Checkpoint, Kind::PrimaryPrepared] {
        let bad = EvidenceView { kind, ..good.clone() };
        assert!(verify_evidence_view(&bad, &genesis).is_err(), "{kind:?}");
    }
    let mut other = good;
    other.checkable.chain_id = Digest::ZERO;
    assert!(matches!(verify_evidence_view(&other, &genesis), Err(EvidenceError::WrongChain { .. })));
}

#[test]
fn files_that_are_no_evidence_are_told() {
    for text in ["", "{}", "[]", "{\"data\":null}", "{\"messages\":1}"] {
        assert!(matches!(read_evidence(text.as_bytes()), Err(CanonicalJsonError::Form(_))), "{text}");
    }
    let renamed = EvidenceResponse { chain_id: Digest::ZERO, ..response() };
    assert!(matches!(read_evidence(to_pretty_json(&renamed).as_bytes()), Err(CanonicalJsonError::Form(_))));
    let failed = Envelope { success: false, ..Envelope::success(response()) };
    assert!(matches!(read_evidence(to_pretty_json(&failed).as_bytes()), Err(CanonicalJsonError::Form(_))));
}
