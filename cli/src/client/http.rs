//! One node's HTTP interface: blocking, with a bound on every time and every size.

use std::time::Duration;

use quorate_crypto::encode::BoundedBytes;
use quorate_protocol::api::code::Asked;
use quorate_protocol::api::evidence::{EVIDENCE_ANSWER_BYTES_MAX, EvidenceResponse};
use quorate_protocol::api::http::{
    AccountResponse, AssetResponse, BORSH_MEDIA_TYPE, BlockResponse, ConsensusResponse, StatusResponse, SubmitRequest,
    SubmitResponse, TransactionResponse, ValidatorsResponse,
};
use quorate_protocol::api::problem::Problem;
use quorate_protocol::document::AssetCode;
use quorate_protocol::document::receipt::Receipt;
use quorate_protocol::id::TransactionId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, BodyReader, RequestBuilder, Timeout};

use super::access::{self, Access};
use crate::exit::{Exit, Failure};

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// The longest answer with evidence, in bytes: hex takes two digits a byte, and there is room for what stands beside it.
const EVIDENCE_JSON_BYTES_MAX: u64 = 3 * EVIDENCE_ANSWER_BYTES_MAX as u64;
/// The longest header of an answer, in bytes.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node may take for an answer that it need not wait for.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of one request.
#[derive(Debug, Error)]
pub enum CallError {
    /// There was no connection: nothing was sent.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke or took too long after the request may have been sent.
    #[error("gave no answer: {0}")]
    Lost(String),
    /// The node answered with an error.
    #[error("answered {status}: {}", .problem.detail)]
    Problem {
        /// The HTTP status.
        status: u16,
        /// The node's words.
        problem: Box<Problem>,
        /// When to try again, where the node says so.
        retry_after: Option<Duration>,
    },
    /// The node, or what stands before it, wants credentials.
    #[error("wants credentials: {0}")]
    Denied(String),
    /// The answer is not what the interface promises.
    #[error("gave an answer that is not understood: {0}")]
    Nonsense(String),
}

impl CallError {
    /// The failure of a command that only reads.
    pub fn into_failure(self, node: &str) -> Failure {
        let message = format!("{node} {self}");
        match self {
            CallError::Unreachable(_) => Failure::new(
                Exit::NotSent,
                "unreachable",
                message,
                "check that the node runs and that its address is right; --node names another one",
            ),
            CallError::Lost(_) => {
                Failure::new(Exit::NotSent, "no_answer", message, "try again, or ask another node with --node")
            }
            CallError::Denied(detail) => access::denied(node, &detail),
            CallError::Nonsense(_) => Failure::new(
                Exit::Internal,
                "bad_answer",
                message,
                "check that this is the address of a Quorate node's HTTP interface, of the same version as this program",
            ),
            CallError::Problem { problem, .. } => {
                Failure::new(Exit::of(problem.code, Asked::Read), problem.code.as_str(), message, problem.hint)
            }
        }
    }
}

/// One node, by its HTTP interface.
#[derive(Clone, Debug)]
pub struct Node {
    name: String,
    url: String,
    agent: Agent,
    access: Access,
}

impl Node {
    /// The node at this URL; `http://` may be left out. It is shown no token.
    ///
    /// # Errors
    /// Exit code 2 for an address that is no HTTP URL.
    pub fn new(name: &str, url: &str) -> Result<Node, Failure> {
        Node::with_access(name, url, &Access::default())
    }

