//! Quantities as they are typed: `50ms`, `+500ms`, `0.1`, `1MB`.

/// The longest time that a fault may add, in milliseconds.
const TIME_MAX_MS: u64 = 60_000;
/// The least and the most bytes per second of a narrow link. Below, a link carries less than its pings.
const BANDWIDTH: std::ops::RangeInclusive<u64> = 1_000..=10_000_000_000;

/// A time in whole milliseconds, at most a minute: `50ms`, `1.5s`, `0`.
///
/// # Errors
/// Why it is none.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let value = signed_milliseconds(text).ok().and_then(|value| u64::try_from(value).ok());
    match value {
        Some(value) if value <= TIME_MAX_MS && !text.starts_with('+') => Ok(value),
        _ => Err(format!("a time from 0 to {} s, for example 50ms or 1.5s", TIME_MAX_MS / 1000)),
    }
}

/// A difference in whole milliseconds: `+500ms`, `-2s`, `0`.
///
/// # Errors
/// Why it is none.
pub fn signed_milliseconds(text: &str) -> Result<i64, String> {
    let wrong = || "a number with ms, s, m or h, for example +500ms or -2s".to_owned();
    let (number, factor) = split(text, &[("ms", 1.0), ("s", 1e3), ("m", 60e3), ("h", 3600e3)]).ok_or_else(wrong)?;
    let value = number * factor;
    // Beyond this range the number would not be exact; far inside it everything real ends.
    if value.is_finite() && value.abs() <= 1e12 && (factor > 0.0 || number == 0.0) {
        Ok(value.round() as i64)
    } else {
        Err(wrong())
    }
}

/// Bytes per second: `1MB`, `500kB`, `64KiB`.
///
/// # Errors
/// Why it is none.
pub fn bandwidth(text: &str) -> Result<u64, String> {
    let wrong = || "bytes per second from 1kB to 10GB, for example 1MB or 64KiB".to_owned();
    let text = text.trim().trim_end_matches("/s");
    let units = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("kB", 1e3),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("B", 1.0),
    ];
    let (number, factor) = split(text, &units).ok_or_else(wrong)?;
    let value = number * factor;
    if value.is_finite() && value >= 0.0 && BANDWIDTH.contains(&(value as u64)) {
        Ok(value as u64)
    } else {
        Err(wrong())
    }
}

/// A probability, in thousandths: `0.1`, `5%`.
///
/// # Errors
/// Why it is none.
pub fn permille(text: &str) -> Result<u16, String> {
    let (number, factor) = match text.trim().strip_suffix('%') {
        Some(number) => (number.trim().parse::<f64>(), 10.0),
        None => (text.trim().parse::<f64>(), 1000.0),
    };
    let value = number.map_or(f64::NAN, |number| (number * factor).round());
    if (0.0..=1000.0).contains(&value) {
        Ok(value as u16)
    } else {
        Err("a share from 0 to 1, for example 0.1".to_owned())
    }
}

/// A number and the factor of its unit; without a unit the factor is 0, which only the number 0 may do without.
fn split(text: &str, units: &[(&str, f64)]) -> Option<(f64, f64)> {
    let text = text.trim();
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 0.0));
    let number = number.trim();
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
    let value: f64 = number.parse().ok().filter(|_| plain)?;
    (factor > 0.0 || value == 0.0).then_some((value, factor))
}

/// A time in milliseconds as it is typed.
pub fn show_ms(value: u64) -> String {
    if value >= 1000 && value.is_multiple_of(1000) { format!("{} s", value / 1000) } else { format!("{value} ms") }
}

/// Bytes as they are read.
pub fn show_bytes(value: u64) -> String {
    match value {
        1_000_000.. => format!("{} MB", value as f64 / 1e6),
        1_000.. => format!("{} kB", value as f64 / 1e3),
        _ => format!("{value} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit_and_bounded() {
        let good = [("50ms", 50), ("1.5s", 1500), ("0", 0), ("0ms", 0), ("1m", 60_000), (" 7 ms", 7)];
        for (text, value) in good {
            assert_eq!(milliseconds(text), Ok(value), "{text}");
        }
        for text in ["50", "-1ms", "+1ms", "61s", "", "ms", "1e3ms", "infms", "NaNs", "9999999999999999h"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
        for (text, value) in [("+500ms", 500), ("-2s", -2000), ("0", 0), ("1h", 3_600_000)] {
            assert_eq!(signed_milliseconds(text), Ok(value), "{text}");
        }
        assert!(signed_milliseconds("+5").is_err() && signed_milliseconds("--5ms").is_err());
    }

    #[test]
    fn rates_and_shares_are_read_and_bounded() {
        for (text, value) in [("1MB", 1_000_000), ("500kB/s", 500_000), ("64KiB", 65_536), ("1000B", 1000)] {
            assert_eq!(bandwidth(text), Ok(value), "{text}");
        }
        for text in ["0B", "1", "999B", "11GB", "-1MB", "MB"] {
            assert!(bandwidth(text).is_err(), "{text}");
        }
        for (text, value) in [("0.1", 100), ("5%", 50), ("1", 1000), ("0", 0)] {
            assert_eq!(permille(text), Ok(value), "{text}");
        }
        for text in ["1.1", "-0.1", "101%", "x", "NaN"] {
            assert!(permille(text).is_err(), "{text}");
        }
    }
}
