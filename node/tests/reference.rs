//! The references of `quorate-node` and of `node.toml`: made of the program, and held against it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use quorate_node::command::command_line;
use quorate_node::config::{ApiTls, NodeConfig, Peer};
use quorate_node::telemetry::LogConfig;

/// What stands before the commands.
const COMMANDS_HEAD: &str = "# The node's command line

`quorate-node` makes and runs one node; `quorate node …` is the same. This page is made of its `--help`; a test keeps the two
alike, and `QUORATE_BLESS=1 cargo test --release --workspace --locked --test reference` writes it anew.

stdout is data, one JSON object a line: `{\"event\": \"keys\", …}` or `{\"event\": \"initialized\", …}` from `init`, and from `run` the
one line `{\"event\": \"listening\", \"api\": \"ADDRESS:PORT\", \"p2p\": \"MULTIADDRESS\"}` once the node serves. stderr is talk: the log, and at
its end, where something went wrong, what it was and a line that begins with `hint:`.

| exit code | meaning |
|---|---|
| 0 | it was done, or told to stop |
| 1 | a fault of this program or of this machine |
| 2 | the command line was not understood |
| 10 | a configuration, genesis or key file is bad |

What stands in `node.toml`: [../node-toml.md](../node-toml.md).
";

/// What stands before the keys.
const KEYS_HEAD: &str = "# node.toml

Where a node listens, where its peers are, and its local bounds. `quorate-node init` writes it into the node's home; it is read at
the start. A key that is missing has its default; one that is unknown, or has a value out of its bound, is refused with its
line, exit code 10. The file has 64 KiB at most. Nothing here changes what the chain decides: that is the genesis' affair.

This page is made by `node/tests/reference.rs`, which tries each default and each bound on the program;
`QUORATE_BLESS=1 cargo test --release --workspace --locked --test reference` writes it anew.

| key | type | default | unit | bound | what it is |
|---|---|---|---|---|---|
";

const KEYS_TAIL: &str = "
An example:

```toml
api = \"0.0.0.0:8080\"
api_token_file = \"token\"
p2p = \"192.0.2.10:7000\"

[[peers]]
index = 1
address = \"/ip4/192.0.2.11/tcp/7000\"

[limits]
event_streams_max = 64

[log]
format = \"json\"

[api_tls]
cert_file = \"api.pem\"
key_file = \"api-key.pem\"
```
";

/// One key of `node.toml`.
struct Key {
    name: &'static str,
    kind: &'static str,
    /// As it would be written; empty where a key that is missing means that there is none.
    default: &'static str,
    unit: &'static str,
    /// The least and the most, as they would be written. Both are taken, and what lies beyond is refused.
    bound: Option<(i64, i64)>,
    about: &'static str,
}

