//! The envelope around everything that the command line prints as JSON.

use crate::api::code::{Code, KnownOutcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of the envelope.
pub const SCHEMA_VERSION: u32 = 1;

/// What a command prints on stdout with `--output json`, successes and errors alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<T> {
    /// 1; it changes when a script would have to.
    pub schema_version: u32,
    /// Whether the command did what it was asked.
    pub success: bool,
    /// What it found, `null` when there is nothing.
    pub data: Option<T>,
    /// What went wrong.
    pub errors: Vec<ErrorEntry>,
    /// What the reader should know although it went well.
    pub warnings: Vec<String>,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorEntry {
    /// A stable code: one of [`Code`], or one of the command line's own.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Whether the same command can succeed later.
    pub retryable: bool,
    /// What is known about the transaction, where the command is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<KnownOutcome>,
}

impl ErrorEntry {
    /// An error with what the table of codes says.
    pub fn of(code: Code, message: impl Into<String>) -> ErrorEntry {
        ErrorEntry {
            code: code.as_str().to_owned(),
            message: message.into(),
            hint: code.hint().to_owned(),
            retryable: code.retryable(),
            outcome: Some(code.outcome()),
        }
    }
}

impl<T> Envelope<T> {
    /// Around the result of a command that did what it was asked.
    pub fn success(data: T) -> Envelope<T> {
        Envelope {
            schema_version: SCHEMA_VERSION,
            success: true,
            data: Some(data),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Around an error, with what is known all the same.
    pub fn failure(data: Option<T>, errors: Vec<ErrorEntry>) -> Envelope<T> {
        Envelope { schema_version: SCHEMA_VERSION, success: false, data, errors, warnings: Vec::new() }
    }
}

/// The one way in which JSON for people is printed: indented, with a newline at the end.
///
/// # Panics
///
/// When the value has no JSON form, such as a map whose keys are no strings; no type of the API is like that.
pub fn to_pretty_json<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("types of the API have a JSON form");
    text.push('\n');
    text
}

/// Why a document is not accepted by [`from_canonical_json`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalJsonError {
    /// It is no JSON of the form.
    #[error("it is not a document of this form: {0}")]
    Form(String),
    /// It has the form, and is written otherwise than it would be printed.
    #[error("byte {0} is not what printing the same document again gives: the file was changed, or reformatted")]
    NotCanonical(usize),
}

/// Reads a document strictly: printing what was read has to give the same bytes, indented as [`to_pretty_json`] prints
/// or compact, with or without the newline at the end. So no byte can change unseen, not even a space.
///
/// # Errors
///
/// When the bytes are not a document of the type, or are not what printing it gives.
pub fn from_canonical_json<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalJsonError> {
    let form = |error: serde_json::Error| CanonicalJsonError::Form(error.to_string());
    let value: T = serde_json::from_slice(bytes).map_err(form)?;
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let compact = serde_json::to_vec(&value).map_err(form)?;
    if body == compact {
        return Ok(value);
    }
    let pretty = serde_json::to_vec_pretty(&value).map_err(form)?;
    if body == pretty {
        return Ok(value);
    }
    let differs = |printed: &[u8]| body.iter().zip(printed).take_while(|(a, b)| a == b).count();
    Err(CanonicalJsonError::NotCanonical(differs(&compact).max(differs(&pretty))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_be_printed_is_read() {
        let envelope = Envelope::success(vec![1u32, 2]);
        let pretty = to_pretty_json(&envelope);
        let read = |text: &str| from_canonical_json::<Envelope<Vec<u32>>>(text.as_bytes());
        assert_eq!(read(&pretty), Ok(envelope.clone()));
        assert_eq!(read(pretty.trim_end()), Ok(envelope.clone()));
        assert_eq!(read(&serde_json::to_string(&envelope).expect("JSON")), Ok(envelope));
        assert!(matches!(read(&format!(" {pretty}")), Err(CanonicalJsonError::NotCanonical(0))));
        assert!(matches!(read(&format!("{pretty}\n")), Err(CanonicalJsonError::NotCanonical(_))));
        assert!(matches!(read(&pretty.replace("true", "true ")), Err(CanonicalJsonError::NotCanonical(_))));
        assert!(matches!(read(&pretty.replace("errors", "errorz")), Err(CanonicalJsonError::Form(_))));
    }
}
