//! Every decoder of the crate.

use std::sync::LazyLock;

use quorate_crypto::{BoundedVec, Signed, sha256};
use quorate_protocol::api::code::Code;
use quorate_protocol::api::envelope::{Envelope, ErrorEntry, to_pretty_json};
use quorate_protocol::api::event::{Cursor, Event};
use quorate_protocol::api::evidence::{EvidenceResponse, EvidenceView};
use quorate_protocol::api::http::{
    AccountResponse, AssetResponse, BlockResponse, BlocksQuery, BlocksResponse, ConsensusResponse, EventsQuery,
    PeersResponse, StatusResponse, SubmitQuery, SubmitRequest, SubmitResponse, TransactionResponse, TransactionStatus,
    ValidatorsResponse, VersionResponse,
};
use quorate_protocol::api::problem::Problem;
use quorate_protocol::document::amount::{format_decimal, parse_decimal, parse_minor};
use quorate_protocol::document::{
    AssetCode, AssetState, Block, Boundary, Genesis, MemberState, Operation, Outcome, Position, Proof, Receipt, Role,
    Roles, Scale, SignedTransaction, SkipReason, StateKey, Transaction,
};
use quorate_protocol::id::{Epoch, Height, Sequence, TransactionId, View};
use quorate_protocol::limits::SUBMIT_COUNT_MAX;
use quorate_protocol::pbft::Record;
use quorate_protocol::pbft::evidence::{Evidence, Kind};
use quorate_protocol::pbft::message::{Ballot, Commit, Content, Message, PrePrepare, Prepare};
use quorate_protocol::proof::{read_evidence, read_receipt};
use quorate_protocol::replica::{PeerMessage, Told};
use quorate_protocol::store::EvidenceList;
use serde_json::json;

use crate::decoding::{Decoder, canonical, document, json, json_text, text};
use crate::world::{Heard, heard};

/// All of them; the samples are made once.
pub fn table() -> &'static [Decoder] {
    static TABLE: LazyLock<Vec<Decoder>> =
        LazyLock::new(|| families().into_iter().flat_map(|(_, decoders)| decoders).collect());
    &TABLE
}

