//! When "not applied" is certain, and when it is not: whoever is told so may pay anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quorate_protocol::api::code::Code;
use quorate_protocol::api::http::{TransactionResponse, TransactionStatus};
use quorate_protocol::document::Outcome;
use quorate_protocol::id::{Height, NodeIndex, TransactionId};
use serde_json::json;

use crate::support::{Answer, Chain, FakeNode, Request, Run, account, stands, status, zero};
use crate::{answers, answers_as, commits, with};

/// Four validators that all give this answer.
fn all_answer(chain: &Chain, answer: &Answer) -> Vec<FakeNode> {
    let one = |index| {
        let answer = answer.clone();
        answers_as(chain, index, move |_| answer.clone())
    };
    (0..4).map(one).collect()
}

fn transfer(chain: &Chain, nodes: &[&FakeNode]) -> Run {
    with(chain, nodes);
    chain.transfer()
}

#[test]
fn bytes_that_nobody_can_execute_are_exit_4_once_enough_validators_say_so() {
    let chain = Arc::new(Chain::new());
    let refuses = |index| answers_as(&chain, index, |_| Answer::problem(Code::BadSignature));
    let (one, again, another) = (refuses(0), refuses(0), refuses(1));
    for nodes in [&[&one][..], &[&one, &again]] {
        let doubtful = transfer(&chain, nodes);
        assert_eq!(doubtful.code, Some(5), "one validator may be the liar: {doubtful:?}");
        assert_eq!(doubtful.json()["errors"][0]["code"], "bad_signature");
        assert_eq!(doubtful.json()["errors"][0]["outcome"], "unknown");
        assert_eq!(chain.outbox().len(), 1);
        std::fs::remove_dir_all(chain.path("outbox")).unwrap();
    }
    let done = transfer(&chain, &[&one, &another]);
    assert_eq!(done.code, Some(4), "{done:?}");
    let error = &done.json()["errors"][0];
    assert_eq!((&error["code"], &error["outcome"]), (&json!("bad_signature"), &json!("not_applied")));
    assert_eq!(error["hint"], Code::BadSignature.hint());
    assert!(chain.outbox().is_empty());
}

#[test]
fn bytes_that_nobody_can_execute_are_exit_4_though_another_node_hangs() {
    let chain = Arc::new(Chain::new());
    let hangs = answers(&chain, |_| Answer::Hang(Duration::from_secs(30)));
    let bad = |index| answers_as(&chain, index, |_| Answer::problem(Code::BadSignature));
    with(&chain, &[&hangs, &bad(1), &bad(2), &bad(3)]);
    let transfer = ["--timeout", "4", "transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"];
    assert_eq!(chain.quorate(&transfer).code, Some(4), "no correct node ever takes a bad signature");
}

#[test]
fn a_refusal_that_may_change_is_exit_5_though_every_validator_says_it() {
    for code in [Code::UnknownSender, Code::Expired, Code::ValidUntilTooFar, Code::BadRequest] {
        let chain = Arc::new(Chain::new());
        let nodes = all_answer(&chain, &Answer::problem(code));
        let done = transfer(&chain, &nodes.iter().collect::<Vec<_>>());
        assert_eq!(done.code, Some(5), "one of them may lie and keep the bytes: {done:?}");
        let (json, id) = (done.json(), done.announced());
        let error = &json["errors"][0];
        assert_eq!((&error["code"], &error["outcome"]), (&json!(code.as_str()), &json!("unknown")));
        assert_eq!(json["data"]["status"], "unknown");
        assert!(error["hint"].as_str().unwrap().contains(&format!("tx wait {id}")), "{error}");
        assert_eq!(chain.outbox().len(), 1, "{code}");
    }
}

/// The way to pay twice: a node says no and keeps the bytes, and the state that they lacked comes about.
#[test]
fn what_was_refused_and_kept_is_found_applied_by_the_same_bytes() {
    let chain = Arc::new(Chain::new());
    let registered = Arc::new(AtomicBool::new(false));
    let (own, now) = (Arc::clone(&chain), Arc::clone(&registered));
    let keeps = move |id: TransactionId| match now.load(Ordering::SeqCst) {
        false => Answer::problem(Code::UnknownSender),
        true => Answer::ok(&TransactionResponse::certified(own.receipt(id, Outcome::Applied))),
    };
    let nodes: Vec<FakeNode> = (0..4).map(|index| answers_as(&chain, index, keeps.clone())).collect();
    let refused = transfer(&chain, &nodes.iter().collect::<Vec<_>>());
    assert_eq!((refused.code, chain.outbox().len()), (Some(5), 1), "{refused:?}");
    registered.store(true, Ordering::SeqCst);
    let found = chain.quorate(&["--timeout", "5", "--output", "json", "tx", "wait", &refused.announced()]);
    assert_eq!((found.code, &found.json()["data"]["status"]), (Some(0), &json!("applied")), "{found:?}");
    assert!(chain.outbox().is_empty());
}

