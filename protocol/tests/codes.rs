//! Every error code has a test that provokes it, wherever in the repository that stands.
//!
//! The table names them, and each run looks whether they are still there: a code without a test, and a test that was
//! renamed or forgot its code, are found. What a test says, it says in its own body or in a function of its file that it
//! calls, such as a table of cases; what else stands in the file does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use quorate_protocol::api::code::{Code, Stage};

const RULES: &str = "protocol/tests/chain/rules.rs::every_code_of_the_rules_is_earned_and_changes_nothing";
const FORM: &str = "protocol/tests/chain/decode.rs::the_form_is_judged_in_the_order_of_the_table";
const ADMISSION: &str = "protocol/src/sim/tests.rs::each_door_answers_with_its_code";
const VALIDITY: &str =
    "protocol/src/pool/tests.rs::validity_is_measured_from_the_later_of_head_and_clock_and_clients_get_less";
const DOOR: &str = "node/tests/api/main.rs::every_refused_transaction_has_its_code_and_changes_nothing";
const REQUESTS: &str = "node/tests/api/main.rs::malformed_requests_are_problems";

/// Which tests provoke what, as `file::name`. The codes of execution alone are provoked by [`RULES`].
const PROVOKED: &[(Code, &[&str])] = &[
    (Code::Malformed, &[REQUESTS]),
    (
        Code::TooLarge,
        &[
            FORM,
            "protocol/src/pool/tests.rs::a_transaction_larger_than_the_chain_allows_never_enters",
            "node/tests/api/submit.rs::a_list_above_a_mebibyte_is_too_large",
        ],
    ),
    (Code::WrongChain, &[FORM, ADMISSION, DOOR]),
    (Code::NoOperations, &[FORM, RULES, DOOR]),
    (Code::BadSignature, &[ADMISSION, DOOR]),
    (Code::UnknownSender, &[ADMISSION, DOOR]),
    (Code::Expired, &[VALIDITY, ADMISSION, DOOR]),
    (Code::ValidUntilTooFar, &[VALIDITY, ADMISSION, DOOR]),
    (
        Code::SenderQuota,
        &[
            "protocol/src/pool/tests.rs::one_sender_has_at_most_a_sixteenth_by_count_and_by_bytes",
            "node/tests/api/submit.rs::a_sender_with_too_many_waiting_is_told_to_come_again",
        ],
    ),
    (
        Code::PoolFull,
        &[
            "protocol/src/pool/tests.rs::a_full_pool_refuses_by_count_and_by_bytes",
            "node/tests/api/submit.rs::a_full_pool_answers_503_to_a_sender_who_has_nothing_in_it",
        ],
    ),
    (
        Code::Unauthorized,
        &["node/tests/api/access.rs::with_a_token_only_those_who_show_it_are_answered_but_for_probes"],
    ),
    (Code::BadRequest, &[REQUESTS, "node/tests/api/events.rs::malformed_queries_are_refused"]),
    (Code::NotFound, &[REQUESTS]),
    (Code::MethodNotAllowed, &[REQUESTS]),
    (Code::UnsupportedMediaType, &[REQUESTS]),
    (
        Code::ClientQuota,
        &[
            "node/tests/api/load.rs::a_client_that_floods_is_told_to_come_again_and_others_are_served",
            "node/tests/api/load.rs::an_address_has_half_of_the_requests_in_work_and_probes_are_always_answered",
        ],
    ),
    (
        Code::Overloaded,
        &[
            "node/tests/api/submit.rs::a_node_without_room_says_503_and_when_to_come_again",
            "node/tests/api/events.rs::streams_are_bounded_leave_requests_alone_and_give_their_place_back",
        ],
    ),
    (Code::NotReady, &["node/tests/cluster.rs::three_nodes_commit_without_a_backup_and_two_say_why_they_stand_still"]),
    (
        Code::Timeout,
        &[
            "node/tests/api/submit.rs::none_answers_once_it_is_parsed_and_accepted_once_it_is_in_the_pool",
            "node/tests/shutdown.rs::stopping_under_load_takes_two_seconds_at_most_answers_clients_and_leaves_no_thread",
        ],
    ),
    (
        Code::Halted,
        &["node/tests/faults.rs::a_halted_node_refuses_transactions_with_its_reason_and_still_answers_reads"],
    ),
    (Code::Internal, &["node/tests/faults.rs::a_read_that_fails_is_a_fault_of_the_node_and_the_next_one_is_answered"]),
];

fn is_rule(code: Code) -> bool {
    code.stage() == Stage::Execution && code != Code::NoOperations
}

