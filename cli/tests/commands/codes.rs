//! Every code of a node, and how the program ends with it: the table that is published is the one that holds.

use std::sync::{Arc, Mutex};
use std::thread;

use quorate_protocol::api::code::{Asked, Code, Stage};
use quorate_protocol::api::http::TransactionResponse;
use quorate_protocol::document::Outcome;
use quorate_protocol::id::TransactionId;

use crate::support::{Answer, Chain, FakeNode, Request};
use crate::{answers_as, with};

/// How many codes are tried at the same time.
const AT_ONCE: usize = 10;

#[test]
fn a_read_ends_with_the_published_exit_code_of_each_code() {
    let chain = Chain::new();
    let code = Arc::new(Mutex::new(Code::Internal));
    let said = Arc::clone(&code);
    let node = FakeNode::start(&chain, move |request: &Request| {
        request.path.starts_with("/v1/accounts/").then(|| Answer::problem(*said.lock().unwrap()))
    });
    with(&chain, &[&node]);
    for &wanted in Code::ALL {
        *code.lock().unwrap() = wanted;
        let done = chain.quorate(&["--output", "json", "account", "alice"]);
        assert_eq!(done.code, Some(i32::from(wanted.exit_code(Asked::Read))), "{wanted}: {done:?}");
        assert_eq!(done.json()["errors"][0].get("outcome"), None, "{wanted}: a read says nothing of a transaction");
    }
}

#[test]
fn a_submission_ends_with_the_published_exit_code_of_each_code() {
    // Where the code is not the last word, it is waited for another one until the time-out.
    for codes in Code::ALL.chunks(AT_ONCE) {
        thread::scope(|scope| codes.iter().for_each(|&code| drop(scope.spawn(move || submission_ends_with(code)))));
    }
}

fn submission_ends_with(code: Code) {
    let chain = Arc::new(Chain::new());
    let own = Arc::clone(&chain);
    let answer = move |id: TransactionId| match code.stage() {
        // What execution says is in a receipt; a door may say that there are no operations.
        Stage::Execution if !code.is_final() => {
            Answer::ok(&TransactionResponse::certified(own.receipt(id, Outcome::Failed(code))))
        }
        _ => Answer::problem(code),
    };
    let nodes: Vec<FakeNode> = (0..2).map(|index| answers_as(&chain, index, answer.clone())).collect();
    with(&chain, &nodes.iter().collect::<Vec<_>>());
    let transfer = ["transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"];
    let done = chain.quorate(&[&["--timeout", "3", "--output", "json"][..], &transfer].concat());
    let exit = code.exit_code(Asked::Submission);
    assert_eq!(done.code, Some(i32::from(exit)), "{code}: {done:?}");
    let certain = exit == 4;
    let outcome = if certain { "not_applied" } else { "unknown" };
    assert_eq!(done.json()["errors"][0]["outcome"], outcome, "{code}: {done:?}");
    assert_eq!(chain.outbox().len(), usize::from(!certain), "{code}: what may be applied is kept");
}

/// A code of execution counts only with the receipt that proves it.
#[test]
fn a_node_that_only_says_that_it_failed_is_not_believed() {
    let chain = Chain::new();
    let says = |index| answers_as(&chain, index, |_| Answer::problem(Code::InsufficientBalance));
    with(&chain, &[&says(0), &says(1), &says(2), &says(3)]);
    let done = chain.transfer();
    assert_eq!((done.code, chain.outbox().len()), (Some(5), 1), "{done:?}");
}