const fn key(name: &'static str, kind: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, kind, default, unit: "", bound: None, about }
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

const KEYS: &[Key] = &[
    key("api", "address:port", "\"127.0.0.1:0\"", "where the HTTP API listens; port 0 takes a free one"),
    key("p2p", "address:port", "\"127.0.0.1:0\"", "where other validators connect; port 0 takes a free one"),
    key(
        "api_token_file",
        "path",
        "",
        "a file with the token that clients of the API must show; only its owner may read it; a relative path is below the home",
    ),
    key("api_public", "boolean", "false", "lets the API listen beyond this machine without a token"),
    Key {
        unit: "ms",
        bound: Some((-DAY_MS, DAY_MS)),
        ..key(
            "clock_offset",
            "integer",
            "0",
            "is added to the wall clock: a clock that is wrong on purpose, for experiments; `/v1/status` shows it",
        )
    },
    key("peers", "list of tables", "[]", "where the other validators are; 30 at most, one for each index"),
    Key { bound: Some((0, 255)), ..key("peers.index", "integer", "", "the validator's place in the genesis") },
    key("peers.address", "multiaddress", "", "where it is, such as `/ip4/192.0.2.7/tcp/7000`"),
    Key {
        unit: "threads",
        bound: Some((0, 256)),
        ..key("limits.verify_threads", "integer", "0", "verify transactions; 0 takes one per core")
    },
    Key {
        unit: "transactions",
        bound: Some((1, 1_000_000)),
        ..key(
            "limits.waiters_max",
            "integer",
            "100000",
            "of clients, that may wait for an answer at once; more get 503",
        )
    },
    Key {
        unit: "connections",
        bound: Some((8, 4_096)),
        ..key(
            "limits.connections_max",
            "integer",
            "4096",
            "to the HTTP API, open at once; at most half of the files that the process may open",
        )
    },
    Key {
        unit: "ms",
        bound: Some((1, 600_000)),
        ..key(
            "limits.request_timeout_ms",
            "integer",
            "20000",
            "that a request's head may take, and its body as many again",
        )
    },
    Key {
        unit: "requests",
        bound: Some((1, 1_000_000)),
        ..key("limits.requests_max", "integer", "2000", "HTTP, in work at once, waiting ones included; more get 503")
    },
    Key {
        unit: "streams",
        bound: Some((1, 2_048)),
        ..key("limits.event_streams_max", "integer", "256", "of events, open at once; more get 503")
    },
    key("log.format", "`text` or `json`", "\"text\"", "how lines are written; `--log-format` wins"),
    key(
        "log.level",
        "string",
        "",
        "a level (error, warn, info, debug, trace), or target=level, separated by commas; `--log` wins, then `RUST_LOG`",
    ),
    key("api_tls.cert_file", "path", "", "PEM: the API's certificate and those between it and its root, in this order"),
    key("api_tls.key_file", "path", "", "PEM: its private key; only its owner may read it"),
];

fn commands_page() -> String {
    let mut root = command_line();
    root.build();
    let named: Vec<clap::Command> =
        root.get_subcommands().filter(|command| command.get_name() != "help").cloned().collect();
    let mut text = COMMANDS_HEAD.to_owned();
    let mut alone = command_line().disable_help_subcommand(true);
    text += &format!("\n## quorate-node\n\n```text\n{}```\n", alone.render_long_help());
    for command in named {
        let name = format!("quorate-node {}", command.get_name());
        let help = command.bin_name(&name).render_long_help().to_string();
        text += &format!("\n## {name}\n\n```text\n{}\n```\n", help.trim_end());
    }
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn keys_page() -> String {
    let row = |key: &Key| {
        let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { format!("`{text}`") };
        let bound = key.bound.map_or_else(String::new, |(least, most)| format!("{least} to {most}"));
        format!(
            "| `{}` | {} | {} | {} | {bound} | {} |\n",
            key.name,
            key.kind,
            or_none(key.default),
            key.unit,
            key.about
        )
    };
    KEYS_HEAD.to_owned() + &KEYS.iter().map(row).collect::<String>() + KEYS_TAIL
}

/// Compares a page with its file, or writes it anew.
fn must_be_kept(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("QUORATE_BLESS").is_some() {
        fs::write(&path, made).expect("written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    for (number, (kept, made)) in kept.lines().zip(made.lines()).enumerate() {
        assert_eq!(kept, made, "line {} of docs/{name}; QUORATE_BLESS=1 writes it anew", number + 1);
    }
    assert_eq!(kept.lines().count(), made.lines().count(), "QUORATE_BLESS=1 writes docs/{name} anew");
}

#[test]
fn the_pages_are_what_the_program_says() {
    must_be_kept("cli/node.md", &commands_page());
    must_be_kept("node-toml.md", &keys_page());
}

#[test]
fn every_command_has_examples_and_each_is_understood() {
    let root = command_line();
    for command in root.get_subcommands() {
        let name = command.get_name();
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = after.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
        let examples: Vec<&str> = examples.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let words = example.split_whitespace().take_while(|word| *word != ">");
            assert!(command_line().try_get_matches_from(words).is_ok(), "{name}: {example}");
        }
    }
}

/// Everything that can be set, set.
fn full() -> NodeConfig {
    NodeConfig {
        clock_offset: 1,
        api_token_file: Some("token".into()),
        api_public: true,
        peers: vec![Peer { index: 1, address: "/ip4/192.0.2.7/tcp/7000".to_owned() }],
        log: LogConfig { level: Some("debug".to_owned()), ..LogConfig::default() },
        api_tls: Some(ApiTls { cert_file: "api.pem".into(), key_file: "key.pem".into() }),
        ..NodeConfig::default()
    }
}

/// The names of all keys, those of tables and lists of tables with theirs before a dot.
fn names(table: &toml::Table, before: &str, into: &mut BTreeSet<String>) {
    for (name, value) in table {
        let name = format!("{before}{name}");
        let rows: Vec<&toml::Table> = match value {
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(rows) => rows.iter().filter_map(toml::Value::as_table).collect(),
            _ => Vec::new(),
        };
        rows.iter().for_each(|row| names(row, &format!("{name}."), into));
        if !value.is_table() {
            into.insert(name);
        }
    }
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let mut known = BTreeSet::new();
    names(&full().to_toml().parse().expect("a table"), "", &mut known);
    let listed: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(listed, known);
    assert_eq!(listed.len(), KEYS.len(), "no key stands twice");
}

/// What is read from a `node.toml` with these lines.
fn read(text: &str) -> Result<NodeConfig, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file: PathBuf = folder.path().join("node.toml");
    fs::write(&file, text).expect("written");
    NodeConfig::load(&file).map_err(|error| error.to_string())
}

/// The lines that set one key.
fn set(key: &Key, value: &str) -> String {
    match key.name.split_once('.') {
        Some(("peers", "index")) => format!("[[peers]]\naddress = \"/ip4/192.0.2.7/tcp/7000\"\nindex = {value}\n"),
        Some((table, name)) => format!("[{table}]\n{name} = {value}\n"),
        None => format!("{} = {value}\n", key.name),
    }
}

#[test]
fn defaults_are_what_a_key_that_is_missing_means() {
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        assert_eq!(read(&set(key, key.default)), Ok(NodeConfig::default()), "{} = {}", key.name, key.default);
    }
    let NodeConfig { api_token_file, log, api_tls, .. } = NodeConfig::default();
    assert_eq!((api_token_file, log.level, api_tls), (None, None, None), "the keys without a default");
}

