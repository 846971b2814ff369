//! The alarm itself is tested: engines that are broken on purpose, one for each rule, must be caught by the simulator.
//!
//! Every test run checks that each of the breaks below still fits the source, so that the list cannot rot. Building and
//! running the broken engines takes a minute each, so that is done on demand, and prints a table of which seeds catch which:
//!
//! ```text
//! cargo test --release -p quorate-protocol --features sim --test broken_engines -- --ignored --nocapture
//! ```
//!
//! `QUORATE_BROKEN=name,name` tries only those, `QUORATE_SEEDS=FIRST..LAST` other seeds than the first 200.
#![cfg(feature = "sim")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One broken rule: in this file, this text becomes that one.
struct Break {
    name: &'static str,
    rule: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const fn broken(
    name: &'static str,
    rule: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Break {
    Break { name, rule, file, from, to }
}

const BREAKS: &[Break] = &[
    broken(
        "small_quorum",
        "1.1: a quorum is ceil((n + f + 1) / 2)",
        "document/validators.rs",
        "(self.n() + self.f() + 1).div_ceil(2)",
        "(self.n() + self.f()) / 2",
    ),
    broken(
        "amnesiac_votes",
        "6.4: without a trusted log nobody votes",
        "pbft/engine.rs",
        "let voting = config.me.is_some() && durable.records.is_some();",
        "let voting = config.me.is_some();",
    ),
    broken(
        "conflicting_votes",
        "PR: one digest at one place",
        "pbft/safety.rs",
        "Some(before) if before != ballot.digest => {",
        "Some(before) if before != ballot.digest && ballot.sequence.0 == 0 => {",
    ),
    broken(
        "prepares_forgotten_at_restart",
        "3.4: after a restart the same votes, never others",
        "pbft/recover.rs",
        "self.safety.remember(ballot, if prepare.is_some() { Phase::Prepare } else { Phase::PrePrepare });",
        "",
    ),
    broken(
        "commits_forgotten_at_restart",
        "3.4: after a restart the same votes, never others",
        "pbft/recover.rs",
        "self.safety.remember(ballot, Phase::Commit);",
        "",
    ),
    broken(
        "prepared_forgotten_at_restart",
        "5.1: P survives restarts",
        "pbft/recover.rs",
        "        self.remember_prepared(&certificate);\n",
        "",
    ),
    broken(
        "view_forgotten_at_restart",
        "5.2: a restart inside a view change returns to it",
        "pbft/recover.rs",
        "Record::ViewChange(signed) => self.restore_view_change(signed),",
        "Record::ViewChange(_) => {}",
    ),
    broken(
        "empty_p",
        "5.1: a VIEW-CHANGE names what was prepared",
        "pbft/view_change.rs",
        ".range(Sequence::from(low.next())..)",
        ".range(Sequence(u64::MAX)..)",
    ),
    broken(
        "lowest_view_wins",
        "5.4: the digest of the highest view",
        "pbft/new_view.rs",
        "*entry = (*entry).max((ballot.view, ballot.digest));",
        "*entry = (*entry).min((ballot.view, ballot.digest));",
    ),
    broken(
        "believed_new_view",
        "5.4: backups recompute O and compare",
        "pbft/new_view.rs",
        "if !proposed.map(|ballot| (ballot.sequence, ballot.digest)).eq(plan.digests.iter().copied()) {",
        "if proposed.count() > usize::MAX - 1 {",
    ),
    broken(
        "doubled_signers",
        "5.3: distinct signers in a NEW-VIEW",
        "pbft/new_view.rs",
        "if signers.len() != body.view_changes.len() {",
        "if signers.is_empty() {",
    ),
    broken(
        "early_new_view",
        "3.4: a NEW-VIEW is durable before it leaves",
        "pbft/catch_up.rs",
        "            if opening.is_durable {\n",
        "            if opening.is_durable || true {\n",
    ),
    broken(
        "early_commit",
        "3.4: the prepared certificate is durable before the COMMIT counts",
        "pbft/normal.rs",
        "                self.slot(sequence).prepared = Some(certificate.clone());\n",
        "                self.slot(sequence).prepared = Some(certificate.clone());\n                \
         out.push(Output::Broadcast(Message::Commit(commit.clone())));\n",
    ),
    broken(
        "early_checkpoint",
        "7.2: the floor is recorded before the CHECKPOINT leaves",
        "pbft/checkpoint.rs",
        "Ok(signed) if covered => {",
        "Ok(signed) if covered || height > Height::ZERO => {",
    ),
    broken(
        "votes_of_left_views",
        "3.5: COMMITs of different views never mix",
        "pbft/normal.rs",
        "if ballot.view != self.state.view || !self.in_window(ballot.sequence) {\n            return;\n        }\n        let slot",
        "if !self.in_window(ballot.sequence) {\n            return;\n        }\n        let slot",
    ),
    broken(
        "primary_prepares",
        "3.5: a PREPARE from the primary does not count",
        "pbft/normal.rs",
        "        if index == self.primary() {",
        "        if index == self.primary() && self.state.halted.is_some() {",
    ),
    broken(
        "nobody_joins",
        "5.7: f + 1 VIEW-CHANGEs above mine are joined",
        "pbft/view_change.rs",
        "if let Some(view) = above.get(self.config.validators.weak_quorum() - 1) {",
        "if let Some(view) = above.get(self.config.validators.n()) {",
    ),
    broken(
        "one_moves_all",
        "5.7: no jump on the word of fewer",
        "pbft/view_change.rs",
        "if let Some(view) = above.get(self.config.validators.weak_quorum() - 1) {",
        "if let Some(view) = above.first() {",
    ),
    broken(
        "no_view_timer",
        "5.6: a primary without progress is accused",
        "pbft/view_change.rs",
        "self.is_pending() && !self.is_far_behind()",
        "self.is_pending() && self.is_far_behind()",
    ),
    broken(
        "no_new_view_timer",
        "5.7: the wait for a NEW-VIEW ends",
        "pbft/view_change.rs",
        "self.view_changes_from(self.state.view) >= self.config.validators.quorum()",
        "self.view_changes_from(self.state.view) > self.config.validators.n()",
    ),
    broken(
        "new_view_not_relayed",
        "4.1: a returning node enters a view by a relayed NEW-VIEW",
        "pbft/catch_up.rs",
        "        self.answer_view(index, &status, out);\n",
        "",
    ),
    broken(
        "contents_not_fetched",
        "5.4: batches of O are fetched by their digests",
        "pbft/new_view.rs",
        "out.extend(asks.into_iter().map(|(to, wanted)| Output::FetchContents { to, wanted }));",
        "let _ = (asks, out);",
    ),
    broken(
        "dead_views_keep_their_transactions",
        "5.5: transactions of a dead view return to the pool",
        "replica/views.rs",
        "self.pool.unmark(now, sequence);",
        "let _ = (now, sequence);",
    ),
    broken(
        "null_is_refused",
        "1.2: null is legal in O",
        "pbft/normal.rs",
        "(None, Some(Content::Null)) if is_again => Verdict::Held,",
        "(None, Some(Content::Null)) if is_again => Verdict::Refused(\"null\".to_owned()),",
    ),
    broken(
        "mixed_certificates",
        "4.2: q COMMITs of one ballot",
        "pbft/message/proof.rs",
        "if commit.body.0 != ballot {",
        "if commit.body.0.sequence != ballot.sequence {",
    ),
    broken(
        "executed_again",
        "EO: an executed id is remembered",
        "ledger.rs",
        "self.executed.contains",
        "!self.executed.contains",
    ),
    broken(
        "pools_not_repaired",
        "4.6: what a correct node has admitted does not stay unknown",
        "replica/fetch.rs",
        "for (to, message) in self.repair.due(now, &self.pool, self.engine.primary()) {",
        "for (to, message) in self.repair.due(now, &self.pool, self.engine.primary()).into_iter().take(0) {",
    ),
    broken(
        "no_status",
        "4.1: STATUS goes out",
        "pbft/catch_up.rs",
        "        out.push(Output::Broadcast(Message::Status(self.safety.sign_status(self.own_status()))));\n",
        "",
    ),
];

fn source(broken: &Break) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(broken.file)
}

#[test]
fn every_break_fits_the_source_once() {
    for broken in BREAKS {
        let text = fs::read_to_string(source(broken)).expect("the file is there");
        assert_eq!(text.matches(broken.from).count(), 1, "{}: {:?} in {}", broken.name, broken.from, broken.file);
    }
}

/// A copy of what the protocol's tests need, in a folder that goes away.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn new() -> Copy {
        let root = std::env::temp_dir().join(format!("quorate-broken-engines-{}", std::process::id()));
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        fs::create_dir_all(root.join("target")).expect("a temporary folder");
        for entry in fs::read_dir(from).expect("the workspace can be read").flatten() {
            let name = entry.file_name();
            let is_part = ["target", ".git", ".testnet"].iter().all(|other| name != *other);
            if is_part {
                copy(&entry.path(), &root.join(name));
            }
        }
        Copy { root }
    }

    /// Runs the simulator on the broken source; tells what came of it.
    fn try_break(&self, broken: &Break, seeds: &str) -> String {
        let file = self.root.join("protocol/src").join(broken.file);
        let sound = fs::read_to_string(&file).expect("the copy can be read");
        fs::write(&file, sound.replacen(broken.from, broken.to, 1)).expect("the copy can be written");
        let output = Command::new(env!("CARGO"))
            .args([
                "test",
                "--release",
                "--locked",
                "-p",
                "quorate-protocol",
                "--features",
                "sim",
                "--test",
                "simulation",
            ])
            .args(["a_thousand", "--", "--nocapture"])
            .env("QUORATE_SEEDS", seeds)
            .env("RUSTFLAGS", "--cap-lints=allow")
            .current_dir(&self.root)
            .output()
            .expect("cargo runs");
        fs::write(&file, sound).expect("the copy can be written");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).map(ToOwned::to_owned);
        let caught = text.lines().filter(|line| line.starts_with("seed ")).count();
        match line("seed ") {
            Some(first) => format!("caught by {caught} or more: {}", first.chars().take(110).collect::<String>()),
            None => line("error").map_or("SURVIVED".to_owned(), |error| format!("does not build: {error}")),
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // A temporary folder that stays is no reason to fail.
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("it can be read").flatten() {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("it can be copied");
    }
}

#[test]
#[ignore = "builds an engine for each break; run it by hand"]
fn every_broken_engine_is_caught() {
    let seeds = std::env::var("QUORATE_SEEDS").unwrap_or_else(|_| "0..200".to_owned());
    let only = std::env::var("QUORATE_BROKEN").unwrap_or_default();
    let chosen = BREAKS.iter().filter(|broken| only.is_empty() || only.split(',').any(|name| name == broken.name));
    let copy = Copy::new();
    let mut survivors = Vec::new();
    for broken in chosen {
        let outcome = copy.try_break(broken, &seeds);
        println!("{:36} {:64} {outcome}", broken.name, broken.rule);
        if !outcome.starts_with("caught") {
            survivors.push(broken.name);
        }
    }
    assert!(survivors.is_empty(), "not caught by seeds {seeds}: {survivors:?}");
}
