//! The program as users and scripts meet it: what it prints, and how it ends, whatever the nodes do.

mod commands;
mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use quorate_cli::arguments::{Arguments, Command};
use quorate_cli::command;
use quorate_cli::exit::Exit;
use quorate_cli::output::Printer;
use quorate_crypto::hash::sha256;
use quorate_crypto::key::SecretKey;
use quorate_crypto::signed::Signed;
use quorate_protocol::api::code::Code;
use quorate_protocol::api::evidence::EvidenceResponse;
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::Outcome;
use quorate_protocol::id::{Epoch, Sequence, TransactionId, View};
use quorate_protocol::pbft::evidence::Evidence;
use quorate_protocol::pbft::message::{Ballot, Commit};
use quorate_protocol::store::EvidenceList;
use serde_json::json;
use support::{
    Answer, Chain, FakeNode, Request, account, consensus, run, stands, status, text, with_byte_changed, zero,
};

/// A node that commits what it is sent, with this outcome.
fn commits(chain: &Arc<Chain>, outcome: Outcome) -> FakeNode {
    let own = Arc::clone(chain);
    FakeNode::start(chain, move |request: &Request| {
        let id = request.submitted().map(|transaction| transaction.id()).or_else(|| request.asked())?;
        let receipt = own.receipt(id, outcome);
        if request.path.ends_with("/receipt") {
            return Some(Answer::ok(&receipt));
        }
        Some(Answer::ok(&TransactionResponse::certified(receipt)))
    })
}

/// A node whose answer to submissions and look-ups is always this one.
fn answers(chain: &Chain, answer: impl Fn(TransactionId) -> Answer + Send + Sync + 'static) -> FakeNode {
    answers_as(chain, 0, answer)
}

/// As `answers`, as the node of the validator with this index.
fn answers_as(chain: &Chain, index: u8, answer: impl Fn(TransactionId) -> Answer + Send + Sync + 'static) -> FakeNode {
    FakeNode::start_as(chain, index, move |request: &Request| {
        let id = request.submitted().map(|transaction| transaction.id()).or_else(|| request.asked())?;
        Some(answer(id))
    })
}

fn with(chain: &Chain, nodes: &[&FakeNode]) {
    let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
    chain.with_nodes(&urls);
}

#[test]
fn a_transfer_prints_its_verified_receipt_and_leaves_no_outbox() {
    let chain = Arc::new(Chain::new());
    let node = commits(&chain, Outcome::Applied);
    with(&chain, &[&node]);
    let done = chain.transfer();
    assert_eq!(done.code, Some(0), "{done:?}");
    let data = &done.json()["data"];
    assert_eq!(data["status"], "applied");
    assert_eq!(data["id"], json!(done.announced()));
    assert_eq!((&data["height"], &data["index"], &data["code"]), (&json!(7), &json!(1), &json!(null)));
    assert_eq!(data["receipt"]["position"]["id"], data["id"]);
    assert!(chain.outbox().is_empty());
}

