//! Numbers as text: the integers and scores that stand in strings and packed values.
//!
//! Promises: an integer is taken for one only in its one spelling, so text becomes a number and the same text again;
//! a score's text reads back as the same score, to the last bit; nothing here is longer than [`SCORE_BYTES_MAX`].
//! Never: accepts a score that is not a number.

use std::io::Write;

/// Bytes of the longest integer, "-9223372036854775808".
pub(crate) const INTEGER_BYTES_MAX: usize = 20;
/// Bytes of the longest text of a score that is written.
pub(crate) const SCORE_BYTES_MAX: usize = 32;

/// The integer these bytes spell: an optional minus, no plus, no leading zero, no "-0", within 64 signed bits.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if text.len() <= INTEGER_BYTES_MAX => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Writes the digits of `value` to the end of `digits` and answers where they begin.
pub(crate) fn put_digits(value: i64, digits: &mut [u8; INTEGER_BYTES_MAX]) -> usize {
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
    start
}

/// The score that this text spells. `None` for what spells none, and for "nan".
pub(crate) fn parse_score(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<f64>().ok().filter(|score| !score.is_nan())
}

/// A score as a packed value holds it: an integer where that loses nothing, else the shorter of two texts.
pub(crate) enum ScoreText {
    Integer(i64),
    Text { bytes: [u8; SCORE_BYTES_MAX], length: usize },
}

/// How `score` stands in a packed value. Minus zero becomes zero there, as in Redis.
pub(crate) fn score_text(score: f64) -> ScoreText {
    // Beyond 2^53 neighbours are more than one apart; Redis stops there too.
    const EXACT: f64 = (1u64 << 53) as f64;
    if score.fract() == 0.0 && score.abs() <= EXACT {
        return ScoreText::Integer(score as i64);
    }
    let put = |form: std::fmt::Arguments<'_>| {
        let mut bytes = [0; SCORE_BYTES_MAX];
        let mut room = bytes.as_mut_slice();
        let all = room.write_fmt(form).is_ok();
        let length = SCORE_BYTES_MAX - room.len();
        all.then_some(ScoreText::Text { bytes, length })
    };
    // Without an exponent when that is short enough ("0.1", "inf"), else with one ("1e300", at most 24 bytes).
    put(format_args!("{score}")).or_else(|| put(format_args!("{score:e}"))).unwrap_or(ScoreText::Integer(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(score: f64) -> Vec<u8> {
        match score_text(score) {
            ScoreText::Integer(integer) => integer.to_string().into_bytes(),
            ScoreText::Text { bytes, length } => bytes[..length].to_vec(),
        }
    }

    #[test]
    fn only_the_one_spelling_is_an_integer() {
        for text in ["0", "-1", "12", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(parse_integer(text.as_bytes()), text.parse().ok(), "{text}");
        }
        for text in
            ["", "-", "-0", "00", "+1", " 1", "1 ", "1.0", "9223372036854775808", "0x1", "123456789012345678901"]
        {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn scores_are_spelled_as_redis_spells_them() {
        for (score, text) in [
            (3.0, "3"),
            (-0.0, "0"),
            (1.5, "1.5"),
            (0.1, "0.1"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (1e300, "1e300"),
            (-9007199254740992.0, "-9007199254740992"),
        ] {
            assert_eq!(text_of(score), text.as_bytes());
        }
        assert_eq!(parse_score(b"1e+300"), Some(1e300));
        for text in ["nan", "-nan", "", "1,5", "\u{00bd}"] {
            assert_eq!(parse_score(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_score(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn an_integer_comes_back(value: i64) {
            let mut digits = [0; INTEGER_BYTES_MAX];
            let start = put_digits(value, &mut digits);
            prop_assert_eq!(std::str::from_utf8(&digits[start..]).unwrap(), value.to_string());
            prop_assert_eq!(parse_integer(&digits[start..]), Some(value));
        }

        #[test]
        fn a_score_comes_back_to_the_last_bit(bits: u64) {
            let score = f64::from_bits(bits);
            prop_assume!(!score.is_nan() && score != 0.0);
            prop_assert_eq!(parse_score(&text_of(score)).unwrap().to_bits(), bits);
        }
    }
}
