//! Help, its examples, the completions, and the page that is made of the help.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::{CommandFactory, Parser};
use quorate_testnet::arguments::Arguments;

use common::{program, run};

/// What stands before the commands.
const HEAD: &str = "# The testnet's command line

`quorate-testnet` runs many nodes on one machine, breaks them on purpose, measures them, and runs the simulator; `quorate testnet …`
is the same. This page is made of its `--help`; a test keeps the two alike, and
`QUORATE_BLESS=1 cargo test --release --workspace --locked --test help` writes it anew.

stdout is data, stderr is talk; `--output json` prints the same envelope as `quorate` does, and the exit codes are those of
`quorate`: [README.md](README.md). What the faults do exactly: [../faults.md](../faults.md).
";

/// The commands by name, hidden ones left out.
fn commands() -> Vec<clap::Command> {
    let mut root = Arguments::command();
    root.build();
    root.get_subcommands().filter(|command| command.get_name() != "help").cloned().collect()
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    let mut root = Arguments::command().disable_help_subcommand(true);
    text += &format!("\n## quorate-testnet\n\n```text\n{}```\n", root.render_long_help());
    for command in commands() {
        let name = format!("quorate-testnet {}", command.get_name());
        let hidden = command.mut_args(|argument| if argument.is_global_set() { argument.hide(true) } else { argument });
        let help = hidden.bin_name(&name).render_long_help().to_string();
        text += &format!("\n## {name}\n\n```text\n{}\n```\n", help.trim_end());
    }
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_document_is_what_help_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli/testnet.md");
    let made = document();
    if std::env::var_os("QUORATE_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    for (number, (kept, made)) in kept.lines().zip(made.lines()).enumerate() {
        assert_eq!(kept, made, "line {} of docs/cli/testnet.md; QUORATE_BLESS=1 writes it anew", number + 1);
    }
    assert_eq!(kept.lines().count(), made.lines().count(), "QUORATE_BLESS=1 writes docs/cli/testnet.md anew");
}

/// The words of an example as a shell would split them; what follows a wide gap is an explanation.
fn words(example: &str) -> Vec<String> {
    let typed = example.split("    ").next().unwrap_or_default();
    let words = typed.split_whitespace().take_while(|word| !matches!(*word, "<" | ">"));
    words.map(|word| word.trim_matches('"').to_owned()).collect()
}

#[test]
fn every_command_has_examples_and_each_is_understood() {
    for command in commands() {
        let name = command.get_name();
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = after.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
        let examples: Vec<&str> = examples.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(examples.iter().any(|example| example.starts_with(&format!("quorate-testnet {name}"))), "{name}");
        for example in examples {
            let parsed = Arguments::try_parse_from(words(example));
            assert!(parsed.is_ok(), "{name}: {example}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn every_shell_gets_completions_for_every_command() {
    let completions = |shell: &str| run(Command::new(program("quorate-testnet")).args(["completions", shell]));
    for shell in ["bash", "zsh", "fish"] {
        let done = completions(shell).ok();
        for command in commands() {
            assert!(done.out.contains(command.get_name()), "{shell}: {}", command.get_name());
        }
        assert!(done.out.contains("scenario") && done.err.is_empty(), "{shell}");
    }
    assert_eq!(completions("tcsh").code, Some(2));
}