#[test]
fn a_receipt_is_a_pleasure_to_read() {
    let chain = Arc::new(Chain::new());
    let node = commits(&chain, Outcome::Applied);
    with(&chain, &[&node]);
    let done = chain.quorate(&["transfer", "--from", "alice", "--to", "bob", "--amount", "1234.5", "--asset", "USD"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let (id, dir) = (done.announced(), chain.dir.path().display());
    let program = env!("CARGO_BIN_EXE_quorate");
    let hash = chain.receipt(TransactionId(id.parse().unwrap()), Outcome::Applied).header.hash();
    let expected = format!(
        "  outcome      applied  1,234.50 USD from alice to bob\n\
         \x20 transaction  {id}\n\
         \x20 block        height 7, position 2 of 3\n\
         \x20 block hash   {hash}\n\
         \x20 block time   2026-03-01 09:30:00.123 UTC\n\
         \x20 signed by    v0 v1 v3 (3 of 4 validators)\n\
         \x20 proof        verified against the genesis; to keep it:\n\
         \x20              {program} --testnet {dir} tx receipt {id} --output json > receipt.json\n"
    );
    assert_eq!(done.out, expected);
}

#[test]
fn a_failed_transaction_is_exit_4_with_its_receipt() {
    let chain = Arc::new(Chain::new());
    let node = commits(&chain, Outcome::Failed(Code::InsufficientBalance));
    with(&chain, &[&node]);
    let done = chain.transfer();
    assert_eq!(done.code, Some(4), "{done:?}");
    let json = done.json();
    assert_eq!((&json["success"], &json["data"]["status"]), (&json!(false), &json!("failed")));
    assert_eq!(json["data"]["receipt"]["header"]["height"], 7);
    assert_eq!(json["errors"][0]["code"], "insufficient_balance");
    assert_eq!(json["errors"][0]["outcome"], "not_applied");
}

#[test]
fn one_nodes_refusal_is_not_believed_where_others_commit() {
    let chain = Arc::new(Chain::new());
    let (refuses, good) = (answers(&chain, |_| Answer::problem(Code::BadSignature)), commits(&chain, Outcome::Applied));
    with(&chain, &[&refuses, &good, &good, &good]);
    assert_eq!(chain.transfer().code, Some(0));
}

#[test]
fn a_silent_node_is_exit_5_and_the_kept_bytes_can_be_sent_again() {
    let chain = Arc::new(Chain::new());
    let healthy = Arc::new(AtomicBool::new(false));
    let (own, answers_now) = (Arc::clone(&chain), Arc::clone(&healthy));
    let node = FakeNode::start(&chain, move |request: &Request| {
        let id = request.submitted().map(|transaction| transaction.id()).or_else(|| request.asked())?;
        Some(match answers_now.load(Ordering::SeqCst) {
            true => Answer::ok(&TransactionResponse::certified(own.receipt(id, Outcome::Applied))),
            false => Answer::Hang(Duration::from_secs(30)),
        })
    });
    with(&chain, &[&node]);

    let began = Instant::now();
    let lost = chain.transfer();
    assert_eq!(lost.code, Some(5), "{lost:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "the time-out holds");
    let id = lost.announced();
    let error = &lost.json()["errors"][0];
    assert_eq!((&error["outcome"], &error["retryable"]), (&json!("unknown"), &json!(true)));
    assert!(error["hint"].as_str().unwrap().contains(&format!("tx wait {id}")), "{error}");
    assert_eq!(lost.json()["data"]["status"], "unknown");
    assert_eq!(chain.outbox(), [chain.path("outbox").join(format!("{id}.json"))]);

    healthy.store(true, Ordering::SeqCst);
    let found = chain.quorate(&["--timeout", "5", "--output", "json", "tx", "wait", &id]);
    assert_eq!(found.code, Some(0), "{found:?}");
    assert_eq!(found.json()["data"]["status"], "applied");
    assert!(chain.outbox().is_empty());
    let sent = node.submissions();
    assert!(sent.len() >= 2 && sent.iter().all(|bytes| *bytes == sent[0]), "the same bytes each time");
}

#[test]
fn an_unknown_outcome_of_the_node_is_never_a_failure() {
    for answer in [Answer::problem(Code::Timeout), Answer::problem(Code::Internal), Answer::Silence] {
        let chain = Arc::new(Chain::new());
        let node = answers(&chain, move |_| answer.clone());
        with(&chain, &[&node]);
        let done = chain.transfer();
        assert_eq!(done.code, Some(5), "{done:?}");
        assert_eq!(chain.outbox().len(), 1);
    }
}

#[test]
fn the_same_bytes_go_to_another_node_when_one_does_not_answer() {
    let chain = Arc::new(Chain::new());
    let (silent, good) = (answers(&chain, |_| Answer::Silence), commits(&chain, Outcome::Applied));
    with(&chain, &[&silent, &good, &good, &good]);
    let done = chain.transfer();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(silent.submissions(), good.submissions());
}

#[test]
fn a_first_node_that_hangs_costs_no_time_out() {
    let chain = Arc::new(Chain::new());
    let hangs = FakeNode::start(&chain, |_| Some(Answer::Hang(Duration::from_secs(30))));
    let good = commits(&chain, Outcome::Applied);
    with(&chain, &[&hangs, &good, &good, &good]);
    let began = Instant::now();
    assert_eq!(chain.transfer().code, Some(0));
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(hangs.submissions().is_empty());
}

#[test]
fn a_full_node_is_exit_8_and_the_same_bytes_can_be_sent_again() {
    let chain = Arc::new(Chain::new());
    let node = answers(&chain, |_| {
        let Answer::Json(code, body, _) = Answer::problem(Code::PoolFull) else { unreachable!() };
        Answer::Json(code, body, vec![("retry-after", "1".to_owned())])
    });
    with(&chain, &[&node]);
    let done = chain.transfer();
    assert_eq!(done.code, Some(8), "{done:?}");
    let error = &done.json()["errors"][0];
    assert_eq!(error["code"], "pool_full");
    assert!(error["hint"].as_str().unwrap().contains(&format!("tx wait {}", done.announced())), "{error}");
    assert_eq!(error["outcome"], "unknown", "it may say so and keep them");
    assert_eq!(chain.outbox().len(), 1);
}

#[test]
fn a_node_that_wants_credentials_is_exit_9() {
    let chain = Arc::new(Chain::new());
    let node = answers(&chain, |_| {
        let Answer::Json(_, body, _) = Answer::problem(Code::BadRequest) else { unreachable!() };
        Answer::Json(401, body, Vec::new())
    });
    with(&chain, &[&node]);
    assert_eq!(chain.transfer().code, Some(9));
}

#[test]
fn where_nobody_listens_nothing_is_sent() {
    let chain = Arc::new(Chain::new());
    chain.with_nodes(&["http://127.0.0.1:1".to_owned()]);
    let done = chain.transfer();
    assert_eq!(done.code, Some(6), "{done:?}");
    assert_eq!(done.json()["errors"][0]["outcome"], "not_applied");
    assert!(chain.outbox().is_empty());
}

#[test]
fn a_chain_that_stands_still_is_not_sent_to() {
    let chain = Arc::new(Chain::new());
    let node = FakeNode::start(&chain, |request: &Request| {
        (request.path == "/v1/consensus").then(|| Answer::ok(&consensus(Some("need 3, connected 2: missing v1, v3"))))
    });
    with(&chain, &[&node]);
    let done = chain.transfer();
    assert_eq!(done.code, Some(6), "{done:?}");
    assert!(done.json()["errors"][0]["message"].as_str().unwrap().contains("missing v1, v3"));
    assert!(node.submissions().is_empty());
}

#[test]
fn expiry_needs_the_word_of_more_than_f_nodes() {
    let chain = Arc::new(Chain::new());
    let says = |index, status| {
        FakeNode::start_as(&chain, index, move |request: &Request| Some(stands(request.asked()?, status)))
    };
    let expired = says(0, TransactionStatus::Expired);
    let waits = says(1, TransactionStatus::Accepted);
    let wait = |nodes: &[&FakeNode]| {
        with(&chain, nodes);
        chain.quorate(&["--timeout", "1", "--output", "json", "tx", "wait", &zero().to_string()])
    };
    assert_eq!(wait(&[&expired, &waits, &waits, &waits]).code, Some(5), "one node's word is not enough");
    let again = says(0, TransactionStatus::Expired);
    assert_eq!(wait(&[&expired, &waits, &waits, &again]).code, Some(5), "one validator at two addresses is one");
    let another = says(3, TransactionStatus::Expired);
    let done = wait(&[&expired, &waits, &waits, &another]);
    assert_eq!(done.code, Some(4), "{done:?}");
    assert_eq!(done.json()["data"]["status"], "expired");
}

#[test]
fn rubbish_and_endless_answers_are_survived() {
    let endless = [b"HTTP/1.1 200 OK\r\ncontent-length: 90000000\r\n\r\n".to_vec(), vec![b'x'; 6 << 20]].concat();
    let long_header = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1 << 20]].concat();
    let rubbish = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnot json!".to_vec();
    for bytes in [endless, long_header, rubbish, b"\0\0\0\0".to_vec()] {
        let chain = Arc::new(Chain::new());
        let node = answers(&chain, move |_| Answer::Raw(bytes.clone()));
        with(&chain, &[&node]);
        let done = chain.transfer();
        assert_eq!(done.code, Some(5), "{done:?}");
        let shown = chain.quorate(&["--output", "json", "tx", "show", &zero().to_string()]);
        assert!(matches!(shown.code, Some(1 | 6)), "{shown:?}");
    }
}

#[test]
fn an_unknown_transaction_is_exit_3() {
    let chain = Arc::new(Chain::new());
    let node = answers(&chain, |_| Answer::problem(Code::NotFound));
    with(&chain, &[&node, &node]);
    let id = zero().to_string();
    for command in ["show", "receipt", "wait"] {
        let done = chain.quorate(&["--timeout", "1", "--output", "json", "tx", command, &id]);
        assert_eq!(done.code, Some(3), "{done:?}");
        assert_eq!(done.json()["errors"][0]["code"], "not_found");
    }
}

/// A receipt file as `tx receipt --output json` prints it.
fn receipt_file(chain: &Arc<Chain>) -> String {
    let node = commits(chain, Outcome::Applied);
    with(chain, &[&node]);
    let done = chain.quorate(&["tx", "receipt", &zero().to_string(), "--output", "json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.out
}

fn verify(chain: &Chain, receipt: &[u8]) -> Option<i32> {
    fs::write(chain.path("receipt.json"), receipt).unwrap();
    let (receipt, genesis) = (chain.path("receipt.json"), chain.path("genesis.json"));
    run(&["verify", receipt.to_str().unwrap(), "--genesis", genesis.to_str().unwrap()]).code
}

#[test]
fn a_printed_receipt_verifies_offline_in_every_form() {
    let chain = Arc::new(Chain::new());
    let printed = receipt_file(&chain);
    chain.with_nodes(&[]);
    assert_eq!(verify(&chain, printed.as_bytes()), Some(0));
    let receipt = chain.receipt(TransactionId(zero()), Outcome::Applied);
    assert_eq!(verify(&chain, serde_json::to_string(&receipt).unwrap().as_bytes()), Some(0), "as nodes serve it");

    let node = commits(&chain, Outcome::Applied);
    with(&chain, &[&node]);
    for format in ["json", "jsonl"] {
        let id = zero().to_string();
        let wait = chain.quorate(&["tx", "wait", &id, "--output", format]);
        assert_eq!(verify(&chain, wait.out.as_bytes()), Some(0), "{wait:?}");
        let changed = wait.out.replace("\"height\": 7", "\"height\": 8").replace("\"height\":7", "\"height\":8");
        assert_eq!(verify(&chain, changed.as_bytes()), Some(7));
    }
}

/// As `verify`, inside this process.
fn verify_here(chain: &Chain, receipt: &[u8]) -> Exit {
    fs::write(chain.path("receipt.json"), receipt).unwrap();
    let (receipt, genesis) = (chain.path("receipt.json"), chain.path("genesis.json"));
    let line = ["quorate", "verify", receipt.to_str().unwrap(), "--genesis", genesis.to_str().unwrap()];
    let arguments = Arguments::parse_from(line);
    let Command::Verify(verify) = &arguments.command else { unreachable!() };
    let printer = Printer::new(arguments.global.output);
    command::verify::run(verify, &arguments.global, printer).unwrap_or_else(|failure| failure.exit)
}

#[test]
fn one_changed_byte_anywhere_in_a_receipt_is_exit_7() {
    let chain = Arc::new(Chain::new());
    let printed = receipt_file(&chain).into_bytes();
    assert_eq!(verify_here(&chain, &printed), Exit::Success);
    for place in 0..printed.len() {
        // Another digit or letter, the other case, and no text at all.
        for change in [0x01, 0x20, 0x80] {
            let changed = with_byte_changed(&printed, place, change);
            let shown = String::from_utf8_lossy(&changed);
            assert_eq!(verify_here(&chain, &changed), Exit::Unverified, "byte {place}: {shown}");
        }
    }
    for cut in [0, 1, printed.len() / 2, printed.len() - 2] {
        assert_eq!(verify(&chain, &printed[..cut]), Some(7), "cut at {cut}");
    }
    assert_eq!(verify(&chain, &[printed.as_slice(), b"\n"].concat()), Some(7));
    assert_eq!(verify(&chain, &with_byte_changed(&printed, 200, 1)), Some(7));
}

#[test]
fn a_damaged_genesis_is_exit_10() {
    let chain = Arc::new(Chain::new());
    let printed = receipt_file(&chain);
    let good = text(&chain.path("genesis.json"));
    let digit = good.find("100000000").unwrap();
    let key = good.find("consensus_key").unwrap() + 20;
    for place in [0, digit, key, good.len() / 2, good.find("network_key").unwrap() + 16] {
        fs::write(chain.path("genesis.json"), with_byte_changed(good.as_bytes(), place, 1)).unwrap();
        assert_eq!(verify(&chain, printed.as_bytes()), Some(10), "byte {place}");
    }
    fs::remove_file(chain.path("genesis.json")).unwrap();
    assert_eq!(verify(&chain, printed.as_bytes()), Some(10));
}

#[test]
fn a_testnet_whose_genesis_was_exchanged_is_exit_10() {
    let chain = Arc::new(Chain::new());
    let node = commits(&chain, Outcome::Applied);
    with(&chain, &[&node]);
    let changed = text(&chain.path("genesis.json")).replace("100000000", "900000000");
    fs::write(chain.path("genesis.json"), changed).unwrap();
    let done = chain.transfer();
    assert_eq!(done.code, Some(10), "{done:?}");
    assert!(node.submissions().is_empty());
}

#[test]
fn wrong_command_lines_are_exit_2_also_for_programs() {
    let chain = Arc::new(Chain::new());
    let transfer = |changed: &[&str]| {
        let mut arguments = vec!["--output", "json", "transfer"];
        arguments.extend_from_slice(changed);
        chain.quorate(&arguments)
    };
    let node = commits(&chain, Outcome::Applied);
    with(&chain, &[&node]);
    for (changed, word) in [
        (&["--from", "alice", "--to", "bob", "--asset", "USD", "--amount", "12.505"][..], "decimal"),
        (&["--from", "alice", "--to", "bob", "--asset", "USD", "--amount", "-1"][..], "decimal"),
        (&["--from", "alice", "--to", "nobody", "--asset", "USD", "--amount", "1"][..], "nobody"),
        (&["--from", "alice", "--to", "bob", "--asset", "usd", "--amount", "1"][..], "asset code"),
        (&["--from", "alice", "--to", "bob", "--amount", "1"][..], "--asset"),
    ] {
        let done = transfer(changed);
        assert_eq!(done.code, Some(2), "{done:?}");
        let error = done.json()["errors"][0].clone();
        assert_eq!(error["code"], "usage");
        assert!(error.to_string().contains(word), "{error}");
        assert!(!error["hint"].as_str().unwrap().is_empty());
    }
    assert!(node.submissions().is_empty());
    assert_eq!(run(&["verify", "receipt.json"]).code, Some(2), "no genesis");
    assert_eq!(run(&["account", &zero().to_string()]).code, Some(2), "no node");
    assert_eq!(chain.quorate(&["--node", "v9", "status"]).code, Some(2), "no such node");
    assert_eq!(run(&["explode"]).code, Some(2));
    assert_eq!(run(&["--help"]).code, Some(0));
}

#[test]
fn key_files_must_be_whole_private_and_the_senders() {
    let chain = Arc::new(Chain::new());
    let node = commits(&chain, Outcome::Applied);
    with(&chain, &[&node]);
    let key = chain.path("bob.json").display().to_string();
    let with_key = |arguments: &[&str]| {
        let mut all = vec!["--key", &key, "transfer", "--to", "bob", "--amount", "1", "--asset", "USD"];
        all.extend_from_slice(arguments);
        chain.quorate(&all)
    };
    assert_eq!(with_key(&[]).code, Some(0), "the key says who sends");
    assert_eq!(with_key(&["--from", "alice"]).code, Some(2));
    fs::write(chain.path("alice.json"), "{}").unwrap();
    assert_eq!(chain.transfer().code, Some(10));
}

#[test]
fn reading_commands_print_what_a_node_has() {
    let chain = Arc::new(Chain::new());
    let balance = account(&chain);
    let path = format!("/v1/accounts/{}", balance.account);
    let address = balance.account;
    let node = FakeNode::start(&chain, move |request: &Request| (request.path == path).then(|| Answer::ok(&balance)));
    with(&chain, &[&node]);

    let shown = chain.quorate(&["account", "alice"]);
    assert_eq!(
        shown.out,
        format!(
            "  name     alice\n  address  {address}\n  roles    member\n  as of    height 7, 2026-03-01 09:30:00.123 UTC, as v0 has it\n\n\
             \x20 asset     balance\n  USD    999,987.50\n"
        )
    );
    let json = chain.quorate(&["account", "alice", "--output", "json"]).json();
    assert_eq!(json["data"]["balances"][0]["amount"], "999987.50");
    assert_eq!(json["data"]["balances"][0]["asset"], "USD");

    let validators = chain.quorate(&["validators"]);
    assert!(validators.out.contains("4 validators, 3 of them are a quorum, 1 may fail"), "{validators:?}");
    assert!(validators.out.contains("not connected"), "{validators:?}");
    let block = chain.quorate(&["block", "7"]);
    assert!(block.out.contains("failed insufficient_balance"), "{block:?}");
    assert_eq!(chain.quorate(&["block", "8"]).code, Some(3));
    assert_eq!(chain.quorate(&["block", "-x"]).code, Some(2));
    let all = chain.quorate(&["status", "--output", "json"]).json();
    assert_eq!(all["data"]["nodes"][0]["status"]["height"], 7);
}

#[test]
fn status_tells_of_nodes_that_do_not_answer_and_of_reasons() {
    let chain = Arc::new(Chain::new());
    let mut following = status(&chain);
    following.voting = false;
    following.is_primary = false;
    following.reason = Some("its vote log is missing".to_owned());
    let node = FakeNode::start(&chain, move |request: &Request| {
        (request.path == "/v1/status").then(|| Answer::ok(&following))
    });
    chain.with_nodes(&[node.url.clone(), "http://127.0.0.1:1".to_owned()]);
    let shown = chain.quorate(&["status"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.out.contains("does not vote") && shown.out.contains("v0: its vote log is missing"), "{}", shown.out);
    assert!(shown.out.contains("no answer"), "{}", shown.out);
    let mut waiting = status(&chain);
    waiting.active = false;
    waiting.reason = Some("between two views".to_owned());
    let node =
        FakeNode::start(&chain, move |request: &Request| (request.path == "/v1/status").then(|| Answer::ok(&waiting)));
    chain.with_nodes(std::slice::from_ref(&node.url));
    let shown = chain.quorate(&["status"]).out;
    assert!(shown.contains("between views") && shown.contains("v0: between two views"), "{shown}");
    assert!(!shown.contains("primary"), "its view has none yet: {shown}");
    chain.with_nodes(&["http://127.0.0.1:1".to_owned()]);
    assert_eq!(chain.quorate(&["status"]).code, Some(6));
}

#[test]
fn every_failure_for_people_ends_with_a_hint() {
    let chain = Arc::new(Chain::new());
    chain.with_nodes(&["http://127.0.0.1:1".to_owned()]);
    for arguments in
        [&["account", "alice"][..], &["account", "nobody"], &["tx", "show", &zero().to_string()], &["block"]]
    {
        let done = chain.quorate(arguments);
        assert_ne!(done.code, Some(0), "{done:?}");
        assert!(done.out.is_empty(), "stdout is data: {done:?}");
        let last = done.err.lines().last().unwrap();
        assert!(last.starts_with("hint: ") && last.len() > 12, "{done:?}");
    }
}

/// Two COMMITs of v2 for one place, on this chain.
fn evidence(chain: &Chain) -> EvidenceResponse {
    let commit = |digest| {
        let ballot = Ballot { epoch: Epoch(0), view: View(1), sequence: Sequence(9), digest };
        Signed::sign(Commit(ballot), &chain.genesis.chain_id(), &SecretKey::from_seed([12; 32]))
    };
    let pieces = vec![Evidence::Commit(commit(sha256(b"one")), commit(sha256(b"two")))];
    let list = EvidenceList { pieces, left_out: 0 };
    EvidenceResponse::new(chain.genesis.chain_id(), &chain.genesis.validators, list)
}

fn serves(chain: &Chain, response: EvidenceResponse) -> FakeNode {
    FakeNode::start(chain, move |request: &Request| (request.path == "/v1/evidence").then(|| Answer::ok(&response)))
}

#[test]
fn evidence_is_listed_kept_and_verified_offline() {
    let chain = Chain::new();
    let node = serves(&chain, evidence(&chain));
    with(&chain, &[&node]);
    let shown = chain.quorate(&["evidence"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for words in ["v2", "signed two     commit", "epoch 0, view 1, sequence 9", "verified against the genesis"] {
        assert!(shown.out.contains(words), "{words} in {}", shown.out);
    }
    let json = chain.quorate(&["evidence", "--output", "json"]);
    assert_eq!(json.json()["data"]["evidence"][0]["kind"], "commit");
    let (file, genesis) = (chain.dir.path().join("evidence.json"), chain.dir.path().join("genesis.json"));
    fs::write(&file, &json.out).unwrap();
    let verify = |file: &std::path::Path, genesis: &std::path::Path| {
        run(&["evidence", "verify", file.to_str().unwrap(), "--genesis", genesis.to_str().unwrap(), "--output", "json"])
    };
    let good = verify(&file, &genesis);
    assert_eq!((good.code, &good.json()["data"]["verified"]), (Some(0), &json!(true)), "{good:?}");
    assert_eq!(good.json()["data"]["evidence"][0]["validator"], "v2");
    for (place, byte) in json.out.bytes().enumerate().step_by(97).filter(|(_, byte)| byte.is_ascii_alphanumeric()) {
        fs::write(&file, with_byte_changed(json.out.as_bytes(), place, 1)).unwrap();
        let bad = verify(&file, &genesis);
        assert_eq!(bad.code, Some(7), "byte {place} ({}): {bad:?}", char::from(byte));
    }
    fs::write(&file, &json.out).unwrap();
    let other = Chain::new();
    let mut another = other.genesis.clone();
    another.time += 1;
    fs::write(&genesis, another.to_json()).unwrap();
    let wrong = verify(&file, &genesis);
    assert_eq!((wrong.code, &wrong.json()["errors"][0]["code"]), (Some(10), &json!("wrong_genesis")), "{wrong:?}");
    let missing = verify(&chain.dir.path().join("none"), &other.dir.path().join("genesis.json"));
    assert_eq!(missing.code, Some(3), "{missing:?}");
}

#[test]
fn evidence_that_proves_nothing_is_not_shown_and_an_empty_file_is_no_proof() {
    let chain = Chain::new();
    let mut forged = evidence(&chain);
    forged.evidence[0].messages[1] = forged.evidence[0].messages[0].clone();
    let node = serves(&chain, forged);
    with(&chain, &[&node]);
    let refused = chain.quorate(&["evidence", "--output", "json"]);
    assert_eq!((refused.code, &refused.json()["data"]), (Some(7), &json!(null)), "{refused:?}");
    let node = serves(&chain, EvidenceResponse { evidence: Vec::new(), ..evidence(&chain) });
    with(&chain, &[&node]);
    let none = chain.quorate(&["evidence", "--output", "json"]);
    assert_eq!(none.code, Some(0), "{none:?}");
    let file = chain.dir.path().join("evidence.json");
    fs::write(&file, &none.out).unwrap();
    let empty = chain.quorate(&["evidence", "verify", file.to_str().unwrap(), "--output", "json"]);
    assert_eq!(empty.code, Some(7), "{empty:?}");
}
