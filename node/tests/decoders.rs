//! Whatever arrives at a decoder of the node, from a peer, a client or its own disk: it says yes or no, and yes only to
//! what is written again as it was read.

#[path = "../../crypto/tests/decoding/mod.rs"]
mod decoding;

use std::fmt::{Debug, Write as _};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use axum::extract::Query;
use axum::http::Uri;
use decoding::{
    Decoder, assert_no_length_is_believed, assert_whole_samples_only, canonical, changed, document, edits, endless,
    is_alone, read_by_all, refused, write_seeds,
};
use proptest::prelude::*;
use quorate_crypto::key::{PublicKey, SecretKey};
use quorate_crypto::{Signed, Verifier, encode, sha256};
use quorate_node::config::{ApiTls, ConfigError, KeyFile, KeyKind, Limits, NodeConfig, Peer};
use quorate_node::http::cursor::{self, List};
use quorate_node::http::{Access, Tls};
use quorate_node::network::frame::{Class, Decoder as Frames, FRAME_VERSION, Frame, FrameError, Kind};
use quorate_node::network::hello::{self, Expected, Hello, Role};
use quorate_node::telemetry::{LogConfig, LogFormat};
use quorate_protocol::api::http::{BlocksQuery, EventsQuery, Order, SubmitQuery, Wait};
use quorate_protocol::id::{Epoch, NodeIndex};
use quorate_protocol::limits::{FRAME_OVERHEAD_BYTES, VOTE_BYTES_LIMIT};
use serde::de::DeserializeOwned;

/// The longest message about a file, in bytes: it is for people.
const MESSAGE_BYTES_MAX: usize = 2_000;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

/// The frames of a stream that arrives in pieces of these sizes, in turn, until the bytes end or are none.
fn frames_in(bytes: &[u8], pieces: &[usize]) -> Result<Vec<(Kind, Vec<u8>)>, FrameError> {
    let (mut decoder, mut frames, mut rest) = (Frames::new(), Vec::new(), bytes);
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let space = decoder.space();
        let count = (*piece).clamp(1, space.len()).min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        decoder.filled(count);
        rest = &rest[count..];
        while let Some((kind, payload)) = decoder.next_frame()? {
            frames.push((kind, payload.to_vec()));
        }
    }
    Ok(frames)
}

/// A frame by the book: length, version, kind, payload.
fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32 + 2;
    [&length.to_le_bytes()[..], &[FRAME_VERSION, kind.byte()], payload].concat()
}

/// One whole frame and nothing else.
fn reads_frame(bytes: &[u8]) -> bool {
    match frames_in(bytes, &[usize::MAX]) {
        Ok(frames) => {
            let whole: Vec<u8> = frames.iter().flat_map(|(kind, payload)| framed(*kind, payload)).collect();
            assert!(bytes.starts_with(&whole), "another frame than was sent");
            frames.len() == 1 && whole.len() == bytes.len()
        }
        Err(error) => refused(&error),
    }
}

fn expected() -> Expected {
    Expected {
        chain_id: sha256(b"a chain"),
        index: NodeIndex(1),
        consensus_key: key(10).public_key(),
        from: key(11).public_key(),
        to: key(1).public_key(),
    }
}

fn good_hello() -> Hello {
    let Expected { chain_id, index, from, to, .. } = expected();
    Hello { chain_id, epoch: Epoch(0), role: Role::Validator, index, from, to }
}

/// Only the very bytes that the peer signed.
fn reads_hello(bytes: &[u8]) -> bool {
    match hello::check(bytes, &expected(), &mut Verifier::new([9; 32], 4)) {
        Ok(()) => {
            // What the hello says of the epoch is for information, and signed like the rest.
            assert_eq!(bytes, hello::sign(good_hello(), &key(10)), "a forged hello passes");
            true
        }
        Err(error) => refused(&error),
    }
}

fn wire() -> Vec<Decoder> {
    let (status, sync) = (encode(&(1u8, 2u32)), vec![7; 40_000]);
    let frame = |class, payload: &[u8]| Frame::from_payload(class, payload).unwrap().bytes().to_vec();
    let frames = vec![
        frame(Class::Status, &status),
        frame(Class::Sync, &sync),
        frame(Class::Prepare, &[]),
        framed(Kind::Ping, &[]),
        framed(Kind::Hello, &hello::sign(good_hello(), &key(10))),
    ];
    let signed = Signed::sign(good_hello(), &sha256(b"a chain"), &key(10));
    let observer = Signed::sign(Hello { role: Role::Observer, ..good_hello() }, &sha256(b"a chain"), &key(10));
    vec![
        document("a frame", reads_frame, frames).with_lengths(|_| vec![0]),
        canonical(vec![signed, observer]),
        document("a hello", reads_hello, vec![hello::sign(good_hello(), &key(10))]),
    ]
}

