//! By what elements are compared, and the comparison.
//!
//! Promises: numbers as C's `strtod` reads them, or a refusal; a missing weight is 0 among numbers and first among texts; equal
//! numbers go by the elements' bytes. Never: an order that depends on the order before, but for texts that are equal.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::pattern::{Pattern, values};
use crate::command::context::Context;
use crate::command::reply::CommandError;

const NOT_A_NUMBER: CommandError = CommandError::Static("ERR One or more scores can't be converted into double");

/// An element and its weight.
pub(super) struct Weighed<'n> {
    pub(super) element: &'n [u8],
    weight: Weight<'n>,
}

enum Weight<'n> {
    Number(f64),
    /// `None`: the key is missing.
    Text(Option<Cow<'n, [u8]>>),
}

/// Weighs elements by numbers: their own, or those that a pattern finds.
pub(super) fn numbers<'n>(
    context: &Context<'n, '_>,
    elements: Vec<&'n [u8]>,
    by: Option<&Pattern<'_>>,
) -> Result<Vec<Weighed<'n>>, CommandError> {
    let own = |element: &'n [u8]| number(element).ok_or(NOT_A_NUMBER);
    let weigh = |element, number| Weighed { element, weight: Weight::Number(number) };
    let Some(pattern) = by else {
        return elements.into_iter().map(|element| Ok(weigh(element, own(element)?))).collect();
    };
    let found = values(context, elements.iter().map(|element| (pattern, *element)))?;
    let found = found.into_iter().map(|value| value.map_or(Ok(0.0), |value| number(&value).ok_or(NOT_A_NUMBER)));
    elements.into_iter().zip(found).map(|(element, number)| Ok(weigh(element, number?))).collect()
}

/// Weighs elements by texts: their own, or those that a pattern finds.
pub(super) fn texts<'n>(
    context: &Context<'n, '_>,
    elements: Vec<&'n [u8]>,
    by: Option<&Pattern<'_>>,
) -> Result<Vec<Weighed<'n>>, CommandError> {
    let weigh = |element, text| Weighed { element, weight: Weight::Text(text) };
    let Some(pattern) = by else {
        return Ok(elements.into_iter().map(|element| weigh(element, Some(Cow::Borrowed(element)))).collect());
    };
    let found = values(context, elements.iter().map(|element| (pattern, *element)))?;
    Ok(elements.into_iter().zip(found).map(|(element, text)| weigh(element, text)).collect())
}

/// Puts them in order.
pub(super) fn sort(weighed: &mut [Weighed<'_>], descending: bool) {
    weighed.sort_by(|left, right| {
        let order = compare(left, right);
        if descending { order.reverse() } else { order }
    });
}

fn compare(left: &Weighed<'_>, right: &Weighed<'_>) -> Ordering {
    match (&left.weight, &right.weight) {
        // No number is "not a number". Both zeros are equal.
        (Weight::Number(one), Weight::Number(other)) => {
            one.partial_cmp(other).unwrap_or(Ordering::Equal).then_with(|| left.element.cmp(right.element))
        }
        (Weight::Text(one), Weight::Text(other)) => one.cmp(other),
        (Weight::Number(_), Weight::Text(_)) => Ordering::Less,
        (Weight::Text(_), Weight::Number(_)) => Ordering::Greater,
    }
}

/// The number that a text spells to its end (or to its first zero byte), as `strtod` reads it: blanks before are skipped, an
/// empty text is 0. `None`: it spells none, or one too large, or too small but not zero.
fn number(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let begin = text.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | 0x0B | 0x0C | b'\r'))?;
    let text = std::str::from_utf8(&text[begin..]).ok()?;
    let digits = text.trim_start_matches(['+', '-']);
    if digits.len() + 1 < text.len() {
        return None;
    }
    if let Some(digits) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return hexadecimal(digits).map(|number| if text.starts_with('-') { -number } else { number });
    }
    let number: f64 = text.parse().ok()?;
    let spells_digits = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    let in_range = !spells_digits || is_zero || number.is_normal();
    (in_range && !number.is_nan()).then_some(number)
}

/// `1f.8p3`
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once(['p', 'P']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digit = |sum: f64, letter: char| Some(sum.mul_add(16.0, f64::from(letter.to_digit(16)?)));
    let sum = whole.chars().chain(fraction.chars()).try_fold(0.0, digit)?;
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?.checked_mul(4)?)?;
    let number = sum * 2f64.powi(exponent);
    (sum == 0.0 || number.is_normal()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_strtod_reads_them() {
        let read = |text: &str| number(text.as_bytes());
        for (text, value) in [
            ("", 0.0),
            ("0", 0.0),
            ("-0", 0.0),
            (" \t 12", 12.0),
            ("+1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("0e999", 0.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x10", 16.0),
            ("-0X1.8p1", -3.0),
            ("7\0abc", 7.0),
            ("\0", 0.0),
        ] {
            assert_eq!(read(text), Some(value), "{text:?}");
        }
        for text in ["abc", "1 ", " ", "1e", "nan", "1e400", "-1e400", "1e-400", "--1", "+-1", "0x", "0x1p9999", "1_0"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(number(&[0xFF]), None);
    }

    #[test]
    fn a_missing_text_comes_first_and_equal_numbers_go_by_the_element() {
        let text = |element, weight: Option<&'static [u8]>| Weighed {
            element,
            weight: Weight::Text(weight.map(Cow::Borrowed)),
        };
        let mut texts = [text(b"a", Some(b"x")), text(b"b", None), text(b"c", Some(b""))];
        sort(&mut texts, false);
        assert_eq!(texts.each_ref().map(|weighed| weighed.element), [b"b", b"c", b"a"]);
        let number = |element, number| Weighed { element, weight: Weight::Number(number) };
        let mut numbers = [number(b"b", 1.0), number(b"a", 1.0), number(b"c", -1.0)];
        sort(&mut numbers, true);
        assert_eq!(numbers.each_ref().map(|weighed| weighed.element), [b"b", b"a", b"c"]);
    }
}
