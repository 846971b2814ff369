//! Amounts for reading.

/// A decimal number with a comma between each three digits of its whole part: `1,000,000.00`. For reading only; what is
/// typed and what scripts read has no commas.
pub fn grouped(amount: &str) -> String {
    let (whole, rest) = amount.split_at(amount.find('.').unwrap_or(amount.len()));
    let count = whole.chars().count();
    let mut text = String::with_capacity(amount.len() + count / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (count - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quorate_protocol::document::Scale;
    use quorate_protocol::document::amount::{format_decimal, parse_decimal};
    use quorate_protocol::limits::SCALE_LIMIT;

    use super::*;

    #[test]
    fn grouping_is_for_the_whole_part_only() {
        assert_eq!(grouped("1000000.00"), "1,000,000.00");
        assert_eq!(grouped("100"), "100");
        assert_eq!(grouped("1000"), "1,000");
        assert_eq!(grouped("0.123456"), "0.123456");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_was_meant(minor: u128, places in 0..=SCALE_LIMIT) {
            let scale = Scale::new(places).unwrap();
            let shown = format_decimal(minor, scale);
            prop_assert_eq!(parse_decimal(&shown, scale), Ok(minor));
            prop_assert_eq!(grouped(&shown).replace(',', ""), shown);
        }

        #[test]
        fn any_text_is_read_as_an_amount_or_refused_without_a_panic(text in "\\PC{0,48}", places in 0..=SCALE_LIMIT) {
            let scale = Scale::new(places).unwrap();
            if let Ok(minor) = parse_decimal(&text, scale) {
                prop_assert_eq!(parse_decimal(&format_decimal(minor, scale), scale), Ok(minor));
            }
            grouped(&text);
        }
    }
}
