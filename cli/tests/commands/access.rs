//! Tokens and certificates.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use quorate_protocol::document::Outcome;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::json;

use crate::support::{Answer, Chain, FakeNode, Request, run, status};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn token(chain: &Chain, text: &str) -> String {
    let path = chain.path("token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[test]
fn the_token_is_shown_with_every_request() {
    let chain = Arc::new(Chain::new());
    let node = crate::commits(&chain, Outcome::Applied);
    crate::with(&chain, &[&node]);
    let file = token(&chain, "s3cret\n");
    let arguments =
        ["--token-file", &file, "transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"];
    assert_eq!(chain.quorate(&arguments).code, Some(0));
    let requests = node.requests();
    assert!(requests.len() >= 3, "{requests:?}");
    for request in requests {
        assert_eq!(request.headers.get("authorization").map(String::as_str), Some("Bearer s3cret"), "{request:?}");
    }
    assert_eq!(chain.quorate(&["--token-file", &file, "--node", "http://192.0.2.1:80", "status"]).code, Some(2));
}

#[test]
fn a_refused_token_is_exit_9_with_the_remedy_whatever_the_answer_looks_like() {
    let chain = Chain::new();
    let bare = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nnope".to_vec();
    let node = FakeNode::start(&chain, move |_: &Request| Some(Answer::Raw(bare.clone())));
    crate::with(&chain, &[&node]);
    for arguments in
        [&["account", "alice"][..], &["transfer", "--from", "alice", "--to", "bob", "--amount", "1", "--asset", "USD"]]
    {
        let done = chain.quorate(&[&["--output", "json", "--timeout", "5"][..], arguments].concat());
        assert_eq!(done.code, Some(9), "{done:?}");
        assert_eq!(done.json()["errors"][0]["code"], "not_authorized");
        assert!(done.json()["errors"][0]["hint"].as_str().unwrap().contains("--token-file"), "{done:?}");
    }
    assert!(node.submissions().is_empty());
}

/// A node behind TLS that says how it is, whatever it is asked.
fn tls_node(chain: &Chain) -> String {
    let certificate = CertificateDer::from_pem_file(fixture("node.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("node-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(versions.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let body = serde_json::to_string(&status(chain)).unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, config, answer) = (stream.unwrap(), Arc::clone(&config), answer.clone());
            thread::spawn(move || {
                let mut connection = ServerConnection::new(config).unwrap();
                let mut tls = Stream::new(&mut connection, &mut stream);
                // A client that does not trust the certificate is gone; that is its affair.
                if tls.read(&mut [0; 4096]).is_ok() {
                    let _ = tls.write_all(answer.as_bytes());
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            });
        }
    });
    url
}

#[test]
fn a_certificate_counts_when_its_authority_was_named() {
    let chain = Chain::new();
    let url = tls_node(&chain);
    let authority = fixture("authority.pem").display().to_string();
    let good = run(&["--node", &url, "--ca-file", &authority, "status", "--output", "json"]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert_eq!(good.json()["data"]["nodes"][0]["status"]["height"], json!(7));
    let stranger = run(&["--node", &url, "status", "--output", "json"]);
    assert_eq!(stranger.code, Some(6), "{stranger:?}");
    assert!(stranger.out.contains("certificate"), "{stranger:?}");
}