/// The same by the fuzz target that takes them up.
pub fn families() -> [(&'static str, Vec<Decoder>); 4] {
    let json = [files(heard()), api(heard()), texts()].into_iter().flatten().collect();
    [("document", documents(heard())), ("message", messages(heard())), ("record", records(heard())), ("json", json)]
}

fn operations() -> Vec<Operation> {
    let (to, code) = (heard().genesis.members[0].key, AssetCode::new("ABCDEFGHIJ12").unwrap());
    let (scale, roles) = (Scale::new(18).unwrap(), Roles::of(&[Role::Admin, Role::Auditor]));
    vec![
        Operation::AssetCreate { code, scale },
        Operation::AssetMint { code, to, amount: u128::MAX },
        Operation::AssetBurn { code, amount: 1 },
        Operation::Transfer { to, code, amount: 1_250 },
        Operation::MemberRegister { key: to, roles },
        Operation::MemberSetRoles { key: to, roles: Roles::NONE },
        Operation::MemberFreeze { key: to, frozen: true },
    ]
}

fn transactions(heard: &Heard) -> Vec<Transaction> {
    let plain = heard.bodies()[0].transaction().clone();
    let full = Transaction {
        operations: operations().try_into().unwrap(),
        memo: "invoice 7, bezahlt für März".try_into().unwrap(),
        ..plain.clone()
    };
    let bare = Transaction { operations: BoundedVec::new(), ..plain.clone() };
    vec![plain, full, bare]
}

fn signed(heard: &Heard) -> Vec<SignedTransaction> {
    let signature = *heard.bodies()[0].signature();
    transactions(heard).into_iter().map(|transaction| SignedTransaction::new(transaction, signature)).collect()
}

fn outcomes() -> Vec<Outcome> {
    let skipped = [SkipReason::OutsideWindow, SkipReason::Duplicate, SkipReason::NotAMember].map(Outcome::Skipped);
    let failed = Code::ALL.iter().copied().map(Outcome::Failed);
    [Outcome::Applied].into_iter().chain(skipped).chain(failed).collect()
}

fn positions() -> Vec<Position> {
    outcomes().into_iter().map(|outcome| Position { id: TransactionId(sha256(b"id")), outcome }).collect()
}

fn documents(heard: &Heard) -> Vec<Decoder> {
    let (genesis, block) = (&heard.genesis, &heard.blocks[0]);
    let (account, code) = (genesis.members[0].key, AssetCode::new("USD").unwrap());
    let certificate = heard.receipts[0].certificate.clone();
    let commits = heard.pbft(|message| if let Message::Commit(commit) = message { Some(commit.clone()) } else { None });
    let proofs = vec![Proof::Certificate(certificate.clone()), Proof::Commits(commits.try_into().unwrap())];
    let list: BoundedVec<SignedTransaction, SUBMIT_COUNT_MAX> = signed(heard).try_into().unwrap();
    let keys = vec![StateKey::Member(account), StateKey::Asset(code), StateKey::Balance { account, code }];
    vec![
        canonical(transactions(heard)),
        canonical(signed(heard)),
        canonical(vec![list]),
        canonical(operations()),
        canonical(heard.blocks.iter().take(3).map(|block| block.batch.clone()).collect()),
        canonical::<Block>(heard.blocks.iter().take(3).cloned().collect()),
        canonical(heard.certified_blocks()),
        canonical(vec![block.header.clone()]),
        canonical(vec![block.header.checkpoint()]),
        canonical(vec![certificate]),
        canonical(proofs),
        canonical(outcomes()),
        canonical(positions()),
        canonical(vec![genesis.clone()]),
        canonical(vec![genesis.validators.clone()]),
        canonical(vec![genesis.parameters.clone()]),
        canonical(keys),
        canonical(vec![MemberState { roles: Roles::of(&Role::ALL), frozen: true }]),
        canonical(vec![AssetState { scale: Scale::new(2).unwrap(), issuer: account, supply: u128::MAX }]),
        canonical(Code::ALL.to_vec()),
        canonical(vec![code]),
        canonical(vec![Scale::new(18).unwrap()]),
        canonical(vec![Roles::of(&Role::ALL)]),
    ]
}

fn messages(heard: &Heard) -> Vec<Decoder> {
    let told = Told { id: TransactionId(sha256(b"id")), valid_until: 7 };
    let pbft = heard.all().filter_map(|message| match message {
        PeerMessage::Pbft(message) => Some(message.clone()),
        PeerMessage::Sync(_) => None,
    });
    let ballot = heard.proposals()[0].ballot();
    let contents = vec![Content::Null, Content::Batch(heard.blocks[0].batch.clone())];
    vec![
        canonical(heard.all().cloned().collect()),
        canonical(pbft.collect()),
        canonical(heard.sync()),
        canonical(heard.repairs()),
        canonical(vec![told]),
        canonical(vec![ballot]),
        canonical(contents),
        canonical(heard.proposals()),
        canonical(heard.prepared()),
        canonical(heard.statuses()),
        canonical(heard.view_changes()),
        canonical(heard.new_views()),
    ]
}

/// Two messages of every kind; whether they exclude each other, decoding does not ask.
fn evidence(heard: &Heard) -> Vec<Evidence> {
    let checkpoint = heard.blocks[0].header.checkpoint();
    let vote = &heard.proposals()[0].pre_prepare;
    let at = vote.body.0;
    let other = Ballot { digest: sha256(b"other"), ..at };
    fn by<T, S>(body: T, like: &Signed<S>) -> Signed<T> {
        Signed { body, signer: like.signer, signature: like.signature }
    }
    let (view_changes, new_views) = (heard.view_changes(), heard.new_views());
    vec![
        Evidence::PrePrepare(by(PrePrepare(at), vote), by(PrePrepare(other), vote)),
        Evidence::Prepare(by(Prepare(at), vote), by(Prepare(other), vote)),
        Evidence::Commit(by(Commit(at), vote), by(Commit(other), vote)),
        Evidence::Checkpoint(by(checkpoint, vote), by(checkpoint, vote)),
        Evidence::ViewChange(view_changes[0].clone(), view_changes[1].clone()),
        Evidence::NewView(new_views[0].clone(), new_views[0].clone()),
    ]
}

fn records(heard: &Heard) -> Vec<Decoder> {
    let kinds =
        [Kind::PrePrepare, Kind::Prepare, Kind::Commit, Kind::Checkpoint, Kind::PrimaryPrepared, Kind::ViewChange];
    vec![
        canonical::<Record>(heard.records()),
        canonical(heard.entries.iter().step_by(heard.entries.len() / 16 + 1).cloned().collect()),
        canonical(evidence(heard)),
        canonical(kinds.to_vec()),
        canonical(vec![Height(7)]),
        canonical(vec![(Epoch(1), View(2), Sequence(3))]),
    ]
}

fn reads_genesis(bytes: &[u8]) -> bool {
    Genesis::from_json(bytes).is_ok_and(|genesis| {
        assert_eq!(Genesis::from_json(genesis.to_json().as_bytes()).unwrap(), genesis);
        genesis.check().is_ok()
    })
}

fn reads_receipt(bytes: &[u8]) -> bool {
    read_receipt(bytes).is_ok_and(|receipt| {
        assert_eq!(read_receipt(to_pretty_json(&receipt).as_bytes()).unwrap(), receipt);
        true
    })
}

fn reads_evidence(bytes: &[u8]) -> bool {
    read_evidence(bytes).is_ok_and(|views| {
        for view in &views {
            assert_eq!(read_evidence(to_pretty_json(view).as_bytes()).unwrap(), std::slice::from_ref(view));
            // What was read out of a file is bytes of a stranger again.
            if let Ok(evidence) = view.evidence() {
                assert_eq!(evidence.kind(), view.kind);
            }
        }
        true
    })
}

fn response(heard: &Heard) -> EvidenceResponse {
    let list = EvidenceList { pieces: evidence(heard), left_out: 1 };
    EvidenceResponse::new(heard.genesis.chain_id(), &heard.genesis.validators, list)
}

/// Files that somebody hands over.
fn files(heard: &Heard) -> Vec<Decoder> {
    let print = |value: &dyn erased::Print| value.print();
    let (receipt, genesis) = (heard.receipts[0].clone(), &heard.genesis);
    let response = response(heard);
    let receipts = vec![
        print(&receipt),
        print(&Envelope::success(receipt.clone())),
        print(&Envelope::success(TransactionResponse::certified(receipt.clone()))),
    ];
    let pieces = vec![print(&response), print(&response.evidence[1]), print(&Envelope::success(response.clone()))];
    let boundary = Boundary {
        header: receipt.header.clone(),
        certificate: receipt.certificate.clone(),
        validators: genesis.validators.clone(),
    };
    let far = Receipt { boundaries: vec![boundary].try_into().unwrap(), ..receipt.clone() };
    vec![
        document("a genesis file", reads_genesis, vec![print(genesis)]),
        document("a receipt's file", reads_receipt, receipts),
        document("a file of evidence", reads_evidence, pieces),
        json::<Genesis>(vec![genesis.clone()]),
        json::<Receipt>(vec![receipt, far]),
        json::<EvidenceResponse>(vec![response.clone()]),
        json::<EvidenceView>(response.evidence.clone()),
        json::<Envelope<EvidenceResponse>>(vec![Envelope::success(response)]),
    ]
}

mod erased {
    /// Prints any document as one line.
    pub trait Print {
        fn print(&self) -> Vec<u8>;
    }

    impl<T: serde::Serialize> Print for T {
        fn print(&self) -> Vec<u8> {
            serde_json::to_vec(self).unwrap()
        }
    }
}

/// Bodies of requests and answers.
fn api(heard: &Heard) -> Vec<Decoder> {
    let (hash, key) = (sha256(b"hash"), heard.genesis.members[0].key);
    let id = TransactionId(hash);
    let header = serde_json::to_value(&heard.blocks[0].header).unwrap();
    let certified = TransactionResponse::certified(heard.receipts[0].clone());
    let failure = Envelope::failure(None, vec![ErrorEntry::of(Code::Timeout, "too late")]);
    let block = json!({"type": "block", "height": 2, "hash": hash, "time": 5, "state_root": hash, "transactions": 1});
    let transaction = json!({"type": "transaction", "height": 2, "index": 0, "id": hash, "status": "failed",
        "code": "expired", "sender": key, "time": 5});
    vec![
        json_text::<Event>(&[block, transaction]),
        json_text::<SubmitRequest>(&[json!({"transaction": hex::encode(quorate_crypto::encode(&signed(heard)[1]))})]),
        json_text::<SubmitQuery>(&[json!({"wait": "committed", "timeout": 5}), json!({})]),
        json_text::<BlocksQuery>(&[json!({"cursor": "x", "limit": 5, "order": "oldest"})]),
        json_text::<EventsQuery>(&[json!({"after": "0-0", "account": key, "kinds": "block"})]),
        json::<Problem>(vec![Problem::new(Code::PoolFull, "full").about(id)]),
        json(vec![certified.clone(), TransactionResponse::rejected(id, Code::Expired)]),
        json(vec![SubmitResponse { outcomes: vec![TransactionResponse::new(id, TransactionStatus::Accepted)] }]),
        json(vec![Envelope::success(certified), failure]),
        json_text::<VersionResponse>(&[json!({"version": "1", "protocol_version": 1})]),
        json_text::<AccountResponse>(&[
            json!({"account": key, "height": 1, "time": 2, "member": true, "frozen": false,
            "roles": ["admin", "member"],
            "balances": [{"asset": "USD", "amount": "12.50", "minor": "1250", "scale": 2}]}),
        ]),
        json_text::<AssetResponse>(&[json!({"asset": "USD", "height": 1, "time": 2, "scale": 2, "issuer": key,
            "supply": "12.50", "supply_minor": "1250"})]),
        json_text::<BlockResponse>(&[json!({"height": 1, "hash": hash, "header": header,
            "batch": {"time": 1, "count": 2}, "certified": true,
            "transactions": [{"index": 0, "id": hash, "outcome": {"status": "skipped", "code": "duplicate"}}]})]),
        json_text::<BlocksResponse>(&[json!({"items": [{"height": 1, "hash": hash, "time": 2, "state_root": hash,
            "positions": 3, "transactions": 2, "certified": true}], "next": null})]),
        json_text::<StatusResponse>(&[json!({"node": "v0", "index": 0, "chain_id": hash, "version": "1",
            "state": "catching_up", "reason": "why", "height": 1, "certified_height": 1, "header_hash": hash,
            "state_root": hash, "time": 1, "view": 1, "active": false, "primary": "v1",
            "view_change": {"left": [{"name": "v1", "view": 2}], "need": 3, "timeout": 5}, "epoch": 0,
            "is_primary": false, "voting": true, "peers_connected": 3, "clock_offset": -5,
            "pool": {"count": 1, "bytes": 2}})]),
        json_text::<ConsensusResponse>(&[json!({"epoch": 0, "view": 1, "active": true, "primary": "v1", "low": 0,
            "high": 128, "executed": 1, "certified": 1, "n": 4, "f": 1, "quorum": 3, "connected": ["v0"],
            "missing": ["v1"], "standing_still": null, "reasons": [{"kind": "no_quorum", "detail": "why"}],
            "peers": [{"name": "v1", "connected": false, "height": 3}]})]),
        json_text::<ValidatorsResponse>(&[
            json!({"epoch": 0, "n": 1, "f": 0, "quorum": 1, "validators": [{"name": "v0",
            "index": 0, "consensus_key": key, "network_key": key, "is_primary": true, "connected": true}]}),
        ]),
        json_text::<PeersResponse>(&[json!({"peers": [{"name": "v1", "index": 1, "network_key": key, "address": null,
            "connected": true, "since": 1, "silent_ms": null, "height": 1,
            "dropped": [{"reason": "x", "count": 3}]}]})]),
    ]
}

fn reads_minor(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| match parse_minor(text) {
        Ok(minor) => minor.to_string() == text || panic!("{text} is read as {minor}"),
        Err(error) => error.to_string().is_empty(),
    })
}

