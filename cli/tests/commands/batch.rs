//! Batches.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quorate_protocol::api::code::Code;
use quorate_protocol::api::http::TransactionResponse;
use quorate_protocol::document::{Operation, Outcome};
use serde_json::{Value, json};

use crate::support::{Answer, Chain, FakeNode, Request, Run, command, finish};

const PAY: &str = r#"{"type":"transfer","to":"bob","asset":"USD","amount":"1.00"}"#;

fn write(chain: &Chain, lines: &[&str]) -> String {
    let path = chain.path("pay.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    path.display().to_string()
}

fn lines(run: &Run) -> Vec<Value> {
    run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn batch(chain: &Chain, file: &str, more: &[&str]) -> Run {
    chain.quorate(&[&["--output", "jsonl", "--timeout", "2", "batch", file, "--from", "alice"][..], more].concat())
}

#[test]
fn every_line_is_sent_once_however_often_the_file_is_run() {
    let chain = Arc::new(Chain::new());
    let node = crate::commits(&chain, Outcome::Applied);
    crate::with(&chain, &[&node]);
    let bob =
        r#"{"from":"bob","memo":"back","operations":[{"type":"transfer","to":"alice","asset":"USD","amount":"0.50"}]}"#;
    let file = write(&chain, &[PAY, PAY, "", bob]);
    let first = batch(&chain, &file, &[]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let told: BTreeSet<u64> = lines(&first).iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(told, BTreeSet::from([1, 2, 4]), "equal lines are two payments");
    assert!(lines(&first).iter().all(|line| line["status"] == "applied" && line["sent_before"] == false), "{first:?}");
    let sent = node.transactions();
    assert_eq!(sent.iter().map(|sent| sent.id()).collect::<BTreeSet<_>>().len(), 3);
    assert!(sent.iter().any(|sent| *sent.transaction().memo == *"back"));

    let again = batch(&chain, &file, &[]);
    assert_eq!((again.code, node.transactions().len()), (Some(0), 3), "{again:?}");
    assert!(lines(&again).iter().all(|line| line["status"] == "applied" && line["sent_before"] == true), "{again:?}");
    // One more line sends one more.
    write(&chain, &[PAY, PAY, PAY, bob]);
    assert_eq!(batch(&chain, &file, &[]).code, Some(0));
    assert_eq!(node.transactions().len(), 4);
}

#[test]
fn after_a_time_out_the_very_same_bytes_are_sent_again() {
    let chain = Arc::new(Chain::new());
    let healthy = Arc::new(AtomicBool::new(false));
    let (own, now) = (Arc::clone(&chain), Arc::clone(&healthy));
    let node = FakeNode::start(&chain, move |request: &Request| {
        let id = request.submitted().map(|transaction| transaction.id()).or_else(|| request.asked())?;
        Some(match now.load(Ordering::SeqCst) {
            true => Answer::ok(&TransactionResponse::certified(own.receipt(id, Outcome::Applied))),
            false => Answer::Hang(Duration::from_secs(30)),
        })
    });
    crate::with(&chain, &[&node]);
    let file = write(&chain, &[PAY, PAY]);
    let lost = batch(&chain, &file, &[]);
    assert_eq!(lost.code, Some(5), "{lost:?}");
    healthy.store(true, Ordering::SeqCst);
    let found = batch(&chain, &file, &[]);
    assert_eq!(found.code, Some(0), "{found:?}");
    let ids: BTreeSet<_> = node.transactions().iter().map(|sent| sent.id()).collect();
    assert_eq!(ids.len(), 2, "nothing was signed twice");
}

#[test]
fn a_line_that_is_not_understood_is_named_and_nothing_is_sent() {
    let chain = Arc::new(Chain::new());
    let node = crate::commits(&chain, Outcome::Applied);
    crate::with(&chain, &[&node]);
    for (bad, word) in [
        (r#"{"type":"transfer","to":"bob","asset":"USD","amount":"1.005"}"#, "decimal"),
        (r#"{"type":"transfer","to":"nobody","asset":"USD","amount":"1"}"#, "nobody"),
        (r#"{"type":"transfer","to":"bob","asset":"USD"}"#, "amount"),
        (r#"{"type":"gift","to":"bob"}"#, "gift"),
        (r#"{"operations":[]}"#, "no_operations"),
        ("[1,2", "invalid"),
        ("{\"type\":\"transfer\",\"to\":\"bob\",\"asset\":\"USD\",\"amount\":\"1\",\"extra\":1}", "extra"),
    ] {
        let done = batch(&chain, &write(&chain, &[PAY, bad]), &[]);
        assert_eq!(done.code, Some(2), "{done:?}");
        let message = done.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains("line 2") && message.contains(word) && message.contains("nothing was sent"),
            "{message}"
        );
    }
    let long = format!(r#"{{"type":"transfer","to":"bob","asset":"USD","amount":"{}"}}"#, "1".repeat(70_000));
    assert!(batch(&chain, &write(&chain, &[&long]), &[]).out.contains("line 1"));
    assert_eq!(batch(&chain, &write(&chain, &[]), &[]).code, Some(2));
    assert!(node.submissions().is_empty());
}

#[test]
fn atomic_lines_are_one_transaction() {
    let chain = Arc::new(Chain::new());
    let node = crate::commits(&chain, Outcome::Applied);
    crate::with(&chain, &[&node]);
    let create = r#"{"type":"asset_create","asset":"EUR","scale":3}"#;
    let mint = r#"{"type":"asset_mint","asset":"EUR","to":"bob","amount":"1.5"}"#;
    let file = write(&chain, &[create, mint]);
    let done = chain.quorate(&["--output", "jsonl", "batch", "--atomic", &file, "--from", "admin", "--memo", "start"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let [sent] = &node.transactions()[..] else { panic!("one transaction") };
    assert!(matches!(sent.transaction().operations[1], Operation::AssetMint { amount: 1_500, .. }), "{sent:?}");
}

#[test]
fn what_failed_is_exit_4_and_each_outcome_says_why() {
    let chain = Arc::new(Chain::new());
    let node = crate::commits(&chain, Outcome::Failed(Code::InsufficientBalance));
    crate::with(&chain, &[&node]);
    let file = write(&chain, &[PAY, PAY]);
    let done = chain.quorate(&["--output", "json", "batch", &file, "--from", "alice"]);
    assert_eq!(done.code, Some(4), "{done:?}");
    let outcomes = done.json()["data"]["outcomes"].clone();
    assert_eq!((&outcomes[1]["line"], &outcomes[1]["code"]), (&json!(2), &json!("insufficient_balance")));
    assert_eq!(done.json()["errors"][0]["code"], "batch_incomplete");
}

#[test]
fn stdin_has_a_journal_that_the_user_names() {
    let chain = Arc::new(Chain::new());
    let node = crate::commits(&chain, Outcome::Applied);
    crate::with(&chain, &[&node]);
    let file = write(&chain, &[PAY]);
    let dir = chain.dir.path().to_str().unwrap();
    let piped = |more: &[&str]| {
        let mut command = command(&["--testnet", dir, "batch", "-", "--from", "alice"]);
        finish(command.args(more).stdin(Stdio::from(fs::File::open(&file).unwrap())))
    };
    let nameless = piped(&[]);
    assert!(nameless.code == Some(2) && nameless.err.contains("--journal"), "{nameless:?}");
    let journal = chain.path("may.journal").display().to_string();
    for _ in 0..2 {
        assert_eq!(piped(&["--journal", &journal]).code, Some(0));
    }
    assert_eq!(node.transactions().len(), 1);
}
