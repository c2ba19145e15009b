//! Natural numbers of any size, as far as exact decimal conversion needs them: multiply and divide by one word, shift, print.
//!
//! Limbs are 64 bits, lowest first, without zero limbs at the top; zero has no limbs.
//! Promises: exact; division says whether anything was left. The caller bounds the size: an 80-bit float has at most
//! 4,933 digits before its point and 16,445 bits behind it.
//! Never: subtracts or divides by more than one word; nobody needs it here.

use std::cmp::Ordering;

/// A natural number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Natural {
    limbs: Vec<u64>,
}

/// The largest power of ten in one word, and its exponent.
const WORD_OF_TENS: u64 = 10_000_000_000_000_000_000;
const WORD_DIGITS: u32 = 19;

impl Natural {
    pub(crate) fn from_word(word: u64) -> Natural {
        let mut number = Natural { limbs: vec![word] };
        number.trim();
        number
    }

    pub(crate) fn from_double_word(words: u128) -> Natural {
        let mut number = Natural { limbs: vec![words as u64, (words >> 64) as u64] };
        number.trim();
        number
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// How many bits the number has; 0 for zero.
    pub(crate) fn bits(&self) -> u64 {
        match self.limbs.last() {
            Some(top) => self.limbs.len() as u64 * 64 - u64::from(top.leading_zeros()),
            None => 0,
        }
    }

    /// self = self * factor + addend.
    pub(crate) fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = u128::from(addend);
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
        if carry > 0 {
            self.limbs.push(carry as u64);
        }
        self.trim();
    }

    /// self = self / divisor, rounded down; gives the remainder.
    pub(crate) fn divide(&mut self, divisor: u64) -> u64 {
        let mut rest = 0u128;
        for limb in self.limbs.iter_mut().rev() {
            let part = rest << 64 | u128::from(*limb);
            *limb = (part / u128::from(divisor)) as u64;
            rest = part % u128::from(divisor);
        }
        self.trim();
        rest as u64
    }

    /// self = self * 10^exponent.
    pub(crate) fn multiply_tens(&mut self, mut exponent: u32) {
        while exponent >= WORD_DIGITS {
            self.multiply_add(WORD_OF_TENS, 0);
            exponent -= WORD_DIGITS;
        }
        self.multiply_add(10u64.pow(exponent), 0);
    }

    /// self = self / 10^exponent, rounded down; true if something was left.
    pub(crate) fn divide_tens(&mut self, mut exponent: u32) -> bool {
        let mut left = false;
        while exponent >= WORD_DIGITS && !self.is_zero() {
            left |= self.divide(WORD_OF_TENS) != 0;
            exponent -= WORD_DIGITS;
        }
        // Once zero, all that was there is already in `left`.
        left | (self.divide(10u64.pow(exponent.min(WORD_DIGITS))) != 0)
    }

    pub(crate) fn shift_left(&mut self, bits: u32) {
        if self.is_zero() {
            return;
        }
        let within = bits % 64;
        if within > 0 {
            let mut carry = 0;
            for limb in &mut self.limbs {
                let moved = *limb << within | carry;
                carry = *limb >> (64 - within);
                *limb = moved;
            }
            if carry > 0 {
                self.limbs.push(carry);
            }
        }
        self.limbs.splice(0..0, std::iter::repeat_n(0, (bits / 64) as usize));
    }

    /// self = self / 2^bits, rounded down; gives the comparison of what was cut off with one half.
    pub(crate) fn shift_right(&mut self, bits: u64) -> Ordering {
        if bits == 0 || self.is_zero() {
            return Ordering::Less;
        }
        let half_set = self.bit(bits - 1);
        let below_half =
            self.limbs.iter().zip((0..).step_by(64)).any(|(&limb, start)| match (bits - 1).saturating_sub(start) {
                0 => false,
                cut @ 1..=63 => limb & ((1 << cut) - 1) != 0,
                _ => limb != 0,
            });
        let whole = usize::try_from(bits / 64).unwrap_or(usize::MAX).min(self.limbs.len());
        self.limbs.drain(..whole);
        let within = bits % 64;
        if within > 0 {
            let mut carry = 0;
            for limb in self.limbs.iter_mut().rev() {
                let moved = *limb >> within | carry;
                carry = *limb << (64 - within);
                *limb = moved;
            }
        }
        self.trim();
        match (half_set, below_half) {
            (true, true) => Ordering::Greater,
            (true, false) => Ordering::Equal,
            (false, _) => Ordering::Less,
        }
    }

    fn bit(&self, place: u64) -> bool {
        match self.limbs.get((place / 64) as usize) {
            Some(limb) => limb >> (place % 64) & 1 == 1,
            None => false,
        }
    }

    pub(crate) fn is_odd(&self) -> bool {
        self.bit(0)
    }

    /// The lowest 64 bits.
    pub(crate) fn low_word(&self) -> u64 {
        self.limbs.first().copied().unwrap_or(0)
    }

    /// The decimal digits, at least one.
    pub(crate) fn into_decimal(mut self) -> Vec<u8> {
        let mut digits = Vec::new();
        while !self.is_zero() {
            let mut part = self.divide(WORD_OF_TENS);
            for _ in 0..WORD_DIGITS {
                if part == 0 && self.is_zero() {
                    break;
                }
                digits.push(b'0' + (part % 10) as u8);
                part /= 10;
            }
        }
        if digits.is_empty() {
            digits.push(b'0');
        }
        digits.reverse();
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(value: u128) -> Natural {
        Natural::from_double_word(value)
    }

    proptest! {
        #[test]
        fn arithmetic_agrees_with_128_bits(value in any::<u128>(), cut in 0u32..128, word in 1u64.., shift in 0u64..140) {
            let value = value >> cut;
            prop_assert_eq!(of(value).into_decimal(), value.to_string().into_bytes());
            prop_assert_eq!(of(value).bits(), u64::from(128 - value.leading_zeros()));

            let mut divided = of(value);
            prop_assert_eq!(u128::from(divided.divide(word)), value % u128::from(word));
            prop_assert_eq!(&divided, &of(value / u128::from(word)));

            let mut again = divided;
            again.multiply_add(word, (value % u128::from(word)) as u64);
            prop_assert_eq!(&again, &of(value));

            let mut shifted = of(value);
            let against_half = shifted.shift_right(shift);
            let expected = if shift >= 128 { 0 } else { value >> shift };
            prop_assert_eq!(&shifted, &of(expected));
            if shift > 0 && shift < 128 {
                let rest = value & ((1 << shift) - 1);
                prop_assert_eq!(against_half, rest.cmp(&(1 << (shift - 1))));
            } else if shift > 128 {
                prop_assert_eq!(against_half, Ordering::Less);
            }
        }

        #[test]
        fn shifting_there_and_back_is_nothing(value in any::<u64>(), shift in 0u32..1000) {
            let mut number = Natural::from_word(value);
            number.shift_left(shift);
            prop_assert_eq!(number.shift_right(u64::from(shift)), Ordering::Less);
            prop_assert_eq!(number, Natural::from_word(value));
        }

        #[test]
        fn tens_there_and_back_leave_nothing(value in 1u64.., exponent in 0u32..200) {
            let mut number = Natural::from_word(value);
            number.multiply_tens(exponent);
            let mut odd = number.clone();
            prop_assert!(!number.divide_tens(exponent));
            prop_assert_eq!(number, Natural::from_word(value));
            odd.multiply_add(1, 1);
            prop_assert_eq!(odd.divide_tens(exponent), exponent > 0);
            prop_assert!(Natural::from_word(value).divide_tens(exponent + 20));
        }
    }
}
