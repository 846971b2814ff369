//! Amounts as text: decimal strings of minor units in JSON, with the asset's scale where people read and write them.

use crate::document::scale::Scale;
use serde::{Deserialize, Deserializer, Serializer};

/// Digits of the largest amount.
const DIGITS_MAX: usize = 39;

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// It is not written in the one way that amounts are.
    #[error("amount {text:?} is not a plain decimal number: write digits, without sign, separators or leading zeros")]
    Form {
        /// What was read, shortened.
        text: String,
    },
    /// It has more decimal places than the asset.
    #[error("amount {text:?} has more than {scale} decimal places, which is all that this asset has")]
    TooFine {
        /// What was read, shortened.
        text: String,
        /// Decimal places of the asset.
        scale: u8,
    },
    /// It exceeds 128 bits.
    #[error("amount {text:?} is too large: amounts have 128 bits")]
    TooLarge {
        /// What was read, shortened.
        text: String,
    },
}

fn shortened(text: &str) -> String {
    text.chars().take(48).collect()
}

/// Reads minor units: decimal digits without sign or leading zeros.
///
/// # Errors
///
/// When the text is written otherwise or exceeds 128 bits.
pub fn parse_minor(text: &str) -> Result<u128, AmountError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(AmountError::Form { text: shortened(text) });
    }
    if text.len() > DIGITS_MAX {
        return Err(AmountError::TooLarge { text: shortened(text) });
    }
    text.parse().map_err(|_| AmountError::TooLarge { text: shortened(text) })
}

/// Reads an amount as people write it ("12.50") into minor units of an asset with this scale.
///
/// # Errors
///
/// When the text is no plain decimal number, is finer than the scale, or exceeds 128 bits.
pub fn parse_decimal(text: &str, scale: Scale) -> Result<u128, AmountError> {
    let form = || AmountError::Form { text: shortened(text) };
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(form()),
        None => (text, ""),
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(form());
    }
    let places = usize::from(scale.get());
    if fraction.len() > places {
        return Err(AmountError::TooFine { text: shortened(text), scale: scale.get() });
    }
    let too_large = || AmountError::TooLarge { text: shortened(text) };
    let whole = parse_minor(whole).map_err(|error| match error {
        AmountError::TooLarge { .. } => too_large(),
        _ => form(),
    })?;
    let padded = format!("{fraction:0<places$}");
    let fraction = if padded.is_empty() { 0 } else { padded.parse::<u128>().map_err(|_| form())? };
    let unit = 10u128.pow(u32::from(scale.get()));
    whole.checked_mul(unit).and_then(|minor| minor.checked_add(fraction)).ok_or_else(too_large)
}

/// Writes minor units with all decimal places of the scale ("12.50").
pub fn format_decimal(minor: u128, scale: Scale) -> String {
    let places = usize::from(scale.get());
    if places == 0 {
        return minor.to_string();
    }
    let unit = 10u128.pow(u32::from(scale.get()));
    format!("{}.{:0places$}", minor / unit, minor % unit)
}

/// For `#[serde(with = "minor")]`: minor units as a decimal string, since JSON numbers lose digits.
pub mod minor {
    use super::*;

    /// Writes the digits.
    ///
    /// # Errors
    ///
    /// The serializer's.
    pub fn serialize<S: Serializer>(amount: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    /// Reads what [`parse_minor`] reads.
    ///
    /// # Errors
    ///
    /// When the text is no amount of minor units.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_minor(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(places: u8) -> Scale {
        Scale::new(places).expect("a scale")
    }

    #[test]
    fn amounts_are_read_in_one_form_only() {
        assert_eq!(parse_minor("0"), Ok(0));
        assert_eq!(parse_minor(&u128::MAX.to_string()), Ok(u128::MAX));
        for bad in ["", "-1", "+1", "01", "1.0", " 1", "1e3", "1_000", "٣"] {
            assert!(matches!(parse_minor(bad), Err(AmountError::Form { .. })), "{bad:?}");
        }
        assert!(matches!(parse_minor("340282366920938463463374607431768211456"), Err(AmountError::TooLarge { .. })));
        assert!(matches!(parse_minor(&"9".repeat(100)), Err(AmountError::TooLarge { .. })));
    }

    #[test]
    fn decimal_amounts_follow_the_scale() {
        assert_eq!(parse_decimal("12.50", scale(2)), Ok(1250));
        assert_eq!(parse_decimal("12.5", scale(2)), Ok(1250));
        assert_eq!(parse_decimal("12", scale(2)), Ok(1200));
        assert_eq!(parse_decimal("0.01", scale(2)), Ok(1));
        assert_eq!(parse_decimal("7", scale(0)), Ok(7));
        assert!(matches!(parse_decimal("12.505", scale(2)), Err(AmountError::TooFine { .. })));
        assert!(matches!(parse_decimal("1.", scale(2)), Err(AmountError::Form { .. })));
        assert!(matches!(parse_decimal(".5", scale(2)), Err(AmountError::Form { .. })));
        assert!(matches!(parse_decimal("1.-5", scale(2)), Err(AmountError::Form { .. })));
        assert!(matches!(parse_decimal(&u128::MAX.to_string(), scale(2)), Err(AmountError::TooLarge { .. })));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (minor, places, text) in
            [(1250, 2, "12.50"), (1, 2, "0.01"), (0, 2, "0.00"), (7, 0, "7"), (5, 18, "0.000000000000000005")]
        {
            assert_eq!(format_decimal(minor, scale(places)), text);
            assert_eq!(parse_decimal(text, scale(places)), Ok(minor));
        }
        assert_eq!(parse_decimal(&format_decimal(u128::MAX, scale(18)), scale(18)), Ok(u128::MAX));
    }
}