fn reads_decimal(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let read = |places: u8| {
        let scale = Scale::new(places).unwrap();
        parse_decimal(text, scale).is_ok_and(|minor| {
            // There may be fewer decimal places than the asset has, and nothing else is written otherwise.
            let shown = format_decimal(minor, scale);
            assert_eq!(parse_decimal(&shown, scale), Ok(minor));
            let shorter = shown.trim_end_matches('0').trim_end_matches('.');
            assert!(shown.starts_with(text) && (text.starts_with(shorter) || places == 0), "{text} is read as {shown}");
            true
        })
    };
    [0, 2, 18].map(read).contains(&true)
}

fn texts() -> Vec<Decoder> {
    let id = sha256(b"id").to_string();
    let amounts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let minor = amounts(&["0", "1250", "340282366920938463463374607431768211455"]);
    let decimal = amounts(&["12.50", "0.01", "7", "0.000000000000000001"]);
    vec![
        text::<Cursor>(&["17-3", "18446744073709551615-4294967295"], false),
        text::<AssetCode>(&["USD", "ABCDEFGHIJ12"], false),
        text::<TransactionId>(&[&id], true),
        text::<Code>(&["bad_signature"], true),
        document("minor units", reads_minor, minor).open_ended(),
        document("a decimal amount", reads_decimal, decimal).open_ended(),
    ]
}