/// The functions of a file by name, each from its `fn` to the brace that ends it: as rustfmt writes them, that stands
/// below the beginning of the line that the function begins on.
fn functions(source: &str) -> BTreeMap<&str, &str> {
    let mut functions = BTreeMap::new();
    for (place, _) in source.match_indices("fn ") {
        let line = source[..place].rfind('\n').map_or(0, |end| end + 1);
        let indent = source[line..].len() - source[line..].trim_start_matches(' ').len();
        let is_item = source[line + indent..place].split_whitespace().all(|word| ["pub", "async"].contains(&word));
        let end = format!("\n{}}}", &source[line..line + indent]);
        let rest = &source[place..];
        let name = rest["fn ".len()..].split(|letter: char| !letter.is_alphanumeric() && letter != '_').next();
        if let (true, Some(name), Some(end)) = (is_item, name, rest.find(&end)) {
            functions.entry(name).or_insert(&rest[..end]);
        }
    }
    functions
}

/// Whether the function says one of the words, or calls one of its file that does.
fn says(functions: &BTreeMap<&str, &str>, name: &str, words: &[String]) -> bool {
    let (mut seen, mut next) = (BTreeSet::from([name]), vec![name]);
    while let Some(body) = next.pop().and_then(|name| functions.get(name)) {
        // A name that only begins like another one is another.
        let ends = |rest: &str| !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        if words.iter().any(|word| body.match_indices(word.as_str()).any(|(at, _)| ends(&body[at + word.len()..]))) {
            return true;
        }
        for called in functions.keys() {
            let call = format!("{called}(");
            let begins =
                |at: usize| !body[..at].ends_with(|letter: char| letter.is_alphanumeric() || "_.:".contains(letter));
            if body.match_indices(&call).any(|(at, _)| begins(at)) && seen.insert(called) {
                next.push(called);
            }
        }
    }
    false
}

/// Why this is no test that speaks of the code.
fn complaint(code: Code, test: &str) -> Option<String> {
    let (file, name) = test.split_once("::")?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join(file);
    let Ok(source) = fs::read_to_string(&path) else { return Some(format!("{code}: there is no {file}")) };
    let place = source.find(&format!("fn {name}()"));
    let is_test = place.is_some_and(|place| source[..place].trim_end().ends_with("#[test]"));
    if !is_test {
        return Some(format!("{code}: {file} has no test {name}"));
    }
    let words = [format!("Code::{code:?}"), format!("\"{code}\"")];
    (!says(&functions(&source), name, &words)).then(|| format!("{code}: {name} in {file} does not speak of it"))
}

#[test]
fn every_code_has_a_test_that_provokes_it() {
    let mut tested: BTreeSet<Code> = BTreeSet::new();
    let mut complaints = Vec::new();
    let rules = Code::ALL.iter().copied().filter(|code| is_rule(*code)).map(|code| (code, &[RULES][..]));
    for (code, tests) in PROVOKED.iter().copied().chain(rules) {
        complaints.extend(tests.iter().filter_map(|test| complaint(code, test)));
        assert!(!tests.is_empty() && tested.insert(code), "{code} stands in the table twice, or without a test");
    }
    complaints.extend(Code::ALL.iter().filter(|code| !tested.contains(code)).map(|code| format!("{code}: no test")));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn what_a_test_says_is_what_it_and_the_functions_that_it_calls_say() {
    let source = "fn one() {\n    two();\n    other.four();\n}\n\nfn two() {\n    if true {\n        say(\"two\");\n    }\n}\n\n\
                  fn four() {\n    \"four\"\n}\n\nmod tests {\n    async fn one_more() {\n        one();\n    }\n\n    \
                  fn last() {\n        Code::LastOfAll\n    }\n}\n";
    let functions = functions(source);
    assert_eq!(functions.keys().copied().collect::<Vec<_>>(), ["four", "last", "one", "one_more", "two"]);
    let says = |name: &str, word: &str| says(&functions, name, &[word.to_owned()]);
    assert!(says("one", "\"two\"") && says("one_more", "\"two\"") && says("two", "\"two\""));
    assert!(!says("two", "\"four\"") && !says("one", "\"four\"") && !says("one", "Code::LastOfAll"));
    assert!(says("last", "Code::LastOfAll") && !says("last", "Code::Last"));
}

#[test]
fn a_test_that_is_gone_or_silent_about_its_code_is_found() {
    assert_eq!(complaint(Code::Malformed, REQUESTS), None);
    for (code, test) in [
        (Code::Malformed, "node/tests/api/main.rs::no_such_test"),
        (Code::Malformed, "node/tests/api/nothing.rs::malformed_requests_are_problems"),
        (Code::SenderFrozen, REQUESTS),
        // The file speaks of it, this test does not.
        (Code::BadSignature, REQUESTS),
        (Code::NotFound, DOOR),
        // A function that is no test.
        (Code::WrongChain, "node/tests/api/main.rs::refused"),
    ] {
        assert!(complaint(code, test).is_some(), "{code} {test}");
    }
}
