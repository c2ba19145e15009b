//! The floats of INCRBYFLOAT: 80-bit extended numbers, as Redis has them on x86-64, done in integers.
//!
//! Why not f64: Redis adds in `long double` and prints 17 digits behind the point, then drops the zeros. In 64 bits
//! 3.0 + 1.1 is 4.0999999999999996447, and a client would read `4.09999999999999964` where Redis says `4.1`. The eleven
//! extra bits of an extended float hide the error behind the 17th digit. Rust has no such type, so here it is:
//!
//! ```text
//!   value = (-1)^negative * mantissa * 2^exponent      mantissa: 64 bits, the top bit set (unless tiny or zero)
//!   largest: (2^64 - 1) * 2^16320       smallest step: 2^-16445 (numbers below 2^-16382 keep fewer bits)
//! ```
//!
//! Promises: parsing, addition and printing round to nearest, ties to even, exactly as the processor and libc do;
//! work and memory are bounded by the longest text (5,119 bytes) and the largest exponent.
//! Never: holds an infinity or a NaN; what would be one is an error. (Redis reads `inf` and then refuses the sum, so do we.)

use crate::natural::Natural;
use std::cmp::Ordering;

/// Longest text that can be a float: Redis's buffer of 5 KiB less its end mark.
pub const FLOAT_TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Digits printed behind the point before zeros are dropped.
const FRACTION_DIGITS: u32 = 17;
const MANTISSA_BITS: u64 = 64;
const EXPONENT_MIN: i64 = -16445;
const EXPONENT_MAX: i64 = 16383 - 63;
/// Decimal exponents beyond this are certainly infinite or zero, whatever the at most 5,119 digits are.
const DECIMAL_EXPONENT_LIMIT: i64 = 11_000;

/// A finite extended float.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

/// What a text spells, if it spells a float at all.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ParsedFloat {
    /// A finite number.
    Finite(Extended),
    /// `inf` or `infinity` in any case, with either sign. Nothing can be computed with it.
    Infinite,
}

impl Extended {
    const ZERO: Extended = Extended { negative: false, mantissa: 0, exponent: 0 };

    /// The sum, or `None` if it is too large to be finite.
    pub fn checked_add(self, other: Extended) -> Option<Extended> {
        let (large, small) = if self.key() >= other.key() { (self, other) } else { (other, self) };
        if small.mantissa == 0 {
            return Some(large);
        }
        // 62 bits of room below and one bit for the carry above: what falls off the small number's end is kept as one
        // sticky bit, far below the place where rounding looks.
        const ROOM_BITS: u32 = 62;
        let distance = (large.exponent - small.exponent) as u32;
        let high = u128::from(large.mantissa) << ROOM_BITS;
        let full = u128::from(small.mantissa) << ROOM_BITS;
        let moved = full.checked_shr(distance).unwrap_or(0);
        let lost = moved.checked_shl(distance).unwrap_or(0) != full;
        let low = moved | u128::from(lost);
        let (sum, negative) = if large.negative == small.negative {
            (high + low, large.negative)
        } else if high >= low {
            (high - low, large.negative)
        } else {
            (low - high, small.negative)
        };
        if sum == 0 {
            return Some(Extended::ZERO);
        }
        round(negative, Natural::from_double_word(sum), i64::from(large.exponent) - i64::from(ROOM_BITS), false)
    }

    /// The product with 10^`tens`, rounded up to a whole number: milliseconds of seconds, with 3. What an i64 cannot hold is its
    /// largest or smallest.
    pub fn whole_above(self, tens: u32) -> i64 {
        let mut product = Natural::from_word(self.mantissa);
        product.multiply_tens(tens);
        // As the processor multiplies: the product is rounded to a float before its fraction is looked at.
        let rounded = round(self.negative, product, i64::from(self.exponent), false);
        let Some(Extended { mantissa, exponent, .. }) = rounded.filter(|rounded| rounded.exponent <= 0) else {
            return if self.negative { i64::MIN } else { i64::MAX };
        };
        let whole = mantissa.checked_shr(exponent.unsigned_abs()).unwrap_or(0);
        let has_fraction = whole.checked_shl(exponent.unsigned_abs()) != Some(mantissa);
        match self.negative {
            true => 0i64.checked_sub_unsigned(whole).unwrap_or(i64::MIN),
            false => i64::try_from(whole.saturating_add(u64::from(has_fraction))).unwrap_or(i64::MAX),
        }
    }