/// What a refused file is told with: which one, why, and what to do.
fn told(error: &ConfigError) -> bool {
    let text = error.to_string();
    assert!(!error.reason.is_empty() && !error.remedy.is_empty() && !error.what.is_empty(), "{text}");
    assert!(text.len() <= MESSAGE_BYTES_MAX, "a message of {} bytes: {text}", text.len());
    false
}

fn reads_config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match NodeConfig::parse(Path::new("node.toml"), text) {
        Ok(config) => {
            assert_eq!(NodeConfig::parse(Path::new("node.toml"), &config.to_toml()).unwrap(), config);
            true
        }
        Err(error) => told(&error),
    }
}

fn configs() -> Vec<Vec<u8>> {
    let peer = |index| Peer { index, address: format!("/ip4/192.0.2.{index}/tcp/7000") };
    let config = NodeConfig {
        clock_offset: -500,
        api_token_file: Some("token".into()),
        api_public: true,
        peers: (0..3).map(peer).collect(),
        limits: Limits { verify_threads: 2, ..Limits::default() },
        log: LogConfig { format: LogFormat::Json, level: Some("debug".to_owned()) },
        api_tls: Some(ApiTls { cert_file: "api.pem".into(), key_file: "/keys/api.pem".into() }),
        ..NodeConfig::default()
    };
    vec![config.to_toml().into_bytes(), NodeConfig::default().to_toml().into_bytes(), Vec::new()]
}

fn reads_key_file(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match KeyFile::parse(Path::new("consensus.json"), text, KeyKind::Consensus) {
        Ok(key) => {
            let again = serde_json::to_string(&KeyFile::new(KeyKind::Consensus, &key, "")).unwrap();
            let again = KeyFile::parse(Path::new("consensus.json"), &again, KeyKind::Consensus).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            true
        }
        Err(error) => told(&error),
    }
}

fn key_file(key: &SecretKey) -> Vec<u8> {
    serde_json::to_vec(&KeyFile::new(KeyKind::Consensus, key, "signs votes")).unwrap()
}

fn reads_cursor(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let places = [List::BlocksNewest, List::BlocksOldest].map(|list| {
        let place = cursor::read(list, text);
        assert!(place.is_none_or(|place| cursor::write(list, place) == text), "two texts of one cursor");
        place
    });
    assert!(!places.iter().all(Option::is_some), "a cursor of two lists");
    places.iter().any(Option::is_some)
}

/// A query as a careful client writes it: every byte that could mean something is escaped.
fn escaped(pairs: &[(&str, Option<String>)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        text += if text.is_empty() { "" } else { "&" };
        text += &format!("{name}=");
        for byte in value.bytes() {
            match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' => text.push(byte as char),
                _ => write!(text, "%{byte:02X}").unwrap(),
            }
        }
    }
    text
}

fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap().as_str().expect("a word").to_owned()
}

fn submit_query(query: &SubmitQuery) -> String {
    let SubmitQuery { wait, timeout } = query;
    escaped(&[("wait", wait.as_ref().map(word)), ("timeout", timeout.map(|timeout| timeout.to_string()))])
}

fn blocks_query(query: &BlocksQuery) -> String {
    let BlocksQuery { cursor, limit, order } = query;
    let limit = limit.map(|limit| limit.to_string());
    escaped(&[("cursor", cursor.clone()), ("limit", limit), ("order", order.as_ref().map(word))])
}

fn events_query(query: &EventsQuery) -> String {
    let EventsQuery { after, account, kinds } = query;
    let account = account.as_ref().map(PublicKey::to_string);
    escaped(&[("after", after.clone()), ("account", account), ("kinds", kinds.clone())])
}

/// What the node makes of these bytes behind the `?` of an address; none where they cannot stand there.
fn queried<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let uri = Uri::try_from([b"/v1/anything?", bytes].concat()).ok()?;
    Query::<T>::try_from_uri(&uri).ok().map(|Query(query)| query)
}

fn reads_query<T: DeserializeOwned + PartialEq + Debug>(bytes: &[u8], write: fn(&T) -> String) -> bool {
    let Some(read) = queried::<T>(bytes) else { return false };
    let written = write(&read);
    assert_eq!(queried::<T>(written.as_bytes()).as_ref(), Some(&read), "{written}");
    true
}

