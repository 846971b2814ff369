//! `node.toml`: where this node listens, where its peers are, and its local bounds.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use crate::telemetry::LogConfig;

/// No `node.toml` is longer than this many bytes.
const CONFIG_BYTES_MAX: u64 = 64 * 1024;
/// The most signature workers: beyond the number of any machine's cores they only cost memory.
const VERIFY_THREADS_MAX: usize = 256;
/// The most connections to the API: each may cost a file and, while it sends or is sent to, a buffer each way.
const CONNECTIONS_MAX: usize = 4_096;
/// The fewest connections that a node can do with.
const CONNECTIONS_MIN: usize = 8;
/// The most streams of events: each holds a connection.
const EVENT_STREAMS_MAX: usize = 2_048;
/// The most milliseconds for a request's head, and for its body: ten minutes.
const REQUEST_TIMEOUT_MAX_MS: u64 = 10 * 60 * 1_000;
/// The most peers that can be configured: the validators other than this one.
const PEERS_MAX: usize = 30;

/// Of a line that is wrong, as many characters are shown.
const LINE_CHARS_MAX: usize = 80;
/// And as many of what is wrong with it, which may quote the line.
const REASON_CHARS_MAX: usize = 300;

/// The most milliseconds by which a node's clock can be made wrong: a day.
pub const CLOCK_OFFSET_MAX: i64 = 24 * 60 * 60 * 1000;

/// The configuration of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Where the HTTP API listens; port 0 takes a free one.
    #[serde(default = "any_loopback_port")]
    pub api: SocketAddr,
    /// Where other validators connect; port 0 takes a free one.
    #[serde(default = "any_loopback_port")]
    pub p2p: SocketAddr,
    /// Milliseconds that are added to the wall clock, at most a day either way: a clock that is wrong on purpose, to see
    /// what a chain makes of it. It is 0 outside of experiments; `/v1/status` shows it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_offset: i64,
    /// A file with the token that clients of the API must show; see [`crate::http`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_token_file: Option<PathBuf>,
    /// Lets the API listen beyond this machine without a token.
    #[serde(default, skip_serializing_if = "is_false")]
    pub api_public: bool,
    /// Where the other validators are.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Bounds of this node alone.
    #[serde(default)]
    pub limits: Limits,
    /// The log.
    #[serde(default, skip_serializing_if = "LogConfig::is_default")]
    pub log: LogConfig,
    /// Serve the API by TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_tls: Option<ApiTls>,
}

/// The API's certificate. Paths are those of PEM files, relative ones below the home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiTls {
    /// The certificate and those between it and its root, in this order.
    pub cert_file: PathBuf,
    /// Its private key; only the owner may read the file.
    pub key_file: PathBuf,
}

/// Where one validator is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its index in the genesis.
    pub index: u8,
    /// Its multiaddress, for example `/ip4/192.0.2.7/tcp/7000`.
    pub address: String,
}

/// Bounds of one node; they never change what the chain decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Threads that verify transactions; 0 takes one per core.
    pub verify_threads: usize,
    /// Transactions of clients that may wait for an answer at once.
    pub waiters_max: usize,
    /// Connections to the HTTP API that may be open at once; at most half of the files that the process may open.
    pub connections_max: usize,
    /// HTTP requests that may be in work at once, waiting ones included; at most what leaves a connection for others.
    pub requests_max: usize,
    /// Milliseconds that a request's head may take from the moment that one could have come, and its body as many again.
    pub request_timeout_ms: u64,
    /// Streams of events that may be open at once; at most half of the connections.
    pub event_streams_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            verify_threads: 0,
            waiters_max: 100_000,
            connections_max: CONNECTIONS_MAX,
            requests_max: 2_000,
            // A body of a mebibyte at half a megabit a second. Longer than what clients keep for the next request, so that none of them
            // sends on a connection that is about to be closed.
            request_timeout_ms: 20_000,
            event_streams_max: 256,
        }
    }
}

impl Limits {
    /// These bounds where the process may have `files` open. Requests in work and streams of events hold a connection each: together
    /// they stay below the connections, so that always one is left that can give way.
    pub fn within(&self, files: usize) -> Limits {
        let connections_max = self.connections_max.min(files / 2);
        let event_streams_max = self.event_streams_max.min(connections_max / 2);
        let requests_max = self.requests_max.min(connections_max.saturating_sub(event_streams_max + 1));
        Limits { connections_max, event_streams_max, requests_max, ..self.clone() }
    }
}