/// A node that has nothing and calls everything expired; its head is certified, and at this time.
fn says_expired(chain: &Chain, index: u8, time: u64) -> FakeNode {
    let mut own = status(chain);
    (own.index, own.time) = (Some(NodeIndex(index)), time);
    FakeNode::start_as(chain, index, move |request: &Request| {
        if request.path == "/v1/status" {
            return Some(Answer::ok(&own));
        }
        let code = if request.method == "POST" { Code::Expired } else { Code::NotFound };
        (request.submitted().is_some() || request.asked().is_some()).then(|| Answer::problem(code))
    })
}

#[test]
fn only_certified_time_makes_a_refusal_for_its_time_certain() {
    let chain = Arc::new(Chain::new());
    let silent = answers(&chain, |_| Answer::Silence);
    let lost = transfer(&chain, &[&silent]);
    assert_eq!(lost.code, Some(5), "{lost:?}");
    let now = quorate_cli::clock::now_ms();
    let (before, after) = (now - 1_000, now + 3_600_000);
    let wait = |nodes: &[FakeNode]| {
        with(&chain, &nodes.iter().collect::<Vec<_>>());
        chain.quorate(&["--timeout", "1", "--output", "json", "tx", "wait", &lost.announced()])
    };
    let by_their_clocks = wait(&[0, 1, 2, 3].map(|index| says_expired(&chain, index, before)));
    assert_eq!((by_their_clocks.code, chain.outbox().len()), (Some(5), 1), "{by_their_clocks:?}");
    let by_one = wait(&[says_expired(&chain, 0, before), says_expired(&chain, 1, after)]);
    assert_eq!((by_one.code, chain.outbox().len()), (Some(5), 1), "{by_one:?}");
    let certified = wait(&[says_expired(&chain, 0, after), says_expired(&chain, 1, after)]);
    assert_eq!((certified.code, &certified.json()["data"]["status"]), (Some(4), &json!("expired")), "{certified:?}");
    assert!(chain.outbox().is_empty());
}

/// A node that commits what it is sent, and says whether alice is a member, as of this height.
fn knows(chain: &Arc<Chain>, index: u8, member: bool, height: u64) -> FakeNode {
    let mut alice = account(chain);
    (alice.member, alice.height) = (member, Height(height));
    let path = format!("/v1/accounts/{}", alice.account);
    let own = Arc::clone(chain);
    FakeNode::start_as(chain, index, move |request: &Request| {
        if request.path == path {
            return Some(Answer::ok(&alice));
        }
        let id = request.submitted()?.id();
        Some(Answer::ok(&TransactionResponse::certified(own.receipt(id, Outcome::Applied))))
    })
}

