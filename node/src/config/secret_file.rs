//! Short files whose contents must stay with their owner.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::ConfigError;

/// Reads `file`, at most `bytes_max` bytes of text; `key` is the key of `node.toml` that names it.
///
/// # Errors
/// It cannot be read, is longer, is no text, or others may read it.
pub(crate) fn read_secret(file: &Path, key: &str, bytes_max: u64) -> Result<Zeroizing<String>, ConfigError> {
    let unreadable = |error: std::io::Error| {
        let remedy = format!("put the file there, or correct {key} in node.toml");
        ConfigError::new(file, key, error, &remedy)
    };
    let opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let remedy = format!("take the rights away: chmod 600 {}", file.display());
        return Err(ConfigError::new(file, key, format!("mode {mode:o} lets others read it"), &remedy));
    }
    // All room at once: a growing buffer would leave copies of the secret behind.
    let room = usize::try_from(bytes_max).unwrap_or(usize::MAX).saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(room));
    opened.take(bytes_max + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > bytes_max {
        let remedy = format!("correct {key} in node.toml: it names another file");
        return Err(ConfigError::new(file, key, format!("longer than {bytes_max} bytes"), &remedy));
    }
    Ok(text)
}