    /// Orders by exponent, so that the number that must not be shifted comes first; zero comes last.
    fn key(self) -> (bool, i32) {
        (self.mantissa != 0, self.exponent)
    }

    /// Appends the number as Redis prints it: no exponent, 17 digits behind the point, trailing zeros dropped.
    pub fn put_decimal(self, into: &mut Vec<u8>) {
        let mut scaled = Natural::from_word(self.mantissa);
        scaled.multiply_tens(FRACTION_DIGITS);
        if self.exponent >= 0 {
            scaled.shift_left(self.exponent as u32);
        } else {
            let against_half = scaled.shift_right(u64::from(self.exponent.unsigned_abs()));
            round_up_if(&mut scaled, against_half);
        }
        // libc prints "-0.000..." and Redis turns the "-0" that is left into "0".
        if self.negative && !scaled.is_zero() {
            into.push(b'-');
        }
        let digits = scaled.into_decimal();
        let fraction_digits = FRACTION_DIGITS as usize;
        let whole_digits = digits.len().saturating_sub(fraction_digits);
        if whole_digits == 0 {
            into.push(b'0');
        } else {
            into.extend_from_slice(&digits[..whole_digits]);
        }
        let leading_zeros = fraction_digits - (digits.len() - whole_digits);
        let fraction = &digits[whole_digits..];
        let kept = fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        if kept > 0 {
            into.push(b'.');
            into.extend(std::iter::repeat_n(b'0', leading_zeros));
            into.extend_from_slice(&fraction[..kept]);
        }
    }
}

impl From<i64> for Extended {
    fn from(value: i64) -> Extended {
        let magnitude = value.unsigned_abs();
        if magnitude == 0 {
            return Extended::ZERO;
        }
        let shift = magnitude.leading_zeros();
        Extended { negative: value < 0, mantissa: magnitude << shift, exponent: -(shift as i32) }
    }
}

fn round_up_if(number: &mut Natural, against_half: Ordering) {
    if against_half == Ordering::Greater || (against_half == Ordering::Equal && number.is_odd()) {
        number.multiply_add(1, 1);
    }
}

/// number * 2^exponent to the nearest extended float; `sticky` says that a little more than `number` is meant.
/// `None` if it is too large. The result may be zero.
fn round(negative: bool, mut number: Natural, mut exponent: i64, sticky: bool) -> Option<Extended> {
    if number.is_zero() {
        return Some(Extended { negative, ..Extended::ZERO });
    }
    let excess = (number.bits() as i64 - MANTISSA_BITS as i64).max(EXPONENT_MIN - exponent);
    if excess > 0 {
        let mut against_half = number.shift_right(excess as u64);
        if sticky && against_half == Ordering::Equal {
            against_half = Ordering::Greater;
        }
        round_up_if(&mut number, against_half);
        exponent += excess;
    } else {
        assert!(!sticky, "a number with a sticky rest must come with more bits than a mantissa has");
    }
    if number.is_zero() {
        return Some(Extended { negative, ..Extended::ZERO });
    }
    if number.bits() > MANTISSA_BITS {
        // Rounded up to 2^64 exactly: nothing is cut here.
        number.shift_right(1);
        exponent += 1;
    }
    // Bring the top bit up, as far as the smallest exponent allows.
    let mantissa = number.low_word();
    let up = i64::from(mantissa.leading_zeros()).min(exponent - EXPONENT_MIN);
    let exponent = exponent - up;
    if exponent > EXPONENT_MAX {
        return None;
    }
    Some(Extended { negative, mantissa: mantissa << up, exponent: exponent as i32 })
}

/// The float these bytes spell as libc's `strtold` reads it, all of them and without space before: decimal with or
/// without point and exponent, hexadecimal (`0x1.8p3`), `inf`. `None` for anything else, for NaN, and for numbers
/// that are too large, or too small but not zero.
pub fn parse_float(text: &[u8]) -> Option<ParsedFloat> {
    if text.is_empty() || text.len() > FLOAT_TEXT_BYTES_MAX {
        return None;
    }
    let (negative, body) = match text {
        [b'-', body @ ..] => (true, body),
        [b'+', body @ ..] => (false, body),
        body => (false, body),
    };
    if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
        return Some(ParsedFloat::Infinite);
    }
    let finite = match body {
        [b'0', b'x' | b'X', hexadecimal @ ..] => parse_digits(negative, hexadecimal, Radix::Sixteen),
        decimal => parse_digits(negative, decimal, Radix::Ten),
    };
    finite.map(ParsedFloat::Finite)
}