fn http() -> Vec<Decoder> {
    let cursors = [(List::BlocksNewest, 258), (List::BlocksOldest, 0), (List::BlocksNewest, u64::MAX)];
    let cursors: Vec<String> = cursors.into_iter().map(|(list, place)| cursor::write(list, place)).collect();
    let submit = SubmitQuery { wait: Some(Wait::Committed), timeout: Some(10_000) };
    let blocks = BlocksQuery { cursor: Some(cursors[0].clone()), limit: Some(100), order: Some(Order::Oldest) };
    let account = Some(key(3).public_key());
    let events = EventsQuery { after: Some("17-3".to_owned()), account, kinds: Some("transaction,block".to_owned()) };
    let bytes = |text: String| vec![text.into_bytes(), Vec::new()];
    let reads_events: fn(&[u8]) -> bool = |bytes| reads_query(bytes, events_query);
    vec![
        document("a list's cursor", reads_cursor, cursors.into_iter().map(String::into_bytes).collect()),
        document("the query of a submission", |bytes| reads_query(bytes, submit_query), bytes(submit_query(&submit)))
            .open_ended(),
        document("the query of a list", |bytes| reads_query(bytes, blocks_query), bytes(blocks_query(&blocks)))
            .open_ended(),
        document("the query of events", reads_events, bytes(events_query(&events))).open_ended(),
    ]
}

fn files() -> Vec<Decoder> {
    vec![
        document("node.toml", reads_config, configs()).open_ended(),
        // White space behind the end is nothing.
        document("a key file", reads_key_file, vec![key_file(&key(7))]),
    ]
}

fn table() -> &'static [Decoder] {
    static TABLE: LazyLock<Vec<Decoder>> = LazyLock::new(|| [wire(), http(), files()].into_iter().flatten().collect());
    &TABLE
}

#[test]
fn whole_values_are_read_and_nothing_shorter_or_longer() {
    assert_whole_samples_only(table());
}

#[test]
fn a_length_that_is_a_lie_is_refused_and_reserves_no_memory() {
    if is_alone("a_length_that_is_a_lie_is_refused_and_reserves_no_memory") {
        assert_no_length_is_believed(table());
    }
}

#[test]
fn brackets_without_end_are_refused() {
    endless().iter().for_each(|bytes| read_by_all(table(), bytes));
}

/// A secret that a damaged file holds must not stand in the message about it, wherever in the file it has got.
#[test]
fn no_message_quotes_a_secret() {
    let secret = hex::encode(*key(7).seed());
    let text = String::from_utf8(key_file(&key(7))).unwrap();
    let quoted = format!("\"{secret}\"");
    for damaged in [
        text.replace(&secret, &format!("{secret}0")),
        text.replace("\"secret\"", &quoted),
        text.replace("\"consensus\"", &quoted),
        text.replace("\"version\":1", &format!("\"version\":{quoted}")),
        text.replace(&key(7).public_key().to_string(), &format!("{secret}0")),
        format!("{quoted}{text}"),
    ] {
        assert_ne!(damaged, text);
        let error = KeyFile::parse(Path::new("consensus.json"), &damaged, KeyKind::Consensus).unwrap_err();
        assert!(!error.to_string().contains(&secret[..16]), "{error}");
    }
}

/// A fuzzer's: a key whose lines have run together was quoted whole, as numbers.
#[test]
fn no_message_quotes_the_key_of_a_certificate() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = made.key_pair.serialize_pem();
    let line: String = key.lines().collect();
    let secret = &key.lines().nth(1).unwrap()[..16];
    let numbers = format!("{:?}", secret.as_bytes());
    for damaged in [line, key.replace("-----END", "-----AND"), key.replacen(secret, &format!("{secret}!"), 1)] {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(home.path().join("key.pem"), &damaged).unwrap();
        fs::set_permissions(home.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        let tls = ApiTls { cert_file: "cert.pem".into(), key_file: "key.pem".into() };
        let config = NodeConfig { api_tls: Some(tls), ..NodeConfig::default() };
        let Err(error) = Tls::load(&config, home.path()) else { panic!("{damaged}") };
        told(&error);
        let text = error.to_string();
        assert!(text.contains("key.pem") && !text.contains(secret) && !text.contains(&numbers[1..40]), "{text}");
    }
}

