//! `simulate` as a script meets it: plain seeds, and situations by name.

mod common;

use std::process::Command;

use quorate_protocol::sim::scenarios;
use serde_json::Value;

use common::{Run, program, run};

fn simulate(arguments: &[&str]) -> Run {
    run(Command::new(program("quorate-testnet")).arg("simulate").args(arguments).args(["--output", "json"]))
}

fn data(arguments: &[&str]) -> Value {
    simulate(arguments).ok().json()["data"].clone()
}

#[test]
fn every_scenario_runs_by_its_name_and_the_result_names_it() {
    for scenario in scenarios() {
        let told = data(&["--scenario", scenario.name, "--seeds", "2", "--seed", "100"]);
        assert_eq!((&told["scenario"], &told["passed"]), (&scenario.name.into(), &2.into()), "{told}");
        assert_eq!(told["happened_in"], 2, "{told}");
        assert!(told["happened"].as_u64() >= Some(2), "{told}");
    }
}

#[test]
fn a_seed_gives_the_same_traces_twice_and_a_scenario_gives_others() {
    let of = |arguments: &[&str]| data(arguments)["digest"].clone();
    let plain = of(&["--seeds", "3"]);
    assert_eq!(of(&["--seeds", "3"]), plain);
    let isolated = of(&["--seeds", "3", "--scenario", "isolate_primary"]);
    assert_eq!(of(&["--seeds", "3", "--scenario", "isolate_primary"]), isolated);
    assert_ne!(isolated, plain);
    let told = data(&["--seeds", "3"]);
    assert_eq!(
        (&told["scenario"], &told["happened"], &told["happened_in"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn the_trace_of_a_scenario_begins_with_its_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    simulate(&["--scenario", "crash_loop", "--seed", "3", "--nodes", "5", "--trace", path]).ok();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("crash_loop: ") && text.contains("5 validators"), "{text}");
}

#[test]
fn unknown_and_impossible_scenarios_are_told_with_what_there_is() {
    let unknown = simulate(&["--scenario", "no_such_thing"]);
    assert_eq!(unknown.code, Some(2));
    let message = unknown.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    for scenario in scenarios() {
        assert!(message.lines().any(|line| line.contains(scenario.name) && line.contains(scenario.about)), "{message}");
    }
    let listed = data(&["--scenario", "list"])["scenarios"].as_array().unwrap().len();
    assert_eq!(listed, scenarios().len());
    let few = simulate(&["--scenario", "crash_two_primaries_in_a_row", "--nodes", "4"]);
    assert_eq!(few.code, Some(2));
    assert!(few.json()["errors"][0]["message"].as_str().unwrap().contains("7 validators at least"), "{few:?}");
}

#[test]
fn the_guide_names_every_scenario() {
    let guide = include_str!("../../docs/simulator.md");
    for scenario in scenarios() {
        assert!(guide.contains(&format!("`{}`", scenario.name)), "docs/simulator.md lacks {}", scenario.name);
    }
}
