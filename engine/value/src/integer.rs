//! Integers as Redis reads and writes them in strings.
//!
//! Promises: exactly the spellings that Redis accepts: an optional minus, no plus, no space, no leading zero, no "-0",
//! and nothing outside a signed 64-bit number. So a string that parses is the string that printing gives back, which is
//! what lets a value be called an integer by its bytes alone.
//! Never: wraps. Arithmetic that does not fit is an answer of its own.

/// Bytes of the longest integer, "-9223372036854775808".
pub const INTEGER_BYTES_MAX: usize = 20;

/// The signed integer these bytes spell, or `None` if they are not the one spelling of a number.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    if text.len() > INTEGER_BYTES_MAX {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    if negative {
        // The lowest number has no positive twin: 0 - magnitude reaches it, -(magnitude) would not.
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Appends the decimal digits of `value`.
pub fn put_integer(value: i64, into: &mut Vec<u8>) {
    let mut digits = [0; INTEGER_BYTES_MAX];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    into.extend_from_slice(&digits[start..]);
}

/// Why an increment was refused.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum IncrementError {
    /// The old value is not an integer.
    NotAnInteger,
    /// The sum does not fit a signed 64-bit number.
    Overflow,
}

/// The old value (a missing one counts as 0) plus `by`.
pub fn increment(old: Option<&[u8]>, by: i64) -> Result<i64, IncrementError> {
    let old = match old {
        Some(text) => parse_integer(text).ok_or(IncrementError::NotAnInteger)?,
        None => 0,
    };
    old.checked_add(by).ok_or(IncrementError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_one_spelling_of_a_number_is_a_number() {
        for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "-01", "00", "1.0", "1e3", "0x1", "--1", "1\0"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
        for text in ["9223372036854775808", "-9223372036854775809", "99999999999999999999", "100000000000000000000"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn the_limits_are_numbers() {
        assert_eq!(parse_integer(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_integer(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_integer(b"0"), Some(0));
    }

    #[test]
    fn an_increment_never_wraps() {
        assert_eq!(increment(None, i64::MIN), Ok(i64::MIN));
        assert_eq!(increment(Some(b"9223372036854775807"), 1), Err(IncrementError::Overflow));
        assert_eq!(increment(Some(b"-9223372036854775808"), -1), Err(IncrementError::Overflow));
        assert_eq!(increment(Some(b"-1"), i64::MIN), Err(IncrementError::Overflow));
        assert_eq!(increment(Some(b"1"), i64::MIN), Ok(i64::MIN + 1));
        assert_eq!(increment(Some(b"one"), 1), Err(IncrementError::NotAnInteger));
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree_with_the_standard_library(value in any::<i64>(), shift in 0u32..64) {
            let value = value >> shift;
            let mut text = Vec::new();
            put_integer(value, &mut text);
            prop_assert_eq!(text.clone(), value.to_string().into_bytes());
            prop_assert_eq!(parse_integer(&text), Some(value));
        }

        #[test]
        fn what_parses_prints_the_same(text in "[-+ 0-9]{0,22}") {
            if let Some(value) = parse_integer(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }
    }
}
