//! The JSON envelope, for results and failures alike.

use quorate_protocol::api::envelope::{Envelope, ErrorEntry, to_pretty_json};
use quorate_protocol::api::http::TransactionResponse;
use serde::Serialize;

use crate::exit::{Exit, Failure};

/// A result in its envelope: indented, or on one line.
///
/// # Errors
/// When the data has no JSON form.
pub fn success<T: Serialize>(data: &T, indented: bool) -> Result<String, Failure> {
    render(&Envelope::success(data), indented)
}

/// A failure in its envelope, with the transaction's state as far as it is known.
///
/// # Errors
/// When the data has no JSON form.
pub fn failure(failure: &Failure, indented: bool) -> Result<String, Failure> {
    let envelope: Envelope<&TransactionResponse> = Envelope::failure(failure.data.as_deref(), vec![entry(failure)]);
    render(&envelope, indented)
}

/// A failure in its envelope, with what was found all the same.
///
/// # Errors
/// When the data has no JSON form.
pub fn failure_with<T: Serialize>(data: &T, failure: &Failure, indented: bool) -> Result<String, Failure> {
    render(&Envelope::failure(Some(data), vec![entry(failure)]), indented)
}

fn entry(failure: &Failure) -> ErrorEntry {
    ErrorEntry {
        code: failure.code.clone(),
        message: failure.message.clone(),
        hint: failure.hint.clone(),
        retryable: matches!(failure.exit, Exit::Unknown | Exit::NotSent | Exit::Overloaded),
        outcome: failure.outcome,
    }
}

fn render<T: Serialize>(envelope: &Envelope<T>, indented: bool) -> Result<String, Failure> {
    if indented {
        return Ok(to_pretty_json(envelope));
    }
    let line = serde_json::to_string(envelope);
    line.map(|line| line + "\n").map_err(|error| Failure::internal(error.to_string(), "report this fault"))
}

#[cfg(test)]
mod tests {
    use quorate_protocol::api::code::KnownOutcome;

    use super::*;

    #[test]
    fn a_result_has_this_form() {
        let text = success(&["v0"], true).unwrap();
        assert_eq!(
            text,
            "{\n  \"schema_version\": 1,\n  \"success\": true,\n  \"data\": [\n    \"v0\"\n  ],\n  \"errors\": [],\n  \"warnings\": []\n}\n"
        );
        assert_eq!(
            success(&["v0"], false).unwrap(),
            "{\"schema_version\":1,\"success\":true,\"data\":[\"v0\"],\"errors\":[],\"warnings\":[]}\n"
        );
    }

    #[test]
    fn a_failure_has_this_form() {
        let failed = Failure::new(Exit::NotSent, "no_quorum_reachable", "nothing was sent", "start the nodes");
        let read = failure(&failed, false).unwrap();
        assert!(!read.contains("outcome"), "a read that fails says nothing of a transaction: {read}");
        let failed = failed.with_outcome(KnownOutcome::NotApplied);
        assert_eq!(
            failure(&failed, false).unwrap(),
            "{\"schema_version\":1,\"success\":false,\"data\":null,\"errors\":[{\"code\":\"no_quorum_reachable\",\
             \"message\":\"nothing was sent\",\"hint\":\"start the nodes\",\"retryable\":true,\"outcome\":\"not_applied\"}],\
             \"warnings\":[]}\n"
        );
    }
}