#[derive(Copy, Clone, Eq, PartialEq)]
enum Radix {
    Ten,
    Sixteen,
}

fn parse_digits(negative: bool, text: &[u8], radix: Radix) -> Option<Extended> {
    let (base, mark) = match radix {
        Radix::Ten => (10, b'e'),
        Radix::Sixteen => (16, b'p'),
    };
    let mut number = Natural::from_word(0);
    let mut digits_seen = false;
    let mut point_seen = false;
    let mut digits_after_point = 0i64;
    let mut place = 0;
    while let Some(&byte) = text.get(place) {
        if let Some(digit) = (byte as char).to_digit(base) {
            number.multiply_add(u64::from(base), u64::from(digit));
            digits_seen = true;
            digits_after_point += i64::from(point_seen);
        } else if byte == b'.' && !point_seen {
            point_seen = true;
        } else {
            break;
        }
        place += 1;
    }
    if !digits_seen {
        return None;
    }
    let exponent = match &text[place..] {
        [] => 0,
        [first, exponent @ ..] if first.eq_ignore_ascii_case(&mark) => parse_exponent(exponent)?,
        _ => return None,
    };
    if number.is_zero() {
        return Some(Extended { negative, ..Extended::ZERO });
    }
    let rounded = match radix {
        Radix::Sixteen => round(negative, number, exponent - 4 * digits_after_point, false)?,
        Radix::Ten => {
            let exponent = exponent - digits_after_point;
            if exponent.abs() > DECIMAL_EXPONENT_LIMIT {
                return None;
            }
            if exponent >= 0 {
                number.multiply_tens(exponent as u32);
                round(negative, number, 0, false)?
            } else {
                // Enough bits in front that 66 or more are left behind the division: 10^n has at most 10 n / 3 + 1 bits.
                let tens = exponent.unsigned_abs() as u32;
                let room = (tens * 10 / 3 + 70).saturating_sub(number.bits() as u32);
                number.shift_left(room);
                let sticky = number.divide_tens(tens);
                round(negative, number, -i64::from(room), sticky)?
            }
        }
    };
    // A number that vanished is out of range; a zero was answered above.
    (rounded.mantissa != 0).then_some(rounded)
}

