//! Errors of the HTTP service: problem details of RFC 9457.

use crate::api::code::{Code, KnownOutcome};
use crate::id::TransactionId;
use serde::{Deserialize, Serialize};

/// Media type of a [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// The body of every response that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URI for the kind of problem: `urn:quorate:error:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for every occurrence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// This occurrence in words.
    pub detail: String,
    /// The stable code.
    pub code: Code,
    /// Whether the same request can succeed later or elsewhere.
    pub retryable: bool,
    /// What is known about the transaction.
    pub outcome: KnownOutcome,
    /// What to do.
    pub hint: String,
    /// The transaction, where the request is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TransactionId>,
}

impl Problem {
    /// A problem with everything that the table of codes says.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("urn:quorate:error:{code}"),
            title: code.as_str().replace('_', " "),
            status: code.http_status(),
            detail: detail.into(),
            code,
            retryable: code.retryable(),
            outcome: code.outcome(),
            hint: code.hint().to_owned(),
            id: None,
        }
    }

    /// The same about one transaction.
    #[must_use]
    pub fn about(mut self, id: TransactionId) -> Problem {
        self.id = Some(id);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_crypto::hash::Digest;

    #[test]
    fn a_problem_says_what_the_table_says() {
        let problem = Problem::new(Code::PoolFull, "100000 transactions wait").about(TransactionId(Digest::ZERO));
        let json = serde_json::to_value(&problem).expect("JSON");
        assert_eq!(json["type"], "urn:quorate:error:pool_full");
        assert_eq!(json["status"], 503);
        assert_eq!(json["code"], "pool_full");
        assert_eq!(json["outcome"], "not_applied");
        assert_eq!(json["retryable"], true);
        assert_eq!(serde_json::from_value::<Problem>(json).expect("a problem"), problem);
    }
}