    /// The node at this URL, which is shown a token and whose certificate is checked as `access` says.
    ///
    /// # Errors
    /// Exit code 2 for an address that is no HTTP URL, or to which a token would go unencrypted.
    pub fn with_access(name: &str, url: &str, access: &Access) -> Result<Node, Failure> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let url = url.trim_end_matches('/').to_owned();
        let parsed: Option<ureq::http::Uri> = url.parse().ok().filter(|uri: &ureq::http::Uri| uri.query().is_none());
        let parts = parsed.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
        let Some((scheme @ ("http" | "https"), host)) = parts else {
            return Err(Failure::usage(
                format!("`{url}` is not the URL of a node"),
                "give a name of the testnet, or a URL such as http://127.0.0.1:8080",
            ));
        };
        access.check(scheme, host)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(access.tls())
            .max_response_header_size(HEADER_BYTES_MAX)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")));
        Ok(Node { name: name.to_owned(), url, agent: config.build().new_agent(), access: access.clone() })
    }

    /// The name that the user knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of its HTTP interface.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How the node is.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn status(&self) -> Result<StatusResponse, CallError> {
        self.get("/v1/status")
    }

    /// How the node sees the consensus.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn consensus(&self) -> Result<ConsensusResponse, CallError> {
        self.get("/v1/consensus")
    }

    /// Who votes.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn validators(&self) -> Result<ValidatorsResponse, CallError> {
        self.get("/v1/validators")
    }

    /// What the node holds against validators, not yet verified.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn evidence(&self) -> Result<EvidenceResponse, CallError> {
        self.get_up_to("/v1/evidence", EVIDENCE_JSON_BYTES_MAX)
    }

    /// An account.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn account(&self, address: &str) -> Result<AccountResponse, CallError> {
        self.get(&format!("/v1/accounts/{address}"))
    }

    /// An asset.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn asset(&self, code: AssetCode) -> Result<AssetResponse, CallError> {
        self.get(&format!("/v1/assets/{code}"))
    }

    /// A block by height, header hash, or `latest`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn block(&self, reference: &str) -> Result<BlockResponse, CallError> {
        self.get(&format!("/v1/blocks/{reference}"))
    }

    /// What the node knows of a transaction.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn transaction(&self, id: &TransactionId) -> Result<TransactionResponse, CallError> {
        self.get(&format!("/v1/transactions/{id}"))
    }

    /// A transaction's receipt, not yet verified.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn receipt(&self, id: &TransactionId) -> Result<Receipt, CallError> {
        self.get(&format!("/v1/transactions/{id}/receipt"))
    }

    /// Sends a signed transaction and lets the node wait up to `patience` for its certified receipt.
    ///
    /// # Errors
    /// See [`CallError`]. After [`CallError::Lost`] the node may have it or not.
    pub fn submit(&self, transaction: &[u8], patience: Duration) -> Result<TransactionResponse, CallError> {
        let transaction = BoundedBytes::try_from(transaction.to_vec())
            .map_err(|error| CallError::Unreachable(format!("was not asked: the transaction is too long: {error}")))?;
        let request = SubmitRequest { transaction };
        let path = format!("/v1/transactions?wait=committed&timeout={}", patience.as_millis());
        self.post(&path, &request, patience + ANSWER_TIMEOUT)
    }

    /// Sends many signed transactions at once (their canonical bytes as one list, at most 1,024 and 1 MiB) and lets the
    /// node wait for `wait`, up to `patience`. The outcomes come in the order of the transactions, without receipts.
    ///
    /// # Errors
    /// See [`CallError`]. After [`CallError::Lost`] the node may have any of them or none.
    pub fn submit_many(&self, list: &[u8], wait: &str, patience: Duration) -> Result<SubmitResponse, CallError> {
        let path = format!("/v1/transactions?wait={wait}&timeout={}", patience.as_millis());
        let request = self.authorized(self.agent.post(self.at(&path))).header("content-type", BORSH_MEDIA_TYPE);
        let response = request.config().timeout_global(Some(patience + ANSWER_TIMEOUT)).build().send(list);
        read(response.map_err(call_error)?, ANSWER_BYTES_MAX)
    }

    /// Opens the stream of events at this path, to be read until it ends or `at_most` is over.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn stream(&self, path: &str, last: Option<&str>, at_most: Duration) -> Result<BodyReader<'static>, CallError> {
        let mut request = self.authorized(self.agent.get(self.at(path))).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let config = request.config().timeout_recv_response(Some(ANSWER_TIMEOUT)).timeout_recv_body(Some(at_most));
        let response = config.build().call().map_err(call_error)?;
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        Err(read::<Never>(response, ANSWER_BYTES_MAX)
            .err()
            .unwrap_or_else(|| CallError::Nonsense("no stream".to_owned())))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match self.access.authorization() {
            Some(value) => request.header("authorization", value.as_str()),
            None => request,
        }
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.get_up_to(path, ANSWER_BYTES_MAX)
    }

    fn get_up_to<T: DeserializeOwned>(&self, path: &str, bytes_max: u64) -> Result<T, CallError> {
        let request = self.authorized(self.agent.get(self.at(path)));
        let response = request.config().timeout_global(Some(ANSWER_TIMEOUT)).build().call();
        read(response.map_err(call_error)?, bytes_max)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, timeout: Duration) -> Result<T, CallError> {
        let request = self.authorized(self.agent.post(self.at(path)));
        let response = request.config().timeout_global(Some(timeout)).build().send_json(body);
        read(response.map_err(call_error)?, ANSWER_BYTES_MAX)
    }
}

/// No answer at all has this form.
#[derive(serde::Deserialize)]
enum Never {}

fn read<T: DeserializeOwned>(mut response: Response<Body>, bytes_max: u64) -> Result<T, CallError> {
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = response.body_mut().with_config().limit(bytes_max).read_to_vec().map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => CallError::Nonsense(format!("longer than {bytes_max} bytes")),
        other => CallError::Lost(other.to_string()),
    })?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| CallError::Nonsense(error.to_string()));
    }
    let problem = serde_json::from_slice::<Problem>(&body);
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(CallError::Denied(
            problem.map_or_else(|_| format!("HTTP status {status}"), |problem| problem.detail),
        ));
    }
    match problem {
        Ok(problem) => Err(CallError::Problem { status: status.as_u16(), problem: Box::new(problem), retry_after }),
        Err(_) => Err(CallError::Nonsense(format!("HTTP status {status} without a problem document"))),
    }
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let may_say = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let header = response.headers().get("retry-after").filter(|_| may_say.contains(&response.status()))?;
    header.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn call_error(error: ureq::Error) -> CallError {
    use std::io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match &error {
        ureq::Error::ConnectionFailed
        | ureq::Error::HostNotFound
        | ureq::Error::BadUri(_)
        | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => CallError::Unreachable(error.to_string()),
        // The handshake comes first: nothing was sent.
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::Pem(_) => CallError::Unreachable(error.to_string()),
        ureq::Error::Io(io)
            if matches!(io.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable) =>
        {
            CallError::Unreachable(io.to_string())
        }
        ureq::Error::Timeout(_) | ureq::Error::Io(_) | ureq::Error::BodyStalled => CallError::Lost(error.to_string()),
        _ => CallError::Nonsense(error.to_string()),
    }
}
