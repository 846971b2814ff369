//! Files: of a node, of the command `quorate`, of a testnet. What is taken by its path lies in a folder below `TMPDIR`.
#![no_main]

use std::env;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate_cli::client::access::Access;
use quorate_cli::client::journal::Journal;
use quorate_cli::client::outbox::Outbox;
use quorate_cli::exit::Failure;
use quorate_cli::manifest::{MANIFEST_NAME, Manifest};
use quorate_cli::{genesis, key_file};
use quorate_crypto::{SecretKey, keystore, sha256};
use quorate_node::config::{ApiTls, ConfigError, KeyFile, KeyKind, NodeConfig};
use quorate_node::home::read_genesis;
use quorate_node::http::{Access as NodeAccess, Tls};
use quorate_protocol::document::Transaction;
use quorate_protocol::id::TransactionId;
use quorate_testnet::record::Record;
use quorate_testnet::settings::Settings;

/// The longest message about a file, in bytes.
const MESSAGE_BYTES_MAX: usize = 2_000;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = env::temp_dir().join(format!("quorate-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for files");
    folder
});

/// The transaction whose outbox entry the seeds hold.
static ID: LazyLock<TransactionId> = LazyLock::new(|| {
    let sender = SecretKey::from_seed([5; 32]).public_key();
    let (chain_id, operations, memo) = (sha256(b"a chain"), Default::default(), Default::default());
    Transaction { chain_id, sender, valid_until: 1_000, salt: 1, operations, memo }.id()
});

fn put(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.join(name);
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    opened.and_then(|mut file| file.write_all(bytes)).expect("a file");
    path
}

fn refused(read: Result<(), Failure>) {
    if let Err(Failure { message, hint, .. }) = read {
        assert!(!message.is_empty() && !hint.is_empty() && message.len() <= MESSAGE_BYTES_MAX, "{message}");
    }
}

fn told<T>(read: Result<T, ConfigError>) -> Option<T> {
    read.map_err(|error| assert!(!error.remedy.is_empty() && error.to_string().len() <= MESSAGE_BYTES_MAX, "{error}"))
        .ok()
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        texts(text);
    }
    if let Ok(public_key) = keystore::public_key(bytes) {
        // Opening it costs what it asks for, far too much here.
        assert!(keystore::is_sealed(bytes) && bytes.len() == keystore::SEALED_BYTES, "{public_key}");
    }
    command(bytes);
    let file = put("file", bytes);
    let _ = read_genesis(&file).map_err(|error| assert!(!error.to_string().is_empty()));
    let _ = (Settings::load(&file), Record::load(&file));
    node(&file);
});

fn texts(text: &str) {
    let file = Path::new("node.toml");
    if let Some(config) = told(NodeConfig::parse(file, text)) {
        assert_eq!(NodeConfig::parse(file, &config.to_toml()).as_ref(), Ok(&config));
    }
    told(KeyFile::parse(file, text, KeyKind::Consensus));
}

fn command(bytes: &[u8]) {
    let chain = sha256(b"a chain");
    let file = put("key.json", bytes);
    refused(key_file::read(&file).map(drop));
    refused(key_file::public_key(&file).map(drop));
    refused(genesis::load(&file).map(drop));
    refused(Access::load(Some(&file), None).map(drop));
    refused(Access::load(None, Some(&file)).map(drop));
    put(MANIFEST_NAME, bytes);
    refused(Manifest::load(&FOLDER).map(drop));
    let outbox = Outbox::new(FOLDER.join("outbox"));
    fs::create_dir_all(FOLDER.join("outbox")).expect("a folder");
    put(&format!("outbox/{}.json", *ID), bytes);
    refused(outbox.find(&ID).map(drop));
    refused(outbox.list().map(drop));
    let journal = put("pay.journal", bytes);
    let opened = Journal::open(&journal, chain);
    let is_open = opened.is_ok();
    refused(opened.map(drop));
    // Reading cuts off what was not whole, so that it is whole now.
    assert!(!is_open || Journal::open(&journal, chain).is_ok(), "a journal is read once only");
}

fn node(file: &Path) {
    fs::set_permissions(file, Permissions::from_mode(0o600)).expect("our own file");
    let tls = ApiTls { cert_file: "file".into(), key_file: "file".into() };
    let config = NodeConfig { api_token_file: Some("file".into()), api_tls: Some(tls), ..NodeConfig::default() };
    told(NodeAccess::load(&config, Path::new("node.toml"), &FOLDER));
    told(Tls::load(&config, &FOLDER));
}
