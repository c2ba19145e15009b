//! Doubles as text: what C's `strtod` makes of bytes, to the nearest f64.
//!
//! ```text
//!   3   -2.5   .5   5.   1e3   0x1.8p3 (12)   inf   +Infinity
//! ```
//!
//! Promises: reads all of the text or nothing of it; rounds to nearest, ties to even, tiny numbers too; work is linear.
//! Never: gives a NaN, skips a blank, allocates.

/// Bits of a double's fraction with the one before it.
const FRACTION_BITS: i64 = 53;
/// Exponents of the largest and the smallest double that keep all bits.
const EXPONENT_MAX: i64 = 1023;
const EXPONENT_MIN: i64 = -1022;
/// Exponents written in a text count up to here: what is beyond is just as infinite or as zero.
const EXPONENT_READ_MAX: i64 = 1 << 40;

/// The double nearest to what these bytes spell. What is too large is an infinity, what is too small a zero.
pub fn nearest_double(text: &[u8]) -> Option<f64> {
    let (negative, body) = signed(text);
    let size = if is_infinity(body) {
        f64::INFINITY
    } else if let [b'0', b'x' | b'X', digits @ ..] = body {
        hexadecimal(digits)?
    } else {
        decimal(body)?
    };
    Some(if negative { -size } else { size })
}

/// The same, but what is too large, or too small and not zero, is no number.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let value = nearest_double(text)?;
    let (_, body) = signed(text);
    let fits = match value {
        value if value.is_infinite() => is_infinity(body),
        0.0 => !has_digit_above_zero(body),
        _ => true,
    };
    fits.then_some(value)
}

fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', body @ ..] => (true, body),
        [b'+', body @ ..] => (false, body),
        body => (false, body),
    }
}

fn is_infinity(body: &[u8]) -> bool {
    body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity")
}

/// Whether there is a digit but 0 before the exponent of a number that was read.
fn has_digit_above_zero(body: &[u8]) -> bool {
    let (digits, mark) = match body {
        [b'0', b'x' | b'X', digits @ ..] => (digits, b'p'),
        digits => (digits, b'e'),
    };
    let fraction = digits.split(|byte| byte.eq_ignore_ascii_case(&mark)).next().unwrap_or(digits);
    fraction.iter().any(|byte| !matches!(byte, b'0' | b'.'))
}

fn decimal(body: &[u8]) -> Option<f64> {
    // The words for infinity and NaN that `parse` knows, and a second sign, are not for here.
    if !body.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.') {
        return None;
    }
    std::str::from_utf8(body).ok()?.parse().ok()
}

/// The number behind `0x`: digits, a point among them, and perhaps `p` and a power of two.
fn hexadecimal(text: &[u8]) -> Option<f64> {
    let mut digits = Digits::default();
    let mut any = false;
    let mut point = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (*byte as char).to_digit(16) {
            Some(digit) => {
                any = true;
                digits.push(u64::from(digit), point);
            }
            None if *byte == b'.' && !point => point = true,
            None => break,
        }
        at += 1;
    }
    let power = match &text[at..] {
        [] => 0,
        [b'p' | b'P', power @ ..] => exponent(power)?,
        _ => return None,
    };
    any.then(|| digits.nearest(power))
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = signed(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0, |size: i64, digit| (size * 10 + i64::from(digit - b'0')).min(EXPONENT_READ_MAX));
    Some(if negative { -size } else { size })
}

/// Hexadecimal digits: number * 2^exponent, and whether digits that are not 0 found no place any more.
#[derive(Default)]
struct Digits {
    number: u64,
    exponent: i64,
    more: bool,
}

impl Digits {
    fn push(&mut self, digit: u64, behind_point: bool) {
        if self.number >> 60 == 0 {
            self.number = self.number << 4 | digit;
            self.exponent -= if behind_point { 4 } else { 0 };
        } else {
            self.more |= digit != 0;
            self.exponent += if behind_point { 0 } else { 4 };
        }
    }

