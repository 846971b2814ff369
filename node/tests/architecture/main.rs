//! Holds the shape of the workspace: which crate may use which, what never gets linked where, and that the files of a
//! crate import each other in one direction only.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use imports::Crate;

/// For each crate of the workspace, the crates of the workspace that it may use.
const ALLOWED: [(&str, &[&str]); 6] = [
    ("quorate-crypto", &[]),
    ("quorate-protocol", &["quorate-crypto"]),
    ("quorate-storage", &["quorate-crypto", "quorate-protocol"]),
    ("quorate-cli", &["quorate-crypto", "quorate-protocol"]),
    ("quorate-node", &["quorate-crypto", "quorate-protocol", "quorate-storage"]),
    ("quorate-testnet", &["quorate-crypto", "quorate-protocol", "quorate-storage", "quorate-cli", "quorate-node"]),
];

/// Async runtimes; the deterministic core links none, under any name.
const RUNTIMES: [&str; 5] = ["tokio", "async-std", "smol", "async-executor", "futures-executor"];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .other_options(vec!["--locked".to_string(), "--offline".to_string()])
        .exec()
        .expect("`cargo metadata` answers in a checked-out workspace")
}

/// The names of all packages that `name` links: its normal dependencies and theirs.
fn linked(metadata: &Metadata, name: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("metadata with dependencies");
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name);
    let mut waiting = vec![&start.expect("a crate of the workspace").id];
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let is_linked =
            |kinds: &[cargo_metadata::DepKindInfo]| kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
        waiting.extend(nodes[id].deps.iter().filter(|dep| is_linked(&dep.dep_kinds)).map(|dep| &dep.pkg));
    }
    seen.into_iter().map(|id| metadata[id].name.to_string()).collect()
}

#[test]
fn crates_use_only_what_stands_above_them() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let ours: BTreeSet<&str> = allowed.keys().copied().collect();
    let packages = metadata.workspace_packages();
    let found: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(found, ours, "the table of crates and the workspace differ");
    for package in packages {
        for dependency in &package.dependencies {
            let used = dependency.name.as_str();
            let is_edge = ours.contains(used) && used != package.name.as_str();
            assert!(
                !is_edge || allowed[package.name.as_str()].contains(&used),
                "{} must not use {used} ({:?} dependency)",
                package.name,
                dependency.kind
            );
        }
    }
}

#[test]
fn cli_links_neither_database_nor_network_nor_runtime() {
    let linked = linked(&metadata(), "quorate-cli");
    assert!(linked.contains("quorate-protocol"), "the walk must reach what the cli uses");
    for unwanted in ["rocksdb", "librocksdb-sys", "libp2p", "tokio"] {
        assert!(!linked.contains(unwanted), "quorate-cli links {unwanted}");
    }
}

#[test]
fn protocol_links_no_async_runtime() {
    let linked = linked(&metadata(), "quorate-protocol");
    assert!(linked.contains("borsh"), "the walk must reach what the protocol uses");
    for unwanted in RUNTIMES {
        assert!(!linked.contains(unwanted), "quorate-protocol links {unwanted}");
    }
}

#[test]
fn node_does_not_ask_for_the_simulator() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let node = packages.iter().find(|package| package.name.as_str() == "quorate-node").expect("the node's crate");
    let protocol = node.dependencies.iter().find(|dependency| dependency.name == "quorate-protocol");
    assert_eq!(protocol.expect("the node uses the protocol").features, Vec::<String>::new());
}

#[test]
fn node_binary_holds_no_simulator() {
    let binary = fs::read(env!("CARGO_BIN_EXE_quorate-node")).expect("the node's binary was built for this test");
    let holds = |symbol: &str| binary.windows(symbol.len()).any(|window| window == symbol.as_bytes());
    // Mangled paths: the length of a segment stands before it.
    assert!(holds("quorate_protocol7replica"), "the binary has no symbols to look at");
    assert!(!holds("quorate_protocol3sim"), "the simulator got linked into the node");
}

#[test]
fn files_of_a_crate_have_no_import_cycles() {
    let metadata = metadata();
    let mut cycles = Vec::new();
    for package in metadata.workspace_packages() {
        let source = package.manifest_path.parent().expect("a manifest stands in a folder").join("src");
        let mut files = Crate::default();
        let count = add_folder(&mut files, source.as_std_path(), "");
        assert!(count > 0, "{} has no source", package.name);
        cycles.extend(files.cycles().iter().map(|cycle| format!("{}: {}", package.name, cycle.join(" -> "))));
    }
    assert!(cycles.is_empty(), "files that import each other:\n{}", cycles.join("\n"));
}

/// Adds all files below `folder` and returns how many there were.
fn add_folder(files: &mut Crate, folder: &Path, prefix: &str) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder of source") {
        let entry = entry.expect("an entry of a folder");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            count += add_folder(files, &entry.path(), &format!("{name}/"));
        } else if name.ends_with(".rs") {
            files.add(&name, &fs::read_to_string(entry.path()).expect("source is text"));
            count += 1;
        }
    }
    count
}

/// A made-up crate of the files given.
fn made_up(files: &[(&str, &str)]) -> Crate {
    let mut made = Crate::default();
    for (name, source) in files {
        made.add(name, source);
    }
    made
}

#[test]
fn cycle_over_three_files_is_found_and_named() {
    let made = made_up(&[
        ("lib.rs", "pub mod a; pub mod b; pub mod c;"),
        ("a.rs", "use crate::{b::B, std_like::Thing}; pub struct A;"),
        ("b.rs", "pub struct B; fn f() { let _ = crate::c::make::<u8>(); }"),
        ("c.rs", "use super::a::A; pub fn make() -> A { A }"),
    ]);
    assert_eq!(made.cycles(), [["a.rs", "b.rs", "c.rs", "a.rs"]]);
}

#[test]
fn cycle_through_a_reexport_is_found() {
    let made = made_up(&[
        ("lib.rs", "mod room; mod other;"),
        ("room/mod.rs", "mod inner; pub use inner::Inner as Shown;"),
        ("room/inner.rs", "use crate::other::Other; pub struct Inner;"),
        ("other.rs", "use crate::room::Shown; pub struct Other;"),
    ]);
    assert_eq!(made.cycles(), [["other.rs", "room/inner.rs", "other.rs"]]);
}

#[test]
fn parent_with_code_and_its_child_are_a_cycle() {
    let made = made_up(&[
        ("lib.rs", "mod room;"),
        ("room/mod.rs", "#[cfg(test)]\nmod tests;\nmod inner; use inner::Inner; pub struct Parent(Inner);"),
        ("room/tests.rs", "use super::inner::Inner; use crate::room::Parent;"),
        ("room/inner.rs", "use super::Parent; pub struct Inner(Box<Parent>);"),
    ]);
    assert_eq!(made.cycles().len(), 1);
}

#[test]
fn tables_of_contents_comments_strings_and_tests_are_no_imports() {
    let made = made_up(&[
        ("lib.rs", "//! Words.\npub mod a; pub mod b;\npub use a::A; pub use b::*;"),
        (
            "a.rs",
            "use crate::b::B; // not use crate::a\npub struct A(B); const S: &str = \"crate::a::A\"; const C: char = '\"';",
        ),
        (
            "b.rs",
            "/* use crate::a::A; */ pub struct B; impl<'a> T<'a> for B {} const R: &str = r#\"crate::a::A\"#;\n#[cfg(test)]\nmod tests { use crate::a::A; }",
        ),
    ]);
    assert_eq!(made.cycles(), Vec::<Vec<String>>::new());
}