/// What stands in `fuzz/` begins with these, and finds its way from there.
#[test]
#[ignore = "writes files; run it before fuzzing"]
fn every_sample_becomes_a_seed_of_its_fuzz_target() {
    for (target, decoders) in [("wire", wire()), ("text", http()), ("file", files())] {
        write_seeds(target, decoders.iter().flat_map(|decoder| &decoder.samples));
    }
}

/// Whether a file of one's own that holds these bytes is a token, a chain of certificates, the key of a certificate.
fn reads_as_files(home: &Path, bytes: &[u8]) {
    for name in ["token", "cert.pem", "key.pem"] {
        fs::write(home.join(name), bytes).unwrap();
        fs::set_permissions(home.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let tls = ApiTls { cert_file: "cert.pem".into(), key_file: "key.pem".into() };
    let config = NodeConfig { api_token_file: Some("token".into()), api_tls: Some(tls), ..NodeConfig::default() };
    if let Err(error) = Access::load(&config, Path::new("node.toml"), home) {
        told(&error);
    }
    if let Err(error) = Tls::load(&config, home) {
        told(&error);
    }
}

fn pem() -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem() + &made.key_pair.serialize_pem()).into_bytes()
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Ping), prop::sample::select(Class::ALL.to_vec()).prop_map(Kind::Message), Just(Kind::Hello)]
}

/// Frames that fit their kind, the larger ones over several reads.
fn stream() -> impl Strategy<Value = Vec<(Kind, Vec<u8>)>> {
    let frame = (any_kind(), any::<u8>(), 0..70_000usize).prop_map(|(kind, byte, length)| {
        let length = match kind {
            Kind::Ping => 0,
            Kind::Hello => length % 512,
            Kind::Message(Class::Prepare) => length % (VOTE_BYTES_LIMIT + FRAME_OVERHEAD_BYTES),
            Kind::Message(_) => length % 60_000,
        };
        (kind, vec![byte; length])
    });
    prop::collection::vec(frame, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused_or_are_the_one_encoding_of_a_value(
        bytes in prop::collection::vec(any::<u8>(), 0..400), kind in any_kind(), length in 0..500u32,
    ) {
        read_by_all(table(), &bytes);
        // Behind a header that comes true.
        let header = [&length.to_le_bytes()[..], &[FRAME_VERSION, kind.byte()]].concat();
        read_by_all(table(), &[&header[..], &bytes].concat());
    }

    #[test]
    fn arbitrary_texts_are_refused_or_are_written_as_the_same_value(
        text in "[0-9a-f]{28}|((wait|timeout|cursor|limit|order|after|account|kinds)=[0-9a-z%+,-]{0,12}&?){0,3}|\\PC{0,60}",
    ) {
        read_by_all(table(), text.as_bytes());
    }

    #[test]
    fn changed_values_are_refused_or_are_the_one_encoding_of_another(
        which in any::<[prop::sample::Index; 4]>(), edits in edits(),
    ) {
        read_by_all(table(), &changed(table(), &which, &edits));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_arrive_as_they_were_sent_whatever_the_pieces(
        frames in stream(), pieces in prop::collection::vec(1..40_000usize, 1..5), cut in any::<prop::sample::Index>(),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| framed(*kind, payload)).collect();
        prop_assert_eq!(frames_in(&bytes, &pieces).unwrap(), frames.clone());
        // A stream that ends early has brought a first part of them.
        let cut = cut.index(bytes.len() + 1);
        prop_assert!(frames.starts_with(&frames_in(&bytes[..cut], &pieces).unwrap()));
    }

    #[test]
    fn changed_streams_give_the_same_frames_or_the_same_error_whatever_the_pieces(
        frames in stream(), pieces in prop::collection::vec(1..40_000usize, 1..5), edits in edits(),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| framed(*kind, payload)).collect();
        let bytes = decoding::edited(&bytes, &framed(Kind::Ping, &[]), &edits);
        prop_assert_eq!(frames_in(&bytes, &pieces), frames_in(&bytes, &[usize::MAX]));
    }

    #[test]
    fn token_and_pem_files_are_read_or_refused_with_a_remedy(
        bytes in prop::collection::vec(any::<u8>(), 0..600), edits in edits(),
    ) {
        static PEM: LazyLock<Vec<u8>> = LazyLock::new(pem);
        let home = tempfile::tempdir().unwrap();
        reads_as_files(home.path(), &bytes);
        reads_as_files(home.path(), &decoding::edited(&PEM, b"-----BEGIN CERTIFICATE-----\n", &edits));
    }
}