    /// The nearest double to these digits times 2^power.
    fn nearest(&self, power: i64) -> f64 {
        if self.number == 0 {
            return 0.0;
        }
        let up = self.number.leading_zeros();
        let number = self.number << up;
        // The value is 1.something * 2^exponent.
        let exponent = self.exponent + power - i64::from(up) + 63;
        if exponent > EXPONENT_MAX {
            return f64::INFINITY;
        }
        // Below the smallest exponent each step costs one bit of the fraction.
        let kept_bits = FRACTION_BITS - (EXPONENT_MIN - exponent).max(0);
        if kept_bits < 0 {
            return 0.0;
        }
        // One bit more, at the end, stands for the digits that found no place.
        let wide = u128::from(number) << 1 | u128::from(self.more);
        let dropped_bits = 65 - kept_bits as u32;
        let kept = (wide >> dropped_bits) as u64;
        let rest = wide & ((1 << dropped_bits) - 1);
        let half = 1 << (dropped_bits - 1);
        let rounded = kept + u64::from(rest > half || (rest == half && kept & 1 == 1));
        // A carry out of the fraction raises the exponent by itself, up to infinity's.
        let steps = (exponent.max(EXPONENT_MIN) - EXPONENT_MIN) as u64;
        f64::from_bits((steps << (FRACTION_BITS - 1)) + rounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_read_as_c_reads_them() {
        for (text, value) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("+3", 3.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("-1.5e3", -1500.0),
            ("1E-2", 0.01),
            ("0x10", 16.0),
            ("-0X1.8p3", -12.0),
            ("0x.8", 0.5),
            ("0x1p-1074", 5e-324),
            ("1e-320", 1e-320),
            ("inf", f64::INFINITY),
            ("+Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("0e999", 0.0),
            ("0x0p999", 0.0),
        ] {
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", "+", ".", "e5", "1e", "1e+", "1x", " 1", "1 ", "--1", "+-1", "nan", "-nan", "infin", "0x", "0x.",
            "0x1p", "0x1g", "1_0", "1,5", "0x-1", "1\0",
        ] {
            assert_eq!(nearest_double(text.as_bytes()), None, "{text}");
        }
        assert_eq!(nearest_double(b"\xFF1"), None);
    }

    #[test]
    fn what_does_not_fit_is_refused_or_becomes_an_edge() {
        for (text, edge) in [
            ("1e400", f64::INFINITY),
            ("-1e400", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("0x1p1024", f64::INFINITY),
            ("0x1p-1075", 0.0),
            ("0x1p99999999999999999999", f64::INFINITY),
            ("0x1p-99999999999999999999", 0.0),
        ] {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
            assert_eq!(nearest_double(text.as_bytes()), Some(edge), "{text}");
        }
    }

    #[test]
    fn hexadecimal_halves_go_to_the_even_neighbour() {
        let next = f64::from_bits(1f64.to_bits() + 1);
        assert_eq!(nearest_double(b"0x1.00000000000008"), Some(1.0));
        assert_eq!(nearest_double(b"0x1.000000000000080000000000000000001"), Some(next));
        assert_eq!(nearest_double(b"0x1.00000000000018"), Some(f64::from_bits(1f64.to_bits() + 2)));
        assert_eq!(nearest_double(b"0x1.fffffffffffff8p1023"), Some(f64::INFINITY));
        assert_eq!(nearest_double(b"0x1.8p-1075"), Some(5e-324));
        assert_eq!(nearest_double(b"0x0.fffffffffffffcp-1022"), Some(f64::MIN_POSITIVE));
    }

    proptest! {
        #[test]
        fn a_double_is_read_back_from_decimal_and_hexadecimal(value in any::<f64>().prop_filter("a number", |value| !value.is_nan())) {
            prop_assert_eq!(parse_double(format!("{value}").as_bytes()), Some(value));
            prop_assert_eq!(parse_double(format!("{value:e}").as_bytes()), Some(value));
            if value.is_finite() {
                let bits = value.abs().to_bits();
                let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52) as i64);
                let (one, power) = if exponent == 0 { (0, -1022) } else { (1, exponent - 1023) };
                let sign = if value.is_sign_negative() { "-" } else { "" };
                prop_assert_eq!(parse_double(format!("{sign}0x{one}.{fraction:013x}p{power}").as_bytes()), Some(value));
            }
        }

        #[test]
        fn foreign_bytes_never_panic(text in any::<Vec<u8>>(), digits in "0x[0-9a-f.]{0,40}p?-?[0-9]{0,30}") {
            let _ = parse_double(&text);
            prop_assert!(nearest_double(digits.as_bytes()).is_none_or(|value| !value.is_nan()));
        }
    }
}
