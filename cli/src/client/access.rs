//! What a client shows a node, and what it asks of one: a bearer token, and whose certificates it trusts.

use std::fmt;
use std::path::Path;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::files::{self, SMALL_FILE_BYTES_MAX};

/// The longest token in bytes.
const TOKEN_BYTES_MAX: usize = 4 << 10;

/// A bearer token and the certificates to trust. Without, no token is sent and the public authorities are trusted.
#[derive(Clone, Default)]
pub struct Access {
    token: Option<Zeroizing<String>>,
    authorities: Option<Vec<Certificate<'static>>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access(token: {}, own authorities: {})", self.token.is_some(), self.authorities.is_some())
    }
}

impl Access {
    /// Reads the files that hold the token and the authorities.
    ///
    /// # Errors
    /// Exit code 10 when a file is missing or holds something else, or when others can read the token.
    pub fn load(token_file: Option<&Path>, ca_file: Option<&Path>) -> Result<Access, Failure> {
        let token = token_file.map(read_token).transpose()?;
        Ok(Access { token, authorities: ca_file.map(read_authorities).transpose()? })
    }

    /// The value of the `authorization` header, where a token is to be shown.
    pub fn authorization(&self) -> Option<Zeroizing<String>> {
        self.token.as_ref().map(|token| Zeroizing::new(format!("Bearer {}", token.as_str())))
    }

    /// Refuses to show the token to whoever listens: it goes out encrypted, or not beyond this machine.
    ///
    /// # Errors
    /// Exit code 2 for a token on plain HTTP to another machine.
    pub fn check(&self, scheme: &str, host: &str) -> Result<(), Failure> {
        let host = host.trim_matches(['[', ']']);
        let here = host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        if self.token.is_none() || scheme == "https" || here {
            return Ok(());
        }
        Err(Failure::usage(
            format!("the token would go to {host} unencrypted, for everybody on the way to read"),
            "give the node's https:// address, and its authority with --ca-file if that is your own",
        ))
    }

    /// Whom TLS trusts.
    pub fn tls(&self) -> TlsConfig {
        let roots = self.authorities.as_deref().map_or(RootCerts::WebPki, RootCerts::new_with_certs);
        TlsConfig::builder().root_certs(roots).build()
    }
}

/// What to do when a node wants credentials.
pub fn denied(node: &str, detail: &str) -> Failure {
    Failure::new(
        Exit::Auth,
        "not_authorized",
        format!("{node} wants credentials: {detail}"),
        "give the token that the node's operator gave you with --token-file FILE, or QUORATE_TOKEN_FILE",
    )
}

fn read_token(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bad = |reason: &str| {
        Failure::config(
            "bad_token_file",
            format!("the token file {} cannot be used: {reason}", path.display()),
            "put the token that the node's operator gave you into the file, alone on one line, and chmod 600 it",
        )
    };
    let bytes = files::read_private(path, TOKEN_BYTES_MAX as u64).map_err(|error| bad(&error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("it is no text"))?.trim_ascii();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("a token is one word of printable ASCII characters"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn read_authorities(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let bad = |reason: String| {
        Failure::config(
            "bad_ca_file",
            format!("the file of certificate authorities {} cannot be used: {reason}", path.display()),
            "give a PEM file with the certificate of the authority that signed the node's",
        )
    };
    let bytes = files::read(path, SMALL_FILE_BYTES_MAX).map_err(|error| bad(error.to_string()))?;
    // The library's own words quote the line that it stumbled over, however long it is, and whatever the file is in truth.
    let damaged = |_| bad("a section in it does not begin, hold Base64 or end as one of a PEM file does".to_owned());
    let items: Vec<PemItem<'static>> = parse_pem(&bytes).collect::<Result<_, _>>().map_err(damaged)?;
    let certificates: Vec<Certificate<'static>> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() { Err(bad("there is no certificate in it".to_owned())) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn token_file(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_token_is_read_from_a_private_file_and_never_shown() {
        let (_dir, path) = token_file("s3cret\n", 0o600);
        let access = Access::load(Some(&path), None).unwrap();
        assert_eq!(access.authorization().unwrap().as_str(), "Bearer s3cret");
        assert!(!format!("{access:?}").contains("s3cret"));
        for (text, mode) in
            [("s3cret", 0o644), ("", 0o600), ("two words", 0o600), ("line\nbreak", 0o600), ("\u{e9}", 0o600)]
        {
            let (_dir, path) = token_file(text, mode);
            let failure = Access::load(Some(&path), None).unwrap_err();
            assert_eq!(failure.exit, Exit::Config, "{text:?} {mode:o}");
            assert!(!failure.message.contains("s3cret"));
        }
    }

    #[test]
    fn a_token_leaves_the_machine_encrypted_only() {
        let (_dir, path) = token_file("s3cret", 0o600);
        let access = Access::load(Some(&path), None).unwrap();
        for (scheme, host) in
            [("http", "127.0.0.1"), ("http", "[::1]"), ("http", "localhost"), ("https", "example.org")]
        {
            assert!(access.check(scheme, host).is_ok(), "{scheme} {host}");
        }
        assert_eq!(access.check("http", "example.org").unwrap_err().exit, Exit::Usage);
        assert_eq!(access.check("http", "10.0.0.1").unwrap_err().exit, Exit::Usage);
        assert!(Access::default().check("http", "10.0.0.1").is_ok());
    }

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        let (_dir, path) = token_file("no pem", 0o644);
        assert_eq!(Access::load(None, Some(&path)).unwrap_err().code, "bad_ca_file");
        assert_eq!(Access::load(None, Some(&path.with_file_name("none"))).unwrap_err().code, "bad_ca_file");
    }

    /// Found by the fuzz target `file`.
    #[test]
    fn no_line_of_a_damaged_file_of_authorities_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("authority.pem");
        fs::write(&path, ["-----BEGIN ", &"secret".repeat(100)].concat()).unwrap();
        let Err(failure) = Access::load(None, Some(&path)) else { panic!("it is refused") };
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Config, "bad_ca_file"));
        assert!(!failure.message.contains("secret") && !failure.message.contains("115, 101"), "{}", failure.message);
    }
}