impl Default for NodeConfig {
    fn default() -> NodeConfig {
        NodeConfig {
            api: any_loopback_port(),
            p2p: any_loopback_port(),
            clock_offset: 0,
            api_token_file: None,
            api_public: false,
            peers: Vec::new(),
            limits: Limits::default(),
            log: LogConfig::default(),
            api_tls: None,
        }
    }
}

// The signature is serde's.
fn is_zero(offset: &i64) -> bool {
    *offset == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

fn any_loopback_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

impl NodeConfig {
    /// Reads and checks `file`.
    ///
    /// # Errors
    /// A file that cannot be read, a key that is unknown or has a wrong value.
    pub fn load(file: &Path) -> Result<NodeConfig, ConfigError> {
        let mut text = String::new();
        fs::File::open(file)
            .and_then(|opened| opened.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|error| ConfigError::new(file, "the file", error, "create the home with `quorate-node init`"))?;
        NodeConfig::parse(file, &text)
    }

    /// Reads and checks `text`; `file` is named in errors.
    ///
    /// # Errors
    /// A key that is unknown or has a wrong value.
    pub fn parse(file: &Path, text: &str) -> Result<NodeConfig, ConfigError> {
        if text.len() as u64 > CONFIG_BYTES_MAX {
            let reason = format!("longer than {CONFIG_BYTES_MAX} bytes");
            return Err(ConfigError::new(file, "the file", reason, "keep only the keys that a node knows"));
        }
        let config: NodeConfig = toml::from_str(text).map_err(|error| {
            let place = place_of(text, error.span());
            ConfigError::new(
                file,
                &place,
                excerpt(error.message(), REASON_CHARS_MAX),
                "correct this line or remove it to take the default",
            )
        })?;
        config.check(file)?;
        Ok(config)
    }

    /// The text of a `node.toml` with these values.
    ///
    /// # Panics
    /// Never: every value has a form in TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("numbers, strings and lists have a form in TOML")
    }

    fn check(&self, file: &Path) -> Result<(), ConfigError> {
        let fail = |what: &str, reason: String, remedy: &str| Err(ConfigError::new(file, what, reason, remedy));
        if self.peers.len() > PEERS_MAX {
            return fail("peers", format!("{} entries", self.peers.len()), "name each other validator once");
        }
        if self.clock_offset.unsigned_abs() > CLOCK_OFFSET_MAX.unsigned_abs() {
            let reason = format!("{} ms is more than a day ({CLOCK_OFFSET_MAX} ms)", self.clock_offset);
            return fail("clock_offset", reason, "remove it: a node's clock is right unless one experiments");
        }
        let mut seen = BTreeSet::new();
        for peer in &self.peers {
            if !seen.insert(peer.index) {
                return fail(
                    "peers",
                    format!("index {} stands twice", peer.index),
                    "keep one entry for each validator",
                );
            }
        }
        if self.limits.verify_threads > VERIFY_THREADS_MAX {
            let reason = format!("{} is above {VERIFY_THREADS_MAX}", self.limits.verify_threads);
            return fail("limits.verify_threads", reason, "write 0 for one per core");
        }
        if !(1..=EVENT_STREAMS_MAX).contains(&self.limits.event_streams_max) {
            let reason = format!("{} is not within 1 and {EVENT_STREAMS_MAX}", self.limits.event_streams_max);
            return fail("limits.event_streams_max", reason, "remove it to take the default");
        }
        if !(1..=REQUEST_TIMEOUT_MAX_MS).contains(&self.limits.request_timeout_ms) {
            let reason = format!("{} is not within 1 and {REQUEST_TIMEOUT_MAX_MS}", self.limits.request_timeout_ms);
            return fail("limits.request_timeout_ms", reason, "remove it to take the default");
        }
        if !(CONNECTIONS_MIN..=CONNECTIONS_MAX).contains(&self.limits.connections_max) {
            let reason =
                format!("{} is not within {CONNECTIONS_MIN} and {CONNECTIONS_MAX}", self.limits.connections_max);
            return fail("limits.connections_max", reason, "remove it to take the default");
        }
        for (what, value) in
            [("limits.waiters_max", self.limits.waiters_max), ("limits.requests_max", self.limits.requests_max)]
        {
            if value == 0 || value > 1_000_000 {
                return fail(what, format!("{value} is not within 1 and 1000000"), "remove it to take the default");
            }
        }
        Ok(())
    }
}