#[test]
fn a_sender_that_the_chain_does_not_know_is_exit_4_at_once_and_nothing_leaves() {
    let chain = Arc::new(Chain::new());
    let nodes = [knows(&chain, 0, false, 7), knows(&chain, 1, false, 7), knows(&chain, 2, true, 7)];
    let done = transfer(&chain, &nodes.iter().collect::<Vec<_>>());
    assert_eq!(done.code, Some(4), "{done:?}");
    let json = done.json();
    let error = &json["errors"][0];
    assert_eq!((&error["code"], &error["outcome"]), (&json!("unknown_sender"), &json!("not_applied")));
    assert!(error["message"].as_str().unwrap().contains("nothing was sent"), "{error}");
    assert_eq!((&json["data"]["status"], &json["data"]["code"]), (&json!("rejected"), &json!("unknown_sender")));
    assert!(nodes.iter().all(|node| node.submissions().is_empty()) && chain.outbox().is_empty());

    std::fs::write(chain.path("pay.jsonl"), r#"{"type":"transfer","to":"bob","asset":"USD","amount":"1"}"#).unwrap();
    let file = chain.path("pay.jsonl").display().to_string();
    let batch = chain.quorate(&["--output", "jsonl", "batch", &file, "--from", "alice"]);
    assert_eq!(batch.code, Some(4), "{batch:?}");
    assert!(batch.out.contains(r#""status":"rejected","code":"unknown_sender""#), "{batch:?}");
    assert!(nodes.iter().all(|node| node.submissions().is_empty()));
}

#[test]
fn fewer_than_enough_validators_that_do_not_know_the_sender_keep_nothing_back() {
    let chain = Arc::new(Chain::new());
    let (denies, again) = (knows(&chain, 0, false, 7), knows(&chain, 0, false, 7));
    let (confirms, behind) = (knows(&chain, 1, true, 7), knows(&chain, 2, false, 6));
    assert_eq!(transfer(&chain, &[&denies, &confirms]).code, Some(0), "one may lie");
    assert_eq!(transfer(&chain, &[&denies, &again, &confirms]).code, Some(0), "one at two addresses is one");
    assert_eq!(transfer(&chain, &[&denies, &behind, &confirms]).code, Some(0), "it is below the last receipt's height");
}

#[test]
fn a_validity_that_no_node_takes_is_refused_before_anything_is_sent() {
    let chain = Arc::new(Chain::new());
    let node = commits(&chain, Outcome::Applied);
    with(&chain, &[&node]);
    let transfer = |seconds| {
        let words = ["transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD", "--valid-for"];
        chain.quorate(&[&words[..], &[seconds]].concat())
    };
    let refused = transfer("119");
    assert!(refused.code == Some(2) && refused.err.contains("118 seconds"), "{refused:?}");
    assert!(node.submissions().is_empty());
    assert_eq!(transfer("118").code, Some(0));
}

/// A node that gives a receipt of another state, signed by nobody.
fn lies(chain: &Arc<Chain>, index: u8) -> FakeNode {
    let own = Arc::clone(chain);
    FakeNode::start_as(chain, index, move |request: &Request| {
        let id = request.submitted().map(|transaction| transaction.id()).or_else(|| request.asked())?;
        let mut receipt = own.receipt(id, Outcome::Applied);
        receipt.header.state_root = zero();
        if request.path.ends_with("/receipt") {
            return Some(Answer::ok(&receipt));
        }
        Some(Answer::ok(&TransactionResponse::certified(receipt)))
    })
}

#[test]
fn a_false_receipt_says_nothing_of_what_was_sent_and_one_liar_among_four_does_no_harm() {
    let chain = Arc::new(Chain::new());
    let liar = lies(&chain, 0);
    let deceived = transfer(&chain, &[&liar]);
    assert_eq!(deceived.code, Some(5), "sent, and it may be applied: {deceived:?}");
    let error = &deceived.json()["errors"][0];
    assert_eq!((&error["code"], &error["outcome"]), (&json!("outcome_unknown"), &json!("unknown")));
    assert!(error["message"].as_str().unwrap().contains("false proof"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("do not trust"), "{error}");
    assert_eq!(chain.outbox().len(), 1);

    let good = commits(&chain, Outcome::Applied);
    assert_eq!(transfer(&chain, &[&liar, &good, &good, &good]).code, Some(0));
}

#[test]
fn a_receipt_that_was_asked_for_and_does_not_hold_is_exit_7() {
    let chain = Arc::new(Chain::new());
    let liar = lies(&chain, 0);
    let wait = |nodes: &[&FakeNode]| {
        with(&chain, nodes);
        chain.quorate(&["--timeout", "1", "--output", "json", "tx", "wait", &zero().to_string()])
    };
    let deceived = wait(&[&liar]);
    assert_eq!((deceived.code, &deceived.json()["errors"][0]["code"]), (Some(7), &json!("verification_failed")));
    let waits = answers_as(&chain, 1, |id| stands(id, TransactionStatus::Accepted));
    assert_eq!(wait(&[&liar, &waits]).code, Some(5), "an honest node has it");
    assert_eq!(chain.quorate(&["tx", "receipt", &zero().to_string()]).code, Some(7));
}

#[test]
fn anothers_receipt_is_no_receipt() {
    let chain = Arc::new(Chain::new());
    let own = Arc::clone(&chain);
    let node = answers(&chain, move |_| {
        Answer::ok(&TransactionResponse::certified(own.receipt(TransactionId(zero()), Outcome::Applied)))
    });
    let done = transfer(&chain, &[&node]);
    assert_eq!(done.code, Some(5), "{done:?}");
    assert!(done.out.contains("another transaction"), "{done:?}");
}

/// A full node that says when to come again.
fn is_full(chain: &Chain, seconds: &str) -> FakeNode {
    let seconds = seconds.to_owned();
    answers(chain, move |_| {
        let Answer::Json(code, body, _) = Answer::problem(Code::PoolFull) else { unreachable!() };
        Answer::Json(code, body, vec![("retry-after", seconds.clone())])
    })
}

#[test]
fn a_node_is_left_alone_for_as_long_as_it_asks() {
    let chain = Arc::new(Chain::new());
    let full = is_full(&chain, "60");
    assert_eq!(transfer(&chain, &[&full]).code, Some(8));
    assert_eq!(full.submissions().len(), 1, "within its minute it is not asked again");
    let impatient = is_full(&chain, "0");
    assert_eq!(transfer(&chain, &[&impatient]).code, Some(8));
    assert!(impatient.submissions().len() > 1);
    let good = commits(&chain, Outcome::Applied);
    let full = is_full(&chain, "60");
    assert_eq!(transfer(&chain, &[&full, &good]).code, Some(0), "another one is asked meanwhile");
}

#[test]
fn a_node_that_was_full_is_asked_again_after_its_time_and_an_absurd_one_is_cut() {
    let chain = Arc::new(Chain::new());
    let own = Arc::clone(&chain);
    let first = AtomicBool::new(true);
    let recovers = answers(&chain, move |id| match first.swap(false, Ordering::SeqCst) {
        true => {
            let Answer::Json(code, body, _) = Answer::problem(Code::PoolFull) else { unreachable!() };
            Answer::Json(code, body, vec![("retry-after", u64::MAX.to_string())])
        }
        false => Answer::ok(&TransactionResponse::certified(own.receipt(id, Outcome::Applied))),
    });
    with(&chain, &[&recovers]);
    let transfer = ["--timeout", "20", "transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"];
    assert_eq!(chain.quorate(&transfer).code, Some(0));
    assert_eq!(recovers.submissions().len(), 2);
}
