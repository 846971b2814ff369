//! Who may use the API: everybody who reaches it, or those who show the node's token.
//!
//! `livez`, `readyz` and `version` answer without it: those who watch over processes carry no secrets, and learn no more
//! than that the node stands and what it waits for. Everything else, metrics and the description of the API among it, wants
//! `Authorization: Bearer TOKEN`.

use std::path::Path;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quorate_crypto::sha256;
use quorate_protocol::api::Code;
use subtle::ConstantTimeEq;
use tracing::warn;

use super::problem::Refusal;
use crate::config::{ConfigError, NodeConfig, read_secret};

/// Paths that answer without a token.
pub(super) const OPEN_PATHS: [&str; 3] = ["/livez", "/readyz", "/version"];
/// The key of `node.toml`.
const KEY: &str = "api_token_file";
/// Characters of a token at least: 128 bits in hex.
const TOKEN_MIN: usize = 32;
/// Characters of a token at most.
const TOKEN_MAX: usize = 512;

/// What a client must show.
#[derive(Clone, Default)]
pub struct Access {
    /// The hash of the token: equal lengths, so that a comparison tells nothing of the token's own.
    token: Option<[u8; 32]>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("token", &self.token.is_some()).finish()
    }
}

impl Access {
    /// Reads the token of `config`; relative paths are below `home`.
    ///
    /// # Errors
    /// The token's file is not as it must be, or the API would be open to other machines without anybody having said so.
    pub fn load(config: &NodeConfig, config_file: &Path, home: &Path) -> Result<Access, ConfigError> {
        let Some(file) = &config.api_token_file else {
            if !config.api.ip().is_loopback() && !config.api_public {
                let reason = format!("{} is reached by other machines, and no token is asked of them", config.api.ip());
                let remedy = "listen on 127.0.0.1, or write a token into a file and name it as api_token_file, or set \
                              api_public = true if everybody may read the chain and submit signed transactions";
                return Err(ConfigError::new(config_file, "api", reason, remedy));
            }
            return Ok(Access::default());
        };
        let file = home.join(file);
        let text = read_secret(&file, KEY, TOKEN_MAX as u64 + 2)?;
        let token = text.trim_end_matches(['\r', '\n']);
        let is_token =
            (TOKEN_MIN..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            let reason = format!("it holds no token: {TOKEN_MIN} to {TOKEN_MAX} letters, digits and signs on one line");
            let remedy = format!("make one: (umask 077; openssl rand -hex 32 > {})", file.display());
            return Err(ConfigError::new(&file, KEY, reason, &remedy));
        }
        if !config.api.ip().is_loopback() && config.api_tls.is_none() {
            warn!(api = %config.api, "the token travels unencrypted: set api_tls, or put a proxy with TLS before the node");
        }
        Ok(Access { token: Some(*sha256(token.as_bytes()).as_bytes()) })
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let shown = shown.and_then(|value| value.split_at_checked("Bearer ".len()));
        shown.is_some_and(|(scheme, shown)| {
            scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(sha256(shown).as_bytes().ct_eq(token))
        })
    }
}

/// Refuses a request that does not show the token.
pub(super) async fn check(State(access): State<Access>, request: Request, next: Next) -> Response {
    if OPEN_PATHS.contains(&request.uri().path()) || access.allows(request.headers()) {
        return next.run(request).await;
    }
    let mut response = Refusal::new(Code::Unauthorized, "the token is missing or another").into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn load(config: &NodeConfig, home: &Path) -> Result<Access, String> {
        Access::load(config, Path::new("node.toml"), home).map_err(|error| error.to_string())
    }

    fn with_token(home: &Path, text: &str, mode: u32) -> Result<Access, String> {
        let file = home.join("token");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        load(&NodeConfig { api_token_file: Some("token".into()), ..NodeConfig::default() }, home)
    }

    #[test]
    fn only_the_token_opens() {
        let home = tempfile::tempdir().unwrap();
        let access = with_token(home.path(), &format!("{TOKEN}\n"), 0o600).unwrap();
        let shows =
            |value: &str| access.allows(&HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]));
        assert!(shows(&format!("Bearer {TOKEN}")) && shows(&format!("bearer {TOKEN}")));
        let (cut, longer) = (&TOKEN[1..], format!("{TOKEN}0"));
        for wrong in ["", "Bearer", "Bearer ", TOKEN, &format!("Bearer {cut}"), &format!("Bearer {longer}"), "Basic x"]
        {
            assert!(!shows(wrong), "{wrong:?}");
        }
        assert!(!access.allows(&HeaderMap::new()));
        assert!(Access::default().allows(&HeaderMap::new()), "without a token all may ask");
        assert!(!format!("{access:?}").contains("0123"));
    }

    #[test]
    fn a_token_file_that_is_not_as_it_must_be_is_told_with_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let missing = load(&NodeConfig { api_token_file: Some("no".into()), ..NodeConfig::default() }, home.path());
        let missing = missing.unwrap_err();
        assert!(missing.contains("/no: api_token_file: No such file") && missing.contains("correct"), "{missing}");
        let open = with_token(home.path(), TOKEN, 0o644).unwrap_err();
        assert!(open.contains("mode 644") && open.contains("chmod 600"), "{open}");
        for bad in
            ["", "short\n", &TOKEN.replace('0', " "), &"x".repeat(513), &format!("{TOKEN}\n{TOKEN}"), &"x".repeat(9999)]
        {
            let told = with_token(home.path(), bad, 0o600).unwrap_err();
            assert!(told.contains("api_token_file") && !told.contains(TOKEN), "{told}");
        }
    }

    #[test]
    fn an_api_for_other_machines_needs_a_token_or_a_word() {
        let home = tempfile::tempdir().unwrap();
        let public = NodeConfig { api: "0.0.0.0:8000".parse().unwrap(), ..NodeConfig::default() };
        let told = load(&public, home.path()).unwrap_err();
        assert!(["node.toml: api: ", "0.0.0.0", "api_token_file", "api_public"].iter().all(|part| told.contains(part)));
        assert!(load(&NodeConfig { api_public: true, ..public.clone() }, home.path()).is_ok());
        with_token(home.path(), TOKEN, 0o600).unwrap();
        assert!(load(&NodeConfig { api_token_file: Some("token".into()), ..public }, home.path()).is_ok());
        let own = NodeConfig { api: "[::1]:8000".parse().unwrap(), ..NodeConfig::default() };
        assert!(load(&own, home.path()).is_ok());
    }
}