/// The line, with its number, on which `span` starts.
fn place_of(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else {
        return "the file".to_string();
    };
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default();
    format!("line {} `{}`", number + 1, excerpt(line.trim(), LINE_CHARS_MAX))
}

/// The beginning of a text, as much as people read.
fn excerpt(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::LogFormat;

    fn parse(text: &str) -> Result<NodeConfig, ConfigError> {
        NodeConfig::parse(Path::new("node.toml"), text)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut config = NodeConfig::default();
        config.peers.push(Peer { index: 3, address: "/ip4/127.0.0.1/tcp/7003".to_string() });
        config.log = LogConfig { format: LogFormat::Json, level: Some("debug".to_string()) };
        config.api_token_file = Some("token".into());
        config.api_public = true;
        config.api_tls = Some(ApiTls { cert_file: "api.pem".into(), key_file: "/keys/api.pem".into() });
        assert_eq!(parse(&config.to_toml()), Ok(config));
        assert_eq!(parse(""), Ok(NodeConfig::default()));
    }

    #[test]
    fn errors_name_file_line_reason_and_remedy() {
        let unknown = parse("api = \"127.0.0.1:0\"\napii = 1\n").unwrap_err().to_string();
        for part in ["node.toml", "line 2", "apii", "unknown field", "correct this line"] {
            assert!(unknown.contains(part), "{part} in {unknown}");
        }
        let wrong = parse("p2p = \"nowhere\"").unwrap_err().to_string();
        assert!(wrong.contains("line 1 `p2p = \"nowhere\"`"), "{wrong}");
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        let twice = "peers = [{ index = 1, address = \"a\" }, { index = 1, address = \"b\" }]";
        assert!(parse(twice).unwrap_err().to_string().contains("index 1 stands twice"));
        assert!(parse("[limits]\nverify_threads = 257").is_err());
        assert!(parse("[limits]\nwaiters_max = 0").is_err());
        assert_eq!(parse("clock_offset = -500").unwrap().clock_offset, -500);
        assert!(parse("clock_offset = 86400001").unwrap_err().to_string().contains("more than a day"));
        assert!(parse(&format!("clock_offset = {}", i64::MIN)).is_err());
        assert!(parse("[limits]\nevent_streams_max = 2049").is_err());
        assert!(parse("[limits]\nrequest_timeout_ms = 0").is_err());
        assert!(parse("[limits]\nrequest_timeout_ms = 600001").is_err());
        assert!(parse("[limits]\nconnections_max = 7").is_err());
        assert!(parse("[limits]\nconnections_max = 4097").is_err());
    }

    #[test]
    fn requests_in_work_and_streams_leave_a_connection_whatever_is_configured() {
        let limits = Limits { requests_max: 10_000, event_streams_max: 2_048, ..Limits::default() };
        let of = |files| {
            let Limits { connections_max, requests_max, event_streams_max, .. } = limits.within(files);
            [connections_max, requests_max, event_streams_max]
        };
        assert_eq!(of(1 << 20), [4_096, 2_047, 2_048]);
        assert_eq!(of(1_024), [512, 255, 256], "the store, the journal and the peers need files, too");
        assert_eq!(Limits::default().within(1 << 20), Limits::default());
    }

    #[test]
    fn a_line_without_end_is_quoted_in_short() {
        let unknown = format!("{} = 1", "ä".repeat(20_000));
        let wrong = format!("api = \"{}\"", "x".repeat(40_000));
        for text in [unknown, wrong] {
            let told = parse(&text).unwrap_err().to_string();
            assert!(told.len() < 2_000 && told.contains("line 1") && told.contains("..."), "{} bytes", told.len());
        }
    }

    #[test]
    fn file_without_end_is_cut_off() {
        let long = "#".repeat(70_000);
        assert!(parse(&long).unwrap_err().to_string().contains("longer than"));
    }
}
