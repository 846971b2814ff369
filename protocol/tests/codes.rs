//! Every error code has a test that provokes it, wherever in the repository that stands.
//!
//! The table names them, and each run looks whether they are still there: a code without a test, and a test that was
//! renamed or forgot its code, are found.

use std::collections::BTreeSet;
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
    (Code::PoolFull, &["protocol/src/pool/tests.rs::a_full_pool_refuses_by_count_and_by_bytes"]),
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
];

/// Codes that no test provokes, and why. Whoever writes the test takes the line out.
const UNPROVOKED: &[(Code, &str)] = &[
    (Code::Duplicate, "nothing gives it: every door answers known bytes with their state"),
    (Code::Halted, "tests of a halted node look at its status, and send it nothing"),
    (Code::Internal, "no test makes a read of the store fail under a request"),
];

fn is_rule(code: Code) -> bool {
    code.stage() == Stage::Execution && code != Code::NoOperations
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
    let variant = format!("Code::{code:?}");
    let word = format!("\"{code}\"");
    (!source.contains(&variant) && !source.contains(&word)).then(|| format!("{code}: {file} does not speak of it"))
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
    for (code, why) in UNPROVOKED {
        assert!(tested.insert(*code), "{code} is provoked and listed as unprovoked: {why}");
    }
    complaints.extend(Code::ALL.iter().filter(|code| !tested.contains(code)).map(|code| format!("{code}: no test")));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn a_test_that_is_gone_or_silent_about_its_code_is_found() {
    assert_eq!(complaint(Code::Malformed, REQUESTS), None);
    for (code, test) in [
        (Code::Malformed, "node/tests/api/main.rs::no_such_test"),
        (Code::Malformed, "node/tests/api/nothing.rs::malformed_requests_are_problems"),
        (Code::SenderFrozen, REQUESTS),
        // A function that is no test.
        (Code::WrongChain, "node/tests/api/main.rs::refused"),
    ] {
        assert!(complaint(code, test).is_some(), "{code} {test}");
    }
}