#[test]
fn bounds_are_taken_and_what_lies_beyond_is_refused() {
    for key in KEYS {
        let Some((least, most)) = key.bound else { continue };
        for good in [least, most] {
            assert!(read(&set(key, &good.to_string())).is_ok(), "{} = {good}", key.name);
        }
        for bad in [least - 1, most + 1] {
            let refused = read(&set(key, &bad.to_string())).expect_err(key.name);
            assert!(refused.contains("node.toml"), "{refused}");
        }
    }
    let peer = |index: usize| format!("[[peers]]\nindex = {index}\naddress = \"/ip4/192.0.2.7/tcp/7000\"\n");
    assert!(read(&(0..30).map(peer).collect::<String>()).is_ok());
    assert!(read(&(0..31).map(peer).collect::<String>()).is_err(), "30 peers at most");
    assert!(read("[log]\nformat = \"yaml\"\n").is_err());
    let example = KEYS_TAIL.split("```toml\n").nth(1).and_then(|text| text.split("```").next()).expect("an example");
    assert!(read(example).is_ok(), "the example is read");
}

fn node(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate-node")).args(arguments).output().expect("the program runs")
}

#[test]
fn every_error_ends_with_a_hint() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = folder.path().join("nowhere");
    let nowhere = nowhere.to_str().expect("text");
    fs::write(folder.path().join("bad.json"), "{").expect("written");
    let bad = folder.path().join("bad.json");
    let bad = bad.to_str().expect("text");
    for (arguments, exit) in [
        (&["run", "--home", nowhere][..], 10),
        (&["init", "--home", nowhere, "--genesis", bad], 10),
        (&["init", "--home", "/proc/nowhere"], 10),
        (&["run", "--home", nowhere, "--log", "=,="], 10),
        (&["init", "--home", nowhere, "--consensus-seed-file", bad, "--network-seed-file", bad], 10),
        (&["run"], 2),
        (&["walk"], 2),
        (&["init", "--home", nowhere, "--peer", "one"], 2),
        (&["completions", "tcsh"], 2),
        (&[], 2),
    ] {
        let output = node(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {told}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
        let last = told.lines().last().unwrap_or_default();
        assert!(last.starts_with("hint: ") && last.len() > 20, "{arguments:?}: {told}");
    }
}

#[test]
fn every_shell_gets_completions_for_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let done = node(&["completions", shell]);
        let script = String::from_utf8_lossy(&done.stdout);
        assert_eq!((done.status.code(), done.stderr.len()), (Some(0), 0), "{shell}");
        for word in ["init", "run", "completions", "genesis", "log-format"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
