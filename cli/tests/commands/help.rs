//! Help, its examples, and the document that is made of it.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory, Parser};
use quorate_cli::arguments::Arguments;
use quorate_cli::exit::Exit;

use crate::support::run;

/// What stands before the commands.
const HEAD: &str = "# The command line

`quorate` submits transactions, waits for their receipts, reads, and verifies offline. This page is made of its `--help`;
a test keeps the two alike, and `QUORATE_BLESS=1 cargo test --release -p quorate-cli` writes it anew.

stdout is data, stderr is talk. `--output json` prints one envelope, for errors too:
`{schema_version, success, data, errors: [{code, message, hint, retryable, outcome}], warnings}`; `jsonl` prints it on one
line. `batch` and `events` print one plain object a line with `jsonl`, and an envelope only for an error.
Nothing is ever asked where there is no terminal. Colours and moving lines appear on terminals only; `NO_COLOR` ends the
colours.
";

/// The commands that do something, by their full names.
fn leaves(command: &Command, name: &str) -> Vec<(String, Command)> {
    let children: Vec<&Command> = command.get_subcommands().filter(|child| child.get_name() != "help").collect();
    let own = (name.to_owned(), command.clone());
    let below = children.iter().flat_map(|child| leaves(child, &format!("{name} {}", child.get_name())));
    let runs_itself = children.is_empty() || !command.is_subcommand_required_set();
    runs_itself.then_some(own).into_iter().chain(below).collect()
}

fn commands() -> Vec<(String, Command)> {
    let mut command = Arguments::command();
    command.build();
    let others = ["quorate node", "quorate testnet", "quorate"];
    leaves(&command, "quorate").into_iter().filter(|(name, _)| !others.contains(&name.as_str())).collect()
}

fn document() -> String {
    let mut text = format!("{HEAD}\n| exit code | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        text += &format!("| {} | {} |\n", exit as u8, exit.meaning());
    }
    let mut root = Arguments::command().disable_help_subcommand(true);
    text += &format!("\n## quorate\n\n```text\n{}```\n", root.render_long_help());
    for (name, command) in commands() {
        let hidden = command.mut_args(|argument| if argument.is_global_set() { argument.hide(true) } else { argument });
        let help = hidden.bin_name(&name).render_long_help().to_string();
        text += &format!("\n## {name}\n\n```text\n{}\n```\n", help.trim_end());
    }
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_document_is_what_help_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli/README.md");
    let made = document();
    if std::env::var_os("QUORATE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    for (number, (kept, made)) in kept.lines().zip(made.lines()).enumerate() {
        assert_eq!(kept, made, "line {} of docs/cli/README.md; QUORATE_BLESS=1 writes it anew", number + 1);
    }
    assert_eq!(kept.lines().count(), made.lines().count(), "QUORATE_BLESS=1 writes docs/cli/README.md anew");
}

#[test]
fn every_command_has_examples_and_each_is_understood() {
    for (name, command) in commands() {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = after.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
        let examples: Vec<&str> = examples.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let words = example.split_whitespace().take_while(|word| !matches!(*word, "<" | ">"));
            let hex = "0".repeat(64);
            let words = words.map(|word| if matches!(word, "ID" | "ADDRESS") { hex.as_str() } else { word });
            let parsed = Arguments::try_parse_from(words);
            assert!(parsed.is_ok(), "{name}: {example}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn every_shell_gets_completions_for_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let done = run(&["completions", shell]);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{shell}");
        for word in ["transfer", "events", "passphrase-file", "export"] {
            assert!(done.out.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).code, Some(2));
}
