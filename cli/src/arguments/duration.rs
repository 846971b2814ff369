//! Durations as they are typed.

use std::time::Duration;

/// A number of seconds above zero and up to a day, decimals allowed.
///
/// # Errors
/// Anything else, with the reason.
pub fn seconds(text: &str) -> Result<Duration, String> {
    const DAY: f64 = 86_400.0;
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= DAY => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds above 0 and up to 86400, such as 30 or 0.5".to_owned()),
    }
}
