//! The genesis file: what every proof is checked against.

use std::path::Path;

use quorate_protocol::document::Genesis;
use quorate_protocol::limits::GENESIS_JSON_BYTES_MAX;

use crate::exit::Failure;
use crate::files;

/// Reads and checks a genesis file.
///
/// # Errors
/// Exit code 10 when it is missing, damaged, or says what cannot be.
pub fn load(path: &Path) -> Result<Genesis, Failure> {
    let bad = |reason: String| {
        Failure::config(
            "bad_genesis",
            format!("the genesis file {} cannot be used: {reason}", path.display()),
            "take the file from whoever runs the chain; every node and every client needs the same one",
        )
    };
    let bytes = files::read(path, GENESIS_JSON_BYTES_MAX as u64).map_err(|error| bad(error.to_string()))?;
    Genesis::from_json(&bytes).map_err(|error| bad(error.to_string()))
}
