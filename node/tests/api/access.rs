//! Token and TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use quorate_node::config::{ApiTls, NodeConfig};
use quorate_node::node::Node;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::common::{Chain, PATIENCE, Reply, get, reply, request_head, request_with};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn secret(file: &Path, text: &str) {
    fs::write(file, text).expect("written");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("a mode");
}

#[test]
fn with_a_token_only_those_who_show_it_are_answered_but_for_probes() {
    let chain = Chain::new(1);
    let home = chain.create_with(0, NodeConfig { api_token_file: Some("token".into()), ..NodeConfig::default() });
    secret(&home.path().join("token"), &format!("{TOKEN}\n"));
    let node = Node::start(&home).expect("a node");
    let api = node.api_address();
    for path in ["/livez", "/readyz", "/version"] {
        assert_eq!(get(api, path).status, 200, "{path}");
    }
    let with =
        |path: &str, token: &str| request_with(api, "GET", path, &[("authorization", &format!("Bearer {token}"))], b"");
    for path in ["/v1/status", "/v1/events", "/metrics", "/v1/openapi.json", "/v1/nothing", "/livez/x"] {
        let refused = get(api, path);
        assert_eq!((refused.status, &refused.json()["code"]), (401, &"unauthorized".into()), "{path}");
        assert!(refused.headers.contains("www-authenticate: bearer"), "{}", refused.headers);
        assert_eq!(with(path, "another").status, 401);
    }
    assert_eq!(with("/v1/status", TOKEN).status, 200);
    assert_eq!(with("/v1/nothing", TOKEN).status, 404);
    let posted = request_with(api, "POST", "/v1/transactions", &[], b"{");
    assert_eq!(posted.json()["code"], "unauthorized", "before anything else is looked at");
    node.stop().expect("a clean stop");
}

/// One request inside TLS, by a client that trusts `root` alone.
fn get_by_tls(api: std::net::SocketAddr, root: &CertifiedKey, path: &str) -> Reply {
    let mut roots = RootCertStore::empty();
    roots.add(root.cert.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(api).expect("the API listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), stream);
    stream.write_all(request_head("GET", path, &[], 0).as_bytes()).expect("sent");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    reply(bytes)
}

fn certified() -> CertifiedKey {
    generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate")
}

#[test]
fn with_a_certificate_the_api_is_served_by_tls_alone_and_nobody_waits_for_a_client_that_dallies() {
    let chain = Chain::new(1);
    let tls = ApiTls { cert_file: "cert.pem".into(), key_file: "key.pem".into() };
    let home = chain.create_with(0, NodeConfig { api_tls: Some(tls), ..NodeConfig::default() });
    let own = certified();
    fs::write(home.path().join("cert.pem"), own.cert.pem()).expect("written");
    secret(&home.path().join("key.pem"), &own.key_pair.serialize_pem());
    let node = Node::start(&home).expect("a node");
    let api = node.api_address();
    // It never says a word.
    let silent = TcpStream::connect(api).expect("accepted");
    let status = get_by_tls(api, &own, "/v1/status");
    assert_eq!((status.status, &status.json()["state"]), (200, &"active".into()));
    let large = get_by_tls(api, &own, "/v1/openapi.json");
    assert_eq!(large.json()["openapi"], "3.1.0", "an answer of many records");
    let mut plain = TcpStream::connect(api).expect("accepted");
    plain.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    plain.write_all(request_head("GET", "/livez", &[], 0).as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1"), "not a word outside of TLS: {answer:?}");
    drop(silent);
    node.stop().expect("a clean stop");
}

#[test]
fn files_of_tls_that_are_not_as_they_must_be_are_told_with_what_to_do() {
    let chain = Chain::new(1);
    let tls = ApiTls { cert_file: "cert.pem".into(), key_file: "key.pem".into() };
    let home = chain.create_with(0, NodeConfig { api_tls: Some(tls), ..NodeConfig::default() });
    let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    let refused = |words: &[&str]| {
        let told = Node::start(&home).expect_err("it does not start").to_string();
        assert!(words.iter().all(|word| told.contains(word)), "{words:?} in {told}");
    };
    refused(&["cert.pem: api_tls.cert_file: No such file", "PEM file"]);
    fs::write(&cert, "hello").expect("written");
    refused(&["cert.pem: api_tls.cert_file: it holds no certificate"]);
    let own = certified();
    fs::write(&cert, own.cert.pem()).expect("written");
    refused(&["key.pem: api_tls.key_file: No such file"]);
    secret(&key, "hello");
    refused(&["key.pem: api_tls.key_file: no private key", "PKCS#8"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
    refused(&["key.pem: api_tls.key_file: mode 644 lets others read it", "chmod 600"]);
    secret(&key, &certified().key_pair.serialize_pem());
    refused(&["cert.pem: api_tls: ", "made for the key in"]);
    secret(&key, &own.key_pair.serialize_pem());
    Node::start(&home).expect("now it does").stop().expect("a clean stop");
}

#[test]
fn an_api_beyond_this_machine_is_refused_until_somebody_says_so() {
    let chain = Chain::new(1);
    let home = chain.create_with(0, NodeConfig { api: ([0, 0, 0, 0], 0).into(), ..NodeConfig::default() });
    let told = Node::start(&home).expect_err("it does not start").to_string();
    assert!(["node.toml: api: 0.0.0.0", "api_token_file", "api_public = true"].iter().all(|word| told.contains(word)));
    let config = NodeConfig { api: ([0, 0, 0, 0], 0).into(), api_public: true, ..NodeConfig::default() };
    fs::write(home.config_file(), config.to_toml()).expect("written");
    Node::start(&home).expect("now it does").stop().expect("a clean stop");
}