/// The exponent behind `e` or `p`; a huge one becomes a large one, which is just as infinite or as zero.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut exponent = 0i64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        exponent = (exponent * 10 + i64::from(digit - b'0')).min(1 << 40);
    }
    Some(if negative { -exponent } else { exponent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finite(text: &str) -> Extended {
        match parse_float(text.as_bytes()) {
            Some(ParsedFloat::Finite(number)) => number,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    fn printed(number: Extended) -> String {
        let mut text = Vec::new();
        number.put_decimal(&mut text);
        String::from_utf8(text).unwrap()
    }

    fn sum(left: &str, right: &str) -> String {
        printed(finite(left).checked_add(finite(right)).unwrap())
    }

    #[test]
    fn sums_are_what_redis_prints() {
        for (left, right, expected) in [
            ("3", "1.1", "4.1"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("1", "-1", "0"),
            ("-0", "-0", "0"),
            ("0", "-0.00000000000000000001", "0"),
            ("1e17", "1", "100000000000000001"),
            ("17179869184", "1.5", "17179869185.5"),
            ("0x10", "0x.8p1", "17"),
            ("1e-17", "0", "0.00000000000000001"),
            ("9223372036854775807", "1", "9223372036854775808"),
        ] {
            assert_eq!(sum(left, right), expected, "{left} + {right}");
        }
    }

    #[test]
    fn seconds_become_milliseconds_rounded_up() {
        for (text, milliseconds) in [
            ("0", 0),
            ("-0", 0),
            ("1", 1000),
            ("0.001", 1),
            ("0.0001", 1),
            ("1e-400", 1),
            ("1.0005", 1001),
            ("2.5", 2500),
            ("-1", -1000),
            ("-0.0001", 0),
            ("-1.0005", -1000),
            ("9223372036854775", 9_223_372_036_854_775_000),
            ("9223372036854776", i64::MAX),
            ("1e4000", i64::MAX),
            ("-9223372036854776", i64::MIN),
            ("-1e4000", i64::MIN),
        ] {
            assert_eq!(finite(text).whole_above(3), milliseconds, "{text}");
        }
    }

    #[test]
    fn every_way_to_spell_a_float_and_nothing_else() {
        for text in ["1", "+1", "-1.", ".5", "1e5", "1E+5", "1e-5", "0x1p-4", "0X1.8P1", "0x.8", "00012"] {
            assert!(matches!(parse_float(text.as_bytes()), Some(ParsedFloat::Finite(_))), "{text}");
        }
        for text in [
            "", " 1", "1 ", "-", "+", ".", "e5", "1e", "1e+", "0x", "0x.", "0x1p", "nan", "-nan", "nan(1)", "1a",
            "1..2", "infi", "--1", "1e5.0",
        ] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
        }
        for text in ["inf", "-INF", "+Infinity"] {
            assert_eq!(parse_float(text.as_bytes()), Some(ParsedFloat::Infinite), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_and_the_last_ones_in_are_not() {
        assert!(parse_float(b"1.18973149535723176502e+4932").is_some());
        assert_eq!(parse_float(b"1.18973149535723176509e+4932"), None);
        assert_eq!(parse_float(b"1e4933"), None);
        assert_eq!(parse_float(b"1e99999999999999999999"), None);
        assert!(parse_float(b"3.6e-4951").is_some());
        assert_eq!(parse_float(b"1e-4951"), None);
        assert_eq!(parse_float(b"1e-99999999999999999999"), None);
        assert!(parse_float(b"0e99999999999999999999").is_some());
        assert_eq!(parse_float(b"0x1p16384"), None);
        assert!(parse_float(b"0x1p16383").is_some());
        assert!(parse_float(b"0x1p-16445").is_some());
        assert_eq!(parse_float(b"0x1p-16446"), None, "half of the smallest number is zero by the tie to even");
        let largest = finite("1.18973149535723176502e+4932");
        assert_eq!(largest.checked_add(largest), None);
        assert_eq!(parse_float(&[b'1'; FLOAT_TEXT_BYTES_MAX + 1]), None);
    }

    #[test]
    fn a_mantissa_holds_every_integer_of_64_bits() {
        for value in [0, 1, -1, 10, i64::MAX, i64::MIN, 1 << 62] {
            assert_eq!(printed(Extended::from(value)), value.to_string());
            assert_eq!(Extended::from(value), finite(&value.to_string()));
        }
    }

    #[test]
    fn the_value_of_a_tenth_is_the_extended_one() {
        // 0.1 in 64 bits of mantissa is 0xCCCCCCCCCCCCCCCD * 2^-67.
        assert_eq!(finite("0.1"), Extended { negative: false, mantissa: 0xCCCC_CCCC_CCCC_CCCD, exponent: -67 });
    }

    proptest! {
        #[test]
        fn integer_sums_are_exact(left in any::<i32>(), right in any::<i32>(), tenths in 0u32..10) {
            prop_assert_eq!(sum(&left.to_string(), &right.to_string()), (i64::from(left) + i64::from(right)).to_string());
            // Below 32 an extended float's error hides behind the 17th digit.
            let small = format!("{}.{tenths}", left.rem_euclid(10));
            let doubled = 2 * (left.rem_euclid(10) * 10 + tenths as i32);
            let expected = format!("{}.{}", doubled / 10, doubled % 10);
            prop_assert_eq!(sum(&small, &small), expected.strip_suffix(".0").unwrap_or(&expected));
        }

        #[test]
        fn a_double_survives_the_wider_type(mantissa in any::<i64>(), down in 0i32..63) {
            let value = mantissa as f64 / f64::powi(2.0, down);
            // A double is an extended float with eleven zero bits: the same 17 digits are printed.
            let plain = format!("{value:.17}");
            let plain = plain.trim_end_matches('0').trim_end_matches('.').to_owned();
            let all_digits = format!("{value:.80}");
            prop_assert_eq!(printed(finite(&all_digits)), plain);
        }

        #[test]
        fn addition_commutes_and_never_panics(left in "-?[0-9]{1,30}(\\.[0-9]{0,30})?(e-?[0-9]{1,4})?", right in "-?[0-9]{1,25}(e-?[0-9]{1,4})?") {
            if let (Some(ParsedFloat::Finite(left)), Some(ParsedFloat::Finite(right))) = (parse_float(left.as_bytes()), parse_float(right.as_bytes())) {
                prop_assert_eq!(left.checked_add(right), right.checked_add(left));
                if let Some(total) = left.checked_add(right) {
                    printed(total);
                }
            }
        }

        #[test]
        fn foreign_bytes_never_panic(text in any::<Vec<u8>>()) {
            let _ = parse_float(&text);
        }
    }
}
