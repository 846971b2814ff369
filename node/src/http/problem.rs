//! Every error of the API is a problem document (RFC 9457).

use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use quorate_protocol::api::Code;
use quorate_protocol::api::problem::{PROBLEM_MEDIA_TYPE, Problem};
use quorate_protocol::id::TransactionId;
use quorate_protocol::store::StoreError;

use crate::client::NoRoom;

/// Seconds after which a client that was refused for want of room does well to come again.
const RETRY_AFTER_SECONDS: &str = "1";

/// An error on its way to the client.
#[derive(Debug)]
pub struct Refusal(Box<Problem>);

impl Refusal {
    /// What the table says of `code`, with this occurrence in words.
    pub fn new(code: Code, detail: impl Into<String>) -> Refusal {
        Refusal(Box::new(Problem::new(code, detail)))
    }

    /// There is no room for this client, since already so much is there: `what` says of what, and that it is.
    pub fn no_room(why: NoRoom, what: &str) -> Refusal {
        match why {
            NoRoom::Share => Refusal::new(Code::ClientQuota, format!("as many of this client's {what} as may be")),
            NoRoom::Full => Refusal::new(Code::Overloaded, format!("too many {what}")),
        }
    }

    /// What is reported.
    #[cfg(test)]
    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    /// The same about one transaction.
    pub fn about(self, id: TransactionId) -> Refusal {
        Refusal(Box::new(self.0.about(id)))
    }

    /// The same with a hint of its own.
    pub fn hint(mut self, hint: &str) -> Refusal {
        self.0.hint = hint.to_string();
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is made of strings and numbers only.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_MEDIA_TYPE)], body).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::new(Code::Internal, error.to_string())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Refusal {
        Refusal::new(Code::BadRequest, rejection.body_text())
    }
}

/// The answer for paths that do not exist.
pub async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no path {}", uri.path()))
        .hint("GET /v1/openapi.json has the paths of the API")
}

/// The answer for methods that a path does not take.
pub async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(Code::MethodNotAllowed, format!("{} does not take {method}", uri.path()))
}
