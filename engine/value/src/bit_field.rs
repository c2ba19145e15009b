//! Small integers packed at any bit of a string: the fields of BITFIELD.
//!
//! ```text
//!   "u5" at bit 6 of  ......ab cde.....      = 0b000abcde
//!   "i5" there                               = the same bits, a being the sign
//! ```
//!
//! Promises: a field reaches over the end of the string as over zeros when read; arithmetic is exact in 128 bits and
//! then wraps, saturates or fails, as asked.
//! Never: grows a string by itself; a field that is written lies inside.

use crate::bits::{get_bit, set_bit};

/// The type of a field: `i1` to `i64`, `u1` to `u63`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct FieldType {
    signed: bool,
    bits: u32,
}

/// What happens to a number that does not fit its field.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Overflow {
    /// The lowest bits stay.
    Wrap,
    /// The nearest number that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl FieldType {
    /// A type, if there is one with that many bits.
    pub const fn new(signed: bool, bits: u32) -> Option<FieldType> {
        let bits_max = if signed { 64 } else { 63 };
        if bits >= 1 && bits <= bits_max { Some(FieldType { signed, bits }) } else { None }
    }

    /// How many bits a field takes.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    fn limits(self) -> (i128, i128) {
        if self.signed { (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) } else { (0, (1 << self.bits) - 1) }
    }

    /// The number whose lowest bits are these.
    fn extend(self, bits: u64) -> i64 {
        let above = 64 - self.bits;
        if self.signed { (bits << above) as i64 >> above } else { (bits << above >> above) as i64 }
    }

    /// The number in the field at bit `offset`.
    pub fn get(self, bytes: &[u8], offset: u64) -> i64 {
        let mut bits = 0;
        for place in 0..u64::from(self.bits) {
            bits = bits << 1 | u64::from(get_bit(bytes, offset.saturating_add(place)));
        }
        self.extend(bits)
    }

    /// Writes the number's lowest bits into the field at bit `offset`, which must lie inside.
    pub fn set(self, bytes: &mut [u8], offset: u64, number: i64) {
        for place in 0..self.bits {
            set_bit(bytes, offset + u64::from(place), number >> (self.bits - 1 - place) & 1 == 1);
        }
    }

    /// What a field is to hold when it is set to `number`; `None` if that overflows and is to fail.
    /// For an unsigned field a negative number is one far too large, as in Redis. For a signed one so is a number whose
    /// distance from the field's highest does not fit 64 bits: Redis's subtraction wraps there, and clients see it.
    pub fn fit(self, number: i64, overflow: Overflow) -> Option<i64> {
        let (_, highest) = self.limits();
        let distance_wraps = self.bits < 64 && highest - i128::from(number) > i128::from(i64::MAX);
        let meant = if !self.signed {
            i128::from(number.cast_unsigned())
        } else if distance_wraps && overflow == Overflow::Saturate {
            highest
        } else {
            i128::from(number)
        };
        self.fit_exact(meant, overflow)
    }

    /// What a field holding `old` is to hold after adding `by`; `None` if that overflows and is to fail.
    pub fn fit_sum(self, old: i64, by: i64, overflow: Overflow) -> Option<i64> {
        self.fit_exact(i128::from(old) + i128::from(by), overflow)
    }

    fn fit_exact(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (lowest, highest) = self.limits();
        if (lowest..=highest).contains(&number) {
            return Some(number as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.extend(number as u64)),
            Overflow::Saturate => Some(number.clamp(lowest, highest) as i64),
            Overflow::Fail => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(name: &str) -> FieldType {
        FieldType::new(name.starts_with('i'), name[1..].parse().unwrap()).unwrap()
    }

    #[test]
    fn there_is_no_u64_and_no_empty_field() {
        assert_eq!(FieldType::new(false, 64), None);
        assert_eq!(FieldType::new(true, 65), None);
        assert_eq!(FieldType::new(true, 0), None);
        assert!(FieldType::new(true, 64).is_some() && FieldType::new(false, 63).is_some());
    }

    #[test]
    fn the_three_ways_to_overflow() {
        assert_eq!(field("u2").fit_sum(3, 1, Overflow::Wrap), Some(0));
        assert_eq!(field("u2").fit_sum(3, 1, Overflow::Saturate), Some(3));
        assert_eq!(field("u2").fit_sum(3, 1, Overflow::Fail), None);
        assert_eq!(field("i8").fit_sum(127, 1, Overflow::Wrap), Some(-128));
        assert_eq!(field("i8").fit_sum(-128, -1, Overflow::Saturate), Some(-128));
        assert_eq!(field("i64").fit_sum(i64::MAX, 1, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(field("i64").fit_sum(i64::MIN, -1, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(field("u8").fit(-1, Overflow::Saturate), Some(255), "a negative number is far too large");
        assert_eq!(field("u8").fit(-1, Overflow::Wrap), Some(255));
        assert_eq!(field("i16").fit(i64::MIN, Overflow::Saturate), Some(i16::MAX.into()), "Redis wraps");
        assert_eq!(field("i16").fit(i64::MIN + 32_768, Overflow::Saturate), Some(i16::MIN.into()));
        assert_eq!(field("i64").fit(i64::MIN, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(field("u63").fit_sum(i64::MAX, i64::MAX, Overflow::Wrap), Some(i64::MAX - 1));
    }

    proptest! {
        #[test]
        fn a_field_is_read_back_and_its_neighbours_stay(bytes in proptest::collection::vec(any::<u8>(), 20), signed in any::<bool>(), bits in 1u32..64, offset in 0u64..90, number in any::<i64>()) {
            let field = FieldType::new(signed, bits).unwrap();
            let number = field.fit(number, Overflow::Wrap).unwrap();
            let mut changed = bytes.clone();
            field.set(&mut changed, offset, number);
            prop_assert_eq!(field.get(&changed, offset), number);
            for place in (0..160).filter(|place| !(offset..offset + u64::from(bits)).contains(place)) {
                prop_assert_eq!(get_bit(&changed, place), get_bit(&bytes, place));
            }
        }

        #[test]
        fn what_fits_is_in_the_limits(signed in any::<bool>(), bits in 1u32..64, old in any::<i64>(), by in any::<i64>()) {
            let field = FieldType::new(signed, bits).unwrap();
            let (lowest, highest) = field.limits();
            let old = field.fit(old, Overflow::Wrap).unwrap();
            for overflow in [Overflow::Wrap, Overflow::Saturate] {
                let new = i128::from(field.fit_sum(old, by, overflow).unwrap());
                prop_assert!((lowest..=highest).contains(&new));
            }
            prop_assert_eq!(field.fit_sum(old, by, Overflow::Fail).is_some(), (lowest..=highest).contains(&(i128::from(old) + i128::from(by))));
        }
    }
}
